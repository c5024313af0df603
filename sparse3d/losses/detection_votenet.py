"""VoteNet's losses: votes to the middles of objects, which proposals are objects, and their boxes.

Source: Qi, Litany, He, Guibas (ICCV 2019), with its thresholds and weights as defaults.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, pi

import gin
import torch
from torch import Tensor
from torch.nn import functional

from sparse3d import checks
from sparse3d.detection_types import VotePredictions
from sparse3d.losses.box_losses import diou
from sparse3d.losses.detection_truth import DetectionTruth

LEAST_EDGE = 0.02  # metres: thinner boxes count as so thick in the loss of overlap


@dataclass
class DenseTruth:
    """The true boxes of B clouds side by side, K at most; rows beyond a cloud's last are not ``there``."""

    boxes: Tensor  # (B, K, 7)
    label: Tensor  # (B, K) int64, 0 where nothing is there
    there: Tensor  # (B, K) bool
    place: Tensor  # (number of boxes,) int64: column of each row of the truth

    @classmethod
    def of(cls, truth: DetectionTruth, batch_size: int) -> DenseTruth:
        """The boxes sorted into clouds; at least one column, so that nothing is empty."""
        item = truth.item
        counts = torch.bincount(item, minlength=batch_size)
        order = item.argsort(stable=True)
        starts = counts.cumsum(0) - counts
        place = torch.empty_like(item)
        place[order] = torch.arange(len(item), device=item.device) - starts[item[order]]
        width = max(1, int(counts.max()))
        boxes = truth.boxes.new_ones(batch_size, width, 7)
        label, there = item.new_zeros(batch_size, width), torch.zeros_like(item.new_zeros(batch_size, width)).bool()
        boxes[item, place], label[item, place], there[item, place] = truth.boxes, truth.label, True
        return cls(boxes, label, there, place)


def boxes_of_seeds(seed_xyz: Tensor, instance: Tensor, dense: DenseTruth) -> Tensor:
    """Which boxes each seed belongs to, (B, S, K) bool.

    That of its own instance; in a cloud where no seed's instance is known (a data set of boxes alone), every box that
    holds it.

    Args:
        seed_xyz: (B, S, 3) metres.
        instance: (B, S) int64 column of the box, -1 for none.
        dense: the boxes.
    """
    columns = torch.arange(dense.there.shape[1], device=instance.device)
    own = (instance[..., None] == columns) & dense.there[:, None]
    away = seed_xyz[:, :, None] - dense.boxes[:, None, :, :3]
    cos, sin = torch.cos(dense.boxes[:, None, :, 6]), torch.sin(dense.boxes[:, None, :, 6])
    x, y = cos * away[..., 0] + sin * away[..., 1], cos * away[..., 1] - sin * away[..., 0]
    turned = torch.stack([x, y, away[..., 2]], dim=-1).abs()
    inside = (turned <= dense.boxes[:, None, :, 3:6] / 2).all(dim=-1) & dense.there[:, None]
    known = (instance >= 0).any(dim=1)
    return torch.where(known[:, None, None], own, inside)


def vote_loss(vote_xyz: Tensor, belongs: Tensor, dense: DenseTruth) -> Tensor:
    """Mean distance, summed over axes, of the votes of seeds on objects from the nearest middle of their boxes."""
    apart = (vote_xyz[:, :, None] - dense.boxes[:, None, :, :3]).abs().sum(dim=-1)
    votes = belongs.any(dim=2)
    nearest = torch.where(belongs, apart, torch.inf).amin(dim=2)
    return torch.where(votes, nearest, 0.0).sum() / votes.sum().clamp(min=1)


def nearest_boxes(points: Tensor, dense: DenseTruth) -> tuple[Tensor, Tensor]:
    """Distance (B, P), metres, and column (B, P) of the box whose middle is nearest; inf where a cloud has none."""
    distance = torch.cdist(points.float(), dense.boxes[..., :3].float())
    return torch.where(dense.there[:, None], distance, torch.inf).min(dim=2)


@gin.configurable
class VoteNetLoss:
    """The published sum of losses.

    Args:
        near: proposals so close to a true middle are objects, metres.
        far: those at least so far from all are not; between the two they count for nothing.
        object_weights: of nothing and object in the cross-entropy.
        vote_weight, objectness_weight, box_weight, class_weight: of the four published parts.
        overlap_weight: of a fifth part, which is not the published ones': the distance-IoU loss of the proposals that
            are objects, in the true box's frame, with the size bin of the true class. Distances in metres hardly feel
            the two centimetres by which a box around a picture or a door misses it; overlap does. 0 leaves it out.
        scale: of the whole.
    """

    predictions = VotePredictions  # what a head must tell

    def __init__(
        self,
        near: float = 0.3,
        far: float = 0.6,
        object_weights: tuple[float, float] = (0.2, 0.8),
        vote_weight: float = 1.0,
        objectness_weight: float = 0.5,
        box_weight: float = 1.0,
        class_weight: float = 0.1,
        overlap_weight: float = 0.0,
        scale: float = 10.0,
    ) -> None:
        checks.require(0 < near <= far < inf, "VoteNetLoss.near", near, f"positive and no more than far = {far}")
        checks.positive("VoteNetLoss.scale", scale)
        checks.weights("VoteNetLoss.object_weights", object_weights)
        parts = {"vote": vote_weight, "objectness": objectness_weight, "box": box_weight, "class": class_weight}
        for part, value in {**parts, "overlap": overlap_weight}.items():
            checks.not_negative(f"VoteNetLoss.{part}_weight", value)
        self.near, self.far, self.object_weights, self.scale = near, far, object_weights, scale
        self.weights = (vote_weight, objectness_weight, box_weight, class_weight)
        self.overlap_weight = overlap_weight

    def __call__(self, output: VotePredictions, truth: DetectionTruth) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss, a scalar, and its parts by name. Raises InputError for turned boxes, if it has one bin."""
        if output.heading.shape[2] == 1:
            truth.demand_upright("set VoteNetHead.heading_bins = 12")
        dense = DenseTruth.of(truth, len(output.seed_row))
        row = truth.instance[output.seed_row]
        instance = torch.cat([dense.place, dense.place.new_full((1,), -1)])[row]
        votes = vote_loss(output.vote_xyz, boxes_of_seeds(output.seed_xyz, instance, dense), dense)
        distance, column = nearest_boxes(output.proposal_xyz.detach(), dense)
        positive = distance <= self.near
        objectness = self._objectness(output.objectness, positive, distance >= self.far)
        box, parts = self._boxes(output, dense, column, positive)
        label = dense.label.gather(1, column)
        names = _mean_over(functional.cross_entropy(output.classes.mT, label, reduction="none"), positive)
        vote_weight, objectness_weight, box_weight, class_weight = self.weights
        total = vote_weight * votes + objectness_weight * objectness + box_weight * box + class_weight * names
        parts = {"loss/votes": votes, "loss/objectness": objectness, "loss/classes": names, **parts}
        return self.scale * total, {name: value.detach() for name, value in parts.items()}

    def _objectness(self, logits: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        weights = logits.new_tensor(self.object_weights)
        wrong = functional.cross_entropy(logits.mT, positive.long(), weight=weights, reduction="none")
        return _mean_over(wrong, positive | negative)

    def _boxes(
        self, output: VotePredictions, dense: DenseTruth, column: Tensor, positive: Tensor
    ) -> tuple[Tensor, dict[str, Tensor]]:
        true = dense.boxes.gather(1, column[..., None].expand(-1, -1, 7))
        middles = self._middles(output.center, dense, positive)
        heading, heading_rest = heading_losses(output.heading, output.heading_rest, true[..., 6])
        label = dense.label.gather(1, column)
        size = functional.cross_entropy(output.size.mT, label, reduction="none")
        means = output.mean_sizes[label]
        rest = output.size_rest.gather(2, label[..., None, None].expand(-1, -1, 1, 3)).squeeze(2)
        wanted = true[..., 3:6] / means - 1
        size_rest = functional.smooth_l1_loss(rest, wanted, reduction="none").mean(dim=-1)
        missed = _mean_over(1 - overlap_with(true, output.center, means * (1 + rest)), positive)
        bins = (0.1 * heading, heading_rest, 0.1 * size, size_rest)
        total = middles + sum(_mean_over(part, positive) for part in bins) + self.overlap_weight * missed
        parts = {"loss/centers": middles, "loss/sizes": _mean_over(size_rest, positive), "loss/overlap": missed}
        if output.heading.shape[2] > 1:
            parts["loss/headings"] = _mean_over(heading_rest, positive)
        return total, parts

    def _middles(self, center: Tensor, dense: DenseTruth, positive: Tensor) -> Tensor:
        """Squared distances of object proposals to the nearest true middle, and of true middles to the nearest box."""
        apart = (center[:, :, None] - dense.boxes[:, None, :, :3]).square().sum(dim=-1)
        there = dense.there[:, None]
        to_truth = torch.where(there, apart, torch.inf).amin(dim=2)
        forth = torch.where(positive, to_truth, 0.0).sum() / positive.sum().clamp(min=1)
        return forth + _mean_over(apart.amin(dim=1), dense.there)


def overlap_with(true: Tensor, center: Tensor, size: Tensor) -> Tensor:
    """Distance-IoU (B, P) of ``true`` boxes (B, P, 7) with boxes of their yaw, ``center`` and ``size`` (B, P, 3)."""
    away = center - true[..., :3]
    cos, sin = torch.cos(true[..., 6]), torch.sin(true[..., 6])
    x, y = cos * away[..., 0] + sin * away[..., 1], cos * away[..., 1] - sin * away[..., 0]
    own = torch.stack([x, y, away[..., 2]], dim=-1)
    thick = true[..., 3:6].clamp(min=LEAST_EDGE)
    # Below the least edge an exponential goes on with the same slope: cut off, a short edge would learn nothing.
    short = LEAST_EDGE * torch.exp((size / LEAST_EDGE - 1).clamp(max=0))
    told = torch.cat([own, torch.where(size < LEAST_EDGE, short, size)], dim=-1)
    return diou(told, torch.cat([torch.zeros_like(own), thick], dim=-1))


def heading_losses(logits: Tensor, rest: Tensor, yaw: Tensor) -> tuple[Tensor, Tensor]:
    """Cross-entropy of the bin and Huber loss of the rest, (B, P) each; zeros where there is one bin.

    Args:
        logits, rest: (B, P, H); bin k is centred on 2 pi k / H, its rest is in half bins.
        yaw: (B, P) radians, the truth.
    """
    bins = logits.shape[2]
    if bins == 1:
        nothing = (logits * 0 + rest * 0).squeeze(2)
        return nothing, nothing
    width = 2 * pi / bins
    turned = torch.remainder(yaw + width / 2, 2 * pi)
    number = (turned / width).long().clamp(max=bins - 1)
    wanted = (turned - (number + 0.5) * width) / (width / 2)
    crossed = functional.cross_entropy(logits.mT, number, reduction="none")
    told = rest.gather(2, number[..., None]).squeeze(2)
    return crossed, functional.smooth_l1_loss(told, wanted, reduction="none")


def _mean_over(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean of ``values`` where ``chosen``; 0 where nothing is."""
    return torch.where(chosen, values, 0.0).sum() / chosen.sum().clamp(min=1)
