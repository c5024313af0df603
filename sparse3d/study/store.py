"""The folders of a study's jobs: what is done, what was begun, and how figures are read out of a finished one.

::

    DIR/jobs/<kind>-<key>/job.json      what it is, the command and commit of the last attempt
                          log.txt       what it said, all attempts
                          run/          of a training: the run's folder
                          figures.json  of a probe or a count of costs
                          failed.txt    why the last attempt failed, if it did
                          done.json     figures, time, command, commit, CPU; written last: it tells that the job is done
"""

from __future__ import annotations

import json
import shutil
import statistics
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparse3d.cpu_model import cpu_model
from sparse3d.study.jobs import JOBS, OUTPUT, RUN, Job, checkpoint_of, shown_command
from sparse3d.versions import commit
from sparse3d.whole_files import write_durable_text

ABOUT, DONE, LOG, ATTEMPTS, FAILED = "job.json", "done.json", "log.txt", "attempts.jsonl", "failed.txt"


class UnreadableResult(Exception):
    """A job ended well but left no figures; the message says which."""


@dataclass(frozen=True)
class Store:
    """The study's folder."""

    out: Path
    keep_checkpoints: bool = False

    def done(self, job: Job) -> dict[str, Any] | None:
        """What ``done.json`` of a job says, None where there is none."""
        path = job.folder(self.out) / DONE
        if not path.is_file():
            return None
        record = json.loads(path.read_text(encoding="utf-8"))
        return record if record.get("key") == job.key else None

    def missing(self, jobs: Iterable[Job]) -> list[Job]:
        """Those still to be run: not done, or a pre-training whose checkpoint is gone while one of them needs it."""
        jobs = list(jobs)
        undone = {job.key for job in jobs if self.done(job) is None}
        needed = {job.parent for job in jobs if job.key in undone}
        gone = {key for key in needed if key is not None and not checkpoint_of(self.out, key).is_file()}
        return [job for job in jobs if job.key in undone | gone]

    def adopt(self, job: Job, record: dict[str, Any]) -> None:
        """Takes what another machine recorded of a job for done here, in place of an attempt that was begun."""
        folder = job.folder(self.out)
        if folder.exists():
            shutil.rmtree(folder)  # a half-trained checkpoint must not pass for the finished one
        folder.mkdir(parents=True)
        write_durable_text(folder / DONE, json.dumps(record, indent=1) + "\n")

    def begin(self, job: Job) -> list[str]:
        """Makes the job's folder fit for another attempt; returns the command, which resumes where it can."""
        folder = job.folder(self.out)
        if (folder / DONE).is_file():  # its checkpoint is gone: nothing of it can be gone on with
            shutil.rmtree(folder)
        folder.mkdir(parents=True, exist_ok=True)
        run = folder / RUN
        resume = (run / "config.gin").is_file()
        if run.exists() and not resume:
            shutil.rmtree(run)  # it ended before its first step
        for left in (OUTPUT, FAILED):
            (folder / left).unlink(missing_ok=True)
        command = job.command(self.out, resume)
        about = {"kind": job.kind, "key": job.key, "title": job.title, "command": shown_command(command)}
        write_durable_text(folder / ABOUT, json.dumps(about | {"commit": commit()}, indent=1) + "\n")
        with (folder / LOG).open("a", encoding="utf-8") as log:
            log.write(f"$ {shown_command(command)}\n")
        return command

    def attempted(self, job: Job, seconds: float, code: int, cpu_seconds: float = 0.0) -> None:
        """Notes an attempt's time, so that a resumed job knows all of its own."""
        with (job.folder(self.out) / ATTEMPTS).open("a", encoding="utf-8") as file:
            record = {"seconds": round(seconds, 3), "cpu_seconds": round(cpu_seconds, 3), "code": code}
            file.write(json.dumps(record) + "\n")

    def fail(self, job: Job, why: str) -> None:
        """Notes that the last attempt failed, for reports to come; the next attempt forgets it."""
        write_durable_text(job.folder(self.out) / FAILED, f"{why}\n")

    def failures(self, jobs: Iterable[Job]) -> dict[str, str]:
        """Why the last attempt failed, by the job's key; of those where it did."""
        paths = {job.key: job.folder(self.out) / FAILED for job in jobs}
        return {key: path.read_text(encoding="utf-8").strip() for key, path in paths.items() if path.is_file()}

    def records(self) -> dict[str, dict[str, Any]]:
        """What is done in this folder, by key; also of jobs that a plan does not have."""
        paths = sorted((self.out / JOBS).glob(f"*/{DONE}"))
        found = (json.loads(path.read_text(encoding="utf-8")) for path in paths)
        return {record["key"]: record for record in found}

    def finish(self, job: Job, wanted: Iterable[tuple[str, str]] = ()) -> dict[str, Any]:
        """Writes ``done.json`` of a job that ended well, and drops what is no longer needed.

        Args:
            job: what has ended.
            wanted: (section, figure)s that must be there.

        Raises:
            UnreadableResult: its figures are not there.
        """
        folder = job.folder(self.out)
        attempts = _lines(folder / ATTEMPTS)
        record: dict[str, Any] = {
            "key": job.key,
            "kind": job.kind,
            "title": job.title,
            # A job that outlived its study, or was killed with it, has an attempt that nobody noted.
            "seconds": max(sum(attempt["seconds"] for attempt in attempts), logged_seconds(folder / RUN)),
            "cpu_seconds": sum(attempt.get("cpu_seconds", 0.0) for attempt in attempts),
            "command": shown_command(job.command(self.out)),
            "commit": json.loads((folder / ABOUT).read_text(encoding="utf-8"))["commit"],
            "cpu": cpu_model(),
            "config": str(_config_path(job, self.out).relative_to(self.out)),
            **_figures(job, folder),
        }
        for section, name in wanted:
            figure_of(record, section, name)
        write_durable_text(folder / DONE, json.dumps(record, indent=1) + "\n")
        if job.kind == "finetune" and not self.keep_checkpoints:
            shutil.rmtree(folder / RUN / "checkpoints", ignore_errors=True)
        return record

    def last_words(self, job: Job) -> str:
        """The last line of a job's log that says anything."""
        path = job.folder(self.out) / LOG
        if not path.is_file():
            return "it said nothing"
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 20_000))
            lines = file.read().decode("utf-8", "replace").replace("\r", "\n").splitlines()
        said = [line.strip() for line in lines if line.strip() and not line.startswith("$ ")]
        return said[-1][:300] if said else "it said nothing"

    def strangers(self, jobs: dict[str, Job]) -> int:
        """How many job folders are of no job of the plan: of earlier forms of the study."""
        known = {job.name for job in jobs.values()}
        folder = self.out / JOBS
        return sum(path.name not in known for path in folder.iterdir()) if folder.is_dir() else 0


def figure_of(record: dict[str, Any], section: str, name: str) -> float:
    """A figure of a finished job. Raises UnreadableResult where there is none of that name."""
    figures = record["figures"].get(section, {}) if section else record["figures"]
    if name not in figures:
        known = ", ".join(key for key in figures if "/" not in key) or "none"
        raise UnreadableResult(f"it has no figure {name!r}; there are {known}")
    return float(figures[name])  # written as text where it is not finite


def _config_path(job: Job, out: Path) -> Path:
    if job.kind == "matching":
        return out / JOBS / f"pretrain-{job.parent}" / RUN / "config.gin"
    folder = job.folder(out)
    return folder / RUN / "config.gin" if job.kind in ("pretrain", "finetune") else folder / "config.gin"


def _figures(job: Job, folder: Path) -> dict[str, Any]:
    try:
        if job.kind in ("pretrain", "finetune"):
            return training_figures(folder / RUN / "metrics.jsonl")
        if job.kind == "matching":
            return {"figures": json.loads((folder / LOG).read_text(encoding="utf-8").strip().splitlines()[-1])}
        return {"figures": json.loads((folder / OUTPUT).read_text(encoding="utf-8"))}
    except (OSError, json.JSONDecodeError, IndexError) as error:
        raise UnreadableResult(f"it ended well, but left no figures: {error}") from error


def training_figures(path: Path) -> dict[str, Any]:
    """``figures`` of the last evaluation, the ``curve`` of all of them, ``steps`` and ``seconds_per_step`` of a run.

    The curve has an entry an evaluation: its step, and the figures that are of no single class.
    """
    records = _lines(path)
    trained = [record for record in records if record["kind"] == "train"]
    measured = [record for record in records if record["kind"] == "val"]
    if not trained:
        raise UnreadableResult(f"it ended well, but {path} names no step")
    steps = trained[-1]["step"] + 1
    if measured and measured[-1]["step"] != steps:
        raise UnreadableResult(f"its last evaluation is after {measured[-1]['step']} of {steps} steps: {path}")
    seconds = [record["time/step_s"] + record["time/data_s"] for record in trained]
    curve = [{name: v for name, v in record.items() if "/" not in name and name != "kind"} for record in measured]
    figures = {k: v for k, v in measured[-1].items() if k not in ("step", "kind", "seconds")} if measured else {}
    losses = {k: v for k, v in trained[-1].items() if k == "loss" or k.startswith("loss/")}
    return {
        "figures": figures | losses,
        "curve": curve,
        "steps": steps,
        "seconds_per_step": statistics.median(seconds),
    }


def logged_seconds(run: Path) -> float:
    """Seconds that a training's own log counts over all its starts (each counts anew); 0 without one."""
    total = last = 0.0
    for record in _lines(run / "metrics.jsonl"):
        now = record.get("seconds", last)
        total += last if now < last else 0.0
        last = now
    return total + last


def _lines(path: Path) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
