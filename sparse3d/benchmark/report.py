"""The tables that ``bench.py`` prints."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sparse3d.benchmark.parts import PARTS
from sparse3d.benchmark.sweep import AXES, swept_value

_TITLE = 30


def engine_report(record: dict[str, Any]) -> str:
    """Two tables of one cloud: times and ratios; then, where they were measured, memory and parts."""
    rows = record["variants"]
    lines = [
        f"{record['voxels']:,} voxels of {100 * record['voxel_size']:.2g} cm, {record['network']}, float32, "
        f"{record['threads']} threads, {record['gflop_forward']:.3g} GFLOP forward",
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


def sweep_report(records: Sequence[dict[str, Any]]) -> str:
    """A row a value: for every variant the seconds of a step, and the figure that shows where the curve bends."""
    axis = AXES[records[0]["sweep"]]
    fixed = [f"{records[0]['rounds']} rounds"]
    fixed += [] if axis.name == "voxels" else [f"{records[0]['voxels']:,} voxels"]
    fixed += ["one 3^3 convolution" if axis.name == "channels" else records[0]["network"]]
    fixed += [] if axis.name == "threads" else [f"{records[0]['threads']} threads"]
    titles = [row["title"] for row in records[0]["variants"]]
    width = max(len(title) for title in titles) + 2
    lines = [
        f"median seconds of a train step and {axis.reading}; {', '.join(fixed)}",
        _line(axis.name, titles, width, title=10),
    ]
    first = {row["key"]: row["step"]["median"] for row in records[0]["variants"]}
    for record in records:
        cells = []
        for row in record["variants"]:
            step = row["step"]["median"]
            cells.append(f"{step:.3f}{axis.read(record, step, first[row['key']]):10.2f}")
        lines.append(_line(f"{swept_value(record):,}", cells, width, title=10))
    return "\n".join(lines)


def pretrain_report(record: dict[str, Any]) -> str:
    """A table of a step's parts, largest first, and what it was measured on."""
    workers = f"{record['workers']} data workers" if record["workers"] != 1 else "1 data worker"
    lines = [
        f"{record['config']}, {record['backend']} backend, {workers}: {record['seconds_a_step']:.3f} s a step "
        f"(median of {record['steps']} after {record['skipped']}), {record['waiting']:.1%} of it waiting for data",
        f"parts of {record['steps']} more steps under the profiler, where the teacher computed "
        f"{record['images_a_step_taught_anew']:.1f} images a step and remembered the others:",
    ]
    shares = sorted(record["shares"].items(), key=lambda item: -item[1])
    return "\n".join([*lines, *(_line(part, [f"{share:.1%}"], 8) for part, share in shares)])


def _memory_and_parts(row: dict[str, Any]) -> list[str]:
    memory, parts = row["peak_mb"] or {}, row["parts"] or {}
    shares = [_number(100 * parts[part] if part in parts else None, ".1f") for part in PARTS]
    return [_number(memory.get("train"), ",.0f"), _number(memory.get("inference"), ",.0f"), *shares]


def _line(first: str, cells: Sequence[str], width: int, title: int = _TITLE) -> str:
    return f"{first:{title}}" + "".join(f" {cell:>{width - 1}}" for cell in cells)


def _spread(value: dict[str, float]) -> str:
    return f"{value['median']:.3f} ({value['low']:.3f}-{value['high']:.3f})"


def _number(value: float | None, style: str) -> str:
    return "-" if value is None else f"{value:{style}}"
