"""Doors, windows, lamps and things: every draw is a sound piece, made to the wishes, the same for the same seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from sparse3d.rooms.categories import CATEGORIES
from sparse3d.rooms.furniture import CONSTRUCTIONS
from sparse3d.rooms.furniture.doors import PROUD, WALL_THICKNESS
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.style import KINDS

MODULES = ("doors", "windows", "curtains", "wall_decor", "radiators", "lamps", "plants", "boxes", "electronics",
           "papers", "tableware", "kitchen_things", "textiles", "luggage", "leisure")  # fmt: skip
SEEDS = range(20)
MADE = [(role, make) for role in sorted(CONSTRUCTIONS) for make in CONSTRUCTIONS[role]
        if make.__module__.split(".")[-1] in MODULES]  # fmt: skip
WALL_ROLES = ("door", "window", "curtain", "blinds", "picture", "mirror", "whiteboard", "blackboard")


class PlainStyle:
    """Materials of one random colour each: the shapes are what is tested here, and drawing textures takes long."""

    def material(self, kind: str, rng: np.random.Generator) -> Material:
        assert kind in KINDS
        return Material(kind, np.tile(rng.random(3, dtype=np.float32), (6, 4, 1)), 0.5)


def draw(make: Any, seed: int, **wishes: float) -> Piece:
    return make(np.random.default_rng(seed), PlainStyle(), **wishes)


def names(made: list) -> list[str]:
    return [f"{role}-{make.__name__}" for role, make in made]


def loose_parts(piece: Piece, gap: float = 0.005) -> int:
    """How many connected lumps neither touch the largest (their boxes grown by ``gap``) nor stand on the ground."""
    points, row = np.unique(np.round(piece.vertices, 5), axis=0, return_inverse=True)
    faces = row.reshape(-1)[piece.faces]
    ends = np.concatenate([faces[:, :2], faces[:, 1:]])
    count, lump = connected_components(
        coo_matrix((np.ones(len(ends)), ends.T), shape=(len(points),) * 2), directed=False
    )
    low, high = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
    np.minimum.at(low, lump, points)
    np.maximum.at(high, lump, points)
    touching = ((low[:, None] - gap <= high[None] + gap) & (high[:, None] + gap >= low[None] - gap)).all(axis=-1)
    _, group = connected_components(coo_matrix(touching), directed=False)
    held = {int(np.bincount(group).argmax()), *(int(g) for g in group[low[:, 2] < gap])}
    return len(set(group.tolist()) - held)


@pytest.mark.parametrize(("role", "make"), MADE, ids=names(MADE))
def test_every_draw_is_a_sound_piece(role: str, make: Any) -> None:
    for seed in SEEDS:
        piece = draw(make, seed)
        low, high = piece.bounds
        assert piece.category in CATEGORIES
        assert np.isfinite(piece.vertices).all() and np.isfinite(piece.uv).all()
        assert piece.faces.min() >= 0 and piece.faces.max() < len(piece.vertices)
        assert piece.uv.shape == (len(piece.faces), 3, 2)
        assert piece.face_material.max() < len(piece.materials) and piece.face_part.max() < len(piece.parts)
        assert set(np.unique(piece.face_part)) == set(range(len(piece.parts))) and all(piece.parts)
        np.testing.assert_allclose([*(low + high)[:2], low[2]], 0, atol=1e-9)  # the frame's convention
        assert 12 <= len(piece.faces) <= 1300
        assert (high - low).max() < 3.7
    assert loose_parts(draw(make, 0)) == 0 and loose_parts(draw(make, 7)) == 0


@pytest.mark.parametrize(("role", "make"), MADE, ids=names(MADE))
def test_the_same_seed_gives_the_same_bytes(role: str, make: Any) -> None:
    a, b, other = draw(make, 3), draw(make, 3), draw(make, 4)
    for name in ("vertices", "faces", "uv", "face_material", "face_part"):
        assert getattr(a, name).tobytes() == getattr(b, name).tobytes()
    assert a.parts == b.parts and all(
        x.texture.tobytes() == y.texture.tobytes() for x, y in zip(a.materials, b.materials, strict=True)
    )
    assert (
        a.vertices.tobytes() != other.vertices.tobytes()
        or a.materials[0].texture[0, 0, 0] != (other.materials[0].texture[0, 0, 0])
    )


@pytest.mark.parametrize("role", WALL_ROLES)
def test_wished_width_and_height_are_kept(role: str) -> None:
    for make in CONSTRUCTIONS[role]:
        for seed, (width, height) in enumerate(((0.9, 2.05), (1.37, 1.21), (2.2, 1.5))):
            low, high = draw(make, seed, width=width, height=height).bounds
            # A curtain's rod and a blind's rail span the width, its cloth the height.
            np.testing.assert_allclose((high - low)[[0, 2]], [width, height], atol=0.006, err_msg=make.__name__)


@pytest.mark.parametrize("role", ["rug", "mat"])
def test_wished_footprint_is_kept(role: str) -> None:
    for make in CONSTRUCTIONS[role]:
        low, high = draw(make, 1, width=1.9, depth=1.3).bounds
        np.testing.assert_allclose((high - low)[:2], [1.9, 1.3], atol=1e-6)
        assert high[2] < 0.03


@pytest.mark.parametrize("role", ["plant", "floor_lamp", "table_lamp"])
def test_wished_height_is_kept(role: str) -> None:
    for make in CONSTRUCTIONS[role]:
        for wish in (0.25, 0.8, 1.6):
            assert draw(make, 2, height=wish).bounds[1][2] == pytest.approx(wish)


def test_wished_width_of_a_television_is_kept() -> None:
    for make in CONSTRUCTIONS["tv"]:
        low, high = draw(make, 2, width=1.05).bounds
        assert high[0] - low[0] == pytest.approx(1.05, abs=1e-6)


@pytest.mark.parametrize("role", ["door", "window"])
def test_openings_are_filled_through_the_wall_and_hardly_stand_out(role: str) -> None:
    for make in CONSTRUCTIONS[role]:
        for seed in SEEDS:
            piece = draw(make, seed, width=1.1, height=1.4)
            out = piece.vertices[:, 1].max() - piece.vertices[:, 1] - WALL_THICKNESS  # beyond the wall's inner side
            frame = np.unique(piece.faces[piece.face_part == piece.parts.index("frame")])
            assert out.max() < 0.09 and out[frame].max() < PROUD + 0.001
            np.testing.assert_allclose(np.ptp(piece.vertices[frame][:, [0, 2]], axis=0), [1.1, 1.4])


def test_a_window_shows_the_whole_outside_behind_its_frame() -> None:
    for make in CONSTRUCTIONS["window"]:
        piece = draw(make, 5, width=1.3, height=1.2)
        pane = piece.face_part == piece.parts.index("pane")
        points = piece.vertices[piece.faces[pane]].reshape(-1, 3)
        assert points[:, 1] == pytest.approx(piece.vertices[:, 1].max())
        np.testing.assert_allclose(np.ptp(points[:, [0, 2]], axis=0), [1.3, 1.2])
        # Upright: v grows with height, and all of the texture (0.5 m wide, 6 rows of 4 texels) is laid once.
        uv = piece.uv[pane].reshape(-1, 2)
        np.testing.assert_allclose(np.ptp(uv, axis=0), [0.5, 0.75], rtol=0.01)
        assert np.corrcoef(points[:, 2], uv[:, 1])[0, 1] > 0.99


def test_curtains_hang_clear_of_window_sills() -> None:
    windows = [draw(make, seed) for make in CONSTRUCTIONS["window"] for seed in SEEDS]
    sills = [np.unique(piece.faces[piece.face_part == piece.parts.index("sill")]) for piece in windows]
    out = max(piece.vertices[:, 1].max() - WALL_THICKNESS - piece.vertices[sill, 1].min()
              for piece, sill in zip(windows, sills, strict=True))  # fmt: skip
    for make in CONSTRUCTIONS["curtain"]:
        for seed in SEEDS:
            piece = draw(make, seed)
            cloth = np.unique(piece.faces[piece.face_part == piece.parts.index("cloth")])
            assert piece.vertices[:, 1].max() - piece.vertices[cloth, 1].max() > out


SHAPED = ("door", "window", "curtain", "blinds", "picture", "mirror", "whiteboard", "radiator", "floor_lamp", "plant",
          "table_lamp", "ceiling_lamp", "box", "monitor", "tv", "books", "pillow", "rug", "towel", "bag", "suitcase",
          "cup", "basket")  # fmt: skip


@pytest.mark.parametrize("role", SHAPED)
def test_a_role_has_three_constructions_or_more(role: str) -> None:
    assert len(CONSTRUCTIONS[role]) >= 3
