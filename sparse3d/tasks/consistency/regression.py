"""Regression, the paper's form: a network on both views' maps must tell where each cell of one lies in the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import gin
from torch import Tensor, nn

from sparse3d.losses.consistency import coordinate_regression_loss
from sparse3d.models.correspondence import RegressionHead
from sparse3d.models.pretrain_net import PretrainOutput
from sparse3d.tasks.consistency.form import ConsistencyForm, PairCells


@gin.configurable
class RegressionConsistency(ConsistencyForm):
    """Huber loss of the predicted places of cells.

    Args:
        head: predicts them.
    """

    def __init__(self, head: Callable[..., RegressionHead] = RegressionHead) -> None:
        self._make_head = head

    def build_head(self, in_channels: int) -> nn.Module:
        return self._make_head(in_channels)

    def losses(
        self, output: PretrainOutput, pairs: Sequence[PairCells], place_of_cell: Tensor
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        places = [output.answer[pair.i, pair.j][pair.item].flatten(1)[:, pair.source].t() for pair in pairs]
        return [coordinate_regression_loss(found, pair.place) for found, pair in zip(places, pairs, strict=True)], {}
