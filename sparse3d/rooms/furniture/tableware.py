"""What stands on tables and counters: cups, bottles, bowls, plates, vases, jars."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.shapes import arc, leaf, one_of, tinted, tube
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.style import Style

Profile = list[tuple[float, float]]


def _turned(build: PieceBuilder, profile: Profile, radius: float, height: float, material: Material, part: str = "body",
            sides: int = 14, low: float = 0.0) -> None:  # fmt: skip
    """A profile of (share of ``radius``, share of ``height``) turned about z, from ``low`` up."""
    build.turned([(r * radius, t) for r, t in profile], material, part, (0, 0, low), (0, 0, low + height), sides)


def _grip(build: PieceBuilder, x: float, z: float, size: float, material: Material) -> None:
    """A cup's ear of height 2 ``size`` at the right side."""
    tube(build, arc((x, 0, z), size, -np.pi / 2, np.pi / 2, steps=5), 0.13 * size + 0.001, material, "handle", sides=5)


@construction("cup")
def mug(rng: np.random.Generator, style: Style) -> Piece:
    """A straight mug, often with something in it."""
    radius, height = rng.uniform(0.036, 0.046), rng.uniform(0.08, 0.11)
    build, clay = PieceBuilder("cup"), style.material("ceramic", rng)
    _turned(build, [(0, 0), (0.95, 0), (1, 0.06), (1, 1), (0.9, 1), (0.9, 0.08), (0, 0.08)], radius, height, clay)
    _grip(build, 0.98 * radius, 0.5 * height, 0.3 * height, clay)
    if rng.random() < 0.5:
        drink = tinted(style.material("wood", rng), 0.5)
        build.cylinder((0, 0, 0.7 * height), (0, 0, 0.8 * height), 0.91 * radius, drink, "content", sides=14)
    return build.build()


@construction("cup")
def tea_cup(rng: np.random.Generator, style: Style) -> Piece:
    """A round cup, with or without a saucer."""
    radius, height = rng.uniform(0.04, 0.052), rng.uniform(0.055, 0.07)
    build, clay = PieceBuilder("cup"), style.material("ceramic", rng)
    low = 0.0
    if rng.random() < 0.6:
        _turned(build, [(0, 0), (0.9, 0), (1.6, 1), (0.8, 0.4), (0, 0.4)], radius, 0.015, clay, "saucer")
        low = 0.006
    _turned(build, [(0, 0), (0.5, 0), (0.8, 0.3), (1, 1), (0.92, 1), (0.7, 0.3), (0, 0.1)], radius, height, clay,
            low=low)  # fmt: skip
    _grip(build, 0.88 * radius, low + 0.6 * height, 0.26 * height, clay)
    return build.build()


@construction("cup")
def tumbler(rng: np.random.Generator, style: Style) -> Piece:
    """A glass or a paper cup, wider above than below, or on a stem."""
    radius, height = rng.uniform(0.03, 0.045), rng.uniform(0.09, 0.14)
    build, glass = PieceBuilder("cup"), style.material(one_of(rng, "glass", "plastic", "paper"), rng)
    if rng.random() < 0.35:
        shape = [(0, 0), (0.9, 0), (0.12, 0.04), (0.1, 0.45), (0.7, 0.55), (1, 0.75), (0.85, 1), (0.8, 1), (0, 0.55)]
        _turned(build, shape, radius, 1.5 * height, glass)
        return build.build()
    _turned(build, [(0, 0), (0.75, 0), (1, 1), (0.95, 1), (0.72, 0.05), (0, 0.05)], radius, height, glass)
    if rng.random() < 0.4:
        _turned(build, [(1.04, 0), (1.04, 0.4), (0.9, 1), (0, 1)], radius, 0.012, style.material("plastic", rng), "lid",
                low=height - 0.003)  # fmt: skip
    return build.build()


@construction("bottle")
def bottle(rng: np.random.Generator, style: Style) -> Piece:
    """A bottle with a neck: slender or bellied, with a label and a cap."""
    radius, height = rng.uniform(0.03, 0.042), rng.uniform(0.2, 0.33)
    build, glass = PieceBuilder("bottle"), style.material(one_of(rng, "glass", "plastic"), rng)
    shapes: tuple[Profile, ...] = (
        [(0, 0), (1, 0), (1, 0.62), (0.35, 0.78), (0.33, 1), (0, 1)],
        [(0, 0), (0.95, 0), (1, 0.4), (0.38, 0.85), (0.38, 1), (0, 1)],
        [(0, 0), (0.9, 0), (1, 0.1), (0.85, 0.3), (1, 0.5), (0.95, 0.7), (0.35, 0.9), (0.35, 1), (0, 1)],
    )
    _turned(build, shapes[int(rng.integers(3))], radius, height, glass)
    cap = style.material(one_of(rng, "plastic", "metal"), rng)
    build.cylinder((0, 0, height - 0.022), (0, 0, height + 0.003), 0.42 * radius, cap, "cap", sides=10)
    if rng.random() < 0.7:
        label = style.material("paper", rng)
        build.cylinder((0, 0, 0.2 * height), (0, 0, 0.48 * height), 1.012 * radius, label, "label", 14, caps=False)
    return build.build()


@construction("bottle")
def spray_or_flask(rng: np.random.Generator, style: Style) -> Piece:
    """A spray bottle with a trigger, or a flask with a big lid."""
    radius, height = rng.uniform(0.032, 0.045), rng.uniform(0.17, 0.26)
    build, body = PieceBuilder("bottle"), style.material(one_of(rng, "plastic", "metal"), rng)
    lid = style.material("plastic", rng)
    if rng.random() < 0.5:
        _turned(build, [(0, 0), (0.97, 0), (1, 0.03), (1, 0.8), (0.85, 0.84), (0, 0.84)], radius, height, body)
        _turned(build, [(0.85, 0), (0.85, 0.9), (0.75, 1), (0, 1)], radius, 0.16 * height, lid, "cap",
                low=0.84 * height)  # fmt: skip
        return build.build()
    _turned(build, [(0, 0), (1, 0), (1, 0.55), (0.4, 0.8), (0.35, 0.86), (0, 0.86)], radius, height, body)
    top = 0.86 * height
    build.board((-0.012, -0.06, top), (0.012, 0.03, top + 0.03), lid, "cap")
    build.box((0, -0.03, top - 0.012), (0.012, 0.008, 0.04), lid, "trigger", tilt=-0.3)
    return build.build()


@construction("bowl")
def bowl(rng: np.random.Generator, style: Style) -> Piece:
    """An open bowl, empty or with fruit in it."""
    radius = float(rng.uniform(0.07, 0.15))
    height, clay = (
        radius * float(rng.uniform(0.45, 0.8)),
        style.material(one_of(rng, "ceramic", "wood", "glass", "metal"), rng),
    )
    build, straight = PieceBuilder("bowl"), float(rng.uniform(0.7, 0.95))
    shape = [(0, 0), (0.45, 0), (straight, 0.5), (1, 1), (0.95, 1), (straight - 0.06, 0.5), (0.4, 0.1), (0, 0.1)]
    _turned(build, shape, radius, height, clay, sides=18)
    if rng.random() < 0.5:
        fruit = style.material(one_of(rng, "leaf", "painted"), rng)
        size = 0.55 * radius
        for angle in np.arange(count := int(rng.integers(3, 5))) * 2 * np.pi / count:
            center = (0.42 * radius * np.cos(angle), 0.42 * radius * np.sin(angle), 0.2 * height + size / 2)
            build.cushion(center, (size, size, size), fruit, "content", 1.0, steps=5)
    return build.build()


@construction("plate")
def plate(rng: np.random.Generator, style: Style) -> Piece:
    """A round plate, alone or some stacked, at times with a meal on it."""
    radius, clay = float(rng.uniform(0.09, 0.14)), style.material(one_of(rng, "ceramic", "ceramic", "plastic"), rng)
    build, count = PieceBuilder("plate"), int(rng.choice([1, 1, 3, 5]))
    for k in range(count):
        _turned(build, [(0, 0), (0.6, 0), (1, 1), (0.98, 1), (0.6, 0.25), (0, 0.25)], radius, 0.02, clay, sides=18,
                low=0.006 * k)  # fmt: skip
    if count == 1 and rng.random() < 0.4:
        build.cushion((0.01, 0, 0.012), (radius, 0.8 * radius, 0.03), style.material("leaf", rng), "content", 0.8, 5)
    return build.build()


@construction("vase")
def vase(rng: np.random.Generator, style: Style) -> Piece:
    """A vase, with flowers, twigs or nothing in it."""
    height = float(rng.uniform(0.16, 0.36))
    build, clay = PieceBuilder("vase"), style.material(one_of(rng, "ceramic", "glass", "ceramic", "metal"), rng)
    shapes: tuple[Profile, ...] = (
        [(0, 0), (0.5, 0), (1, 0.4), (0.75, 0.7), (0.4, 0.85), (0.55, 1), (0.48, 1), (0.3, 0.85), (0.3, 0.5)],
        [(0, 0), (0.6, 0), (0.7, 0.5), (1, 1), (0.93, 1), (0.6, 0.5), (0, 0.1)],
        [(0, 0), (0.9, 0), (1, 0.15), (0.8, 0.45), (0.25, 0.6), (0.25, 0.95), (0.35, 1), (0.2, 0.95), (0.2, 0.6)],
        [(0, 0), (0.8, 0), (0.8, 1), (0.72, 1), (0.72, 0.1), (0, 0.1)],
    )
    radius = height * float(rng.uniform(0.22, 0.38))
    _turned(build, shapes[int(rng.integers(4))], radius, height, clay)
    if rng.random() < 0.65:
        green, bloom = style.material("leaf", rng), style.material("painted", rng)
        for k in range(int(rng.integers(3, 8))):
            angle, lean = 2.4 * k, rng.uniform(0.02, 0.35)
            tip = np.array([np.cos(angle) * lean, np.sin(angle) * lean, 1.0]) * height * rng.uniform(1.3, 1.8)
            tip[:2] *= 0.6
            build.cylinder((0, 0, 0.1 * height), tip, 0.0025, green, "stem", sides=4, caps=False)
            build.cushion(tip, (0.05, 0.05, 0.04), bloom, "flower", 1.0, steps=4)
            leaf(build, tip * 0.75, angle, 0.08, 0.03, 0.05, 0.03, green, rows=2)
    return build.build()


@construction("jar")
def jar(rng: np.random.Generator, style: Style) -> Piece:
    """A jar with a lid: of glass, of clay, or a tin."""
    radius, height = rng.uniform(0.035, 0.07), rng.uniform(0.08, 0.2)
    build, body = PieceBuilder("jar"), style.material(one_of(rng, "glass", "ceramic", "metal"), rng)
    lid = style.material(one_of(rng, "metal", "wood", "plastic"), rng)
    _turned(build, [(0, 0), (0.95, 0), (1, 0.05), (1, 0.8), (0.85, 0.9), (0, 0.9)], radius, height, body)
    build.cylinder((0, 0, 0.88 * height), (0, 0, height), 0.9 * radius, lid, "lid", sides=14)
    if rng.random() < 0.35:
        build.cushion((0, 0, height + 0.008), (0.025, 0.025, 0.022), lid, "handle", 1.0, steps=5)
    return build.build()
