"""Heat maps, feature maps, overlap matrices, charts: what is drawn stands for the numbers, the rest is left alone."""

from __future__ import annotations

import numpy as np
import pytest

from sparse3d.visualize.charts import BAR, PALE, histogram_picture, round_values
from sparse3d.visualize.colors import ColorSpace, ramp_colors
from sparse3d.visualize.layout import GAP, caption, side_by_side, stacked, text_size
from sparse3d.visualize.maps import EMPTY, error_heat_map, feature_map_picture, overlap_matrix_picture

HEIGHT, WIDTH = 40, 64


def noise(height: int = HEIGHT, width: int = WIDTH, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_the_heat_map_leaves_pixels_without_an_error_untouched() -> None:
    image, pixels = noise(), np.array([(3, 5), (20, 60)])
    before = image.copy()
    painted = error_heat_map(image, pixels, np.array([0.2, 0.7]), 1.0)[:, :WIDTH]
    changed = np.ones((HEIGHT, WIDTH), dtype=bool)
    changed[pixels[:, 0], pixels[:, 1]] = False
    np.testing.assert_array_equal(painted[changed], image[changed])
    np.testing.assert_array_equal(image, before)


def test_the_heat_maps_colours_are_the_scales() -> None:
    errors = np.array([0.0, 0.25, 0.5, 3.0])
    pixels = np.stack([np.arange(4), np.arange(4) * 3], axis=1)
    painted = error_heat_map(noise(), pixels, errors, 0.5)
    np.testing.assert_array_equal(painted[pixels[:, 0], pixels[:, 1]], ramp_colors(np.array([0.0, 0.5, 1.0, 1.0])))
    bar = painted[:, WIDTH + GAP]
    np.testing.assert_array_equal(bar[[0, -1]], ramp_colors(np.array([1.0, 0.0])))


def test_twice_the_scale_halves_the_place_on_the_ramp() -> None:
    pixel = np.array([(1, 1)])
    narrow, wide = (error_heat_map(noise(), pixel, np.array([e]), m)[1, 1] for e, m in ((0.3, 1.0), (0.6, 2.0)))
    np.testing.assert_array_equal(narrow, wide)


def test_an_error_paints_its_cell_and_not_beyond_the_image() -> None:
    painted = error_heat_map(noise(), np.array([(38, 62), (0, 0)]), np.array([1.0, 1.0]), 1.0, cell=4)
    bright = (painted[:, :WIDTH] == ramp_colors(np.array(1.0))).all(axis=-1)
    assert bright[:4, :4].all() and bright[38:, 62:].all() and bright.sum() <= 16 + 4 + 2


def test_no_errors_and_errors_that_are_not_finite_draw_nothing() -> None:
    image = noise()
    for pixels, errors in ((np.zeros((0, 2), int), np.zeros(0)), (np.array([(1, 1)]), np.array([np.nan]))):
        np.testing.assert_array_equal(error_heat_map(image, pixels, errors, 1.0)[:, :WIDTH], image)


def test_a_heat_map_needs_a_positive_scale() -> None:
    with pytest.raises(ValueError, match="positive"):
        error_heat_map(noise(), np.zeros((0, 2), int), np.zeros(0), 0.0)


def test_cells_without_features_are_light_grey_and_the_others_their_colour() -> None:
    maps = np.random.default_rng(0).normal(size=(5, 3, 4))
    mask = np.array([[1, 1, 0, 1], [1, 0, 1, 1], [1, 1, 1, 1]], dtype=bool)
    rows = maps.reshape(5, -1).T[mask.ravel()]
    space = ColorSpace.fit(rows)
    picture = feature_map_picture(maps, mask, (30, 40), space)
    assert picture.shape == (30, 40, 3)
    centers = picture[5::10, 5::10]
    np.testing.assert_array_equal(centers[~mask], np.broadcast_to(EMPTY, ((~mask).sum(), 3)))
    np.testing.assert_array_equal(centers[mask], space.colors(rows))


def test_a_map_without_any_feature_has_a_picture() -> None:
    picture = feature_map_picture(np.zeros((4, 3, 3)), np.zeros((3, 3), bool), (9, 9))
    assert (picture == EMPTY).all()


@pytest.mark.parametrize("frames", [1, 7, 600])
def test_the_overlap_matrix_stands_in_order_whatever_the_number_of_frames(frames: int) -> None:
    overlap = np.zeros((frames, frames), np.float32)
    overlap[: -(-frames // 20)] = 1  # the first frames contain all others, and nothing is symmetric
    picture = overlap_matrix_picture(overlap, [str(i) for i in range(frames)], edge=120)
    left = int(np.flatnonzero((picture[0] == ramp_colors(np.array(1.0))).all(axis=-1))[0])
    matrix = picture[:120, left : left + 120]
    assert (matrix[0] == ramp_colors(np.array(1.0))).all()
    if frames > 1:
        assert (matrix[-1] == ramp_colors(np.array(0.0))).all()


def test_an_overlap_matrix_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no frames"):
        overlap_matrix_picture(np.zeros((0, 0)))


def test_pictures_in_rows_and_columns_keep_their_pixels() -> None:
    small, large = noise(10, 20, 1), noise(30, 40, 2)
    row, column = side_by_side([small, large]), stacked([small, large])
    assert row.shape == (30, 20 + GAP + 40, 3) and column.shape == (10 + GAP + 30, 40, 3)
    np.testing.assert_array_equal(row[:10, :20], small)
    np.testing.assert_array_equal(row[:, 20 + GAP :], large)
    np.testing.assert_array_equal(column[10 + GAP :], large)


def test_a_caption_stands_above_and_never_widens_the_picture() -> None:
    image = noise(20, 60)
    for text in ("frame", "a caption far longer than the picture is wide"):
        captioned = caption(image, text)
        assert captioned.shape[1] == 60 and captioned.shape[0] > 20
        np.testing.assert_array_equal(captioned[-20:], image)
        assert captioned[:-20].min() < 128  # there is ink
    assert text_size("longer text")[0] > text_size("text")[0]


def test_captions_of_a_row_are_one_for_each_picture() -> None:
    with pytest.raises(ValueError):
        side_by_side([noise(), noise()], ["one"])


def test_bars_are_as_high_as_their_counts_and_pale_outside_the_marked_range() -> None:
    counts, edges = np.array([10, 0, 5, 10]), np.linspace(0, 1, 5)
    picture = histogram_picture(counts, edges, marked=(0.5, 1.0), size=(120, 200))
    pale, dark = ((picture == color).all(axis=-1).sum(axis=0) for color in (PALE, BAR))
    assert dark[:96].max() == 0 and pale[98:].max() == 0
    assert abs(pale.max() - dark.max()) <= 1 and abs(dark[110] * 2 - dark.max()) <= 2


@pytest.mark.parametrize("low, high", [(0, 1), (0, 1.41), (-1.59, 0.174), (0.0, 3e-5), (7, 9000)])
def test_an_axis_has_a_few_round_labels_within_its_range(low: float, high: float) -> None:
    values = round_values(low, high)
    assert 3 <= len(values) <= 8
    assert values.min() >= low - 1e-9 and values.max() <= high + 1e-9
    assert all(len(f"{value:.6g}".lstrip("-")) <= 6 for value in values)


def test_a_histogram_of_nothing_but_zeros_is_an_axis() -> None:
    picture = histogram_picture(np.zeros(3, int), np.array([0.0, 1, 2, 3]), "m")
    assert not (picture == BAR).all(axis=-1).any()
    with pytest.raises(ValueError, match="edges"):
        histogram_picture(np.zeros(3), np.zeros(3))
