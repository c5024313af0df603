"""The requests that a worker process answers."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sparse3d.benchmark.memory import PeakMemory
from sparse3d.benchmark.runners import NetworkRunner, make_runner
from sparse3d.cache_folder import cache_root


class Service:
    """One runner; every public method is a request."""

    def __init__(self, engine: str, threads: int) -> None:
        torch.set_num_threads(threads)
        self._runner = make_runner(engine)
        self._runner.load()

    def about(self) -> dict[str, Any]:
        """What this process computes under: the wait policy, threads, and whether our compiled library is in it."""
        maps = Path("/proc/self/maps")
        loaded = str(cache_root()) in maps.read_text() if maps.exists() else None
        return {
            "OMP_WAIT_POLICY": os.environ.get("OMP_WAIT_POLICY"),
            "GOMP_SPINCOUNT": os.environ.get("GOMP_SPINCOUNT"),
            "threads": torch.get_num_threads(),
            "our_library_loaded": loaded,
        }

    def prepare(self, network: str, cloud: str, state: str, output: str | None = None) -> None:
        """Takes a network and a cloud, and computes once to warm up; writes the output for comparison."""
        weights = torch.load(state, weights_only=True)
        self._runner.prepare(network, np.load(cloud), weights)
        out = self._runner.output()
        if out is not None and output is not None:
            np.save(output, out.numpy())
        self._runner.inference()

    def measure(self) -> dict[str, float]:
        """Seconds of one train step and one inference."""
        return {**self._runner.train_step(), **self._runner.inference()}

    def peak_memory(self, network: str, cloud: str, state: str, training: bool) -> float | None:
        """Megabytes of the network and two passes at their peak, imports and libraries not counted; None if unknown."""
        peak = PeakMemory()
        self._runner.prepare(network, np.load(cloud), torch.load(state, weights_only=True))
        peak.forget()
        for _ in range(2):
            self._runner.train_step() if training else self._runner.inference()
        return peak.megabytes()

    def parts(self) -> dict[str, float]:
        """Seconds of one train step by its parts; see :func:`sparse3d.benchmark.parts.step_parts`."""
        from sparse3d.benchmark.parts import step_parts

        assert isinstance(self._runner, NetworkRunner)
        return step_parts(self._runner)
