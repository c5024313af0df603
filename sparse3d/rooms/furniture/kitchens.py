"""Kitchen runs and islands: cabinets, the work top over them, the sink in it and appliances between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.appliances import carcass as appliance_shell
from sparse3d.rooms.furniture.appliances import cooker, cooktop, dishwasher_front, enamelled, oven_front
from sparse3d.rooms.furniture.casework import Joinery, carcass, doors, draw_joinery, drawers, feet, shelf_boards
from sparse3d.rooms.furniture.grouping import build_group, material_of, maybe
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.style import Style
from sparse3d.rooms.vessels import Ring, basin, plate_with_hole, tap

FOOT = 0.1
RIM = 0.02
CLEAR = 0.002  # between what stands side by side


@dataclass(frozen=True)
class Run:
    """Measures of one run: the counter spans y from 0 to ``depth``, fronts begin 3 cm behind its edge."""

    width: float
    depth: float
    height: float
    thick: float  # of the work top

    @property
    def under(self) -> float:
        """The work top's lower side."""
        return self.height - self.thick


def plan_units(rng: np.random.Generator, width: float, wanted: list[tuple[str, float]]) -> list[tuple[str, float]]:
    """Units (kind, width) that fill ``width``: the ``wanted`` ones as far as there is room, cabinets between."""
    units: list[tuple[str, float]] = []
    for kind, wide in wanted:
        if sum(w for _, w in units) + wide <= width + 1e-9:
            units.append((kind, wide))
    rest = width - sum(w for _, w in units)
    if rest < 0.28 and units:
        units[0] = (units[0][0], units[0][1] + rest)  # the sink's cabinet takes the little that is left
    else:
        count = max(1, round(rest / rng.uniform(0.42, 0.6)))
        units += [("cabinet", rest / count)] * count
    return [units[int(k)] for k in rng.permutation(len(units))]


def base_cabinets(rng: np.random.Generator, joinery: Joinery, run: Run, x: float,
                  units: list[tuple[str, float]]) -> PieceBuilder:  # fmt: skip
    """Neighbouring cabinets from ``x`` on, open above, where the work top lies."""
    build = PieceBuilder("kitchen cabinet")
    total = sum(w for _, w in units)
    feet(build, "plinth", (x, 0.03), (x + total, run.depth), FOOT, joinery.body)
    for kind, wide in units:
        carcass(build, (x, 0.03, FOOT), (x + wide, run.depth, run.under), joinery, top=False)
        low, high, count = (x, FOOT), (x + wide, run.under), 1 if wide < 0.55 else 2
        if kind == "sink" or maybe(rng, 0.35):
            doors(build, joinery, low, high, 0.03, count, grip=0.9)
        elif maybe(rng):
            drawers(build, joinery, low, high, 0.03, [1.5, 1.5, 1] if maybe(rng) else [1.2, 1.1, 1, 0.7])
        else:
            split = run.under - rng.uniform(0.14, 0.2)
            drawers(build, joinery, (low[0], split), high, 0.03, [1])
            doors(build, joinery, low, (high[0], split), 0.03, count, grip=0.9)
        x += wide
    return build


def lay_work_top(build: PieceBuilder, run: Run, x: tuple[float, float], material: Material, hole: Ring | None,
                 lip: float, blocked: list[tuple[float, float]]) -> None:  # fmt: skip
    """The work top over ``x``, around ``hole`` where there is one, with a lip at the wall, and its supports.

    ``blocked``: stretches along x where something is set on it.
    """
    x0, x1 = x
    if hole is None:
        build.board((x0, 0, run.under), (x1, run.depth, run.height), material, "top")
        free = [(x0, x1)]
    else:
        a, b = max(x0, hole.x - hole.half[0] - 0.12), min(x1, hole.x + hole.half[0] + 0.12)
        outline = np.array([(a, 0), (b, 0), (b, run.depth), (a, run.depth)])
        plate_with_hole(build, outline, hole, run.under, run.height, material, "top")
        free = [(x0, a), (b, x1)]
        for p, q in free:
            if q - p > 1e-6:
                build.board((p, 0, run.under), (q, run.depth, run.height), material, "top")
    if lip:
        build.board((x0, run.depth - 0.015, run.height), (x1, run.depth, run.height + lip), material, "back")
    for a, b in blocked:
        free = [side for p, q in free for side in ((p, min(q, a)), (max(p, b), q))]
    for p, q in free:
        if q - p > 0.15:
            build.support(((p + q) / 2, run.depth / 2 - 0.01, run.height), (q - p - 0.04, run.depth - 0.07), 0.45)


def let_in_sink(build: PieceBuilder, rng: np.random.Generator, steel: Material, metal: Material, hole: Ring,
                top: float, depth: float) -> None:  # fmt: skip
    """A basin hung into ``hole`` of a top at height ``top``, and a tap on a ledge behind it."""
    size = 2 * (hole.half[0] + RIM), 2 * (hole.half[1] + RIM)
    basin(build, (hole.x, hole.y, top + 0.006), size, depth, steel, hole.power, RIM)
    back = hole.y + size[1] / 2
    build.board((hole.x - 0.08, back - 0.004, top), (hole.x + 0.08, back + 0.05, top + 0.007), steel, "rim")
    drain = (hole.x, hole.y, top + 0.006 - depth + 0.008)
    build.cylinder(drain, (drain[0], drain[1], drain[2] + 0.003), 0.03, metal, "drain", 12)
    tap(
        build,
        (hole.x, back + 0.023, top + 0.007),
        rng.uniform(0.16, 0.32),
        rng.uniform(0.14, 0.2),
        metal,
        maybe(rng, 0.7),
    )


def _built_in(rng: np.random.Generator, joinery: Joinery, run: Run, x: tuple[float, float], kind: str) -> PieceBuilder:
    """A dishwasher or an oven under the work top."""
    build = PieceBuilder(kind)
    a, b, top = x[0] + CLEAR, x[1] - CLEAR, run.under - CLEAR
    feet(build, "plinth", (a, 0.03), (b, run.depth - 0.02), FOOT, joinery.pane)
    appliance_shell(build, (a, 0.03, FOOT), (b, run.depth - 0.02, top), joinery)
    if kind == "dishwasher":
        dishwasher_front(build, joinery, (a, b), (FOOT, top), 0.03)
    else:
        oven_front(build, rng, joinery, (a, b), (FOOT, top), 0.03, 3)
    return build


def _draw_hole(rng: np.random.Generator, run: Run, x: float, wide: float) -> Ring:
    """The sink's hole in the work top over the unit from ``x`` on: a rectangle with round corners, or a circle."""
    a, b = min(float(rng.uniform(0.2, 0.32)), wide / 2 - 0.065), float(rng.uniform(0.16, 0.19))
    power = float(rng.choice([0.2, 0.3, 1.0]))
    half = (min(a, b), min(a, b)) if power == 1.0 else (a, b)
    return Ring(run.height, half, x + wide / 2, run.depth * 0.42, power)


def _assemble(rng: np.random.Generator, style: Style, run: Run, units: list[tuple[str, float]],
              material: Material) -> tuple[Piece, ...]:  # fmt: skip
    """Build ``units`` from left to right, the work tops between the stoves, and what is let into them."""
    joinery, steel = draw_joinery(rng, style), enamelled(rng, style)
    sink_kind = material_of(rng, style, "metal", "metal", "ceramic", "stone")
    lip = 0.05 if maybe(rng, 0.4) else 0.0
    cabinets: list[PieceBuilder] = []
    tops: list[PieceBuilder] = []
    others: list[PieceBuilder] = []
    edges = np.concatenate([[0.0], np.cumsum([w for _, w in units])])
    neighbours, blocked = list[tuple[str, float]](), list[tuple[float, float]]()
    begin, hole = 0.0, None

    def close_top(end: float) -> None:
        if end - begin > 1e-6:
            tops.append(PieceBuilder("kitchen counter"))
            lay_work_top(tops[-1], run, (begin, end), material, hole, lip, blocked)

    for k, (kind, wide) in enumerate([*units, ("end", 0.0)]):
        x = float(edges[k])
        if kind in ("cabinet", "sink"):
            neighbours.append((kind, wide))
        elif neighbours:
            start = x - sum(w for _, w in neighbours)
            cabinets.append(base_cabinets(rng, joinery, run, start, neighbours))
            neighbours = []
        if kind == "sink":
            hole = _draw_hole(rng, run, x, wide)
            others.append(PieceBuilder("sink"))
            let_in_sink(others[-1], rng, sink_kind, joinery.metal, hole, run.height, rng.uniform(0.14, 0.2))
        elif kind == "stove":
            close_top(x)
            begin, hole, blocked = x + wide, None, []
            others.append(PieceBuilder("stove"))
            cooker(others[-1], rng, steel, (x + CLEAR, x + wide - CLEAR), (0.03, run.depth), run.height, maybe(rng))
        elif kind in ("dishwasher", "oven"):
            others.append(_built_in(rng, steel, run, (x, x + wide), kind))
            if kind == "oven":
                others.append(PieceBuilder("stove"))
                blocked.append((x, x + wide))
                cooktop(
                    others[-1], rng, steel, (x + wide / 2, run.depth / 2, run.height), (wide - 0.03, 0.5), maybe(rng)
                )
    close_top(run.width)
    return build_group(*cabinets, *tops, *others)


def _draw_run(rng: np.random.Generator, width: float) -> Run:
    return Run(width, float(rng.uniform(0.6, 0.65)), float(rng.uniform(0.86, 0.93)), float(rng.uniform(0.025, 0.045)))


@construction("kitchen_run")
def kitchen_run(rng: np.random.Generator, style: Style, width: float | None = None, with_sink: bool = True,
                with_stove: bool | None = None, with_dishwasher: bool | None = None) -> tuple[Piece, ...]:  # fmt: skip
    """A straight run of 1.2 m or more, a group in one frame.

    Cabinets, their work tops, then what is set in: the sink in its hole; a stove between two work tops, or a cooktop
    on the top over an oven; a dishwasher. What does not fit into ``width`` is left out, the dishwasher first.
    """
    width = width or float(rng.uniform(1.8, 3.6))
    run = _draw_run(rng, width)
    wanted = [("sink", 0.8 if width > 2.2 and maybe(rng) else 0.6)] if with_sink else []
    if with_stove if with_stove is not None else maybe(rng, 0.6):
        wanted.append((str(rng.choice(["stove", "oven"])), float(rng.choice([0.5, 0.6]))))
    if with_dishwasher if with_dishwasher is not None else maybe(rng, 0.5):
        wanted.append(("dishwasher", float(rng.choice([0.45, 0.6]))))
    units = plan_units(rng, width, wanted)
    return _assemble(rng, style, run, units, material_of(rng, style, "stone", "wood", "stone", "metal", "painted"))


@construction("island")
def cabinet_island(rng: np.random.Generator, style: Style, width: float | None = None) -> tuple[Piece, ...]:
    """Doors or drawers at the front, panels behind, a top that stands over for knees at the back."""
    width = width or float(rng.uniform(1.2, 2.2))
    run = Run(width, float(rng.uniform(0.6, 0.75)), float(rng.uniform(0.88, 0.95)), float(rng.uniform(0.03, 0.05)))
    joinery, over = draw_joinery(rng, style), float(rng.choice([0.03, 0.28]))
    count = max(2, round(width / 0.6))
    cabinet = base_cabinets(rng, joinery, run, 0.03, [("cabinet", (width - 0.06) / count)] * count)
    top = PieceBuilder("kitchen counter")
    material = material_of(rng, style, "stone", "wood", "metal")
    top.board((0, 0, run.under), (width, run.depth + over, run.height), material, "top")
    top.support((width / 2, (run.depth + over) / 2, run.height), (width - 0.06, run.depth + over - 0.06), 0.9)
    return build_group(cabinet, top)


@construction("island")
def open_island(rng: np.random.Generator, style: Style, width: float | None = None) -> tuple[Piece, ...]:
    """A butcher's table: four posts, drawers under the top, open boards below."""
    width, depth, height = width or float(rng.uniform(1.0, 1.6)), rng.uniform(0.6, 0.8), rng.uniform(0.88, 0.94)
    joinery, thick = draw_joinery(rng, style), rng.uniform(0.03, 0.05)
    cabinet, top = PieceBuilder("kitchen cabinet"), PieceBuilder("kitchen counter")
    body, under, post = joinery.body, height - thick, 0.06
    a, b = (0.04, 0.04), (width - 0.04, depth - 0.04)
    for x in (a[0], b[0] - post):
        for y in (a[1], b[1] - post):
            cabinet.board((x, y, 0), (x + post, y + post, under), body, "leg")
    split = under - rng.uniform(0.14, 0.2)
    cabinet.board((a[0], a[1] + 0.02, split), (b[0], b[1], split + joinery.board), body, "shelf")
    for x in (a[0] + 0.02, b[0] - 0.04):
        cabinet.board((x, a[1] + post, split), (x + 0.02, b[1] - post, under), body, "side")
    cabinet.board((a[0] + post, b[1] - 0.04, split), (b[0] - post, b[1] - 0.02, under), body, "back")
    drawers(cabinet, joinery, (a[0] + post, split), (b[0] - post, under), a[1] + 0.025, [1], columns=2)
    levels = [0.15, 0.45][: int(rng.integers(1, 3))]
    for z, above in zip(levels, [*levels[1:], split], strict=True):
        cabinet.board((a[0] + 0.01, a[1] + 0.01, z), (b[0] - 0.01, b[1] - 0.01, z + 0.022), body, "shelf")
        cabinet.support((width / 2, depth / 2, z + 0.022), (width - 0.3, depth - 0.26), above - z - 0.022)
    top.board((0, 0, under), (width, depth, height), material_of(rng, style, "wood", "stone"), "top")
    top.support((width / 2, depth / 2, height), (width - 0.06, depth - 0.06), 0.9)
    return build_group(cabinet, top)


@construction("island")
def waterfall_island(rng: np.random.Generator, style: Style, width: float | None = None) -> tuple[Piece, ...]:
    """The top turns down to the floor at both ends; cabinets between, and open boards at one side."""
    width, depth, height = width or float(rng.uniform(1.4, 2.4)), rng.uniform(0.7, 0.95), rng.uniform(0.88, 0.94)
    joinery, thick = draw_joinery(rng, style), float(rng.uniform(0.03, 0.06))
    material = material_of(rng, style, "stone", "wood", "painted")
    cabinet, top = PieceBuilder("kitchen cabinet"), PieceBuilder("kitchen counter")
    top.board((0, 0, height - thick), (width, depth, height), material, "top")
    for x in (0, width - thick):
        top.board((x, 0, 0), (x + thick, depth, height - thick), material, "side")
    top.support((width / 2, depth / 2, height), (width - 0.06, depth - 0.06), 0.9)
    x0, x1, under, back = thick, width - thick, height - thick, depth - float(rng.choice([0.02, 0.25]))
    split = x0 + (x1 - x0) * rng.uniform(0.2, 0.35)
    feet(cabinet, "plinth", (x0, 0.03), (x1, back), FOOT, joinery.body)
    low, high = carcass(cabinet, (x0, 0.03, FOOT), (split, back, under), joinery)
    shelf_boards(cabinet, low, high, [float(low[2] + (high[2] - low[2]) / 2)], joinery)
    carcass(cabinet, (split, 0.03, FOOT), (x1, back, under), joinery)
    doors(cabinet, joinery, (split, FOOT), (x1, under), 0.03, max(2, round((x1 - split) / 0.5)), grip=0.85)
    return build_group(cabinet, top)
