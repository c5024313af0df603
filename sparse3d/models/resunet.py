"""SR-UNet: the sparse residual U-Net family Res16UNet, from one table of specifications.

Names and shapes of the parameters are those of MinkowskiEngine's example networks (``conv0p1s1``, ``bn0``,
``conv1p1s2``, ..., ``block8``, ``final``), so that public Res16UNet weights load by name.
Source: Choy, Gwak, Savarese, "4D Spatio-Temporal ConvNets: Minkowski Convolutional Neural Networks" (CVPR 2019).
"""

from __future__ import annotations

from dataclasses import dataclass

import gin
import torch
from torch import nn

from sparse3d.checks import at_least, in_range, one_of
from sparse3d.sparse import BatchNorm, Convolution, ConvolutionTranspose, SparseTensor, conv_norm
from sparse3d.sparse.conv_norm import is_watched
from sparse3d.sparse.kernel_map import KernelRegion


@dataclass(frozen=True)
class ResUNetSpec:
    """Widths of the eight stages (four down, four up), residual blocks in each, and the width of the stem."""

    planes: tuple[int, int, int, int, int, int, int, int]
    layers: tuple[int, int, int, int, int, int, int, int]
    stem: int = 32


_ONE, _TWO, _DEEP = (1,) * 8, (2,) * 8, (2, 3, 4, 6, 2, 2, 2, 2)

SPECS: dict[str, ResUNetSpec] = {
    # For machines without a GPU: a quarter of Res16UNet14A's products, the same depth and receptive field.
    "SRUNet14-CPU": ResUNetSpec((32, 48, 64, 96, 96, 64, 64, 64), _ONE, stem=24),
    "SRUNet18-CPU": ResUNetSpec((32, 48, 64, 96, 96, 64, 64, 64), _TWO, stem=24),
    "Res16UNet14": ResUNetSpec((32, 64, 128, 256, 256, 256, 256, 256), _ONE),
    "Res16UNet14A": ResUNetSpec((32, 64, 128, 256, 128, 128, 96, 96), _ONE),
    "Res16UNet14B": ResUNetSpec((32, 64, 128, 256, 128, 128, 128, 128), _ONE),
    "Res16UNet14C": ResUNetSpec((32, 64, 128, 256, 192, 192, 128, 128), _ONE),
    "Res16UNet18": ResUNetSpec((32, 64, 128, 256, 256, 256, 256, 256), _TWO),
    "Res16UNet18A": ResUNetSpec((32, 64, 128, 256, 128, 128, 96, 96), _TWO),
    "Res16UNet18B": ResUNetSpec((32, 64, 128, 256, 128, 128, 128, 128), _TWO),
    "Res16UNet34": ResUNetSpec((32, 64, 128, 256, 256, 256, 256, 256), _DEEP),
    "Res16UNet34A": ResUNetSpec((32, 64, 128, 256, 256, 128, 64, 64), _DEEP),
    "Res16UNet34B": ResUNetSpec((32, 64, 128, 256, 256, 128, 64, 32), _DEEP),
    "Res16UNet34C": ResUNetSpec((32, 64, 128, 256, 256, 128, 96, 96), _DEEP),
}


_BLOCKS = KernelRegion((3, 3, 3))


class BasicBlock(nn.Module):
    """Two 3^3 convolutions with a residual connection, projected by ``downsample`` where the width changes."""

    def __init__(self, in_channels: int, out_channels: int, momentum: float) -> None:
        super().__init__()
        self.conv1 = Convolution(in_channels, out_channels, 3)
        self.norm1 = BatchNorm(out_channels, momentum=momentum)
        self.conv2 = Convolution(out_channels, out_channels, 3)
        self.norm2 = BatchNorm(out_channels, momentum=momentum)
        self.downsample = (
            nn.Sequential(Convolution(in_channels, out_channels, 1), BatchNorm(out_channels, momentum=momentum))
            if in_channels != out_channels
            else None
        )

    def forward(self, x: SparseTensor) -> SparseTensor:
        residual, own = x, False  # whether the residual is this block's, with no other reader
        if self.downsample is not None:
            convolution, norm = self.downsample
            assert isinstance(convolution, Convolution) and isinstance(norm, BatchNorm)
            own = not is_watched(convolution, norm, self.downsample)
            residual = conv_norm(x, convolution, norm) if own else self.downsample(x)
        # Without a name of its own what is between is gone before the next is made; it matters where memory is highest.
        return conv_norm(
            conv_norm(x, self.conv1, self.norm1, relu=True),
            self.conv2,
            self.norm2,
            relu=True,
            residual=residual,
            over_residual=own,
        )


# Upsampling, its norm and the blocks behind it, from the coarsest stage to the finest.
_DECODER = tuple((f"convtr{k}p{2 ** (8 - k)}s2", f"bntr{k}", f"block{k + 1}") for k in range(4, 8))


@gin.configurable
class SRUNet(nn.Module):
    """The backbone: voxel features in, voxel features out, on the same voxels.

    Args:
        in_channels: channels of the input features (3 for colour).
        spec: a name of :data:`SPECS`.
        out_channels: width of the last 1^3 convolution ``final``; None leaves it out and gives ``block8``'s features.
        stem_kernel_size: of the first convolution.
        bn_momentum: of every batch normalisation (in torch's sense: the new batch's share).

    Raises:
        InputError: an unknown ``spec``, or a number out of its range.
    """

    def __init__(
        self,
        in_channels: int = 3,
        spec: str = "Res16UNet34C",
        out_channels: int | None = None,
        stem_kernel_size: int = 5,
        bn_momentum: float = 0.1,
    ) -> None:
        super().__init__()
        one_of("SRUNet.spec", spec, SPECS)
        at_least("SRUNet.in_channels", in_channels, 1)
        at_least("SRUNet.stem_kernel_size", stem_kernel_size, 1)
        at_least("SRUNet.out_channels", out_channels, 1)
        in_range("SRUNet.bn_momentum", bn_momentum, 0, 1)
        self.spec = SPECS[spec]
        planes, layers, stem = self.spec.planes, self.spec.layers, self.spec.stem
        self._momentum = bn_momentum
        self.conv0p1s1 = Convolution(in_channels, stem, stem_kernel_size)
        self.bn0 = BatchNorm(stem, momentum=bn_momentum)
        width = stem
        for level in range(4):
            stride = 2**level
            setattr(self, f"conv{level + 1}p{stride}s2", Convolution(width, width, 2, stride=2))
            setattr(self, f"bn{level + 1}", BatchNorm(width, momentum=bn_momentum))
            setattr(self, f"block{level + 1}", self._stage(width, planes[level], layers[level]))
            width = planes[level]
        skips = (planes[2], planes[1], planes[0], stem)
        for level in range(4):
            stage, stride = level + 4, 2 ** (4 - level)
            setattr(self, f"convtr{stage}p{stride}s2", ConvolutionTranspose(width, planes[stage], 2, stride=2))
            setattr(self, f"bntr{stage}", BatchNorm(planes[stage], momentum=bn_momentum))
            setattr(self, f"block{stage + 1}", self._stage(planes[stage] + skips[level], planes[stage], layers[stage]))
            width = planes[stage]
        self.final = Convolution(width, out_channels, 1, bias=True) if out_channels is not None else None
        self.out_channels = out_channels if out_channels is not None else width

    @property
    def encoder_channels(self) -> tuple[int, int, int, int, int]:
        """Widths of :meth:`encode`'s five levels (tensor strides 1, 2, 4, 8, 16)."""
        return (self.spec.stem, *self.spec.planes[:4])

    def drop_decoder(self) -> None:
        """Leaves the encoder alone: :meth:`encode` is all that works from now on, and no weight is held for more."""
        for names in _DECODER:
            for name in names:
                delattr(self, name)
        self.final = None

    def _stage(self, in_channels: int, out_channels: int, blocks: int) -> nn.Sequential:
        widths = [in_channels] + [out_channels] * blocks
        return nn.Sequential(*(BasicBlock(a, b, self._momentum) for a, b in zip(widths, widths[1:], strict=False)))

    def encode(self, x: SparseTensor) -> list[SparseTensor]:
        """The encoder's five levels, at tensor strides 1, 2, 4, 8 and 16."""
        levels = [conv_norm(x, self.conv0p1s1, self.bn0, relu=True)]
        if not torch.is_grad_enabled() and self.conv0p1s1.region != _BLOCKS:
            # The largest of all maps, and the stem's alone. With gradients the backward pass holds it anyway.
            x.manager.forget_map(self.conv0p1s1.connection(x))
        for level in range(4):
            down, norm = getattr(self, f"conv{level + 1}p{2**level}s2"), getattr(self, f"bn{level + 1}")
            levels.append(getattr(self, f"block{level + 1}")(conv_norm(levels[-1], down, norm, relu=True)))
        return levels

    def decode(self, levels: list[SparseTensor]) -> SparseTensor:
        """The decoder's output on the input's voxels, before ``final``."""
        out = levels[-1]
        for (up, norm, blocks), skip in zip(_DECODER, reversed(levels[:-1]), strict=True):
            out = conv_norm(out, getattr(self, up), getattr(self, norm), relu=True, beside=skip)
            # Block by block: a call of the whole stage (the one that hooks see) would keep its input to the end.
            for block in getattr(self, blocks):
                out = block(out)
        return out

    def forward(self, x: SparseTensor) -> SparseTensor:
        return self.finish(self.decode(self.encode(x)))

    def finish(self, decoded: SparseTensor) -> SparseTensor:
        """The output layer, where there is one, behind :meth:`decode`."""
        return decoded if self.final is None else self.final(decoded)
