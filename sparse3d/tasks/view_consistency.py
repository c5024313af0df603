"""The multi-view consistency loss of a batch, from projected views and true correspondences."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sparse3d.losses.consistency import coordinate_regression_loss, info_nce_loss, matching_loss
from sparse3d.models.pretrain_net import PretrainOutput
from sparse3d.types import ViewBatch

FORMS = ("matching", "regression", "info_nce")


@dataclass(frozen=True)
class ViewConsistency:
    """One form of the loss with its options; :class:`~sparse3d.tasks.pretrain.PretrainTask` says what they mean."""

    form: str
    map_stride: int
    max_queries: int
    max_keys: int | None
    near: float
    coordinate_weight: float

    def __call__(self, output: PretrainOutput, batch: ViewBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean over the items of the mean over ordered pairs of different frames; one without a match counts zero."""
        pairs = self._pairs(output, batch)
        if self.form == "matching":
            losses, shares = self._matching(output, pairs, batch.images.shape[2:4])
            asked = [share for share, pair in zip(shares, pairs, strict=True) if len(pair.source)]
            parts = {"match_share": torch.stack(asked).mean()} if asked else {}
        else:
            losses = self._regression(output, pairs) if self.form == "regression" else self._info_nce(output, pairs)
            parts = {}
        pairs_of = Counter(pair.item for pair in pairs)  # items count alike, as they do in processes of their own
        shared = [loss / pairs_of[pair.item] for loss, pair in zip(losses, pairs, strict=True)]
        return torch.stack(shared).sum() / len(pairs_of), parts

    def _pairs(self, output: PretrainOutput, batch: ViewBatch) -> list[_PairCells]:
        return [self._matched_cells(output, batch, *pair) for pair in frame_pairs(batch)]

    def _matched_cells(self, output: PretrainOutput, batch: ViewBatch, item: int, i: int, j: int) -> _PairCells:
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
        return _PairCells(item, i, j, item * views + i, item * views + j, source[known], target[known], place[known])

    def _regression(self, output: PretrainOutput, pairs: Sequence[_PairCells]) -> list[Tensor]:
        assert output.places is not None
        places = [output.places[pair.i, pair.j][pair.item].flatten(1)[:, pair.source].t() for pair in pairs]
        return [coordinate_regression_loss(found, pair.place) for found, pair in zip(places, pairs, strict=True)]

    def _info_nce(self, output: PretrainOutput, pairs: Sequence[_PairCells]) -> list[Tensor]:
        assert output.match_scale is not None
        cells = output.compared.mask[0, 0].numel()
        targets = [pair.target_view * cells + pair.target for pair in pairs]
        rows = _embedded(output, [*(pair.source_view * cells + pair.source for pair in pairs), *targets])
        xyz, temperature = _xyz(output), 1 / output.match_scale
        return [
            info_nce_loss(queries, keys, xyz[target], self.near, temperature)
            for queries, keys, target in zip(rows[: len(pairs)], rows[len(pairs) :], targets, strict=True)
        ]

    def _matching(
        self, output: PretrainOutput, pairs: Sequence[_PairCells], size: Sequence[int]
    ) -> tuple[list[Tensor], list[Tensor]]:
        assert output.match_scale is not None
        valid = self._keys(output.compared.mask.flatten(0, 1), pairs)
        cells = valid[0].numel()
        # Every view's keys are gathered once for all pairs.
        key_cell = torch.nonzero(valid.flatten())[:, 0]
        counts = valid.flatten(1).sum(dim=1).tolist()
        cell2key = torch.cumsum(valid.flatten(1), dim=1) - 1
        place = (torch.nonzero(valid)[:, 1:] + 0.5) * self.map_stride / torch.tensor(size, device=valid.device)
        key_place, key_xyz = place.split(counts), _xyz(output)[key_cell].split(counts)
        rows = _embedded(output, [*key_cell.split(counts), *(pair.source_view * cells + pair.source for pair in pairs)])
        results = [
            matching_loss(
                queries,
                rows[pair.target_view],
                cell2key[pair.target_view][pair.target],
                pair.place,
                key_place[pair.target_view],
                output.match_scale,
                coordinate_weight=self.coordinate_weight,
                key_xyz=key_xyz[pair.target_view],
                near_distance=self.near,
            )
            for queries, pair in zip(rows[len(counts) :], pairs, strict=True)
        ]
        return [loss for loss, _ in results], [share for _, share in results]

    def _keys(self, valid: Tensor, pairs: Sequence[_PairCells]) -> Tensor:
        """(B * V, h, w) bool: the cells that a query chooses from, ``valid`` ones at random and every true one."""
        if self.max_keys is None:
            return valid
        drawn = torch.rand(valid.shape, device=valid.device).masked_fill(~valid, 2.0).flatten(1)
        lowest = drawn.topk(min(self.max_keys, drawn.shape[1]), largest=False, sorted=False).indices
        kept = torch.zeros_like(drawn, dtype=torch.bool).scatter(1, lowest, True)
        for pair in pairs:
            kept[pair.target_view, pair.target] = True
        return kept.view(valid.shape) & valid


def frame_pairs(batch: ViewBatch) -> list[tuple[int, int, int]]:
    """Item and views of every ordered pair; a frame that is repeated for want of others makes none with itself.

    Views of a batch without names are all different.
    """
    items, views = batch.images.shape[:2]
    every = itertools.product(range(items), range(views), range(views))
    if not batch.names:
        return [(item, i, j) for item, i, j in every if i != j]
    return [(item, i, j) for item, i, j in every if batch.names[item][i] != batch.names[item][j]]


@dataclass(frozen=True)
class _PairCells:
    """True correspondences of an item's views i -> j; a view's h x w cells are numbered row by row."""

    item: int
    i: int
    j: int
    source_view: int  # view i of the item among the batch's
    target_view: int
    source: Tensor  # (M,) int64 cells of view i
    target: Tensor  # (M,) int64 cells of view j
    place: Tensor  # (M, 2) float, the true (row, col) in view j over the image size


def _embedded(output: PretrainOutput, cells: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Embeddings of lists of cells, which count through all views of the batch: (M, d) each.

    At once, as the gradient of each gather would be as large as all views together.
    """
    assert output.embeddings is not None
    # Not index_select, whose gradient goes one number at a time.
    found = F.embedding(torch.cat(list(cells)), output.embeddings.flatten(0, 3))
    return found.split([len(part) for part in cells])


def _xyz(output: PretrainOutput) -> Tensor:
    """Where all views' cells lie, (B * V * h * w, 3)."""
    return output.compared.xyz.movedim(2, -1).flatten(0, 3)
