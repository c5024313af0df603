"""sparse3d: pre-train sparse 3D networks on RGB-D scans and carry them to other tasks."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from sparse3d.prediction.model import Model

__version__ = "0.1.0"

# OpenMP's threads spin for milliseconds while they wait, by default: when another job shares the cores a training step
# then takes twice as long and more. Asleep at once they must be woken for every small product. So they spin for some
# microseconds. The runtime reads this once, when torch loads it; what the user has set stays.
if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ):
    os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "10000"}

# MKL cuts a product by the number of threads, which changes its last bits, unless it is told not to before its first.
os.environ.setdefault("MKL_CBWR", "AUTO,STRICT")


def load(path: str | Path, device: str = "auto") -> Model:
    """The trained model of a checkpoint, ready for ``predict(points, colors)``; its training data are not needed.

    Args:
        path: a checkpoint of a run, such as ``runs/classes/checkpoints/best.pt``.
        device: ``auto`` (CUDA where there is one), ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        InputError: no checkpoint, one of an unknown task, or a device that is not there.
    """
    from sparse3d.prediction.model import load as load_model  # torch and all tasks: too much for `import sparse3d`

    return load_model(path, device)
