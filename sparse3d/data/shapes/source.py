"""Labelled shapes from whatever data set they come: one form for ModelNet, ShapeNetPart, objects of scans and others.

A new data set is one more class with the methods of :class:`ShapeSource`, named in gin.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from sparse3d.errors import InputError
from sparse3d.types import IGNORE

UPS = ("x", "y", "z")


@dataclass(frozen=True, eq=False)
class Shape:
    """N points of one object, z up."""

    name: str
    xyz: np.ndarray  # (N, 3) float32, in the unit of its source
    rgb: np.ndarray | None  # (N, 3) float32 in [0, 1]; None where the source has no colours
    label: int  # index of the source's classes
    part: np.ndarray | None = None  # (N,) int64, index of the source's parts, IGNORE for none

    def __len__(self) -> int:
        return len(self.xyz)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(array.nbytes for array in (self.xyz, self.rgb, self.part) if array is not None)


class ShapeSource(Protocol):
    """Named shapes with one list of classes; picklable, read on demand."""

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of ``label``."""
        ...

    @property
    def parts(self) -> tuple[str, ...]:
        """The classes of ``part``; none where shapes are whole."""
        ...

    @property
    def parts_of(self) -> tuple[tuple[int, ...], ...]:
        """For each class the parts that its shapes may have."""
        ...

    @property
    def names(self) -> list[str]:
        """The shapes' names, all different."""
        ...

    def load(self, index: int) -> Shape:
        """Shape ``index``; raises InputError where it cannot be used."""
        ...


class WholeShapes:
    """What sources of shapes without parts have in common."""

    @property
    def parts(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def parts_of(self) -> tuple[tuple[int, ...], ...]:
        """None."""
        return ()


def check_shape(shape: Shape, source: ShapeSource) -> None:
    """Whether a shape can be worked with.

    Raises:
        InputError: no points, numbers that are not finite, points in one place, or a class or part out of range.
    """
    where = f"shape {shape.name}"
    if not len(shape):
        raise InputError(f"{where}: has no points; leave it out of the split")
    for what, values in (("coordinates", shape.xyz), ("colours", shape.rgb)):
        bad = 0 if values is None else int((~np.isfinite(values)).any(axis=1).sum())
        if bad:
            raise InputError(f"{where}: {bad} of {len(shape)} points have {what} that are not finite")
    if not np.ptp(shape.xyz, axis=0).max() > 0:
        raise InputError(f"{where}: all its points are in one place; leave it out of the split")
    if not 0 <= shape.label < len(source.classes):
        raise InputError(f"{where}: class {shape.label} is none of the {len(source.classes)}")
    if shape.part is not None:
        wrong = ~np.isin(shape.part, (*source.parts_of[shape.label], IGNORE))
        if wrong.any():
            raise InputError(
                f"{where}: part {shape.part[wrong.argmax()]} is no part of class {source.classes[shape.label]!r}, "
                f"which has {', '.join(str(part) for part in source.parts_of[shape.label])}"
            )


def with_z_up(vectors: np.ndarray, up: str) -> np.ndarray:
    """Vectors (N, 3) of a frame whose axis ``up`` points upwards, turned (not mirrored) so that z does."""
    return np.ascontiguousarray(np.roll(vectors, {"x": 2, "y": 1, "z": 0}[up], axis=1))  # cyclic: the hand stays
