"""How much the frames of a recording overlap: computed, or read from beside the recording when it was stored there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sparse3d.data.npz import DAMAGED, read_arrays
from sparse3d.data.readers import FrameSource
from sparse3d.geometry import transform_points, unproject_depth, view_overlaps
from sparse3d.whole_files import as_bytes, write_whole

FILE = "overlap.npz"
VERSION = 1  # to be raised with any change of what the matrix means
PIXEL_STEP = 8  # of a 640 x 480 depth image; 5 cm voxels are still hit several times each


def frame_overlaps(source: FrameSource, voxel_size: float = 0.05) -> np.ndarray:
    """The symmetric overlap matrix (F, F) float32 of a recording's frames: the stored one if it is fresh."""
    stored = stored_overlaps(source, voxel_size)
    return computed_overlaps(source, voxel_size) if stored is None else stored


def computed_overlaps(
    source: FrameSource, voxel_size: float = 0.05, name: Callable[[int], str] | None = None
) -> np.ndarray:
    """The overlap matrix (F, F) float32, from the depth of every frame; see :func:`sparse3d.geometry.view_overlaps`.

    Raises InputError that names recording and frame, or calls it ``name(i)``, where one lies too far from the others.
    """
    clouds = []
    # Nothing to see for one room; a data set of hundreds of scenes takes minutes.
    for i in tqdm(
        range(len(source)), desc=f"overlaps of {source.scene}", unit="frame", disable=None, leave=False, delay=3
    ):
        depth, camera = source.depth(i), source.camera(i)
        step = max(1, round(PIXEL_STEP * camera.width / 640))
        sparse = np.zeros_like(depth)
        sparse[::step, ::step] = depth[::step, ::step]
        clouds.append(transform_points(source.pose(i), unproject_depth(sparse, camera)[0]))
    called = name or (lambda i: f"{source.path}: frame {source.name(i)}")
    return view_overlaps(clouds, voxel_size, name=called).pair_overlap()


def store_overlaps(path: Path, source: FrameSource, overlap: np.ndarray, voxel_size: float = 0.05) -> None:
    """Write ``overlap`` (F, F) of ``source``'s frames, so that :func:`stored_overlaps` finds it beside them.

    float32, as computed: rounded further, a pair could change sides of a bound.
    """
    arrays = {
        "names": np.array([source.name(i) for i in range(len(source))]),
        "overlap": overlap.astype(np.float32),
        "fingerprints": _fingerprints(source, voxel_size),
    }
    known = {"voxel_size": voxel_size, "pixel_step": PIXEL_STEP, "version": VERSION}
    write_whole(path, lambda file: np.savez(file, **arrays, **known))  # type: ignore[arg-type]


def stored_overlaps(source: FrameSource, voxel_size: float = 0.05) -> np.ndarray | None:
    """The matrix (F, F) float32 stored beside ``source``, or None where there is none or any frame differs.

    A frame is the same when its name, its pose, its camera, the recording's size in bytes and the parameters are; a
    selection of the frames takes its part of the matrix, as a pair's overlap does not depend on the others.
    """
    path = (source.path if source.path.is_dir() else source.path.parent) / FILE
    try:
        stored = read_arrays(path)
        known, overlap = stored["fingerprints"], stored["overlap"]
    except (KeyError, *DAMAGED):
        return None  # only a saving of time: what cannot be read is computed
    if known.ndim != 1 or overlap.shape != (len(known), len(known)) or overlap.dtype != np.float32:
        return None
    places = {fingerprint: row for row, fingerprint in enumerate(known.tolist())}
    rows = [places.get(fingerprint, -1) for fingerprint in _fingerprints(source, voxel_size).tolist()]
    return None if -1 in rows else overlap[np.ix_(rows, rows)]


def _fingerprints(source: FrameSource, voxel_size: float) -> np.ndarray:
    """(F,) text: of every frame, all that its part of the matrix depends on but the depth itself."""
    size = source.path.stat().st_size if source.path.is_file() else 0
    common = f"{VERSION} {source.format} {size} {float(voxel_size)!r} {PIXEL_STEP} {source.options.depth_scale}"
    prints = []
    for i in range(len(source)):
        text = as_bytes(f"{common} {source.name(i)} {source.camera(i)}")
        pose = np.ascontiguousarray(source.pose(i) + 0.0)  # -0 and 0 are one number
        prints.append(hashlib.sha256(text + pose.astype("<f8").tobytes()).hexdigest()[:32])
    return np.array(prints)
