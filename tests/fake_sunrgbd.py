"""A few frames in SUN RGB-D's layout: a floor, and boxes turned about z."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from scipy.io import savemat


def write_sunrgbd(root: Path, train: int = 2, val: int = 1, points: int = 900) -> Path:
    """So many frames with both versions of the annotation, and the lists of the splits; returns ``root``."""
    for folder in ("depth", "label", "label_v1"):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(1, train + val + 1):
        name = f"{number:06d}"
        clouds = [rng.uniform((-2, 1, -1), (2, 5, -1), (points, 3))]
        lines = []
        for label, x in (("chair", -1.0), ("bed", 1.0)):
            center, half = np.array([x, rng.uniform(2, 4), -0.6]), rng.uniform((0.3, 0.5, 0.35), (0.5, 1.0, 0.4))
            yaw = float(rng.uniform(-3, 3))
            c, s = np.cos(yaw), np.sin(yaw)
            along, across, up = (rng.uniform(-1, 1, points) * half[k] for k in (1, 0, 2))
            turned = np.stack([c * along - s * across, s * along + c * across, up], axis=1)
            clouds.append(turned + center)
            numbers = (0, 0, 9, 9, *center, *half, c, s)
            lines.append(" ".join([label, *(f"{v:.6f}" for v in numbers)]))
        xyz = np.concatenate(clouds)
        rgb = rng.random(xyz.shape)
        savemat(root / "depth" / f"{name}.mat", {"instance": np.concatenate([xyz, rgb], axis=1)})
        for folder in ("label", "label_v1"):
            (root / folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    numbers = [str(k) for k in range(1, train + val + 1)]
    (root / "train_data_idx.txt").write_text("\n".join(numbers[:train]) + "\n")
    (root / "val_data_idx.txt").write_text("\n".join(numbers[train:]) + "\n")
    return root
