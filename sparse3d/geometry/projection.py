"""Between depth images and points: unprojecting, projecting, visibility, depth edges and surface normals.

Pixels are (row, col) with centres at integers; a pixel owns the half-open square of one pixel around its centre, so a
projection belongs to pixel floor(x + 0.5). Truncating instead would pull points from outside into row and column 0.
"""

from __future__ import annotations

import numpy as np

from sparse3d.geometry.rigid import invert_rigid, transform_points
from sparse3d.types import Camera

# Directions that pair every pixel with its 8 neighbours once: (rows, cols) from the first to the second pixel.
_NEIGHBOURS = ((0, 1), (1, 0), (1, 1), (1, -1))


def unproject_depth(depth: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """The points of a depth image (H, W), metres: xyz (N, 3) float32 in the camera frame, and pixels (N, 2) int64.

    Pixels without a reading (not positive, or not finite) give no point. Rows come in row-major order of the pixels.
    """
    check_size(depth, camera)
    known = has_reading(depth)
    pixels = pixels_of(known)
    return unproject_pixels(pixels, depth[known], camera).astype(np.float32), pixels


def pixels_of(mask: np.ndarray) -> np.ndarray:
    """(N, 2) int64 (row, col) of the pixels of ``mask`` (H, W) bool, row by row: np.argwhere, several times faster."""
    place = np.flatnonzero(mask)
    row = place // mask.shape[1]
    return np.stack([row, place - row * mask.shape[1]], axis=1)


def unproject_pixels(pixels: np.ndarray, z: np.ndarray, camera: Camera) -> np.ndarray:
    """xyz (N, 3) float64 in the camera frame of ``pixels`` (N, 2) (row, col) at depths ``z`` (N,) metres."""
    z = np.asarray(z, dtype=np.float64)
    xyz = np.empty((len(z), 3))
    xyz[:, 0] = (pixels[:, 1] - camera.cx) / camera.fx * z
    xyz[:, 1] = (pixels[:, 0] - camera.cy) / camera.fy * z
    xyz[:, 2] = z
    return xyz


def project_points(xyz_cam: np.ndarray, camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Where points (N, 3) of the camera frame fall: pixels (N, 2) float64 (row, col) and depths z (N,) float64 metres.

    A point that is not in front of the camera has no image: its pixel is NaN, which no bounds test lets pass.
    """
    xyz = np.asarray(xyz_cam, dtype=np.float64)
    z = xyz[:, 2]
    inverse = np.full(len(z), np.nan)
    np.divide(1.0, z, out=inverse, where=z > 1e-9)
    pixels = np.empty((len(z), 2))
    pixels[:, 0] = camera.fy * xyz[:, 1] * inverse + camera.cy
    pixels[:, 1] = camera.fx * xyz[:, 0] * inverse + camera.cx
    return pixels, z


def inside_image(pixels: np.ndarray, z: np.ndarray, camera: Camera) -> np.ndarray:
    """(N,) bool: in front of the camera (``z`` > 0) and, rounded to the nearest pixel, inside the image."""
    row, col = np.floor(pixels[:, 0] + 0.5), np.floor(pixels[:, 1] + 0.5)
    return (z > 0) & (row >= 0) & (row < camera.height) & (col >= 0) & (col < camera.width)


def visible_points(
    xyz_world: np.ndarray,
    camera: Camera,
    T_world_cam: np.ndarray,
    depth: np.ndarray,
    abs_tol: float = 0.05,
    rel_tol: float = 0.02,
) -> tuple[np.ndarray, np.ndarray]:
    """Which points (N, 3) of the world a depth image (H, W) sees: visible (N,) bool and pixels (N, 2) int64 (row, col).

    Visible: inside the image, in front of the camera, with a reading D at the pixel and
    |z - D| < max(abs_tol, rel_tol z), in metres. The tolerance only has to cover the sensor's noise; a wide one gives
    hidden furniture the foreground's features. Points outside the image have the pixel (-1, -1).
    """
    check_size(depth, camera)
    projected, z = project_points(
        transform_points(invert_rigid(T_world_cam), np.asarray(xyz_world, np.float64)), camera
    )
    inside = inside_image(projected, z, camera)
    pixels = np.full(projected.shape, -1, dtype=np.int64)
    pixels[inside] = np.floor(projected[inside] + 0.5).astype(np.int64)
    reading = depth[pixels[inside, 0], pixels[inside, 1]]
    visible = inside.copy()
    visible[inside] = agrees(z[inside], reading, abs_tol, rel_tol)
    return visible, pixels


def check_size(depth: np.ndarray, camera: Camera) -> None:
    """Raise ValueError unless ``depth`` has the size of the camera's images."""
    if depth.shape != (camera.height, camera.width):
        raise ValueError(f"depth {depth.shape} does not fit the camera's image {(camera.height, camera.width)}")


def has_reading(depth: np.ndarray) -> np.ndarray:
    """Bool, the shape of ``depth``: positive and finite."""
    return (depth > 0) & np.isfinite(depth)


def agrees(z: np.ndarray, reading: np.ndarray, abs_tol: float, rel_tol: float) -> np.ndarray:
    """(N,) bool: there is a reading and |z - reading| < max(abs_tol, rel_tol z); metres."""
    return has_reading(reading) & (np.abs(z - reading) < np.maximum(abs_tol, rel_tol * z))


def depth_edges(depth: np.ndarray, rel_tol: float = 0.04, abs_tol: float = 0.03) -> np.ndarray:
    """(H, W) bool: pixels of ``depth`` (H, W) metres with a jump or a missing reading among their 8 neighbours.

    A jump is a step of more than max(abs_tol, rel_tol z) that is not the steady slope of a slanted plane. A plane's
    *inverse* depth is affine in the pixel, so the two pixels behind each side of the step extrapolate to the other
    side; the step is a slope when they do so within the same tolerance, from both sides as far as there are readings.
    The tolerance lies above the quantization of consumer sensors (2-3 cm at 4 m).

    Readings beside a hole count because holes of real sensors open where surfaces end (on Kinect frames they float
    before another view's surface five times as often as other readings, pixels at jumps fourteen times). Pixels without
    a reading are no edges themselves; the image's border is none either.
    """
    valid = has_reading(depth)
    readings = np.where(valid, depth, np.nan)
    edges = valid & _widened(~valid)
    for step in _NEIGHBOURS:
        rows, cols = _jumps(readings, step, rel_tol, abs_tol)
        edges[rows, cols] = True
        edges[rows + step[0], cols + step[1]] = True
    return edges


def surface_normals(depth: np.ndarray, camera: Camera) -> np.ndarray:
    """(H, W, 3) float32 unit normals in the camera frame, pointing towards the camera; zero where unknown.

    The cross product of the central differences along rows and columns, one-sided at a jump in depth, a hole or the
    border: exact on planes. Needs a reading and, in both directions, one neighbour on the same surface.
    """
    check_size(depth, camera)
    valid = has_reading(depth)
    z = np.where(valid, depth, 0).astype(np.float32)
    col = ((np.arange(camera.width) - camera.cx) / camera.fx).astype(np.float32)
    row = ((np.arange(camera.height) - camera.cy) / camera.fy).astype(np.float32)
    xyz = np.stack((z * col, z * row[:, None], z), axis=-1)
    readings = np.where(valid, depth, np.nan)
    along_row, known_row = _tangents(xyz, valid, _jumps(readings, (0, 1)), axis=1)
    along_col, known_col = _tangents(xyz, valid, _jumps(readings, (1, 0)), axis=0)
    normals = np.cross(along_row, along_col)
    length = np.linalg.norm(normals, axis=-1)
    known = known_row & known_col & (length > 0)
    towards = np.where((normals * xyz).sum(axis=-1) > 0, -1, 1)
    scale = np.divide(towards, length, out=np.zeros_like(length), where=known)
    return (normals * scale[..., None]).astype(np.float32)


def _widened(mask: np.ndarray) -> np.ndarray:
    """``mask`` (H, W) bool grown by one pixel in all 8 directions."""
    tall = mask.copy()
    tall[1:] |= mask[:-1]
    tall[:-1] |= mask[1:]
    wide = tall.copy()
    wide[:, 1:] |= tall[:, :-1]
    wide[:, :-1] |= tall[:, 1:]
    return wide


def _jumps(
    readings: np.ndarray, step: tuple[int, int], rel_tol: float = 0.04, abs_tol: float = 0.03
) -> tuple[np.ndarray, np.ndarray]:
    """Rows and cols of the pixels p with a jump (see :func:`depth_edges`) between p and p + ``step``.

    ``readings`` (H, W) metres holds NaN for "none", so that every comparison with a missing reading is False.
    """
    height, width = readings.shape
    dr, dc = step
    first_col = max(0, -dc)
    near = readings[: height - dr, first_col : width - max(0, dc)]
    far = readings[dr:, first_col + dc : width + min(0, dc)]
    rows, cols = np.nonzero(np.abs(near - far) > np.maximum(abs_tol, rel_tol * np.minimum(near, far)))
    cols = cols + first_col
    tolerance = np.maximum(abs_tol, rel_tol * np.minimum(readings[rows, cols], readings[rows + dr, cols + dc]))
    first_known, first_fits = _extrapolates(readings, rows, cols, -dr, -dc, tolerance)
    second_known, second_fits = _extrapolates(readings, rows + dr, cols + dc, dr, dc, tolerance)
    slope = (first_fits | ~first_known) & (second_fits | ~second_known)
    if dr == 0 or dc == 0:  # a diagonal without neighbours, in a corner, leaves the word to the rows and columns
        slope &= first_known | second_known
    return rows[~slope], cols[~slope]


def _extrapolates(
    readings: np.ndarray, rows: np.ndarray, cols: np.ndarray, dr: int, dc: int, tolerance: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Whether p + (dr, dc) has a reading, and whether it and p foretell p - (dr, dc) as one plane, within metres."""
    height, width = readings.shape
    r, c = rows + dr, cols + dc
    inside = (r >= 0) & (r < height) & (c >= 0) & (c < width)
    behind = np.where(inside, readings[r.clip(0, height - 1), c.clip(0, width - 1)], np.nan).astype(np.float64)
    foretold = 2 / readings[rows, cols].astype(np.float64) - 1 / behind
    actual = 1 / readings[rows - dr, cols - dc].astype(np.float64)
    # |1/foretold - 1/actual| <= tolerance without a division; a foretold inverse depth <= 0 lies beyond the horizon
    fits = (foretold > 0) & (np.abs(foretold - actual) <= tolerance * foretold * actual)
    return ~np.isnan(behind), fits


def _tangents(
    xyz: np.ndarray, valid: np.ndarray, jumps: tuple[np.ndarray, np.ndarray], axis: int
) -> tuple[np.ndarray, np.ndarray]:
    """Differences (H, W, 3) along an image axis over the neighbours on the same surface, and where there are any."""
    joined = np.zeros_like(valid)  # a pixel and the next one along the axis
    ahead = (slice(None), slice(1, None)) if axis == 1 else (slice(1, None), slice(None))
    back = (slice(None), slice(None, -1)) if axis == 1 else (slice(None, -1), slice(None))
    joined[back] = valid[back] & valid[ahead]
    joined[jumps] = False
    joined_before = np.zeros_like(valid)
    joined_before[ahead] = joined[back]
    step = np.zeros_like(xyz)
    step[back] = (xyz[ahead] - xyz[back]) * joined[back][..., None]
    tangents = step.copy()
    tangents[ahead] += step[back]
    return tangents, joined | joined_before
