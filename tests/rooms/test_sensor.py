"""Sensors: noise grows with z^2, readings are missing where a structured-light camera misses them."""

from __future__ import annotations

import numpy as np
import pytest

from sparse3d.rooms.sensor import depth_sigma, exposures, sense_color, sense_depth

SHAPE = (120, 171)


def flat(z: float) -> np.ndarray:
    return np.full(SHAPE, z)


def read(z: float | np.ndarray, cosine: float = 1.0, seed: int = 0) -> np.ndarray:
    depth = np.broadcast_to(np.asarray(z, dtype=np.float64), SHAPE)
    return sense_depth(depth, np.full(SHAPE, cosine), np.random.default_rng(seed))


@pytest.mark.parametrize("z", [0.8, 1.5, 2.5, 3.5])
def test_readings_spread_as_published(z: float) -> None:
    found = read(z)
    good = found[found > 0]
    quantum = 1.4e-3 * z**2
    expected = np.sqrt(float(depth_sigma(flat(z), np.ones(SHAPE))[0, 0]) ** 2 + quantum**2 / 12)
    assert abs(good.mean() - z) < 0.002 * z
    assert good.std() == pytest.approx(expected, rel=0.12)
    assert len(good) > 0.98 * found.size


def test_noise_grows_with_the_square_of_the_distance() -> None:
    spread = [read(z)[read(z) > 0].std() for z in (1.0, 2.0, 3.9)]
    assert spread[0] < spread[1] < spread[2]
    assert 8 < (spread[2] - 0.0012) / max(spread[0] - 0.0012, 1e-9) < 40


def test_noise_leaves_the_median_under_one_percent() -> None:
    found = read(3.0)
    assert np.median(np.abs(found[found > 0] - 3.0)) / 3.0 < 0.01


def test_readings_are_whole_millimetres() -> None:
    found = read(2.0) * 1000
    np.testing.assert_allclose(found, np.round(found), atol=1e-9)


def test_far_near_and_grazing_surfaces_are_missed() -> None:
    def missed(z: float, cosine: float = 1.0) -> float:
        return float((read(z, cosine) == 0).mean())

    assert missed(5.3) == 1 and missed(0.3) == 1
    assert missed(3.8) < 0.02 < 0.2 < missed(4.6) < 0.8
    assert missed(2.0, np.cos(np.deg2rad(60))) < 0.02
    assert 0.2 < missed(2.0, np.cos(np.deg2rad(79))) < 0.8
    assert missed(2.0, np.cos(np.deg2rad(87))) == 1


def test_no_surface_gives_no_reading() -> None:
    assert (read(0.0) == 0).all()


def test_edges_are_missed_and_slanted_planes_are_not() -> None:
    step = flat(1.5)
    step[:, 80:] = 2.5
    lost = read(step) == 0
    assert lost[:, 79:81].mean() > 0.5
    assert lost[:, :70].mean() < 0.02 and lost[:, 90:].mean() < 0.02
    slanted = 1 / np.broadcast_to(np.linspace(1 / 0.8, 1 / 3.5, SHAPE[1]), SHAPE)  # a plane: 1 / z is linear
    assert (read(slanted) == 0).mean() < 0.02


def test_black_things_lose_readings_only_if_colour_is_given() -> None:
    black = np.zeros((*SHAPE, 3), dtype=np.float32)
    rng = np.random.default_rng(0)
    assert (sense_depth(flat(2.0), np.ones(SHAPE), rng, black) == 0).mean() > 0.3
    assert (sense_depth(flat(2.0), np.ones(SHAPE), rng, black + 0.5) == 0).mean() < 0.02


def test_missing_readings_come_in_patches() -> None:
    lost = read(4.6) == 0
    pairs = (lost[:, 1:] & lost[:, :-1]).mean()
    assert pairs > 1.3 * lost.mean() ** 2


def test_the_same_generator_gives_the_same_readings() -> None:
    assert read(2.0, seed=3).tobytes() == read(2.0, seed=3).tobytes() != read(2.0, seed=4).tobytes()
    image = np.full((*SHAPE, 3), 0.5, dtype=np.float32)
    one, two = (sense_color(image, np.random.default_rng(1)) for _ in range(2))
    assert one.tobytes() == two.tobytes() and one.dtype == np.float32


def test_colour_follows_exposure_and_darkens_to_the_corners() -> None:
    image = np.full((*SHAPE, 3), 0.5, dtype=np.float32)
    dim, bright = (sense_color(image, np.random.default_rng(0), e) for e in (0.8, 1.2))
    assert bright.mean() > dim.mean() + 0.05
    middle, corner = bright[50:70, 75:95].mean(), bright[:8, :8].mean()
    assert middle - 0.1 < corner < middle - 0.005
    assert 0.002 < bright[50:70, 75:95].std() < 0.03
    assert bright.min() >= 0 and bright.max() <= 1


def test_colour_is_a_little_soft() -> None:
    image = np.zeros((120, 640, 3), dtype=np.float32)
    image[:, 320:] = 0.8
    found = sense_color(image, np.random.default_rng(0), vignette=0.0).mean(axis=(0, 2))
    assert 0.1 < found[319] < 0.7 and found[310] < 0.06 and abs(found[330] - 0.8) < 0.05


def test_exposure_drifts_slowly() -> None:
    factors = exposures(200, np.random.default_rng(0))
    assert factors.shape == (200,) and 0.75 < factors.min() < factors.max() < 1.33
    assert np.abs(np.diff(np.log2(factors))).max() < 0.12
    assert factors.std() > 0.03
