"""``bench.py engine``: backends beside MinkowskiEngine and the bare products, in rounds over all of them."""

from __future__ import annotations

import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

import numpy as np
import torch

from sparse3d.benchmark import variants
from sparse3d.benchmark.clouds import room_cloud, scanned_cloud
from sparse3d.benchmark.networks import layer_width, our_network
from sparse3d.benchmark.processes import WorkerProcess
from sparse3d.benchmark.products import convolution_shapes
from sparse3d.benchmark.variants import Variant
from sparse3d.errors import InputError
from sparse3d.sparse import minkowski_import, native

_PAUSE = 0.1  # seconds: OpenBLAS' threads spin on for a while after their last product
Say = Callable[[str], None]


@dataclass(frozen=True)
class EngineOptions:
    """What is measured."""

    voxels: Sequence[int] = (20_000, 100_000)
    backends: Sequence[str] | None = None  # None: all that are there
    beside: Sequence[str] | None = None  # the same, of the rivals
    network: str = "Res16UNet34C"
    threads: int | None = None  # None: one a core
    rounds: int = 5
    cloud: Path | None = None  # a .ply in place of the room
    voxel_size: float = 0.05  # of it, metres


@dataclass(frozen=True)
class Setting:
    """One cloud, network and number of threads, which every variant is measured under."""

    coords: np.ndarray  # (V, 3) int32
    voxel_size: float
    network: str
    threads: int


@dataclass(frozen=True)
class Plan:
    """What will be measured: every row of the table under every setting."""

    rows: Sequence[Variant]
    settings: Sequence[Setting]
    notes: Sequence[str]  # who is left out, and why

    def measure(self, rounds: int, only_times: bool, say: Say) -> Iterator[dict[str, Any]]:
        """One record a setting, see :func:`measure_setting`."""
        for setting in self.settings:
            yield measure_setting(setting, self.rows, rounds, only_times, say)


def planned(options: EngineOptions) -> Plan:
    """What the options mean on this machine.

    Raises:
        InputError: options that mean nothing here, or a cloud that cannot be read.
    """
    check_options(options)
    rows, notes = chosen_variants(options)
    threads = options.threads or variants.cores()
    if options.cloud is not None:
        clouds = [(scanned_cloud(options.cloud, options.voxel_size), options.voxel_size)]
    else:
        clouds = [room_cloud(voxels) for voxels in options.voxels]
    return Plan(rows, [Setting(*cloud, options.network, threads) for cloud in clouds], notes)


def check_options(options: EngineOptions) -> None:
    """Raises InputError for numbers that are out of range and networks that do not exist."""
    layer_width(options.network)
    if options.rounds < 1:
        raise InputError(f"--rounds {options.rounds}: at least 1")
    if options.threads is not None and not 1 <= options.threads <= variants.cores():
        raise InputError(f"--threads {options.threads}: between 1 and this machine's {variants.cores()} cores")


def chosen_variants(options: EngineOptions) -> tuple[list[Variant], list[str]]:
    """The rows of the table: those asked for, or all that this machine can compute; and why others are not in it.

    Raises:
        InputError: for an unknown name, and for one asked for by name that cannot compute here.
    """
    ours = variants.OURS if options.backends is None else (*variants.OURS, variants.ROUNDED)
    given = (("--backends", options.backends, ours), ("--beside", options.beside, variants.BESIDE))
    rows: list[Variant] = []
    notes: list[str] = []
    for option, names, among in given:
        for variant in among if names is None else variants.chosen(names, among, option):
            reason = _why_not(variant)
            if reason and names is not None:
                raise InputError(f"{option} {variant.key}: {reason}")
            if reason:
                notes.append(f"without {variant.title}: {reason}")
            else:
                rows.append(variant)
    if not rows:
        raise InputError("--backends and --beside name nothing to measure")
    return rows, notes


def _why_not(variant: Variant) -> str:
    if variant.engine.startswith("minkowski"):
        return minkowski_import.why_not()
    return native.why_not() if variant.engine.startswith("native") else ""


def measure_setting(
    setting: Setting, rows: Sequence[Variant], rounds: int, only_times: bool, say: Say
) -> dict[str, Any]:
    """Measures every variant of ``rows`` under one setting.

    One round measures each once, in an order drawn anew, so that what changes slowly on a machine meets all alike.
    Raises RuntimeError if two engines do not give the same output.
    """
    found = {variant.key: Record(variant) for variant in rows}
    with tempfile.TemporaryDirectory(prefix="sparse3d-bench-") as name:
        given = _write_inputs(setting, Path(name))
        with ExitStack() as closing:
            workers = [closing.enter_context(WorkerProcess(variant, setting.threads)) for variant in rows]
            for worker in workers:
                found[worker.variant.key].about = worker.ask("about")
                worker.ask("prepare", **given, output=str(Path(name) / f"{worker.variant.key}.npy"))
            _check_agreement(rows, Path(name))
            order = random.Random(0)
            for number in range(rounds):
                say(f"{len(setting.coords):,} voxels, {setting.threads} threads: round {number + 1} of {rounds}")
                for worker in order.sample(workers, len(workers)):
                    time.sleep(_PAUSE)
                    found[worker.variant.key].add(worker.ask("measure"))
            if not only_times:
                _measure_parts(workers, found, say)
        if not only_times:
            for record in found.values():
                say(f"memory of {record.variant.title}")
                record.measure_memory(given, setting.threads)
    return {
        "voxels": len(setting.coords),
        "voxel_size": setting.voxel_size,
        "network": setting.network,
        "threads": setting.threads,
        "rounds": rounds,
        "gflop_forward": _gflop(setting),
        "variants": with_ratios([record.as_json() for record in found.values()]),
    }


def _measure_parts(workers: Sequence[WorkerProcess], found: dict[str, Record], say: Say) -> None:
    for worker in workers:
        if worker.variant.engine != "mm":
            say(f"parts of {worker.variant.title}")
            found[worker.variant.key].parts = worker.ask("parts")


def _write_inputs(setting: Setting, folder: Path) -> dict[str, str]:
    torch.manual_seed(0)
    network = our_network(setting.network)
    np.save(folder / "cloud.npy", setting.coords)
    torch.save(network.state_dict(), folder / "state.pt")
    return {"network": setting.network, "cloud": str(folder / "cloud.npy"), "state": str(folder / "state.pt")}


def _gflop(setting: Setting) -> float:
    network = our_network(setting.network)
    return sum(shape.flops for shape in convolution_shapes(network, setting.coords, input_gradient=True)) / 1e9


def _check_agreement(rows: Sequence[Variant], folder: Path) -> None:
    outputs = {v.key: np.load(path) for v in rows if (path := folder / f"{v.key}.npy").exists()}
    if not outputs:
        return
    allowed = {variant.key: variant.agreement for variant in rows}
    first = min(outputs, key=lambda key: allowed[key])  # the strictest, or all would be compared at another's allowance
    reference = outputs[first]
    for key, output in outputs.items():
        difference = float(np.abs(output - reference).max() / np.abs(reference).max())
        if not difference <= max(allowed[first], allowed[key]):
            raise RuntimeError(f"{key} and {first} differ by {difference:.1e} of the largest output: not one network")


class Record:
    """What was measured of one variant."""

    def __init__(self, variant: Variant) -> None:
        self.variant = variant
        self.about: dict[str, Any] = {}
        self.times: dict[str, list[float]] = {}
        self.parts: dict[str, float] | None = None
        self.memory: dict[str, float | None] = {}

    def add(self, times: dict[str, float]) -> None:
        """Takes one round's seconds; a step is forward and backward together."""
        for name, seconds in {**times, "step": times["forward"] + times["backward"]}.items():
            self.times.setdefault(name, []).append(seconds)

    def measure_memory(self, given: dict[str, str], threads: int) -> None:
        """Peak memory of training and of inference, each in a new process."""
        if self.variant.engine == "mm":
            return
        for name, training in (("train", True), ("inference", False)):
            with WorkerProcess(self.variant, threads) as worker:
                self.memory[name] = worker.ask("peak_memory", **given, training=training)

    def as_json(self) -> dict[str, Any]:
        """Medians with quartiles, in seconds; memory in megabytes; parts as shares that sum to 1."""
        variant = self.variant
        total = sum((self.parts or {}).values())
        return {
            "key": variant.key,
            "title": variant.title,
            "ours": variant.is_ours,
            "process": self.about,
            **{name: spread(values) for name, values in self.times.items()},
            "peak_mb": self.memory or None,
            "parts": {name: value / total for name, value in self.parts.items()} if self.parts and total else None,
        }


def spread(values: Sequence[float]) -> dict[str, Any]:
    """Median, quartiles, and all values."""
    low, middle, high = quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return {"median": middle, "low": low, "high": high, "all": list(values)}


def with_ratios(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adds how many times faster than MinkowskiEngine a step is, and its speed as a share of the bare products'."""
    steps = {record["key"]: record["step"]["median"] for record in found}
    against = (
        ("x_as_installed", variants.AS_INSTALLED.key),
        ("x_tuned", variants.TUNED.key),
        ("of_products", variants.PRODUCTS.key),
    )
    for record in found:
        for name, key in against:
            record[name] = steps[key] / record["step"]["median"] if key in steps else None
    return found
