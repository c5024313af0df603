"""Batch normalisation over voxels, alone and with its statistics over several processes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor, nn

from sparse3d.sparse import BatchNorm, native
from sparse3d.sparse.batch_norm import SynchronizedBatchNorm1d
from sparse3d.training.distribution import processes

CHANNELS = 5
SPLITS = [(9, 4), (13, 0)]  # rows of each process
HALF = (torch.bfloat16, torch.float16)
FORMS = ["portable", "native"] if native.available() else ["portable"]


NATIVE = pytest.param(True, marks=pytest.mark.skipif(not native.available(), reason=native.why_not()))


def make_step(step: int) -> tuple[Tensor, Tensor]:
    """Inputs far from zero mean, and the gradients that come back: (13, C) each."""
    generator = torch.Generator().manual_seed(step)
    x = 3 + 2 * torch.randn(sum(SPLITS[step]), CHANNELS, generator=generator)
    return x, torch.randn(x.shape, generator=generator)


def far_rows(dtype: torch.dtype) -> Tensor:
    """Rows whose mean has no near neighbour in a half type, (13, C)."""
    return (100 + make_step(0)[0]).to(dtype)


def set_affine(norm: nn.BatchNorm1d) -> None:
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.5, 2, CHANNELS))
        norm.bias.copy_(torch.linspace(-1, 1, CHANNELS))


def run_steps(norm: nn.BatchNorm1d, rank: int | None, **how: bool) -> list[Tensor]:
    """Output, input gradient and parameter gradients of every step, then the buffers."""
    results: list[Tensor] = []
    for step, split in enumerate(SPLITS):
        x, cotangent = make_step(step)
        if rank is not None:
            x, cotangent = x.split(split)[rank], cotangent.split(split)[rank]
        x = x.clone().requires_grad_()
        norm.zero_grad()
        out = norm(x, **how)
        (out * cotangent).sum().backward()
        assert x.grad is not None and norm.weight.grad is not None and norm.bias.grad is not None
        results += [out.detach(), x.grad, norm.weight.grad.clone(), norm.bias.grad.clone()]
    assert norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None
    return [*results, norm.running_mean, norm.running_var, norm.num_batches_tracked]


def process(rank: int, folder: str, port: int) -> None:
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    with processes("cpu"):
        for name in FORMS:
            norm = SynchronizedBatchNorm1d(CHANNELS)
            set_affine(norm)
            torch.save(run_steps(norm, rank, native=name == "native"), f"{folder}/{name}{rank}.pt")
        for dtype in HALF:
            with torch.no_grad():
                torch.save(norm(far_rows(dtype).split(SPLITS[0])[rank]), f"{folder}/{dtype}{rank}.pt")
        with pytest.raises(ValueError, match="two voxels over all processes"):
            norm(torch.zeros(1 - rank, CHANNELS))
        assert norm.eval()(torch.zeros(rank, CHANNELS)).shape == (rank, CHANNELS)  # evaluation waits for nobody


def test_two_processes_of_unequal_rows_equal_one_process_with_all(tmp_path: Path, free_port: int) -> None:
    mp.spawn(process, args=(str(tmp_path), free_port), nprocs=2)
    norm = nn.BatchNorm1d(CHANNELS)
    set_affine(norm)
    expected = run_steps(norm, None)
    for name in FORMS:
        first, second = (torch.load(tmp_path / f"{name}{rank}.pt") for rank in range(2))
        compare(first, second, expected)
    for dtype in HALF:
        out = torch.cat([torch.load(tmp_path / f"{dtype}{rank}.pt") for rank in range(2)])
        exact = norm.double()(far_rows(dtype).double())
        assert out.dtype == dtype  # as of one process alone
        torch.testing.assert_close(out.double(), exact, rtol=torch.finfo(dtype).eps / 2, atol=1e-3)


def compare(first: list[Tensor], second: list[Tensor], expected: list[Tensor]) -> None:
    """Results of two processes with parts of the rows against those of one with all."""
    per_step = 4
    for step in range(len(SPLITS)):
        at = step * per_step
        for rows in (at, at + 1):  # output and input gradient: the processes' rows one after the other
            torch.testing.assert_close(torch.cat([first[rows], second[rows]]), expected[rows], rtol=1e-6, atol=1e-6)
        for total in (at + 2, at + 3):  # parameter gradients add up, as the trainer's all-reduce does
            torch.testing.assert_close(first[total] + second[total], expected[total], rtol=1e-6, atol=1e-6)
    for buffer in range(per_step * len(SPLITS), len(expected)):
        torch.testing.assert_close(first[buffer], expected[buffer], rtol=1e-6, atol=1e-6)
        assert torch.equal(first[buffer], second[buffer])


OPTIONS: list[dict[str, Any]] = [
    {},
    {"momentum": None},
    {"affine": False},
    {"track_running_stats": False},
    {"eps": 0.1, "momentum": 0.7},
]


def both_forms(options: dict[str, Any]) -> list[nn.BatchNorm1d]:
    """Twice ours (portable, native) and torch's, with the same affine parameters."""
    norms = [SynchronizedBatchNorm1d(CHANNELS, **options) for _ in range(2)] + [nn.BatchNorm1d(CHANNELS, **options)]
    for norm in norms:
        if norm.affine:
            set_affine(norm)
    return norms


def test_alone_it_is_torchs_own() -> None:
    ours, torchs = SynchronizedBatchNorm1d(CHANNELS), nn.BatchNorm1d(CHANNELS)
    # Sums over rows are taken in another order than torch's, the same for every number of threads.
    torch.testing.assert_close(run_steps(ours, None), run_steps(torchs, None), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("relu", [False, True])
@pytest.mark.parametrize("add", [False, True])
def test_portable_and_native_form_are_torchs_norm_then_sum_then_relu(
    options: dict[str, Any], relu: bool, add: bool
) -> None:
    portable, compiled, torchs = both_forms(options)
    for step in range(4):
        torchs.train(step != 2), portable.train(step != 2), compiled.train(step != 2)
        x, residual = make_step(0)[0] * (1 + step), make_step(1)[0] if add else None
        expected = torchs(x) if residual is None else torchs(x) + residual
        expected = expected.relu() if relu else expected
        torch.testing.assert_close(portable(x, relu, residual), expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(compiled(x, relu, residual, native=True), expected, rtol=1e-5, atol=1e-5)
    for norm in (portable, compiled):
        for (name, ours), theirs in zip(norm.state_dict().items(), torchs.state_dict().values(), strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6, msg=name)


@pytest.mark.parametrize("options", [{}, {"affine": False}, {"track_running_stats": False}])
@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("relu", [False, True])
def test_gradients_of_the_portable_form_are_those_of_finite_differences(
    options: dict[str, Any], training: bool, relu: bool
) -> None:
    norm = SynchronizedBatchNorm1d(CHANNELS, momentum=0.0, **options).double().train(training)
    if norm.affine:
        set_affine(norm)
    x, residual = (t.double().requires_grad_() for t in make_step(0))
    parameters = tuple(norm.parameters())
    before = norm(x, False, residual)
    assert before.abs().min() > 1e-4  # no sum so near ReLU's corner that a finite difference crosses it
    assert torch.autograd.gradcheck(lambda a, b, *_: norm(a, relu, b, native=True), (x, residual, *parameters))


def test_no_input_is_written_over_unless_that_is_asked_for() -> None:
    norm = SynchronizedBatchNorm1d(CHANNELS)
    for form in (False, True):
        for training in (False, True):
            x, residual = make_step(0)
            kept = x.clone(), residual.clone()
            with torch.no_grad():
                norm.train(training)(x, True, residual, native=form)
            assert torch.equal(x, kept[0]) and torch.equal(residual, kept[1])


@pytest.mark.parametrize("native_form", [False, NATIVE])
def test_no_voxel_at_all_and_shapes_that_do_not_fit(native_form: bool) -> None:
    norm = SynchronizedBatchNorm1d(CHANNELS)
    for training in (False, True):
        x = torch.zeros(0, CHANNELS, requires_grad=True)
        out = norm.train(training)(x, True, torch.zeros(0, CHANNELS), native=native_form)
        out.sum().backward()
        assert out.shape == (0, CHANNELS)
    with pytest.raises(ValueError, match="residual's shape"):
        norm(torch.zeros(3, CHANNELS), residual=torch.zeros(3, 1), native=native_form)
    with pytest.raises(RuntimeError, match="running_mean should contain"):
        norm(torch.zeros(3, CHANNELS + 1), native=native_form)


@pytest.mark.parametrize("native_form", [False, NATIVE])
def test_half_precision_and_autocast_fall_back_to_torch(native_form: bool) -> None:
    norm = SynchronizedBatchNorm1d(CHANNELS)
    x, residual = make_step(0)
    exact = norm(x, True, residual)
    out = norm(x.bfloat16(), True, residual.bfloat16(), native=native_form)
    assert out.dtype == torch.bfloat16
    torch.testing.assert_close(out.float(), exact, rtol=0.05, atol=0.05)
    assert norm(x.bfloat16(), True, residual, native=native_form).dtype == torch.float32


def test_parameters_sit_under_bn_as_in_minkowski_engine() -> None:
    names = set(BatchNorm(3).state_dict())
    assert names == {f"bn.{n}" for n in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}


@pytest.mark.parametrize("native_form", [False, NATIVE])
def test_training_on_one_voxel_is_an_error_and_evaluating_is_not(native_form: bool) -> None:
    norm = SynchronizedBatchNorm1d(CHANNELS)
    with pytest.raises(ValueError, match="more than 1 value"):
        norm(torch.zeros(1, CHANNELS), native=native_form)
    assert norm.eval()(torch.zeros(1, CHANNELS), native=native_form).shape == (1, CHANNELS)
    unsteady = SynchronizedBatchNorm1d(CHANNELS, track_running_stats=False).eval()
    with pytest.raises(ValueError, match="more than 1 value"):
        unsteady(torch.zeros(1, CHANNELS), native=native_form)


@pytest.mark.parametrize("channels", [24, 1, 0])
def test_training_has_the_same_bits_for_every_number_of_threads(channels: int) -> None:
    threads, results = torch.get_num_threads(), []
    x, cotangent = torch.randn(20_011, channels), torch.randn(20_011, channels)
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            norm, again = SynchronizedBatchNorm1d(channels), x.clone().requires_grad_()
            out = norm(again)
            gradients = torch.autograd.grad(out, [again, *norm.parameters()], cotangent)
            results.append([out.detach(), *gradients, norm.running_mean, norm.running_var])
    finally:
        torch.set_num_threads(threads)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_rows_of_three_axes_and_far_from_zero_are_torchs() -> None:
    for shape in ((8, CHANNELS, 4), (CHANNELS, CHANNELS, 4)):
        x = torch.randn(shape)
        options = {"affine": False, "track_running_stats": False}
        torch.testing.assert_close(
            SynchronizedBatchNorm1d(CHANNELS, **options)(x), nn.BatchNorm1d(CHANNELS, **options)(x)
        )
    x = 100 + torch.randn(100_000, 3)
    exact = nn.BatchNorm1d(3).double()(x.double())
    torch.testing.assert_close(SynchronizedBatchNorm1d(3)(x).double(), exact, rtol=0, atol=1e-4)
