"""Studies without training: a small table, and a runner that writes what jobs would."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prepared_rooms import write_prepared

from sparse3d.study.command import Request, read_study, run_study
from sparse3d.study.jobs import OUTPUT, RUN, Job
from sparse3d.study.options import Study

TEXT = """
include "base/study.gin"
ROWS = [@scratch/StudyRow(), @kt/StudyRow(), @both/StudyRow(), @both_all/StudyRow()]
TASKS = [@segmentation/StudyFinetune(), @probe/StudyProbe()]
Study.baselines = ["scratch", "kt"]
Study.resamples = 200
StudyRow.common = ["train.steps = 6", "train.eval_every = 0"]
kt/StudyRow.files = ["pretrain/rooms.gin"]
DECODER = "PretrainTask.kt_readout = 'decoder'"
kt/StudyRow.bindings = ["PretrainTask.mv_weight = 0.0", %DECODER]
both/StudyRow.title = "MVNet"
both/StudyRow.files = ["pretrain/rooms.gin"]
both/StudyRow.bindings = [%DECODER]
both_all/StudyRow.files = ["pretrain/rooms.gin"]
both_all/StudyRow.bindings = [%DECODER]
both_all/StudyRow.parts = "all"
segmentation/StudyFinetune.files = ["segmentation/rooms.gin"]
segmentation/StudyFinetune.shares = [0.5, 1.0]
segmentation/StudyFinetune.label_sets = 2
segmentation/StudyFinetune.steps = 4
segmentation/StudyFinetune.evaluations = 2
probe/StudyProbe.features = ["encoder", "decoder"]
probe/StudyProbe.shares = [0.5]
probe/StudyProbe.label_sets = 2
"""


def make_study(folder: Path, *bindings: str, text: str = TEXT) -> tuple[Study, str]:
    """The study of ``text`` on small rooms below ``folder``, with further bindings."""
    root = folder / "rooms"
    if not root.is_dir():
        write_prepared(root, train=2, val=1)
    path = folder / "small.gin"
    path.write_text(text)
    return read_study([str(path)], [f"DATA_ROOT = {str(root)!r}", *bindings])


def do_study(study: Study, text: str, out: Path, runner: FakeRunner | None = None, **asked: Any) -> int:
    """The command, with options by their names."""
    return run_study(study, text, Request(out, **asked), runner)


def made_up(job: Job, base: float = 0.3) -> float:
    """A score that depends on the job alone."""
    return base + int(hashlib.sha256(job.key.encode()).hexdigest()[:4], 16) / 1e6


@dataclass
class FakeRunner:
    """Writes what a job would, at once; ``code`` says how each ends, after ``polls`` looks at it."""

    code: Callable[[Job], int] = lambda job: 0
    polls: Callable[[Job], int] = lambda job: 1
    score: Callable[[Job], float] = made_up
    random: Callable[[Job], float] = made_up  # the random network's recall, of a matching
    started: list[tuple[Job, list[str]]] = field(default_factory=list)
    most_at_once: int = 0
    alive: int = 0

    def start(self, job: Job, command: list[str], log: Path) -> _FakeProcess:
        self.started.append((job, command))
        self.alive += 1
        self.most_at_once = max(self.most_at_once, self.alive)
        with log.open("a") as file:
            file.write("it began\nand this is the last line\n\n")
        return _FakeProcess(self, job, log.parent, self.polls(job))

    @property
    def titles(self) -> list[str]:
        return [job.title for job, _ in self.started]


@dataclass
class _FakeProcess:
    runner: FakeRunner
    job: Job
    folder: Path
    left: int
    ended: int | None = None
    cpu_seconds: float = 2.0

    def poll(self) -> int | None:
        self.left -= 1
        if self.ended is None and self.left <= 0:
            self.end(self.runner.code(self.job))
        return self.ended

    def end(self, code: int) -> None:
        self.ended = code
        self.runner.alive -= 1
        if code == 0:
            write_outputs(self.job, self.folder, self.runner.score(self.job), self.runner.random(self.job))

    def stop(self) -> None:
        (self.folder / RUN).mkdir(parents=True, exist_ok=True)
        (self.folder / RUN / "config.gin").write_text("# begun\n")
        if self.ended is None:
            self.end(143)


def write_outputs(job: Job, folder: Path, score: float, random: float = 0.1) -> None:
    """What the job's process would leave behind; a score may be given as text, as logs write what is not finite."""
    if job.kind in ("pretrain", "finetune"):
        records: list[dict[str, Any]] = [
            {"step": k, "kind": "train", "loss": 1.0, "time/step_s": 0.5, "time/data_s": 0.1} for k in range(4)
        ]
        for step in (2, 4) if job.kind == "finetune" else ():
            records.append(
                {
                    "step": step,
                    "kind": "val",
                    "seconds": 1.0,
                    "miou_point": score if isinstance(score, str) else score * step / 4,
                    "iou/bed": 0.1,
                }
            )
        (folder / RUN / "checkpoints").mkdir(parents=True, exist_ok=True)
        (folder / RUN / "checkpoints" / "last.pt").write_text("weights")
        (folder / RUN / "metrics.jsonl").write_text("".join(json.dumps(r) + "\n" for r in records))
    elif job.kind == "matching":
        with (folder / "log.txt").open("a") as file:
            both = {"random": random, "pretrained": score}
            figures = {f"recall_{p}_{r}": value for p in ("rotated", "aligned") for r, value in both.items()}
            file.write(json.dumps(figures) + "\n")
    elif job.kind == "probe":
        kinds = [f"{m}_{f}" for m in ("linear", "knn") for f in ("encoder", "decoder")]
        (folder / OUTPUT).write_text(json.dumps({kind: {"miou_point": score} for kind in kinds}))
    else:
        parts = {"backbone": {"parameters": 1000, "flops": 2e9}}
        (folder / OUTPUT).write_text(json.dumps({"parts": parts, "items": 2, "views": 2, "voxels": 9}))
