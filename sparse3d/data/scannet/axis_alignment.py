"""A scene's ``.txt``: lines ``key = value``, among them the turn to the room's axes and the sensor's intrinsics.

The intrinsics here can differ from those in the ``.sens``; the ``.sens`` counts, and the difference is only told.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from sparse3d.errors import InputError
from sparse3d.geometry import is_rigid

INTRINSICS = ("fx_depth", "fy_depth", "mx_depth", "my_depth")


@dataclass(frozen=True)
class SceneText:
    """What the ``.txt`` says. ``axis_alignment`` is (4, 4) float64, scan world to a world whose x and y axes run along
    the room's walls; None where there is none, as in ScanNet's test scenes."""

    axis_alignment: np.ndarray | None = None
    values: dict[str, str] = field(default_factory=dict)

    def depth_intrinsics(self) -> tuple[float, float, float, float] | None:
        """fx, fy, cx, cy of the depth camera in pixels, or None where they are not given."""
        try:
            fx, fy, cx, cy = (float(self.values[key]) for key in INTRINSICS)
        except (KeyError, ValueError):  # not needed: only compared
            return None
        return fx, fy, cx, cy


def read_scene_text(path: str | Path) -> SceneText:
    """Read a scene's ``.txt``. Raises InputError for an ``axisAlignment`` that is not a rigid motion of 16 numbers."""
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read ({error})") from error
    values = {key.strip(): value.strip() for key, equals, value in (line.partition("=") for line in lines) if equals}
    text = values.get("axisAlignment")
    if text is None:
        return SceneText(None, values)
    try:
        matrix = np.array([float(word) for word in text.split()], dtype=np.float64)
    except ValueError as error:
        raise InputError(f"{path}: axisAlignment holds {text!r}: 16 numbers are needed") from error
    if matrix.size != 16:
        raise InputError(f"{path}: axisAlignment has {matrix.size} numbers: 16 are needed, row by row")
    matrix = matrix.reshape(4, 4)
    if not np.isfinite(matrix).all() or not is_rigid(matrix):
        raise InputError(f"{path}: axisAlignment is no rigid motion: mend it, or remove the line")
    return SceneText(matrix, values)
