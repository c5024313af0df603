"""Point InfoNCE, the PointContrast baseline: a cell's true partner against the partners of the other cells."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import gin
from torch import Tensor, nn

from sparse3d.checks import not_negative
from sparse3d.losses.consistency import info_nce_loss
from sparse3d.models.correspondence import MatchingHead, embedded_cells
from sparse3d.models.pretrain_net import PretrainOutput
from sparse3d.tasks.consistency.form import ConsistencyForm, PairCells


@gin.configurable
class InfoNceConsistency(ConsistencyForm):
    """See :func:`~sparse3d.losses.consistency.info_nce_loss`.

    Args:
        head: of the embedding that is compared.
        near: partners of other cells that are closer than this to the true one are left out, metres; 0 takes all.

    Raises:
        InputError: an option out of its range.
    """

    def __init__(self, head: Callable[..., MatchingHead] = MatchingHead, near: float = 0.1) -> None:
        not_negative("InfoNceConsistency.near", near, "metres")
        self._make_head, self.near = head, near

    def build_head(self, in_channels: int) -> nn.Module:
        return self._make_head(in_channels)

    def losses(
        self, output: PretrainOutput, pairs: Sequence[PairCells], place_of_cell: Tensor
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        cells = output.compared.mask[0, 0].numel()
        targets = [pair.target_view * cells + pair.target for pair in pairs]
        rows = embedded_cells(output.answer, [*(pair.source_view * cells + pair.source for pair in pairs), *targets])
        xyz, temperature = output.compared.flat_xyz, 1 / output.answer.scale
        found = [
            info_nce_loss(queries, keys, xyz[target], self.near, temperature)
            for queries, keys, target in zip(rows[: len(pairs)], rows[len(pairs) :], targets, strict=True)
        ]
        return found, {}

    def compared_cells(self, queries: int, cells: int) -> int:
        return queries
