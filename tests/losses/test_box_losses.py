"""Overlaps to train by are those of the evaluation, and their gradients lead boxes together."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sparse3d.geometry import box_iou
from sparse3d.losses.box_losses import aligned_iou, diou
from sparse3d.types import Boxes


def rows(seed: int, count: int = 60) -> Tensor:
    rng = np.random.default_rng(seed)
    made = np.concatenate([rng.uniform(0, 1.5, (count, 3)), rng.uniform(0.2, 2, (count, 3))], axis=1)
    return torch.from_numpy(made.astype(np.float32)).double()  # numbers that float32 holds, as the boxes do


def as_boxes(numbers: Tensor) -> Boxes:
    n = numbers.numpy()
    return Boxes(n[:, :3], n[:, 3:6], np.zeros(len(n)), np.zeros(len(n)))


def test_overlap_is_that_of_the_evaluation() -> None:
    a, b = rows(0), rows(1)
    expected = box_iou(as_boxes(a), as_boxes(b)).diagonal()
    np.testing.assert_allclose(aligned_iou(a, b).numpy(), expected, atol=1e-9)


def test_every_overlap_of_a_box_with_itself_is_one() -> None:
    a = rows(2)
    for measure in (aligned_iou, diou):
        np.testing.assert_allclose(measure(a, a).numpy(), 1, atol=1e-9)


def test_boxes_apart_by_hand() -> None:
    """Unit cubes with middles 3 apart along x: the box around both is 4 x 1 x 1, its diagonal squared 18."""
    a, b = torch.tensor([0.0, 0, 0, 1, 1, 1]), torch.tensor([3.0, 0, 0, 1, 1, 1])
    assert float(aligned_iou(a, b)) == 0
    assert float(diou(a, b)) == pytest.approx(-9 / 18)


def test_a_box_with_negative_edges_has_no_volume() -> None:
    """Two negative edges would multiply to a positive one."""
    a, b = torch.tensor([0.0, 0, 0, 1, 1, 1]), torch.tensor([3.0, 0, 0, -1, -1, 1])
    assert float(aligned_iou(a, b)) == 0


def test_overlaps_broadcast() -> None:
    a, b = rows(3, 4), rows(4, 5)
    for measure in (aligned_iou, diou):
        every = measure(a[:, None], b[None])
        assert every.shape == (4, 5)
        np.testing.assert_allclose(every[2], measure(a[2].expand(5, 6), b), atol=1e-12)


def test_gradients_are_those_of_differences() -> None:
    a, b = rows(5, 12).requires_grad_(), rows(6, 12)
    for measure in (aligned_iou, diou):
        assert torch.autograd.gradcheck(measure, (a, b), eps=1e-7, atol=1e-4)


def test_gradients_are_finite_where_boxes_coincide_touch_or_have_no_volume() -> None:
    base = torch.tensor([[0.0, 0, 0, 1, 1, 1]])
    others = torch.tensor([[0.0, 0, 0, 1, 1, 1], [1, 0, 0, 1, 1, 1], [0, 0, 0, 0, 0, 0], [9, 9, 9, 1, 1, 1]])
    for measure in (aligned_iou, diou):
        for first, second in ((base, others), (others, base)):
            moved = first.clone().requires_grad_()
            value = measure(moved, second)
            value.sum().backward()
            assert moved.grad is not None and moved.grad.isfinite().all() and value.isfinite().all()


def test_descending_brings_boxes_together_from_afar() -> None:
    box = torch.tensor([4.0, -3, 2, 0.5, 2, 1]).requires_grad_()
    goal = torch.tensor([0.0, 0, 0, 1, 1, 1])
    optimizer = torch.optim.Adam([box], lr=0.05)
    for _ in range(400):
        optimizer.zero_grad()
        (1 - diou(box, goal)).backward()
        optimizer.step()
    assert float(aligned_iou(box.detach(), goal)) > 0.8


def test_half_precision_is_widened() -> None:
    tiny = torch.tensor([0.0, 0, 0, 0.01, 0.01, 0.01]).half()
    assert float(aligned_iou(tiny, tiny)) == pytest.approx(1, abs=0.02)
