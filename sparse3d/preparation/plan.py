"""What a preparation would do, said before anything is written."""

from __future__ import annotations

import math
import shutil
import tempfile
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sparse3d.data.scannet.label_table import LabelTable
from sparse3d.data.scannet.scene_files import PARTS, SceneFiles, find_scenes
from sparse3d.data.scannet.split_lists import read_splits
from sparse3d.errors import InputError, is_disk_full
from sparse3d.preparation.files import sources_of
from sparse3d.preparation.frames import recorded_frames
from sparse3d.preparation.meshes import check_table
from sparse3d.preparation.options import PrepareOptions
from sparse3d.preparation.runner import EXIT_LEFT_OUT, Job
from sparse3d.preparation.scene import is_finished, prepare_scene

SHOWN = 5  # names listed before "..."


@dataclass(frozen=True)
class SceneSize:
    """What a scene's work grows with: frames chosen, bytes of mesh files, bytes to take a checksum of."""

    frames: int
    mesh_bytes: int
    source_bytes: int


@dataclass
class Plan:
    """The plan of one shard. ``bytes`` and ``seconds`` are for the scenes ``to_do``, seconds for one worker."""

    scenes: int = 0
    finished: list[str] = field(default_factory=list)
    to_do: list[str] = field(default_factory=list)
    broken: dict[str, str] = field(default_factory=dict)  # as far as headers tell
    absent: dict[str, list[str]] = field(default_factory=dict)  # part -> scenes without it
    splits: dict[str, dict[str, Any]] = field(default_factory=dict)  # list -> listed, found, missing
    split_folder: str | None = None
    has_table: bool = False
    measured: str | None = None  # the scene that the estimate comes from
    frames: int = 0
    bytes: int = 0
    seconds: float = 0.0
    free_bytes: int = 0

    def exit_code(self) -> int:
        return EXIT_LEFT_OUT if self.broken else 0

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def make_plan(job: Job) -> Plan:
    """Look at every scene's headers, prepare the first one in a temporary folder, and reckon from it.

    Nothing is written to the destination. Raises InputError where there is no scene at all, or a split list is none.
    """
    table, scenes = job.table(), job.scenes()
    plan = Plan(scenes=len(scenes), has_table=table is not None, free_bytes=_free_bytes(job.destination))
    sizes: dict[str, SceneSize] = {}
    for files in scenes:
        try:
            if is_finished(files, job.destination, job.options, table):
                plan.finished.append(files.name)
                continue
            sizes[files.name] = _size_of(files, job.options, table)
        except InputError as error:
            plan.broken[files.name] = str(error)
    plan.absent = {part: names for part in PARTS if (names := [s.name for s in scenes if not s.has(part)])}
    there = {files.name for files in find_scenes(job.source)}
    folder = job.split_folder()
    plan.split_folder = None if folder is None else str(folder)
    for name, names in ({} if folder is None else read_splits(folder)).items():
        missing = [scene for scene in names if scene not in there]
        plan.splits[name] = {"listed": len(names), "found": len(names) - len(missing), "missing": missing}
    _estimate(plan, sizes, job, {files.name: files for files in scenes}, table)
    plan.to_do = [name for name in sizes if name not in plan.broken]
    return plan


def describe_plan(plan: Plan, workers: int) -> str:
    """The plan as lines for a person."""
    counts = f"{len(plan.to_do)} to do, {len(plan.finished)} finished, {len(plan.broken)} broken"
    lines = [f"{plan.scenes} scenes found: {counts}"]
    lines += [f"  broken {name}: {reason}" for name, reason in plan.broken.items()]
    lines += [f"  without {part}: {_few(names)}" for part, names in plan.absent.items()]
    for name, split in plan.splits.items():
        missing = f"; missing: {_few(split['missing'])}" if split["missing"] else ""
        lines.append(f"  split {name}: {split['found']} of {split['listed']} found{missing}")
    if plan.splits:
        lines.append(f"  split lists: those of {plan.split_folder}")
    else:
        lines.append("  no split lists: name a folder of them with --splits")
    if not plan.has_table:
        lines.append(
            "  no label table (*-labels.combined.tsv) in the source or above: annotated scenes would be left out"
        )
    if plan.measured is not None:
        lines.append(
            f"to write: {plan.frames} frames, {plan.bytes / 1e6:.1f} MB ({plan.free_bytes / 1e6:.0f} MB free); time: "
            f"{_duration(plan.seconds)} for one worker, {_duration(plan.seconds / workers)} for {workers} "
            f"(estimated from {plan.measured})"
        )
    if plan.bytes > plan.free_bytes:
        lines.append("the disk is too small for it")
    return "\n".join(lines)


def _size_of(files: SceneFiles, options: PrepareOptions, table: LabelTable | None) -> SceneSize:
    """From headers and sizes alone. InputError for a scene with nothing in it, a damaged header, or no table."""
    if not (files.has("frames") or files.has("mesh")):
        raise InputError(f"{files.folder}: neither frames nor a mesh")
    check_table(files, table)
    sizes = {name: sum(p.stat().st_size for p in paths) for name, paths in sources_of(files, None).items()}
    recorded = recorded_frames(files)
    frames = math.ceil(recorded / options.step(recorded))
    mesh = sum(size for name, size in sizes.items() if name not in (".sens", ".txt", "frames"))
    return SceneSize(frames, mesh, sum(sizes.values()))


def _estimate(
    plan: Plan, sizes: dict[str, SceneSize], job: Job, scenes: dict[str, SceneFiles], table: LabelTable | None
) -> None:
    """Bytes and seconds from the first scene that can be prepared; scenes that cannot join ``plan.broken``."""
    with tempfile.TemporaryDirectory(prefix="sparse3d-plan-") as folder:
        for name in sorted(sizes, key=lambda n: (len(scenes[n].absent()), n)):  # the completest first
            try:
                record = prepare_scene(scenes[name], Path(folder), job.options, table)
            except InputError as error:
                if is_disk_full(error):
                    raise
                plan.broken[name] = str(error)
                continue
            except Exception as error:  # noqa: BLE001 - as in preparing: one scene's defect is told with the others
                plan.broken[name] = f"defect: {type(error).__name__}: {error}"
                continue
            plan.measured = name
            _scale(plan, record, sizes)
            return


def _scale(plan: Plan, record: dict[str, Any], sizes: dict[str, SceneSize]) -> None:
    """Each part of the work grows with its own measure."""
    own, seconds, written = sizes[record["scene"]], record["seconds"], record["bytes"]
    todo = [size for name, size in sizes.items() if name not in plan.broken]
    frames, mesh = sum(s.frames for s in todo), sum(s.mesh_bytes for s in todo)
    frame_share = frames / max(1, own.frames)
    mesh_share = mesh / max(1, own.mesh_bytes)
    frame_bytes = sum(size for name, size in written.items() if name.endswith((".sens", "overlap.npz")))
    plan.frames = frames
    plan.bytes = round(frame_bytes * frame_share + (sum(written.values()) - frame_bytes) * mesh_share)
    plan.seconds = round(
        (seconds.get("frames", 0) + seconds.get("overlap", 0)) * frame_share
        + seconds.get("mesh", 0) * mesh_share
        + seconds["checksums"] * sum(s.source_bytes for s in todo) / max(1, own.source_bytes),
        3,
    )


def _free_bytes(folder: Path) -> int:
    """Of the disk that ``folder``, which need not exist, would lie on."""
    there = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    if not there.is_dir():
        raise InputError(f"{there}: is a file, where a folder is to be written: name another folder")
    return shutil.disk_usage(there).free


def _few(names: list[str]) -> str:
    more = f", ... ({len(names)} in all)" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
