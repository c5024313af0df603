"""Loose cushions, which lie or lean on other pieces and are pieces of their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from sparse3d.rooms.builder import Vector
from sparse3d.rooms.furniture.bases import chance
from sparse3d.rooms.piece import Material, Piece, Support
from sparse3d.rooms.solids import SolidBuilder


def pillow(size: Vector, cover: Material, rest: tuple[float, float, float], tilt: float = 0.0,
           yaw: float = 0.0) -> Piece:  # fmt: skip
    """A pillow of ``size``, its lowest point at the height and its hindmost point at the depth of ``rest``.

    ``rest`` is (middle's x, the depth it leans back to, the height it lies on) in the frame of its group.
    """
    build = SolidBuilder("pillow")
    build.cushion((0, 0, 0), size, cover, "pillow", roundness=0.42, steps=8, tilt=tilt, yaw=yaw)
    low, high = build.build_at().bounds
    return build.build_at((-rest[0], high[1] - rest[1], low[2] - rest[2]))


def thrown(rng: np.random.Generator, covers: list[Material], low: float, high: float, back: float,
           seat: float) -> tuple[Piece, ...]:  # fmt: skip
    """None to three square cushions leaning on a sofa's back, between x = ``low`` and ``high``, not touching."""
    count = int(rng.integers(0, 4)) if chance(rng, 0.7) else 0
    count = min(count, int((high - low) / 0.5))
    pieces = []
    for k in range(count):
        side = float(rng.uniform(0.36, 0.46))
        share = (high - low) / count
        slack = max(share - side - 0.02, 0.0) / 2
        x = low + (k + 0.5) * share + rng.uniform(-slack, slack)
        pieces.append(pillow((side, side, rng.uniform(0.1, 0.15)), covers[int(rng.integers(len(covers)))],
                             (x, back, seat), tilt=rng.uniform(1.15, 1.35)))  # fmt: skip
    return tuple(pieces)


def centred(main: Piece, *others: Piece) -> tuple[Piece, ...]:
    """A group moved so that its common origin is in the middle of ``main``'s footprint, on its lowest point."""
    low, high = main.bounds
    shift = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    moved = []
    for piece in (main, *others):
        supports = []
        for support in piece.supports:
            x, y, z = (float(value) for value in np.asarray(support.center) - shift)
            supports.append(Support((x, y, z), support.size, support.clearance))
        moved.append(replace(piece, vertices=piece.vertices - shift, supports=tuple(supports)))
    return tuple(moved)
