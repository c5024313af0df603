"""The whole SR-UNet: on every backend, and against the same network written with MinkowskiEngine's modules.

float32 gradients of a deep network that is not trained differ between any two implementations by its conditioning, so
whole networks are held in float64; float32 is held forward.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparse3d.models.resunet import SRUNet
from sparse3d.sparse import SparseTensor, native

pytestmark = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")

BACKENDS = ["torch", "minkowski", *(["native"] if native.available() else [])]

# planes, blocks a stage and stem width, as the public networks and this package's own small one have them
WIDTHS = {
    "SRUNet14-CPU": ((32, 48, 64, 96, 96, 64, 64, 64), (1,) * 8, 24),
    "Res16UNet14A": ((32, 64, 128, 256, 128, 128, 96, 96), (1,) * 8, 32),
    "Res16UNet34C": ((32, 64, 128, 256, 256, 128, 96, 96), (2, 3, 4, 6, 2, 2, 2, 2), 32),
}


def residual_block(ME: Any, c_in: int, c_out: int) -> nn.Module:
    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = ME.MinkowskiConvolution(c_in, c_out, kernel_size=3, dimension=3)
            self.norm1 = ME.MinkowskiBatchNorm(c_out)
            self.conv2 = ME.MinkowskiConvolution(c_out, c_out, kernel_size=3, dimension=3)
            self.norm2 = ME.MinkowskiBatchNorm(c_out)
            self.relu = ME.MinkowskiReLU()
            if c_in != c_out:
                project = ME.MinkowskiConvolution(c_in, c_out, kernel_size=1, dimension=3)
                self.downsample = nn.Sequential(project, ME.MinkowskiBatchNorm(c_out))

        def forward(self, x: Any) -> Any:
            shortcut = self.downsample(x) if c_in != c_out else x
            x = self.relu(self.norm1(self.conv1(x)))
            return self.relu(self.norm2(self.conv2(x)) + shortcut)

    return Block()


def minkowski_network(ME: Any, spec: str, c_in: int, c_out: int) -> nn.Module:
    """A Res16UNet of MinkowskiEngine's own modules, under the public parameter names."""
    planes, counts, stem = WIDTHS[spec]

    def stage(width: int, index: int) -> nn.Sequential:
        widths = [width, *[planes[index]] * counts[index]]
        return nn.Sequential(*(residual_block(ME, a, b) for a, b in zip(widths, widths[1:], strict=False)))

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv0p1s1 = ME.MinkowskiConvolution(c_in, stem, kernel_size=5, dimension=3)
            self.bn0 = ME.MinkowskiBatchNorm(stem)
            width = stem
            for i, name in enumerate(("conv1p1s2", "conv2p2s2", "conv3p4s2", "conv4p8s2")):
                self.add_module(name, ME.MinkowskiConvolution(width, width, kernel_size=2, stride=2, dimension=3))
                self.add_module(f"bn{i + 1}", ME.MinkowskiBatchNorm(width))
                self.add_module(f"block{i + 1}", stage(width, i))
                width = planes[i]
            skips = (planes[2], planes[1], planes[0], stem)
            for i, name in enumerate(("convtr4p16s2", "convtr5p8s2", "convtr6p4s2", "convtr7p2s2")):
                up = ME.MinkowskiConvolutionTranspose(width, planes[4 + i], kernel_size=2, stride=2, dimension=3)
                self.add_module(name, up)
                self.add_module(f"bntr{4 + i}", ME.MinkowskiBatchNorm(planes[4 + i]))
                self.add_module(f"block{5 + i}", stage(planes[4 + i] + skips[i], 4 + i))
                width = planes[4 + i]
            self.final = ME.MinkowskiConvolution(width, c_out, kernel_size=1, bias=True, dimension=3)
            self.relu = ME.MinkowskiReLU()

        def forward(self, x: Any) -> Any:
            x = self.relu(self.bn0(self.conv0p1s1(x)))
            skips = []
            for i, name in enumerate(("conv1p1s2", "conv2p2s2", "conv3p4s2", "conv4p8s2")):
                skips.append(x)
                x = self.relu(self.get_submodule(f"bn{i + 1}")(self.get_submodule(name)(x)))
                x = self.get_submodule(f"block{i + 1}")(x)
            for i, name in enumerate(("convtr4p16s2", "convtr5p8s2", "convtr6p4s2", "convtr7p2s2")):
                x = self.relu(self.get_submodule(f"bntr{4 + i}")(self.get_submodule(name)(x)))
                x = self.get_submodule(f"block{5 + i}")(ME.cat(x, skips.pop()))
            return self.final(x)

    return Network()


def difference(a: Tensor, b: Tensor) -> float:
    """Largest difference, relative to the largest value of ``b``."""
    return float((a - b).abs().max() / b.abs().max().clamp_min(1e-300))


def ours(net: nn.Module, coords: Tensor, feats: Tensor, backend: str) -> list[Tensor]:
    """The output in the caller's row order, the input's gradient and those of the parameters."""
    x = feats.clone().requires_grad_()
    out = net(SparseTensor.from_coords(coords, x, backend=backend))
    assert torch.equal(out.coords, coords)
    return with_gradients(out.feats, x, net)


def theirs(ME: ModuleType, net: nn.Module, coords: Tensor, feats: Tensor) -> list[Tensor]:
    x = feats.clone().requires_grad_()
    out = net(ME.SparseTensor(x, coordinates=coords))
    assert torch.equal(out.C, coords)
    return with_gradients(out.F, x, net)


def with_gradients(out: Tensor, x: Tensor, net: nn.Module) -> list[Tensor]:
    cotangent = torch.randn(out.shape, generator=torch.Generator().manual_seed(2), dtype=out.dtype)
    parameters = [parameter for _, parameter in sorted(net.named_parameters())]
    return [out.detach(), *torch.autograd.grad(out, [x, *parameters], cotangent)]


def training_clouds(coords: Tensor) -> Tensor:
    """A part of the cloud, for speed, that keeps neighbours together."""
    return coords[(coords[:, 1:] // 16).sum(1) % 2 == 0]


@pytest.mark.parametrize("spec", ["SRUNet14-CPU", "Res16UNet14A"])
def test_every_backend_gives_their_network_and_gradients_in_float64(
    minkowski: ModuleType, cloud_coords: Tensor, spec: str
) -> None:
    coords = training_clouds(cloud_coords)
    torch.manual_seed(0)
    net = SRUNet(3, spec, 8).double()
    reference = minkowski_network(minkowski, spec, 3, 8).double()
    reference.load_state_dict(net.state_dict(), strict=True)
    feats = torch.rand(len(coords), 3, dtype=torch.float64)
    expected = theirs(minkowski, reference, coords, feats)
    for backend in BACKENDS:
        results = ours(net, coords, feats, backend)
        assert all(difference(a, b) <= 1e-10 for a, b in zip(results, expected, strict=True)), backend


@pytest.mark.parametrize("spec", ["SRUNet14-CPU", "Res16UNet14A"])
def test_evaluation_in_float32_agrees(minkowski: ModuleType, cloud_coords: Tensor, spec: str) -> None:
    torch.manual_seed(0)
    net = SRUNet(3, spec, 8)
    feats = torch.rand(len(cloud_coords), 3)
    net(SparseTensor.from_coords(cloud_coords, feats))  # running statistics other than those of the start
    net.eval()
    reference = minkowski_network(minkowski, spec, 3, 8).eval()
    reference.load_state_dict(net.state_dict(), strict=True)
    with torch.no_grad():
        expected = reference(minkowski.SparseTensor(feats, coordinates=cloud_coords)).F
        for backend in BACKENDS:
            out = net(SparseTensor.from_coords(cloud_coords, feats, backend=backend)).feats
            assert difference(out, expected) <= 1e-5


def test_weights_that_minkowski_engine_wrote_load_by_name(
    minkowski: ModuleType, surface_coords: Tensor, tmp_path: Any
) -> None:
    """The deepest public network, trained a step so that every parameter and buffer has left its start."""
    torch.manual_seed(0)
    written = minkowski_network(minkowski, "Res16UNet34C", 3, 20)
    coords = surface_coords[surface_coords[:, 0] == 0]
    feats = torch.rand(len(coords), 3)
    optimizer = torch.optim.SGD(written.parameters(), lr=1e-3)
    written(minkowski.SparseTensor(feats, coordinates=coords)).F.square().mean().backward()
    optimizer.step()
    torch.save(written.state_dict(), tmp_path / "weights.pth")
    net = SRUNet(3, "Res16UNet34C", 20)
    net.load_state_dict(torch.load(tmp_path / "weights.pth"), strict=True)
    with torch.no_grad():
        expected = written.eval()(minkowski.SparseTensor(feats, coordinates=coords)).F
        for backend in BACKENDS:
            out = net.eval()(SparseTensor.from_coords(coords, feats, backend=backend)).feats
            assert difference(out, expected) <= 1e-5
