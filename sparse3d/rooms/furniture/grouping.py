"""Several pieces in one frame, and draws that many constructions share."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.builder import PieceBuilder
from sparse3d.rooms.piece import Material, Piece
from sparse3d.rooms.style import Style


def build_group(*builds: PieceBuilder) -> tuple[Piece, ...]:
    """The pieces of ``builds`` in one frame, whose origin is the middle of their common footprint, at the lowest."""
    bounds = np.array([build.build_at().bounds for build in builds])
    low, high = bounds[:, 0].min(axis=0), bounds[:, 1].max(axis=0)
    origin = np.array([(low[0] + high[0]) / 2, (low[1] + high[1]) / 2, low[2]])
    return tuple(build.build_at(origin) for build in builds)


def material_of(rng: np.random.Generator, style: Style, *kinds: str) -> Material:
    """A material of one of ``kinds``, drawn with equal odds."""
    return style.material(str(rng.choice(list(kinds))), rng)


def maybe(rng: np.random.Generator, odds: float = 0.5) -> bool:
    """True with probability ``odds``."""
    return bool(rng.random() < odds)
