"""Points to voxels: floor, never truncation; the map back to the points is always kept."""

from __future__ import annotations

import math

import numpy as np

from sparse3d.errors import InputError

_FARTHEST = 64_512  # voxels along an axis from the origin, the engine's limit: 3 km at 5 cm
# Of a table that is faster than sorting: 128 MB at most, and not many more cells to go through than points.
_TABLE_CELLS, _CELLS_A_POINT = 1 << 24, 64


def voxelize(xyz: np.ndarray, voxel_size: float) -> tuple[np.ndarray, np.ndarray]:
    """Occupied voxels of a cloud.

    Args:
        xyz: (N, 3) metres.
        voxel_size: edge length, metres.

    Returns:
        coords (V, 3) int32 in lexicographic order, and point2voxel (N,) int64.

    Raises:
        InputError: a coordinate that is not finite, or more than 64,512 voxels from the origin.
    """
    # By columns: along rows of three numpy searches and sums several times slower.
    columns = np.array(np.asarray(xyz).T, dtype=np.float64, order="C")
    columns /= voxel_size
    np.floor(columns, out=columns)
    if columns.size == 0:
        return np.zeros((0, 3), dtype=np.int32), np.zeros(0, dtype=np.int64)
    low, high = columns.min(axis=1), columns.max(axis=1)
    if not (np.isfinite(low) & np.isfinite(high)).all():
        raise InputError("points have coordinates that are not finite")
    if max(-low.min(), high.max()) > _FARTHEST:
        raise InputError(
            f"a point lies {np.abs(xyz).max():.4g} m out: more voxels of {voxel_size} m than fit; check the unit"
        )
    origin, extent = low.astype(np.int64), (high - low).astype(np.int64) + 1
    places = columns.astype(np.int64) - origin[:, None]
    cells = (places[0] * extent[1] + places[1]) * extent[2] + places[2]  # counted in lexicographic order
    occupied, point2voxel = _distinct(cells, math.prod(extent.tolist()))
    rest, z = np.divmod(occupied, extent[2])
    coords = np.stack([*np.divmod(rest, extent[1]), z], axis=1) + origin
    return coords.astype(np.int32), point2voxel


def _distinct(cells: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The distinct ones of ``cells`` (N,) in [0, count), ascending, and the place (N,) int64 of each among them."""
    if count > min(_TABLE_CELLS, _CELLS_A_POINT * len(cells)):
        occupied, place = np.unique(cells, return_inverse=True)
        return occupied, place.reshape(-1).astype(np.int64)
    # By a table over the bounding box, several times faster than sorting.
    is_occupied = np.zeros(count, dtype=bool)
    is_occupied[cells] = True
    occupied = np.flatnonzero(is_occupied)
    place = np.empty(count, dtype=np.int32)
    place[occupied] = np.arange(len(occupied), dtype=np.int32)
    return occupied, place[cells].astype(np.int64)


def mean_by_voxel(values: np.ndarray, point2voxel: np.ndarray, num_voxels: int) -> np.ndarray:
    """Mean of ``values`` (N, C) over each voxel's points, (V, C) float32."""
    counts = np.maximum(np.bincount(point2voxel, minlength=num_voxels), 1)
    sums = [np.bincount(point2voxel, weights=column, minlength=num_voxels) for column in np.asarray(values).T]
    return (
        (np.stack(sums, axis=1) / counts[:, None]).astype(np.float32) if sums else np.zeros((num_voxels, 0), np.float32)
    )


def majority_label(labels: np.ndarray, point2voxel: np.ndarray, num_voxels: int, ignore: int) -> np.ndarray:
    """The most frequent label of each voxel's points, (V,) int64; ties go to the smaller label.

    Points labelled ``ignore`` have no vote; a voxel without a vote is labelled ``ignore``.
    """
    voted = labels != ignore
    result = np.full(num_voxels, ignore, dtype=np.int64)
    if not voted.any():
        return result
    named = labels[voted].astype(np.int64)
    # One number a pair of voxel and label: numpy sorts numbers many times faster than rows.
    least, span = int(named.min()), int(np.ptp(named)) + 1
    pairs = point2voxel[voted] * span + (named - least)
    if num_voxels * span <= min(_TABLE_CELLS, _CELLS_A_POINT * len(pairs)):
        votes = np.bincount(pairs, minlength=num_voxels * span).reshape(num_voxels, span)
        most = votes.argmax(axis=1)  # the first of equal ones
        has_vote = votes[np.arange(num_voxels), most] > 0
        result[has_vote] = most[has_vote] + least
        return result
    pairs, counts = np.unique(pairs, return_counts=True)
    voxel, label = pairs // span, pairs % span + least
    # Last write wins below: order by (voxel, count, -label), so that the largest count, smallest label comes last.
    order = np.lexsort((-label, counts, voxel))
    result[voxel[order]] = label[order]
    return result
