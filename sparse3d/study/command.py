"""What ``tools/study.py`` does: read the study, plan it, run it, report."""

from __future__ import annotations

import fcntl
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sparse3d import config
from sparse3d.errors import InputError
from sparse3d.study.exchange import adopt, read_records
from sparse3d.study.expand import expand
from sparse3d.study.jobs import Plan
from sparse3d.study.options import Study
from sparse3d.study.rehearsal import rehearse
from sparse3d.study.report import FIGURES, TABLE, write_report, write_tables
from sparse3d.study.runner import ProcessRunner, Runner
from sparse3d.study.schedule import Estimate, Outcome, Scheduler, clock_text
from sparse3d.study.store import Store
from sparse3d.whole_files import write_durable_text

MARK = "study.gin"  # the study's config; a folder that has it is a study's


def read_study(files: Sequence[str], bindings: Sequence[str]) -> tuple[Study, str]:
    """The study that gin files describe, and the text of its config.

    Raises:
        InputError: a mistake in them.
    """
    config.load_config(files, bindings)
    with config.configured_calls():
        study = Study()
    text = config.config_text()
    config.check_all_used(())  # a study trains nothing itself: a binding of train.* belongs into its rows and tasks
    return study, text


@dataclass(frozen=True)
class Request:
    """What is asked of a study, by the names of the command's options.

    Attributes:
        out: the study's folder.
        seeds: at most so many label sets, and seeds of the pre-training; None: as the study says.
        only: rows to run; none means all. The report has all.
        jobs: at a time.
        threads: of each; None shares the machine's cores among them.
        resume: ``out`` may hold a study already.
        take: folders of this study, or files of job records, whose jobs count as done.
        report_only: run nothing.
    """

    out: Path
    seeds: int | None = None
    only: Sequence[str] = ()
    jobs: int = 1
    threads: int | None = None
    resume: bool = False
    take: Sequence[Path] = ()
    report_only: bool = False

    def rows(self, study: Study) -> list[str]:
        """Those to run. Raises InputError for one that the study does not have."""
        return [study.row(name).name for name in self.only] or [row.name for row in study.rows]


def plan_text(study: Study, request: Request) -> str:
    """The jobs one a line, what is done of them, and how long the rest may take.

    Raises:
        InputError: an unknown row, or an option that a job would refuse.
    """
    rows, plan, store = request.rows(study), expand(study, request.seeds), Store(request.out)
    jobs = plan.for_rows(rows)
    rehearse(jobs)
    records = {job.key: store.done(job) for job in jobs}
    estimate = Estimate(jobs, [record for record in records.values() if record])
    lines, left = [], store.missing(jobs)
    for job in jobs:
        state = clock_text(estimate.seconds([job])) if job in left else "done"
        again = " (again: its checkpoint is gone)" if records[job.key] and job in left else ""
        lines.append(f"{state:>9}  {job.name:28}  {job.title}{again}")
    cells = sum(cell.row in rows for cell in plan.cells)
    time = clock_text(estimate.seconds(left) / request.jobs)
    lines.append(f"{len(jobs)} jobs for {cells} cells, {len(left)} to do: about {time}, {request.jobs} at a time")
    return "\n".join([*lines, *plan.notes])


def run_study(study: Study, text: str, request: Request, runner: Runner | None = None) -> int:
    """Runs what is not done yet and writes the report; returns the exit code.

    Args:
        study: its options.
        text: its config, kept beside the results.
        request: what is asked of it.
        runner: starts jobs; None starts processes.

    Raises:
        InputError: a folder that is in use or not a study's, an unknown row, or an option that a job would refuse.
    """
    rows, report_only = request.rows(study), request.report_only
    _check_folder(request.out, request.resume or report_only, report_only and not request.take)
    plan, store = expand(study, request.seeds), Store(request.out, study.keep_checkpoints)
    taken = {source: read_records(source, plan) for source in request.take}
    if not report_only:
        rehearse(store.missing(plan.for_rows(rows)))
    if taken:
        with _begun(request.out, text):
            for source, records in taken.items():
                new = adopt(records, plan, store)
                _say(f"{source}: {len(records)} jobs of this study, {new} of them new here")
    if report_only:  # without the lock, so that it can be asked for while jobs run
        write_report(study, plan, store)
        _say(f"the table is {request.out / TABLE}, the figures are in {request.out / FIGURES}")
        return 0
    with _begun(request.out, text) as lock:
        threads = request.threads or max(1, (os.cpu_count() or 1) // request.jobs)
        scheduler = Scheduler(
            store,
            runner or ProcessRunner(threads, lock),
            request.jobs,
            _say,
            lambda job: write_tables(study, plan, store),
            wanted=plan.figures_wanted(),
        )
        for note in plan.notes:
            _say(note)
        outcome = scheduler.run(plan.for_rows(rows))
        write_report(study, plan, store)
    return _farewell(outcome, plan, request.out)


def _farewell(outcome: Outcome, plan: Plan, out: Path) -> int:
    _say(f"{len(outcome.done)} jobs done now; the table is {out / TABLE}")
    for key, why in outcome.failed.items():
        _say(f"failed: {plan.jobs[key].title}: {why} (log: {plan.jobs[key].folder(out) / 'log.txt'})")
    if outcome.blocked:
        _say(f"{len(outcome.blocked)} jobs could not be run, as their pre-training failed")
    if outcome.stopped:
        _say("stopped; go on with --resume")
        return 128 + outcome.stopped
    return 1 if outcome.failed else 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _check_folder(out: Path, resume: bool, must_exist: bool) -> None:
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; name a folder")
    is_empty = not out.is_dir() or not any(out.iterdir())
    if is_empty and must_exist:
        raise InputError(f"--report-only: {out} holds no study yet")
    if not is_empty and not (out / MARK).is_file():
        raise InputError(f"--out {out} is not empty and holds no study ({MARK} is missing); name another folder")
    if not is_empty and not resume:
        raise InputError(f"--out {out} holds a study; go on with --resume, or name another folder")


@contextmanager
def _begun(out: Path, text: str) -> Iterator[int]:
    """Makes and holds the study's folder; jobs inherit the lock, so a killed study's jobs still keep others out."""
    out.mkdir(parents=True, exist_ok=True)
    with (out / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"--out {out}: another study, or a job that one left behind, is at work there") from error
        write_durable_text(out / MARK, text)
        yield file.fileno()
