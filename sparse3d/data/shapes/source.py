"""Labelled shapes from whatever data set they come: one form for ModelNet, ShapeNetPart, objects of scans and others.

A new data set is one more class with the methods of :class:`ShapeSource`, named in gin.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Protocol

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
    file: str = ""  # for messages

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
    def colored(self) -> bool:
        """Whether all shapes have colours; else none has."""
        ...

    @property
    def in_memory(self) -> bool:
        """Whether :meth:`load` is cheap, so that nothing need be kept of what it gave."""
        ...

    @property
    def names(self) -> list[str]:
        """The shapes' names, all different."""
        ...

    def load(self, index: int) -> Shape:
        """Shape ``index``; raises InputError where it cannot be used."""
        ...


class WholeShapes:
    """What most sources have in common: shapes without parts and colours, read from files.

    A subclass sets ``_classes`` and ``_names``.
    """

    colored = False
    in_memory = False
    _classes: tuple[str, ...]
    _names: list[str]

    @property
    def classes(self) -> tuple[str, ...]:
        """The classes of ``label``."""
        return self._classes

    @property
    def names(self) -> list[str]:
        """The shapes' names, all different."""
        return self._names

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
    where = f"{shape.file}: shape {shape.name}" if shape.file else f"shape {shape.name}"
    if not len(shape):
        raise InputError(f"{where}: has no points; leave it out of the split")
    for what, values in (("coordinates", shape.xyz), ("colours", shape.rgb)):
        bad = 0 if values is None else int((~np.isfinite(values)).any(axis=1).sum())
        if bad:
            raise InputError(f"{where}: {bad} of {len(shape)} points have {what} that are not finite; leave them out")
    if not np.ptp(shape.xyz, axis=0).max() > 0:
        raise InputError(f"{where}: all its points are in one place; leave it out of the split")
    if not 0 <= shape.label < len(source.classes):
        raise InputError(f"{where}: class {shape.label} is none of the {len(source.classes)} (from 0 on)")
    if shape.part is not None:
        wrong = ~np.isin(shape.part, (*source.parts_of[shape.label], IGNORE))
        if wrong.any():
            raise InputError(
                f"{where}: part {shape.part[wrong.argmax()]} is no part of class {source.classes[shape.label]!r}, "
                f"which has {', '.join(str(part) for part in source.parts_of[shape.label])}"
            )


def upright(xyz: np.ndarray, up: str) -> np.ndarray:
    """Points (N, 3) float32 with z up and their mean at the origin, of ones whose axis ``up`` points upwards.

    They are turned, not mirrored; and moved before they lose digits, as single precision has few far from the origin.
    """
    with np.errstate(invalid="ignore"):  # of numbers that are not finite, which are refused later
        centered = xyz.astype(np.float64) - xyz.mean(axis=0, dtype=np.float64)
    # Cyclic: the hand stays.
    return np.ascontiguousarray(np.roll(centered, {"x": 2, "y": 1, "z": 0}[up], axis=1), dtype=np.float32)


def whole_numbers(values: Any, count: int, where: str) -> np.ndarray:
    """Labels of any type of number as int64, of the same shape.

    Raises:
        InputError: ``where`` holds something that is no whole number from 0 to ``count`` - 1.
    """
    found = np.asarray(values)
    if found.dtype.kind not in "iuf":
        raise InputError(f"{where}: labels of type {found.dtype} are no numbers; give whole ones from 0 to {count - 1}")
    wrong = ~((found == np.floor(found)) & (found >= 0) & (found < count))
    if wrong.any():
        raise InputError(
            f"{where}: a label is {found[wrong][0]}, number {int(np.flatnonzero(wrong)[0])} of {found.size}; whole "
            f"numbers from 0 to {count - 1} are needed"
        )
    return found.astype(np.int64)


def check_names(names: list[str], where: str) -> None:
    """Raises InputError where two shapes have one name, or there is none at all."""
    if not names:
        raise InputError(f"{where}: holds no shape")
    name, count = Counter(names).most_common(1)[0]
    if count > 1:
        raise InputError(f"{where}: {count} shapes have the name {name}; each needs one of its own")
