"""Where a pre-training step's time goes: all of it is shared out, and each part to whom it belongs."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gin
import pytest
import torch
from torch import Tensor, nn
from torch.profiler import ProfilerActivity, profile, record_function

from sparse3d.benchmark.pretrain import PARTS, REST, shares_of_parts
from sparse3d.benchmark.ranges import PREFIX, STEP, marked_kernel_maps, marked_modules, seconds_by_range
from sparse3d.sparse.manager import CoordinateManager
from sparse3d.tools import bench

SMALL = (
    "train.batch_size = 2", "train.warmup = 0", "train.workers = 0", "train.device = 'cpu'", "VOXEL_SIZE = 0.2",
    "FrameFolder.size = (64, 48)", "MatchingPairs.max_pairs = 2", "EfficientNetLite0Teacher.pretrained = False",
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_config_stays() -> Iterator[None]:
    yield
    gin.clear_config()


class _Slow(torch.autograd.Function):
    """The identity; sleeps 30 ms forward and 60 ms backward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        time.sleep(0.03)
        return x.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        time.sleep(0.06)
        return grad


class SlowModule(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return _Slow.apply(x) * 2


def profiled(module: nn.Module, inner: nn.Module) -> tuple[dict[tuple[str, bool], float], float]:
    x = torch.rand(10, requires_grad=True)
    with marked_modules({"outer": module, "inner": inner}), profile(activities=[ProfilerActivity.CPU]) as profiler:
        with record_function(PREFIX + STEP):
            started = time.perf_counter()
            out = module(x)
            with record_function(PREFIX + "losses"):
                time.sleep(0.02)
                loss = out.square().sum()
            loss.backward()
            seconds = time.perf_counter() - started
        time.sleep(0.05)  # outside of a step: not counted
    return seconds_by_range(profiler.events()), seconds


def test_every_second_of_a_step_is_counted_once_and_the_backward_pass_goes_to_its_module() -> None:
    inner = SlowModule()
    seconds, whole = profiled(nn.Sequential(inner, nn.ReLU()), inner)
    assert sum(seconds.values()) == pytest.approx(whole, abs=0.02)
    assert seconds["inner", False] == pytest.approx(0.03, abs=0.02)
    assert seconds["inner", True] == pytest.approx(0.06, abs=0.02)
    assert seconds["losses", False] == pytest.approx(0.02, abs=0.02)
    assert seconds["outer", False] < 0.02  # what is inside the inner range is not counted again
    assert ("outer", True) in seconds and ("losses", True) in seconds


def test_marks_are_taken_away_again() -> None:
    module, method = nn.ReLU(), CoordinateManager.kernel_map
    with marked_modules({"relu": module}), marked_kernel_maps():
        assert CoordinateManager.kernel_map is not method
    assert CoordinateManager.kernel_map is method
    assert not module._forward_hooks and not module._forward_pre_hooks


def test_what_no_part_claims_is_the_rest() -> None:
    shares = shares_of_parts({("data", False): 1.0, (STEP, False): 2.0, ("unheard of", True): 1.0})
    assert shares["waiting for data"] == 0.25 and shares[REST] == 0.75


def test_the_tool_shares_out_real_steps(room_folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bindings = [f"DATA_ROOT = {str(room_folder)!r}", *SMALL]
    options = [part for text in bindings for part in ("--set", text)]
    arguments = ["pretrain", "base/pretrain.gin", "--steps", "2", "--skip", "1", "--json", *options]
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", ["bench.py", *arguments])
        bench.main()
    out, error = capsys.readouterr()
    assert ended.value.code == 0, error
    found = json.loads(out.splitlines()[-1])
    shares = found["shares"]
    assert list(shares) == [*PARTS, REST]
    assert sum(shares.values()) == pytest.approx(1)
    assert all(shares[part] > 0 for part in PARTS)
    assert shares["backbone backward"] > 0.01 and shares["losses"] > 0.01 and shares["2D student"] > 0.001
    assert shares["waiting for data"] > 0.001  # without workers the data are made in the step
    assert found["seconds_a_step"] > 0 and 0 < found["waiting"] < 1
    assert "backbone forward" in out
