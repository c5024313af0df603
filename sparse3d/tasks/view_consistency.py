"""The multi-view consistency loss of a batch, from projected views and true correspondences."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
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
    near: float
    coordinate_weight: float

    def __call__(self, output: PretrainOutput, batch: ViewBatch) -> tuple[Tensor, dict[str, Tensor]]:
        """Mean over the items and the ordered pairs of views; a pair without a match counts zero."""
        # Cut into views once: the gradient of each `embeddings[item, view]` would be as large as all views together.
        maps = () if output.embeddings is None else output.embeddings.flatten(0, 1).flatten(1, 2).unbind()
        results = [self._pair_loss(output, maps, cells) for cells in self._pairs(output, batch)]
        shares = [share for _, share in results if share is not None]
        parts = {"match_share": torch.stack(shares).mean()} if shares else {}
        return torch.stack([loss for loss, _ in results]).mean(), parts

    def _pairs(self, output: PretrainOutput, batch: ViewBatch) -> Iterator[_PairCells]:
        items, views = batch.images.shape[:2]
        for item in range(items):
            for i in range(views):
                for j in range(views):
                    if i != j:
                        yield self._matched_cells(output, batch, item, i, j)

    def _matched_cells(self, output: PretrainOutput, batch: ViewBatch, item: int, i: int, j: int) -> _PairCells:
        m = batch.matches
        rows = torch.nonzero((m.item == item) & (m.source_view == i) & (m.target_view == j))[: self.max_queries, 0]
        source, target = m.source_pixel[rows] // self.map_stride, m.target_pixel[rows] // self.map_stride
        # A cell can be without voxels where the mask took them away.
        mask = output.compared.mask[item]
        known = mask[i][source.unbind(1)] & mask[j][target.unbind(1)]
        size = torch.tensor(batch.images.shape[2:4], device=rows.device)
        place = (m.target_pixel[rows] + 0.5) / size
        return _PairCells(item, i, j, source[known], target[known], place[known], size)

    def _pair_loss(
        self, output: PretrainOutput, maps: Sequence[Tensor], cells: _PairCells
    ) -> tuple[Tensor, Tensor | None]:
        # `maps`: the embeddings of every item's views, (h * w, d) each.
        item, i, j = cells.item, cells.i, cells.j
        if output.places is not None:
            predicted = output.places[i, j][item][:, cells.source[:, 0], cells.source[:, 1]].t()
            return coordinate_regression_loss(predicted, cells.place), None
        assert output.embeddings is not None and output.match_scale is not None
        views, width = output.embeddings.shape[1], output.embeddings.shape[3]
        source, target = (place[:, 0] * width + place[:, 1] for place in (cells.source, cells.target))
        # Not index_select, whose gradient goes one number at a time.
        queries = F.embedding(source, maps[item * views + i])
        candidates, xyz = maps[item * views + j], output.compared.xyz[item, j].flatten(1).t()
        if self.form == "info_nce":
            return info_nce_loss(queries, candidates[target], xyz[target], self.near, 1 / output.match_scale), None
        valid = output.compared.mask[item, j]
        key_cells = torch.nonzero(valid.flatten())[:, 0]
        cell2key = torch.cumsum(valid.flatten(), 0) - 1
        key_place = (torch.nonzero(valid) + 0.5) * self.map_stride / cells.size
        return matching_loss(
            queries,
            F.embedding(key_cells, candidates),
            cell2key[target],
            cells.place,
            key_place,
            output.match_scale,
            coordinate_weight=self.coordinate_weight,
            key_xyz=xyz[key_cells],
            near_distance=self.near,
        )


@dataclass(frozen=True)
class _PairCells:
    """True correspondences of an item's views i -> j on the maps' grid."""

    item: int
    i: int
    j: int
    source: Tensor  # (M, 2) int64 cells (row, col) of view i
    target: Tensor  # (M, 2) int64 cells of view j
    place: Tensor  # (M, 2) float, the true (row, col) in view j over the image size
    size: Tensor  # (2,) image height and width
