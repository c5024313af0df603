"""Joinery that all cupboards share: bodies of boards, doors, drawers, handles and feet.

A body is given by its lower and its upper corner; its front is its low y. Doors and drawers lie on that front.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparse3d.rooms.builder import PieceBuilder, Vector
from sparse3d.rooms.furniture.grouping import material_of
from sparse3d.rooms.piece import Material
from sparse3d.rooms.style import Style

GAP = 0.002  # half of the joint between two fronts
Corner = tuple[float, float]  # x and z on a front


@dataclass(frozen=True)
class Joinery:
    """What one piece is made with throughout."""

    body: Material
    front: Material
    metal: Material
    pane: Material
    front_kind: str  # "flat", "framed", "slatted" or "glass"
    handle_kind: str  # "bar", "knob", "edge", "cup" or "none"
    board: float  # thickness


FRONTS = ("flat", "flat", "framed", "slatted")
HANDLES = ("bar", "bar", "knob", "edge", "cup", "none")


def draw_joinery(rng: np.random.Generator, style: Style, kinds: Sequence[str] = ("wood", "wood", "painted"),
                 fronts: Sequence[str] = FRONTS, handles: Sequence[str] = HANDLES) -> Joinery:  # fmt: skip
    """Materials and manners drawn at random; in half of the pieces fronts have another colour than the body."""
    body = material_of(rng, style, *kinds)
    front = material_of(rng, style, *kinds) if rng.random() < 0.5 else body
    metal, pane = material_of(rng, style, "metal", "metal", "plastic"), style.material("glass", rng)
    board = float(rng.uniform(0.016, 0.026))
    return Joinery(body, front, metal, pane, str(rng.choice(list(fronts))), str(rng.choice(list(handles))), board)


def carcass(build: PieceBuilder, low: Vector, high: Vector, joinery: Joinery, top: bool = True, back: bool = True,
            bottom: bool = True) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Sides, bottom, top and back; returns the lower and the upper corner of the room inside."""
    low, high = np.asarray(low, dtype=np.float64), np.asarray(high, dtype=np.float64)
    t, body = joinery.board, joinery.body
    inner_low, inner_high = low + [t, 0, t if bottom else 0], high - [t, 0, t if top else 0]
    build.board(low, (low[0] + t, high[1], high[2]), body, "side")
    build.board((high[0] - t, low[1], low[2]), high, body, "side")
    if bottom:
        build.board((inner_low[0], low[1], low[2]), (inner_high[0], high[1], inner_low[2]), body, "bottom")
    if top:
        build.board((inner_low[0], low[1], inner_high[2]), (inner_high[0], high[1], high[2]), body, "top")
    if back:
        build.board((inner_low[0], high[1] - 0.008, inner_low[2]), (inner_high[0], high[1], inner_high[2]),
                    body, "back")  # fmt: skip
        inner_high[1] -= 0.008
    return inner_low, inner_high


def shelf_boards(build: PieceBuilder, low: Vector, high: Vector, levels: Sequence[float], joinery: Joinery,
                 margin: float = 0.03, open_front: bool = True) -> None:  # fmt: skip
    """Boards whose tops lie at ``levels`` (rising) within the room ``low`` .. ``high``, and supports on them.

    The room's floor is a support, too; behind doors (``open_front`` False) nothing is.
    """
    ends = [*[level - joinery.board for level in levels], high[2]]
    for level, end in zip([low[2], *levels], ends, strict=True):
        if level > low[2]:
            build.board((low[0], low[1] + 0.004, level - joinery.board), (high[0], high[1], level), joinery.body,
                        "shelf")  # fmt: skip
        if open_front and end - level > 0.08:
            center = ((low[0] + high[0]) / 2, (low[1] + high[1]) / 2, level)
            build.support(center, (high[0] - low[0] - margin, high[1] - low[1] - margin), float(end - level))


def ground(kind: str) -> float:
    """How far a front's deepest face lies before its plane: handles begin there, as a slat's joint may be behind."""
    return 0.012 if kind in ("framed", "slatted") else 0.02


def panel(build: PieceBuilder, joinery: Joinery, low: Corner, high: Corner, y: float, part: str,
          kind: str | None = None) -> None:  # fmt: skip
    """A front of 2 cm on the plane ``y``, towards -y, with joints left around it."""
    kind = kind or joinery.front_kind
    (x0, z0), (x1, z1) = (low[0] + GAP, low[1] + GAP), (high[0] - GAP, high[1] - GAP)
    face, thin = joinery.front, ground(kind)
    if kind == "glass":
        build.board((x0 + 0.04, y - 0.008, z0 + 0.04), (x1 - 0.04, y - 0.004, z1 - 0.04), joinery.pane, "pane")
        thin = 0.0
    else:
        build.board((x0, y - thin, z0), (x1, y, z1), face, part)
    frame = min(0.06, (x1 - x0) / 5, (z1 - z0) / 4) if kind == "framed" else 0.042
    if kind in ("framed", "glass"):
        for a, b in ((x0, x0 + frame), (x1 - frame, x1)):
            build.board((a, y - 0.02, z0), (b, y - thin, z1), face, part)
        for a, b in ((z0, z0 + frame), (z1 - frame, z1)):
            build.board((x0 + frame, y - 0.02, a), (x1 - frame, y - thin, b), face, part)
    if kind == "slatted":
        count = max(2, int((z1 - z0) / 0.07))
        step = (z1 - z0) / count
        for k in range(count):
            build.board((x0, y - 0.02, z0 + k * step), (x1, y - thin, z0 + (k + 0.72) * step), face, part)


def handle(build: PieceBuilder, joinery: Joinery, at: Corner, y: float, upright: bool, length: float = 0.12) -> None:
    """A handle in the middle of ``at`` on the plane ``y`` of a front's face."""
    x, z = at
    metal, kind = joinery.metal, joinery.handle_kind
    if kind == "bar":
        way = np.array([0, 0, 1.0]) if upright else np.array([1.0, 0, 0])
        middle = np.array([x, y - 0.028, z])
        build.cylinder(middle - way * length / 2, middle + way * length / 2, 0.0055, metal, "handle", sides=6)
        for sign in (-1, 1):
            post = middle + way * sign * length * 0.38
            build.cylinder(post, post + [0, 0.028, 0], 0.0045, metal, "handle", sides=5, caps=False)
    elif kind == "knob":
        build.turned([(0.006, 0), (0.006, 0.5), (0.015, 0.6), (0.015, 0.9), (0, 1)], metal, "handle",
                     (x, y, z), (x, y - 0.028, z), sides=8)  # fmt: skip
    elif kind == "cup":
        build.box((x, y - 0.011, z), (0.03, 0.022, 0.09) if upright else (0.09, 0.022, 0.03), metal, "handle")


def door(build: PieceBuilder, joinery: Joinery, low: Corner, high: Corner, y: float, hinge: str,
         grip: float = 0.5, kind: str | None = None, handle_length: float = 0.13) -> None:  # fmt: skip
    """A hinged door; ``hinge`` "left" or "right" as seen from the front, ``grip`` the handle's share of the height."""
    panel(build, joinery, low, high, y, "door", kind)
    back = ground(kind or joinery.front_kind)
    x = high[0] - 0.04 if hinge == "left" else low[0] + 0.04
    z = low[1] + (high[1] - low[1]) * grip
    if joinery.handle_kind == "edge":
        x = high[0] - 0.006 if hinge == "left" else low[0] + 0.006
        tall = min(0.3, (high[1] - low[1]) * 0.8)
        z = float(np.clip(z, low[1] + tall / 2 + GAP, high[1] - tall / 2 - GAP))
        build.board((x - 0.003, y - 0.036, z - tall / 2), (x + 0.003, y - back, z + tall / 2), joinery.metal, "handle")
    else:
        reach = handle_length / 2 + 0.02
        z = float(np.clip(z, low[1] + reach, max(high[1] - reach, low[1] + reach)))
        handle(build, joinery, (x, z), y - back, upright=True, length=handle_length)


def doors(build: PieceBuilder, joinery: Joinery, low: Corner, high: Corner, y: float, count: int, grip: float = 0.5,
          kind: str | None = None, handle_length: float = 0.13) -> None:  # fmt: skip
    """``count`` doors side by side, opening in pairs."""
    edges = np.linspace(low[0], high[0], count + 1)
    for k in range(count):
        hinge = "left" if k % 2 == 0 else "right"
        door(build, joinery, (edges[k], low[1]), (edges[k + 1], high[1]), y, hinge, grip, kind, handle_length)


def drawers(build: PieceBuilder, joinery: Joinery, low: Corner, high: Corner, y: float, shares: Sequence[float],
            columns: int = 1) -> None:  # fmt: skip
    """Drawers above each other, ``shares`` of the height from below, in ``columns``."""
    levels = low[1] + (high[1] - low[1]) * np.concatenate([[0.0], np.cumsum(shares)]) / np.sum(shares)
    edges, back = np.linspace(low[0], high[0], columns + 1), ground(joinery.front_kind)
    for x0, x1 in zip(edges, edges[1:], strict=False):
        for z0, z1 in zip(levels, levels[1:], strict=False):
            panel(build, joinery, (x0, z0), (x1, z1), y, "drawer")
            if joinery.handle_kind == "edge":
                middle, reach = (x0 + x1) / 2, min(0.15, (x1 - x0) * 0.4)
                build.board((middle - reach, y - 0.036, z1 - 0.009), (middle + reach, y - back, z1 - 0.003),
                            joinery.metal, "handle")  # fmt: skip
                continue
            long = float(min(0.13, 0.5 * (x1 - x0)))
            spots = (0.22, 0.78) if joinery.handle_kind == "knob" and x1 - x0 > 0.5 else (0.5,)
            for spot in spots:
                handle(build, joinery, (x0 + spot * (x1 - x0), (z0 + z1) / 2), y - back, upright=False, length=long)


def feet(build: PieceBuilder, kind: str, low: Corner, high: Corner, height: float, material: Material) -> None:
    """What carries a body whose footprint is ``low`` .. ``high`` (x and y): "plinth", "block", "splayed", "sled"."""
    (x0, y0), (x1, y1) = low, high
    if kind == "plinth":
        build.board((x0 + 0.005, y0 + 0.04, 0), (x1 - 0.005, y1 - 0.005, height), material, "base")
        return
    if kind == "sled":
        for x in (x0 + 0.03, x1 - 0.03):
            build.board((x - 0.012, y0 + 0.02, 0), (x + 0.012, y1 - 0.02, 0.02), material, "leg")
            for y in (y0 + 0.032, y1 - 0.032):
                build.board((x - 0.012, y - 0.012, 0.02), (x + 0.012, y + 0.012, height), material, "leg")
        return
    inset = 0.03 if kind == "block" else 0.07
    inset = min(inset, (x1 - x0) / 4, (y1 - y0) / 4)
    for sx, x in ((-1, x0 + inset), (1, x1 - inset)):
        for sy, y in ((-1, y0 + inset), (1, y1 - inset)):
            if kind == "block":
                build.box((x, y, height / 2), (0.045, 0.045, height), material, "leg")
            else:
                out = min(0.04, inset - 0.015)
                build.cylinder((x + sx * out, y + sy * out, 0), (x, y, height), (0.011, 0.02), material, "leg", 10)
