"""Figures of an evaluation as text for the terminal."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from sparse3d.data.matching_pairs import PROTOCOLS

ROWS = ("colour", "random", "pretrained")


def figures_text(figures: Mapping[str, float | int | str]) -> str:
    """What is printed for the figures of any task."""
    return matching_text(figures) if "pairs" in figures else task_text(figures)


def as_json(figures: Mapping[str, Any]) -> str:
    """One JSON object; a figure that is not a number, as of a class that does not occur, is null."""
    return json.dumps({k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in figures.items()})


def matching_text(figures: Mapping[str, float | int | str]) -> str:
    """A table of matching recall, a row an encoder."""
    measured = f"{figures['pairs']} pairs of {figures['frames']} frames (split: {figures['split']})"
    if figures.get("pairs_without_matches"):
        measured += f"; {figures['pairs_without_matches']} more pairs have no pixel that both frames surely see"
    if figures.get("frames_dropped"):
        measured += f"; {figures['frames_dropped']} more frames cannot be used"
    lines = [f"matching recall at 10 cm over {measured}"]
    lines.append(f"{'':12}" + "".join(f"{protocol:>10}" for protocol in PROTOCOLS))
    for row in ROWS:
        lines.append(f"{row:12}" + "".join(f"{figures[f'recall_{protocol}_{row}']:10.3f}" for protocol in PROTOCOLS))
    if "teacher_cosine" in figures:
        shuffled = figures["teacher_cosine_shuffled"]
        lines.append(f"cosine with the teacher {figures['teacher_cosine']:.3f}, shuffled {shuffled:.3f}")
    return "\n".join(lines)


def task_text(figures: Mapping[str, float | int | str]) -> str:
    """Figures one a line, then a table of those of single classes (``kind/class``), a column a kind."""
    whole = {name: value for name, value in figures.items() if "/" not in name and name != "task"}
    lines = [
        f"{name:28}{value:10.4f}" if isinstance(value, float) else f"{name:28}{value}" for name, value in whole.items()
    ]
    single = [
        (kind, entry, value) for name, value in figures.items() for kind, _, entry in [name.partition("/")] if entry
    ]
    kinds, classes = list(dict.fromkeys(s[0] for s in single)), list(dict.fromkeys(s[1] for s in single))
    if not single:
        return "\n".join(lines)
    found = {(kind, entry): f"{value:.4f}" for kind, entry, value in single}
    lines += ["", f"{'class':28}" + "".join(f"{kind:>14}" for kind in kinds)]
    lines += [f"{entry:28}" + "".join(f"{found.get((kind, entry), '-'):>14}" for kind in kinds) for entry in classes]
    return "\n".join(lines)
