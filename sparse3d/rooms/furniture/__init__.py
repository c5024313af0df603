"""Parametric furniture: constructions by the role that a room asks for.

A construction is a function ``(rng, style, **wishes) -> Piece | tuple[Piece, ...]``; several pieces share one frame and
are placed together (a counter, the cabinets under it and its sink). ``wishes`` are metres, such as ``width=1.2``, in
roles that are made to measure. Every module of this package is imported with it, so a construction in a new file is
known by its decorator alone.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections import defaultdict
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from sparse3d.rooms.piece import Piece
from sparse3d.rooms.style import Style

Construction = Callable[..., "Piece | tuple[Piece, ...]"]
C = TypeVar("C", bound=Construction)
CONSTRUCTIONS: dict[str, list[Construction]] = defaultdict(list)


def construction(*roles: str) -> Callable[[C], C]:
    """Enter a function as a construction of ``roles``."""

    def enter(function: C) -> C:
        for role in roles:
            CONSTRUCTIONS[role].append(function)
        return function

    return enter


def construct(role: str, rng: np.random.Generator, style: Style, **wishes: Any) -> tuple[Piece, ...]:
    """A new piece (or group of pieces) for ``role``, by one of its constructions drawn from ``rng``."""
    known = CONSTRUCTIONS[role]
    if not known:
        raise KeyError(f"no construction for {role!r}; known: {', '.join(sorted(CONSTRUCTIONS))}")
    made = known[int(rng.integers(len(known)))](rng, style, **wishes)
    return made if isinstance(made, tuple) else (made,)


for _module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
    importlib.import_module(f"{__name__}.{_module.name}")
