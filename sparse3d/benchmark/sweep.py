"""How cost grows: the engine measured along voxels, channels or threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sparse3d.benchmark import variants
from sparse3d.benchmark.clouds import room_cloud
from sparse3d.benchmark.engine import EngineOptions, Plan, Setting, check_options, chosen_variants
from sparse3d.errors import InputError

VOXELS = (10_000, 20_000, 50_000, 100_000, 200_000, 400_000)
CHANNELS = (16, 32, 48, 64, 96, 128, 192, 256)


@dataclass(frozen=True)
class Axis:
    """What a sweep varies, and what is read off beside the seconds of a step."""

    name: str
    reading: str  # heading of that figure
    read: Callable[[dict[str, Any], float, float], float]  # of a record, the step's seconds, and the first step's


AXES = {
    "voxels": Axis("voxels", "us/voxel", lambda record, step, first: 1e6 * step / record["voxels"]),
    # Backward computes two products of the forward one's size.
    "channels": Axis("channels", "GFLOP/s", lambda record, step, first: 3 * record["gflop_forward"] / step),
    "threads": Axis("threads", "x first", lambda record, step, first: first / step),
}


def planned_sweep(name: str, values: Sequence[int] | None, options: EngineOptions) -> Plan:
    """A plan along one axis, smallest value first.

    Args:
        name: one of :data:`AXES`.
        values: voxels, channels of a single 3^3 convolution, or threads; None takes the usual ones.
        options: what stays; channels and threads are varied on the last of its clouds.

    Raises:
        InputError: as :func:`sparse3d.benchmark.engine.planned`, and for an unknown axis.
    """
    if name not in AXES:
        raise InputError(f"--sweep {name!r} is unknown: choose one of {', '.join(AXES)}")
    if options.cloud is not None:
        raise InputError("--sweep makes its own rooms: leave out --cloud")
    check_options(options)
    rows, notes = chosen_variants(options)
    return Plan(rows, _settings(name, values, options), notes)


def _settings(name: str, values: Sequence[int] | None, options: EngineOptions) -> list[Setting]:
    threads = options.threads or variants.cores()
    if name == "voxels":
        return [Setting(*room_cloud(count), options.network, threads) for count in sorted(values or VOXELS)]
    coords, size = room_cloud(options.voxels[-1])
    if name == "channels":
        return [Setting(coords, size, f"layer:{width}", threads) for width in sorted(values or CHANNELS)]
    counts = sorted(values or range(1, variants.cores() + 1))
    if counts[0] < 1 or counts[-1] > variants.cores():
        raise InputError(
            f"--values {','.join(map(str, counts))}: between 1 and this machine's {variants.cores()} cores"
        )
    return [Setting(coords, size, options.network, count) for count in counts]


def swept_value(record: dict[str, Any]) -> int:
    """Where a record stands on its axis."""
    if record["sweep"] == "channels":
        return int(record["network"].partition(":")[2])
    return int(record[record["sweep"]])


def curves(records: Sequence[dict[str, Any]]) -> dict[str, list[tuple[float, float]]]:
    """For every variant's title the points (value, seconds of a step)."""
    found: dict[str, list[tuple[float, float]]] = {}
    for record in records:
        for row in record["variants"]:
            found.setdefault(row["title"], []).append((swept_value(record), row["step"]["median"]))
    return found
