"""What every form of the consistency loss is given, and how its pairs' losses become one."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparse3d.models.pretrain_net import PretrainOutput
from sparse3d.types import ViewBatch


@dataclass(frozen=True)
class PairCells:
    """True correspondences of an item's views i -> j; a view's h x w cells are numbered row by row."""

    item: int
    i: int
    j: int
    source_view: int  # view i of the item among the batch's
    target_view: int
    source: Tensor  # (M,) int64 cells of view i
    target: Tensor  # (M,) int64 cells of view j
    place: Tensor  # (M, 2) float, the true (row, col) in view j over the image size


class ConsistencyForm(ABC):
    """One form of the loss: a head that answers for a batch's projected views, and what its answer costs.

    A new one is a subclass in a file of its own, with ``@gin.configurable``, and one gin line:
    ``PretrainTask.consistency = @YourForm``.
    """

    @abstractmethod
    def build_head(self, in_channels: int) -> nn.Module:
        """A module that is called with :class:`~sparse3d.models.projection.ProjectedViews` of ``in_channels``.

        It is a part of the network; what it returns is ``answer`` of the output.
        """

    @abstractmethod
    def losses(
        self, output: PretrainOutput, pairs: Sequence[PairCells], place_of_cell: Tensor
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        """A scalar for each pair, 0 for one without correspondences, and scalars to be logged.

        Args:
            output: of the network.
            pairs: all ordered pairs of different frames of an item.
            place_of_cell: (h, w, 2) the middle of each cell, (row, col) over the image size.
        """

    def compared_cells(self, queries: int, cells: int) -> int:
        """How many of the ``cells`` of a view each of ``queries`` is compared with; to count operations."""
        return 0


@dataclass(frozen=True)
class ViewConsistency:
    """The loss of a batch: its true correspondences, brought to the maps' cells, in the given form.

    Args:
        form: what is made of them.
        map_stride: pixels a cell of the projected maps.
        max_queries: source cells a view pair and direction.
    """

    form: ConsistencyForm
    map_stride: int
    max_queries: int

    def __call__(self, output: PretrainOutput, batch: ViewBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean over the items of the mean over ordered pairs of different frames; one without a match counts zero."""
        pairs = self.pairs(output, batch)
        losses, parts = self.form.losses(output, pairs, self._place_of_cell(output, batch))
        pairs_of = Counter(pair.item for pair in pairs)  # items count alike, as they do in processes of their own
        shared = [loss / pairs_of[pair.item] for loss, pair in zip(losses, pairs, strict=True)]
        return torch.stack(shared).sum() / len(pairs_of), parts

    def pairs(self, output: PretrainOutput, batch: ViewBatch) -> list[PairCells]:
        """The correspondences of every ordered pair whose cells are there on both sides."""
        return [self._matched_cells(output, batch, *pair) for pair in frame_pairs(batch)]

    def _matched_cells(self, output: PretrainOutput, batch: ViewBatch, item: int, i: int, j: int) -> PairCells:
        m = batch.matches
        rows = torch.nonzero((m.item == item) & (m.source_view == i) & (m.target_view == j))[: self.max_queries, 0]
        mask = output.compared.mask
        views, width = mask.shape[1], mask.shape[3]
        source, target = (pixel[rows] // self.map_stride for pixel in (m.source_pixel, m.target_pixel))
        source, target = (place[:, 0] * width + place[:, 1] for place in (source, target))
        # A cell can be without voxels where the mask took them away.
        known = mask[item, i].flatten()[source] & mask[item, j].flatten()[target]
        size = torch.tensor(batch.images.shape[2:4], device=rows.device)
        place = (m.target_pixel[rows] + 0.5) / size
        return PairCells(item, i, j, item * views + i, item * views + j, source[known], target[known], place[known])

    def _place_of_cell(self, output: PretrainOutput, batch: ViewBatch) -> Tensor:
        mask = output.compared.mask
        cells = torch.nonzero(torch.ones(mask.shape[2:], dtype=torch.bool, device=mask.device))
        size = torch.tensor(batch.images.shape[2:4], device=mask.device)
        return ((cells + 0.5) * self.map_stride / size).view(*mask.shape[2:], 2)


def frame_pairs(batch: ViewBatch) -> list[tuple[int, int, int]]:
    """Item and views of every ordered pair; a frame that is repeated for want of others makes none with itself.

    Views of a batch without names are all different.
    """
    items, views = batch.images.shape[:2]
    every = itertools.product(range(items), range(views), range(views))
    if not batch.names:
        return [(item, i, j) for item, i, j in every if i != j]
    return [(item, i, j) for item, i, j in every if batch.names[item][i] != batch.names[item][j]]
