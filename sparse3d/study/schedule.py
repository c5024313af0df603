"""Runs a plan's jobs: parents first, several at a time, and whatever happens to one leaves the others alone."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from sparse3d.study.jobs import Job
from sparse3d.study.runner import Runner, Running
from sparse3d.study.store import LOG, Store, UnreadableResult

Say = Callable[[str], None]
SIGNALS = (128 + signal.SIGINT, 128 + signal.SIGTERM, -signal.SIGINT, -signal.SIGTERM)


@dataclass
class Outcome:
    """How it went: jobs by key."""

    done: list[str] = field(default_factory=list)  # in this run
    failed: dict[str, str] = field(default_factory=dict)  # key -> why
    blocked: list[str] = field(default_factory=list)  # their pre-training failed
    stopped: int = 0  # the signal that ended it, 0 for none


@dataclass
class _Started:
    job: Job
    running: Running
    since: float


class Scheduler:
    """Runs jobs until all are done, failed or blocked, or a signal comes.

    Args:
        store: the study's folder.
        runner: starts processes.
        slots: jobs at a time.
        say: a line for the user.
        on_done: called after each job that was done.
        wanted: (section, figure)s by the job's key; a job that ends without one of them has failed.
        wait: sleeps; tests give another.
    """

    def __init__(
        self,
        store: Store,
        runner: Runner,
        slots: int = 1,
        say: Say = print,
        on_done: Callable[[Job], object] = lambda job: None,
        wait: Callable[[], None] = lambda: time.sleep(0.2),
        clock: Callable[[], float] = time.monotonic,
        wanted: Mapping[str, Iterable[tuple[str, str]]] | None = None,
    ) -> None:
        self.store, self.runner, self.slots, self.say = store, runner, slots, say
        self.on_done, self.wait, self.clock, self.wanted = on_done, wait, clock, wanted or {}
        self.outcome = Outcome()

    def run(self, jobs: Sequence[Job]) -> Outcome:
        """Does all that is not done yet, and again the pre-trainings whose checkpoint is gone where one is needed."""
        records = (self.store.done(job) for job in jobs)
        self.estimate = Estimate(jobs, [record for record in records if record])
        self.waiting = self.store.missing(jobs)
        self.finished = {job.key for job in jobs} - {job.key for job in self.waiting}
        self.total, self.started = len(jobs), list[_Started]()
        with _signals(self.outcome):
            try:
                self._work()
            except BaseException:
                for entry in self.started:  # nothing goes on behind a study that has crashed
                    entry.running.stop()
                raise
        return self.outcome

    def _work(self) -> None:
        while self.waiting or self.started:
            if self.outcome.stopped:
                self._stop()
                break
            self._start_ready()
            if not self._collect():
                self.wait()

    def _start_ready(self) -> None:
        unusable = self.outcome.failed.keys() | set(self.outcome.blocked)
        for job in [job for job in self.waiting if job.parent in unusable]:
            self.waiting.remove(job)
            self.outcome.blocked.append(job.key)
        for job in list(self.waiting):
            if len(self.started) >= self.slots:
                return
            if job.parent is None or job.parent in self.finished:
                self.waiting.remove(job)
                command = self.store.begin(job)
                log = job.folder(self.store.out) / LOG
                self.started.append(_Started(job, self.runner.start(job, command, log), self.clock()))

    def _collect(self) -> bool:
        """Whether a job has ended."""
        ended = [(entry, code) for entry in self.started if (code := entry.running.poll()) is not None]
        for entry, code in ended:
            self.started.remove(entry)
            self._end(entry, code)
        return bool(ended)

    def _end(self, entry: _Started, code: int) -> None:
        job, seconds = entry.job, self.clock() - entry.since
        self.store.attempted(job, seconds, code, entry.running.cpu_seconds)
        if code != 0:
            if not (self.outcome.stopped and code in SIGNALS):
                self._fail(job, f"exit code {code}: {self.store.last_words(job)}")
            return
        try:
            record = self.store.finish(job, self.wanted.get(job.key, ()))
        except UnreadableResult as error:
            self._fail(job, str(error))
            return
        self.finished.add(job.key)
        self.outcome.done.append(job.key)
        self.estimate.learn(job, record["seconds"])
        self.on_done(job)
        left = self.estimate.seconds([*self.waiting, *(e.job for e in self.started)]) / self.slots
        count = f"[{len(self.finished)}/{self.total}]"
        self.say(f"{count} {job.title}: {_score_text(record)}in {clock_text(seconds)}, left about {clock_text(left)}")

    def _fail(self, job: Job, why: str) -> None:
        self.outcome.failed[job.key] = why
        self.store.fail(job, why)
        self.say(f"FAILED {job.title} ({job.name}): {why}")

    def _stop(self) -> None:
        self.say(f"stopping: {len(self.started)} jobs finish their step")
        for entry in self.started:
            entry.running.stop()
        while self.started:
            if not self._collect():
                self.wait()


class Estimate:
    """Seconds that jobs will take: by the mean of done ones of their kind, else by the study's guess."""

    def __init__(self, jobs: Sequence[Job], records: Sequence[dict[str, Any]]) -> None:
        self._ratios: dict[str, list[float]] = {}
        by_key = {job.key: job for job in jobs}
        for record in records:
            self.learn(by_key[record["key"]], record["seconds"])

    def learn(self, job: Job, seconds: float) -> None:
        """Takes in how long a job took."""
        if job.seconds > 0:
            self._ratios.setdefault(job.kind, []).append(seconds / job.seconds)

    def seconds(self, jobs: Sequence[Job]) -> float:
        """Of all these jobs, one after the other."""
        return sum(job.seconds * self._ratio(job.kind) for job in jobs)

    def _ratio(self, kind: str) -> float:
        known = self._ratios.get(kind, [])
        return sum(known) / len(known) if known else 1.0


def clock_text(seconds: float) -> str:
    """``h:mm:ss``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _score_text(record: dict[str, Any]) -> str:
    figures = record["figures"]
    for name in ("miou_point", "map25", "recall_rotated_pretrained", "recall_rotated"):
        if name in figures:
            return f"{name} {100 * float(figures[name]):.1f}, "
    parts = {name: part for name, part in figures.items() if isinstance(part, dict) and "miou_point" in part}
    scores = [f"{name} {100 * float(part['miou_point']):.1f}" for name, part in parts.items()]
    return "".join(f"{text}, " for text in scores)


@contextmanager
def _signals(outcome: Outcome) -> Iterator[None]:
    """The first Ctrl-C or SIGTERM asks for an end, the second one ends at once."""

    def handle(number: int, _frame: FrameType | None) -> None:
        if outcome.stopped:
            os._exit(128 + number)
        outcome.stopped = number

    previous = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
