"""Memory stays flat over 1,000 different clouds, and every manager goes with its last tensor, without the collector."""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from sparse3d.sparse import (
    BatchNorm,
    Convolution,
    ConvolutionTranspose,
    MaxPooling,
    ReLU,
    SparseTensor,
    TensorField,
    concatenate,
    interpolate,
    slice,
)

CLOUDS = 1000
WARM_UP = 200  # until the allocator's pools are as large as they get
_MB = 1 << 20


class SmallNet(nn.Module):
    """Down, up again and a skip connection: kernel maps of every kind."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(Convolution(3, 8, 3), BatchNorm(8), ReLU())
        self.down = nn.Sequential(Convolution(8, 16, 2, stride=2), BatchNorm(16), ReLU())
        self.pool = MaxPooling(2, stride=2)
        self.up = ConvolutionTranspose(16, 8, 2, stride=4)
        self.head = Convolution(16, 4, 1, bias=True)

    def forward(self, x: SparseTensor) -> SparseTensor:
        fine = self.stem(x)
        return self.head(concatenate(fine, self.up(self.pool(self.down(fine)))))


@pytest.fixture
def no_collector() -> Iterator[None]:
    """Only reference counts free anything."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """The clouds are so small that threads would only wait for each other."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def resident_bytes() -> int:
    """Memory of this process that is in RAM now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def cloud(seed: int) -> TensorField:
    """150 to 250 points, different in number and place each time."""
    generator = torch.Generator().manual_seed(seed)
    count = 150 + seed * 37 % 100
    points = torch.cat([torch.arange(count)[:, None] % 2, torch.rand(count, 3, generator=generator) * 12 - 6], dim=1)
    return TensorField(torch.rand(count, 3, generator=generator), points)


def train_step(net: nn.Module, field: TensorField, backend: str) -> tuple[weakref.ref[object], Tensor]:
    """A step as training does it; a reference to the manager that does not keep it, and the loss."""
    x = field.sparse("average", backend=backend)
    out = net(x)
    loss = slice(out, field).square().mean() + interpolate(out, field.coords).square().mean()
    net.zero_grad()
    loss.backward()
    return weakref.ref(x.manager), loss.detach()


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="resident memory is read from /proc")
@pytest.mark.usefixtures("no_collector")
def test_a_thousand_clouds_take_the_memory_of_the_first(backend: str) -> None:
    torch.manual_seed(0)
    net = SmallNet()
    resident = []
    for seed in range(CLOUDS):
        manager, loss = train_step(net, cloud(seed), backend)
        assert manager() is None, "a manager outlived its tensors"
        assert bool(loss.isfinite())
        resident.append(resident_bytes())
    early, late = max(resident[:WARM_UP]), max(resident[WARM_UP:])
    assert late - early < 4 * _MB, f"{(late - early) / _MB:.1f} MB more after {CLOUDS} clouds than after {WARM_UP}"


@pytest.mark.usefixtures("no_collector")
def test_a_manager_lives_as_long_as_one_tensor_or_graph_needs_it(backend: str) -> None:
    field = cloud(0)
    x = field.sparse(backend=backend)
    manager = weakref.ref(x.manager)
    out = SmallNet()(x)
    del x
    assert manager() is not None
    loss = out.feats.sum()
    del out
    loss.backward()  # the graph holds the kernel maps it needs, whoever holds the manager
    del loss
    assert manager() is None
