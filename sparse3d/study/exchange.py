"""Jobs done on another machine, or kept in a file beside a report, that count as done in a study's folder."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sparse3d.errors import InputError
from sparse3d.study.jobs import JOBS, Plan
from sparse3d.study.store import DONE, Store, UnreadableResult, figure_of

LINES = "jobs.jsonl"  # in a study's folder: a line a finished job, what its done.json says


def jobs_text(plan: Plan, store: Store) -> str:
    """``jobs.jsonl``: the records of all jobs that are done, those of the plan first and in its order.

    The others stay in it: a report of fewer seeds must not shorten what is carried to another machine.
    """
    records = store.records()
    keys = [key for key in plan.jobs if key in records] + [key for key in records if key not in plan.jobs]
    return "".join(json.dumps(records[key]) + "\n" for key in keys)


def read_records(source: Path, plan: Plan) -> list[dict[str, Any]]:
    """Records of the plan's jobs that another folder of this study has done, or a ``jobs.jsonl`` that one wrote.

    Args:
        source: a study's folder, or a file of job records.
        plan: the study's; records of other jobs are left out.

    Raises:
        InputError: there is no such file or folder, it holds no records, none of this plan, or one that lacks a figure.
    """
    wanted = plan.figures_wanted()
    records = {record["key"]: record for record in _records(source)}
    fitting = [record for key, record in records.items() if key in plan.jobs]
    if not fitting:
        raise InputError(
            f"--take {source}: none of its {len(records)} jobs is of this study: configs, seeds or data are others. "
            "Give the gin files, the bindings and the rooms that it was made with"
        )
    for record in fitting:
        try:
            for section, name in wanted.get(record["key"], ()):
                figure_of(record, section, name)
        except UnreadableResult as error:
            raise InputError(f"--take {source}: {plan.jobs[record['key']].title}: {error}") from error
    return fitting


def adopt(records: Iterable[dict[str, Any]], plan: Plan, store: Store) -> int:
    """Takes records over; a job that is done here stays as it is. Returns how many are done now that were not before.

    Checkpoints are not taken: a pre-training is made anew when a job needs it that is not done.
    """
    new = [record for record in records if store.done(plan.jobs[record["key"]]) is None]
    for record in new:
        store.adopt(plan.jobs[record["key"]], record)
    return len(new)


def _records(source: Path) -> Iterator[dict[str, Any]]:
    if source.is_dir():
        paths = sorted(source.glob(f"{JOBS}/*/{DONE}"))
        if not paths:
            raise InputError(f"--take {source}: no job of a study is done there ({JOBS}/*/{DONE})")
        for path in paths:
            yield _record(path.read_text(encoding="utf-8"), str(path))
        return
    if not source.is_file():
        raise InputError(f"--take {source}: no such file or folder; name a study's folder, or a {LINES} that one wrote")
    lines = source.read_text(encoding="utf-8", errors="replace").splitlines()
    if not any(line.strip() for line in lines):
        raise InputError(f"--take {source}: it is empty")
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _record(line, f"{source}, line {number}")


def _record(text: str, place: str) -> dict[str, Any]:
    try:
        record = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(f"--take {place}: not JSON ({error}); name a {LINES} that a study wrote") from error
    needed = ("key", "kind", "figures", "seconds", "cpu_seconds", "command", "commit", "config")
    missing = [name for name in needed if not isinstance(record, dict) or name not in record]
    if missing:
        raise InputError(f"--take {place}: {missing[0]!r} is missing, so it is no job; results.jsonl has cells instead")
    return dict(record)
