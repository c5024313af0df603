"""All measurements of a folder of rooms, as figures and as a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from sparse3d.data.prepared import PreparedScene, prepared_scenes
from sparse3d.data.scannet.classes import SCANNET20
from sparse3d.data.scannet.label_table import find_label_table, read_label_table
from sparse3d.errors import InputError
from sparse3d.geometry import select_pairs
from sparse3d.rooms_check.color import color_knn_miou
from sparse3d.rooms_check.depth import reprojection_residuals
from sparse3d.rooms_check.truth import THIN, TruthCheck, share_good


@dataclass(frozen=True)
class Coverage:
    """One class of the 20: what there is of it."""

    name: str
    vertices: int
    instances: int
    train_rooms: int
    val_rooms: int


@dataclass(frozen=True)
class RoomsReport:
    """What was measured; shares are fractions of 1, residuals are relative to the depth."""

    rooms: int
    coverage: list[Coverage]
    vertices: int
    wrong_labels: int
    wrong_objects: int
    boxes_seen_whole: int
    good_boxes: float
    thin_boxes_seen_whole: int
    good_thin_boxes: float
    residual_median: float
    color_miou: float | None  # None without rooms of both splits

    def missing(self) -> list[str]:
        """Classes that train or val rooms lack."""
        return [one.name for one in self.coverage if not (one.train_rooms and one.val_rooms)]

    def as_json(self) -> dict[str, Any]:
        """Everything, for machines; null where nothing was there to be measured, as JSON has no NaN."""
        plain = {name: None if value != value else value for name, value in vars(self).items()}
        return plain | {"coverage": [vars(one) for one in self.coverage], "missing": self.missing()}


def check_rooms(raw: Path, prepared: Path, color: bool = True) -> RoomsReport:
    """Measure the rooms that lie in ``raw`` (made by make_rooms) and in ``prepared`` (prepared of these).

    Raises InputError where a room lacks its truth, which scans by others do.
    """
    table_path = find_label_table(raw)
    if table_path is None:
        raise InputError(f"{raw}: no label table (*-labels.combined.tsv): name a folder that make_rooms wrote")
    table, check, residuals = read_label_table(table_path), TruthCheck(), []
    scenes = prepared_scenes(prepared)
    for scene in tqdm(scenes, desc="rooms", unit="room", disable=None):
        folder = raw / "scans" / scene.name
        if not (folder / f"{scene.name}_truth.npz").is_file():
            raise InputError(
                f"{folder}: no {scene.name}_truth.npz; only rooms of make_rooms have their truth beside them"
            )
        check.add_labels(folder, table)
        check.add_boxes(folder, scene)
        residuals.append(reprojection_residuals(scene.frames(), select_pairs(scene.overlap())))
    train, val = (_of_split(scenes, prepared, split) for split in ("train", "val"))
    every = np.concatenate(residuals) if residuals else np.zeros(0)
    return RoomsReport(
        rooms=len(scenes),
        coverage=list(_coverage(scenes, {scene.name for scene in val})),
        vertices=check.vertices,
        wrong_labels=check.wrong_labels,
        wrong_objects=check.wrong_objects,
        boxes_seen_whole=len(check.ious),
        good_boxes=share_good(check.ious),
        thin_boxes_seen_whole=len(check.thin_ious),
        good_thin_boxes=share_good(check.thin_ious),
        residual_median=float(np.median(every)) if len(every) else float("nan"),
        color_miou=color_knn_miou(train, val) if color and train and val else None,
    )


def describe(report: RoomsReport) -> str:
    """The report for people."""
    lines = [f"{'class':16}{'vertices':>12}{'share':>9}{'instances':>11}{'train rooms':>13}{'val rooms':>11}"]
    total = max(1, sum(one.vertices for one in report.coverage))
    for one in report.coverage:
        share = f"{100 * one.vertices / total:.2f} %"
        lines.append(
            f"{one.name:16}{one.vertices:>12,}{share:>9}{one.instances:>11}{one.train_rooms:>13}{one.val_rooms:>11}"
        )
    missing = ", ".join(report.missing()) or "none"
    lines += [
        f"{report.rooms} rooms; classes that train or val rooms lack: {missing}",
        f"labels read from the files that differ from the generator's: {report.wrong_labels} of {report.vertices:,} "
        f"vertices; instances: {report.wrong_objects}",
        f"boxes of pieces seen whole with IoU > .9 to the true ones: {_percent(report.good_boxes, 1)} of "
        f"{report.boxes_seen_whole}; of things thinner than {100 * THIN:.0f} cm: {_percent(report.good_thin_boxes, 1)} "
        f"of {report.thin_boxes_seen_whole}",
        f"depth carried between overlapping frames: median residual {_percent(report.residual_median, 3)}",
    ]
    if report.color_miou is not None:
        lines.append(f"k-NN on voxel colour alone: {100 * report.color_miou:.1f} % mIoU on the val rooms")
    return "\n".join(lines)


def _percent(share: float, digits: int) -> str:
    return "none" if share != share else f"{100 * share:.{digits}f} %"


def _of_split(scenes: list[PreparedScene], prepared: Path, split: str) -> list[PreparedScene]:
    path = prepared / "splits" / f"{split}.txt"
    names = set(path.read_text(encoding="utf-8").split()) if path.is_file() else set()
    return [scene for scene in scenes if scene.name in names]


def _coverage(scenes: list[PreparedScene], val: set[str]) -> Iterator[Coverage]:
    vertices, instances = np.zeros(len(SCANNET20), dtype=np.int64), np.zeros(len(SCANNET20), dtype=np.int64)
    rooms: Counter[tuple[int, bool]] = Counter()
    for scene in scenes:
        semantic = scene.mesh().semantic
        own = np.bincount(semantic[semantic >= 0], minlength=len(SCANNET20))
        vertices += own
        rooms.update((int(k), scene.name in val) for k in np.flatnonzero(own))
        known = [one.class20 for one in scene.objects() if one.class20 is not None]
        instances += np.bincount(np.array(known, dtype=np.int64), minlength=len(SCANNET20))
    for k, name in enumerate(SCANNET20.names):
        yield Coverage(name, int(vertices[k]), int(instances[k]), rooms[k, False], rooms[k, True])
