"""Storage, kitchens and bathrooms: every construction, for many seeds, is a whole piece of plausible size."""

from __future__ import annotations

from collections import Counter
from functools import cache

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.categories import CATEGORIES
from sparse3d.rooms.furniture import CONSTRUCTIONS, construct
from sparse3d.rooms.furniture.mounting import MOUNT_HEIGHT
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.style import Style
from sparse3d.rooms.vessels import Ring, plate_with_hole

TOUCH = 0.005

# role: number of constructions at least; size (x, y, z) at least and at most, metres; categories; parts that occur.
ROLES: dict[str, tuple[int, tuple[float, ...], tuple[float, ...], set[str], set[str]]] = {
    "bookshelf": (3, (0.5, 0.2, 0.6), (1.7, 0.6, 2.3), {"bookshelf"}, {"shelf", "side", "books"}),
    "dresser": (3, (0.5, 0.4, 0.6), (1.9, 0.65, 1.45), {"dresser"}, {"drawer", "side", "top"}),
    "cabinet": (4, (0.5, 0.35, 0.35), (2.1, 0.7, 2.3), {"cabinet"}, {"side", "top", "door"}),
    "file_cabinet": (3, (0.35, 0.4, 0.5), (1.2, 0.75, 1.6), {"file cabinet"}, {"drawer", "side", "top"}),
    "wardrobe": (3, (0.55, 0.35, 1.5), (2.7, 0.8, 2.4), {"wardrobe", "cabinet"}, {"side", "top", "door"}),
    "wall_cabinet": (3, (0.45, 0.3, 0.45), (1.5, 0.45, 0.95), {"kitchen cabinet"}, {"door", "side", "top"}),
    "tv_stand": (3, (0.8, 0.34, 0.38), (2.1, 0.55, 0.65), {"tv stand"}, {"top", "leg"}),
    "shelf": (3, (0.45, 0.15, 0.1), (1.5, 0.35, 1.2), {"shelf"}, {"shelf"}),
    "kitchen_run": (1, (1.2, 0.6, 0.86), (4.0, 0.8, 1.3),
                    {"kitchen cabinet", "kitchen counter", "sink", "stove", "oven", "dishwasher"},
                    {"basin", "faucet", "top", "door", "drawer"}),
    "island": (3, (1.0, 0.55, 0.85), (2.5, 1.15, 0.97), {"kitchen cabinet", "kitchen counter"}, {"top", "door"}),
    "counter": (3, (0.9, 0.4, 0.85), (3.1, 0.9, 1.25), {"counter"}, {"top", "front"}),
    "refrigerator": (4, (0.4, 0.4, 0.45), (1.0, 0.85, 2.05), {"refrigerator", "mini fridge"}, {"door", "handle"}),
    "stove": (3, (0.45, 0.55, 0.85), (1.2, 0.8, 1.1), {"stove"}, {"burner", "door", "knob"}),
    "oven": (1, (0.55, 0.55, 1.9), (0.7, 0.75, 2.25), {"kitchen cabinet", "oven"}, {"door", "pane"}),
    "dishwasher": (1, (0.44, 0.55, 0.8), (0.65, 0.75, 0.9), {"dishwasher"}, {"door", "handle"}),
    "washing_machine": (3, (0.44, 0.45, 0.8), (0.72, 0.75, 1.8), {"washing machine"}, {"knob", "drawer", "door"}),
    "toilet": (3, (0.3, 0.5, 0.38), (0.85, 0.95, 1.25), {"toilet"}, {"seat", "lid", "bowl", "rim", "tank"}),
    "bathroom_sink": (3, (0.45, 0.4, 0.78), (1.7, 0.65, 1.3),
                      {"sink", "bathroom vanity", "bathroom counter"}, {"basin", "faucet", "rim"}),
    "wall_basin": (1, (0.38, 0.34, 0.2), (0.7, 0.55, 0.6), {"sink"}, {"basin", "faucet", "pipe"}),
    "bathtub": (3, (1.1, 0.68, 0.45), (1.85, 1.55, 0.85), {"bathtub"}, {"rim", "basin", "faucet"}),
    "shower_bath": (1, (1.35, 0.7, 1.9), (1.85, 0.95, 2.2), {"bathtub", "shower curtain"}, {"curtain", "rod", "rim"}),
    "shower": (3, (0.75, 0.7, 1.9), (1.45, 1.1, 2.2), {"shower curtain", "mat"}, {"curtain", "rod", "rim"}),
    "shower_curtain": (1, (0.75, 0.03, 1.8), (1.85, 0.12, 2.05), {"shower curtain"}, {"curtain", "rod"}),
    "toilet_paper": (3, (0.1, 0.08, 0.08), (0.2, 0.2, 0.25), {"toilet paper"}, {"roll", "holder"}),
    "toilet_paper_stand": (1, (0.1, 0.1, 0.2), (0.2, 0.2, 0.6), {"toilet paper"}, {"roll", "rod"}),
    "trash_can": (3, (0.2, 0.15, 0.24), (0.5, 0.5, 0.95), {"trash can"}, {"side", "rim", "lid"}),
    "laundry_hamper": (3, (0.35, 0.28, 0.27), (0.75, 0.6, 0.8), {"laundry hamper"}, {"side", "clothes"}),
}  # fmt: skip
MADE_TO_MEASURE = {
    "wall_cabinet": (0.6, 1.3), "kitchen_run": (1.2, 2.0, 3.3, 4.0), "island": (1.5,), "counter": (1.7,),
    "bookshelf": (0.9,), "dresser": (1.1,), "cabinet": (1.4,), "wardrobe": (1.5,), "tv_stand": (1.5,), "shelf": (1.0,),
    "bathtub": (1.45,), "shower_bath": (1.7,), "shower": (0.9,), "shower_curtain": (1.3,), "file_cabinet": (0.8,),
}  # fmt: skip


class PlainStyle(Style):
    """Materials without textures: shapes are what is looked at here."""

    def __init__(self) -> None:
        self.plain = np.full((2, 2, 3), 0.5, dtype=np.float32)

    def material(self, kind: str, rng: np.random.Generator) -> Material:
        return Material(kind, self.plain, 1.0)


@cache
def drawn(role: str, number: int, seed: int) -> tuple[Piece, ...]:
    rng = np.random.default_rng(seed)
    made = CONSTRUCTIONS[role][number](rng, PlainStyle())
    return made if isinstance(made, tuple) else (made,)


def every(role: str, seeds: int) -> list[tuple[Piece, ...]]:
    return [drawn(role, k, seed) for k in range(len(CONSTRUCTIONS[role])) for seed in range(seeds)]


def group_bounds(pieces: tuple[Piece, ...]) -> tuple[np.ndarray, np.ndarray]:
    bounds = np.array([piece.bounds for piece in pieces])
    return bounds[:, 0].min(axis=0), bounds[:, 1].max(axis=0)


def solids(piece: Piece) -> tuple[int, np.ndarray]:
    """The piece's solids: faces that share corners (to 0.01 mm) are one. Their number, and each face's."""
    welded = np.unique(np.round(piece.vertices, 5), axis=0, return_inverse=True)[1].reshape(-1)[piece.faces]
    rows, columns = welded[:, [0, 1]].ravel(), welded[:, [1, 2]].ravel()
    count = int(welded.max()) + 1
    _, label = connected_components(coo_array((np.ones(len(rows)), (rows, columns)), shape=(count, count)), False)
    used, of_face = np.unique(label[welded[:, 0]], return_inverse=True)
    return len(used), of_face.reshape(-1)


def parts_that_hang_together(piece: Piece) -> int:
    """How many clusters the solids form when those join whose triangles' boxes come within 5 mm."""
    count, of_face = solids(piece)
    corners = piece.vertices[piece.faces]
    low, high = corners.min(axis=1) - TOUCH / 2, corners.max(axis=1) + TOUCH / 2
    order = np.argsort(of_face, kind="stable")
    starts = np.searchsorted(of_face[order], np.arange(count))
    whole_low, whole_high = np.minimum.reduceat(low[order], starts), np.maximum.reduceat(high[order], starts)
    cluster, wait = {0}, [0]
    faces_of = np.split(order, starts[1:])
    while wait:
        a = wait.pop()
        near = (whole_low <= whole_high[a]).all(axis=1) & (whole_high >= whole_low[a]).all(axis=1)
        for b in np.flatnonzero(near).tolist():
            if b in cluster:
                continue
            fa, fb = faces_of[a], faces_of[b]
            fa = fa[((low[fa] <= whole_high[b]) & (high[fa] >= whole_low[b])).all(axis=1)]
            fb = fb[((low[fb] <= whole_high[a]) & (high[fb] >= whole_low[a])).all(axis=1)]
            if ((low[fa][:, None] <= high[fb]) & (high[fa][:, None] >= low[fb])).all(axis=2).any():
                cluster.add(b)
                wait.append(b)
    return 1 + count - len(cluster)


@pytest.mark.parametrize("role", ROLES)
def test_every_construction_runs_for_20_seeds_at_a_plausible_size(role: str) -> None:
    least, low_size, high_size, categories, parts = ROLES[role]
    assert len(CONSTRUCTIONS[role]) >= least
    seen: set[str] = set()
    for pieces in every(role, 20):
        low, high = group_bounds(pieces)
        assert ((high - low) >= np.array(low_size) - 1e-9).all(), (pieces[0].parts, high - low)
        assert ((high - low) <= np.array(high_size) + 1e-9).all(), (pieces[0].parts, high - low)
        assert abs(low[2]) < 1e-9 and np.abs((low + high)[:2]).max() < 1e-9, "the footprint is centred, on z = 0"
        for piece in pieces:
            assert piece.category in categories and piece.category in CATEGORIES
            assert np.isfinite(piece.vertices).all() and np.isfinite(piece.uv).all()
            assert piece.faces.min() >= 0 and piece.faces.max() < len(piece.vertices)
            assert len(piece.uv) == len(piece.face_part) == len(piece.face_material) == len(piece.faces)
            assert all(piece.parts) and piece.face_part.max() < len(piece.parts)
            seen.update(piece.parts)
        assert 30 <= sum(len(piece.faces) for piece in pieces) <= 9000
    assert parts <= seen


@pytest.mark.parametrize("role", ROLES)
def test_no_part_floats(role: str) -> None:
    for pieces in every(role, 3):
        for piece in pieces:
            assert parts_that_hang_together(piece) == 1, (role, piece.category, piece.parts)


@pytest.mark.parametrize("role", ROLES)
def test_supports_lie_on_a_surface_with_the_clearance_they_say(role: str) -> None:
    for pieces in every(role, 4):
        corners = np.concatenate([p.vertices[p.faces] for p in pieces])
        low, high = corners.min(axis=1), corners.max(axis=1)
        for piece in pieces:
            own = piece.vertices[piece.faces]
            for support in piece.supports:
                center, half = np.array(support.center), np.array(support.size) / 2
                assert (half > 0).all() and support.clearance > 0
                level = (np.ptp(own[:, :, 2], axis=1) < 1e-9) & (np.abs(own[:, 0, 2] - center[2]) < 1e-6)
                inside = level & (
                    (own[:, :, :2].min(axis=1) <= center[:2]) & (own[:, :, :2].max(axis=1) >= center[:2])
                ).all(axis=1)
                assert inside.any(), (role, piece.category, support)
                # Nothing of the group lies within a hand above it (a tenth of the sides is left to brackets).
                above = ((low[:, :2] < center[:2] + 0.9 * half) & (high[:, :2] > center[:2] - 0.9 * half)).all(axis=1)
                above &= (low[:, 2] < center[2] + 0.9 * support.clearance) & (high[:, 2] > center[2] + 0.004)
                assert not above.any(), (role, piece.category, support)


@pytest.mark.parametrize("role", ["bookshelf", "kitchen_run", "toilet", "shower_bath", "trash_can"])
def test_the_same_seed_gives_the_same_bytes_and_another_one_another_piece(role: str) -> None:
    def bytes_of(seed: int) -> bytes:
        rng = np.random.default_rng(seed)
        return b"".join(p.vertices.tobytes() + p.uv.tobytes() for p in construct(role, rng, Style(rng)))

    assert bytes_of(3) == bytes_of(3) != bytes_of(4)


@pytest.mark.parametrize("role", MADE_TO_MEASURE)
def test_a_wish_for_width_is_met(role: str) -> None:
    for number, make in enumerate(CONSTRUCTIONS[role]):
        for width in MADE_TO_MEASURE[role]:
            for seed in range(4):
                rng = np.random.default_rng(seed)
                made = make(rng, PlainStyle(), width=width)
                low, high = group_bounds(made if isinstance(made, tuple) else (made,))
                assert high[0] - low[0] == pytest.approx(width, abs=0.012), (role, number)


def test_a_wall_cabinet_may_be_one_of_a_bathroom_and_is_shallower_then() -> None:
    for make in CONSTRUCTIONS["wall_cabinet"]:
        rng = np.random.default_rng(0)
        piece = make(rng, PlainStyle(), width=0.8, category="bathroom cabinet")
        assert piece.category == "bathroom cabinet" and np.ptp(piece.vertices[:, 1]) < 0.26


def test_a_run_has_what_was_asked_for_and_its_sink_hangs_in_a_hole_of_the_top() -> None:
    for seed in range(12):
        rng = np.random.default_rng(seed)
        pieces = construct("kitchen_run", rng, PlainStyle(), width=3.0, with_stove=True, with_dishwasher=True)
        count = Counter(piece.category for piece in pieces)
        assert count["sink"] == count["dishwasher"] == count["stove"] == 1 and count["kitchen cabinet"] >= 1
        sink = next(p for p in pieces if p.category == "sink")
        basin = sink.vertices[np.unique(sink.faces[sink.face_part == sink.parts.index("basin")])]
        middle = (basin.min(axis=0) + basin.max(axis=0))[:2] / 2
        for top in (p for p in pieces if p.category == "kitchen counter"):
            assert not covered(top, middle), "the top has a hole where the basin is"
            outer = basin[basin[:, 2] < basin[:, 2].max() - 0.02]
            assert not any(covered(top, point) for point in outer[:, :2]), "the basin stays within it"
    pieces = construct("kitchen_run", np.random.default_rng(0), PlainStyle(), width=2, with_sink=False)
    assert "sink" not in {piece.category for piece in pieces}


def covered(piece: Piece, point: np.ndarray) -> bool:
    """Whether a level triangle of ``piece`` covers ``point`` (x, y), seen from above."""
    corners = piece.vertices[piece.faces]
    a, b, c = np.moveaxis(corners[np.ptp(corners[:, :, 2], axis=1) < 1e-9][:, :, :2], 1, 0)

    def side(p: np.ndarray, q: np.ndarray) -> np.ndarray:
        return (q[:, 0] - p[:, 0]) * (point[1] - p[:, 1]) - (q[:, 1] - p[:, 1]) * (point[0] - p[:, 0])

    turns = np.stack([side(a, b), side(b, c), side(c, a)])
    return bool(((turns > 1e-9).all(axis=0) | (turns < -1e-9).all(axis=0)).any())


def test_neighbours_of_a_run_do_not_lie_in_each_other() -> None:
    boxes = {"kitchen cabinet", "stove", "dishwasher", "oven"}
    for pieces in every("kitchen_run", 20):
        standing = [p for p in pieces if p.category in boxes and p.bounds[0][2] < 0.5]
        for k, one in enumerate(standing):
            for other in standing[k + 1 :]:
                overlap = np.minimum(one.bounds[1], other.bounds[1]) - np.maximum(one.bounds[0], other.bounds[0])
                assert overlap.min() < 1e-9, (one.category, other.category, overlap)
        for top in (p for p in pieces if p.category == "kitchen counter"):
            for one in standing:
                overlap = np.minimum(one.bounds[1], top.bounds[1]) - np.maximum(one.bounds[0], top.bounds[0])
                assert overlap.min() < 1e-9, (one.category, overlap)


def test_a_curtain_hangs_before_its_bath() -> None:
    for bath, curtain in every("shower_bath", 20):
        cloth = curtain.vertices[np.unique(curtain.faces[curtain.face_part == curtain.parts.index("curtain")])]
        assert cloth[:, 1].max() < bath.bounds[0][1]


def test_a_plate_with_a_hole_has_the_area_of_the_plate_less_the_hole() -> None:
    build = PieceBuilder("counter")
    outline = np.array([(0, 0), (2, 0), (2, 1), (0, 1)])
    material = Material("stone", np.ones((2, 2, 3), np.float32), 1.0)
    plate_with_hole(build, outline, Ring(0, (0.3, 0.2), 0.7, 0.5), 0.0, 0.1, material, "top", sides=200)
    piece = build.build_at()
    corners = piece.vertices[piece.faces]
    top = corners[(corners[:, :, 2] > 0.0999).all(axis=1)]
    area = np.abs(np.cross(top[:, 1] - top[:, 0], top[:, 2] - top[:, 0])[:, 2]).sum() / 2
    assert area == pytest.approx(2 - np.pi * 0.3 * 0.2, rel=1e-3)


def test_what_hangs_on_walls_has_a_height_to_be_mounted_at() -> None:
    assert {"wall_cabinet", "shelf", "wall_basin", "toilet_paper", "shower_curtain"} <= set(MOUNT_HEIGHT)
    assert all(0 < height < 2 for height in MOUNT_HEIGHT.values())
