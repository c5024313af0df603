"""Detection losses: who answers for which box, votes, and that a perfect answer costs next to nothing."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from math import pi

import numpy as np
import pytest
import torch
from torch.nn import functional

from sparse3d.detection_types import CellPredictions, VotePredictions
from sparse3d.errors import InputError
from sparse3d.losses.detection_sparse import SparseDetectionLoss, assign_cells, focal_loss, levels_of_boxes
from sparse3d.losses.detection_truth import DetectionTruth
from sparse3d.losses.detection_votenet import (
    DenseTruth,
    VoteNetLoss,
    boxes_of_seeds,
    heading_losses,
    overlap_with,
    vote_loss,
)

CLASSES = 4


def truth_of_boxes(count: int, batch: int = 2, turned: bool = False, seed: int = 0) -> DetectionTruth:
    """Boxes on a wide lattice, so that none is near another."""
    rng = np.random.default_rng(seed)
    center = np.stack([np.arange(count) * 3.0, rng.uniform(0, 1, count), np.ones(count)], axis=1)
    yaw = rng.uniform(-pi, pi, count) if turned else np.zeros(count)
    table = np.concatenate([center, rng.uniform(0.5, 1.2, (count, 3)), yaw[:, None]], axis=1)
    item = np.sort(rng.integers(0, batch, count))
    return DetectionTruth(
        torch.from_numpy(table.astype(np.float32)).reshape(-1, 7),
        torch.from_numpy(rng.integers(0, CLASSES, count)),
        torch.from_numpy(item),
        torch.full((10,), -1),
    )


# The sparse head --------------------------------------------------------------------------------------------


def cells_around(truth: DetectionTruth, batch: int = 2) -> CellPredictions:
    """A lattice of cells of two levels over every cloud."""
    points, items, levels = [], [], []
    for level, cell in enumerate((0.2, 0.4)):
        axis = torch.arange(-1, 13, cell * 2)
        lattice = torch.cartesian_prod(axis, torch.arange(0, 2, cell), torch.arange(0, 2, cell)) + cell / 2
        for index in range(batch):
            points.append(lattice)
            items.append(torch.full((len(lattice),), index))
            levels.append(torch.full((len(lattice),), level))
    point = torch.cat(points)
    return CellPredictions(
        point, torch.cat(items), torch.cat(levels), (0.2, 0.4), torch.zeros(len(point), CLASSES), point.clone(),
        torch.ones(len(point), 3), None,
    )  # fmt: skip


def test_levels_go_by_the_longest_edge() -> None:
    assert levels_of_boxes(torch.tensor([0.1, 1.2, 1.21, 9.0]), (0.2, 0.4), 6.0).tolist() == [0, 0, 1, 1]
    assert levels_of_boxes(torch.tensor([0.1, 9.0]), (0.2,), 6.0).tolist() == [0, 0]


def assigned_by_loops(
    point: np.ndarray, level: np.ndarray, center: np.ndarray, box_level: np.ndarray, nearest: int
) -> dict[int, int]:
    wishes: dict[int, list[tuple[float, int]]] = {}
    for k, c in enumerate(center):
        rows = [i for i in range(len(point)) if level[i] == box_level[k]] or list(range(len(point)))
        rows.sort(key=lambda i: np.linalg.norm(point[i] - c))
        for i in rows[:nearest]:
            wishes.setdefault(i, []).append((float(np.linalg.norm(point[i] - c)), k))
    return {i: min(found)[1] for i, found in wishes.items()}


@pytest.mark.parametrize("seed", range(8))
def test_cells_are_assigned_as_by_loops(seed: int) -> None:
    rng = np.random.default_rng(seed)
    point, center = rng.normal(size=(40, 3)), rng.normal(size=(7, 3))
    level, box_level = rng.integers(0, 2 if seed else 1, 40), rng.integers(0, 2, 7)
    cells, boxes = assign_cells(*(torch.from_numpy(a) for a in (point, level, center, box_level)), nearest=4)
    expected = assigned_by_loops(point, level, center, box_level, 4)
    assert dict(zip(cells.tolist(), boxes.tolist(), strict=True)) == expected


def test_no_box_is_answered_for_in_another_cloud() -> None:
    truth = truth_of_boxes(5)
    output = cells_around(truth)
    cells, boxes = SparseDetectionLoss().assign(output, truth)
    assert torch.equal(output.item[cells], truth.item[boxes]) and set(boxes.tolist()) == set(range(5))
    assert len(cells) == len(set(cells.tolist())) == 5 * 6  # far apart: each has its own six


def test_the_focal_loss_is_cross_entropy_weighted_by_what_was_missed() -> None:
    logits, target = torch.randn(50, 3), (torch.rand(50, 3) < 0.3).float()
    p = logits.sigmoid().double()
    right = torch.where(target > 0, p, 1 - p)
    share = torch.where(target > 0, 0.25, 0.75)
    assert torch.allclose(focal_loss(logits, target).double(), -(share * (1 - right) ** 2 * right.log()).sum())
    plain = functional.binary_cross_entropy_with_logits(logits, target, reduction="sum")
    assert torch.allclose(focal_loss(logits, target, 0.5, 0.0), plain / 2)


@pytest.mark.parametrize("turned", [False, True])
def test_a_perfect_answer_of_cells_costs_next_to_nothing(turned: bool) -> None:
    from sparse3d.models.detection.box_coding import encode_turn

    truth = truth_of_boxes(4, turned=turned)
    output = cells_around(truth)
    criterion = SparseDetectionLoss()
    cells, boxes = criterion.assign(output, truth)
    output.logits.fill_(-20)
    output.logits[cells, truth.label[boxes]] = 20
    output.center[cells], output.size[cells] = truth.boxes[boxes, :3], truth.boxes[boxes, 3:6]
    if turned:
        total, turn = encode_turn(truth.boxes[boxes, 3:6], truth.boxes[boxes, 6])
        output.turn = torch.zeros(len(output.point), 2)
        output.turn[cells], output.size[cells, 0] = turn, total
    loss, parts = criterion(output, truth)
    assert float(loss) < 1e-4 and all(float(v) < 1e-4 for v in parts.values())
    output.center[cells] += 0.1
    assert float(criterion(output, truth)[0]) > 0.05


@pytest.mark.parametrize("turned", [False, True])
def test_a_batch_without_boxes_has_a_finite_loss_that_reaches_everything(turned: bool) -> None:
    truth = truth_of_boxes(0)
    output = cells_around(truth)
    leaves = [output.logits.requires_grad_(), output.center.requires_grad_(), output.size.requires_grad_()]
    if turned:
        output.turn = torch.zeros(len(output.point), 2, requires_grad=True)
        leaves.append(output.turn)
    loss, _ = SparseDetectionLoss()(output, truth)
    loss.backward()
    assert bool(loss.isfinite()) and all(leaf.grad is not None and bool(leaf.grad.isfinite().all()) for leaf in leaves)


def test_turned_boxes_are_refused_where_the_head_tells_no_directions() -> None:
    """Length and width would be learnt as if yaw were 0, and measured against turned truth."""
    turned, upright = truth_of_boxes(4, turned=True), truth_of_boxes(4)
    for head, criterion in ((cells_around, SparseDetectionLoss()), (partial(perfect_votes, bins=1), VoteNetLoss())):
        criterion(head(upright), upright)
        with pytest.raises(InputError, match=r"SparseHead.oriented|VoteNetHead.heading_bins"):
            criterion(head(upright), turned)


# VoteNet ----------------------------------------------------------------------------------------------------


def perfect_votes(truth: DetectionTruth, bins: int, batch: int = 2) -> VotePredictions:
    """Three seeds and one proposal a box, and as many seeds and proposals far from all."""
    dense = DenseTruth.of(truth, batch)
    width = dense.boxes.shape[1]
    far = torch.full((batch, width, 3), 100.0)
    middles = torch.where(dense.there[..., None], dense.boxes[..., :3], far)
    proposals = torch.cat([middles, far], dim=1)
    instance = torch.full((batch, width), -1)
    instance[truth.item, dense.place] = torch.arange(len(truth))
    truth.instance = torch.cat([instance.flatten().repeat(3), torch.tensor([-1])])
    rows = torch.arange(3 * batch * width).reshape(3, batch, width).permute(1, 0, 2).reshape(batch, -1)
    seed_xyz = middles.repeat(1, 3, 1) + 0.1
    label = torch.cat([dense.label, torch.zeros_like(dense.label)], dim=1)
    there = torch.cat([dense.there, torch.zeros_like(dense.there)], dim=1)
    yaw = torch.cat([dense.boxes[..., 6], torch.zeros(batch, width)], dim=1)
    means = torch.rand(CLASSES, 3) + 0.5
    sizes = torch.cat([dense.boxes[..., 3:6], torch.ones(batch, width, 3)], dim=1)
    turns = torch.remainder(yaw, 2 * pi) / (2 * pi / bins)
    number = turns.round().long() % bins
    rest = (turns - turns.round()) * 2 if bins > 1 else torch.zeros_like(turns)
    return VotePredictions(
        seed_row=rows,
        seed_xyz=seed_xyz,
        vote_xyz=middles.repeat(1, 3, 1),
        proposal_xyz=proposals,
        center=proposals,
        objectness=torch.stack([~there, there], dim=2) * 40.0 - 20,
        classes=functional.one_hot(label, CLASSES) * 40.0,
        heading=functional.one_hot(number, bins) * 40.0,
        heading_rest=rest[..., None].repeat(1, 1, bins),
        size=functional.one_hot(label, CLASSES) * 40.0,
        size_rest=sizes[:, :, None] / means - 1,
        mean_sizes=means,
    )


@pytest.mark.parametrize("bins", [1, 12])
def test_perfect_votes_and_proposals_cost_next_to_nothing(bins: int) -> None:
    truth = truth_of_boxes(5, turned=bins > 1)
    output = perfect_votes(truth, bins)
    loss, parts = VoteNetLoss()(output, truth)
    assert float(loss) < 1e-3, parts
    assert float(VoteNetLoss()(replace(output, vote_xyz=output.vote_xyz + 0.2), truth)[0]) > 1
    assert float(VoteNetLoss()(replace(output, center=output.center + 0.2), truth)[0]) > 1


@pytest.mark.parametrize("bins", [1, 12])
def test_the_loss_of_overlap_feels_what_distances_hardly_do(bins: int) -> None:
    truth = truth_of_boxes(5, turned=bins > 1)
    output = perfect_votes(truth, bins)
    published, both = VoteNetLoss(), VoteNetLoss(overlap_weight=1.0)
    assert float(both(output, truth)[1]["loss/overlap"]) < 1e-4
    near = replace(output, center=output.center + 0.02)
    assert float(both(near, truth)[0]) - float(both(output, truth)[0]) > 0.5
    # At weight 0 the part is shown, and counts for nothing.
    assert float(published(near, truth)[0]) < 0.1 < float(both(near, truth)[0])
    with pytest.raises(InputError, match="overlap_weight"):
        VoteNetLoss(overlap_weight=-1)


def test_overlap_is_that_of_boxes_which_share_the_true_yaw() -> None:
    true = torch.tensor([[[1.0, 2, 0, 2, 1, 1, 0.7], [0, 0, 0, 2, 1, 1, 0.7]]])
    along = torch.tensor([0.7]).cos(), torch.tensor([0.7]).sin()
    center = true[..., :3] + torch.tensor([[[0.0, 0, 0], [float(along[0]), float(along[1]), 0]]])
    told = overlap_with(true, center, true[..., 3:6])[0]
    # The second is moved by half its length along its own axis: IoU 1/3, less 1 / (3^2 + 1 + 1) for the middles.
    assert told.tolist() == pytest.approx([1.0, 1 / 3 - 1 / 11], abs=1e-5)


def test_an_edge_told_too_short_or_below_nothing_is_drawn_out_by_the_overlap() -> None:
    true = torch.tensor([[[0.0, 0, 0, 1, 1, 0.1, 0]]])
    for edge in (0.05, 0.019, 0.0, -0.04):
        size = torch.tensor([[[1.0, 1, edge]]], requires_grad=True)
        (1 - overlap_with(true, torch.zeros(1, 1, 3), size)).sum().backward()
        assert size.grad is not None and float(size.grad[0, 0, 2]) < -0.01, edge


def test_seeds_belong_to_their_instance_or_to_the_boxes_that_hold_them() -> None:
    boxes = torch.tensor([[0.0, 0, 0, 2, 1, 1, pi / 4], [0, 0, 0, 4, 4, 4, 0], [9, 9, 9, 1, 1, 1, 0]])
    truth = DetectionTruth(boxes, torch.tensor([0, 1, 2]), torch.zeros(3, dtype=torch.int64), torch.tensor([-1]))
    dense = DenseTruth.of(truth, 1)
    seeds = torch.tensor([[[0.6, 0.6, 0.0], [0.6, -0.6, 0.0], [5.0, 5, 5]]])
    inside = boxes_of_seeds(seeds, torch.full((1, 3), -1), dense)[0].tolist()
    assert inside == [[True, True, False], [False, True, False], [False, False, False]]
    own = boxes_of_seeds(seeds, torch.tensor([[2, -1, -1]]), dense)[0].tolist()
    assert own == [[False, False, True], [False] * 3, [False] * 3]


def test_a_vote_may_go_to_any_box_it_belongs_to() -> None:
    truth = DetectionTruth(
        torch.tensor([[0.0, 0, 0, 1, 1, 1, 0], [1, 0, 0, 1, 1, 1, 0]]), torch.zeros(2).long(), torch.zeros(2).long(),
        torch.tensor([-1]),
    )  # fmt: skip
    dense = DenseTruth.of(truth, 1)
    votes = torch.tensor([[[0.9, 0.2, 0.0], [7, 7, 7]]], requires_grad=True)
    both, first = torch.tensor([[[True, True], [False, False]]]), torch.tensor([[[True, False], [False, False]]])
    assert float(vote_loss(votes, both, dense).detach()) == pytest.approx(0.3)
    loss = vote_loss(votes, first, dense)
    loss.backward()
    assert float(loss.detach()) == pytest.approx(1.1)
    assert votes.grad is not None and bool(votes.grad.isfinite().all()) and not votes.grad[0, 1].any()


def test_headings_close_around_the_full_turn() -> None:
    bins = 12
    for yaw in (-pi, -0.26, -0.01, 0.0, 0.25, pi, 6.28):
        logits, rest = torch.zeros(1, 1, bins), torch.zeros(1, 1, bins)
        number = round(yaw / (2 * pi / bins)) % bins
        logits[..., number] = 40
        rest[...] = (yaw / (2 * pi / bins) - round(yaw / (2 * pi / bins))) * 2
        crossed, away = heading_losses(logits, rest, torch.tensor([[yaw]]))
        assert float(crossed) < 1e-4 and float(away) < 1e-6, yaw


def test_the_rest_of_a_heading_is_that_of_the_true_bin() -> None:
    """Whatever bin the network believes in."""
    logits, rest = torch.zeros(1, 1, 4), torch.tensor([[[0.0, 0.25, 9.0, 9.0]]])
    logits[..., 3] = 5.0
    yaw = torch.tensor([[pi / 2 + 0.25 * pi / 4]])  # a quarter of half a bin behind the middle of bin 1
    crossed, away = heading_losses(logits, rest, yaw)
    assert float(away) < 1e-6 and float(crossed) > 4


@pytest.mark.parametrize("bins", [1, 12])
def test_a_batch_without_boxes_has_a_finite_votenet_loss(bins: int) -> None:
    output = perfect_votes(truth_of_boxes(3), bins)
    nothing = truth_of_boxes(0)
    nothing.instance = torch.full((100,), -1)
    names = ("vote_xyz", "center", "objectness", "classes", "heading", "heading_rest", "size", "size_rest")
    leaves = {name: getattr(output, name).clone().float().requires_grad_() for name in names}
    loss, _ = VoteNetLoss()(replace(output, **leaves), nothing)
    loss.backward()
    for name, leaf in leaves.items():
        assert leaf.grad is not None and bool(leaf.grad.isfinite().all()), name
    assert bool(loss.isfinite())


def test_the_order_of_boxes_changes_nothing() -> None:
    truth = truth_of_boxes(6)
    output = cells_around(truth)
    output.center.add_(torch.rand(len(output.center), 3))
    order = torch.randperm(6)
    mixed = DetectionTruth(truth.boxes[order], truth.label[order], truth.item[order], truth.instance)
    first, second = SparseDetectionLoss()(output, truth)[0], SparseDetectionLoss()(output, mixed)[0]
    assert float(first) == pytest.approx(float(second), rel=1e-6)
