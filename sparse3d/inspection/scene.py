"""One scene brought together for looking at: whatever is there of a surface, labels, objects, frames and a camera path.

Scenes are recognised by their files: one that ``tools/prepare.py`` wrote, a ScanNet scan (or a room made by
``tools/make_rooms.py``), an S3DIS room, a SUN RGB-D frame, or any recording that :mod:`sparse3d.data.readers` know.
What a scene lacks is said in ``notes``. :mod:`sparse3d.inspection.scene_page` draws it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from sparse3d.data import s3dis, sunrgbd
from sparse3d.data.prepared import SCENE
from sparse3d.data.readers import open_frames
from sparse3d.errors import InputError
from sparse3d.geometry import count_points_in_boxes
from sparse3d.inspection.scene_parts import (
    OTHER,
    OTHER_COLOR,
    LookedAtScene,
    SceneObject,
    Surface,
    add_cloud,
    add_frames,
)
from sparse3d.inspection.scene_scannet import load_prepared, load_scan, scannet_files
from sparse3d.visualize.surfaces import point_normals, point_spacing

_WALLS = ("ceiling", "wall", "beam", "column", "window", "door", "board")  # of S3DIS, looked through from outside
_LABELS = "v2"  # of SUN RGB-D
_RECORDING = "recordings of frames"


def load_scene(
    path: str | Path, frame: str | None = None, labels: str | None = None, up: str | None = None
) -> LookedAtScene:
    """Recognise ``path`` and read what is there.

    Args:
        path: a scene's folder; for SUN RGB-D the folder of depth, image, calib and label, or a ``.mat`` file in depth.
        frame: SUN RGB-D: the frame's name; None takes the first.
        labels: SUN RGB-D: version of the annotation, "v1" or "v2"; None takes the second.
        up: a recording: the axis that points up, as :func:`~sparse3d.data.readers.open_frames` takes it.

    Raises:
        InputError: nothing recognised, an option of another kind of scene, or a file that is there is damaged.
    """
    path = Path(path)
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder")
    if path.suffix == ".mat":
        _refuse(_RECORDING, path, up=up)
        if frame is not None and frame != path.stem:
            raise InputError(f"--frame {frame}: {path} is one frame already; name its folder, or leave --frame out")
        return _sunrgbd(path.parent.parent, path.stem, labels or _LABELS)
    if root := sunrgbd.sunrgbd_root(path):
        _refuse(_RECORDING, path, up=up)
        return _sunrgbd(root, _chosen_frame(root, frame), labels or _LABELS)
    _refuse("SUN RGB-D (depth/*.mat)", path, frame=frame, labels=labels)
    prepared, room = (path / SCENE).is_file(), s3dis.is_s3dis_room(path)
    files = None if prepared or room else scannet_files(path)
    if not (prepared or room or files):
        return _recording(path, up or "auto")
    _refuse(_RECORDING, path, up=up)
    if files:
        return load_scan(files)
    return load_prepared(path) if prepared else _s3dis(path)


def _refuse(kind: str, path: Path, **options: str | None) -> None:
    """Raises InputError for an option that is given, and for another kind of scene."""
    for name, value in options.items():
        if value is not None:
            raise InputError(f"--{name}={value}: is for {kind}, and {path} is none: leave it out")


def _recording(path: Path, up: str) -> LookedAtScene:
    try:
        source = open_frames(path, on_fault="drop", up=up)
    except InputError as error:
        wanted = "a prepared scene, a ScanNet scan, an S3DIS room, a SUN RGB-D folder or a recording"
        raise InputError(f"{path}: cannot be shown: needed is {wanted} ({error})") from error
    scene = LookedAtScene(source.scene, path, f"recording ({source.format})")
    scene.notes.append("no mesh and no labels: a recording has frames alone")
    add_frames(scene, source)
    add_cloud(scene)
    return scene


def _s3dis(path: Path) -> LookedAtScene:
    room = s3dis.read_s3dis_room(path)
    scene = LookedAtScene(room.name, path, "S3DIS room", None, s3dis.CLASSES, s3dis.COLORS)
    low, high = room.xyz.min(axis=0), room.xyz.max(axis=0)
    walls = np.isin(room.semantic, [s3dis.CLASSES.index(name) for name in _WALLS])
    scene.surface = Surface(
        room.xyz,
        np.round(room.rgb * 255).astype(np.uint8),
        point_spacing(room.xyz),
        None,
        point_normals(room.xyz, (low + high) / 2),
        walls,
        room.semantic,
        room.instance,
    )
    order = np.argsort(room.instance, kind="stable")
    starts = np.searchsorted(room.instance[order], np.arange(len(room.objects) + 1))
    for k, name in enumerate(room.objects):
        mine = order[starts[k] : starts[k + 1]]
        own = room.xyz[mine].astype(np.float64)
        bottom, top = own.min(axis=0), own.max(axis=0)
        center, size = tuple(((bottom + top) / 2).tolist()), tuple((top - bottom).tolist())
        scene.objects.append(SceneObject(name, int(room.semantic[mine[0]]), center, size, points=len(mine)))
    scene.notes += ["no frames: S3DIS rooms are points", "no mesh: points are shown"]
    scene.notes += [
        f"class {k!r} is none of the 13: its {n} points are clutter" for k, n in room.unknown_classes.items()
    ]
    scene.notes += [f"{place}: a stray byte was read as a blank" for place in room.mended]
    return scene


def _chosen_frame(root: Path, frame: str | None) -> str:
    names = sunrgbd.sunrgbd_frames(root)
    if frame is None:
        return names[0]
    if frame not in names:
        raise InputError(f"--frame {frame}: {root / 'depth'} has no {frame}.mat; it has {names[0]} to {names[-1]}")
    return frame


def _sunrgbd(root: Path, name: str, labels: str) -> LookedAtScene:
    frame = sunrgbd.read_sunrgbd_frame(root, name, labels)
    scene = LookedAtScene(name, root, f"SUN RGB-D frame, labels {labels}", None, sunrgbd.CLASSES, sunrgbd.COLORS)
    scene.class_names, scene.class_colors = (*sunrgbd.CLASSES, OTHER), (*sunrgbd.COLORS, OTHER_COLOR)
    rgb = np.round(frame.rgb * 255).astype(np.uint8)
    normals = point_normals(frame.xyz, np.zeros(3))
    scene.surface = Surface(frame.xyz, rgb, 2 * point_spacing(frame.xyz), None, normals)
    for o in frame.objects:
        semantic = sunrgbd.CLASSES.index(o.label) if o.label in sunrgbd.CLASSES else len(sunrgbd.CLASSES)
        scene.objects.append(SceneObject(o.label, semantic, o.center, o.size, o.yaw))
    inside = count_points_in_boxes(frame.xyz, scene.boxes).tolist()
    scene.objects = [replace(o, points=n) for o, n in zip(scene.objects, inside, strict=True)]
    scene.view = _if_there(lambda: sunrgbd.read_sunrgbd_view(root, name), scene.notes)
    scene.turns = (-120.0, -90.0, -60.0)  # the far side of things was not seen
    scene.notes.append("no labels of the points: SUN RGB-D labels boxes; an object's points are those in its box")
    return scene


def _if_there(read: Callable[[], sunrgbd.SunRgbdView], notes: list[str]) -> sunrgbd.SunRgbdView | None:
    """The image, or None and a note: points can be looked at without it."""
    try:
        return read()
    except InputError as error:
        notes.append(f"no image: {error}")
        return None
