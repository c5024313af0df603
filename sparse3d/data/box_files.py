"""Boxes as files: a PLY of their edges, to be looked at beside the scan, and JSON, to be read by programs.

The JSON has ``classes`` (names, the labels are their places), ``scene`` and ``checkpoint`` (None where not told), and
``boxes``: for each its ``class``, ``center`` and ``size`` (metres), ``yaw`` (radians about z, from x towards y) and,
of predictions, ``score``. Numbers are float32 in the fewest digits that give the same float32 back.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from sparse3d.config_names import nearest
from sparse3d.errors import InputError
from sparse3d.types import IGNORE, Boxes
from sparse3d.whole_files import write_whole, write_whole_text

FORMAT = "sparse3d boxes"
VERSION = 1
# Corners as Boxes.corners numbers them: an edge joins two that differ in one bit.
EDGES = [(k, k | bit) for bit in (1, 2, 4) for k in range(8) if not k & bit]
# The faces of a cuboid with its corners in the same order, two triangles each, seen counter-clockwise from outside.
_QUADS = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]
TRIANGLES = np.array([t for a, b, c, d in _QUADS for t in ((a, b, c), (a, c, d))], dtype=np.int32)


def write_boxes_ply(path: str | Path, boxes: Boxes, colors: np.ndarray, thickness: float = 0.02) -> None:
    """Write the twelve edges of each box as square bars: triangles, which every viewer shows (lines some do not).

    Args:
        path: binary PLY with coloured vertices.
        boxes: N; 0 gives a valid file without faces.
        colors: (N, 3) uint8, or (3,) for all.
        thickness: of the bars, metres; a bar's outer sides stand half of it outside the box.

    Raises:
        ValueError: numbers that are not finite, or colours of another kind.
        InputError: the file cannot be written.
    """
    _require_finite(boxes)
    colors = np.asarray(colors)
    if colors.dtype != np.uint8 or colors.shape not in ((3,), (len(boxes), 3)):
        raise ValueError(f"{len(boxes)} boxes need colours (N, 3) or (3,) uint8, got {colors.shape} {colors.dtype}")
    bars = _bars(boxes, thickness)  # (N, 12, 8, 3)
    vertex = np.empty(bars.size // 3, dtype=[("xyz", "<f4", 3), ("rgb", "u1", 3)])
    vertex["xyz"] = bars.reshape(-1, 3)
    vertex["rgb"] = np.repeat(np.broadcast_to(colors, (len(boxes), 3)), 12 * 8, axis=0)
    face = np.empty(12 * len(boxes) * len(TRIANGLES), dtype=[("count", "u1"), ("corners", "<i4", 3)])
    face["count"] = 3
    face["corners"] = (np.arange(12 * len(boxes), dtype=np.int32)[:, None, None] * 8 + TRIANGLES).reshape(-1, 3)
    header = [
        "ply", "format binary_little_endian 1.0", f"element vertex {len(vertex)}",
        *(f"property float {axis}" for axis in "xyz"), *(f"property uchar {c}" for c in ("red", "green", "blue")),
        f"element face {len(face)}", "property list uchar int vertex_indices", "end_header",
    ]  # fmt: skip
    content = ("\n".join(header) + "\n").encode("ascii") + vertex.tobytes() + face.tobytes()
    write_whole(Path(path), lambda file: file.write(content))


def _bars(boxes: Boxes, thickness: float) -> np.ndarray:
    """(N, 12, 8, 3) float32: the corners of each edge's bar. Bars reach over the box's corners and close them."""
    side = (np.arange(8)[:, None] >> np.arange(3)) & 1
    starts, ends = side[[a for a, _ in EDGES]], side[[b for _, b in EDGES]]
    at_end = np.where(side[None].astype(bool), ends[:, None], starts[:, None])  # (12, 8, 3) which end of the edge
    size = np.maximum(boxes.size.astype(np.float64), 0)[:, None, None]
    local = (at_end - 0.5) * size + (side - 0.5) * thickness
    yaw = boxes.yaw.astype(np.float64)[:, None, None]
    x, y = local[..., 0], local[..., 1]
    turned = np.stack([np.cos(yaw) * x - np.sin(yaw) * y, np.sin(yaw) * x + np.cos(yaw) * y, local[..., 2]], axis=-1)
    return (turned + boxes.center[:, None, None]).astype(np.float32)


def write_boxes_json(
    path: str | Path,
    boxes: Boxes,
    class_names: Sequence[str],
    scene: str | None = None,
    checkpoint: str | None = None,
) -> None:
    """Write ``boxes`` with the names of their classes.

    Args:
        path: the file.
        boxes: labels are places in ``class_names``, or IGNORE, which becomes a class of null.
        class_names: all of them, in order.
        scene: name of the scan the boxes are of.
        checkpoint: what the predictions were made by, so that old ones are known (see :func:`read_boxes_json`).

    Raises:
        ValueError: numbers that are not finite, or a label outside the classes.
        InputError: the file cannot be written.
    """
    _require_finite(boxes)
    strange = (boxes.label != IGNORE) & ((boxes.label < 0) | (boxes.label >= len(class_names)))
    if strange.any():
        raise ValueError(f"label {boxes.label[strange][0]} is none of the {len(class_names)} classes")
    entries = []
    for k, label in enumerate(boxes.label.tolist()):
        entry: dict[str, Any] = {"class": None if label == IGNORE else class_names[label]}
        entry |= {"center": _short(boxes.center[k]), "size": _short(boxes.size[k]), "yaw": _short(boxes.yaw[k])}
        entries.append(entry if boxes.score is None else entry | {"score": _short(boxes.score[k])})
    content: dict[str, Any] = {"format": FORMAT, "version": VERSION, "scene": scene, "checkpoint": checkpoint}
    content |= {"unit": "metres", "scored": boxes.score is not None, "classes": list(class_names)}
    lines = ",\n".join("  " + json.dumps(entry, ensure_ascii=False) for entry in entries)
    head = json.dumps(content, ensure_ascii=False, indent=1)[:-2]  # without the closing brace
    write_whole_text(Path(path), f'{head},\n "boxes": [\n{lines}\n ]\n}}\n')


def read_boxes_json(path: str | Path, class_names: Sequence[str] | None = None, checkpoint: str | None = None) -> Boxes:
    """The boxes of a file that :func:`write_boxes_json` wrote.

    Args:
        path: the file.
        class_names: the classes whose places the labels shall be; None takes the file's own order.
        checkpoint: if given, boxes made by another one are refused as stale.

    Raises:
        InputError: not such a file, a class that is none of ``class_names``, or another checkpoint.
    """
    path = Path(path)
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from error
    if not isinstance(content, dict) or content.get("format") != FORMAT or content.get("version") != VERSION:
        raise InputError(f"{path}: is no file of boxes, version {VERSION}: write it anew")
    if checkpoint is not None and content.get("checkpoint") != checkpoint:
        raise InputError(f"{path}: was made by {content.get('checkpoint')}, not by {checkpoint}: predict anew")
    try:
        names = list(content["classes"] if class_names is None else class_names)
        return _boxes_of(path, content["boxes"], names, bool(content["scored"]))
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{path}: a box needs class, center, size, yaw and all or none a score ({error!r})") from error


def _boxes_of(path: Path, entries: list[dict[str, Any]], names: list[str], scored: bool) -> Boxes:
    place: dict[str | None, int] = {name: k for k, name in enumerate(names)}
    place[None] = IGNORE
    for entry in entries:
        if entry["class"] not in place:
            raise InputError(
                f"{path}: class {entry['class']!r} is none of the {len(names)}{nearest(str(entry['class']), names)}"
            )
    boxes = Boxes(
        np.array([entry["center"] for entry in entries], dtype=np.float32),
        np.array([entry["size"] for entry in entries], dtype=np.float32),
        np.array([entry["yaw"] for entry in entries], dtype=np.float32),
        np.array([place[entry["class"]] for entry in entries], dtype=np.int64),
        np.array([entry["score"] for entry in entries], dtype=np.float32) if scored else None,
    )
    _require_finite(boxes)
    return boxes


def _require_finite(boxes: Boxes) -> None:
    numbers = [boxes.center, boxes.size, boxes.yaw[:, None]]
    if boxes.score is not None:
        numbers.append(boxes.score[:, None])
    bad = np.flatnonzero(~np.isfinite(np.concatenate(numbers, axis=1)).all(axis=1))
    if len(bad):
        raise ValueError(f"box {bad[0]} has a number that is not finite")


def _short(value: Any) -> Any:
    """Floats whose shortest form, as written by JSON, is that of the float32."""
    if np.ndim(value):
        return [_short(v) for v in value]
    return float(str(np.float32(value)))
