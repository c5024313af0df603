"""Points to voxels: floor, never truncation; the map back to the points is always kept."""

from __future__ import annotations

import numpy as np

from sparse3d.errors import InputError

_BITS = 21
_HALF = 1 << (_BITS - 1)


def voxelize(xyz: np.ndarray, voxel_size: float) -> tuple[np.ndarray, np.ndarray]:
    """Occupied voxels of a cloud.

    Args:
        xyz: (N, 3) metres.
        voxel_size: edge length, metres.

    Returns:
        coords (V, 3) int32 in lexicographic order, and point2voxel (N,) int64.

    Raises:
        InputError: a coordinate that is not finite, or beyond what 21 bits hold.
    """
    scaled = np.floor(np.asarray(xyz, dtype=np.float64) / voxel_size)
    if not np.isfinite(scaled).all():
        raise InputError("points have coordinates that are not finite")
    if len(scaled) and np.abs(scaled).max() >= _HALF:
        raise InputError(
            f"a point lies {np.abs(xyz).max():.4g} m out: more voxels of {voxel_size} m than fit; check the unit"
        )
    cells = scaled.astype(np.int64) + _HALF
    keys = (cells[:, 0] << (2 * _BITS)) | (cells[:, 1] << _BITS) | cells[:, 2]
    unique, point2voxel = np.unique(keys, return_inverse=True)
    mask = (1 << _BITS) - 1
    coords = np.stack([unique >> (2 * _BITS), (unique >> _BITS) & mask, unique & mask], axis=1) - _HALF
    return coords.astype(np.int32), point2voxel.reshape(-1).astype(np.int64)


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
    pairs, counts = np.unique(point2voxel[voted] * span + (named - least), return_counts=True)
    voxel, label = pairs // span, pairs % span + least
    # Last write wins below: order by (voxel, count, -label), so that the largest count, smallest label comes last.
    order = np.lexsort((-label, counts, voxel))
    result[voxel[order]] = label[order]
    return result
