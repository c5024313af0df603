"""sparse3d: pre-train sparse 3D networks on RGB-D scans and carry them to other tasks."""

import os

__version__ = "0.1.0"

# OpenMP's threads spin for milliseconds while they wait, by default: when another job shares the cores a training step
# then takes twice as long and more. Asleep at once they must be woken for every small product. So they spin for some
# microseconds. The runtime reads this once, when torch loads it; what the user has set stays.
if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ):
    os.environ |= {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "10000"}
