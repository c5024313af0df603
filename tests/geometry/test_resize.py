"""Resizing: a pixel of the small image shows what the camera scaled with it sees there, and no surface is invented."""

from __future__ import annotations

import numpy as np
import pytest
from depth_scenes import CAMERA, CAMERAS, plane_depth
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse3d.geometry import resize_color, resize_depth
from sparse3d.types import Camera

SIZES = [(24, 36), (16, 24), (12, 9), (48, 36), (40, 50), (96, 144), (48, 72)]


@pytest.mark.parametrize("camera", CAMERAS)
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_resized_plane_is_the_plane_the_scaled_camera_sees(camera: Camera, height: int, width: int) -> None:
    normal, offset = (0.3, -0.2, 0.93), 2.5
    small = resize_depth(plane_depth(camera, np.eye(4), normal, offset), height, width)
    expected = plane_depth(camera.scaled(width, height), np.eye(4), normal, offset)
    assert small.shape == (height, width) and small.dtype == np.float32
    per_pixel = max(np.abs(np.diff(plane_depth(camera, np.eye(4), normal, offset), axis=a)).max() for a in (0, 1))
    whole = CAMERA.height % height == 0 and CAMERA.width % width == 0
    agreeing = whole and (CAMERA.width // width) * per_pixel < 0.03
    # block means are exact but for curvature; the nearest reading is off by up to half a pixel in each direction
    assert np.abs(small - expected).max() < (0.004 if agreeing else 1.01 * per_pixel)
    assert abs(float((small - expected).mean())) < (0.004 if agreeing else 0.75 * per_pixel)


@settings(deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 5), st.floats(0, 1))
def test_shrinking_agrees_with_a_block_by_block_oracle(seed: int, fr: int, fc: int, holes: float) -> None:
    rng = np.random.default_rng(seed)
    depth = rng.choice([1.5, 1.51, 1.52, 1.6, 3.0], (4 * fr, 5 * fc)).astype(np.float32)
    depth[rng.random(depth.shape) < holes] = 0
    small = resize_depth(depth, 4, 5)
    r, c = np.mgrid[:fr, :fc]
    distance = (r - (fr - 1) / 2) ** 2 + (c - (fc - 1) / 2) ** 2
    for i, j in np.ndindex(4, 5):
        block = depth[i * fr : (i + 1) * fr, j * fc : (j + 1) * fc]
        readings = block[block > 0]
        if not len(readings):
            assert small[i, j] == 0
        elif np.ptp(readings) <= max(0.03, 0.02 * readings.mean()):
            assert small[i, j] == pytest.approx(readings.mean(), rel=1e-6)
        else:
            nearest = distance[block > 0].min()
            assert small[i, j] in block[(block > 0) & (distance <= nearest + 1e-9)]


@pytest.mark.parametrize("factor", [2, 3, 4, 6])
@pytest.mark.parametrize("edge", range(30, 42))
def test_no_depth_between_two_surfaces_is_invented(factor: int, edge: int) -> None:
    depth = np.full((48, 72), 2, np.float32)
    depth[:, edge:] = 3
    small = resize_depth(depth, 48 // factor, 72 // factor)
    assert set(np.unique(small)) == {2.0, 3.0}


@pytest.mark.parametrize("missing", [0, -1, np.nan, np.inf])
@pytest.mark.parametrize(("height", "width"), SIZES)
def test_holes_never_dilute_readings(missing: float, height: int, width: int) -> None:
    depth = np.full((48, 72), 2, np.float32)
    depth[np.random.default_rng(0).random(depth.shape) < 0.5] = missing
    depth[:24] = missing
    small = resize_depth(depth, height, width)
    assert set(np.unique(small)) == {0.0, 2.0}
    assert not small[: height // 2].any()


def test_resizing_leaves_the_input_alone() -> None:
    depth = np.full((4, 4), np.nan, np.float32)
    for size in ((2, 2), (4, 4), (3, 5)):
        resize_depth(depth, *size)
    assert np.isnan(depth).all()


def test_sizes_without_pixels_are_refused() -> None:
    for function in (resize_depth, resize_color):
        with pytest.raises(ValueError, match="positive"):
            function(np.ones((4, 4), np.uint8) if function is resize_depth else np.ones((4, 4, 3), np.uint8), 0, 4)


@pytest.mark.parametrize(("height", "width"), SIZES)
def test_a_linear_ramp_of_colour_stays_where_the_scaled_camera_says(height: int, width: int) -> None:
    rows, cols = np.mgrid[:48, :72]
    ramp = np.stack((3 * cols + 10, 4 * rows + 10, 255 - 3 * cols), axis=-1).astype(np.uint8)
    small = resize_color(ramp, height, width)
    assert small.shape == (height, width, 3) and small.dtype == np.uint8
    row = (np.arange(height)[:, None] + 0.5) * 48 / height - 0.5
    col = (np.arange(width)[None] + 0.5) * 72 / width - 0.5
    inner = (slice(height // 8, -(height // 8)), slice(width // 8, -(width // 8)))  # filters clip at the border
    for channel, expected in enumerate((3 * col + 10 + 0 * row, 4 * row + 10 + 0 * col, 255 - 3 * col + 0 * row)):
        error = (small[..., channel] - expected)[inner]
        assert np.abs(error).max() <= 1.01 and abs(error.mean()) < 0.6


def test_shrinking_colour_averages_whole_blocks() -> None:
    color = np.zeros((4, 6, 3), np.uint8)
    color[::2, ::2] = 200
    np.testing.assert_array_equal(resize_color(color, 2, 3), np.full((2, 3, 3), 50))


def test_enlarging_and_shrinking_colour_back_is_nearly_the_same() -> None:
    color = np.random.default_rng(0).integers(0, 256, (12, 20, 3), dtype=np.uint8)
    np.testing.assert_array_equal(resize_color(color, 12, 20), color)
    smooth = resize_color(resize_color(color, 3, 5), 12, 20)
    again = resize_color(resize_color(smooth, 48, 80), 12, 20)
    assert np.abs(again.astype(int) - smooth).mean() < 5
