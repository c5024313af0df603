"""The learning rate as a pure function of the optimiser step."""

from __future__ import annotations

import math

from torch.optim import Optimizer

SCHEDULES = ("cosine", "constant")


def schedule_factor(step: int, steps: int, warmup: int, schedule: str = "cosine", final: float = 0.0) -> float:
    """What the configured rate is multiplied with at ``step`` in [0, steps).

    Linear warm-up gives (step + 1) / (warmup + 1), so the first step already learns and step ``warmup`` is the first
    at the full rate; without warm-up, step 0 has exactly the configured rate. Then a half cosine falls
    to ``final``, which it would reach at step ``steps`` (Loshchilov and Hutter, SGDR, without restarts).
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    if schedule == "constant":
        return 1.0
    progress = min(1.0, (step - warmup) / max(1, steps - warmup))
    return final + (1.0 - final) * 0.5 * (1.0 + math.cos(math.pi * progress))


def set_rate(optimizer: Optimizer, rate: float) -> None:
    """Gives every parameter group this learning rate, times the group's own ``lr_scale`` where it has one."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group.get("lr_scale", 1.0)
