"""Backbone and detection head in one network; no losses."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from sparse3d.models.resunet import SRUNet
from sparse3d.sparse import SparseTensor
from sparse3d.types import Boxes, VoxelBatch


class DetectionHead(nn.Module):
    """What every head is: a module that is given the backbone, so that it runs no further than is needed.

    What it returns is of its own kind (:mod:`sparse3d.detection_types`), understood by itself and by its loss.
    """

    @property
    def needs_mean_sizes(self) -> bool:
        """Whether :meth:`set_mean_sizes` must be called before the first step."""
        return False

    def forward(self, backbone: SRUNet, x: SparseTensor, xyz: Tensor) -> Any:
        """Runs the backbone as far as it is needed, then the head. ``xyz`` (V, 3): where the voxels' points lie."""
        raise NotImplementedError

    def detect(self, output: Any, batch_size: int) -> list[Boxes]:
        """Scored boxes of each cloud, doubles included."""
        raise NotImplementedError

    def set_mean_sizes(self, sizes: Tensor) -> None:
        """Takes the mean edges (C, 3) of the training set's boxes by class, metres; most heads need none."""


class DetectionNet(nn.Module):
    """A backbone and a head.

    Args:
        backbone: gives features of voxels.
        head: makes boxes of them.
    """

    def __init__(self, backbone: SRUNet, head: DetectionHead) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head

    def forward(self, voxels: VoxelBatch, xyz: Tensor) -> Any:
        """The head's output for a batch of clouds.

        Args:
            voxels: V voxels of ``voxels.batch_size`` clouds.
            xyz: (V, 3) metres, mean of each voxel's points in the frame of the voxels' coordinates.
        """
        x = SparseTensor.from_coords(voxels.coords, voxels.feats, voxels.batch_size)
        return self.head(self.backbone, x, xyz)
