"""Drawn correspondences: which are chosen, what colour they get, and that nothing to draw is no failure."""

from __future__ import annotations

import numpy as np
import pytest

from sparse3d.visualize.layout import GAP
from sparse3d.visualize.matches import RIGHT, TRUE, WRONG, draw_matches, spread_choice

A, B = np.zeros((30, 50, 3), np.uint8), np.zeros((40, 60, 3), np.uint8)


def drawn(picture: np.ndarray, color: tuple[int, int, int]) -> int:
    """How many pixels have the colour, undiluted."""
    return int((picture == color).all(axis=-1).sum())


def test_the_choice_is_spread_repeatable_and_without_doubles() -> None:
    rows, cols = np.mgrid[:20, :20]
    pixels = np.stack([rows.ravel(), cols.ravel()], axis=1)
    chosen = spread_choice(pixels, 9)
    np.testing.assert_array_equal(chosen, spread_choice(pixels, 9))
    assert len(set(chosen.tolist())) == 9
    distance = np.linalg.norm(pixels[chosen][:, None] - pixels[chosen][None], axis=-1)
    assert distance[~np.eye(9, dtype=bool)].min() > 5


@pytest.mark.parametrize("count, there, taken", [(5, 3, 3), (5, 0, 0), (0, 4, 0), (4, 4, 4)])
def test_the_choice_takes_no_more_than_there_are(count: int, there: int, taken: int) -> None:
    assert len(spread_choice(np.arange(2 * there).reshape(there, 2), count)) == taken


def test_equal_pixels_are_chosen_once_each() -> None:
    assert sorted(spread_choice(np.ones((4, 2), int), 4).tolist()) == [0, 1, 2, 3]


def test_no_match_gives_the_two_images() -> None:
    none, nothing = np.zeros((0, 2), int), np.zeros(0, bool)
    for picture in (draw_matches(A, B, none, none), draw_matches(A, B, none, none, none, nothing)):
        assert picture.shape == (40, 50 + GAP + 60, 3)
        assert not picture[:30, :50].any() and not picture[:, -60:].any()


def test_right_predictions_are_green_wrong_ones_red_with_the_truth_in_blue() -> None:
    start, truth = np.array([(15, 10)]), np.array([(15, 10)])
    right = draw_matches(A, B, start, truth, truth, np.array([True]), scale=4)
    wrong = draw_matches(A, B, start, truth, np.array([(30, 50)]), np.array([False]), scale=4)
    assert drawn(right, RIGHT) > 15 and not drawn(right, WRONG) and not drawn(right, TRUE)
    assert drawn(wrong, WRONG) > 15 and drawn(wrong, TRUE) > 5 and not drawn(wrong, RIGHT)


def test_true_matches_alone_are_blue_and_join_the_pixels() -> None:
    picture = draw_matches(A, B, np.array([(10, 5)]), np.array([(20, 30)]), scale=4)
    blue = np.argwhere((picture == TRUE).all(axis=-1))
    ends = np.array([(10.5 * 4, 5.5 * 4), (20.5 * 4, (30.5 * 4) + 50 * 4 + GAP)])
    for end in ends:
        assert np.linalg.norm(blue - end, axis=1).min() < 3


def test_predictions_need_to_be_judged() -> None:
    with pytest.raises(ValueError, match="correct"):
        draw_matches(A, B, np.zeros((1, 2)), np.zeros((1, 2)), np.zeros((1, 2)))
