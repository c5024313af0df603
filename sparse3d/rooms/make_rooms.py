"""Many rooms: scene ``i`` of a seed is the same whatever else is made, by how many workers, or when."""

from __future__ import annotations

import functools
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from sparse3d.errors import InputError
from sparse3d.rooms.arranger import Unplaceable
from sparse3d.rooms.assets import AssetLibrary
from sparse3d.rooms.label_table import TABLE_NAME, label_table
from sparse3d.rooms.piece import ROOM_KINDS, Room, RoomKind
from sparse3d.rooms.recording import RecordingOptions, record
from sparse3d.rooms.room_maker import KIND_WEIGHTS, make_room
from sparse3d.rooms.scene import merge
from sparse3d.rooms.walk import walk
from sparse3d.whole_files import held, write_whole_text

SCANS, SPLITS, OPTIONS_NAME = "scans", "splits", "rooms.json"
VAL_EVERY = 4  # unless said otherwise: rooms 3, 7, 11 ... are for validation
ATTEMPTS = 5  # rooms drawn for one scene, when furniture finds no place or a camera none to stand in
GENERATOR = 1  # to be raised when the same options give other bytes, so that old and new rooms are not mixed
LARGEST_NUMBER = 9999  # of a scene, in four digits
_GOLDEN = (5**0.5 - 1) / 2
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class RoomsOptions:
    """What the bytes of a set of rooms depend on."""

    seed: int = 0
    kind: RoomKind | None = None  # None draws all kinds
    assets: str | None = None  # a folder of furniture
    recording: RecordingOptions = field(default_factory=RecordingOptions)
    val_every: int = VAL_EVERY  # of the lists: every so-many-th room is for validation

    def __post_init__(self) -> None:
        recording = self.recording
        if self.kind is not None and self.kind not in ROOM_KINDS:
            raise InputError(f"--kind {self.kind}: must be one of {', '.join(ROOM_KINDS)}")
        if self.seed < 0:
            raise InputError(f"--seed {self.seed}: must not be negative")
        if self.val_every < 2:
            raise InputError(f"--val-every {self.val_every}: at least 2 are needed, so that rooms are left to train on")
        if recording.frames < 1:
            raise InputError(f"--frames {recording.frames}: at least one is needed")
        if min(recording.size) < 16 or max(recording.size) > 4096:
            raise InputError(f"--size {recording.size[0]}x{recording.size[1]}: sides must lie in 16 to 4096 pixels")
        if not 0.005 <= recording.spacing <= 0.2:
            raise InputError(f"--spacing {recording.spacing}: must lie in 0.005 to 0.2 metres")


@dataclass(frozen=True)
class Made:
    """What :func:`make_rooms` has done, and what now lies in the folder."""

    folder: Path
    val_every: int  # of RoomsOptions
    rooms: list[dict[str, Any]]  # one summary a scene, see recording.record
    made: int
    skipped: int  # finished before
    seconds: float
    bytes: int
    unusable_models: dict[str, str]  # of the assets that were tried now, with the reasons

    def as_json(self) -> dict[str, Any]:
        """All of it as plain values."""
        return asdict(self) | {"folder": str(self.folder)}


def scene_name(index: int) -> str:
    """ScanNet's form of a name: ``room0012_00``."""
    return f"room{index:04d}_00"


def split_of(index: int, val_every: int = VAL_EVERY) -> str:
    """ "train" or "val"."""
    return "val" if index % val_every == val_every - 1 else "train"


def make_rooms(
    folder: str | Path, scenes: int, options: RoomsOptions, workers: int = 1, progress: bool = False
) -> Made:
    """Make ``scenes`` rooms in ``folder``: ``scans/<room>/``, the label table, ``splits/`` and ``rooms.json``.

    Finished rooms are kept, so a broken run goes on where it ended and a larger number extends a set. A room appears
    under its name only when it is complete. Raises InputError where the folder holds rooms of other options, or where
    another run is at work there.
    """
    if not 1 <= scenes <= LARGEST_NUMBER + 1:
        raise InputError(f"--scenes {scenes}: must lie in 1 to {LARGEST_NUMBER + 1}")
    if workers < 1:
        raise InputError(f"--workers {workers}: at least one is needed")
    folder, start = Path(folder), time.perf_counter()
    with held(folder / ".rooms.lock", wait=False) as ours:
        if not ours:
            raise InputError(f"{folder}: another run makes rooms there: wait for its end, or name another folder")
        return _make_all(folder, scenes, options, workers, progress, start)


def _make_all(folder: Path, scenes: int, options: RoomsOptions, workers: int, progress: bool, start: float) -> Made:
    _claim(folder, options)
    todo = [i for i in range(scenes) if not (folder / SCANS / scene_name(i)).is_dir()]
    unusable: dict[str, str] = {}
    try:
        with tqdm(total=scenes, initial=scenes - len(todo), desc="rooms", unit="room", disable=not progress) as bar:
            for skipped in _finished(folder, todo, options, workers):
                unusable |= skipped
                bar.update()
    finally:
        _sweep(folder)
    rooms = _summaries(folder)
    _write_lists(folder, rooms, options.val_every)
    size = sum(path.stat().st_size for path in (folder / SCANS).rglob("*") if path.is_file())
    seconds = time.perf_counter() - start
    return Made(folder, options.val_every, rooms, len(todo), scenes - len(todo), seconds, size, unusable)


def make_scene(folder: Path, index: int, options: RoomsOptions) -> dict[str, str]:
    """Make scene ``index`` below ``folder``. Returns the models of ``assets`` that could not be used, with reasons."""
    scene = scene_name(index)
    target, partial = folder / SCANS / scene, folder / SCANS / f".{scene}.{os.getpid()}.partial"
    room, poses, attempt = draw(index, options)
    rng = np.random.default_rng([options.seed, index, 1])
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        begun = partial.stat()
        summary = record(room, poses, partial, scene, options.recording, rng)
        summary |= {"seed": options.seed, "index": index, "attempt": attempt}
        (partial / f"{scene}_room.json").write_text(json.dumps(summary, indent=1) + "\n", encoding="utf-8")
        # A worker that outlives its killed run for a moment may find its folder swept away, and made anew by a write.
        if not os.path.samestat(begun, partial.stat()):
            raise InputError(f"{target}: taken away by another run while it was made")
        os.replace(partial, target)
    except OSError as error:
        where, remedy = error.filename or target, "free space, or name another folder"
        raise InputError(f"{where}: cannot be written ({error.strerror or error}): {remedy}") from error
    library = _assets(options.assets)
    return {} if library is None else dict(library.skipped)


def draw(index: int, options: RoomsOptions) -> tuple[Room, np.ndarray, int]:
    """The room of scene ``index``, the poses (F, 4, 4) of the walk through it, and how many rooms were drawn in vain.

    The room does not depend on how it is recorded. Raises RuntimeError when no drawn room can be furnished and walked.
    """
    kind, assets, faults = _kind(index, options), _assets(options.assets), []
    for attempt in range(ATTEMPTS):
        rng = np.random.default_rng([options.seed, index, 0, attempt] if attempt else [options.seed, index])
        room_rng, walk_rng = rng.spawn(2)
        try:
            room = make_room(room_rng, kind, assets)
            return room, walk(room, merge(room), options.recording.frames, walk_rng), attempt
        except (Unplaceable, ValueError) as error:  # ValueError: no place to stand in
            faults.append(str(error))
    raise RuntimeError(f"{scene_name(index)}: {ATTEMPTS} rooms were drawn, none can be used: {'; '.join(faults)}")


@functools.lru_cache(maxsize=1)
def _assets(folder: str | None) -> AssetLibrary | None:
    """The furniture of a folder, opened once a process."""
    return None if folder is None else AssetLibrary(folder)


def _kind(index: int, options: RoomsOptions) -> RoomKind:
    """Kinds in the maker's shares, spread so evenly that any run of rooms, and of every fourth room, has them all."""
    if options.kind is not None:
        return options.kind
    edges = np.cumsum(list(KIND_WEIGHTS.values()))
    # Multiples of the golden ratio fill [0, 1) evenly (a low-discrepancy sequence), and so do their every fourth.
    place = ((options.seed + index + 0.5) * _GOLDEN) % 1.0 * edges[-1]
    return list(KIND_WEIGHTS)[min(int(np.searchsorted(edges, place, side="right")), len(edges) - 1)]


def _finished(folder: Path, todo: list[int], options: RoomsOptions, workers: int) -> Iterator[dict[str, str]]:
    """Make the rooms ``todo``, in any order; what :func:`make_scene` returns of each when it is complete."""
    if min(workers, len(todo)) <= 1:
        for index in todo:
            yield make_scene(folder, index, options)
        return
    others = set(multiprocessing.active_children())
    # A fresh interpreter for each worker: nothing of this process's threads is inherited, on any system.
    context = multiprocessing.get_context("spawn")
    with _one_thread_each():
        pool = ProcessPoolExecutor(min(workers, len(todo)), context, initializer=_begin_worker, initargs=(os.getpid(),))
        try:
            for future in as_completed([pool.submit(make_scene, folder, index, options) for index in todo]):
                yield future.result()
        except BaseException:
            # Nobody waits for rooms that are half made: after Ctrl-C, or when one room has failed.
            pool.shutdown(wait=False, cancel_futures=True)
            for process in set(multiprocessing.active_children()) - others:
                process.terminate()
                process.join()
            raise
        pool.shutdown()


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Processes that are started inside do not share the cores among threads of their own."""
    before = {name: os.environ.get(name) for name in _THREADS}
    os.environ.update(dict.fromkeys(_THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def _begin_worker(parent: int) -> None:
    """Ctrl-C is the parent's to handle, and a worker whose parent was killed ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(2)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _claim(folder: Path, options: RoomsOptions) -> None:
    """Make ``folder`` ours, or see that it is: of the same options, whatever their number of rooms."""
    wanted = _noted(options)
    path = folder / OPTIONS_NAME
    try:
        (folder / SCANS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}); name another folder") from error
    _sweep(folder)
    if not path.exists():
        if any((folder / SCANS).iterdir()):
            raise InputError(
                f"{folder / SCANS}: holds scans, and {OPTIONS_NAME} does not say of what; name a new folder"
            )
        write_whole_text(path, json.dumps(wanted, indent=1) + "\n")
        return
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"{path}: cannot be read ({error}); name another folder") from error
    if isinstance(found, dict):
        found.setdefault("val_every", VAL_EVERY)  # older sets have no word of it
    for name, value in wanted.items():
        if not isinstance(found, dict) or found.get(name) != value:
            there = found.get(name) if isinstance(found, dict) else found
            raise InputError(f"{path}: the rooms there have {name} {there}, not {value}: name another folder")


def _noted(options: RoomsOptions) -> dict[str, Any]:
    """The options as ``rooms.json`` has them; of the furniture's folder its contents, not its place."""
    plain = asdict(options)
    plain |= plain.pop("recording")
    plain["size"] = list(plain["size"])
    library = _assets(options.assets)
    if library is not None:
        files = [p for pack in library.packs for p in ([pack] if pack.is_file() else sorted(pack.rglob("*")))]
        listing = sorted((path.name, path.stat().st_size) for path in files if path.is_file())
        plain["assets"] = hashlib.sha256(json.dumps(listing).encode()).hexdigest()
    return {"generator": GENERATOR, **plain}


def _sweep(folder: Path) -> None:
    """Take away what broken runs have left."""
    for left in sorted((folder / SCANS).glob(".room*.partial")):
        shutil.rmtree(left, ignore_errors=True)


def _summaries(folder: Path) -> list[dict[str, Any]]:
    rooms = []
    for path in sorted((folder / SCANS).glob("room*/room*_room.json")):
        try:
            room = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: cannot be read ({error}): remove {path.parent}, and it is made again") from error
        if not (isinstance(room, dict) and {"sceneId", "index", "objects"} <= set(room)):
            raise InputError(f"{path}: is no summary of a room: remove {path.parent}, and it is made again")
        rooms.append(room)
    return rooms


def _write_lists(folder: Path, rooms: list[dict[str, Any]], val_every: int) -> None:
    """The label table with its counts of objects, and the split lists."""
    counts: Counter[str] = Counter()
    for room in rooms:
        counts.update(room["objects"])
    write_whole_text(folder / TABLE_NAME, label_table(counts))
    (folder / SPLITS).mkdir(exist_ok=True)
    for split in ("train", "val"):
        names = [room["sceneId"] for room in rooms if split_of(room["index"], val_every) == split]
        if names:  # a list without a scene would be none
            write_whole_text(folder / SPLITS / f"{split}.txt", "".join(f"{name}\n" for name in names))
