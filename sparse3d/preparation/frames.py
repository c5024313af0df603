"""The frames of a scene: chosen, made small, written as a ``.sens`` of their own, and their overlaps beside it."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from sparse3d.data.overlaps import FILE, computed_overlaps, store_overlaps
from sparse3d.data.readers import Dropped, FrameSource, open_frames
from sparse3d.data.readers.scannet_sens import SensHeader, read_header
from sparse3d.data.scannet.axis_alignment import SceneText
from sparse3d.data.scannet.scene_files import SceneFiles
from sparse3d.data.sens_writer import SensWriter
from sparse3d.errors import InputError
from sparse3d.geometry import select_pairs
from sparse3d.preparation.options import VOXEL_SIZE, PrepareOptions

PAIR_BOUNDS = (0.3, 0.9)  # for the count of pairs in the record; training has its own


def write_frames(files: SceneFiles, folder: Path, options: PrepareOptions) -> dict[str, Any]:
    """Write ``<scene>.sens`` and ``overlap.npz`` into ``folder``; returns the record of what was kept and dropped.

    One frame is in memory at a time. Frames that cannot be used are dropped, each with its reason. Raises InputError
    when the recording is damaged as a whole, or nothing of it can be used.
    """
    started = perf_counter()
    step = options.step(recorded_frames(files))
    source = open_source(files, size=options.size, step=step, on_fault="drop")
    path = folder / f"{files.name}.sens"
    kept = _write(source, path, options)
    written = perf_counter()
    prepared = open_frames(path, size=options.size)
    overlap = computed_overlaps(prepared, VOXEL_SIZE, lambda i: f"{source.path}: frame {kept[i]}")  # as it was numbered
    store_overlaps(folder / FILE, prepared, overlap, VOXEL_SIZE)
    dropped = source.manifest.dropped
    return {
        "recorded": recorded_frames(files),
        "frame_skip": step,
        "selected": len(kept) + len(dropped),
        "kept": len(kept),
        "dropped": source.manifest.counts(),
        "drops": [asdict(d) for d in dropped],
        "numbers": kept,
        "size": list(options.size),
        "pairs": {"overlap": list(PAIR_BOUNDS), "count": len(select_pairs(overlap, *PAIR_BOUNDS))},
        "seconds": {"frames": round(written - started, 3), "overlap": round(perf_counter() - written, 3)},
    }


def open_source(files: SceneFiles, **options: Any) -> FrameSource:
    """The scene's recording: its ``.sens``, else its exported frames."""
    if files.sens is not None:
        return open_frames(files.sens, format="scannet_sens", **options)
    if files.exported is None:
        raise InputError(f"{files.folder}: the scene has no frames")
    return open_frames(files.exported, format="scannet_frames", **options)


def recorded_frames(files: SceneFiles) -> int:
    """How many frames the recording has, usable or not, from its header or its folder alone."""
    if files.sens is not None:
        return header_of(files.sens).frames
    return 0 if files.exported is None else sum(1 for _ in (files.exported / "depth").glob("[!.]*.png"))


def intrinsics_note(files: SceneFiles, text: SceneText) -> str | None:
    """A line where the ``.txt`` has other intrinsics than the ``.sens``, whose are the ones that are used."""
    said = text.depth_intrinsics()
    if files.sens is None or said is None:
        return None
    K = header_of(files.sens).depth_K
    used = (K[0, 0], K[1, 1], K[0, 2], K[1, 2])
    if np.abs(np.subtract(said, used)).max() < 0.1:
        return None
    there, here = (", ".join(f"{value:.1f}" for value in values) for values in (said, used))
    return f"the .txt has depth intrinsics {there}, the .sens {here}: those of the .sens are used"


def pairs_note(record: dict[str, Any]) -> str | None:
    """A line where the frames are of no use for pre-training: no two of them see enough in common."""
    if record["pairs"]["count"]:
        return None
    low, high = PAIR_BOUNDS
    frames = f"{record['kept']} of {record['recorded']} frames are kept"
    return f"{frames}, no two of which overlap by {low} to {high}: lower --frame-skip to pre-train on it"


def _write(source: FrameSource, path: Path, options: PrepareOptions) -> list[int]:
    """Writes what can be decoded; returns the frames' numbers. The others join the source's manifest."""
    camera = source.camera(0)
    kept = []
    with SensWriter(path, camera, camera, sensor_name="sparse3d", jpeg_quality=options.jpeg_quality) as writer:
        for i in range(len(source)):
            try:
                frame = source[i]
            except InputError as error:
                reason = f"unreadable_{'color' if _has_depth(source, i) else 'depth'}"
                source.manifest.dropped.append(Dropped(source.name(i), reason, str(error)))
                continue
            if not frame.depth.any():
                detail = f"{source.path}: frame {frame.name}: no reading in the whole image"
                source.manifest.dropped.append(Dropped(frame.name, "empty_depth", detail))
                continue
            writer.write(frame.color, frame.depth, frame.T_world_cam)
            kept.append(source.frame_number(i))
        if not kept:
            raise InputError(f"{source.path}: none of {len(source)} chosen frames can be used: {_first(source)}")
    return kept


def _has_depth(source: FrameSource, i: int) -> bool:
    try:
        source.depth(i)
    except InputError:  # the caller has the error already, and asks which image it was
        return False
    return True


def _first(source: FrameSource) -> str:
    return source.manifest.dropped[0].detail if source.manifest.dropped else "no reason known"


def header_of(path: Path) -> SensHeader:
    """The header of a ``.sens``. Raises InputError for one that is cut off or absurd."""
    try:
        with path.open("rb") as file:
            return read_header(file, path)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error
