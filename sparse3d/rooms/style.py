"""What one room's things look like: materials by kind, in colours of the room's palette."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from sparse3d.rooms import texture_cloth as cloth
from sparse3d.rooms import texture_laid as laid
from sparse3d.rooms import texture_plain as plain
from sparse3d.rooms import texture_shown as shown
from sparse3d.rooms.palette import Palette
from sparse3d.rooms.piece import Material
from sparse3d.rooms.textures import Draw, Look, Noise

_MAKERS: dict[str, Callable[[Draw], Look]] = {
    "wood": laid.wood,
    "painted": plain.painted,
    "fabric": cloth.fabric,
    "leather": plain.leather,
    "metal": plain.metal,
    "plastic": plain.plastic,
    "ceramic": plain.ceramic,
    "stone": plain.stone,
    "glass": plain.glass,
    "plaster": plain.plaster,
    "wallpaper": cloth.wallpaper,
    "tiles": laid.tiles,
    "parquet": laid.parquet,
    "carpet": cloth.carpet,
    "cardboard": plain.cardboard,
    "paper": plain.paper,
    "picture": shown.picture,
    "screen": shown.screen,
    "outside": shown.outside,
    "leaf": shown.leaf,
    "rubber": plain.rubber,
    "books": shown.books,
}
KINDS = tuple(_MAKERS)


class Style:
    """A room's palette and noise, drawn from ``rng``. The same kind comes in several colours within a room.

    A texture's columns run along u and its rows along v, row 0 at v = 0: pictures, screens and views stand upright on a
    face whose v points up. All kinds repeat seamlessly but "picture" and "screen" (made for one object, up to 1.25 m
    wide) and "outside" (seamless along u only).
    """

    def __init__(self, rng: np.random.Generator) -> None:
        self.palette = Palette(rng)
        self._noise = Noise(rng)

    def material(self, kind: str, rng: np.random.Generator) -> Material:
        """A material of one of :data:`KINDS`; colour, pattern and scale are drawn from ``rng``.

        Raises KeyError for a kind that is not known.
        """
        if kind not in _MAKERS:
            raise KeyError(f"no material {kind!r}; known: {', '.join(KINDS)}")
        look = _MAKERS[kind](Draw(rng, self.palette, self._noise))
        texture = np.clip(look.texture, 0, 1, dtype=np.float32)
        return Material(
            kind, np.ascontiguousarray(texture), float(look.extent), float(look.gloss), float(look.emission)
        )
