"""The compiled batch normalisation: float64's values and gradients, bits that no thread count moves, no mask kept.

y = relu((x - mean) * rsqrt(var + eps) * weight + bias + residual), the variance biased, the running one unbiased.
"""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sparse3d.sparse import native
from sparse3d.sparse.native.batch_norm import batch_norm, column_moments, does

pytestmark = pytest.mark.skipif(not native.available(), reason=native.why_not())

EPS, MOMENTUM = 1e-5, 0.3


def make(rows: int, channels: int, mean: float = 0.5, seed: int = 0) -> dict[str, Tensor]:
    """Leaves x, weight, bias, residual; constants grad, running_mean, running_var."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator)

    return {
        "x": mean + normal(rows, channels) * (0.5 + normal(channels).abs()),
        "weight": 1 + 0.3 * normal(channels),
        "bias": normal(channels),
        "residual": normal(rows, channels),
        "grad": normal(rows, channels),
        "running_mean": mean + normal(channels),
        "running_var": 0.5 + normal(channels).abs(),
    }


def reference(
    x: Tensor, weight: Tensor, bias: Tensor, running: tuple[Tensor, Tensor], training: bool, relu: bool, other: Any
) -> Tensor:
    out = F.batch_norm(x, *running, weight, bias, training, MOMENTUM, EPS)
    out = out if other is None else out + other
    return out.relu() if relu else out


def run(data: dict[str, Tensor], dtype: torch.dtype, training: bool, relu: bool, add: bool) -> dict[str, Tensor]:
    """Output, gradients and running statistics: by the kernel in float32, by torch in float64."""
    own = {name: value.to(dtype, copy=True) for name, value in data.items()}
    leaves = {name: own[name].requires_grad_() for name in ("x", "weight", "bias", *(["residual"] if add else []))}
    running = own["running_mean"], own["running_var"]
    other = leaves.get("residual")
    x, weight, bias = leaves["x"], leaves["weight"], leaves["bias"]
    if dtype == torch.float32:
        out = batch_norm(x, weight, bias, *running, training, MOMENTUM, EPS, relu, other)
    else:
        out = reference(x, weight, bias, running, training, relu, other)
    grads = torch.autograd.grad(out, list(leaves.values()), own["grad"])
    named = {f"gradient of {name}": grad for name, grad in zip(leaves, grads, strict=True)}
    return {"output": out.detach(), "running mean": running[0], "running variance": running[1], **named}


def assert_equal(
    ours: dict[str, Tensor], exact: dict[str, Tensor], tolerance: float, but: Tensor | None = None
) -> None:
    for name, value in ours.items():
        error, scale = (value - exact[name]).abs(), exact[name].abs().max() + 1
        if but is not None and value.dim() == 2:
            error = error.masked_fill(but, 0)
        assert error.max() <= tolerance * scale * (10 if "weight" in name or "bias" in name else 1), (name, error.max())


@settings(max_examples=80, deadline=None)
@given(
    rows=st.integers(2, 3000),
    channels=st.integers(1, 130),
    training=st.booleans(),
    relu=st.booleans(),
    add=st.booleans(),
    seed=st.integers(0, 9),
)
def test_values_gradients_and_running_statistics_are_those_of_float64(
    rows: int, channels: int, training: bool, relu: bool, add: bool, seed: int
) -> None:
    data = make(rows, channels, seed=seed)
    if rows < 8:  # two nearly equal values would make the comparison one of conditioning
        data["x"] = data["x"] + torch.arange(rows).unsqueeze(1)
    exact = run(data, torch.float64, training, relu, add)
    # Where the sum is zero up to rounding, the mask may fall either way.
    tie = None
    if relu:
        before = run(data, torch.float64, training, False, add)["output"]
        if bool((before.abs() < 1e-5).any()):
            data["grad"][before.abs() < 1e-5] = 0
            exact, tie = run(data, torch.float64, training, relu, add), before.abs() < 1e-5
    assert_equal(run(data, torch.float32, training, relu, add), exact, 1e-5, tie)


@pytest.mark.parametrize(("rows", "channels"), [(5, 3), (3001, 5), (2500, 96), (1000, 130), (70, 700), (9000, 64)])
@pytest.mark.parametrize("add", [False, True])
def test_bits_do_not_depend_on_threads_or_alignment(rows: int, channels: int, add: bool) -> None:
    data = make(rows, channels)
    results = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 3, 4):
            torch.set_num_threads(threads)
            results.append(run(data, torch.float32, True, True, add))
    finally:
        torch.set_num_threads(before)
    shifted = torch.empty(rows * channels + 1)[1:].view(rows, channels).copy_(data["x"])
    assert shifted.data_ptr() % 16
    running = data["running_mean"].clone(), data["running_var"].clone()
    other = data["residual"] if add else None
    out = batch_norm(shifted, data["weight"], data["bias"], *running, True, MOMENTUM, EPS, True, other)
    assert torch.equal(out, results[0]["output"])
    for result in results[1:]:
        assert all(torch.equal(result[name], value) for name, value in results[0].items())


@pytest.mark.parametrize("mean", [1e4, -1e4])
def test_a_mean_of_ten_thousand_deviations_costs_no_digit(mean: float) -> None:
    data = make(4000, 40, mean)
    data["running_mean"] += 0.37
    for training in (True, False):
        exact = run(data, torch.float64, training, False, True)
        assert_equal(run(data, torch.float32, training, False, True), exact, 2e-6)


def test_matrices_larger_than_the_caches_are_written_past_them_to_the_same_values() -> None:
    rows, channels = 2**23 // 96 + 1, 96  # 32 MB: from here on
    data = make(rows, channels)
    apart = {name: data[name][:-4].contiguous() for name in ("x", "residual")}
    running = data["running_mean"], data["running_var"]
    wanted = batch_norm(apart["x"], data["weight"], data["bias"], *running, False, 0.0, EPS, True, apart["residual"])
    out = batch_norm(data["x"], data["weight"], data["bias"], *running, False, 0.0, EPS, True, data["residual"])
    assert wanted.numel() < 2**23 <= out.numel() and torch.equal(out[:-4], wanted)
    inside = batch_norm(
        data["x"], data["weight"], data["bias"], *running, False, 0.0, EPS, True, data["residual"], inplace=True
    )
    assert inside.data_ptr() == data["x"].data_ptr() and torch.equal(inside, out)


def test_one_far_value_at_the_start_of_a_chunk_spoils_no_variance() -> None:
    x = make(3000, 96)["x"]
    x[0] = 1e5
    x[1024, :40] = -3e4
    mean, var = column_moments(x)
    exact = x.double()
    assert ((mean - exact.mean(0)).abs() <= 1e-6 * exact.std(0)).all()
    torch.testing.assert_close(var, exact.var(0, unbiased=False), rtol=1e-5, atol=0)


@pytest.mark.parametrize("value", [0.0, 3.3, 1e6, -1e-3])
def test_a_constant_channel_has_no_variance_and_becomes_the_bias(value: float) -> None:
    x, bias = torch.full((2000, 7), value), torch.linspace(-1, 1, 7)
    assert column_moments(x)[1].max() <= 1e-14 * value**2
    out = batch_norm(x, None, bias, None, None, True, MOMENTUM, EPS)
    torch.testing.assert_close(out, bias.expand_as(out), rtol=0, atol=1e-5)


@pytest.mark.parametrize("add", [False, True])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_spreads_as_in_torch(bad: float, training: bool, add: bool) -> None:
    data = make(600, 20)
    data["x"][400, 3] = bad
    data["residual"][100, 5] = bad
    ours = run(data, torch.float32, training, True, add)
    exact = run(data, torch.float64, training, True, add)
    for name, value in ours.items():
        if name != "running mean" or math.isnan(bad) or not training:  # there an infinite mean may come out as NaN
            assert torch.equal(value.isnan(), exact[name].isnan()), name
            assert torch.equal(value.isinf(), exact[name].isinf()), name


def saved_bytes(out: Tensor, but: list[Tensor]) -> int:
    node: Any = out.grad_fn
    known = {t.data_ptr() for t in but}
    return sum(t.nbytes for t in node.saved_tensors if t is not None and t.data_ptr() not in known)


@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("add", [False, True])
def test_only_input_and_output_are_kept_for_backward(relu: bool, add: bool) -> None:
    data = make(500, 24)
    leaves = [data[name].requires_grad_() for name in ("x", "weight", "bias")]
    out = batch_norm(*leaves, None, None, True, 0.0, EPS, relu, data["residual"] if add else None)
    assert saved_bytes(out, [*leaves, out]) == 2 * 24 * 8  # mean and inverse deviation
    node: Any = out.grad_fn
    assert (out.data_ptr() in {t.data_ptr() for t in node.saved_tensors if t is not None}) == (relu and add)


def test_without_gradients_nothing_is_kept_and_the_input_may_be_written_over() -> None:
    data = make(500, 24)
    x, weight, bias, running = data["x"], data["weight"], data["bias"], (data["running_mean"], data["running_var"])
    weight.requires_grad_()
    original, version = x.clone(), x._version
    with torch.no_grad():
        apart = batch_norm(x, weight, bias, *running, False, MOMENTUM, EPS, True)
        assert apart.grad_fn is None and torch.equal(x, original) and apart.data_ptr() != x.data_ptr()
        inside = batch_norm(x, weight, bias, *running, False, MOMENTUM, EPS, True, inplace=True)
    assert inside.data_ptr() == x.data_ptr() and torch.equal(inside, apart) and x._version > version
    tracked = batch_norm(original, weight, bias, *running, False, MOMENTUM, EPS, True, inplace=True)
    assert tracked.grad_fn is not None and tracked.data_ptr() != original.data_ptr()


@pytest.mark.parametrize("frozen", ["x", "weight", "bias", "residual", "weight bias", "x weight bias", "x residual"])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("relu", [False, True])
def test_what_is_frozen_gets_no_gradient_and_changes_no_other(frozen: str, training: bool, relu: bool) -> None:
    data = make(300, 17)
    full = run(data, torch.float32, training, relu, True)
    names = ("x", "weight", "bias", "residual")
    leaves = {n: data[n].clone().requires_grad_(n not in frozen.split()) for n in names}
    running = data["running_mean"].clone(), data["running_var"].clone()
    x, weight, bias, residual = leaves.values()
    out = batch_norm(x, weight, bias, *running, training, MOMENTUM, EPS, relu, residual)
    out.backward(data["grad"])
    for name, leaf in leaves.items():
        if name in frozen.split():
            assert leaf.grad is None
        else:
            assert leaf.grad is not None and torch.equal(leaf.grad, full[f"gradient of {name}"]), name


def test_rows_that_are_not_contiguous_give_the_same() -> None:
    data = make(200, 30)
    wide, grad = torch.zeros(200, 60), torch.zeros(30, 200)
    wide[:, ::2] = data["x"]
    grad.copy_(data["grad"].t())
    results = []
    for x, g in ((data["x"], data["grad"]), (wide[:, ::2], grad.t())):
        leaf = x.detach().requires_grad_()
        out = batch_norm(leaf, data["weight"], data["bias"], None, None, True, 0.0, EPS, True, data["residual"])
        results.append((out, *torch.autograd.grad(out, leaf, g)))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_what_the_kernel_cannot_do_is_told() -> None:
    x, weight, bias = torch.zeros(4, 3), torch.ones(3), torch.zeros(3)
    assert does(x, weight, bias, residual=x) and does(x) and does(x[:0], weight, bias)
    assert not does(x.double()) and not does(x, weight.double()) and not does(x[:, :0])
    assert not does(x, torch.ones(4), bias) and not does(x, residual=x[:2]) and not does(x[0])
    assert not does(x, torch.ones(6)[::2]) and not does(x.to("meta"))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert not does(x)
