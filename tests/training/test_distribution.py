"""Which device a process takes; the exchange between processes is tested where it is used."""

from __future__ import annotations

import pytest
import torch

from sparse3d.errors import InputError
from sparse3d.training.distribution import choose_device


@pytest.fixture
def four_gpus(monkeypatch: pytest.MonkeyPatch) -> list[torch.device]:
    """As if there were four, and this process the third of four; the devices that were made current."""
    taken: list[torch.device] = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    monkeypatch.setattr(torch.cuda, "set_device", taken.append)
    monkeypatch.setenv("WORLD_SIZE", "4")
    monkeypatch.setenv("LOCAL_RANK", "2")
    return taken


@pytest.mark.parametrize("device", ["auto", "cuda"])
def test_every_process_takes_the_device_of_its_rank_and_touches_no_other(
    four_gpus: list[torch.device], device: str
) -> None:
    assert choose_device(device) == torch.device("cuda", 2)
    assert four_gpus == [torch.device("cuda", 2)]


def test_one_device_for_several_processes_is_refused(
    four_gpus: list[torch.device], monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(InputError, match="train.device = 'cuda:1' would put every process on one device"):
        choose_device("cuda:1")
    monkeypatch.setenv("WORLD_SIZE", "1")
    assert choose_device("cuda:1") == torch.device("cuda", 1) and choose_device("cpu") == torch.device("cpu")
    with pytest.raises(InputError, match="torch sees 4 CUDA devices"):
        choose_device("cuda:4")
    with pytest.raises(InputError, match="--device = 'gpu' is not a device"):
        choose_device("gpu", option="--device")


def test_a_kind_of_device_that_this_torch_has_not_is_named() -> None:
    with pytest.raises(InputError, match=r"train.device = 'xpu' cannot be used here \(.*use auto, cpu, cuda"):
        choose_device("xpu")
