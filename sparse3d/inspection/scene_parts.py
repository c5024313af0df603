"""What is looked at of a scene, whatever its format, and what all formats share in bringing it together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sparse3d.data import sunrgbd
from sparse3d.data.readers import FrameSource
from sparse3d.errors import InputError
from sparse3d.geometry import transform_points, unproject_depth
from sparse3d.geometry.projection import has_reading
from sparse3d.inspection.frame_labels import FrameLabels
from sparse3d.types import Boxes, Frame
from sparse3d.visualize.surfaces import faces_towards, point_spacing, vertex_normals

OTHER = "other label"  # labelled, and none of the benchmark's classes
OTHER_COLOR = (110, 110, 110)
SHELL = frozenset({"wall", "floor", "ceiling", "beam"})  # drawn without boxes: they would be the room itself
_SMOOTHING = 4  # of a mesh's normals
_WOUND = 0.8  # of the triangles: a scan's nearly all face a camera near them
_CLOUD_FRAMES = 12  # that stand in for a mesh
_CLOUD_GRID = 2  # pixels: every so many rows and columns of them
_CLOUD_DEPTH = 5.0  # metres


@dataclass(eq=False)
class Surface:
    """N points or vertices, aligned, metres, z up."""

    xyz: np.ndarray  # (N, 3) float32
    rgb: np.ndarray  # (N, 3) uint8
    spacing: float  # metres between neighbours
    faces: np.ndarray | None = None  # (F, 3)
    normals: np.ndarray | None = None  # (N, 3) float32
    see_through: np.ndarray | None = None  # (N,) bool, hidden where they face away
    semantic: np.ndarray | None = None  # (N,) int64, index of the scene's classes, IGNORE for none
    instance: np.ndarray | None = None  # (N,) int64, row of the scene's objects, -1 for none


@dataclass(frozen=True)
class SceneObject:
    """One instance with its box."""

    label: str
    semantic: int  # index of the scene's classes, IGNORE for none
    center: tuple[float, float, float]  # metres
    size: tuple[float, float, float]  # metres, full
    yaw: float = 0.0  # radians
    points: int | None = None


@dataclass(eq=False)
class LookedAtScene:
    """Everything that is there of one scene."""

    name: str
    path: Path
    kind: str
    surface: Surface | None = None
    class_names: tuple[str, ...] = ()
    class_colors: tuple[tuple[int, int, int], ...] = ()
    objects: list[SceneObject] = field(default_factory=list)
    alignment: np.ndarray | None = None  # (4, 4), which has been applied
    source: FrameSource | None = None
    frame_labels: FrameLabels | None = None
    poses: np.ndarray = field(default_factory=lambda: np.zeros((0, 4, 4)))  # (F, 4, 4) camera to aligned world
    view: sunrgbd.SunRgbdView | None = None
    turns: Sequence[float] | None = None  # viewers' directions in degrees; None: over the four corners
    notes: list[str] = field(default_factory=list)  # what is missing, and remarks of the readers
    facts: list[tuple[str, str]] = field(default_factory=list)

    @property
    def boxes(self) -> Boxes:
        """A box an object, labelled with its class."""
        columns = {name: np.array([getattr(o, name) for o in self.objects]) for name in ("center", "size", "yaw")}
        return Boxes(label=np.array([o.semantic for o in self.objects], dtype=np.int64), **columns)

    def class_name(self, index: int) -> str:
        """The name of a class index, "none" for one outside."""
        return self.class_names[index] if 0 <= index < len(self.class_names) else "none"


def mesh_surface(xyz: np.ndarray, rgb: np.ndarray, faces: np.ndarray) -> Surface:
    return Surface(xyz, rgb, point_spacing(xyz), faces, vertex_normals(xyz, faces, _SMOOTHING))


def face_the_cameras(scene: LookedAtScene) -> None:
    """Turn the triangles to the cameras where they are wound at random, as one looks through those that face away."""
    surface = scene.surface
    if surface is None or surface.faces is None or not len(surface.faces) or not len(scene.poses):
        return
    towards = faces_towards(surface.xyz, surface.faces, scene.poses[:, :3, 3])
    if towards.mean() < _WOUND:
        scene.notes.append(
            f"only {towards.mean():.0%} of the triangles face the camera nearest to them: turned for show"
        )
        surface.faces = np.where(towards[:, None], surface.faces, surface.faces[:, ::-1])
        surface.normals = vertex_normals(surface.xyz, surface.faces, _SMOOTHING)


def add_frames(scene: LookedAtScene, source: FrameSource) -> None:
    scene.source = source
    poses = np.stack([source.pose(i) for i in range(len(source))])
    scene.poses = poses if scene.alignment is None else scene.alignment @ poses
    length = float(np.linalg.norm(np.diff(scene.poses[:, :3, 3], axis=0), axis=1).sum())
    heights = scene.poses[:, 2, 3]
    dropped = len(source.manifest.dropped)
    scene.facts += [
        (
            "frames",
            f"{len(source)}, {source.size[0]} x {source.size[1]} pixels" + f"; {dropped} dropped" * (dropped > 0),
        ),
        ("camera path", f"{length:.1f} m long, {heights.min():.2f} to {heights.max():.2f} m high"),
    ]
    if source.manifest.assumed_camera is not None:
        scene.notes.append(f"no file says the camera's intrinsics: {source.manifest.assumed_camera} are assumed")


def decoded(scene: LookedAtScene, i: int) -> Frame | None:
    """Frame ``i``, or None and a note: recordings are opened without decoding them, and few of their frames shown."""
    assert scene.source is not None
    try:
        return scene.source[i]
    except InputError as error:
        if (note := f"frame {scene.source.frame_number(i)} is left out: {error}") not in scene.notes:
            scene.notes.append(note)
        return None


def add_cloud(scene: LookedAtScene) -> None:
    """The points of some frames, where there is no mesh."""
    source = scene.source
    if scene.surface is not None or source is None:
        return
    xyz, rgb = [np.zeros((0, 3), np.float32)], [np.zeros((0, 3), np.uint8)]
    chosen = np.unique(np.linspace(0, len(source) - 1, _CLOUD_FRAMES).round().astype(int)).tolist()
    for i in chosen:
        if (frame := decoded(scene, i)) is None:
            continue
        keep = np.zeros(frame.depth.shape, dtype=bool)
        keep[::_CLOUD_GRID, ::_CLOUD_GRID] = True
        depth = np.where(keep & has_reading(frame.depth) & (frame.depth < _CLOUD_DEPTH), frame.depth, np.float32(0))
        points, pixels = unproject_depth(depth, frame.camera)
        xyz.append(transform_points(scene.poses[i], points).astype(np.float32))
        rgb.append(frame.color[pixels[:, 0], pixels[:, 1]])
    points, colors = np.concatenate(xyz), np.concatenate(rgb)
    if len(points):
        scene.notes.append(f"shown instead of a mesh: the points of {len(xyz) - 1} of {len(source)} frames")
        scene.surface = Surface(points, colors, 2 * point_spacing(points))
