"""Where a run's figures go: ``metrics.jsonl``, TensorBoard, and the terminal."""

from __future__ import annotations

import json
import math
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from sparse3d.training.checkpoint import write_file

METRICS = "metrics.jsonl"


def jsonable(value: float) -> float | str:
    """The number itself; JSON has no way to write nan and inf, so those become text instead of vanishing."""
    return value if math.isfinite(value) else str(value)


class RunLog:
    """The first process's log; the other processes have a silent one (``out`` None)."""

    def __init__(self, out: Path | None, steps: int, first_step: int = 0, tensorboard: bool = True) -> None:
        self._started = time.perf_counter()
        self._file: Any = None
        self._writer: Any = None
        self._bar: tqdm[Any] | None = None
        self._steps = steps
        self._silent = out is None
        if out is None:
            return
        _drop_later_lines(out / METRICS, first_step)
        self._file = (out / METRICS).open("a", encoding="utf-8")
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter  # slow to import, and not every tool needs it

            self._writer = SummaryWriter(str(out / "tensorboard"), purge_step=first_step or None)
        if sys.stderr.isatty():
            self._bar = tqdm(total=steps, initial=first_step, unit="step", dynamic_ncols=True)

    def scalars(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        """One line of ``metrics.jsonl`` and one point a curve."""
        if self._silent:
            return
        seconds = round(time.perf_counter() - self._started, 3)
        record = {"step": step, "kind": kind, "seconds": seconds}
        record.update({name: jsonable(float(value)) for name, value in values.items()})
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name if "/" in name else f"{kind}/{name}", value, step)

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        """An image (H, W, 3) uint8."""
        if self._writer is not None:
            self._writer.add_image(name, image, step, dataformats="HWC")

    def text(self, step: int, name: str, text: str) -> None:
        """A text, shown as it is (indented by four for TensorBoard's Markdown)."""
        if self._writer is not None:
            self._writer.add_text(name, "".join(f"    {line}\n" for line in text.splitlines()), step)

    def advance(self, summary: str | None) -> None:
        """One step done; ``summary`` refreshes the bar's text."""
        if self._bar is not None:
            if summary is not None:
                self._bar.set_postfix_str(summary, refresh=False)
            self._bar.update()

    def say(self, message: str) -> None:
        """A line for the user, on stderr, that does not tear the bar."""
        if self._silent:
            return
        if self._bar is not None:
            self._bar.write(message, file=sys.stderr)
        else:
            print(message, file=sys.stderr, flush=True)

    @property
    def has_bar(self) -> bool:
        """Whether the terminal shows a bar, so that no line a log step is needed."""
        return self._bar is not None

    def close(self) -> None:
        """Flushes and closes everything."""
        if self._bar is not None:
            self._bar.close()
        if self._writer is not None:
            self._writer.close()
        if self._file is not None:
            self._file.close()


def _drop_later_lines(path: Path, first_step: int) -> None:
    """Removes records of steps that will be done again, and a line that a killed process left half written."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        # Training records name the step they ran, evaluations the number of steps done before them.
        if record["step"] < first_step + (record["kind"] != "train"):
            kept.append(line + "\n")
    write_file(path, lambda file: file.write("".join(kept).encode()))
