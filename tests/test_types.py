"""Camera: resizing and cropping change pixels, never rays.

For a pixel centre p of the full image, the pixel s (p + 0.5) - 0.5 of the scaled one looks along the same ray.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse3d.types import Camera, Frame

CAMERA = Camera(fx=577.9, fy=-571.2, cx=319.5, cy=241.3, width=640, height=480)
sizes = st.integers(1, 2000)


def ray(camera: Camera, row: float, col: float) -> np.ndarray:
    return np.array(((col - camera.cx) / camera.fx, (row - camera.cy) / camera.fy))


@given(sizes, sizes, st.floats(-0.5, 639.5), st.floats(-0.5, 479.5))
def test_scaling_keeps_every_ray(width: int, height: int, col: float, row: float) -> None:
    scaled = CAMERA.scaled(width, height)
    there = ray(scaled, (row + 0.5) * height / 480 - 0.5, (col + 0.5) * width / 640 - 0.5)
    np.testing.assert_allclose(there, ray(CAMERA, row, col), atol=1e-9)


@given(sizes, sizes)
def test_scaling_there_and_back_is_the_same_camera(width: int, height: int) -> None:
    back = CAMERA.scaled(width, height).scaled(CAMERA.width, CAMERA.height)
    np.testing.assert_allclose(dataclasses.astuple(back), dataclasses.astuple(CAMERA), rtol=1e-9)


def test_scaling_by_half_is_not_plain_multiplication() -> None:
    assert CAMERA.scaled(320, 240).cx == pytest.approx(319.5 / 2 - 0.25)


@given(st.integers(-50, 300), st.integers(-50, 300), st.floats(0, 400), st.floats(0, 400))
def test_cropping_keeps_every_ray(top: int, left: int, row: float, col: float) -> None:
    cropped = CAMERA.cropped(top, left, height=96, width=128)
    assert (cropped.height, cropped.width) == (96, 128)
    np.testing.assert_allclose(ray(cropped, row - top, col - left), ray(CAMERA, row, col), atol=1e-9)


def test_intrinsic_matrix_round_trip_keeps_the_sign_of_fy() -> None:
    assert Camera.from_matrix(CAMERA.K, 640, 480) == CAMERA
    four_by_four = np.eye(4)
    four_by_four[:3, :3] = CAMERA.K
    assert Camera.from_matrix(four_by_four, 640, 480) == CAMERA


@pytest.mark.parametrize("change", [{"fx": 0}, {"fy": np.nan}, {"cx": np.inf}, {"width": 0}, {"height": -1}])
def test_impossible_cameras_are_refused(change: dict[str, float]) -> None:
    with pytest.raises(ValueError):
        dataclasses.replace(CAMERA, **change)


def test_a_frame_with_rows_and_columns_swapped_is_refused_by_name() -> None:
    camera = CAMERA.scaled(8, 6)
    color, depth = np.zeros((6, 8, 3), np.uint8), np.zeros((6, 8), np.float32)
    Frame("ok", camera, color, depth, np.eye(4))
    with pytest.raises(ValueError, match="frame-7"):
        Frame("frame-7", camera, color, depth.T, np.eye(4))
    with pytest.raises(ValueError, match="frame-7"):
        Frame("frame-7", camera, color.transpose(1, 0, 2), depth, np.eye(4))
