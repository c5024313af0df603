"""A room's scan in ScanNet's files, field by field as ScanNet writes them, and beside them what ScanNet has not.

Everything is little endian and without a date, so that the same room gives the same bytes. ``<room>`` is the scene's
name, ``room0003_00``:

* ``<room>_vh_clean_2.ply``, ``.labels.ply``: the mesh in its colours; the same with nyu40 labels, coloured by them.
* ``<room>_vh_clean_2.0.010000.segs.json``, ``<room>.aggregation.json``: segments, and the objects made of them.
* ``<room>.txt``: axis alignment, intrinsics, sizes.
* ``<room>_2d-instance.zip``, ``<room>_2d-label.zip``: PNG images ``instance/N.png`` (object id + 1, 0 for none; 8 bit,
  or 16 where a room has more than 254 objects) and ``label/N.png`` (16 bit, ids of raw categories, 0 for none).
* not ScanNet's: ``<room>_2d-part.zip`` (``part/N.png``, 16 bit, row of ``part_names`` + 1, 0 for none),
  ``<room>_truth.npz`` and ``<room>_boxes.json``.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from sparse3d.rooms.label_table import label_color
from sparse3d.rooms.piece import RoomKind
from sparse3d.types import Camera

# ScanNet's names of its scene types.
SCENE_TYPES: dict[RoomKind, str] = {
    "living room": "Living room / Lounge",
    "bedroom": "Bedroom / Hotel",
    "office": "Office",
    "kitchen": "Kitchen",
    "bathroom": "Bathroom",
    "classroom": "Classroom",
}
# The parameters that ScanNet's segmenter notes in every file.
SEGMENTER = {
    "kThresh": "0.0100000", "segMinVerts": "20", "minPoints": "750", "maxPoints": "30000", "thinThresh": "0.05",
    "flatThresh": "0.001", "minLength": "0.02", "maxLength": "1",
}  # fmt: skip
_XYZ_RGBA = [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("red", "u1"), ("green", "u1"), ("blue", "u1"), ("alpha", "u1")]
_PLY_TYPES = {"<f4": "float", "u1": "uchar", "<u2": "ushort"}
_FIRST_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip file can hold


def write_mesh(
    path: Path, xyz: np.ndarray, rgb: np.ndarray, faces: np.ndarray, label: np.ndarray | None = None
) -> None:
    """A binary PLY: ``xyz`` (V, 3) metres, ``rgb`` (V, 3) uint8, ``faces`` (F, 3); with ``label`` (V,) if given."""
    fields = _XYZ_RGBA if label is None else [*_XYZ_RGBA, ("label", "<u2")]
    vertex = np.empty(len(xyz), dtype=fields)
    for k, axis in enumerate("xyz"):
        vertex[axis] = xyz[:, k]
    for k, channel in enumerate(("red", "green", "blue")):
        vertex[channel] = rgb[:, k]
    vertex["alpha"] = 255
    if label is not None:
        vertex["label"] = label
    face = np.empty(len(faces), dtype=[("count", "u1"), ("corners", "<i4", 3)])
    face["count"], face["corners"] = 3, faces
    properties = [f"property {_PLY_TYPES[kind]} {name}" for name, kind in fields]
    header = [
        "ply", "format binary_little_endian 1.0", f"element vertex {len(vertex)}", *properties,
        f"element face {len(face)}", "property list uchar int vertex_indices", "end_header",
    ]  # fmt: skip
    with path.open("wb") as file:
        file.write(("\n".join(header) + "\n").encode("ascii"))
        file.write(vertex.tobytes())
        file.write(face.tobytes())


def write_labels_mesh(path: Path, xyz: np.ndarray, faces: np.ndarray, nyu40: np.ndarray) -> None:
    """The mesh with ``nyu40`` (V,) labels, 0 for none, in the labels' colours."""
    colors = np.array([label_color(i) for i in range(int(nyu40.max(initial=0)) + 1)], dtype=np.uint8)
    write_mesh(path, xyz, colors[nyu40], faces, nyu40)


def write_segments(path: Path, scene: str, segments: np.ndarray) -> None:
    """``.segs.json``: ``segments`` (V,), an id a vertex."""
    _write_json(path, {"params": SEGMENTER, "sceneId": scene, "segIndices": segments.tolist()})


def write_aggregation(path: Path, scene: str, objects: Sequence[tuple[str, np.ndarray]]) -> None:
    """``.aggregation.json``: for each object its raw category and the ids of its segments. Ids are rows."""
    groups = [
        {"id": row, "objectId": row, "segments": [int(s) for s in segments], "label": label}
        for row, (label, segments) in enumerate(objects)
    ]
    content = {
        "sceneId": f"scannet.{scene}",
        "appId": "Aggregator.v2",
        "segGroups": groups,
        "segmentsFile": f"scannet.{scene}_vh_clean_2.0.010000.segs.json",
    }
    _write_json(path, content)


def alignment_text(matrix: np.ndarray) -> str:
    """Sixteen numbers row by row, six decimals as ScanNet writes them."""
    return " ".join(f"{value:.6f}" for value in np.asarray(matrix).ravel() + 0.0)


def write_scene_text(path: Path, kind: RoomKind, T_aligned_world: np.ndarray, camera: Camera, frames: int) -> None:
    """``.txt``: one camera, as colour and depth are registered and of one size; keys in ScanNet's order."""
    values: dict[str, Any] = {
        "axisAlignment": alignment_text(T_aligned_world),
        "colorHeight": camera.height,
        "colorToDepthExtrinsics": alignment_text(np.eye(4)),
        "colorWidth": camera.width,
        "depthHeight": camera.height,
        "depthWidth": camera.width,
    }
    for name, value in (("fx", camera.fx), ("fy", camera.fy), ("mx", camera.cx), ("my", camera.cy)):
        values |= {f"{name}_color": f"{value:.6f}", f"{name}_depth": f"{value:.6f}"}
    values |= {
        "numColorFrames": frames,
        "numDepthFrames": frames,
        "numIMUmeasurements": 0,
        "sceneType": SCENE_TYPES[kind],
    }
    path.write_bytes("".join(f"{key} = {value}\n" for key, value in values.items()).encode("ascii"))


def write_image_zip(path: Path, folder: str, images: Iterable[np.ndarray], sixteen_bit: bool) -> None:
    """A zip of ``folder/N.png``, each an image (H, W) of small whole numbers."""
    kind = np.uint16 if sixteen_bit else np.uint8
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:  # PNG is compressed already
        for number, image in enumerate(images):
            if image.min() < 0 or image.max() > np.iinfo(kind).max:
                raise ValueError(f"{folder}/{number}.png: {image.min()} to {image.max()} do not fit {np.dtype(kind)}")
            buffer = io.BytesIO()
            Image.fromarray(image.astype(kind)).save(buffer, "PNG")
            entry = zipfile.ZipInfo(f"{folder}/{number}.png", _FIRST_DATE)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, buffer.getvalue())


def write_truth(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """An ``.npz`` whose bytes depend on nothing but ``arrays``."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=3) as archive:
        for name, array in arrays.items():
            buffer = io.BytesIO()
            np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
            entry = zipfile.ZipInfo(f"{name}.npy", _FIRST_DATE)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            archive.writestr(entry, buffer.getvalue())


def write_boxes(path: Path, scene: str, parts: Sequence[str], boxes: Sequence[Mapping[str, Any]]) -> None:
    """``_boxes.json``: one entry an instance; see :func:`sparse3d.rooms.recording.true_boxes`."""
    _write_json(path, {"sceneId": scene, "unit": "metres", "parts": list(parts), "instances": list(boxes)}, indent=1)


def _write_json(path: Path, content: Any, indent: int | None = None) -> None:
    separators = (",", ": ") if indent else (",", ":")
    path.write_bytes((json.dumps(content, indent=indent, separators=separators) + "\n").encode("utf-8"))
