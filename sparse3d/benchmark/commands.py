"""The two measurements as ``tools/bench.py`` runs them: checked, printed, drawn."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from sparse3d.benchmark.engine import EngineOptions, planned
from sparse3d.benchmark.machine import machine, machine_lines
from sparse3d.benchmark.picture import check_picture_path, save_curves
from sparse3d.benchmark.pretrain import PretrainOptions, measure_pretrain
from sparse3d.benchmark.report import engine_report, pretrain_report, sweep_report
from sparse3d.benchmark.sweep import curves, planned_sweep
from sparse3d.errors import InputError


def engine_command(a: argparse.Namespace) -> None:
    """Measures what the arguments of ``bench.py engine`` say, and prints it."""
    options = EngineOptions(
        voxels=whole_numbers(a.voxels, "--voxels") or EngineOptions.voxels,
        backends=names(a.backends),
        beside=names(a.beside),
        network=a.network,
        threads=a.threads,
        rounds=a.rounds,
        cloud=a.cloud,
        voxel_size=EngineOptions.voxel_size if a.voxel_size is None else a.voxel_size,
    )
    _check_belonging(a)
    values = whole_numbers(a.values, "--values")
    if a.sweep == "voxels" and values is None:
        values = whole_numbers(a.voxels, "--voxels")
    picture: Path | None = a.picture
    if a.sweep is None and (picture is not None or values is not None):
        raise InputError("--picture and --values go with --sweep")
    if picture is not None:
        check_picture_path(picture)
    plan = planned(options) if a.sweep is None else planned_sweep(a.sweep, values, options)
    found = machine()
    print("\n".join([*machine_lines(found), *plan.notes]), flush=True)
    records = []
    for record in plan.measure(options.rounds, a.only_times or a.sweep is not None, _progress):
        records.append({"sweep": a.sweep, **record})
        if a.sweep is None:  # at once: the next cloud can take long
            print("\n" + engine_report(record), flush=True)
    if a.sweep is not None:
        print("\n" + sweep_report(records))
    if picture is not None:
        save_curves(picture, curves(records), a.sweep, "seconds a train step")
        print(f"wrote {picture}")
    if a.json:
        print(json.dumps({"machine": found, "settings": records}))


def _check_belonging(a: argparse.Namespace) -> None:
    """Raises InputError for options that would be ignored beside others."""
    ignored = {
        "--voxels beside --cloud": a.voxels is not None and a.cloud is not None,
        "--voxel-size without --cloud": a.voxel_size is not None and a.cloud is None,
        "--threads with --sweep threads": a.threads is not None and a.sweep == "threads",
        "--network with --sweep channels": a.network != EngineOptions.network and a.sweep == "channels",
    }
    for what, given in ignored.items():
        if given:
            raise InputError(f"{what} has no effect: leave it out")


def pretrain_command(a: argparse.Namespace) -> None:
    """Measures what the arguments of ``bench.py pretrain`` say, and prints it."""
    options = PretrainOptions(a.config, a.bindings, a.steps, a.skip)
    found = machine()
    record = measure_pretrain(options, _progress)
    print("\n".join([*machine_lines(found), "", pretrain_report(record)]))
    if a.json:
        print(json.dumps({"machine": found, **record}))


def names(text: str | None) -> list[str] | None:
    """Names between commas; None stays None."""
    return None if text is None else [name.strip() for name in text.split(",") if name.strip()]


def whole_numbers(text: str | None, option: str) -> tuple[int, ...] | None:
    """Positive whole numbers between commas; None stays None.

    Raises:
        InputError: for anything else.
    """
    if text is None:
        return None
    for part in text.split(","):
        if not part.strip().isdigit() or int(part) == 0:
            raise InputError(f"{option}: {part!r} is no number of at least 1; write for example 20000,100000")
    return tuple(int(part) for part in text.split(","))


def _progress(text: str) -> None:
    print(text, file=sys.stderr)
