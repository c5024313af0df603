"""The same networks written with MinkowskiEngine's own modules, as its users write them."""

from __future__ import annotations

from typing import Any

from torch import nn

from sparse3d.benchmark.networks import OUT_CHANNELS, layer_width
from sparse3d.models.resunet import SPECS
from sparse3d.sparse import minkowski_import


def minkowski_network(name: str) -> nn.Module:
    """The network ``name`` with MinkowskiEngine's layers and the parameter names of ours.

    Raises:
        ImportError: where MinkowskiEngine does not load.
    """
    width = layer_width(name)
    return MinkowskiUNet(name) if width is None else _convolution(width, width, 3)


def _convolution(c_in: int, c_out: int, size: int, **options: Any) -> nn.Module:
    return minkowski_import.load().MinkowskiConvolution(c_in, c_out, kernel_size=size, dimension=3, **options)


class _Block(nn.Module):
    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        engine = minkowski_import.load()
        self.conv1, self.norm1 = _convolution(c_in, c_out, 3), engine.MinkowskiBatchNorm(c_out)
        self.conv2, self.norm2 = _convolution(c_out, c_out, 3), engine.MinkowskiBatchNorm(c_out)
        self.relu = engine.MinkowskiReLU(inplace=True)
        self.downsample = None
        if c_in != c_out:
            self.downsample = nn.Sequential(_convolution(c_in, c_out, 1), engine.MinkowskiBatchNorm(c_out))

    def forward(self, x: Any) -> Any:
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.norm2(self.conv2(self.relu(self.norm1(self.conv1(x)))))
        out += shortcut
        return self.relu(out)


class MinkowskiUNet(nn.Module):
    """A Res16UNet, with in-place activations and sums as MinkowskiEngine's example networks have them."""

    def __init__(self, spec: str) -> None:
        super().__init__()
        engine, table = minkowski_import.load(), SPECS[spec]
        planes, stem = table.planes, table.stem
        self._engine, self.relu = engine, engine.MinkowskiReLU(inplace=True)
        self.conv0p1s1, self.bn0 = _convolution(3, stem, 5), engine.MinkowskiBatchNorm(stem)
        width = stem
        for level in range(4):
            self.add_module(f"conv{level + 1}p{2**level}s2", _convolution(width, width, 2, stride=2))
            self.add_module(f"bn{level + 1}", engine.MinkowskiBatchNorm(width))
            self.add_module(f"block{level + 1}", _stage(width, planes[level], table.layers[level]))
            width = planes[level]
        for level, skip in enumerate((planes[2], planes[1], planes[0], stem)):
            stage = level + 4
            up = engine.MinkowskiConvolutionTranspose(width, planes[stage], kernel_size=2, stride=2, dimension=3)
            self.add_module(f"convtr{stage}p{2 ** (4 - level)}s2", up)
            self.add_module(f"bntr{stage}", engine.MinkowskiBatchNorm(planes[stage]))
            self.add_module(f"block{stage + 1}", _stage(planes[stage] + skip, planes[stage], table.layers[stage]))
            width = planes[stage]
        self.final = _convolution(width, OUT_CHANNELS, 1, bias=True)

    def forward(self, x: Any) -> Any:
        part = self.get_submodule
        levels = [self.relu(self.bn0(self.conv0p1s1(x)))]
        for level in range(4):
            down = part(f"bn{level + 1}")(part(f"conv{level + 1}p{2**level}s2")(levels[-1]))
            levels.append(part(f"block{level + 1}")(self.relu(down)))
        out = levels[-1]
        for level in range(4):
            stage = level + 4
            up = self.relu(part(f"bntr{stage}")(part(f"convtr{stage}p{2 ** (4 - level)}s2")(out)))
            out = part(f"block{stage + 1}")(self._engine.cat(up, levels[3 - level]))
        return self.final(out)


def _stage(c_in: int, c_out: int, blocks: int) -> nn.Sequential:
    widths = [c_in] + [c_out] * blocks
    return nn.Sequential(*(_Block(a, b) for a, b in zip(widths, widths[1:], strict=False)))
