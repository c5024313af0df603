"""A tiny scan in ScanNet's files, written by hand: a room's floor, a box on it, frames of the synthetic room."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from plyfile import PlyData, PlyElement
from synthetic_room import CAMERA, room_frame

from sparse3d.data.sens_writer import SensWriter

FRAMES = 6
TABLE_ROWS = (
    (1, "wall", 1, "wall"),
    (3, "floor", 2, "floor"),
    (2, "chair", 5, "chair"),
    (27, "refrigerator", 24, "refridgerator"),
    (22, "book", 23, "books"),
    (22, "books", 23, "books"),
    (1163, "object", 40, "otherprop"),
    (1163, "object", 40, "otherprop"),
)
LOST = np.full((4, 4), -np.inf)
# segments of the mesh, and the label of each group of them: ids have gaps, numbers of segments too
GROUPS = ((0, "floor", (3, 90)), (4, "chair", (7, 12)), (5, "refridgerator", (13,)), (9, "books", (500,)))
SEGMENTS = np.repeat([3, 90, 7, 12, 13, 500, 8], 4)  # 8 is in no group
TURN = np.array([[0.8, -0.6, 0, 0.5], [0.6, 0.8, 0, -1.0], [0, 0, 1, 0.25], [0, 0, 0, 1.0]])


def write_table(folder: Path, name: str = "scannetv2-labels.combined.tsv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rows = ["id\traw_category\tcategory\tnyu40id\tnyu40class"]
    rows += [f"{number}\t{raw}\t{raw}\t{nyu40}\t{known}" for number, raw, nyu40, known in TABLE_ROWS]
    (folder / name).write_text("\n".join(rows) + "\n")
    return folder / name


def write_scan(folder: Path, parts: Sequence[str] = ("frames", "mesh", "labels", "alignment"), **texts: Any) -> Path:
    """A scene named after ``folder`` with the given parts; ``groups`` and ``segments`` replace the annotation's."""
    folder.mkdir(parents=True, exist_ok=True)
    name = folder.name
    if "frames" in parts:
        write_sens_of_room(folder / f"{name}.sens", lost=texts.get("lost", ()))
    if "mesh" in parts:
        write_ply(folder / f"{name}_vh_clean_2.ply", vertices(), triangles())
    if "labels" in parts:
        write_annotation(folder, texts.get("groups", GROUPS), texts.get("segments", SEGMENTS))
    lines = ["sceneType = Bedroom", f"fx_depth = {CAMERA.fx}", f"fy_depth = {CAMERA.fy}"]
    lines += [f"mx_depth = {texts.get('mx', CAMERA.cx)}", f"my_depth = {CAMERA.cy}"]
    if "alignment" in parts:
        lines.insert(0, "axisAlignment = " + " ".join(f"{value:g}" for value in TURN.ravel()))
    (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return folder


def write_sens_of_room(path: Path, lost: Sequence[int] = (), count: int = FRAMES) -> None:
    with SensWriter(path, CAMERA, CAMERA, sensor_name="StructureSensor") as writer:
        for k in range(count):
            frame = room_frame(k, count)
            writer.write(frame.color, frame.depth, LOST if k in lost else frame.T_world_cam)


def write_annotation(folder: Path, groups: Sequence[tuple[int, str, Sequence[int]]], segments: np.ndarray) -> None:
    name = folder.name
    content: dict[str, Any] = {"sceneId": name, "segIndices": np.asarray(segments).tolist()}
    (folder / f"{name}_vh_clean_2.0.010000.segs.json").write_text(json.dumps(content))
    listed = [{"id": k, "objectId": k, "label": label, "segments": list(own)} for k, label, own in groups]
    (folder / f"{name}.aggregation.json").write_text(json.dumps({"sceneId": name, "segGroups": listed}))


def vertices() -> np.ndarray:
    """(28, 3) float32: four vertices a segment, in the unit cube over the segment's place."""
    xyz = np.random.default_rng(5).random((len(SEGMENTS), 3)) + np.repeat(np.arange(7), 4)[:, None]
    return xyz.astype(np.float32)


def triangles() -> np.ndarray:
    return np.arange(27).reshape(9, 3)


def colors() -> np.ndarray:
    return np.random.default_rng(6).integers(0, 256, (len(SEGMENTS), 3)).astype(np.uint8)


def write_ply(path: Path, xyz: np.ndarray, faces: np.ndarray, labels: np.ndarray | None = None) -> None:
    """As ScanNet writes it: binary, alpha beside the colours, uchar-int lists; ``labels`` are ushort."""
    kinds = [(c, "f4") for c in "xyz"] + [(c, "u1") for c in ("red", "green", "blue", "alpha")]
    kinds += [] if labels is None else [("label", "u2")]
    vertex = np.zeros(len(xyz), dtype=kinds)
    for k, name in enumerate("xyz"):
        vertex[name] = xyz[:, k]
    for k, name in enumerate(("red", "green", "blue")):
        vertex[name] = colors()[: len(xyz), k]
    if labels is not None:
        vertex["label"] = labels
    face = np.zeros(len(faces), dtype=[("vertex_indices", "i4", (3,))])
    face["vertex_indices"] = faces
    elements = [PlyElement.describe(vertex, "vertex"), PlyElement.describe(face, "face")]
    PlyData(elements).write(str(path))
