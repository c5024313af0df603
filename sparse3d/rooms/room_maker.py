"""A whole room from a random generator: plan, shell, furniture, lights."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.arranger import Arranger, Assets, Item, Unplaceable
from sparse3d.rooms.fixtures import fit_openings
from sparse3d.rooms.layouts import LAYOUTS
from sparse3d.rooms.layouts.groups import ceiling_lamps
from sparse3d.rooms.piece import Light, Placed, Room, RoomKind
from sparse3d.rooms.plan import Plan, draw_plan
from sparse3d.rooms.shell import build_shell
from sparse3d.rooms.style import Style

# Kinds in the shares in which they are drawn: each of the 20 classes is then in one room of six, or more.
KIND_WEIGHTS: dict[RoomKind, float] = {
    "living room": 0.16,
    "bedroom": 0.18,
    "office": 0.13,
    "kitchen": 0.21,
    "bathroom": 0.22,
    "classroom": 0.1,
}
MOST_PLANS = 20
_MOST_LIGHTS = 3


def make_room(rng: np.random.Generator, kind: RoomKind | None = None, assets: Assets | None = None) -> Room:
    """A furnished room of ``kind``, or of one drawn by :data:`KIND_WEIGHTS`; all that is random comes from ``rng``.

    ``assets`` has furniture that is mixed with the parametric pieces. Optional things that find no place are left out;
    where a needed one finds none, a new plan is drawn. Raises :class:`Unplaceable` after :data:`MOST_PLANS` plans.
    """
    if kind is None:
        kinds = list(KIND_WEIGHTS)
        weights = np.array(list(KIND_WEIGHTS.values()))
        kind = kinds[int(rng.choice(len(kinds), p=weights / weights.sum()))]
    missing = ""
    for _ in range(MOST_PLANS):
        try:
            return _furnish(rng, draw_plan(rng, kind), assets)
        except Unplaceable as error:
            missing = str(error)
    raise Unplaceable(f"no place for {missing!r} in {MOST_PLANS} plans of a {kind}")


def _furnish(rng: np.random.Generator, plan: Plan, assets: Assets | None) -> Room:
    style = Style(rng)
    shell = build_shell(rng, plan, style)
    arranger = arrange(rng, plan, style, assets)
    instances: tuple[Placed, ...] = (*shell, *arranger.placed())
    lights, ambient = _light(arranger)
    return Room(plan.kind, plan.outline, plan.height, instances, lights, ambient)


def arrange(rng: np.random.Generator, plan: Plan, style: Style, assets: Assets | None = None) -> Arranger:
    """Everything but the shell, placed. Raises :class:`Unplaceable` if a needed thing has no place on this plan."""
    arranger = Arranger(rng, plan, style, assets)
    if not arranger.walkway.is_enough():
        raise Unplaceable("a way between the doors")
    fit_openings(arranger)
    ceiling_lamps(arranger)
    LAYOUTS[plan.kind](arranger)
    return arranger


def _light(room: Arranger) -> tuple[tuple[Light, ...], tuple[float, float, float]]:
    """Lamps below the ceiling, daylight at the largest windows, and what comes from everywhere."""
    rng = room.rng
    warmth = float(rng.uniform(0, 1))
    daylight = float(rng.uniform(0.2, 0.9))
    lights = [_lamp_light(rng, item, warmth) for item in room.of_role("ceiling_lamp")]
    windows = sorted(room.plan.of_kind("window"), key=lambda w: -w.width * (w.high - w.low))
    for window in windows[: _MOST_LIGHTS - len(lights)]:
        wall = room.walls[window.wall]
        at = wall.point(window.middle, 0.2)
        direction = (float(wall.normal[0]), float(wall.normal[1]), 0.0)
        size = (window.width, window.high - window.low)
        center = (float(at[0]), float(at[1]), (window.low + window.high) / 2)
        lights.append(Light(center, direction, size, _scaled((0.85, 0.94, 1.0), daylight)))
    ambient = rng.uniform(0.22, 0.4) * np.array([1.0, 0.98 - 0.05 * warmth, 0.96 - 0.12 * warmth])
    return tuple(lights), _scaled(tuple(ambient), 1.0)


def _lamp_light(rng: np.random.Generator, item: Item, warmth: float) -> Light:
    """An area light just below a lamp's lowest point, warm to cool."""
    low = float(item.boxes[:, 6].min())
    at = item.boxes[:, :2].mean(axis=0)
    color = (1.0, 0.97 - 0.14 * warmth, 0.95 - 0.35 * warmth)
    side = float(rng.uniform(0.3, 0.7))
    return Light((float(at[0]), float(at[1]), low - 0.03), (0.0, 0.0, -1.0), (side, side),
                 _scaled(color, float(rng.uniform(0.6, 1.1))))  # fmt: skip


def _scaled(color: tuple[float, ...], factor: float) -> tuple[float, float, float]:
    return float(color[0] * factor), float(color[1] * factor), float(color[2] * factor)
