"""Preparing all scenes of a source: over processes, over machines, and again where a run was interrupted."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from sparse3d.blas_threads import keep_numpy_to_one_thread
from sparse3d.data.prepared import BROKEN, SCENES
from sparse3d.data.scannet.label_table import LabelTable, find_label_table, read_label_table
from sparse3d.data.scannet.scene_files import FOLDERS, SCENE_NAME, SceneFiles, find_scenes
from sparse3d.data.scannet.split_lists import LISTS, packaged_splits
from sparse3d.errors import InputError, is_disk_full
from sparse3d.preparation.manifest import copy_splits, write_broken, write_labels, write_manifest
from sparse3d.preparation.options import PrepareOptions
from sparse3d.preparation.scene import (
    DONE,
    FAILED,
    SKIPPED,
    SceneOutcome,
    is_finished,
    prepare_scene,
    remove_leftovers,
    scene_lock,
)
from sparse3d.whole_files import held

EXIT_LEFT_OUT = 3  # some scenes were left out
WATCH_SECONDS = 1.0  # how often a worker looks whether its parent lives


@dataclass(frozen=True)
class Job:
    """A source and what is to be made of it. ``shard`` is (index, count): every ``count``-th scene is ours."""

    source: Path
    destination: Path
    options: PrepareOptions = PrepareOptions()
    splits: Path | None = None
    shard: tuple[int, int] = (0, 1)

    def scenes(self) -> list[SceneFiles]:
        """The scenes of this shard. Raises InputError without any in the source, or for a shard that is none."""
        index, count = self.shard
        if not 0 <= index < count:
            raise InputError(f"--shard {index}/{count}: the index must lie in 0 to {count - 1}")
        return find_scenes(self.source)[index::count]

    def table(self) -> LabelTable | None:
        """The label table in the source or just above; None without one."""
        path = find_label_table(self.source)
        return None if path is None else read_label_table(path)

    def split_folder(self) -> Path | None:
        """The lists to go by: those named, the set's own, else those that come with sparse3d for such names."""
        if self.splits is not None:
            return self.splits
        whole = Path(os.path.abspath(self.source))  # SRC may be a set's scans/, whose lists lie beside it
        for folder in (self.source, *([whole.parent] if whole.name in FOLDERS else [])):
            if list((folder / "splits").glob(LISTS)):
                return folder / "splits"
        kinds = {found[1] for s in find_scenes(self.source) if (found := SCENE_NAME.fullmatch(s.name))}
        return packaged_splits({"scene": "scannet", "room": "rooms"}[kinds.pop()]) if len(kinds) == 1 else None


def parse_shard(text: str | None) -> tuple[int, int]:
    """``--shard i/n``, or torchrun's RANK and WORLD_SIZE, or the whole. Raises InputError for a text that is none."""
    if text is None:
        text = f"{os.environ.get('RANK', '0')}/{os.environ.get('WORLD_SIZE', '1')}"
    index, _, count = text.partition("/")
    if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
        raise InputError(f"--shard {text}: write i/n with i from 0 to n - 1, as in 0/4")
    return int(index), int(count)


def prepare(job: Job, workers: int = 1) -> list[SceneOutcome]:
    """Prepare the job's scenes and write splits, labels and the manifest; returns what became of each, by name.

    A broken scene does not stop the others. Raises InputError where nothing can be done at all, when the disk is full,
    or when a worker was killed from outside (memory): what is finished stays, and a further run goes on from there.
    """
    if workers < 1:
        raise InputError(f"--workers {workers}: must be at least 1")
    scenes, table = job.scenes(), job.table()
    copy_splits(job.split_folder(), job.destination)
    write_labels(job.destination, table)
    outcomes = []
    run = _in_processes if workers > 1 and len(scenes) > 1 else _in_turn
    for outcome in tqdm(
        run(job, scenes, table, workers), total=len(scenes), desc="preparing", unit="scene", disable=None
    ):
        outcomes.append(outcome)
    write_manifest(job.destination)
    return sorted(outcomes, key=lambda outcome: outcome.name)


def report(outcomes: list[SceneOutcome], job: Job) -> str:
    """What a person is told at the end: counts, remarks, the lists, and each broken scene with its reason."""
    states = {state: [o for o in outcomes if o.state == state] for state in (DONE, SKIPPED, FAILED)}
    seconds, size = sum(o.seconds for o in outcomes), sum(o.bytes for o in outcomes)
    lines = [f"{o.name}: {note}" for o in outcomes for note in o.notes]
    lines += [f"{o.name}: left out: {o.reason}" for o in states[FAILED]]
    counts = ", ".join(f"{len(found)} {state}" for state, found in states.items())
    lists = job.split_folder()
    lines.append("no split lists" if lists is None else f"split lists: those of {lists}")
    return "\n".join([*lines, f"{job.destination}: {counts}; {size / 1e6:.1f} MB in {seconds:.1f} s of work"])


def as_json(outcomes: list[SceneOutcome]) -> dict[str, Any]:
    """The same for programs."""
    return {"scenes": [asdict(outcome) for outcome in outcomes]}


def exit_code(outcomes: list[SceneOutcome]) -> int:
    """0, or 3 where a scene was left out."""
    return EXIT_LEFT_OUT if any(o.state == FAILED for o in outcomes) else 0


def _in_turn(job: Job, scenes: list[SceneFiles], table: LabelTable | None, workers: int) -> Iterator[SceneOutcome]:
    for files in scenes:
        yield _prepare_one(files, job, table)


def _in_processes(job: Job, scenes: list[SceneFiles], table: LabelTable | None, workers: int) -> Iterator[SceneOutcome]:
    others = set(multiprocessing.active_children())
    # Forked from a process without threads, which has imported all this once: a fork of ours might inherit held locks.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    pool = ProcessPoolExecutor(min(workers, len(scenes)), mp_context=context, initializer=_begin_worker)
    try:
        futures = [pool.submit(_prepare_one, files, job, table) for files in scenes]
        for future in as_completed(futures):
            yield future.result()
    except BaseException as error:
        # Nobody waits for scenes that are half done: after Ctrl-C, or when a worker was killed.
        pool.shutdown(wait=False, cancel_futures=True)
        for process in set(multiprocessing.active_children()) - others:
            process.kill()
            process.join()
        _remove_leftovers(job, scenes)
        pool.shutdown()  # at once, as the workers are gone; gives its semaphores back
        if isinstance(error, BrokenProcessPool):
            raise InputError(
                f"{job.destination}: a worker was killed (out of memory?): run again with fewer --workers; "
                "finished scenes are kept"
            ) from error
        raise
    pool.shutdown()


def _remove_leftovers(job: Job, scenes: list[SceneFiles]) -> None:
    """Of workers that were ended; scenes that another run works on are its own."""
    begun = {path.name for path in (job.destination / SCENES).glob(".*.partial")}
    left = [files.name for files in scenes if any(name.startswith(f".{files.name}.") for name in begun)]
    # A signal that reached all processes took the forkserver, too: then the workers end by themselves, a moment later.
    until = time.monotonic() + 2 * WATCH_SECONDS
    while left:
        for name in list(left):
            with held(scene_lock(job.destination, name), wait=False) as ours:
                if ours:
                    remove_leftovers(job.destination, name)
                    left.remove(name)
        if time.monotonic() > until:
            return
        time.sleep(0.1 * bool(left))


def _begin_worker() -> None:
    """Ctrl-C and SIGTERM, which may reach all at once, are the parent's to handle: it takes away what is half done.

    A worker ends when the process it was forked of does.
    """
    keep_numpy_to_one_thread()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    tqdm.set_lock(threading.RLock())  # its own is one of the system's, which a worker that is ended cannot give back
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(WATCH_SECONDS)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _prepare_one(files: SceneFiles, job: Job, table: LabelTable | None) -> SceneOutcome:
    try:
        # Another run of the same scene waits here, and then finds it finished.
        with held(scene_lock(job.destination, files.name)):
            if is_finished(files, job.destination, job.options, table):
                (job.destination / BROKEN / f"{files.name}.json").unlink(missing_ok=True)
                return SceneOutcome(files.name, SKIPPED)
            record = prepare_scene(files, job.destination, job.options, table)
    except InputError as error:
        if is_disk_full(error):  # no fault of the scene: the others would end likewise
            raise
        return _left_out(job, files.name, str(error), "")
    except Exception as error:  # noqa: BLE001 - one scene's defect must not cost the hundreds after it; it is kept
        return _left_out(job, files.name, f"defect: {type(error).__name__}: {error}", traceback.format_exc())
    size = sum(record["bytes"].values())
    return SceneOutcome(files.name, DONE, "", record["seconds"]["all"], size, tuple(record["notes"]))


def _left_out(job: Job, name: str, reason: str, trace: str) -> SceneOutcome:
    write_broken(job.destination, name, reason, trace)
    return SceneOutcome(name, FAILED, reason)
