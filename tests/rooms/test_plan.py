"""Floor plans and shells: areas, openings that keep apart, walls that are closed but for them."""

from __future__ import annotations

import numpy as np
import pytest

from sparse3d.rooms.piece import ROOM_KINDS, Material
from sparse3d.rooms.plan import AREA_RANGES, HEIGHT_RANGE, Plan, draw_plan, polygon_area
from sparse3d.rooms.shell import BASEBOARD_THICKNESS, WALL_THICKNESS, build_shell


class FlatStyle:
    """Materials without texture, which take no time to make."""

    def material(self, kind: str, rng: np.random.Generator, **wishes: object) -> Material:
        return Material(kind, np.full((2, 2, 3), 0.5, dtype=np.float32), 1.0)


@pytest.fixture(scope="module")
def plans() -> list[Plan]:
    return [draw_plan(np.random.default_rng(seed), ROOM_KINDS[seed % len(ROOM_KINDS)]) for seed in range(180)]


def test_areas_and_heights_are_within_the_stated_ranges(plans: list[Plan]) -> None:
    for plan in plans:
        low, high = AREA_RANGES[plan.kind]
        assert 12 <= low <= plan.area + 1e-9 and plan.area - 1e-9 <= high <= 50
        assert HEIGHT_RANGE[0] <= plan.height <= HEIGHT_RANGE[1]


def test_outlines_turn_counter_clockwise_and_both_shapes_occur(plans: list[Plan]) -> None:
    assert all(polygon_area(plan.outline) > 0 for plan in plans)
    assert {len(plan.outline) for plan in plans} == {4, 6}
    for plan in plans:
        rectangles = sum(float(np.prod(high - low)) for low, high in plan.rectangles())
        assert rectangles == pytest.approx(plan.area)


def test_every_room_has_a_door_and_a_window_and_a_wall_without_windows(plans: list[Plan]) -> None:
    doors = [len(plan.of_kind("door")) for plan in plans]
    assert set(doors) == {1, 2}
    assert all(plan.of_kind("window") for plan in plans)
    assert all(len({w.wall for w in plan.of_kind("window")}) < len(plan.walls) for plan in plans)


def test_openings_lie_within_their_wall_and_keep_apart(plans: list[Plan]) -> None:
    for plan in plans:
        for opening in plan.openings:
            assert opening.start > 0.2
            assert opening.start + opening.width < plan.walls[opening.wall].length - 0.2
            assert 0 <= opening.low < opening.high < plan.height - 0.1
            for other in plan.openings:
                if other is not opening and other.wall == opening.wall:
                    assert abs(other.middle - opening.middle) > (other.width + opening.width) / 2 + 0.3


def test_walls_inner_sides_are_the_outline_and_miss_exactly_the_openings(plans: list[Plan]) -> None:
    for seed, plan in enumerate(plans[:24]):
        shell = build_shell(np.random.default_rng(seed), plan, FlatStyle())  # type: ignore[arg-type]
        assert [placed.piece.category for placed in shell] == ["floor", "ceiling"] + ["wall"] * len(plan.walls)
        for row, (wall, placed) in enumerate(zip(plan.walls, shell[2:], strict=True)):
            corners = placed.vertices[placed.piece.faces]
            inward = (corners[..., :2] - wall.start) @ wall.normal
            assert inward.min() > -WALL_THICKNESS - 1e-9
            assert inward.max() < BASEBOARD_THICKNESS + 1e-9
            part = np.array(placed.piece.parts)[placed.piece.face_part]
            flat = (np.abs(inward).max(axis=1) < 1e-9) & (part == "wall")
            a, b, c = np.moveaxis(corners[flat], 1, 0)
            area = np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2
            holes = sum(o.width * (o.high - o.low) for o in plan.openings if o.wall == row)
            assert area == pytest.approx(wall.length * plan.height - holes)


def test_floor_and_ceiling_cover_the_outline(plans: list[Plan]) -> None:
    for seed, plan in enumerate(plans[:24]):
        floor, ceiling = build_shell(np.random.default_rng(seed), plan, FlatStyle())[:2]  # type: ignore[arg-type]
        for placed, height in ((floor, 0.0), (ceiling, plan.height)):
            a, b, c = np.moveaxis(placed.vertices[placed.piece.faces], 1, 0)
            assert np.linalg.norm(np.cross(b - a, c - a), axis=1).sum() / 2 == pytest.approx(plan.area)
            assert np.allclose(placed.vertices[:, 2], height)


def test_baseboards_stop_at_doors(plans: list[Plan]) -> None:
    seen = 0
    for seed, plan in enumerate(plans[:24]):
        shell = build_shell(np.random.default_rng(seed), plan, FlatStyle())  # type: ignore[arg-type]
        for door in plan.of_kind("door"):
            wall, piece = plan.walls[door.wall], shell[2 + door.wall].piece
            if "baseboard" not in piece.parts:
                continue
            board = piece.faces[piece.face_part == piece.parts.index("baseboard")]
            along = (piece.vertices[board][..., :2] - wall.start) @ wall.direction
            beyond = (along.max(axis=1) <= door.start + 1e-9) | (along.min(axis=1) >= door.start + door.width - 1e-9)
            assert beyond.all()
            seen += 1
    assert seen > 3
