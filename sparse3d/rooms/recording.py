"""One room, walked through with a camera, to one folder of files as ScanNet has them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparse3d.data.sens_writer import SensWriter
from sparse3d.geometry.rigid import rotation_about_z
from sparse3d.rooms import scannet_files as files
from sparse3d.rooms.categories import CATEGORIES
from sparse3d.rooms.label_table import NYU40
from sparse3d.rooms.piece import Room
from sparse3d.rooms.render import RayCaster, render
from sparse3d.rooms.scan_mesh import ScanMesh, View, scan
from sparse3d.rooms.scene import SceneMesh, merge
from sparse3d.rooms.segments import segment
from sparse3d.rooms.sensor import exposures, sense_color, sense_depth
from sparse3d.types import Camera

SENSOR_NAME = "sparse3d rooms"
FOCAL = 577.87 / 640  # of ScanNet's depth cameras, in widths of the image
FARTHEST = 4.0  # metres that the world's origin lies off the room's


@dataclass(frozen=True)
class RecordingOptions:
    """How a room is recorded. ``size`` is (width, height); without ``noise`` every file is exact."""

    frames: int = 100
    size: tuple[int, int] = (640, 480)
    spacing: float = 0.02
    noise: bool = True
    shadows: bool = True


def record(
    room: Room, poses: np.ndarray, folder: Path, scene: str, options: RecordingOptions, rng: np.random.Generator
) -> dict[str, Any]:
    """Film ``room`` from ``poses`` (F, 4, 4), camera to room, and write all files of ``scene`` into ``folder``.

    The folder is there already. Returns what is in the files, for tables. Raises ValueError if nothing is seen.
    """
    sensor_rng, world_rng = rng.spawn(2)
    mesh = merge(room)
    camera = _camera(options.size, sensor_rng)
    T_aligned_world = _alignment(world_rng)
    T_world_room = np.linalg.inv(T_aligned_world)
    caster = RayCaster(mesh)
    views = _film(room, caster, camera, poses, T_world_room, folder / f"{scene}.sens", options, sensor_rng)
    scanned = scan(caster, views, options.spacing)
    object_of_instance = _object_ids(mesh, scanned, views)
    _write_meshes(folder, scene, mesh, scanned, T_world_room, object_of_instance)
    _write_frame_truth(folder, scene, mesh, views, object_of_instance)
    files.write_scene_text(folder / f"{scene}.txt", room.kind, T_aligned_world, camera, len(poses))
    boxes = true_boxes(room, mesh, scanned, object_of_instance)
    files.write_boxes(folder / f"{scene}_boxes.json", scene, mesh.parts, boxes)
    return _summary(scene, room, mesh, scanned, len(poses))


def _camera(size: tuple[int, int], rng: np.random.Generator) -> Camera:
    """A camera as ScanNet's: no two devices have quite the same intrinsics."""
    width, height = size
    fx = FOCAL * width * rng.uniform(0.985, 1.01)
    cx, cy = (width - 1) / 2 + rng.uniform(-0.01, 0.01) * width, (height - 1) / 2 + rng.uniform(-0.01, 0.01) * height
    fy = fx * rng.uniform(0.998, 1.002)
    return Camera(round(fx, 6), round(fy, 6), round(cx, 6), round(cy, 6), width, height)  # as the .txt will have them


def _alignment(rng: np.random.Generator) -> np.ndarray:
    """A turn about z and a shift, world to room; rounded as the ``.txt`` will have it."""
    T = rotation_about_z(rng.uniform(-np.pi, np.pi))
    T[:3, 3] = rng.uniform(-FARTHEST, FARTHEST, 3) * (1, 1, 0.05)
    return np.round(T, 6)


def _film(
    room: Room, caster: RayCaster, camera: Camera, poses: np.ndarray, T_world_room: np.ndarray, path: Path,
    options: RecordingOptions, rng: np.random.Generator,
) -> list[View]:  # fmt: skip
    """Render every frame and write the ``.sens`` file; the frames with their truth stay in memory for the mesh."""
    lights = exposures(len(poses), rng)
    views = []
    with SensWriter(path, camera, camera, sensor_name=SENSOR_NAME) as writer:
        for pose, light in zip(poses, lights, strict=True):
            shot = render(caster, room, camera, pose, shadows=options.shadows)
            color, sensed = shot.color, shot.depth
            if options.noise:
                sensed = sense_depth(shot.depth, shot.cos_incidence, rng, color)
                color = sense_color(color, rng, exposure=float(light))
            image = np.clip(np.round(color * 255), 0, 255).astype(np.uint8)
            writer.write(image, sensed, T_world_room @ pose)
            depth, face = shot.depth.astype(np.float32), shot.face.astype(np.int32)
            views.append(View(camera, pose, image, sensed.astype(np.float32), depth, face))
    return views


def _object_ids(mesh: SceneMesh, scanned: ScanMesh, views: list[View]) -> np.ndarray:
    """ScanNet's object id of each instance (I,), -1 for one that was not seen at all.

    Instances with vertices come first, so their ids have no gaps; those that only pixels show follow.
    """
    in_mesh = np.bincount(scanned.instance, minlength=len(mesh.categories)) > 0
    in_frames = np.zeros(len(mesh.categories), dtype=bool)
    for view in views:
        in_frames[mesh.face_instance[view.face[view.face >= 0]]] = True
    order = np.concatenate([np.flatnonzero(in_mesh), np.flatnonzero(in_frames & ~in_mesh)])
    ids = np.full(len(mesh.categories), -1)
    ids[order] = np.arange(len(order))
    return ids


def _write_meshes(
    folder: Path, scene: str, mesh: SceneMesh, scanned: ScanMesh, T_world_room: np.ndarray, object_of: np.ndarray
) -> None:
    R, t = T_world_room[:3, :3], T_world_room[:3, 3]
    xyz, exact = scanned.vertices @ R.T + t, scanned.exact @ R.T + t
    raw, nyu40 = _category_ids(mesh)
    raw, nyu40 = raw[scanned.instance], nyu40[scanned.instance]
    segments = segment(scanned.exact, scanned.normals, scanned.faces, scanned.instance)
    ids, first = np.unique(segments, return_index=True)
    owner = object_of[scanned.instance[first]]
    row_of_object = np.argsort(np.where(object_of < 0, len(object_of), object_of))
    objects = [(mesh.categories[row_of_object[k]], ids[owner == k]) for k in range(int(owner.max()) + 1)]
    files.write_mesh(folder / f"{scene}_vh_clean_2.ply", xyz, scanned.rgb, scanned.faces)
    files.write_labels_mesh(folder / f"{scene}_vh_clean_2.labels.ply", xyz, scanned.faces, nyu40)
    files.write_segments(folder / f"{scene}_vh_clean_2.0.010000.segs.json", scene, segments)
    files.write_aggregation(folder / f"{scene}.aggregation.json", scene, objects)
    truth = {
        "xyz": exact.astype(np.float32),
        "object_id": object_of[scanned.instance].astype(np.int16),
        "raw_id": raw.astype(np.int16),
        "nyu40": nyu40.astype(np.uint8),
        "part": scanned.part.astype(np.int16),
        "part_names": np.array(mesh.parts),
    }
    files.write_truth(folder / f"{scene}_truth.npz", truth)


def _write_frame_truth(folder: Path, scene: str, mesh: SceneMesh, views: list[View], object_of: np.ndarray) -> None:
    """The instance, label and part images of every frame: exact, without the sensor's noise."""
    raw, _ = _category_ids(mesh)
    wide = int(object_of.max()) + 1 > 255
    for folder_name, of_face, sixteen_bit in (
        ("instance", object_of[mesh.face_instance] + 1, wide),
        ("label", raw[mesh.face_instance], True),
        ("part", mesh.face_part + 1, True),
    ):
        of_face = np.append(of_face, 0)  # the last place answers for -1: a ray that has hit nothing
        images = (of_face[view.face] for view in views)
        files.write_image_zip(folder / f"{scene}_2d-{folder_name}.zip", folder_name, images, sixteen_bit)


def _category_ids(mesh: SceneMesh) -> tuple[np.ndarray, np.ndarray]:
    """The raw id and the nyu40 id of each instance, (I,) each."""
    known = [CATEGORIES[name] for name in mesh.categories]
    return np.array([c.id for c in known]), np.array([c.nyu40 for c in known])


def true_boxes(room: Room, mesh: SceneMesh, scanned: ScanMesh, object_of: np.ndarray) -> list[dict[str, Any]]:
    """What is known of every instance of the room, seen or not, in the aligned frame (that of the room).

    ``objectId`` (None if never seen), ``label``; ``center`` and ``size`` (metres, axis-aligned) of its whole geometry
    and its ``yaw`` (radians, about z); ``vertices`` of the mesh, ``seen_center`` and ``seen_size`` of the box around
    them without noise (None without any), ``seen_share`` of its surface's area, insides included.
    """
    corners = mesh.vertices[mesh.faces]
    areas = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1) / 2
    area = np.bincount(mesh.face_instance, areas, minlength=len(mesh.categories))
    boxes = []
    for row, placed in enumerate(room.instances):
        low, high = placed.vertices.min(axis=0), placed.vertices.max(axis=0)
        own = scanned.exact[scanned.instance == row]
        seen = (own.min(axis=0), own.max(axis=0)) if len(own) else None
        turn = placed.T_room_piece[:2, 0]
        boxes.append(
            {
                "objectId": int(object_of[row]) if object_of[row] >= 0 else None,
                "label": placed.piece.category,
                "center": _rounded((low + high) / 2),
                "size": _rounded(high - low),
                "yaw": round(float(np.arctan2(turn[1], turn[0])), 6),
                "vertices": len(own),
                "seen_center": _rounded((seen[0] + seen[1]) / 2) if seen else None,
                "seen_size": _rounded(seen[1] - seen[0]) if seen else None,
                "seen_share": round(float(scanned.seen_area[row] / max(area[row], 1e-12)), 4),
            }
        )
    return boxes


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 6) + 0.0 for value in values]


def _summary(scene: str, room: Room, mesh: SceneMesh, scanned: ScanMesh, frames: int) -> dict[str, Any]:
    """What the table at the end of the tool counts."""
    seen = np.unique(scanned.instance)
    _, nyu40 = _category_ids(mesh)
    vertices = np.bincount(nyu40[scanned.instance], minlength=len(NYU40) + 1)
    x, y = room.outline.T
    return {
        "sceneId": scene,
        "kind": room.kind,
        "floor": round(float(np.sum(x * np.roll(y, -1) - y * np.roll(x, -1)) / 2), 3),  # square metres
        "frames": frames,
        "vertices": len(scanned.vertices),
        "faces": len(scanned.faces),
        "objects": dict(sorted(Counter(mesh.categories[row] for row in seen).items())),
        "vertices_by_nyu40": {NYU40[k - 1]: int(vertices[k]) for k in range(1, len(NYU40) + 1) if vertices[k]},
    }
