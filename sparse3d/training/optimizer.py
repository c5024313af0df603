"""Optimisers over a network's trainable parameters, with weight decay where it belongs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from sparse3d.errors import InputError

OPTIMIZERS = ("adamw", "sgd")


def parameter_groups(
    model: nn.Module, weight_decay: float, lr_scales: Mapping[str, float] | None = None
) -> list[dict[str, Any]]:
    """Two groups: kernels with weight decay; biases, norms and single tokens (one axis at most) without.

    ``lr_scales`` gives parameters, by name, another multiple of the learning rate than 1; then there are two
    groups for each multiple, which they carry as ``lr_scale``.
    """
    scales = lr_scales or {}
    members: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if not parameter.requires_grad:
            continue
        # MinkowskiEngine's biases have shape (1, C), so the name counts beside the number of axes.
        is_free = parameter.ndim <= 1 or name.rsplit(".", 1)[-1] == "bias"
        members.setdefault((scales.get(name, 1.0), is_free), []).append(parameter)
    if not members:
        raise InputError("the network has no trainable parameters: nothing to train")
    return [
        {"params": members[scale, is_free], "weight_decay": 0.0 if is_free else weight_decay}
        | ({} if scale == 1 else {"lr_scale": scale})
        for scale, is_free in sorted(members)
    ]


def build_optimizer(
    model: nn.Module,
    optimizer: str,
    lr: float,
    weight_decay: float,
    betas: tuple[float, float],
    momentum: float,
    lr_scales: Mapping[str, float] | None = None,
) -> torch.optim.Optimizer:
    """AdamW (decoupled decay, Loshchilov and Hutter) or SGD with momentum; see :func:`parameter_groups`."""
    groups = parameter_groups(model, weight_decay, lr_scales)
    if optimizer == "adamw":
        # One pass over each parameter, not a dozen: a quarter of the time on a CPU, where torch does not choose it.
        fused = all(p.device.type in ("cpu", "cuda") for group in groups for p in group["params"])
        return torch.optim.AdamW(groups, lr=lr, betas=(float(betas[0]), float(betas[1])), fused=fused or None)
    if optimizer == "sgd":
        return torch.optim.SGD(groups, lr=lr, momentum=momentum)
    raise InputError(f"train.optimizer = {optimizer!r} is not known; choose one of {', '.join(OPTIMIZERS)}")
