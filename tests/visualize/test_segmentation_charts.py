"""Pictures of figures: each share has its cell and colour, each class its line in its own colour."""

from __future__ import annotations

import numpy as np
import pytest

from sparse3d.visualize.colors import ramp_colors
from sparse3d.visualize.segmentation_charts import LINE_COLORS, confusion_picture, precision_recall_picture

NAMES = ("wall", "floor", "chair")
STAIRS = (np.array([0.2, 0.5, 0.5, 0.9]), np.array([1.0, 1.0, 0.6, 0.7]))


def has_color(picture: np.ndarray, color: tuple[int, int, int], tolerance: int = 12) -> bool:
    return bool((np.abs(picture.astype(int) - color).max(axis=2) <= tolerance).any())


def cell_colors(picture: np.ndarray, rows: int, columns: int, cell: int) -> np.ndarray:
    """The first pixel of each cell; the matrix ends 6 pixels before the picture's lower right corner."""
    top, left = picture.shape[0] - 6 - rows * cell, picture.shape[1] - 6 - columns * cell
    return picture[top : top + rows * cell : cell, left : left + columns * cell : cell]


@pytest.mark.parametrize("cell", [9, 26])
def test_a_cell_has_the_colour_of_its_share_of_the_true_class(cell: int) -> None:
    matrix = np.array([[3, 1, 0, 0], [0, 0, 0, 0], [0, 0, 5, 5]])
    found = cell_colors(confusion_picture(matrix, NAMES, cell), 3, 4, cell)
    np.testing.assert_array_equal(found[0], ramp_colors(np.array([0.75, 0.25, 0, 0])))
    np.testing.assert_array_equal(found[2], ramp_colors(np.array([0, 0, 0.5, 0.5])))
    assert (found[1] == 244).all()  # does not occur


def test_shares_do_not_depend_on_how_often_a_class_occurs() -> None:
    matrix = np.array([[3, 1, 0], [2, 2, 4], [0, 0, 5]])
    np.testing.assert_array_equal(
        confusion_picture(matrix, NAMES), confusion_picture(matrix * [[1], [10], [100]], NAMES)
    )


def test_two_hundred_classes_make_a_picture_that_can_be_looked_at() -> None:
    picture = confusion_picture(np.eye(200), [f"class {k}" for k in range(200)], cell=9)
    assert picture.dtype == np.uint8 and max(picture.shape) < 2200


def test_matrices_that_do_not_fit_are_refused() -> None:
    for matrix in (np.zeros((3, 5)), np.zeros((2, 3)), np.zeros(3)):
        with pytest.raises(ValueError, match="does not fit 3 classes"):
            confusion_picture(matrix, NAMES)
    with pytest.raises(ValueError, match="0 classes"):
        confusion_picture(np.zeros((0, 0)), [])


def test_each_class_has_a_line_in_its_colour() -> None:
    many = {f"class {k}": (STAIRS[0], STAIRS[1] * (1 - k / 15)) for k in range(12)}
    picture = precision_recall_picture(many)[:, :400]  # without the names
    assert picture.dtype == np.uint8 and picture.shape[0] == 380
    assert all(has_color(picture, color) for color in LINE_COLORS)


def test_a_class_without_a_curve_keeps_its_name_and_has_no_line() -> None:
    none = (np.zeros(0), np.zeros(0))
    unknown = (np.full(3, np.nan), np.ones(3))
    picture = precision_recall_picture({"a": none, "b": unknown, "c": STAIRS}, {"a": 0.0, "b": np.nan, "c": 0.5})
    drawn, names = picture[:, :400], picture[:, 400:]
    assert not has_color(drawn, LINE_COLORS[0]) and not has_color(drawn, LINE_COLORS[1])
    assert has_color(drawn, LINE_COLORS[2])
    assert all(has_color(names, LINE_COLORS[k]) for k in range(3))


def test_a_curve_lies_at_its_recall_and_precision() -> None:
    """A flat curve of precision .5 is a level line half way up, and ends at its last recall."""
    size = (300, 300)
    full = precision_recall_picture({"a": (np.array([0.5, 1.0]), np.array([0.5, 0.5]))}, size=size)[:, :300]
    half = precision_recall_picture({"a": (np.array([0.25, 0.5]), np.array([0.5, 0.5]))}, size=size)[:, :300]
    rows, columns = (np.abs(full.astype(int) - LINE_COLORS[0]).max(axis=2) < 40).nonzero()
    assert np.ptp(rows) <= 3
    end = (np.abs(half.astype(int) - LINE_COLORS[0]).max(axis=2) < 40).nonzero()[1]
    assert np.ptp(end) == pytest.approx(np.ptp(columns) / 2, abs=3)


def test_no_curves_are_empty_axes_and_unequal_ones_are_refused() -> None:
    assert precision_recall_picture({}).shape[0] == 380
    with pytest.raises(ValueError, match="curve a"):
        precision_recall_picture({"a": (np.zeros(3), np.zeros(2))})


def test_the_same_figures_are_the_same_picture() -> None:
    pictures = [precision_recall_picture({"a": STAIRS}, {"a": 0.7}) for _ in range(2)]
    np.testing.assert_array_equal(*pictures)
