"""Optimisers over a network's trainable parameters, with weight decay where it belongs."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from sparse3d.errors import InputError

OPTIMIZERS = ("adamw", "sgd")


def parameter_groups(model: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    """Two groups: kernels with weight decay; biases, norms and single tokens (one axis at most) without."""
    decayed: list[nn.Parameter] = []
    free: list[nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        # MinkowskiEngine's biases have shape (1, C), so the name counts beside the number of axes.
        is_free = parameter.ndim <= 1 or name.rsplit(".", 1)[-1] == "bias"
        (free if is_free else decayed).append(parameter)
    if not decayed and not free:
        raise InputError("the network has no trainable parameters: nothing to train")
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": free, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def build_optimizer(
    model: nn.Module, optimizer: str, lr: float, weight_decay: float, betas: tuple[float, float], momentum: float
) -> torch.optim.Optimizer:
    """AdamW (decoupled decay, Loshchilov and Hutter) or SGD with momentum."""
    groups = parameter_groups(model, weight_decay)
    if optimizer == "adamw":
        return torch.optim.AdamW(groups, lr=lr, betas=betas)
    if optimizer == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=momentum)
    raise InputError(f"train.optimizer = {optimizer!r} is not known; choose one of {', '.join(OPTIMIZERS)}")
