"""What rooms are made of: materials, pieces of furniture, placed instances and the room itself.

Lengths are in metres, z is up. A piece stands in a frame of its own: the origin is in the middle of its footprint at
its lowest point, its width runs along x, and its front looks along -y (a chair's sitter, a cabinet's doors, a picture's
painted side, a bed's foot end), so that its back, at +y, goes to the wall.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

RoomKind = Literal["living room", "bedroom", "office", "kitchen", "bathroom", "classroom"]
ROOM_KINDS: tuple[RoomKind, ...] = ("living room", "bedroom", "office", "kitchen", "bathroom", "classroom")


@dataclass(frozen=True, eq=False)
class Material:
    """How a surface looks: a texture that tiles the plane.

    ``texture`` (h, w, 3) float32 in [0, 1], sRGB; ``extent`` metres that the texture's width spans (texels are square);
    ``gloss`` in [0, 1], the strength of highlights; ``emission`` in [0, 1]: 1 shows the texture unlit, as a screen or a
    lit outside does.
    """

    name: str
    texture: np.ndarray
    extent: float
    gloss: float = 0.0
    emission: float = 0.0


@dataclass(frozen=True)
class Support:
    """A level rectangle of a piece on which things can stand, its sides along the piece's x and y."""

    center: tuple[float, float, float]
    size: tuple[float, float]  # along x and y
    clearance: float  # free height above


@dataclass(frozen=True, eq=False)
class Piece:
    """One object of one category: triangles, each with texture coordinates, a material and a semantic part."""

    category: str  # ScanNet's raw category, a key of :data:`sparse3d.rooms.categories.CATEGORIES`
    vertices: np.ndarray  # (V, 3) float64
    faces: np.ndarray  # (F, 3) int64
    uv: np.ndarray  # (F, 3, 2) float32, metres on the material's texture
    face_material: np.ndarray  # (F,) int64, rows of ``materials``
    face_part: np.ndarray  # (F,) int64, rows of ``parts``
    materials: tuple[Material, ...]
    parts: tuple[str, ...]  # "seat", "leg", "door", "handle" ...
    supports: tuple[Support, ...] = ()

    @property
    def bounds(self) -> tuple[np.ndarray, np.ndarray]:
        """The lower and the upper corner, (3,) each."""
        return self.vertices.min(axis=0), self.vertices.max(axis=0)


@dataclass(frozen=True, eq=False)
class Placed:
    """A piece at its place in the room: one instance of the scan."""

    piece: Piece
    T_room_piece: np.ndarray  # (4, 4) float64: a turn about z and a shift

    @property
    def vertices(self) -> np.ndarray:
        """(V, 3) float64 in the room's frame."""
        return self.piece.vertices @ self.T_room_piece[:3, :3].T + self.T_room_piece[:3, 3]


@dataclass(frozen=True)
class Light:
    """A rectangular lamp: of ``size`` (along its two axes), at ``center``, shining along ``direction``."""

    center: tuple[float, float, float]
    direction: tuple[float, float, float]  # unit length
    size: tuple[float, float]
    color: tuple[float, float, float]  # linear RGB; 1 lights a white surface 2 m in front of it fully


@dataclass(frozen=True, eq=False)
class Room:
    """A furnished room. ``instances`` begins with its shell (floor, ceiling, walls), furniture follows."""

    kind: RoomKind
    outline: np.ndarray  # (P, 2) float64, the floor's corners, counter-clockwise
    height: float
    instances: tuple[Placed, ...]
    lights: tuple[Light, ...]
    ambient: tuple[float, float, float] = field(default=(0.35, 0.35, 0.35))  # linear RGB
