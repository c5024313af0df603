"""The segmenter: an SR-UNet whose last 1^3 convolution gives a score a class."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor, nn

from sparse3d.models.resunet import SRUNet
from sparse3d.sparse import SparseTensor
from sparse3d.types import VoxelBatch


class Segmenter(nn.Module):
    """Voxels in, class scores out; the linear head is the backbone's ``final``, as public checkpoints have it.

    Args:
        backbone: makes the SR-UNet, given ``out_channels``.
        classes: how many.
    """

    def __init__(self, backbone: Callable[..., SRUNet], classes: int) -> None:
        super().__init__()
        self.backbone = backbone(out_channels=classes)

    def forward(self, voxels: VoxelBatch) -> Tensor:
        """Scores (V, classes) of every voxel, before the softmax."""
        return self.backbone(SparseTensor.from_coords(voxels.coords, voxels.feats, voxels.batch_size)).feats
