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
import torch
from tqdm import tqdm

from sparse3d.whole_files import write_durable

METRICS = "metrics.jsonl"


class RunLog:
    """The first process's log; the other processes have one that only speaks up for itself (``out`` None).

    A record of kind "train" carries the number of the step that it ends with, counted from 0; one of kind "val" the
    number of steps done before it. What an earlier process wrote is kept as far as this one goes on from it: the lines
    of the steps before ``first_step``, and the figures after these where ``is_measured``, as else they are made again.
    """

    def __init__(
        self,
        out: Path | None,
        steps: int,
        first_step: int = 0,
        tensorboard: bool = True,
        is_measured: bool = False,
    ) -> None:
        self._started = time.perf_counter()
        self._file: Any = None
        self._writer: Any = None
        self._bar: Any = None
        self._steps, self._done = steps, first_step
        if out is None:
            return
        _drop_later_lines(out / METRICS, first_step, is_measured)
        self._file = (out / METRICS).open("a", encoding="utf-8")
        if tensorboard:
            from torch.utils.tensorboard import SummaryWriter  # slow to import, and not every tool needs it

            self._writer = SummaryWriter(str(out / "tensorboard"), purge_step=first_step + is_measured)
        if sys.stderr.isatty():
            self._bar = tqdm(total=steps, initial=first_step, unit="step", dynamic_ncols=True)

    def scalars(self, step: int, kind: str, values: Mapping[str, float]) -> None:
        """One line of ``metrics.jsonl``, and one point a curve; names are ``kind/name``, save for ``time/...``."""
        if self._file is None:
            return
        seconds = round(time.perf_counter() - self._started, 3)
        record = {"step": step, "kind": kind, "seconds": seconds}
        # JSON has no way to write nan and inf: they become text instead of vanishing.
        record.update({name: float(v) if math.isfinite(v) else str(float(v)) for name, v in values.items()})
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name if name.startswith("time/") else f"{kind}/{name}", value, step)
            self._writer.flush()

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        """An image (H, W, 3) uint8, to TensorBoard."""
        if self._writer is not None:
            self._writer.add_image(name, image, step, dataformats="HWC")

    def mesh(
        self, step: int, name: str, vertices: np.ndarray, colors: np.ndarray, faces: np.ndarray | None = None
    ) -> None:
        """Vertices (N, 3) metres with colours (N, 3) uint8, and faces (F, 3) or none, to TensorBoard's mesh plugin."""
        if self._writer is not None:
            parts = {"vertices": vertices, "colors": colors, "faces": faces}
            self._writer.add_mesh(
                name, **{k: torch.as_tensor(v)[None] for k, v in parts.items() if v is not None}, global_step=step
            )

    def text(self, step: int, name: str, text: str) -> None:
        """A text, shown letter by letter (indented by four, for TensorBoard's Markdown)."""
        if self._writer is not None:
            self._writer.add_text(name, "".join(f"    {line}\n" for line in text.splitlines()), step)

    def advance(self, summary: str | None = None, seconds: float = 0.0) -> None:
        """One step done; a summary, with ``seconds`` a step, is the bar's new text, or a line where there is no bar."""
        self._done += 1
        if self._bar is not None:
            if summary is not None:
                self._bar.set_postfix_str(summary, refresh=False)
            self._bar.update()
        elif summary is not None and self._file is not None:
            left = _clock(seconds * (self._steps - self._done))
            self.say(f"step {self._done}/{self._steps}  {summary}  left {left}")

    def say(self, message: str) -> None:
        """A line for the user, on stderr, that does not tear the bar."""
        if self._bar is not None:
            self._bar.write(message, file=sys.stderr)
        else:
            print(message, file=sys.stderr, flush=True)

    def close(self) -> None:
        """Flushes and closes everything."""
        for part in (self._bar, self._writer, self._file):
            if part is not None:
                part.close()


def step_summary(means: Mapping[str, float]) -> str:
    """Losses, rate and speed on one line."""
    parts = [f"{name} {value:.4g}" for name, value in means.items() if "loss" in name]
    share = means["time/data_s"] / (means["time/data_s"] + means["time/step_s"])
    return "  ".join([*parts, f"lr {means['lr']:.3g}", f"{means['time/items_per_s']:.3g} items/s", f"data {share:.0%}"])


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(int(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{seconds:02d}"


def _drop_later_lines(path: Path, first_step: int, is_measured: bool) -> None:
    """Removes records of what will be done again, and a line that a killed process left half written."""
    if not path.is_file():
        return
    kept = []
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            record = json.loads(line)
        except json.JSONDecodeError:
            continue
        if record["step"] < first_step + (record["kind"] != "train" and is_measured):
            kept.append(line + "\n")
    write_durable(path, lambda file: file.write("".join(kept).encode()))
