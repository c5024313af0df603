"""The results of a study: one record a cell that is done, and what the tables are made of."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sparse3d.errors import InputError
from sparse3d.study.jobs import Cell, Plan
from sparse3d.study.options import Study
from sparse3d.study.statistics import Estimate, Pair, bootstrap, paired, samples
from sparse3d.study.store import Store, UnreadableResult, figure_of

Place = tuple[str, float | None]  # task and share: a column


def collect(plan: Plan, store: Store) -> list[dict[str, Any]]:
    """A record for every cell whose job is done, in the plan's order; JSON.

    Raises:
        InputError: a job has no figure of the name that the study asks for.
    """
    records = {key: store.done(job) for key, job in plan.jobs.items()}
    found = []
    for cell in plan.cells:
        done = records[cell.job]
        if done is not None:
            parent = None if cell.borrowed else plan.jobs[cell.job].parent
            before = records.get(parent) if parent is not None else None
            try:
                found.append(_record(cell, plan, done, before))
            except UnreadableResult as error:
                job = plan.jobs[cell.job]
                raise InputError(f"{job.title} ({job.name}): {error}; {cell.task} of the study asks for it") from error
    return found


def _record(cell: Cell, plan: Plan, done: dict[str, Any], before: dict[str, Any] | None) -> dict[str, Any]:
    figures = done["figures"].get(cell.section, {}) if cell.section else done["figures"]
    return {
        "row": cell.row,
        "task": cell.task,
        "share": cell.share,
        "label_set": cell.label_set,
        "seed": cell.seed,
        "figure": cell.figure,
        "score": _finite(figure_of(done, cell.section, cell.figure)),
        "reference": _finite(figure_of(done, cell.section, cell.reference)) if cell.reference else None,
        "metrics": figures,
        "curve": [
            [entry["step"], value]
            for entry in done.get("curve", [])
            if (value := _finite(float(entry.get(cell.figure, math.nan)))) is not None
        ],
        "steps": done.get("steps", 0),
        "seconds": done["seconds"],
        "cpu_seconds": done["cpu_seconds"],
        "pretrain_seconds": before["seconds"] if before else 0.0,
        "command": done["command"],
        "pretrain_command": before["command"] if before else None,
        "commit": done["commit"],
        "cpu": done.get("cpu"),
        "config": done["config"],
        "job": plan.jobs[cell.job].name,
    }


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def as_lines(records: Sequence[dict[str, Any]]) -> str:
    """``results.jsonl``."""
    return "".join(json.dumps(record) + "\n" for record in records)


@dataclass(frozen=True)
class Entry:
    """What the table says of a row in a column; scores are fractions of 1."""

    row: str
    place: Place
    score: Estimate
    baseline: str | None = None
    difference: Estimate | None = None  # None for the baseline itself, and where no cell has a partner


class Scores:
    """The records by column, row and pair; scores that are no number are left out."""

    def __init__(self, study: Study, records: Sequence[dict[str, Any]]) -> None:
        self.study, self.records = study, records
        self.by_place: dict[Place, dict[str, dict[Pair, float]]] = defaultdict(dict)
        self._random: dict[tuple[Place, str], dict[Pair, float]] = defaultdict(dict)
        for record in records:
            place, row, pair = (record["task"], record["share"]), record["row"], (record["label_set"], record["seed"])
            if record["score"] is not None:
                self.by_place[place].setdefault(row, {})[pair] = record["score"]
            if record["reference"] is not None:
                self._random[place, row][pair] = record["reference"]

    @property
    def tasks(self) -> list[str]:
        """Tasks that have a result, in the order of the study."""
        return list(dict.fromkeys(task for task, _ in self.by_place))

    def shares(self, task: str) -> list[float | None]:
        """Shares of a task that have a result, rising."""
        return sorted((share for name, share in self.by_place if name == task), key=lambda share: share or 0)

    def rows(self, task: str) -> list[str]:
        """Rows that have a result in a task, in the study's order."""
        return [r.name for r in self.study.rows if any(r.name in self.by_place[task, s] for s in self.shares(task))]

    def entry(self, row: str, place: Place, baseline: str | None = None) -> Entry | None:
        """The row's mean in a column, and its difference from ``baseline`` (None: from the row's own)."""
        rows = self.by_place.get(place, {})
        if row not in rows:
            return None
        against = baseline or self.study.baseline_of(self.study.row(row))
        count = self.study.resamples
        theirs = rows.get(against, {})
        if self.study.row(against).pretrain is None:
            theirs = self._random.get((place, row), theirs)
        difference = None if row == against else paired(rows[row], theirs, count)
        return Entry(row, place, bootstrap(samples(rows[row]), count), against, difference)

    def curves(self, row: str, place: Place) -> dict[Pair, list[tuple[int, float]]]:
        """Training curves, (step, score), by pair."""
        return {
            (record["label_set"], record["seed"]): [(step, value) for step, value in record["curve"]]
            for record in self.records
            if record["row"] == row and (record["task"], record["share"]) == place and record["curve"]
        }
