"""sparse3d: pre-train sparse 3D networks on RGB-D scans and carry them to other tasks."""

import os

__version__ = "0.1.0"

# OpenMP's threads spin while they wait, by default: when another job shares the cores a training step then takes
# several times as long. The runtime reads this once, when torch loads it; what the user has set stays.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
