"""Modules that tell, for a cell of one view, where it lies in another."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass

import gin
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparse3d.checks import at_least, require
from sparse3d.models.projection import ProjectedViews
from sparse3d.models.student import MaskedConv2d, masked_pool

_MOST_SCALE = 100  # one over the least temperature


@dataclass
class Embeddings:
    """What views' cells are compared by."""

    rows: Tensor  # (B, V, h, w, d), unit length
    scale: Tensor  # scalar, one over the softmax's temperature


def embedded_cells(found: Embeddings, cells: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Embeddings of lists of cells, which count through all views of the batch: (M, d) each.

    At once, as the gradient of each gather would be as large as all views together.
    """
    # Not index_select, whose gradient goes one number at a time.
    gathered = F.embedding(torch.cat(list(cells)), found.rows.flatten(0, 3))
    return gathered.split([len(part) for part in cells])


@gin.configurable
class MatchingHead(nn.Module):
    """A projection shared by all views, to unit vectors whose scalar products are compared.

    Args:
        in_channels: of the projected maps.
        dim: of the embedding.
        temperature: the softmax's, at the start, at least .01; learned in log space when ``learn_temperature``.

    Raises:
        InputError: a temperature below .01, or no dimension.
    """

    def __init__(
        self, in_channels: int, dim: int = 64, temperature: float = 0.07, learn_temperature: bool = False
    ) -> None:
        super().__init__()
        sane = 1 / _MOST_SCALE <= temperature < math.inf
        require(sane, "MatchingHead.temperature", temperature, f"at least {1 / _MOST_SCALE}, and finite")
        at_least("MatchingHead.dim", dim, 1)
        self.embed = nn.Linear(in_channels, dim)
        log_scale = torch.log(torch.tensor(1.0 / temperature))
        self.log_scale = nn.Parameter(log_scale, requires_grad=learn_temperature)

    @property
    def scale(self) -> Tensor:
        """One over the temperature, a scalar, at most 100."""
        bound = math.log(_MOST_SCALE)
        if self.training and self.log_scale.requires_grad:
            with torch.no_grad():  # beyond the bound there is no gradient, and no way back
                self.log_scale.clamp_(max=bound)
        return self.log_scale.clamp(max=bound).exp()

    def forward(self, views: ProjectedViews) -> Embeddings:
        """Of every cell of all views."""
        return Embeddings(self.unit_rows(views.maps.movedim(2, -1)), self.scale)

    def unit_rows(self, feats: Tensor) -> Tensor:
        """(..., C) -> (..., dim), unit length; zero rows give finite gradients."""
        # In float32 under autocast too: unit length to three digits would show in the softmax.
        return F.normalize(self.embed(feats).float(), dim=-1, eps=1e-6)


@gin.configurable
class RegressionHead(nn.Module):
    """Convolutions on both views' maps that predict where each cell of the first lies in the second.

    The concatenated maps are brought to a coarse grid, where a few dilated convolutions see the whole image, and back.

    Args:
        in_channels: of one projected map.
        hidden: width.
        coarse: factor between the map and the coarse grid.
    """

    def __init__(self, in_channels: int, hidden: int = 96, coarse: int = 4) -> None:
        super().__init__()
        at_least("RegressionHead.hidden", hidden, 1)
        at_least("RegressionHead.coarse", coarse, 1)
        self.coarse = coarse
        self.local = MaskedConv2d(2 * in_channels, hidden)
        self.context = nn.ModuleList(
            nn.Conv2d(hidden + 2 if k == 0 else hidden, hidden, 3, padding=2**k, dilation=2**k) for k in range(3)
        )
        self.out = nn.Conv2d(2 * hidden + 2, 2, 1)

    def forward(self, views: ProjectedViews) -> dict[tuple[int, int], Tensor]:
        """For views (i, j) of the items (B, 2, h, w): where cells of i lie in j, (row, col) over the image size."""
        maps, mask = views.maps, views.mask
        pairs = itertools.permutations(range(maps.shape[1]), 2)
        return {(i, j): self.located(maps[:, i], mask[:, i], maps[:, j], mask[:, j]) for i, j in pairs}

    def located(self, source: Tensor, source_mask: Tensor, target: Tensor, target_mask: Tensor) -> Tensor:
        """Maps (N, C, h, w), masks (N, h, w) -> (N, 2, h, w): (row, col) in the target image over its size."""
        grid = _unit_grid(source)
        either = source_mask | target_mask
        local = F.relu(self.local(torch.cat([source * source_mask[:, None], target * target_mask[:, None]], 1), either))
        coarse, _ = masked_pool(torch.cat([local, grid], dim=1), either, self.coarse)
        for conv in self.context:
            coarse = F.relu(conv(coarse))
        # By the factor, not to the map's size: the last blocks may reach beyond the map.
        height, width = source.shape[-2:]
        context = F.interpolate(coarse, scale_factor=self.coarse, mode="bilinear", align_corners=False)
        context = context[..., :height, :width]
        # The cell's own place is the first guess: views overlap.
        return grid + self.out(torch.cat([local, context, grid], dim=1))


def _unit_grid(maps: Tensor) -> Tensor:
    """(N, 2, h, w): each cell's centre (row, col) divided by the map's size."""
    n, _, h, w = maps.shape
    rows = (torch.arange(h, device=maps.device, dtype=maps.dtype) + 0.5) / h
    cols = (torch.arange(w, device=maps.device, dtype=maps.dtype) + 0.5) / w
    return torch.stack(torch.meshgrid(rows, cols, indexing="ij")).expand(n, 2, h, w)
