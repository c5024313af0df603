"""Whether the files of a room say what its generator knows: labels of the vertices, boxes of the instances."""

from __future__ import annotations

import json
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sparse3d.data.prepared import PreparedScene
from sparse3d.data.scannet.annotations import label_vertices, read_groups, read_segments
from sparse3d.data.scannet.label_table import LabelTable
from sparse3d.errors import InputError
from sparse3d.geometry import box_iou
from sparse3d.types import Boxes

SEEN_WHOLE = 0.01  # metres: what was seen reaches that near to every side of the whole piece
THIN = 0.05  # metres: of a poster, an error of millimetres is a large part
GOOD_IOU = 0.9
_DAMAGED = (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile)  # of a file that is cut or altered


@dataclass
class TruthCheck:
    """Counts over rooms; ``ious`` of the boxes of the 18 detection classes' pieces that were seen whole.

    Those of pieces thinner than :data:`THIN` are apart.
    """

    vertices: int = 0
    wrong_labels: int = 0
    wrong_objects: int = 0
    ious: list[float] = field(default_factory=list)
    thin_ious: list[float] = field(default_factory=list)

    def add_labels(self, folder: Path, table: LabelTable) -> None:
        """Compare a raw room's annotation files, read as ScanNet's, with its ``_truth.npz``."""
        name = folder.name
        path = folder / f"{name}_truth.npz"
        try:
            with np.load(path) as truth:
                nyu40, objects = truth["nyu40"], truth["object_id"]
        except _DAMAGED as error:
            raise _damaged(path, error) from error
        segments = read_segments(folder / f"{name}_vh_clean_2.0.010000.segs.json", len(nyu40))
        read = label_vertices(segments, read_groups(folder / f"{name}.aggregation.json"), table)
        ids = np.array([one.object_id for one in read.objects] + [-1])
        self.vertices += len(nyu40)
        self.wrong_labels += int((read.nyu40 != nyu40).sum())
        self.wrong_objects += int((ids[read.instance] != objects).sum())

    def add_boxes(self, folder: Path, scene: PreparedScene) -> None:
        """Compare a prepared room's boxes with the true ones of the pieces that were seen whole."""
        path = folder / f"{folder.name}_boxes.json"
        try:
            true = json.loads(path.read_text(encoding="utf-8"))["instances"]
            whole = {box["objectId"]: box for box in true if _seen_whole(box)}
        except _DAMAGED as error:
            raise _damaged(path, error) from error
        for one in scene.objects():
            if one.class18 is not None and one.object_id in whole:
                box = whole[one.object_id]
                pair = [_box(one.center, one.size), _box(box["center"], box["size"])]
                kind = self.thin_ious if min(box["size"]) < THIN else self.ious
                kind.append(float(box_iou(*pair)[0, 0]))


def share_good(ious: list[float]) -> float:
    """The share of boxes with an overlap of more than :data:`GOOD_IOU`; NaN without boxes."""
    return float(np.mean(np.array(ious) > GOOD_IOU)) if ious else float("nan")


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(
        f"{path}: cannot be read as make_rooms writes it ({type(error).__name__}: {error}): remove {path.parent}, and "
        "make and prepare the rooms again"
    )


def _seen_whole(box: dict) -> bool:
    if box["objectId"] is None or box["seen_center"] is None:
        return False
    center, size = np.array(box["center"]), np.array(box["size"]) / 2
    seen_center, seen_size = np.array(box["seen_center"]), np.array(box["seen_size"]) / 2
    sides = np.concatenate([seen_center - seen_size - (center - size), center + size - (seen_center + seen_size)])
    return bool(sides.max() < SEEN_WHOLE)


def _box(center: object, size: object) -> Boxes:
    rows = (np.array([center], dtype=np.float32), np.array([size], dtype=np.float32))
    return Boxes(*rows, yaw=np.zeros(1, np.float32), label=np.zeros(1, np.int64))
