"""Small machines of the kitchen."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.furniture import construction
from sparse3d.rooms.furniture.shapes import arc, one_of, tinted, tube
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.style import Style


def _case(rng: np.random.Generator, style: Style) -> Material:
    material = style.material(one_of(rng, "metal", "plastic", "painted"), rng)
    return tinted(material, *((0.2, 0.0), (0.5, 0.8), (1.0, 0.0))[int(rng.integers(3))])


@construction("microwave")
def microwave(rng: np.random.Generator, style: Style) -> Piece:
    """A box with a dark pane, a handle or a button, and a panel of keys at the right."""
    width, depth, height = rng.uniform(0.44, 0.54), rng.uniform(0.33, 0.42), rng.uniform(0.26, 0.32)
    build, case = PieceBuilder("microwave"), _case(rng, style)
    dark, y = tinted(style.material("glass", rng), 0.2), -depth / 2
    build.board((-width / 2, y, 0.012), (width / 2, depth / 2, height), case, "case")
    for x in (-0.4 * width, 0.4 * width):
        build.board((x - 0.02, y + 0.03, 0), (x + 0.02, depth / 2 - 0.03, 0.012), dark, "foot")
    split = 0.24 * width
    build.board((-width / 2 + 0.01, y - 0.015, 0.022), (split, y, height - 0.01), case, "door")
    build.board((-width / 2 + 0.05, y - 0.016, 0.06), (split - 0.045, y - 0.01, height - 0.05), dark, "pane")
    if rng.random() < 0.7:
        tube(build, [(split - 0.02, y - 0.015, 0.06), (split - 0.02, y - 0.04, 0.08), (split - 0.02, y - 0.04,
             height - 0.07), (split - 0.02, y - 0.015, height - 0.05)], 0.007, _case(rng, style), "handle")  # fmt: skip
    build.board((split + 0.012, y - 0.002, height - 0.075), (width / 2 - 0.015, y, height - 0.035), dark, "display")
    middle = (split + width / 2) / 2
    if rng.random() < 0.4:
        for z in (0.35 * height, 0.6 * height):
            build.cylinder((middle, y, z), (middle, y - 0.02, z), 0.022, dark, "knob", sides=12)
    else:
        for k in range(9):
            x, z = middle + 0.028 * (k % 3 - 1), 0.06 + 0.04 * (k // 3)
            build.board((x - 0.01, y - 0.003, z - 0.012), (x + 0.01, y, z + 0.012), dark, "key")
    return build.build()


@construction("kettle")
def electric_kettle(rng: np.random.Generator, style: Style) -> Piece:
    """A tapered jug on a round base, with a spout and a bowed handle."""
    radius, height = rng.uniform(0.07, 0.085), rng.uniform(0.2, 0.26)
    build, body = PieceBuilder("kettle"), _case(rng, style)
    dark = tinted(style.material("plastic", rng), 0.25)
    build.cylinder((0, 0, 0), (0, 0, 0.025), 1.05 * radius, dark, "base", sides=16)
    profile = [(0, 0), (1, 0), (0.95, 0.5), (0.75, 1), (0, 1.04)]
    build.turned([(r * radius, t) for r, t in profile], body, "body", (0, 0, 0.025), (0, 0, height), sides=16)
    build.turned([(0.018, 0), (0, 1)], dark, "lid", (0, 0, height), (0, 0, height + 0.025), sides=8)
    build.cylinder(
        (-0.7 * radius, 0, 0.75 * height), (-1.25 * radius, 0, 0.95 * height), (0.025, 0.015), body, "spout", 8
    )
    tube(build, [(0.7 * radius, 0, 0.95 * height), (1.6 * radius, 0, 0.95 * height), (1.65 * radius, 0, 0.4 * height),
                 (0.95 * radius, 0, 0.3 * height)], 0.011, dark, "handle")  # fmt: skip
    return build.build()


@construction("kettle")
def stove_kettle(rng: np.random.Generator, style: Style) -> Piece:
    """A round-bellied kettle with a handle over its top."""
    radius = float(rng.uniform(0.085, 0.11))
    build, body = PieceBuilder("kettle"), style.material(one_of(rng, "metal", "painted", "ceramic"), rng)
    height, grip = 1.3 * radius, style.material(one_of(rng, "wood", "plastic", "metal"), rng)
    profile = [(0, 0), (0.9, 0), (1, 0.15), (0.95, 0.5), (0.5, 0.95), (0.4, 1), (0, 1.02)]
    build.turned([(r * radius, t) for r, t in profile], body, "body", (0, 0, 0), (0, 0, height), sides=18)
    build.cushion((0, 0, height + 0.012), (0.03, 0.03, 0.03), grip, "lid", 1.0, steps=5)
    build.cylinder(
        (-0.8 * radius, 0, 0.5 * height), (-1.4 * radius, 0, 0.95 * height), (0.024, 0.012), body, "spout", 8
    )
    tube(build, arc((0, 0, 0.75 * height), 0.75 * radius, 0, np.pi, steps=8), 0.008, grip, "handle")
    return build.build()


@construction("coffee_maker")
def filter_machine(rng: np.random.Generator, style: Style) -> Piece:
    """A tank and a filter over a glass jug on its plate."""
    width, depth, height = rng.uniform(0.18, 0.24), rng.uniform(0.2, 0.26), rng.uniform(0.3, 0.37)
    build, case = PieceBuilder("coffee maker"), _case(rng, style)
    build.board((-width / 2, -depth / 2, 0), (width / 2, depth / 2, 0.035), case, "base")
    build.board((-width / 2, depth / 2 - 0.08, 0.035), (width / 2, depth / 2, height), case, "tank")
    build.board((-width / 2, -depth / 2, height - 0.11), (width / 2, depth / 2 - 0.08, height), case, "filter")
    y, r = -0.04, 0.3 * width
    glass = tinted(style.material("glass", rng), 0.4)
    build.turned([(0, 0), (r, 0), (1.15 * r, 0.4), (0.8 * r, 1), (0, 1)], glass, "jug", (0, y, 0.035),
                 (0, y, height - 0.11), sides=14)  # fmt: skip
    tube(build, [(0, y - 0.8 * r, height - 0.14), (0, y - 1.7 * r, height - 0.15), (0, y - 1.6 * r, 0.08),
                 (0, y - 1.0 * r, 0.07)], 0.008, case, "handle")  # fmt: skip
    return build.build()


@construction("coffee_maker")
def espresso_machine(rng: np.random.Generator, style: Style) -> Piece:
    """A machine with a spout above a drip tray and buttons on its front."""
    width, depth, height = rng.uniform(0.13, 0.3), rng.uniform(0.25, 0.36), rng.uniform(0.26, 0.34)
    build, case, dark = PieceBuilder("coffee maker"), _case(rng, style), tinted(style.material("plastic", rng), 0.2)
    front = -depth / 2 + 0.11
    build.board((-width / 2, front, 0.01), (width / 2, depth / 2, height), case, "case")
    build.board((-width / 2, -depth / 2 + 0.02, 0.65 * height), (width / 2, front, height), case, "case")
    build.board((-0.46 * width, -depth / 2, 0), (0.46 * width, front + 0.02, 0.04), dark, "tray")
    build.cylinder((0, front - 0.05, 0.5 * height), (0, front - 0.05, 0.66 * height), 0.028, dark, "spout", sides=10)
    build.cylinder((0, front - 0.05, 0.56 * height), (0, front - 0.16, 0.53 * height), 0.011, dark, "handle", sides=6)
    for k in range(3):
        x = (k - 1) * 0.25 * width
        y = -depth / 2 + 0.02
        build.cylinder((x, y, 0.85 * height), (x, y - 0.008, 0.85 * height), 0.011, dark, "button", sides=8)
    return build.build()
