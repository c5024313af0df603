"""The tables: Markdown to read, CSV to compute with."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from sparse3d.study.options import Study
from sparse3d.study.results import Entry, Scores
from sparse3d.study.statistics import LEAST, Estimate

COLUMNS = (
    "task", "share", "row", "n", "mean", "low", "high", "baseline", "pairs", "difference", "difference_low",
    "difference_high", "difference_student",
)  # fmt: skip
LEGEND = (
    "Scores in per cent: the mean over label sets, and behind it the mean difference from the baseline, cell by cell "
    "with the same label set and seed, with its 95 % percentile bootstrap interval and n, the number of label sets (of "
    "several seeds' cells the mean counts; without label sets, of seeds). Of few such an interval is too narrow: bold "
    "only where Student's t interval excludes zero, too. "
    f"Fewer than {LEAST}: no interval is given, and nothing is bold. "
    "A mean over more label sets than its difference has a number of its own. "
    "Where features are measured as they are (linear, knn, matching), a row without pre-training is a random network."
)


def task_tables(study: Study, scores: Scores) -> str:
    """A Markdown table a task against the rows' own baselines, then one for each other baseline."""
    parts = [LEGEND]
    for task in scores.tasks:
        parts += [f"### {study.task_title(task)}", _task_table(study, scores, task, None)]
        for other in study.baselines[1:]:
            if other in scores.rows(task) and len(scores.rows(task)) > 1:
                title = study.row(other).title
                parts += [f"Differences from {title} instead:", _task_table(study, scores, task, other)]
    return "\n\n".join(parts)


def _task_table(study: Study, scores: Scores, task: str, baseline: str | None) -> str:
    shares = scores.shares(task)
    head = ["", *(_share_text(share) for share in shares)]
    rows = []
    for row in scores.rows(task):
        entries = [scores.entry(row, (task, share), baseline) for share in shares]
        if baseline is None or any(entry and entry.difference for entry in entries):
            rows.append([study.row(row).title, *(entry_text(study, entry, baseline) for entry in entries)])
    return markdown(head, rows)


def entry_text(study: Study, entry: Entry | None, baseline: str | None = None) -> str:
    """A cell of a table of differences from ``baseline`` (None: the study's first); another one is named."""
    if entry is None:
        return "-"
    score = f"{100 * entry.score.mean:.1f}"
    if entry.difference is None or entry.difference.n != entry.score.n:
        score += f" (n={entry.score.n})"
    if entry.difference is None:
        return score
    expected = baseline or study.baselines[0]
    other = "" if entry.baseline == expected else f" to {study.row(entry.baseline or '').title}"
    return f"{score}, {difference_text(entry.difference)}{other}"


def difference_text(difference: Estimate) -> str:
    """``+3.1 [1.2, 5.0] n=10``, in per cent, bold where zero is excluded (:attr:`Estimate.excludes_zero`)."""
    text = f"{_percent(difference.mean):+.1f}"
    if difference.low is None or difference.high is None:
        return f"{text} (n={difference.n}, no interval)"
    text += f" [{_percent(difference.low):.1f}, {_percent(difference.high):.1f}]"
    return f"{f'**{text}**' if difference.excludes_zero else text} n={difference.n}"


def markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column is text, the others numbers."""
    lines = [head, ["---", *("---:" for _ in head[1:])], *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)


def csv_text(scores: Scores) -> str:
    """One line a column and row, fractions of 1, empty where there is no number."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(COLUMNS)
    for task in scores.tasks:
        for share in scores.shares(task):
            for row in scores.rows(task):
                entry = scores.entry(row, (task, share))
                if entry is not None:
                    writer.writerow(_csv_row(entry))
    return out.getvalue()


def _csv_row(entry: Entry) -> list[object]:
    task, share = entry.place
    score, found = entry.score, entry.difference
    row: list[object] = [task, share, entry.row, score.n, score.mean, score.low, score.high]
    if found is None:
        return [*row, *[None] * 6]
    return [*row, entry.baseline, found.n, found.mean, found.low, found.high, found.student]


def _percent(value: float) -> float:
    return round(100 * value, 1) + 0.0  # no "-0.0"


def _share_text(share: float | None) -> str:
    return "score" if share is None else f"{100 * share:g} % of the rooms"
