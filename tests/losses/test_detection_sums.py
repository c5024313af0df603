"""The detection losses' sums against loops over cells, proposals and boxes, far from a perfect answer."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from sparse3d.detection_types import CellPredictions, VotePredictions
from sparse3d.losses.box_losses import diou
from sparse3d.losses.detection_sparse import SparseDetectionLoss
from sparse3d.losses.detection_truth import DetectionTruth
from sparse3d.losses.detection_votenet import VoteNetLoss, heading_losses, overlap_with

CLASSES, BATCH = 4, 2


def truth_of(turned: bool) -> DetectionTruth:
    """Three boxes in the first cloud, one in the second; one is thinner than a picture."""
    random = torch.Generator().manual_seed(5)
    table = torch.rand(4, 7, generator=random) * torch.tensor([3.0, 3, 3, 1, 1, 1, 6]) + torch.tensor(
        [0.0] * 3 + [0.3] * 4
    )
    table[:, 6] *= turned
    table[1, 4] = 0.001
    table[3, :3] = torch.tensor([1.2, 1, 1])  # near where DenseTruth's filler of missing boxes lies
    return DetectionTruth(table, torch.tensor([0, 3, 1, 2]), torch.tensor([0, 0, 0, 1]), torch.tensor([0, 1, -1, 2, 3]))


def own_frame(center: Tensor, box: Tensor) -> Tensor:
    """``center`` (3,) from the middle of ``box`` (7,), along the box's axes."""
    x, y, z = (center - box[:3]).tolist()
    c, s = math.cos(float(box[6])), math.sin(float(box[6]))
    return torch.tensor([c * x + s * y, c * y - s * x, z])


def drawn_cells(turned: bool) -> CellPredictions:
    random = torch.Generator().manual_seed(6)
    count = 120
    point = torch.rand(count, 3, generator=random) * 3
    return CellPredictions(
        point,
        torch.arange(count) % BATCH,
        torch.arange(count) // 2 % 2,
        (0.2, 0.4),
        torch.randn(count, CLASSES, generator=random),
        point + 0.2 * torch.randn(count, 3, generator=random),
        torch.rand(count, 3, generator=random) + 0.2,
        torch.randn(count, 2, generator=random) if turned else None,
    )


def sparse_by_loops(criterion: SparseDetectionLoss, output: CellPredictions, truth: DetectionTruth) -> float:
    answers = dict(zip(*(part.tolist() for part in criterion.assign(output, truth)), strict=True))
    classes = overlap = turns = 0.0
    for cell in range(len(output.point)):
        for k in range(CLASSES):
            p = float(output.logits[cell, k].sigmoid())
            is_class = cell in answers and int(truth.label[answers[cell]]) == k
            classes += -0.25 * (1 - p) ** 2 * math.log(p) if is_class else -0.75 * p**2 * math.log(1 - p)
        if cell not in answers:
            continue
        box = truth.boxes[answers[cell]]
        size = box[3:6].clamp(min=criterion.least_size)
        told = output.size[cell]
        if output.turn is not None:
            along = torch.tensor([math.cos(2 * float(box[6])), math.sin(2 * float(box[6]))])
            length = told[0] * torch.sigmoid((output.turn[cell] * along).sum())
            told = torch.stack([length, told[0] - length, told[2]])
            wanted = torch.log(size[0] / size[1]) * along
            turns += float(F.smooth_l1_loss(output.turn[cell], wanted, beta=0.5, reduction="sum"))
        mine = torch.cat([own_frame(output.center[cell], box), told])
        overlap += 1 - float(diou(mine[None], torch.cat([torch.zeros(3), size])[None]))
    found = len(answers)
    assert found > 4
    return (classes + criterion.box_weight * overlap + criterion.turn_weight * turns) / found


@pytest.mark.parametrize("turned", [False, True])
def test_the_sparse_heads_loss_is_that_of_loops(turned: bool) -> None:
    criterion = SparseDetectionLoss(nearest=4, box_weight=0.7, turn_weight=0.3)
    output, truth = drawn_cells(turned), truth_of(turned)
    leaves = [output.logits, output.center, output.size, *([output.turn] if output.turn is not None else [])]
    for leaf in leaves:
        leaf.requires_grad_()
    loss, parts = criterion(output, truth)
    loss.backward()
    assert all(leaf.grad is not None and bool(leaf.grad.any()) for leaf in leaves)
    with torch.no_grad():
        assert float(loss) == pytest.approx(sparse_by_loops(criterion, output, truth), rel=1e-5)
    assert ("loss/turn" in parts) == turned
    if output.turn is not None:  # its own loss reaches it, not only that of the overlap
        output.turn.grad = None
        SparseDetectionLoss(box_weight=0.0)(output, truth)[0].backward()
        assert output.turn.grad is not None and bool(output.turn.grad.any())


def drawn_votes(truth: DetectionTruth, bins: int) -> VotePredictions:
    """Proposals close to a middle, between near and far, and far from all; the told centres lie elsewhere."""
    random = torch.Generator().manual_seed(7)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random)

    offsets = torch.tensor([0.1, 0.2, 0.45, 0.5, 5.0, 7.0])
    anchors = [truth.boxes[[0, 1, 2, 0, 1, 2], :3], truth.boxes[[3] * 6, :3]]
    proposals = torch.stack([anchor + F.normalize(normal(6, 3), dim=1) * offsets[:, None] for anchor in anchors])
    rows = torch.tensor([[0, 1, 2], [3, 4, 2]])  # of the voxels whose instances the truth knows
    return VotePredictions(
        rows, normal(2, 3, 3), normal(2, 3, 3), proposals, proposals + 0.4 * normal(2, 6, 3), normal(2, 6, 2),
        normal(2, 6, CLASSES), normal(2, 6, bins), normal(2, 6, bins), normal(2, 6, CLASSES),
        0.1 * normal(2, 6, CLASSES, 3), torch.rand(CLASSES, 3, generator=random) + 0.5,
    )  # fmt: skip


def mean(values: list[float]) -> float:
    return math.fsum(values) / max(1, len(values))


def votenet_by_loops(criterion: VoteNetLoss, output: VotePredictions, truth: DetectionTruth) -> float:
    parts: dict[str, list[float]] = {name: [] for name in ("vote", "object", "near", "back", "class", "box", "overlap")}
    weight = torch.tensor(criterion.object_weights)
    for item in range(BATCH):
        mine = torch.nonzero(truth.item == item)[:, 0].tolist()
        for s, row in enumerate(output.seed_row[item].tolist()):
            instance = int(truth.instance[row])
            if instance in mine:
                parts["vote"].append(float((output.vote_xyz[item, s] - truth.boxes[instance, :3]).abs().sum()))
        for k in mine:
            parts["back"].append(min(float((c - truth.boxes[k, :3]).square().sum()) for c in output.center[item]))
        for p, place in enumerate(output.proposal_xyz[item]):
            apart = {k: float((place - truth.boxes[k, :3]).norm()) for k in mine}
            k = min(apart, key=lambda key: apart[key])
            is_object = apart[k] <= criterion.near
            if is_object or apart[k] >= criterion.far:
                entropy = F.cross_entropy(output.objectness[item, p], torch.tensor(int(is_object)))
                parts["object"].append(float(weight[int(is_object)] * entropy))
            if not is_object:
                continue
            center, label, box = output.center[item, p], truth.label[k], truth.boxes[k]
            parts["near"].append(min(float((center - truth.boxes[other, :3]).square().sum()) for other in mine))
            parts["class"].append(float(F.cross_entropy(output.classes[item, p], label)))
            bins, rest = heading_losses(output.heading[None, None, item, p], output.heading_rest[None, None, item, p],
                                        box[None, None, 6])  # fmt: skip
            size = float(F.cross_entropy(output.size[item, p], label))
            means, told = output.mean_sizes[label], output.size_rest[item, p, label]
            size_rest = float(F.smooth_l1_loss(told, box[3:6] / means - 1))
            parts["box"].append(0.1 * float(bins) + float(rest) + 0.1 * size + size_rest)
            parts["overlap"].append(
                1 - float(overlap_with(box[None, None], center[None, None], (means * (1 + told))[None, None]))
            )
    assert all(parts.values())
    votes, objectness, boxes, names = criterion.weights
    box = (
        mean(parts["near"])
        + mean(parts["back"])
        + mean(parts["box"])
        + criterion.overlap_weight * mean(parts["overlap"])
    )
    return criterion.scale * (
        votes * mean(parts["vote"]) + objectness * mean(parts["object"]) + boxes * box + names * mean(parts["class"])
    )


@pytest.mark.parametrize("bins", [1, 12])
def test_votenets_loss_is_that_of_loops(bins: int) -> None:
    options: dict[str, Any] = {"vote_weight": 0.7, "objectness_weight": 0.4, "box_weight": 1.3, "class_weight": 0.2}
    criterion = VoteNetLoss(**options, overlap_weight=0.6, scale=3.0, object_weights=(0.3, 0.9))
    truth = truth_of(turned=bins > 1)
    output = drawn_votes(truth, bins)
    loss, _ = criterion(output, truth)
    assert float(loss) == pytest.approx(votenet_by_loops(criterion, output, truth), rel=1e-5)
    lower = criterion(replace(output, objectness=-output.objectness), truth)[0]
    assert float(lower) != pytest.approx(float(loss))
