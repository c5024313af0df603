"""What every 2D teacher promises, and the geometry that ties its maps to pixels.

A teacher is a frozen 2D network. It reads RGB images and gives one feature map a *tap*; the knowledge-transfer
loss asks the 3D network to predict those maps. Two things go wrong easily, so both are settled here:

* **A teacher that learns.** Its weights and its BatchNorm statistics must stay as they are. ``train(True)`` and
  ``requires_grad_(True)`` therefore raise. Hold a teacher *outside* the module tree of what is trained, for
  instance in a plain object or in a tuple (``self._teacher = (teacher,)``); then it is in no state dict and in
  no optimizer. A teacher registered as a submodule is found out by the parent's first ``train()``.
* **A teacher read beside the place it looked at.** The cell (i, j) of a map is *not* centred in the middle of
  its stride x stride block, because padding shifts the grid: :meth:`Teacher.cell_centers` says where every cell
  looks, and :func:`sample_teacher` resamples a map onto the grid of a projected map.

Pixel centres lie at integer coordinates everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

Centers = tuple[Tensor, Tensor]  # (h,) rows and (w,) columns of a map's cells, float32 pixels


@dataclass(frozen=True)
class CellAxis:
    """Where the cells of a feature map look along one axis: cell ``i`` is centred at pixel ``first + i * step``."""

    count: int
    first: float = 0.0  # pixels of the image
    step: float = 1.0  # pixels of the image

    @classmethod
    def of_resized(cls, size: int, new_size: int) -> CellAxis:
        """Pixels of an image resized from ``size`` to ``new_size``: both span the same extent [-0.5, size - 0.5]."""
        step = size / new_size
        return cls(new_size, 0.5 * step - 0.5, step)

    def convolved(self, count: int, kernel: int, stride: int, pad_before: int) -> CellAxis:
        """The axis after a convolution or pooling with ``count`` outputs.

        Output ``o`` reads the inputs from ``o * stride - pad_before`` on, ``kernel`` of them; the centre of that
        receptive field is ``o * stride - pad_before + (kernel - 1) / 2`` (Dumoulin & Visin 2016, A guide to
        convolution arithmetic, relations 3 and 6).
        """
        shift = (kernel - 1) / 2 - pad_before
        return CellAxis(count, self.first + shift * self.step, self.step * stride)

    def centers(self) -> Tensor:
        """(count,) float32, pixels."""
        return torch.arange(self.count, dtype=torch.float32) * self.step + self.first


class Teacher(nn.Module):
    """Base class of the frozen 2D networks.

    A subclass builds its network in ``__init__``, sets the three attributes, calls :meth:`freeze` last, and
    implements :meth:`extract` and :meth:`cell_centers`.
    """

    name: str  # identifies architecture, weights and taps; part of the key of cached features
    strides: tuple[int, ...]  # nominal, in pixels of what the network sees; one a tap
    channels: tuple[int, ...]  # one a tap
    longer_side: int | None = None  # pixels that every image's is brought to for the network; None: it stays as it is

    def extract(self, images: Tensor) -> list[Tensor]:
        """The maps of (N, H, W, 3) uint8 ``images``; called without gradients and without autocast."""
        raise NotImplementedError

    def cell_centers(self, height: int, width: int) -> list[Centers]:
        """Per tap, the pixel rows (h,) and columns (w,) that its cells are centred at, for images of this size."""
        raise NotImplementedError

    def forward(self, images: Tensor) -> list[Tensor]:
        """(N, H, W, 3) uint8 RGB -> one (N, C_l, H_l, W_l) float32 map a tap, without gradients.

        Autocast is switched off inside: the targets, and what a cache keeps of them, do not depend on how the
        trained network computes.

        Raises:
            ValueError: ``images`` has another shape or type.
        """
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[-1] != 3:
            raise ValueError(f"expected (N, H, W, 3) uint8 images, got {tuple(images.shape)} {images.dtype}")
        with torch.no_grad(), torch.autocast(images.device.type, enabled=False):
            return self.extract(images)

    def freeze(self) -> None:
        """Put the network in eval mode for good, with no parameter asking for a gradient."""
        super().train(False)
        super().requires_grad_(False)

    def train(self, mode: bool = True) -> Teacher:
        """Refuse ``train(True)``.

        Raises:
            RuntimeError: a teacher stays in eval mode.
        """
        if mode:
            raise RuntimeError(
                f"{type(self).__name__} is a frozen teacher and cannot be put in training mode; "
                "hold it outside the module that is trained (for instance in a tuple)"
            )
        return super().train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Teacher:
        """Refuse ``requires_grad_(True)``.

        Raises:
            RuntimeError: a teacher's parameters get no gradient.
        """
        if requires_grad:
            raise RuntimeError(f"{type(self).__name__} is a frozen teacher: its parameters get no gradient")
        return super().requires_grad_(False)


def sample_teacher(maps: Tensor, centers: Centers, target_height: int, target_width: int, stride: int) -> Tensor:
    """Resample a teacher's map onto the grid of a projected map, bilinearly.

    The target's cell (r, c) covers the pixels [r * stride, (r + 1) * stride) and so is centred at
    ``r * stride + (stride - 1) / 2``. Beyond the outermost centres of the teacher's cells the border value holds.

    Args:
        maps: (N, C, h, w), any floating type.
        centers: the tap's rows (h,) and columns (w,) as of :meth:`Teacher.cell_centers`, evenly spaced, pixels.
        target_height, target_width: cells of the projected map.
        stride: pixels a cell of the projected map.

    Returns:
        (N, C, target_height, target_width), the type of ``maps``.

    Raises:
        ValueError: the centres do not belong to a map of this size.
    """
    rows, cols = centers
    if (len(rows), len(cols)) != tuple(maps.shape[-2:]):
        raise ValueError(f"centres of a {len(rows)} x {len(cols)} map do not fit a map of {tuple(maps.shape[-2:])}")
    maps = _interpolate_axis(maps, -2, rows, _target_centers(target_height, stride))
    return _interpolate_axis(maps, -1, cols, _target_centers(target_width, stride))


def _target_centers(count: int, stride: int) -> Tensor:
    return torch.arange(count, dtype=torch.float32) * stride + (stride - 1) / 2


def _interpolate_axis(maps: Tensor, dim: int, centers: Tensor, targets: Tensor) -> Tensor:
    """Linear interpolation along ``dim`` from evenly spaced ``centers`` to ``targets``, clamped at the ends."""
    count = len(centers)
    if count == 1:
        position = torch.zeros_like(targets)
    else:
        step = (centers[-1] - centers[0]) / (count - 1)
        position = ((targets - centers[0].cpu()) / step.cpu()).clamp(0, count - 1)
    low = position.floor().long().clamp(max=max(count - 2, 0))
    weight = (position - low).to(device=maps.device, dtype=maps.dtype)
    shape = [1] * maps.ndim
    shape[dim] = len(targets)
    high = (low + 1).clamp(max=count - 1)
    left, right = (maps.index_select(dim, index.to(maps.device)) for index in (low, high))
    return torch.lerp(left, right, weight.view(shape))
