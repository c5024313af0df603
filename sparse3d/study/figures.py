"""The figures of a study: bars, share against score, training curves, gain against steps; PNG, one set a task."""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np

from sparse3d.study.options import Study
from sparse3d.study.results import Place, Scores
from sparse3d.study.statistics import Estimate, Pair, bootstrap, samples
from sparse3d.whole_files import write_durable

# Okabe and Ito's colours, which colour-blind readers tell apart; grey is the baseline's.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7A5C2E", "#000000", "#8A8AE0", "#B0C030")
BASELINE = "#888888"
# What tells rows apart that share a colour: of lines, and of bars.
_LINES, _HATCHES = ("o-", "s--", "^:", "D-."), ("", "///", "...", "xxx")
_DPI = 110


def write_figures(study: Study, scores: Scores, folder: Path) -> list[Path]:
    """Writes what the results allow: ``bars_<task>.png``, ``shares_<task>.png``, ``curves_...``, ``gain_...``."""
    written = []
    for task in scores.tasks:
        written.append(_save(folder / f"bars_{_slug(task)}.png", _bars(study, scores, task)))
        if len(scores.shares(task)) > 1:
            written.append(_save(folder / f"shares_{_slug(task)}.png", _shares(study, scores, task)))
        for share in scores.shares(task):
            place = (task, share)
            rows = [row for row in scores.rows(task) if scores.curves(row, place)]
            if rows:
                end = f"{_slug(task)}_{100 * (share or 0):g}.png"
                written.append(_save(folder / f"curves_{end}", _curves(study, scores, place, rows)))
                gains = [row for row in rows if gain(study, scores, row, place)]
                if gains:
                    written.append(_save(folder / f"gain_{end}", _gains(study, scores, place, gains)))
    return written


def mean_curve(curves: dict[Pair, list[tuple[int, float]]], resamples: int) -> list[tuple[int, Estimate]]:
    """The mean over cells at every step that all of them measured."""
    points = {pair: dict(curve) for pair, curve in curves.items()}
    steps = sorted(set.intersection(*map(set, points.values()))) if points else []
    return [(step, bootstrap(samples({pair: p[step] for pair, p in points.items()}), resamples)) for step in steps]


def gain(study: Study, scores: Scores, row: str, place: Place) -> list[tuple[int, Estimate]]:
    """The mean paired difference from the row's baseline at every step that both measured; empty for the baseline.

    Pairs of unlike schedules are left out: the middle of a longer one is not what a shorter one has at its end.
    """
    against = study.baseline_of(study.row(row))
    mine, theirs = scores.curves(row, place), scores.curves(against, place)
    if row == against:
        return []
    differences = {
        pair: [(step, value - dict(theirs[pair])[step]) for step, value in curve if step in dict(theirs[pair])]
        for pair, curve in mine.items()
        if pair in theirs and curve[-1][0] == theirs[pair][-1][0]
    }
    return mean_curve(differences, study.resamples)


def _bars(study: Study, scores: Scores, task: str) -> Any:
    shares, rows = scores.shares(task), scores.rows(task)
    width = 0.8 / len(rows)
    figure, axes = _axes((max(7.6, 3.6 + len(shares) * (0.6 + 0.42 * len(rows))), 4.2))
    for place, row in enumerate(rows):
        found = [(k, e.score) for k, share in enumerate(shares) if (e := scores.entry(row, (task, share))) is not None]
        at = [k + (place - (len(rows) - 1) / 2) * width for k, _ in found]
        color, turn = look(study, row)
        axes.bar(at, [100 * e.mean for _, e in found], width * 0.92, color=color, hatch=_HATCHES[turn],
                 edgecolor="white", lw=0, label=study.row(row).title)  # fmt: skip
        for x, (_, estimate) in zip(at, found, strict=True):
            text = f"{100 * estimate.mean:.1f} (n={estimate.n})"
            axes.text(x, 0.02, text, ha="center", va="bottom", fontsize=7, color="white", rotation=90,
                      bbox={"facecolor": color, "lw": 0, "pad": 1}, transform=axes.get_xaxis_transform())  # fmt: skip
            if estimate.low is not None and estimate.high is not None:
                axes.errorbar([x], [100 * estimate.mean], _whisker(estimate), color="black", lw=1, capsize=2)
    axes.set_xticks(range(len(shares)), [_share_text(share) for share in shares])
    return _finish(figure, axes, f"{task}, per cent (bars: mean, lines: 95 % interval)", "")


def _shares(study: Study, scores: Scores, task: str) -> Any:
    figure, axes = _axes((8.2, 4.2))
    for row in scores.rows(task):
        found = [(share, entry.score) for share in scores.shares(task) if (entry := scores.entry(row, (task, share)))]
        known = [(100 * share, estimate) for share, estimate in found if share is not None]
        _line(study, axes, row, known)
    axes.set_xscale("log")
    ticks = [100 * share for share in scores.shares(task) if share is not None]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.minorticks_off()
    return _finish(figure, axes, f"{task}, per cent", "share of the labelled rooms, per cent")


def _curves(study: Study, scores: Scores, place: Place, rows: Sequence[str]) -> Any:
    figure, axes = _axes((8.2, 4.2))
    for row in rows:
        _line(study, axes, row, mean_curve(scores.curves(row, place), study.resamples))
    return _finish(figure, axes, f"{place[0]}, {_share_text(place[1])}, per cent", "steps")


def _gains(study: Study, scores: Scores, place: Place, rows: Sequence[str]) -> Any:
    figure, axes = _axes((8.2, 4.2))
    axes.axhline(0, color=BASELINE, lw=1)
    for row in rows:
        _line(study, axes, row, gain(study, scores, row, place))
    return _finish(figure, axes, f"{place[0]}, {_share_text(place[1])}: gain over the baseline, points", "steps")


def _line(study: Study, axes: Any, row: str, points: Sequence[tuple[float, Estimate]]) -> None:
    """Means joined by a line, intervals as a band where there are any."""
    if not points:
        return
    (color, turn), x = look(study, row), [at for at, _ in points]
    counts = sorted({estimate.n for _, estimate in points})
    label = f"{study.row(row).title} (n={' to '.join(str(n) for n in dict.fromkeys((counts[0], counts[-1])))})"
    axes.plot(x, [100 * e.mean for _, e in points], _LINES[turn], ms=4, color=color, label=label)
    known = [(at, e.low, e.high) for at, e in points if e.low is not None and e.high is not None]
    if known:
        at, low, high = (np.array(column) for column in zip(*known, strict=True))
        axes.fill_between(at, 100 * low, 100 * high, color=color, alpha=0.12, lw=0)


def _axes(size: tuple[float, float]) -> tuple[Any, Any]:
    # The object's own canvas: pyplot would choose a window system, and keep every figure.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=_DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _finish(figure: Any, axes: Any, title: str, label: str) -> Any:
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel(label, fontsize=9)
    axes.tick_params(labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e6e6e6", lw=0.7)
    axes.set_axisbelow(True)
    figure.legend(loc="outside right upper", fontsize=8, frameon=False)
    return figure


def _save(path: Path, figure: Any) -> Path:
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})  # the same bytes from the same results
    write_durable(path, lambda file: file.write(out.getvalue()))
    return path


def _whisker(estimate: Estimate) -> list[list[float]]:
    assert estimate.low is not None and estimate.high is not None
    return [[100 * (estimate.mean - estimate.low)], [100 * (estimate.high - estimate.mean)]]


def look(study: Study, row: str) -> tuple[str, int]:
    """A row's colour, its own (``StudyRow.color``) or one by its place, and how many rows before it have the same."""
    given = {other.color for other in study.rows}
    free = cycle([color for color in COLORS if color not in given] or COLORS)
    looks, used = dict[str, tuple[str, int]](), Counter[str]()
    for other in study.rows:
        color = other.color or (BASELINE if other.name == study.baselines[0] else next(free))
        looks[other.name] = color, used[color] % len(_LINES)
        used[color] += 1
    return looks[row]


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9]+", "_", text).strip("_")


def _share_text(share: float | None) -> str:
    return "" if share is None else f"{100 * share:g} % of the rooms"
