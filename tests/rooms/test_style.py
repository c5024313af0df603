"""Materials: seamless, in range, the same for the same seed, and no kind that its colour gives away."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
from numpy.testing import assert_allclose

from sparse3d.rooms import texture_laid as laid
from sparse3d.rooms.palette import srgb
from sparse3d.rooms.style import KINDS, Style
from sparse3d.rooms.textures import SIZE, Noise

SHOWN = ("picture", "screen")  # made for one object: neither direction repeats
OF_ANY_COLOR = (
    "painted",
    "plaster",
    "wallpaper",
    "fabric",
    "plastic",
    "leather",
    "carpet",
    "ceramic",
    "tiles",
    "stone",
)


def material(kind: str, seed: int):
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    return Style(rng).material(kind, rng)


@cache
def mean_colors(kind: str) -> np.ndarray:
    """(50, 3) mean colour of the kind in 50 rooms."""
    return np.stack([material(kind, seed).texture.mean(axis=(0, 1)) for seed in range(50)])


@pytest.mark.parametrize("kind", KINDS)
def test_material_is_a_texture_in_range(kind):
    for seed in range(6):
        made = material(kind, seed)
        height, width, channels = made.texture.shape
        assert made.name == kind and made.texture.dtype == np.float32 and channels == 3
        assert made.texture.flags.c_contiguous and made.texture.flags.writeable
        assert np.isfinite(made.texture).all() and made.texture.min() >= 0 and made.texture.max() <= 1
        assert 64 <= height <= SIZE and 128 <= width <= SIZE
        assert 0.0018 < made.extent / width < 0.012, "texels of some millimetres"
        assert 0 <= made.gloss <= 1 and 0 <= made.emission <= 1
        if kind == "picture":
            assert made.extent > 1.2, "a picture of 1.2 m shows its image once"
    if kind == "outside":
        assert made.emission == 1


@pytest.mark.parametrize("kind", KINDS)
def test_same_state_same_bytes_and_another_seed_another_look(kind):
    first, again, other = material(kind, 3), material(kind, 3), material(kind, 4)
    assert first.texture.tobytes() == again.texture.tobytes()
    assert (first.extent, first.gloss, first.emission) == (again.extent, again.gloss, again.emission)
    assert first.texture.shape != other.texture.shape or not np.array_equal(first.texture, other.texture)


def test_a_material_does_not_depend_on_what_was_made_before():
    """The noise is kept in the style: what filled it must not show."""
    fresh, used = Style(np.random.default_rng(5)), Style(np.random.default_rng(5))
    for kind in KINDS:
        used.material(kind, np.random.default_rng(9))
    for kind in KINDS:
        a, b = (style.material(kind, np.random.default_rng(7)) for style in (fresh, used))
        assert a.texture.tobytes() == b.texture.tobytes(), kind


def seam(texture: np.ndarray, axis: int) -> tuple[float, float]:
    """Mean difference across the seam, and the largest mean difference across any other line."""
    moved = np.abs(texture - np.roll(texture, 1, axis=axis)).mean(axis=(1 - axis, 2))
    return float(moved[0]), float(moved[1:].max())


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind not in SHOWN])
def test_texture_is_seamless(kind):
    """Nothing is seen at the seam that is not seen elsewhere: every line of a pattern repeats within the texture."""
    for seed in range(8):
        texture = material(kind, seed).texture
        for axis in (1,) if kind == "outside" else (0, 1):
            across, inside = seam(texture, axis)
            assert across <= 1.25 * inside + 0.004, f"{kind}, seed {seed}, axis {axis}"


@pytest.mark.parametrize("size", [128, 256])
def test_noise_is_periodic_with_unit_deviation(size):
    rng = np.random.default_rng(0)
    for kind in ("cloud", "blotch", "grain", "figure", "streak"):
        field = Noise(rng).field(kind, rng, size)
        assert field.shape == (size, size) and abs(field.std() - 1) < 0.1 and abs(field.mean()) < 0.1
        for axis in (0, 1):
            across, inside = seam(field[..., None], axis)
            assert across <= 1.1 * inside


LAYINGS = [
    laid.rows_laid(6, 2, np.array([0, 0.3, 0.7, 0.1, 0.5, 0.9])),
    laid.herringbone(16, 4),
    laid.herringbone(12, 6),
    laid.basket(4, 5),
    laid.diamonds(4),
    laid.hexagons(6),
]


@pytest.mark.parametrize("laying", LAYINGS)
def test_pieces_of_a_laying_are_whole_across_the_seam(laying):
    """Neighbours of one piece differ by one texel at most, the seam's too, and pieces are of one size."""
    inner = laying.edge > 2.1
    for axis in (0, 1):
        for values in (laying.piece, laying.turned):
            joined = np.roll(inner, 1, axis) & inner
            same = values == np.roll(values, 1, axis)
            assert same[joined].all()
        assert np.abs(laying.edge - np.roll(laying.edge, 1, axis)).max() <= 1.5
    sizes = np.unique(laying.piece, return_counts=True)[1]
    assert sizes.min() > 0.75 * sizes.max()
    assert_allclose(np.median(sizes), SIZE**2 / len(sizes), rtol=0.1)


def test_srgb_of_known_colors():
    """OKLab's own reference: white, black, and sRGB's red at L .628, C .2577, h 29.23 degrees."""
    colors = np.array([[1.0, 0, 0], [0, 0, 0], [0.62796, 0.25768, np.radians(29.234)]])
    assert_allclose(srgb(colors), [[1, 1, 1], [0, 0, 0], [1, 0, 0]], atol=2e-3)


@pytest.mark.parametrize("kind", [*OF_ANY_COLOR, "metal", "cardboard", "rubber", "parquet", "wood"])
def test_a_kind_comes_in_many_colors(kind):
    colors = mean_colors(kind)
    least = 11 if kind in OF_ANY_COLOR else 8
    assert len(np.unique((colors * 5).astype(int), axis=0)) >= least
    assert np.ptp(colors.mean(axis=1)) > 0.35, "from dark to light"


@pytest.mark.parametrize("kind", OF_ANY_COLOR)
def test_a_kind_comes_in_many_hues(kind):
    colors = mean_colors(kind)
    spread = np.ptp(colors, axis=1) > 0.04
    a, b = colors[:, 0] - colors[:, 1], (colors[:, 0] + colors[:, 1]) / 2 - colors[:, 2]
    sector = np.floor(np.arctan2(b, a) / (2 * np.pi) * 12).astype(int)
    assert len(np.unique(sector[spread])) >= 6


def test_color_does_not_give_the_kind_away():
    """The nearest neighbour in mean colour, of another style, is of the same kind little more often than by chance."""
    colors = np.concatenate([mean_colors(kind) for kind in OF_ANY_COLOR])
    owner = np.repeat(np.arange(len(OF_ANY_COLOR)), 50)
    distance = np.linalg.norm(colors[:, None] - colors[None], axis=2)
    distance[np.arange(len(colors)), np.arange(len(colors))] = np.inf
    hits = (owner[distance.argmin(axis=1)] == owner).mean()
    assert hits < 2.2 / len(OF_ANY_COLOR)


def test_rooms_are_not_garish():
    """Most large surfaces are of modest saturation: channels less than 0.3 apart."""
    spread = np.concatenate([np.ptp(mean_colors(kind), axis=1) for kind in ("plaster", "fabric", "carpet", "tiles")])
    assert np.median(spread) < 0.17 and np.quantile(spread, 0.9) < 0.4


def test_unknown_kind_is_named():
    style = Style(np.random.default_rng(0))
    with pytest.raises(KeyError, match="velvet"):
        style.material("velvet", np.random.default_rng(0))
