"""What a network finds in a scan, as files: labels or boxes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sparse3d.data.box_files import write_boxes_json, write_boxes_ply
from sparse3d.errors import InputError
from sparse3d.prediction.label_files import beside, write_class_table, write_labels, write_picture
from sparse3d.prediction.model import Model, SegmentationPrediction
from sparse3d.prediction.scan_input import Scan, read_scan
from sparse3d.prediction.scan_pictures import boxes_picture, labels_picture
from sparse3d.types import Boxes

Told = Callable[[str, Path], None]
MIN_SCORE = 0.2  # of a box, where nothing else is asked for


def predict_scan(
    scan: str | Path,
    model: Model,
    out: str | Path,
    min_score: float | None = None,
    tta: bool = False,
    on_file: Told = lambda what, path: None,
) -> dict[str, Any]:
    """Writes what a network finds in a scan.

    Args:
        scan: see :func:`~sparse3d.prediction.scan_input.read_scan`.
        model: of a segmentation or a detection.
        out: the folder; files in it that bear the scan's name are replaced.
        min_score: detection: boxes with less are left out; None: those with less than .2.
        tta: segmentation: average over eight turned and mirrored views.
        on_file: called with what each file is, and its path.

    Returns:
        ``task``, ``scan``, ``checkpoint``, ``step``, ``points``, ``aligned`` (whether the files' coordinates are turned
        to the room's axes), ``files`` by what they are, and ``found``: points or boxes by class, those that occur.

    Raises:
        InputError: a scan, model or option that cannot be used.
    """
    if min_score is not None and not 0 <= min_score <= 1:
        raise InputError(f"--min-score {min_score}: must lie in [0, 1]")
    _check_fits(model, min_score)
    cloud = read_scan(scan)
    answer = model.predict(cloud.xyz, cloud.rgb, tta)
    files: dict[str, str] = {}

    def wrote(what: str, path: Path) -> None:
        files[what] = str(path)
        on_file(what, path)

    write = _write_labels if isinstance(answer, SegmentationPrediction) else _write_boxes
    counts = write(Path(out) / cloud.name, cloud, model, answer, MIN_SCORE if min_score is None else min_score, wrote)
    found = {name: int(count) for name, count in zip(model.classes, counts, strict=True) if count}
    return {
        "task": model.task,
        "scan": str(scan),
        "checkpoint": model.checkpoint,
        "step": model.step,
        "points": len(cloud),
        "aligned": cloud.aligned,
        "files": files,
        "found": found,
    }


def _check_fits(model: Model, min_score: float | None) -> None:
    """Raises InputError for a network that finds nothing in scans, or an option that it has no use for."""
    if not model.classes:
        raise InputError(
            f"checkpoint {model.checkpoint} is of a pre-training, which has no classes: train a segmentation or a "
            "detection from it (init.checkpoint)"
        )
    if min_score is not None and model.task != "detection":
        raise InputError(f"--min-score is for boxes; checkpoint {model.checkpoint} labels points, so leave it out")


def _write_labels(stem: Path, scan: Scan, model: Model, answer: Any, min_score: float, wrote: Told) -> np.ndarray:
    assert isinstance(answer, SegmentationPrediction)
    labels, colors = answer.labels, model.colors
    counts = write_labels(stem, "_labels", scan, labels, model, "class", wrote)
    write_picture(beside(stem, "_labels.png"), labels_picture(scan, labels, model.classes, colors))
    wrote("picture", beside(stem, "_labels.png"))
    return counts


def _write_boxes(stem: Path, scan: Scan, model: Model, answer: Any, min_score: float, wrote: Told) -> np.ndarray:
    assert isinstance(answer, Boxes) and answer.score is not None
    boxes, colors = answer.select(answer.score >= min_score), model.colors
    counts = np.bincount(boxes.label, minlength=len(model.classes))
    write_boxes_ply(beside(stem, "_boxes.ply"), boxes, colors[boxes.label])
    wrote("boxes as bars", beside(stem, "_boxes.ply"))
    write_boxes_json(beside(stem, "_boxes.json"), boxes, model.classes, scan.name, model.key)
    wrote("boxes as numbers", beside(stem, "_boxes.json"))
    write_class_table(beside(stem, "_boxes_classes.tsv"), model.classes, colors, counts, "boxes")
    wrote("meaning of the classes", beside(stem, "_boxes_classes.tsv"))
    write_picture(beside(stem, "_boxes.png"), boxes_picture(scan, boxes, model.classes, colors))
    wrote("picture", beside(stem, "_boxes.png"))
    return counts
