"""What ``tools/predict.py`` does: a file and a checkpoint in, files out; the checkpoint says what is looked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparse3d.errors import InputError
from sparse3d.prediction.model import SHAPE_TASKS, Model, load
from sparse3d.prediction.predict_scan import Told, predict_scan
from sparse3d.prediction.predict_shape import predict_shape


@dataclass(frozen=True)
class PredictOptions:
    """Options of the command; None where nothing was asked for."""

    min_score: float | None = None
    tta: bool = False
    kind: str | None = None
    up: str | None = None


def predict_file(
    path: str | Path,
    checkpoint: str | Path,
    out: str | Path,
    options: PredictOptions,
    device: str = "auto",
    on_file: Told = lambda what, path: None,
) -> dict[str, Any]:
    """Writes what the checkpoint's network finds in a scan or a single shape, whichever it was trained on.

    Returns:
        What :func:`~sparse3d.prediction.predict_scan.predict_scan` or
        :func:`~sparse3d.prediction.predict_shape.predict_shape` reports.

    Raises:
        InputError: a file, checkpoint, device or option that cannot be used.
    """
    model = load(checkpoint, device)
    _refuse_idle(options, model)
    if model.task in SHAPE_TASKS:
        return predict_shape(path, model, out, options.kind, options.up or "z", on_file)
    return predict_scan(path, model, out, options.min_score, options.tta, on_file)


def _refuse_idle(options: PredictOptions, model: Model) -> None:
    """Raises InputError for an option of the other sort of network."""
    if model.task in SHAPE_TASKS:
        other, idle = "scans", {"--min-score": options.min_score is not None, "--tta": options.tta}
    else:
        other, idle = "single shapes", {"--kind": options.kind is not None, "--up": options.up is not None}
    for option in (option for option, given in idle.items() if given):
        raise InputError(
            f"{option} is for {other}; checkpoint {model.checkpoint} is of task {model.task!r}: leave it out"
        )


def summary(report: dict[str, Any]) -> str:
    """What was found, in one line."""
    if report["task"] == "classification":
        name, probability = next(iter(report["found"].items()))
        return f"{report['points']} points; {name}, probability {probability:.2f}"
    unit = {"detection": "boxes", "parts": "parts"}.get(report["task"], "points")
    found = ", ".join(f"{name} {count}" for name, count in report["found"].items()) or "none"
    return f"{report['points']} points; {unit}: {found}"
