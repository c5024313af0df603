"""The 2D student: from projected 3D features to what the teacher says at each of its taps."""

from __future__ import annotations

from collections.abc import Sequence

import gin
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparse3d.checks import at_least
from sparse3d.errors import InputError


class MaskedConv2d(nn.Module):
    """3x3 convolution over the cells that exist: missing ones count zero, and the sum is scaled up for them.

    Source: the partial convolution of Liu et al., "Image Inpainting for Irregular Holes Using Partial
    Convolutions" (ECCV 2018), with the mask left as it is instead of growing.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.bias = nn.Parameter(torch.zeros(out_channels))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(N, C, h, w) with mask (N, h, w) bool -> (N, C', h, w), zero outside the mask."""
        known = mask[:, None].to(x.dtype)
        present = F.avg_pool2d(known, 3, stride=1, padding=1) * 9
        out = self.conv(x * known) * (9 / present.clamp_min(1)) + self.bias[:, None, None]
        return out * known


def masked_pool(x: Tensor, mask: Tensor, factor: int) -> tuple[Tensor, Tensor]:
    """Mean over the existing cells of ``factor`` x ``factor`` blocks; edges that do not fill a block count too."""
    return masked_pools(x, mask, (factor,))[0]


def masked_pools(x: Tensor, mask: Tensor, factors: Sequence[int]) -> list[tuple[Tensor, Tensor]]:
    """:func:`masked_pool` of (N, C, h, w) for every factor: (N, C, h', w'), zero where no cell exists, and its mask.

    A multiple's blocks are summed from the smaller ones': the whole map is gone through once.
    """
    known = mask[:, None].to(x.dtype)
    total, count, done = x * known, known, 1
    found = {}
    for factor in sorted(factors):
        if factor % done:
            total, count, done = x * known, known, 1
        if factor > done:
            step, done = factor // done, factor
            total, count = (F.avg_pool2d(part, step, ceil_mode=True, divisor_override=1) for part in (total, count))
        found[factor] = total / count.clamp_min(1), count[:, 0] > 0
    return [found[factor] for factor in factors]


def grid_strides(
    strides: Sequence[int], longer_side: int | None, map_stride: int, height: int, width: int
) -> tuple[int, ...]:
    """Pixels of the image between the cells of the student's grids, one a tap.

    Args:
        strides, longer_side: of a :class:`~sparse3d.models.teachers.base.Teacher`, in pixels of what it sees.
        map_stride: of the projected map, pixels; the grids' are multiples of it.
        height, width: of the image, pixels.
    """
    scale = 1 if longer_side is None else max(height, width) / longer_side
    return tuple(map_stride * max(1, round(stride * scale / map_stride)) for stride in strides)


@gin.configurable
class Student2D(nn.Module):
    """One linear map a teacher tap at the tap's own stride, behind mask-respecting convolutions where wanted.

    It is kept small on purpose: what the teacher knows should end up in the 3D network, not here (docs/tried.md has
    what a single convolution costs).

    Args:
        in_channels: of the projected map.
        channels: of the teacher's taps.
        strides: of the teacher's taps, pixels of what it sees.
        map_stride: of the projected map, pixels.
        hidden: width of the convolutions.
        depth: number of convolutions; 0 leaves a linear map a tap.
        longer_side: of what the teacher sees, where it brings images to a size of its own; None: theirs.

    Raises:
        InputError: a teacher's stride that is not a multiple of ``map_stride``, or a size out of its range.
    """

    def __init__(
        self,
        in_channels: int,
        channels: Sequence[int],
        strides: Sequence[int],
        map_stride: int,
        hidden: int = 128,
        depth: int = 0,
        longer_side: int | None = None,
    ) -> None:
        super().__init__()
        at_least("Student2D.hidden", hidden, 1)
        at_least("Student2D.depth", depth, 0)
        if longer_side is None and any(s % map_stride for s in strides):
            raise InputError(
                f"the teacher's strides {tuple(strides)} are not multiples of PretrainTask.map_stride = {map_stride}: "
                "choose another map_stride or other taps"
            )
        self.strides, self.map_stride, self.longer_side = tuple(strides), map_stride, longer_side
        widths = [in_channels] + [hidden] * depth
        self.trunk = nn.ModuleList(MaskedConv2d(a, b) for a, b in zip(widths, widths[1:], strict=False))
        self.heads = nn.ModuleList(nn.Conv2d(widths[-1], c, 1) for c in channels)

    def idle_options(self) -> dict[str, str]:
        """Options without effect beside the others, and why."""
        return {} if len(self.trunk) else {"hidden": "Student2D.depth is 0"}

    def forward(self, maps: Tensor, mask: Tensor) -> list[tuple[Tensor, Tensor]]:
        """(N, C, h, w) and mask (N, h, w) -> per tap its prediction (N, C_l, h_l, w_l) and mask (N, h_l, w_l)."""
        x = maps
        for conv in self.trunk:
            x = F.relu(conv(x, mask))
        height, width = (size * self.map_stride for size in x.shape[-2:])
        strides = grid_strides(self.strides, self.longer_side, self.map_stride, height, width)
        pools = masked_pools(x, mask, [stride // self.map_stride for stride in strides])
        return [(head(pooled), known) for (pooled, known), head in zip(pools, self.heads, strict=True)]
