"""True boxes as the detection losses take them."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from sparse3d.errors import InputError
from sparse3d.types import TensorBundle


@dataclass
class DetectionTruth(TensorBundle):
    """K true boxes of a batch of clouds, all with a class, in the frame of the voxels; V voxels."""

    boxes: Tensor  # (K, 7) float32: centre, full size (metres), yaw (radians)
    label: Tensor  # (K,) int64
    item: Tensor  # (K,) int64, index of the cloud
    instance: Tensor  # (V,) int64, row of ``boxes`` that the voxel belongs to, -1 for none or not known

    def __len__(self) -> int:
        return len(self.boxes)

    def demand_upright(self, remedy: str) -> None:
        """Raises InputError, with what makes the head tell directions, where a box is turned: it would learn yaw 0."""
        if len(self) and bool(self.boxes[:, 6].any()):
            raise InputError(f"true boxes are turned about z, and the head tells no directions: {remedy}")
