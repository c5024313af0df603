"""The demo: two rooms are made as ScanNet scans, prepared, one is pre-trained on and the other measured on."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sparse3d import config, run
from sparse3d.data.matching_pairs import PROTOCOLS
from sparse3d.data.prepared import SCENES, PreparedScene
from sparse3d.errors import InputError
from sparse3d.evaluation import evaluate_matching
from sparse3d.preparation.options import PrepareOptions
from sparse3d.preparation.runner import Job, prepare
from sparse3d.rooms.make_rooms import RoomsOptions, make_rooms, scene_name
from sparse3d.rooms.recording import RecordingOptions
from sparse3d.training.run_folder import CHECKPOINTS, LAST
from sparse3d.training.run_log import METRICS
from sparse3d.training.settings import TrainSettings
from sparse3d.whole_files import held, write_durable_text

OWN = ("rooms", "prepared", "run")  # folders of a demo
CONFIG = ["pretrain/demo.gin"]
LOCK = ".demo.lock"  # who holds it works in the folder
MARK = "demo.json"  # says that a folder is a demo's, to be replaced by the next one
LOSSES = {"loss/knowledge_transfer": "knowledge transfer", "loss/consistency": "multi-view consistency"}
ROWS = {"colour": "raw colour", "random": "random network", "pretrained": "pre-trained network"}
TRAIN, VAL = scene_name(0), scene_name(1)  # the demo's two rooms
_AVERAGED = 20  # steps whose mean loss counts as the start's, and as the end's


@dataclass(frozen=True)
class DemoOptions:
    """What a demo is made of."""

    out: Path  # holds rooms/, prepared/ and run/ afterwards
    steps: int | None = None  # of training; None leaves the config's
    seed: int = 0  # of the rooms and of the training
    frames: int = 60  # of each room
    size: tuple[int, int] = (320, 240)  # of the images (width, height)
    pairs: int = 30  # frame pairs to measure on
    workers: int = 2  # processes that make rooms
    bindings: tuple[str, ...] = ()  # gin's, over the demo's config


@dataclass(frozen=True)
class DemoResult:
    """What came out."""

    steps: int
    losses: dict[str, tuple[float, float]]  # by its name in metrics.jsonl: at the start, at the end
    figures: dict[str, Any]  # of :func:`sparse3d.evaluation.evaluate_matching`
    seconds: dict[str, float]  # by part
    run: Path

    def lost_to(self) -> list[str]:
        """Where the pre-trained network is not the best, as ``recall_<protocol>_<row>``; empty when it won."""
        return [
            f"recall_{protocol}_{row}"
            for protocol in PROTOCOLS
            for row in ROWS
            if row != "pretrained"
            and not self.figures[f"recall_{protocol}_pretrained"] > self.figures[f"recall_{protocol}_{row}"]
        ]

    def as_json(self) -> dict[str, Any]:
        """Everything, for machines."""
        losses = {name.removeprefix("loss/"): {"start": a, "end": b} for name, (a, b) in self.losses.items()}
        return {
            "won": not self.lost_to(),
            "steps": self.steps,
            "losses": losses,
            **self.figures,
            "seconds": {part: round(seconds, 1) for part, seconds in self.seconds.items()},
            "run": str(self.run),
        }


def run_demo(options: DemoOptions) -> DemoResult:
    """The whole demo; its folder is replaced if it is a demo's own.

    Raises:
        InputError: ``options.out`` holds something else, or another demo runs there, or an option is out of its range.
    """
    _check(options)
    with held(options.out / LOCK, wait=False) as ours:
        if not ours:
            raise InputError(f"--out {options.out}: another demo runs there: wait for its end, or name another folder")
        _claim(options.out)
        return _run(options)


def _run(options: DemoOptions) -> DemoResult:
    seconds: dict[str, float] = {}
    started = time.perf_counter()

    def lap(part: str) -> None:
        seconds[part] = time.perf_counter() - started - sum(seconds.values())

    rooms, prepared, folder = (options.out / name for name in OWN)
    _make_rooms(options, rooms)
    lap("rooms")
    _prepare(options, rooms, prepared)
    lap("prepare")
    print(f"pre-training with both losses; watch it: tensorboard --logdir {folder / 'tensorboard'}", flush=True)
    run.start(CONFIG, _bindings(options, prepared), folder)
    lap("train")
    figures = evaluate_matching(folder / CHECKPOINTS / LAST, pairs=options.pairs)
    lap("evaluate")
    steps, losses = _losses(folder / METRICS)
    result = DemoResult(steps, losses, figures, seconds, folder)
    write_durable_text(options.out / MARK, json.dumps(result.as_json(), indent=2) + "\n")
    return result


def report(result: DemoResult) -> str:
    """The result as tables, and where to look further."""
    lines = [f"{'loss':24}{'start':>9}{'end':>9}"]
    lines += [f"{LOSSES[name]:24}{a:9.3f}{b:9.3f}" for name, (a, b) in result.losses.items()]
    figures, rooms = result.figures, f"{result.figures['pairs']} frame pairs of a room that was never trained on"
    lines += ["", f"matching recall at 10 cm, {rooms}", f"{'features':24}" + "".join(f"{p:>9}" for p in PROTOCOLS)]
    for row, title in ROWS.items():
        lines.append(f"{title:24}" + "".join(f"{figures[f'recall_{p}_{row}']:9.3f}" for p in PROTOCOLS))
    lines += ["  aligned: both views in the world's frame; rotated: each view turned by an angle of its own", ""]
    if "teacher_cosine" in figures:
        cosine, shuffled = figures["teacher_cosine"], figures["teacher_cosine_shuffled"]
        lines += [f"agreement with the 2D teacher: cosine {cosine:.3f}; with the teacher on other views {shuffled:.3f}"]
        lines.append("")
    spent = ", ".join(f"{part} {seconds:.0f} s" for part, seconds in result.seconds.items())
    lines += [
        f"time        {spent}",
        f"scans       {result.run.parent / 'rooms'} (as ScanNet's), prepared in {result.run.parent / 'prepared'}",
        f"checkpoint  {result.run / CHECKPOINTS / LAST}",
        f"curves and pictures: tensorboard --logdir {result.run / 'tensorboard'}",
    ]
    return "\n".join(lines)


def _check(options: DemoOptions) -> None:
    if options.steps is not None and options.steps < 1:
        raise InputError(f"--steps {options.steps}: must be at least 1")
    if options.seed < 0:
        raise InputError(f"--seed {options.seed}: must not be negative")
    out = options.out
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file: name a folder")
    if out.is_dir() and any(path.name != LOCK for path in out.iterdir()) and not (out / MARK).is_file():
        raise InputError(f"--out {out} holds something that is no earlier demo's: name another folder, or empty it")
    # Before an earlier demo is taken away: a slip in a binding must not cost it.
    config.load_config(CONFIG, _bindings(options, out / "prepared"))
    with config.configured_calls():
        TrainSettings()


def _claim(out: Path) -> None:
    """Takes an earlier demo away, and leaves the mark."""
    for name in OWN:  # what a demo makes, and nothing that the user may have put beside it
        shutil.rmtree(out / name, ignore_errors=True)
    write_durable_text(out / MARK, "{}\n")


def _make_rooms(options: DemoOptions, folder: Path) -> None:
    """The rooms, scanned, with every file of a ScanNet scene."""
    recording = RecordingOptions(frames=options.frames, size=options.size)
    made = make_rooms(folder, 2, RoomsOptions(options.seed, recording=recording), options.workers, progress=True)
    for room in made.rooms:
        print(
            f"{room['sceneId']}: a {room['kind']}, {room['frames']} frames, {room['vertices']:,} vertices", flush=True
        )


def _prepare(options: DemoOptions, rooms: Path, folder: Path) -> None:
    """The rooms as training wants them: frames, their overlaps, the labelled mesh."""
    prepare(Job(rooms, folder, PrepareOptions(size=options.size)))
    for name in (TRAIN, VAL):
        print(f"prepared {PreparedScene(folder / SCENES / name).frames().manifest.summary()}", flush=True)


def _bindings(options: DemoOptions, prepared: Path) -> Sequence[str]:
    steps = () if options.steps is None else (f"train.steps = {options.steps}",)
    return [
        f"DATA_ROOT = {str(prepared / SCENES / TRAIN)!r}",
        f"VAL_ROOT = {str(prepared / SCENES / VAL)!r}",
        f"FrameFolder.size = {options.size}",
        f"train.seed = {options.seed}",
        *steps,
        *options.bindings,
    ]


def _losses(metrics: Path) -> tuple[int, dict[str, tuple[float, float]]]:
    """Steps done, and each loss at the start (its first record) and at the end (the mean of the last few)."""
    records = [json.loads(line) for line in metrics.read_text(encoding="utf-8").splitlines()]
    trained = [record for record in records if record["kind"] == "train"]
    last = trained[-1]["step"]
    late = [record for record in trained if record["step"] > last - _AVERAGED]
    found = {
        name: (float(trained[0][name]), float(np.mean([float(record[name]) for record in late])))
        for name in LOSSES
        if name in trained[0]
    }
    return last + 1, found
