"""Colours of features: one map from features to colours that depends on the set of features and on nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from sparse3d.visualize.colors import GREY, ColorSpace, dimmed, pca_colors, ramp_colors


def skewed_features(rows: int = 200, channels: int = 8, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(channels, channels)) * np.linspace(3, 0.3, channels)[:, None]
    return rng.exponential(size=(rows, channels)) @ mixing


def assert_colors_equal(a: np.ndarray, b: np.ndarray) -> None:
    """Equal up to rounding to whole numbers."""
    assert np.abs(a.astype(int) - b.astype(int)).max() <= 1


def test_rotating_the_feature_space_leaves_the_colours() -> None:
    features = skewed_features()
    for seed in range(5):
        rotation, _ = np.linalg.qr(np.random.default_rng(seed).normal(size=(8, 8)))
        assert_colors_equal(pca_colors(features @ rotation), pca_colors(features))
        assert_colors_equal(pca_colors(features @ rotation + 5.0), pca_colors(features))


def test_the_order_of_the_rows_does_not_change_a_rows_colour() -> None:
    features = skewed_features()
    order = np.random.default_rng(1).permutation(len(features))
    assert_colors_equal(pca_colors(features[order]), pca_colors(features)[order])


def test_the_sign_of_a_component_follows_the_features_not_the_solver() -> None:
    features = skewed_features()
    space = ColorSpace.fit(features)
    scores = (features - features.mean(axis=0)) @ space.axes.T
    assert ((scores**3).sum(axis=0) > 0).all()
    # Channels in another order are another problem for the solver and the same cloud.
    assert_colors_equal(pca_colors(features[:, ::-1]), pca_colors(features))


def test_maps_coloured_together_give_equal_features_equal_colours() -> None:
    first, second = skewed_features(seed=1), skewed_features(seed=2) + 3
    second[:20] = first[:20]
    space = ColorSpace.fit(np.concatenate([first, second]))
    np.testing.assert_array_equal(space.colors(first)[:20], space.colors(second)[:20])
    alone = pca_colors(second)[:20]
    assert np.abs(alone.astype(int) - space.colors(first)[:20]).max() > 10  # each by its own PCA would not


def test_colours_of_other_rows_use_the_fitted_components() -> None:
    features = skewed_features()
    np.testing.assert_array_equal(pca_colors(features[:7], fit=features), pca_colors(features)[:7])


def test_an_outlier_does_not_take_the_contrast_from_the_rest() -> None:
    features = np.random.default_rng(0).normal(size=(500, 4))
    features[0] *= 20
    assert np.std(pca_colors(features)[1:].astype(float), axis=0).min() > 25


@pytest.mark.parametrize("rows, channels", [(0, 5), (1, 5), (2, 5), (50, 1), (50, 2)])
def test_too_few_rows_or_channels_leave_grey_instead_of_failing(rows: int, channels: int) -> None:
    colors = pca_colors(np.random.default_rng(0).normal(size=(rows, channels)))
    assert colors.shape == (rows, 3) and colors.dtype == np.uint8
    assert (colors[:, min(channels, max(rows - 1, 0)) :] == GREY).all()


def test_equal_features_are_grey() -> None:
    assert (pca_colors(np.ones((10, 4))) == GREY).all()


def test_rows_that_are_not_finite_do_not_spoil_the_others() -> None:
    features = skewed_features()
    spoiled = np.concatenate([features, np.full((1, 8), np.nan)])
    np.testing.assert_array_equal(pca_colors(spoiled)[:-1], pca_colors(features))


def test_the_ramp_gets_lighter_all_the_way_and_ends_at_its_ends() -> None:
    lightness = ramp_colors(np.linspace(0, 1, 200)) @ np.array((0.299, 0.587, 0.114))
    assert (np.diff(lightness) > -0.7).all() and lightness[-1] - lightness[0] > 180
    np.testing.assert_array_equal(ramp_colors(np.array([-1.0, 2.0])), ramp_colors(np.array([0.0, 1.0])))


def test_dimming_leaves_grey_of_the_same_size() -> None:
    image = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
    grey = dimmed(image)
    assert grey.shape == image.shape and grey.dtype == np.uint8
    assert (grey == grey[..., :1]).all() and grey.max() < 0.6 * 255
