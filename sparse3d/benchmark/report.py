"""The tables that ``bench.py`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sparse3d.benchmark.parts import PARTS

_TITLE = 30


def engine_report(record: dict[str, Any]) -> str:
    """Two tables of one cloud: times and ratios; then, where they were measured, memory and parts."""
    rows = record["variants"]
    flop = f", {record['gflop_forward']:.0f} GFLOP forward" if record["gflop_forward"] else ""
    lines = [
        f"{record['voxels']:,} voxels of {100 * record['voxel_size']:.2g} cm, {record['network']}, float32, "
        f"{record['threads']} threads{flop}",
        f"seconds: median and quartiles of {record['rounds']} rounds; a step is new coordinates, forward, backward",
        _line("", ["forward", "backward", "step", "inference"], 20)
        + _line("", ["x ME", "x tuned", "% of mm"], 9, title=0),
    ]
    for row in rows:
        times = [_spread(row[name]) for name in ("forward", "backward", "step", "inference")]
        ratios = [_number(row["x_as_installed"], ".2f"), _number(row["x_tuned"], ".2f")]
        percent = _number(None if row["of_products"] is None else 100 * row["of_products"], ".0f")
        lines.append(_line(row["title"], times, 20) + _line("", [*ratios, percent], 9, title=0))
    if any(row["peak_mb"] or row["parts"] for row in rows):
        heads = ["MB train", "MB infer", *PARTS]
        lines += ["", "peak memory net of imports; parts of a train step, per cent", _line("", heads, 17)]
        lines += [_line(row["title"], _memory_and_parts(row), 17) for row in rows if row["peak_mb"] or row["parts"]]
    return "\n".join(line.rstrip() for line in lines)


def _memory_and_parts(row: dict[str, Any]) -> list[str]:
    memory, parts = row["peak_mb"] or {}, row["parts"] or {}
    shares = [_number(100 * parts[part] if part in parts else None, ".1f") for part in PARTS]
    return [_number(memory.get("train"), ",.0f"), _number(memory.get("inference"), ",.0f"), *shares]


def _line(first: str, cells: Sequence[str], width: int, title: int = _TITLE) -> str:
    return f"{first:{title}}" + "".join(f"{cell:>{width}}" for cell in cells)


def _spread(value: dict[str, float]) -> str:
    return f"{value['median']:.3f} ({value['low']:.3f}-{value['high']:.3f})"


def _number(value: float | None, style: str) -> str:
    return "-" if value is None else f"{value:{style}}"
