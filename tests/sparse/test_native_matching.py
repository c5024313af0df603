"""The compiled matching loss: float64's values and gradients, bits that no thread count moves, and its edges."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import example, given, settings
from hypothesis import strategies as st
from torch import Tensor

from sparse3d.losses.consistency import matching_loss
from sparse3d.sparse import native
from sparse3d.sparse.native.matching import does, matching

pytestmark = pytest.mark.skipif(not native.available(), reason=native.why_not())

NAMES = ("queries", "keys", "scale")


def make(queries: int, keys: int, channels: int, scale: float = 14.0, seed: int = 0) -> dict[str, Tensor]:
    """A problem whose queries look like their true keys, a little; keys lie in a cube of a metre far away."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    unit_keys = F.normalize(normal(keys, channels), dim=1)
    true_key = torch.randint(keys, (queries,), generator=generator)
    key_place = torch.rand(keys, 2, generator=generator)
    return {
        "queries": F.normalize(normal(queries, channels) + 2 * unit_keys[true_key], dim=1),
        "keys": unit_keys,
        "scale": torch.tensor(scale),
        "true_key": true_key,
        "true_place": key_place[true_key] + 0.01 * normal(queries, 2),
        "key_place": key_place,
        "key_xyz": torch.rand(keys, 3, generator=generator) + 200,
    }


def exact(data: dict[str, Tensor], near: float, weight: float) -> tuple[Tensor, tuple[float, float], list[Tensor]]:
    """Loss, bounds of the share, gradients: by torch's autograd over the plain formulas in float64."""
    own = {name: value.double() if value.is_floating_point() else value for name, value in data.items()}
    leaves = [own[name].requires_grad_() for name in NAMES]
    logits = leaves[0] @ leaves[1].t() * leaves[2]
    true = own["true_key"]
    # The same rounding of coordinates as the kernel's: nearness is no smooth matter.
    places = data["key_xyz"]
    others = ((places[true][:, None] - places).square().sum(dim=2) < near**2).scatter(1, true[:, None], False)
    answers = logits.masked_fill(others, float("-inf"))
    loss = F.cross_entropy(answers, true)
    loss = loss + weight * F.smooth_l1_loss(logits.softmax(dim=1) @ own["key_place"], own["true_place"], beta=0.1)
    near_top = logits.masked_fill(~others, float("-inf")).amax(dim=1)
    wrong = answers.scatter(1, true[:, None], float("-inf")).amax(dim=1)
    right = answers.gather(1, true[:, None])[:, 0]
    lead = torch.maximum(right - wrong, near_top - torch.maximum(wrong, right))
    bounds = [float((lead > slack * data["scale"]).double().mean()) for slack in (1e-6, -1e-6)]
    return loss, (bounds[0], bounds[1]), list(torch.autograd.grad(loss, leaves))


def compare(data: dict[str, Tensor], near: float, weight: float, tolerance: float = 1e-5) -> None:
    loss, (least, most), grads = exact(data, near, weight)
    ours, share, our_grads = matching(**data, near_distance=near, coordinate_weight=weight)
    bare, bare_share, none = matching(**data, near_distance=near, coordinate_weight=weight, gradients=False)
    assert torch.equal(bare, ours) and torch.equal(bare_share, share) and none == ()
    assert abs(ours - loss) <= tolerance * (1 + abs(loss)) and least - 1e-6 <= share <= most + 1e-6
    for name, grad, expected in zip(NAMES, our_grads, grads, strict=True):
        assert grad.shape == expected.shape
        # Where there is nothing to learn (equal keys), gradients are what rounding leaves of terms of this size.
        term = 1.0 if name == "scale" else float(data["scale"]) / min(len(data["queries"]), len(data["keys"]))
        size = max(float(expected.abs().max()), 1e-2 * (1 + weight) * term)
        assert (grad - expected).abs().max() <= 10 * tolerance * size, name


@settings(max_examples=60, deadline=None)
@given(
    queries=st.integers(1, 130),
    keys=st.integers(1, 400),
    channels=st.integers(1, 140),
    scale=st.sampled_from([1.0, 14.0, 100.0]),
    near=st.sampled_from([0.0, 0.2, 0.5, 9.0]),
    weight=st.sampled_from([0.0, 1.0, 3.0]),
    seed=st.integers(0, 9),
)
@example(queries=1, keys=1, channels=1, scale=14.0, near=0.0, weight=1.0, seed=0)
@example(queries=24, keys=48, channels=16, scale=14.0, near=9.0, weight=1.0, seed=0)
@example(queries=25, keys=49, channels=17, scale=14.0, near=0.5, weight=1.0, seed=0)
def test_values_and_gradients_are_those_of_float64(
    queries: int, keys: int, channels: int, scale: float, near: float, weight: float, seed: int
) -> None:
    # Logits round to 6e-8 of their size, and an exponential is as wrong as its logit.
    compare(make(queries, keys, channels, scale, seed), near, weight, 1e-5 * max(1.0, scale / 20))


def test_a_real_size() -> None:
    """Gradients of the size that training has."""
    compare(make(512, 4800, 64), 0.1, 1.0)


def test_bits_do_not_depend_on_the_number_of_threads() -> None:
    data, before = make(301, 1003, 40), torch.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3, 7):
            torch.set_num_threads(threads)
            loss, share, grads = matching(**data, near_distance=0.2)
            results.append([loss, share, *grads])
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_a_near_key_far_above_every_answer_leaves_no_query_without_a_loss() -> None:
    """The answers' exponentials must be over their own highest logit: over the near key's they all vanish."""
    data = make(3, 60, 8, scale=400.0)
    data["keys"][7] = data["queries"][0]
    data["key_xyz"][7] = data["key_xyz"][data["true_key"][0]]
    data["keys"][data["true_key"][0]] = -data["queries"][0]
    loss, share, grads = matching(**data, near_distance=0.05)
    assert loss.isfinite() and all(grad.isfinite().all() for grad in grads)
    compare(data, 0.05, 1.0, 2e-4)


def test_all_but_the_true_key_are_near() -> None:
    data = make(30, 70, 16)
    loss, share, grads = matching(**data, near_distance=9.0, coordinate_weight=0.0)
    assert float(loss) == 0 and float(share) == 1
    assert all(grad.abs().max() < 1e-7 for grad in grads)


def test_of_equal_keys_the_first_is_the_answer() -> None:
    """As torch's max has it."""
    data = make(2, 100, 8)
    data["true_key"] = torch.tensor([3, 80])
    data["keys"][80] = data["keys"][3]
    data["queries"] = data["keys"][[3, 3]]
    _, share, _ = matching(**data)
    assert float(share) == 0.5


def test_nearness_is_exact_far_from_the_origin() -> None:
    data = make(1, 20, 4)
    data["true_key"][0] = 0
    data["key_xyz"] = 2000.0 + torch.arange(20)[:, None] * torch.tensor([0.0625, 0, 0])
    ours, _, _ = matching(**data, near_distance=0.1, coordinate_weight=0.0)
    kept = [k for k in range(20) if k != 1]
    expected = F.cross_entropy(data["scale"] * data["queries"] @ data["keys"][kept].t(), torch.tensor([0]))
    assert torch.isclose(ours, expected)


@pytest.mark.parametrize("where", ["queries", "keys"])
def test_what_is_not_a_number_is_not_hidden(where: str) -> None:
    """The training loop stops at a loss that is not finite; a maximum or an exponential could swallow it."""
    for column in (0, 63):
        data = make(5, 99, 64)
        data[where][3, column] = float("nan")
        loss, _, grads = matching(**data, near_distance=0.2)
        assert loss.isnan() and grads[0].isnan().any()


def test_memory_of_an_earlier_call_does_not_show() -> None:
    """The workspace comes back as it was left; padding must be written anew."""
    data = make(20, 50, 10)
    first = matching(**data, near_distance=0.2)
    poisoned = {name: value * float("nan") if name in ("queries", "keys") else value for name, value in data.items()}
    for _ in range(3):
        matching(**poisoned, near_distance=0.2)
    again = matching(**data, near_distance=0.2)
    assert torch.equal(first[0], again[0]) and all(torch.equal(a, b) for a, b in zip(first[2], again[2], strict=True))


def test_rows_of_other_strides_and_types() -> None:
    data = make(20, 50, 10)
    loss, _, grads = matching(**data, near_distance=0.2)
    other = {name: value.t().contiguous().t() if value.dim() == 2 else value for name, value in data.items()}
    other["key_place"] = data["key_place"].double()
    assert not other["keys"].is_contiguous()
    again, _, their_grads = matching(**other, near_distance=0.2)
    assert torch.equal(loss, again) and all(torch.equal(a, b) for a, b in zip(grads, their_grads, strict=True))


def test_its_buffers_lie_on_the_cpu_whatever_torchs_default() -> None:
    data = make(20, 50, 10)
    loss, share, grads = matching(**data, near_distance=0.2)
    with torch.device("meta"):
        again, same_share, their_grads = matching(**data, near_distance=0.2)
    assert torch.equal(again, loss) and torch.equal(same_share, share)
    assert all(torch.equal(a, b) for a, b in zip(grads, their_grads, strict=True))


def test_wrong_indices_and_shapes_are_errors_not_memory() -> None:
    data = make(5, 9, 4)
    for bad in (-1, 9):
        with pytest.raises(IndexError):
            matching(**{**data, "true_key": torch.tensor([0, 1, bad, 2, 3])})
    changes: list[dict[str, Any]] = [
        {"keys": data["keys"][:, :3]},
        {"true_key": data["true_key"][:4]},
        {"true_place": data["true_place"][:4]},
        {"key_place": data["key_place"][:8]},
        {"key_xyz": data["key_xyz"][:8]},
    ]
    for change in changes:
        with pytest.raises(ValueError, match="shape"):
            matching(**{**data, **change}, near_distance=0.1)


def test_it_takes_float32_on_a_cpu_only() -> None:
    queries, keys = torch.rand(3, 4), torch.rand(5, 4)
    assert does(queries, keys)
    assert not does(queries.double(), keys) and not does(queries, keys.bfloat16())
    assert not does(queries[:0], keys) and not does(queries[:, :0], keys[:, :0])
    assert not does(queries.to("meta"), keys)


@pytest.mark.parametrize("near", [0.0, 0.3])
@pytest.mark.parametrize("backend", ["torch", "native"])
def test_the_loss_is_the_same_by_a_mask_and_by_places(
    backend: str, near: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparse3d.sparse.backend._configured", backend)
    data = make(40, 130, 12)
    leaves = [data.pop(name).requires_grad_() for name in NAMES]
    queries, keys, scale = leaves
    xyz, true = data.pop("key_xyz"), data["true_key"]
    mask = torch.cdist(xyz[true], xyz, compute_mode="donot_use_mm_for_euclid_dist") < near
    places = (data["true_key"], data["true_place"], data["key_place"])
    by_mask, share = matching_loss(queries, keys, *places, scale, mask)
    by_places, other_share = matching_loss(queries, keys, *places, scale, key_xyz=xyz, near_distance=near)
    assert torch.isclose(by_mask, by_places, rtol=1e-5) and torch.isclose(share, other_share)
    for a, b in zip(torch.autograd.grad(3 * by_mask, leaves), torch.autograd.grad(3 * by_places, leaves), strict=True):
        assert torch.allclose(a, b, rtol=1e-4, atol=1e-6)
    with torch.no_grad():
        assert torch.equal(matching_loss(queries, keys, *places, scale, key_xyz=xyz, near_distance=near)[0], by_places)
    with pytest.raises(ValueError, match="either"):
        matching_loss(queries, keys, *places, scale, mask, key_xyz=xyz)
