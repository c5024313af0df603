"""Features of the SR-UNet at several strides, with no more of its decoder than is asked for."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sparse3d.errors import InputError
from sparse3d.models.resunet import SRUNet
from sparse3d.sparse import SparseTensor, conv_norm

COARSEST = 16
STRIDES = (1, 2, 4, 8, COARSEST)


def level_channels(backbone: SRUNet, stride: int) -> int:
    """Width of the features that :func:`decoder_levels` gives at ``stride``."""
    planes = backbone.spec.planes
    return {16: planes[3], 8: planes[4], 4: planes[5], 2: planes[6], 1: planes[7]}[stride]


def decoder_levels(backbone: SRUNet, x: SparseTensor, finest: int) -> dict[int, SparseTensor]:
    """The features at stride 16 (the encoder's last) and at each finer one of the decoder down to ``finest``."""
    encoded = backbone.encode(x)
    out = encoded[-1]
    levels = {COARSEST: out}
    stride = COARSEST
    while stride > finest:
        stage = _stage(stride)
        up, norm = getattr(backbone, f"convtr{stage}p{stride}s2"), getattr(backbone, f"bntr{stage}")
        stride //= 2
        beside = conv_norm(out, up, norm, relu=True, beside=encoded[7 - stage])
        out = getattr(backbone, f"block{stage + 1}")(beside)
        levels[stride] = out
    return levels


def first_children(level: SparseTensor, x: SparseTensor) -> Tensor:
    """The first of the rows of ``x`` (stride 1) that lie in each voxel of ``level``, (V of the level,) int64."""
    if level.key == x.key:
        return torch.arange(len(x), device=x.feats.device)
    parent = x.manager.parents(x.key, level.key)
    rows = torch.arange(len(x), device=parent.device)
    return rows.new_full((len(level),), len(x)).scatter_reduce(0, parent, rows, "amin")


def freeze_below(backbone: SRUNet, finest: int) -> None:
    """Takes the decoder's stages finer than ``finest`` out of the training, as nothing asks for their output.

    They stay where they are, so that checkpoints keep their shape.
    """
    stride = finest
    unused: list[nn.Module] = [] if backbone.final is None or finest == 1 else [backbone.final]
    while stride > 1:
        stage = _stage(stride)
        names = (f"convtr{stage}p{stride}s2", f"bntr{stage}", f"block{stage + 1}")
        unused += [getattr(backbone, name) for name in names]
        stride //= 2
    for module in unused:
        module.requires_grad_(False)


def check_strides(strides: Sequence[int], option: str) -> tuple[int, ...]:
    """``strides`` from fine to coarse, each twice the one before, 16 at most. Raises InputError otherwise."""
    found = tuple(strides)
    doubling = all(b == 2 * a for a, b in zip(found, found[1:], strict=False))
    if not found or not doubling or any(s not in STRIDES for s in found):
        raise InputError(f"{option} = {found}: must be strides of {STRIDES}, each twice the one before")
    return found


def _stage(stride: int) -> int:
    """Number of the stage that leads from ``stride`` to the half of it."""
    return {16: 4, 8: 5, 4: 6, 2: 7}[stride]
