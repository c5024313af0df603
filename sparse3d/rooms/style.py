"""What one room's things look like: materials by kind, in colours of the room's palette."""

from __future__ import annotations

import numpy as np

from sparse3d.rooms.piece import Material

KINDS = (
    "wood", "painted", "fabric", "leather", "metal", "plastic", "ceramic", "stone", "glass", "plaster",
    "wallpaper", "tiles", "parquet", "carpet", "cardboard", "paper", "picture", "screen",
    "outside", "leaf", "rubber", "books",
)  # fmt: skip


class Style:
    """A room's palette, drawn from ``rng``. The same kind comes in several colours within a room."""

    def __init__(self, rng: np.random.Generator) -> None:
        self.palette = rng.uniform(0.2, 0.9, (6, 3))

    def material(self, kind: str, rng: np.random.Generator) -> Material:
        """A material of one of :data:`KINDS`; colour and grain are drawn from ``rng``."""
        if kind not in KINDS:
            raise KeyError(f"no material {kind!r}; known: {', '.join(KINDS)}")
        color = self.palette[rng.integers(len(self.palette))].astype(np.float32)
        return Material(kind, np.broadcast_to(color, (8, 8, 3)).copy(), 1.0)
