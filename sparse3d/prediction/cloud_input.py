"""Points and colours as users have them, checked and brought to the package's kinds."""

from __future__ import annotations

from typing import Any

import numpy as np

from sparse3d.data.clouds import FARTHEST
from sparse3d.data.scene_sources import WIDEST, LabelledScene, check_scene
from sparse3d.data.shapes.source import upright
from sparse3d.errors import InputError
from sparse3d.types import IGNORE, Boxes


def checked_cloud(points: Any, colors: Any, name: str = "points") -> tuple[np.ndarray, np.ndarray]:
    """(N, 3) float32 metres and (N, 3) float32 in [0, 1] of what was given.

    Args:
        points: (N, 3) numbers, metres, z up.
        colors: (N, 3), floats in [0, 1] or whole numbers from 0 to 255.
        name: of the cloud, for messages.

    Raises:
        InputError: another shape, no points, numbers that are not finite, colours out of their range, or points so far
            from the origin that single precision gives out.
    """
    xyz, rgb = _arrays(points, colors, name)
    extent, away = float(np.ptp(xyz, axis=0).max()), float(np.abs(xyz).max())
    if away > FARTHEST and extent <= WIDEST:
        raise InputError(
            f"{name}: its points lie {away:.6g} m from the origin, more than {FARTHEST:.0f} m: subtract the offset "
            "of the map first"
        )
    xyz, rgb = np.ascontiguousarray(xyz, dtype=np.float32), _unit_colors(rgb, name)
    check_scene(as_scene(name, xyz, rgb), 1)  # warns of millimetres
    return xyz, rgb


def checked_shape(
    points: Any, colors: Any, name: str = "points", up: str = "z"
) -> tuple[np.ndarray, np.ndarray | None]:
    """A single shape's points (N, 3) float32, z up, their mean at the origin, and colours (N, 3) or None.

    Its unit is its own: neither its size nor its place is judged. ``up`` is the axis that points upwards in what is
    given.

    Raises:
        InputError: as :func:`checked_cloud`, but for sizes and places.
    """
    if colors is None:
        xyz, _ = _arrays(points, points, name)  # stand for the colours that are not there
        return upright(xyz, up), None
    xyz, rgb = _arrays(points, colors, name)
    return upright(xyz, up), _unit_colors(rgb, name)


def as_scene(name: str, xyz: np.ndarray, rgb: np.ndarray, faces: np.ndarray | None = None) -> LabelledScene:
    """The cloud as a scene of which nothing is known."""
    unknown = np.full(len(xyz), IGNORE, dtype=np.int64)
    return LabelledScene(name, xyz, rgb, unknown, np.full(len(xyz), -1, dtype=np.int64), Boxes.empty(), faces)


def canonical_order(xyz: np.ndarray, rgb: np.ndarray) -> np.ndarray:
    """Rows (N,) int64 in an order that depends on the points alone: sums of floats depend on theirs."""
    return np.lexsort((*rgb.T, *xyz.T))


def _arrays(points: Any, colors: Any, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Both as arrays (N, 3) of finite numbers, N at least 1."""
    xyz, rgb = _array(points, name, "points"), _array(colors, name, "colours")
    if not len(xyz):
        raise InputError(f"{name}: has no points; give at least one")
    if len(xyz) != len(rgb):
        raise InputError(f"{name}: {len(xyz)} points and {len(rgb)} colours: give each point its colour")
    for what, values in (("coordinates", xyz), ("colours", rgb)):
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(bad):
            raise InputError(
                f"{name}: {len(bad)} of {len(xyz)} points have {what} that are not finite, the first is row {bad[0]} "
                f"({', '.join(str(v) for v in values[bad[0]])}): leave such points out"
            )
    return xyz, rgb


def _array(values: Any, name: str, what: str) -> np.ndarray:
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{name}: the {what} are no array of numbers ({error})") from error
    if array.dtype == bool or not (np.issubdtype(array.dtype, np.integer) or np.issubdtype(array.dtype, np.floating)):
        raise InputError(f"{name}: the {what} are of type {array.dtype}: give numbers (N, 3)")
    if array.size == 0 and array.ndim <= 2:
        return array.reshape(0, 3)
    if array.ndim != 2 or array.shape[1] != 3:
        raise InputError(f"{name}: the {what} have shape {array.shape}: give (N, 3)")
    return array


def _unit_colors(rgb: np.ndarray, name: str) -> np.ndarray:
    whole = np.issubdtype(rgb.dtype, np.integer)
    top = 255 if whole else 1
    low, high = rgb.min(), rgb.max()
    if low < 0 or high > top:
        worst = low if low < 0 else high
        kind = "whole numbers from 0 to 255" if whole else "floats in [0, 1], or uint8"
        raise InputError(f"{name}: a colour is {worst}: give {kind}")
    values = np.ascontiguousarray(rgb, dtype=np.float32)
    return values / np.float32(255) if whole else values
