"""Part IoU by ShapeNetPart's protocol, against a count by hand."""

from __future__ import annotations

import numpy as np
import pytest

from sparse3d.metrics.parts import PartIoU
from sparse3d.types import IGNORE

CLASSES, PARTS_OF = ("Cap", "Table"), ((0, 1), (2, 3, 4))


def measured(*shapes: tuple[str, int, list[int], list[int]]) -> PartIoU:
    found = PartIoU(CLASSES, PARTS_OF)
    for name, label, prediction, truth in shapes:
        found.update(name, label, np.array(prediction), np.array(truth))
    return found


HALF = ("half", 0, [0, 0, 0, 0], [0, 0, 1, 1])  # IoU 1/2 and 0
RIGHT = ("right", 0, [0, 1], [0, 1])
TABLE = ("table", 1, [2, 2, 3, 3], [2, 2, 2, 3])  # 2/3, 1/2, and 1 for the part that nobody has


def test_a_part_that_nobody_has_counts_as_one() -> None:
    assert measured(TABLE).compute()["iou/Table"] == pytest.approx((2 / 3 + 1 / 2 + 1) / 3)


def test_instances_and_categories_are_averaged_each_in_its_way() -> None:
    found = measured(HALF, RIGHT, TABLE).compute()
    table = (2 / 3 + 1 / 2 + 1) / 3
    assert found["instance_miou"] == pytest.approx((0.25 + 1 + table) / 3)
    assert found["category_miou"] == pytest.approx((0.625 + table) / 2)
    assert found["iou/Cap"] == pytest.approx(0.625)
    assert set(measured(HALF).compute()) == {"instance_miou", "category_miou", "iou/Cap"}, "no class that is not there"


def test_points_without_truth_are_skipped_and_shapes_without_any_have_no_figure() -> None:
    with_gaps = ("gaps", 0, [0, 0, 0, 0, 1, 0], [0, 0, 1, 1, IGNORE, IGNORE])
    assert measured(with_gaps).compute()["iou/Cap"] == measured(HALF).compute()["iou/Cap"]
    assert measured(("none", 0, [0, 1], [IGNORE, IGNORE])).compute() == {}


def test_merging_is_counting_together_and_nothing_counts_twice() -> None:
    parts = measured(HALF)
    parts.merge(measured(RIGHT, TABLE, HALF))
    assert parts.compute() == measured(HALF, RIGHT, TABLE).compute()
    with pytest.raises(ValueError, match="half has been counted already"):
        measured(HALF, HALF)
    with pytest.raises(ValueError, match="do not fit"):
        measured(("odd", 0, [0, 1], [0]))
