"""Matching: a cell must be most like its true partner among the cells of the other view (the default form)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import gin
import torch
from torch import Tensor, nn

from sparse3d.checks import at_least, not_negative
from sparse3d.losses.consistency import matching_loss
from sparse3d.models.correspondence import MatchingHead, embedded_cells
from sparse3d.models.pretrain_net import PretrainOutput
from sparse3d.tasks.consistency.form import ConsistencyForm, PairCells


@gin.configurable
class MatchingConsistency(ConsistencyForm):
    """Cross entropy of a cell's similarities to the cells of the other view, and the expected coordinate.

    The share of cells whose most similar one is right is logged as ``match_share``.

    Args:
        head: of the embedding that is compared.
        max_keys: target cells a view that queries are compared with, drawn at random, beside the true ones; None
            compares with all. ``match_share`` is the share right among these.
        near: target cells closer than this to the true one are no wrong answer, metres; 0 counts them all.
        coordinate_weight: of the expected coordinate's Huber term.

    Raises:
        InputError: an option out of its range.
    """

    def __init__(
        self,
        head: Callable[..., MatchingHead] = MatchingHead,
        max_keys: int | None = 1024,
        near: float = 0.1,
        coordinate_weight: float = 1.0,
    ) -> None:
        at_least("MatchingConsistency.max_keys", max_keys, 1)
        not_negative("MatchingConsistency.near", near, "metres")
        not_negative("MatchingConsistency.coordinate_weight", coordinate_weight)
        self._make_head = head
        self.max_keys, self.near, self.coordinate_weight = max_keys, near, coordinate_weight

    def build_head(self, in_channels: int) -> nn.Module:
        return self._make_head(in_channels)

    def losses(
        self, output: PretrainOutput, pairs: Sequence[PairCells], place_of_cell: Tensor
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        valid = self._keys(output.compared.mask.flatten(0, 1), pairs)
        cells = valid[0].numel()
        # Every view's keys are gathered once for all pairs.
        key_cell = torch.nonzero(valid.flatten())[:, 0]
        counts = valid.flatten(1).sum(dim=1).tolist()
        cell2key = torch.cumsum(valid.flatten(1), dim=1) - 1
        key_place = place_of_cell.flatten(0, 1)[key_cell % cells].split(counts)
        key_xyz = output.compared.flat_xyz[key_cell].split(counts)
        wanted = [*key_cell.split(counts), *(pair.source_view * cells + pair.source for pair in pairs)]
        rows = embedded_cells(output.answer, wanted)
        results = [
            matching_loss(
                queries,
                rows[pair.target_view],
                cell2key[pair.target_view][pair.target],
                pair.place,
                key_place[pair.target_view],
                output.answer.scale,
                coordinate_weight=self.coordinate_weight,
                key_xyz=key_xyz[pair.target_view],
                near_distance=self.near,
            )
            for queries, pair in zip(rows[len(counts) :], pairs, strict=True)
        ]
        asked = [share for (_, share), pair in zip(results, pairs, strict=True) if len(pair.source)]
        return [loss for loss, _ in results], {"match_share": torch.stack(asked).mean()} if asked else {}

    def compared_cells(self, queries: int, cells: int) -> int:
        return cells if self.max_keys is None else min(cells, self.max_keys + queries)

    def _keys(self, valid: Tensor, pairs: Sequence[PairCells]) -> Tensor:
        """(B * V, h, w) bool: the cells that a query chooses from, ``valid`` ones at random and every true one."""
        if self.max_keys is None:
            return valid
        drawn = torch.rand(valid.shape, device=valid.device).masked_fill(~valid, 2.0).flatten(1)
        lowest = drawn.topk(min(self.max_keys, drawn.shape[1]), largest=False, sorted=False).indices
        kept = torch.zeros_like(drawn, dtype=torch.bool).scatter(1, lowest, True)
        for pair in pairs:
            kept[pair.target_view, pair.target] = True
        return kept.view(valid.shape) & valid
