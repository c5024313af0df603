"""Losses of the anchor-free detection head: which cells answer for which box, and how wrong their answers are."""

from __future__ import annotations

import gin
import torch
from torch import Tensor
from torch.nn import functional

from sparse3d import checks
from sparse3d.detection_types import CellPredictions
from sparse3d.losses.box_losses import diou
from sparse3d.losses.detection_truth import DetectionTruth


def levels_of_boxes(longest: Tensor, cells: tuple[float, ...], span: float) -> Tensor:
    """The level (K,) of each box: the finest whose ``span`` cells are as long as its ``longest`` edge (K,), metres."""
    limits = torch.tensor(cells[:-1], dtype=longest.dtype, device=longest.device) * span
    return (longest[:, None] > limits).sum(dim=1)


def assign_cells(
    point: Tensor, level: Tensor, center: Tensor, box_level: Tensor, nearest: int
) -> tuple[Tensor, Tensor]:
    """Which box each cell of one cloud answers for: the ``nearest`` cells of its level answer for a box.

    A cell near the middles of several boxes takes the nearest of those that chose it. A box whose level has no cell
    is given to the cells of the others.

    Args:
        point: (P, 3) metres, the cells' middles.
        level: (P,) int64.
        center: (K, 3) metres.
        box_level: (K,) int64.
        nearest: cells a box.

    Returns:
        Rows of the cells that answer (M,) int64, rising, and of their boxes (M,) int64.
    """
    none = torch.zeros(0, dtype=torch.int64, device=point.device)
    if len(point) == 0 or len(center) == 0:
        return none, none
    distance = torch.cdist(point.double(), center.double())
    other = level[:, None] != box_level
    other = other & ~other.all(dim=0)
    distance = distance.masked_fill(other, torch.inf)
    close, rows = distance.topk(min(nearest, len(point)), dim=0, largest=False)
    chosen = torch.full_like(distance, torch.inf).scatter_(0, rows, close)
    best, box = chosen.min(dim=1)
    cells = torch.nonzero(best.isfinite()).squeeze(1)
    return cells, box[cells]


def focal_loss(logits: Tensor, target: Tensor, alpha: float = 0.25, gamma: float = 2.0) -> Tensor:
    """The sum of the focal loss (Lin et al., ICCV 2017) over all of ``logits`` (..., C) for ``target`` in {0, 1}."""
    cross = functional.binary_cross_entropy_with_logits(logits, target, reduction="none")
    score = logits.sigmoid()
    missed = torch.where(target > 0.5, 1 - score, score)
    weight = torch.where(target > 0.5, alpha, 1 - alpha)
    return (weight * missed**gamma * cross).sum()


@gin.configurable
class SparseDetectionLoss:
    """Focal loss of every cell's classes, and distance-IoU loss of the boxes of those that answer for one.

    Args:
        nearest: cells that answer for a box.
        span: a box of a longest edge up to so many cells belongs to the level.
        box_weight: of the boxes' loss.
        turn_weight: of the loss of directions, for turned boxes.
        least_size: thinner true boxes (pictures, doors in walls) count as so thick, metres.
    """

    predictions = CellPredictions  # what a head must tell

    def __init__(
        self,
        nearest: int = 6,
        span: float = 6.0,
        box_weight: float = 1.0,
        turn_weight: float = 1.0,
        least_size: float = 0.02,
    ) -> None:
        checks.at_least("SparseDetectionLoss.nearest", nearest, 1)
        checks.positive("SparseDetectionLoss.span", span)
        checks.positive("SparseDetectionLoss.least_size", least_size, "metres")
        checks.not_negative("SparseDetectionLoss.box_weight", box_weight)
        checks.not_negative("SparseDetectionLoss.turn_weight", turn_weight)
        self.nearest, self.span, self.least_size = nearest, span, least_size
        self.box_weight, self.turn_weight = box_weight, turn_weight

    def __call__(self, output: CellPredictions, truth: DetectionTruth) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, a scalar, and its parts by name. Raises InputError for turned boxes, if the head tells no turns."""
        if output.turn is None:
            truth.demand_upright("set SparseHead.oriented = True")
        cells, boxes = self.assign(output, truth)
        found = max(1, len(cells))
        target = torch.zeros_like(output.logits)
        target[cells, truth.label[boxes]] = 1.0
        classes = focal_loss(output.logits, target) / found
        overlap, turn = self._box_losses(output, truth, cells, boxes)
        overlap, turn = overlap.sum() / found, turn.sum() / found
        parts = {"loss/classes": classes.detach(), "loss/boxes": overlap.detach()}
        total = classes + self.box_weight * overlap
        if output.turn is not None:
            parts["loss/turn"] = turn.detach()
            total = total + self.turn_weight * turn
        return total, parts

    def assign(self, output: CellPredictions, truth: DetectionTruth) -> tuple[Tensor, Tensor]:
        """Rows of the cells that answer for a box (M,), and of their boxes (M,)."""
        cells, boxes = [truth.item.new_zeros(0)], [truth.item.new_zeros(0)]
        level = levels_of_boxes(truth.boxes[:, 3:6].amax(dim=1), output.cells, self.span)
        for index in truth.item.unique().tolist():
            here = torch.nonzero(output.item == index).squeeze(1)
            mine = torch.nonzero(truth.item == index).squeeze(1)
            center = truth.boxes[mine, :3]
            rows, columns = assign_cells(output.point[here], output.level[here], center, level[mine], self.nearest)
            cells.append(here[rows])
            boxes.append(mine[columns])
        return torch.cat(cells), torch.cat(boxes)

    def _box_losses(
        self, output: CellPredictions, truth: DetectionTruth, cells: Tensor, boxes: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Loss of overlap (M,) and of direction (M, 2).

        A turned box is compared in the true box's own frame, with the part of its quotient of edges that points along
        the true direction: smooth where the direction is still wrong, exact where it is right.
        """
        center, size = output.center[cells], output.size[cells]
        true_center = truth.boxes[boxes, :3]
        true_size = truth.boxes[boxes, 3:6].clamp(min=self.least_size)
        if output.turn is None:
            told, true = torch.cat([center, size], dim=1), torch.cat([true_center, true_size], dim=1)
            return 1 - diou(told, true), size.new_zeros(0)
        turn, yaw = output.turn[cells], truth.boxes[boxes, 6]
        along = torch.stack([torch.cos(2 * yaw), torch.sin(2 * yaw)], dim=1)
        length = size[:, 0] * torch.sigmoid((turn * along).sum(dim=1))
        edges = torch.stack([length, size[:, 0] - length, size[:, 2]], dim=1)
        away = center - true_center
        cos, sin = torch.cos(yaw), torch.sin(yaw)
        own = torch.stack([cos * away[:, 0] + sin * away[:, 1], cos * away[:, 1] - sin * away[:, 0], away[:, 2]], dim=1)
        true_turn = torch.log(true_size[:, 0] / true_size[:, 1])[:, None] * along
        wrong = functional.smooth_l1_loss(turn, true_turn, beta=0.5, reduction="none")
        told, true = torch.cat([own, edges], dim=1), torch.cat([torch.zeros_like(own), true_size], dim=1)
        return 1 - diou(told, true), wrong
