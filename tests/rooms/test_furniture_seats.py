"""Seats, beds, tables and desks: of a plausible size, in one piece, named part by part, the same for the same seed."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import cKDTree

from sparse3d.rooms.categories import CATEGORIES
from sparse3d.rooms.furniture import CONSTRUCTIONS, construct
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.solids import SolidBuilder, bar, padding, shell, tube
from sparse3d.rooms.style import Style

# The class, the least and the greatest extent along x, y and z in metres, and parts that each piece has.
ROLES: dict[str, tuple[tuple[str, ...], tuple[float, float, float], tuple[float, float, float], set[str]]] = {
    "chair": (("chair",), (0.38, 0.4, 0.75), (0.65, 0.8, 1.2), {"seat", "back", "leg"}),
    "office_chair": (("office chair",), (0.5, 0.5, 0.75), (0.85, 0.95, 1.45), {"seat", "back", "base", "wheel"}),
    "armchair": (("armchair",), (0.55, 0.6, 0.65), (1.1, 1.2, 1.25), {"seat", "back", "arm", "leg"}),
    "stool": (("stool",), (0.28, 0.28, 0.4), (0.65, 0.65, 0.85), {"seat"}),
    "bench": (("bench",), (0.85, 0.25, 0.4), (1.8, 0.65, 1.0), {"seat", "leg"}),
    "ottoman": (("ottoman",), (0.38, 0.36, 0.32), (0.95, 0.72, 0.5), {"seat"}),
    "sofa": (("couch",), (1.25, 0.7, 0.65), (2.95, 1.75, 1.05), {"seat", "back", "arm", "leg"}),
    "bed": (("bed",), (0.9, 1.95, 0.4), (2.2, 2.35, 1.3), {"mattress"}),
    "table": (("table", "dining table"), (0.75, 0.7, 0.7), (2.15, 1.35, 0.79), {"top", "leg"}),
    "coffee_table": (("coffee table",), (0.55, 0.33, 0.3), (1.35, 1.05, 0.5), {"top"}),
    "side_table": (("end table",), (0.33, 0.27, 0.4), (0.6, 0.55, 0.66), {"top"}),
    "desk": (("desk",), (0.95, 0.55, 0.7), (1.95, 1.55, 1.6), {"top"}),
    "school_desk": (("desk",), (0.55, 0.44, 0.64), (1.35, 0.6, 0.78), {"top", "leg"}),
    "teacher_desk": (("desk",), (1.25, 0.65, 0.73), (1.85, 0.85, 0.8), {"top", "drawer", "handle"}),
    "night_stand": (("nightstand",), (0.34, 0.33, 0.4), (0.58, 0.5, 0.7), {"top"}),
}
WIDE = ("sofa", "bed", "table", "coffee_table", "desk", "bench")
CASES = [(role, k) for role in ROLES for k in range(len(CONSTRUCTIONS[role]))]
SEEDS = 20


class PlainStyle(Style):
    """Materials without their textures, which take far longer to draw than the pieces."""

    def __init__(self, rng: np.random.Generator) -> None:
        pass

    def material(self, kind: str, rng: np.random.Generator) -> Material:
        return Material(kind, np.full((2, 2, 3), rng.random(), dtype=np.float32), 1.0)


def made(role: str, which: int, seed: int, **wishes: float) -> tuple[Piece, ...]:
    """A construction's group, the piece of the role first."""
    rng = np.random.default_rng(seed)
    group = CONSTRUCTIONS[role][which](rng, PlainStyle(rng), **wishes)
    return group if isinstance(group, tuple) else (group,)


@pytest.fixture(scope="module")
def groups() -> dict[tuple[str, int], list[tuple[Piece, ...]]]:
    """Every construction for :data:`SEEDS` seeds."""
    return {case: [made(*case, seed) for seed in range(SEEDS)] for case in CASES}


def solids(piece: Piece) -> np.ndarray:
    """(F,) the solid each face belongs to: faces that share a corner's place are of one."""
    _, places = np.unique(np.round(piece.vertices, 6), axis=0, return_inverse=True)
    faces = places.reshape(-1)[piece.faces]
    a, b = faces[:, [0, 1]].ravel(), faces[:, [1, 2]].ravel()
    graph = coo_matrix((np.ones(len(a)), (a, b)), shape=(len(piece.vertices),) * 2)
    return np.unique(connected_components(graph, directed=False)[1][faces[:, 0]], return_inverse=True)[1]


def scattered(corners: np.ndarray, spacing: float) -> np.ndarray:
    """Points on triangles (T, 3, 3) at most about ``spacing`` apart, by cutting each into a grid."""
    longest = np.linalg.norm(np.roll(corners, 1, axis=1) - corners, axis=2).max(axis=1)
    steps = 2 ** np.clip(np.ceil(np.log2(np.maximum(longest / spacing, 1))), 0, 6).astype(int)
    found = []
    for n in np.unique(steps):
        i, j = np.meshgrid(np.arange(n + 1), np.arange(n + 1))
        keep = i + j <= n
        weights = np.stack([i[keep], j[keep], n - i[keep] - j[keep]], axis=1) / n
        found.append(np.einsum("wk,tkd->twd", weights, corners[steps == n]).reshape(-1, 3))
    return np.concatenate(found)


def pieces_apart(piece: Piece, within: float = 0.005) -> int:
    """In how many parts a piece falls when what comes closer than ``within`` (and the sampling) is glued."""
    label, corners = solids(piece), piece.vertices[piece.faces]
    count = label.max() + 1
    triangles = [corners[label == k] for k in range(count)]
    low = np.array([t.reshape(-1, 3).min(axis=0) for t in triangles])
    high = np.array([t.reshape(-1, 3).max(axis=0) for t in triangles])
    near = np.all((low[:, None] <= high[None] + within) & (low[None] <= high[:, None] + within), axis=2)
    trees: dict[int, cKDTree] = {}
    group = np.arange(count)
    for a, b in np.argwhere(np.triu(near, 1)):
        if group[a] == group[b]:
            continue
        for k in (a, b):
            if k not in trees:
                trees[k] = cKDTree(scattered(triangles[k], 0.025))
        distance, _ = trees[a].query(trees[b].data, distance_upper_bound=0.02 + within)
        if np.isfinite(distance).any():
            group[group == group[b]] = group[a]
    return len(np.unique(group))


@pytest.mark.parametrize("role", list(ROLES))
def test_enough_constructions(role: str) -> None:
    assert len(CONSTRUCTIONS[role]) >= (1 if role == "teacher_desk" else 3)


@pytest.mark.parametrize("role", list(ROLES))
def test_classes_sizes_and_parts(role: str, groups: dict) -> None:
    names, least, most, parts = ROLES[role]
    for (other, which), pieces in groups.items():
        for seed, group in enumerate(pieces if other == role else ()):
            piece, where = group[0], f"{role} {which} seed {seed}"
            low, high = piece.bounds
            assert piece.category in names and piece.category in CATEGORIES, where
            assert np.all(high - low >= least) and np.all(high - low <= most), f"{where}: {high - low}"
            assert parts <= set(piece.parts), f"{where}: {piece.parts}"
            assert abs(low[2]) < 1e-6, f"{where} stands at {low[2]}"
            assert np.all(np.abs(low + high)[:2] < 1e-6), where


def test_every_triangle_counts(groups: dict) -> None:
    for case, made_ones in groups.items():
        for piece in (piece for group in made_ones for piece in group):
            a, b, c = np.moveaxis(piece.vertices[piece.faces], 1, 0)
            assert (np.linalg.norm(np.cross(b - a, c - a), axis=1) > 1e-9).all(), case
            assert 50 <= len(piece.faces) <= 3200, f"{case}: {len(piece.faces)} triangles"
            assert np.isfinite(piece.uv).all() and piece.uv.shape == (len(piece.faces), 3, 2)
            assert set(np.unique(piece.face_part)) == set(range(len(piece.parts))), case


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{CONSTRUCTIONS[case[0]][case[1]].__name__}")
def test_nothing_floats(case: tuple[str, int], groups: dict) -> None:
    for group in groups[case][:1]:
        assert pieces_apart(group[0]) == 1


def test_the_check_for_floating_parts_sees_them() -> None:
    style_rng = np.random.default_rng(0)
    wood, build = PlainStyle(style_rng).material("wood", style_rng), SolidBuilder("table")
    build.box((0, 0, 0), (1, 1, 0.1), wood, "top")
    build.box((0, 0, 0.3), (1, 1, 0.1), wood, "top")
    assert pieces_apart(build.build()) == 2
    build.box((0, 0, 0.15), (0.1, 0.1, 0.2), wood, "leg")
    assert pieces_apart(build.build()) == 1


def test_supports_lie_on_surfaces(groups: dict) -> None:
    for case, made_ones in groups.items():
        for piece in (piece for group in made_ones[:6] for piece in group):
            if case[0] in ("table", "coffee_table", "side_table", "desk", "school_desk", "teacher_desk", "night_stand"):
                assert piece.supports, case
            corners = piece.vertices[piece.faces]
            for support in piece.supports:
                x, y, z = support.center
                level = corners[np.abs(corners[..., 2] - z).max(axis=1) < 1e-6][..., :2]
                assert min(support.size) > 0.05 and support.clearance > 0.05, case
                for sx, sy in ((0, 0), (-1, -1), (1, -1), (1, 1), (-1, 1)):
                    # A touch off the middle, where planks meet and triangles share an edge.
                    at = np.array([x + sx * support.size[0] / 2 + 1e-5, y + sy * support.size[1] / 2 + 3e-3])
                    assert covered(level, at), f"{case}: {support}"


def covered(triangles: np.ndarray, at: np.ndarray) -> bool:
    """Whether a point lies in one of flat ``triangles`` (T, 3, 2)."""
    edge, to = np.roll(triangles, -1, axis=1) - triangles, at - triangles
    side = edge[..., 0] * to[..., 1] - edge[..., 1] * to[..., 0]
    return bool((np.all(side >= -1e-7, axis=1) | np.all(side <= 1e-7, axis=1)).any())


@pytest.mark.parametrize("role", list(ROLES))
def test_same_seed_same_piece(role: str) -> None:
    def once(seed: int) -> list[bytes]:
        rng = np.random.default_rng(seed)
        return [p.vertices.tobytes() + p.uv.tobytes() for p in construct(role, rng, PlainStyle(rng))]

    assert once(5) == once(5)
    assert len({tuple(once(seed)) for seed in range(3)}) == 3


@pytest.mark.parametrize("case", [case for case in CASES if case[0] in WIDE], ids=str)
def test_made_to_measure(case: tuple[str, int]) -> None:
    low, high = {"sofa": (1.5, 2.4), "bed": (0.9, 1.8)}.get(case[0], (1.0, 1.4))
    spans = []
    for width in (low, high):
        bounds = made(*case, 3, width=width)[0].bounds
        spans.append(bounds[1][0] - bounds[0][0])
    assert spans[1] - spans[0] == pytest.approx(high - low, abs=0.02 if case[0] != "bed" else 0.2)
    assert spans[0] == pytest.approx(low, abs=0.4 if case[0] == "bed" else 0.07)


def test_beds_have_pillows_that_lie_on_them(groups: dict) -> None:
    for case, made_ones in groups.items():
        if case[0] != "bed":
            continue
        for bed, *others in made_ones:
            pillows = [p for p in others if p.category == "pillow"]
            assert 1 <= len(pillows) <= 4 and {p.category for p in others} <= {"pillow", "blanket"}
            mattress = bed.vertices[bed.faces[bed.face_part == bed.parts.index("mattress")]].reshape(-1, 3)
            for pillow in pillows:
                low, high = pillow.bounds
                assert low[2] == pytest.approx(mattress[:, 2].max(), abs=1e-6)
                assert np.all(low[:2] > mattress.min(axis=0)[:2]) and np.all(high[:2] < mattress.max(axis=0)[:2] + 1e-6)
            spans = sorted((*p.bounds[0][:2], *p.bounds[1][:2]) for p in pillows)
            for a, b in pairwise(spans):
                assert a[2] <= b[0] + 1e-9 or a[3] <= b[1] + 1e-9 or b[3] <= a[1] + 1e-9


def test_solids_are_closed() -> None:
    """Every edge of a solid belongs to two of its triangles, up to seams of texture."""
    rng = np.random.default_rng(1)
    wood = PlainStyle(rng).material("wood", rng)
    bend = np.stack(np.meshgrid(np.linspace(-1, 1, 5), np.linspace(0, 1, 4)), axis=-1)
    grid = np.dstack([bend, bend[..., 0] ** 2])
    for add in (
        lambda b: bar(b, (0, 0, 0), (0.1, 0, 1), (0.05, 0.04), wood, "leg", taper=0.5),
        lambda b: tube(b, [(0, 0, 0), (0, 0, 1), (1, 0, 1)], 0.02, wood, "leg"),
        lambda b: tube(b, [(0, 0, 0), (1, 0, 0.2), (1, 1, 0), (0, 1, 0.3)], 0.02, wood, "leg", closed=True),
        lambda b: padding(b, (0, 0, 0), (0.5, 0.4, 0.1), wood, "seat", radius=0.03, crown=0.01),
        lambda b: shell(b, grid, 0.02, wood, "back"),
    ):
        build = SolidBuilder("chair")
        add(build)
        piece = build.build()
        _, places = np.unique(np.round(piece.vertices, 7), axis=0, return_inverse=True)
        faces = places.reshape(-1)[piece.faces]
        edges = np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1)
        assert (np.unique(edges, axis=0, return_counts=True)[1] == 2).all()
