"""One scene, prepared as a whole or not at all."""

from __future__ import annotations

import os
import platform
import re
import shutil
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

import sparse3d
from sparse3d.data.prepared import BROKEN, FORMAT, SCENE, SCENES
from sparse3d.data.scannet.axis_alignment import SceneText, read_scene_text
from sparse3d.data.scannet.label_table import LabelTable
from sparse3d.data.scannet.scene_files import SceneFiles
from sparse3d.errors import REMEDIES, InputError
from sparse3d.preparation.files import describe_sources, read_record, sources_agree, sources_of, write_json
from sparse3d.preparation.frames import intrinsics_note, pairs_note, write_frames
from sparse3d.preparation.meshes import check_table, write_mesh
from sparse3d.preparation.options import PrepareOptions

DONE, SKIPPED, FAILED = "prepared", "skipped", "broken"


@dataclass(frozen=True)
class SceneOutcome:
    """What became of a scene: ``state`` is "prepared", "skipped" (it was finished) or "broken"; ``reason`` says why."""

    name: str
    state: str
    reason: str = ""
    seconds: float = 0.0
    bytes: int = 0
    notes: tuple[str, ...] = ()


def prepare_scene(
    files: SceneFiles, destination: Path, options: PrepareOptions, table: LabelTable | None
) -> dict[str, Any]:
    """Write ``destination/scenes/<scene>/`` and return its record, the content of ``scene.json``.

    Everything is written into a hidden folder beside it, which takes its name at the end; an older one is replaced.
    Raises InputError when the scene is broken; then nothing has changed. One process at a time: see
    :func:`scene_lock`.
    """
    if not (files.has("frames") or files.has("mesh")):
        raise InputError(f"{files.folder}: neither frames ({files.name}.sens) nor a mesh ({files.name}_vh_clean_2.ply)")
    target = destination / SCENES / files.name
    remove_leftovers(destination, files.name)
    partial = target.with_name(f".{files.name}.{os.getpid()}.partial")
    try:
        partial.mkdir(parents=True)
        record = _write_scene(files, partial, options, table)
        _replace_folder(partial, target)
    except OSError as error:
        where = error.filename or target
        remedy = REMEDIES.get(error.errno or 0, "see to it, and run again")
        raise InputError(f"{where}: cannot be written or read ({error.strerror or error}): {remedy}") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    (destination / BROKEN / f"{files.name}.json").unlink(missing_ok=True)
    return record


def scene_lock(destination: Path, scene: str) -> Path:
    """The lock file under which a scene is prepared, for :func:`~sparse3d.whole_files.held`."""
    return destination / SCENES / f".{scene}.lock"


def remove_leftovers(destination: Path, scene: str) -> None:
    """Removes what killed processes left of a scene. Only for who holds its lock: a living one's looks the same."""
    for path in (destination / SCENES).glob(f".{scene}.*"):
        if re.fullmatch(rf"\.{re.escape(scene)}\.\d+\.(partial|old)", path.name):
            shutil.rmtree(path, ignore_errors=True)


def is_finished(files: SceneFiles, destination: Path, options: PrepareOptions, table: LabelTable | None) -> bool:
    """Whether the scene was prepared from these sources, with these options, and all of it is still there."""
    folder = destination / SCENES / files.name
    record = read_record(folder / SCENE)
    if record is None or record["options"] != options.to_record():
        return False
    if any(not (folder / name).is_file() or (folder / name).stat().st_size != n for name, n in record["bytes"].items()):
        return False
    return sources_agree(record["sources"], sources_of(files, None if table is None else table.path))


def _write_scene(files: SceneFiles, folder: Path, options: PrepareOptions, table: LabelTable | None) -> dict[str, Any]:
    started = perf_counter()
    check_table(files, table)
    text = SceneText() if files.text is None else read_scene_text(files.text)
    sources = describe_sources(sources_of(files, None if table is None else table.path))
    seconds = {"checksums": round(perf_counter() - started, 3)}
    notes = [note for note in (intrinsics_note(files, text),) if note]
    if text.axis_alignment is None:
        notes.append("no axisAlignment: the scene is unaligned, its boxes run along the axes of the scan")
    frames = mesh = None
    if files.has("frames"):
        frames = write_frames(files, folder, options)
        seconds |= frames.pop("seconds")
        notes += [note for note in (pairs_note(frames),) if note]
    if files.has("mesh"):
        mesh, remarks = write_mesh(files, folder, table, text.axis_alignment)
        seconds |= mesh.pop("seconds")
        notes += remarks
    record = {
        "format": FORMAT,
        "scene": files.name,
        "options": options.to_record(),
        "axis_alignment": None if text.axis_alignment is None else text.axis_alignment.tolist(),
        "absent": files.absent(),
        "notes": notes,
        "frames": frames,
        "mesh": mesh,
        "bytes": {path.name: path.stat().st_size for path in sorted(folder.iterdir())},
        "seconds": seconds | {"all": round(perf_counter() - started, 3)},
        "sources": sources,
        "source_folder": str(files.folder.resolve()),
        "versions": {
            "sparse3d": sparse3d.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
    }
    write_json(folder / SCENE, record)
    return record


def _replace_folder(partial: Path, target: Path) -> None:
    """Folders cannot be replaced in one step; a moment without the scene is the price, a mixture never happens."""
    old = target.with_name(f".{target.name}.{os.getpid()}.old")
    if target.exists():
        os.replace(target, old)
    os.replace(partial, target)
    shutil.rmtree(old, ignore_errors=True)
