"""Batch normalisation over voxels, alone and with its statistics over several processes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch
import torch.multiprocessing as mp
from torch import Tensor, nn

from sparse3d.sparse import BatchNorm
from sparse3d.sparse.batch_norm import SynchronizedBatchNorm1d
from sparse3d.training.distribution import processes

CHANNELS = 5
SPLITS = [(9, 4), (13, 0)]  # rows of each process


def make_step(step: int) -> tuple[Tensor, Tensor]:
    """Inputs far from zero mean, and the gradients that come back: (13, C) each."""
    generator = torch.Generator().manual_seed(step)
    x = 3 + 2 * torch.randn(sum(SPLITS[step]), CHANNELS, generator=generator)
    return x, torch.randn(x.shape, generator=generator)


def set_affine(norm: nn.BatchNorm1d) -> None:
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.5, 2, CHANNELS))
        norm.bias.copy_(torch.linspace(-1, 1, CHANNELS))


def run_steps(norm: nn.BatchNorm1d, rank: int | None) -> list[Tensor]:
    """Output, input gradient and parameter gradients of every step, then the buffers."""
    results: list[Tensor] = []
    for step, split in enumerate(SPLITS):
        x, cotangent = make_step(step)
        if rank is not None:
            x, cotangent = x.split(split)[rank], cotangent.split(split)[rank]
        x = x.clone().requires_grad_()
        norm.zero_grad()
        out = norm(x)
        (out * cotangent).sum().backward()
        assert x.grad is not None and norm.weight.grad is not None and norm.bias.grad is not None
        results += [out.detach(), x.grad, norm.weight.grad.clone(), norm.bias.grad.clone()]
    assert norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None
    return [*results, norm.running_mean, norm.running_var, norm.num_batches_tracked]


def process(rank: int, folder: str, port: int) -> None:
    torch.set_num_threads(1)
    os.environ.update(RANK=str(rank), WORLD_SIZE="2", MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port))
    with processes("cpu"):
        norm = SynchronizedBatchNorm1d(CHANNELS)
        set_affine(norm)
        torch.save(run_steps(norm, rank), f"{folder}/{rank}.pt")
        with pytest.raises(ValueError, match="two voxels over all processes"):
            norm(torch.zeros(1 - rank, CHANNELS))
        assert norm.eval()(torch.zeros(rank, CHANNELS)).shape == (rank, CHANNELS)  # evaluation waits for nobody


def test_two_processes_of_unequal_rows_equal_one_process_with_all(tmp_path: Path, free_port: int) -> None:
    mp.spawn(process, args=(str(tmp_path), free_port), nprocs=2)
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    norm = nn.BatchNorm1d(CHANNELS)
    set_affine(norm)
    expected = run_steps(norm, None)
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


def test_alone_it_is_torchs_own() -> None:
    ours, torchs = SynchronizedBatchNorm1d(CHANNELS), nn.BatchNorm1d(CHANNELS)
    assert all(torch.equal(a, b) for a, b in zip(run_steps(ours, None), run_steps(torchs, None), strict=True))


def test_parameters_sit_under_bn_as_in_minkowski_engine() -> None:
    names = set(BatchNorm(3).state_dict())
    assert names == {f"bn.{n}" for n in ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")}


def test_training_on_one_voxel_is_an_error_and_evaluating_is_not() -> None:
    norm = SynchronizedBatchNorm1d(CHANNELS)
    with pytest.raises(ValueError, match="more than 1 value"):
        norm(torch.zeros(1, CHANNELS))
    assert norm.eval()(torch.zeros(1, CHANNELS)).shape == (1, CHANNELS)
