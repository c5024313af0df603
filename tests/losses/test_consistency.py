"""The consistency losses against loops, at their edges, and in float32 whatever surrounds them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sparse3d.losses.consistency import closer_than, coordinate_regression_loss, info_nce_loss, matching_loss


def unit(rows: int, dim: int = 16, seed: int = 0) -> Tensor:
    return F.normalize(torch.randn(rows, dim, generator=torch.Generator().manual_seed(seed)), dim=1)


def places(count: int, seed: int = 1) -> Tensor:
    return torch.rand(count, 2, generator=torch.Generator().manual_seed(seed))


def test_perfect_embeddings_cost_nothing_and_all_are_found() -> None:
    keys, place = F.one_hot(torch.arange(12), 12).float(), places(12)
    true = torch.tensor([3, 0, 7, 11])
    loss, share = matching_loss(keys[true], keys, true, place[true], place, 50.0)
    assert float(loss) < 1e-6 and float(share) == 1


def test_the_true_cell_beats_every_other() -> None:
    keys, place = unit(12), places(12)
    true = torch.arange(6)
    right, _ = matching_loss(keys[true], keys, true, place[true], place, 10.0)
    for shift in range(1, 6):
        wrong = (true + shift) % 12
        assert right < matching_loss(keys[wrong], keys, true, place[true], place, 10.0)[0]


def test_near_cells_are_no_wrong_answer_but_count_for_the_coordinate() -> None:
    keys, place, true = unit(8), places(8), torch.tensor([2])
    near = torch.zeros(1, 8, dtype=torch.bool)
    near[0, [2, 5]] = True
    queries = keys[[5]]
    plain, missed = matching_loss(queries, keys, true, place[true], place, 10.0, coordinate_weight=0)
    lenient, hit = matching_loss(queries, keys, true, place[true], place, 10.0, near, coordinate_weight=0)
    left = [k for k in range(8) if k != 5]
    oracle = F.cross_entropy(10 * queries @ keys[left].t(), torch.tensor([2]))
    assert lenient < plain and torch.isclose(lenient, oracle)
    assert float(missed) == 0 and float(hit) == 1
    with_place, _ = matching_loss(queries, keys, true, place[true], place, 10.0, near)
    expected = (10 * queries @ keys.t()).softmax(1) @ place
    assert torch.isclose(with_place, oracle + F.smooth_l1_loss(expected, place[true], beta=0.1))


@pytest.mark.parametrize("form", ["matching", "info_nce"])
def test_no_queries_cost_zero_and_every_input_takes_part(form: str) -> None:
    """Pitfall: a pair without matches; with several processes each parameter must be in each step."""
    queries, keys = torch.zeros(0, 4, requires_grad=True), unit(5, 4).requires_grad_()
    scale = torch.tensor(10.0, requires_grad=True)
    if form == "matching":
        none = torch.zeros(0, dtype=torch.long)
        loss, share = matching_loss(queries, keys, none, torch.zeros(0, 2), places(5), scale)
        assert float(share) == 0
    else:
        loss = info_nce_loss(queries, keys[:0], torch.zeros(0, 3), 0.1, 1 / scale)
    loss.backward()
    assert float(loss.detach()) == 0 and loss.dtype == torch.float32
    for tensor in (queries, keys, scale):
        assert tensor.grad is not None and bool((tensor.grad == 0).all())


def test_info_nce_leaves_out_near_negatives() -> None:
    queries, keys = unit(9, seed=2), unit(9, seed=3)
    xyz = torch.rand(9, 3, generator=torch.Generator().manual_seed(4)) * 0.4
    terms, left_out = [], 0
    for m in range(9):
        others = [k for k in range(9) if k == m or (xyz[k] - xyz[m]).norm() >= 0.2]
        left_out += 9 - len(others)
        logits = torch.stack([queries[m] @ keys[k] / 0.07 for k in others])
        terms.append(logits.logsumexp(0) - queries[m] @ keys[m] / 0.07)
    assert left_out > 0
    assert torch.isclose(info_nce_loss(queries, keys, xyz, 0.2), torch.stack(terms).mean(), atol=1e-5)


def test_nearness_is_exact_far_from_the_origin() -> None:
    points = torch.tensor([[0.0, 0, 0], [0.0625, 0, 0], [0.25, 0, 0]]).repeat(20, 1) + 2000.0
    near = closer_than(points, points, 0.1)[:3, :3]
    assert near.tolist() == [[True, True, False], [True, True, False], [False, False, True]]


def test_regression_is_zero_at_the_truth_and_grows_away_from_it() -> None:
    place = places(7)
    values = [float(coordinate_regression_loss(place + step, place)) for step in (0.0, 0.01, 0.1, 0.5)]
    assert values[0] == 0 and values == sorted(values)
    empty = torch.zeros(0, 2, requires_grad=True)
    coordinate_regression_loss(empty, torch.zeros(0, 2)).backward()
    assert empty.grad is not None


@pytest.mark.parametrize("form", ["matching", "info_nce"])
def test_losses_stay_float32_under_autocast(form: str) -> None:
    """Pitfall: ``.float()`` before a matrix product does not help; autocast rounds it to bfloat16 all the same."""

    def loss() -> Tensor:
        queries, keys, place = unit(40, seed=5), unit(40, seed=6), places(40)
        if form == "info_nce":
            return info_nce_loss(queries, keys, torch.arange(120.0).view(40, 3))
        return matching_loss(queries, keys, torch.arange(40), place, place, 30.0)[0]

    plain = loss()
    with torch.autocast("cpu", torch.bfloat16):
        inside = loss()
    assert inside.dtype == torch.float32 and torch.equal(plain, inside)


@pytest.mark.parametrize("near", [None, torch.zeros(40, 40, dtype=torch.bool)], ids=["kernel", "torch"])
def test_gradients_stay_float32_under_autocast(near: Tensor | None) -> None:
    def gradients() -> list[Tensor]:
        queries, keys, place = unit(40, seed=5).requires_grad_(), unit(40, seed=6).requires_grad_(), places(40)
        matching_loss(queries, keys, torch.arange(40), place, place, 30.0, near=near)[0].backward()
        assert queries.grad is not None and keys.grad is not None
        return [queries.grad, keys.grad]

    plain = gradients()
    with torch.autocast("cpu", torch.bfloat16):
        inside = gradients()
    assert all(torch.equal(a, b) for a, b in zip(plain, inside, strict=True))


def test_gradients_are_those_of_finite_differences() -> None:
    queries, keys = unit(4, 3, seed=8), unit(6, 3, seed=9).requires_grad_()
    true, place = torch.tensor([0, 2, 5, 1]), places(6)
    matching_loss(queries, keys, true, place[true], place, 5.0)[0].backward()
    step = torch.zeros_like(keys)
    step[2, 1] = 1e-2
    with torch.no_grad():
        ends = [matching_loss(queries, keys + s * step, true, place[true], place, 5.0)[0] for s in (1, -1)]
    assert keys.grad is not None
    assert torch.isclose((ends[0] - ends[1]) / 2e-2, keys.grad[2, 1], atol=2e-3)


@pytest.mark.parametrize("coordinate_weight", [0.0, 1.5])
@pytest.mark.parametrize("scale", [1.0, 400.0])
@pytest.mark.parametrize("with_near", [False, True])
def test_the_loss_and_its_gradients_are_those_of_softmax_cross_entropy_and_huber(
    coordinate_weight: float, scale: float, with_near: bool
) -> None:
    """Against the plain form by autograd in float64; at a scale of 400 the exponentials span more than floats do."""
    generator = torch.Generator().manual_seed(3)
    queries, keys = (unit(rows, 8, seed=rows).double() for rows in (30, 50))
    true, place = torch.randint(0, 50, (30,), generator=generator), places(50).double()
    near = (torch.rand(30, 50, generator=generator) < 0.2) if with_near else None
    inputs = [queries.requires_grad_(), keys.requires_grad_(), torch.tensor(scale).double().requires_grad_()]

    logits = inputs[0] @ inputs[1].t() * inputs[2]
    others = torch.zeros(30, 50, dtype=torch.bool) if near is None else near.scatter(1, true[:, None], False)
    expected = F.cross_entropy(logits.masked_fill(others, float("-inf")), true)
    where = logits.softmax(dim=1) @ place
    expected = expected + coordinate_weight * F.smooth_l1_loss(where, place[true], beta=0.1)

    loss, _ = matching_loss(inputs[0], inputs[1], true, place[true], place, inputs[2], near, coordinate_weight)
    assert torch.allclose(loss, expected, rtol=1e-12)
    for ours, theirs in zip(
        torch.autograd.grad(2 * loss, inputs), torch.autograd.grad(2 * expected, inputs), strict=True
    ):
        assert torch.allclose(ours, theirs, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("near", [None, torch.zeros(40, 40, dtype=torch.bool)], ids=["kernel", "torch"])
def test_embeddings_that_are_all_alike_find_nothing(near: Tensor | None) -> None:
    """A near cell as good as the best wrong one is no find: a collapsed network must not be logged as a perfect one."""
    keys, true = unit(1).expand(40, -1).contiguous(), torch.arange(40).roll(3)
    xyz = torch.rand(40, 3, generator=torch.Generator().manual_seed(0)) * 0.3
    close = torch.cdist(xyz[true], xyz) < 0.2
    how: dict[str, Any] = {"key_xyz": xyz, "near_distance": 0.2} if near is None else {"near": close}
    _, share = matching_loss(keys, keys, true, places(40)[true], places(40), 10.0, **how)
    # Of equal answers the first is taken; a near key is no answer.
    first = [
        next(k for k in range(40) if k == t or not row[k]) == t for t, row in zip(true.tolist(), close, strict=True)
    ]
    assert float(share) == pytest.approx(sum(first) / 40) and sum(first) < 20 and int(close.sum()) > 80


@pytest.mark.parametrize("near", [None, torch.zeros(6, 12, dtype=torch.bool)], ids=["kernel", "torch"])
def test_the_scale_may_have_any_shape_of_one_element(near: Tensor | None) -> None:
    gradients = []
    for shape in ((), (1,), (1, 1)):
        scale, keys = torch.full(shape, 7.0, requires_grad=True), unit(12)
        true = torch.arange(6)
        matching_loss(keys[1:7], keys, true, places(12)[true], places(12), scale, near)[0].backward()
        assert scale.grad is not None and scale.grad.shape == shape
        gradients.append(float(scale.grad))
    assert gradients[0] == gradients[1] == gradients[2] != 0
