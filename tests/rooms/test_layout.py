"""Furnished rooms: nothing runs into another thing, all rests on something, every class comes often enough.

Whether things interpenetrate is not asked of the arranger's own separating axes but by points: no point on the
surface of one thing lies inside a solid of another.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from sparse3d.data.scannet.classes import SCANNET20
from sparse3d.rooms import room_maker
from sparse3d.rooms.arranger import SOFT_ROLES, Arranger, Item, Unplaceable
from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.categories import CATEGORIES
from sparse3d.rooms.footprint import corners, extent, meet, solid_boxes, upright_box
from sparse3d.rooms.piece import ROOM_KINDS, Material, Piece, RoomKind
from sparse3d.rooms.plan import draw_plan
from sparse3d.rooms.room_maker import KIND_WEIGHTS, arrange, make_room
from sparse3d.rooms.style import Style

TOLERANCE = 0.005  # metres


class FlatStyle(Style):
    """Materials without texture, which take no time to make."""

    def __init__(self, rng: np.random.Generator) -> None:
        pass

    def material(self, kind: str, rng: np.random.Generator, **wishes: object) -> Material:
        return Material(kind, np.full((2, 2, 3), 0.5, dtype=np.float32), 1.0)


def furnished(kind: RoomKind, seed: int) -> Arranger:
    rng = np.random.default_rng([seed, 7])
    for _ in range(20):
        try:
            return arrange(rng, draw_plan(rng, kind), FlatStyle(rng))
        except Unplaceable:
            continue
    raise AssertionError(f"no {kind} for seed {seed}")


@pytest.fixture(scope="module")
def rooms() -> list[Arranger]:
    """Two rooms of each kind."""
    return [furnished(kind, seed) for seed in range(2) for kind in ROOM_KINDS]


def surface_points(item: Item, rng: np.random.Generator, count: int = 400) -> np.ndarray:
    """(N, 3) points on the triangles of an item, in the room: the larger a triangle, the more."""
    points = []
    for piece in item.pieces:
        a, b, c = np.moveaxis(piece.vertices[piece.faces], 1, 0)
        area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
        row = rng.choice(len(area), count, p=area / area.sum())
        u, v = rng.random((2, count, 1))
        u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
        points.append(a[row] + u * (b[row] - a[row]) + v * (c[row] - a[row]))
    return np.concatenate(points) @ item.T[:3, :3].T + item.T[:3, 3]


def depth_inside(points: np.ndarray, item: Item) -> float:
    """How deep the deepest of ``points`` lies in a solid of ``item``, metres; below 0: outside of all."""
    local = (points - item.T[:3, 3]) @ item.T[:3, :3]
    solids = np.concatenate([solid_boxes(piece) for piece in item.pieces])
    inward = np.minimum(local[:, None] - solids[None, :, :3], solids[None, :, 3:] - local[:, None])
    return float(inward.min(axis=2).max())


def test_nothing_runs_into_another_thing(rooms: list[Arranger]) -> None:
    rng = np.random.default_rng(0)
    for room in rooms:
        solid = [item for item in room.items if item.role not in SOFT_ROLES]
        points = [surface_points(item, rng) for item in solid]
        reach = [extent(item.boxes) for item in solid]
        for i, k in combinations(range(len(solid)), 2):
            apart = (reach[i][:3] >= reach[k][3:]).any() or (reach[k][:3] >= reach[i][3:]).any()
            if apart or solid[i].host is solid[k] or solid[k].host is solid[i]:
                continue
            deep = max(depth_inside(points[i], solid[k]), depth_inside(points[k], solid[i]))
            assert deep < TOLERANCE, (room.plan.kind, solid[i].role, solid[k].role, deep)


def test_everything_rests_on_something(rooms: list[Arranger]) -> None:
    for room in rooms:
        for item in room.items:
            low = float(item.boxes[:, 6].min())
            if item.anchor == "floor":
                assert low == pytest.approx(0, abs=1e-6)
            elif item.anchor == "ceiling":
                assert item.top == pytest.approx(room.plan.height)
            elif item.anchor == "wall":
                assert item.wall is not None
                wall = room.walls[item.wall]
                nearest = ((corners(item.boxes).reshape(-1, 2) - wall.start) @ wall.normal).min()
                assert 0 <= nearest < 0.03, item.role
            elif item.anchor == "support":
                assert rests_on_host(item), (room.plan.kind, item.role)
            else:
                assert item.anchor == "opening"


def rests_on_host(item: Item) -> bool:
    """Whether the item stands exactly on one of its host's supports, within its rectangle and its clearance."""
    assert item.host is not None
    to_host = np.linalg.inv(item.host.T) @ item.T
    vertices = np.concatenate([piece.vertices for piece in item.pieces]) @ to_host[:3, :3].T + to_host[:3, 3]
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    for piece in item.host.pieces:
        for support in piece.supports:
            center, half = np.array(support.center), np.array(support.size) / 2
            within = (low[:2] >= center[:2] - half - 1e-6).all() and (high[:2] <= center[:2] + half + 1e-6).all()
            if within and abs(low[2] - center[2]) < 1e-6 and high[2] - low[2] <= support.clearance:
                return True
    return False


def test_everything_lies_within_the_outline(rooms: list[Arranger]) -> None:
    for room in rooms:
        low, high = room.plan.bounds
        for item in room.items:
            if item.anchor == "opening":
                continue
            flat = np.concatenate([piece.vertices for piece in item.pieces]) @ item.T[:3, :3].T + item.T[:3, 3]
            assert (flat[:, :2] > low - TOLERANCE).all() and (flat[:, :2] < high + TOLERANCE).all(), item.role
            assert flat[:, 2].min() > -TOLERANCE and flat[:, 2].max() < room.plan.height + TOLERANCE
            if room.plan.notch is not None:
                cut_low, cut_high = room.plan.notch
                beyond = (flat[:, :2] > cut_low + TOLERANCE) & (flat[:, :2] < cut_high - TOLERANCE)
                assert not beyond.all(axis=1).any(), item.role


def test_doors_fill_their_openings(rooms: list[Arranger]) -> None:
    for room in rooms:
        fitted = room.of_role("door", "window")
        assert len(fitted) == len(room.plan.openings)
        for item, opening in zip(fitted, room.plan.openings, strict=True):
            assert item.width == pytest.approx(opening.width, abs=0.02)
            assert item.boxes[:, 6].min() == pytest.approx(opening.low, abs=0.02)
            assert item.top == pytest.approx(opening.high, abs=0.02)


def test_doors_can_open_and_are_connected_by_free_floor(rooms: list[Arranger]) -> None:
    for room in rooms:
        reachable = room.walkway.reachable()
        assert reachable.sum() * 0.05**2 >= min(4.0, 0.25 * room.plan.area)
        for door in room.plan.of_kind("door"):
            wall = room.walls[door.wall]
            a, b = wall.point(door.start, 0.05), wall.point(door.start + door.width, door.width)
            swing = upright_box(np.minimum(a, b), np.maximum(a, b), 0.05, 1.9)
            for item in room.items:
                if item.role not in SOFT_ROLES and item.anchor != "opening":
                    assert not meet(item.boxes, swing).any(), (room.plan.kind, item.role)


def test_windows_are_not_hidden_by_furniture(rooms: list[Arranger]) -> None:
    for room in rooms:
        for window in room.plan.of_kind("window"):
            wall = room.walls[window.wall]
            a, b = wall.point(window.start, 0.02), wall.point(window.start + window.width, 0.25)
            before = upright_box(np.minimum(a, b), np.maximum(a, b), window.low + 0.02, window.high)
            for item in room.items:
                if item.role not in ("curtain", "blinds") and item.anchor != "opening":
                    assert not meet(item.boxes, before).any(), (room.plan.kind, item.role)


def test_seats_look_at_the_table_they_are_pushed_to(rooms: list[Arranger]) -> None:
    seen = 0
    for room in rooms:
        for desk in room.of_role("desk", "school_desk", "teacher_desk"):
            middle = desk.boxes[:, :2].mean(axis=0)
            near = [c for c in room.of_role("chair", "office_chair") if np.linalg.norm(c.T[:2, 3] - middle) < 0.75]
            looks = [float((c.T[:2, :2] @ [0, -1]) @ (middle - c.T[:2, 3])) for c in near]
            seen += bool(looks) and max(looks) > 0
    assert seen > 10


def test_the_same_seed_gives_the_same_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_maker, "Style", FlatStyle)
    for seed, kind in ((1, "bathroom"), (2, None)):
        first, second = (make_room(np.random.default_rng(seed), kind) for _ in range(2))
        assert first.kind == second.kind and first.lights == second.lights and first.ambient == second.ambient
        assert first.outline.tobytes() == second.outline.tobytes()
        assert len(first.instances) == len(second.instances)
        for a, b in zip(first.instances, second.instances, strict=True):
            assert a.piece.category == b.piece.category
            assert a.vertices.tobytes() == b.vertices.tobytes()
    other = make_room(np.random.default_rng(3), "bathroom")
    assert other.outline.tobytes() != make_room(np.random.default_rng(1), "bathroom").outline.tobytes()


def test_rooms_have_their_shell_first_and_light(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_maker, "Style", FlatStyle)
    room = make_room(np.random.default_rng(5), "office")
    shell = ["floor", "ceiling"] + ["wall"] * len(room.outline)
    assert [placed.piece.category for placed in room.instances[: len(shell)]] == shell
    assert 1 <= len(room.lights) <= 3
    for light in room.lights:
        assert np.linalg.norm(light.direction) == pytest.approx(1)
        assert 0 < light.center[2] < room.height


class Crates:
    """Assets with one piece for two roles, and none for a third that they name."""

    def __init__(self) -> None:
        self.given = 0

    def roles(self) -> tuple[str, ...]:
        return ("toilet", "bathroom_sink", "trash_can")

    def construct(self, role: str, rng: np.random.Generator) -> Piece | None:
        if role == "trash_can":
            return None
        self.given += 1
        build = PieceBuilder("crate")
        build.board((-0.2, -0.2, 0), (0.2, 0.2, 0.4), FlatStyle(rng).material("wood", rng), "side")
        return build.build()


def test_assets_are_mixed_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room_maker, "Style", FlatStyle)
    crates, found = Crates(), 0
    for seed in range(6):
        room = make_room(np.random.default_rng(seed), "bathroom", crates)
        found += sum(placed.piece.category == "crate" for placed in room.instances)
    assert 3 <= found <= crates.given


def test_every_benchmark_class_comes_in_a_good_share_of_rooms() -> None:
    """Expected shares over rooms of random kinds, from four rooms of each kind."""
    weights = np.array(list(KIND_WEIGHTS.values())) / sum(KIND_WEIGHTS.values())
    shares = dict.fromkeys(SCANNET20.names, 0.0)
    shares.update(wall=1.0, floor=1.0)
    for kind, weight in zip(KIND_WEIGHTS, weights, strict=True):
        for seed in range(4):
            room = furnished(kind, 100 + seed)
            ids = sorted({CATEGORIES[piece.category].nyu40 for item in room.items for piece in item.pieces})
            for index in SCANNET20.index_of_id(np.array(ids)):
                if 0 <= index < len(SCANNET20.names):
                    shares[SCANNET20.names[int(index)]] += weight / 4
    rare = {name: share for name, share in shares.items() if share < 0.1}
    assert not rare, rare
