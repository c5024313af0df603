"""Backbone and detection head in one network; no losses."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor, nn

from sparse3d.models.resunet import SRUNet
from sparse3d.sparse import SparseTensor
from sparse3d.types import Boxes, VoxelBatch


class DetectionHead(Protocol):
    """What a head offers; ``output`` is of its own kind, understood by itself and by its losses."""

    def __call__(self, backbone: SRUNet, x: SparseTensor, xyz: Tensor) -> Any:
        """Runs the backbone as far as it is needed, then the head. ``xyz`` (V, 3): where the voxels' points lie."""
        ...

    def detect(self, output: Any, batch_size: int) -> list[Boxes]:
        """Scored boxes of each cloud, doubles included."""
        ...


class DetectionNet(nn.Module):
    """A backbone and a head.

    Args:
        backbone: gives features of voxels.
        head: makes boxes of them.
    """

    def __init__(self, backbone: SRUNet, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head: Any = head  # a DetectionHead

    def forward(self, voxels: VoxelBatch, xyz: Tensor) -> Any:
        """The head's output for a batch of clouds.

        Args:
            voxels: V voxels of ``voxels.batch_size`` clouds.
            xyz: (V, 3) metres, mean of each voxel's points in the frame of the voxels' coordinates.
        """
        x = SparseTensor.from_coords(voxels.coords, voxels.feats, voxels.batch_size)
        return self.head(self.backbone, x, xyz)
