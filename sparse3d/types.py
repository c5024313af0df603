"""The contracts that hold the package together: what every array means, its shape and its unit.

Conventions, everywhere:

* ``xyz`` (N, 3) float32, metres, world frame, z up; ``rgb`` (N, 3) float32 in [0, 1].
* ``depth`` (H, W) float32, metres along the optical axis, 0 = no reading.
* pixels are ``(row, col)``; pixel centres lie at integer coordinates.
* poses are camera to world, ``T_world_cam`` (4, 4) float64; camera axes are x right, y down, z forward.
* ``coords`` (V, 4) int32, batch index first; index maps are named ``source2target`` and hold -1 for "none".
* labels are int64, with :data:`IGNORE` for "no label".
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

IGNORE = -100


@dataclass(frozen=True)
class Camera:
    """A pinhole camera, bound to the size of its images.

    ``fx`` and ``fy`` are in pixels; ``fy`` may be negative (ICL-NUIM's y axis points up).
    """

    fx: float
    fy: float
    cx: float
    cy: float
    width: int
    height: int

    def __post_init__(self) -> None:
        values = (self.fx, self.fy, self.cx, self.cy)
        if not all(np.isfinite(values)) or self.fx == 0 or self.fy == 0:
            raise ValueError(f"intrinsics must be finite with non-zero focal lengths, got {values}")
        if self.width < 1 or self.height < 1:
            raise ValueError(f"image size must be positive, got {self.width} x {self.height}")

    @classmethod
    def from_matrix(cls, K: np.ndarray, width: int, height: int) -> Camera:
        """Camera from a (3, 3) or larger intrinsic matrix in pixels of a ``width`` x ``height`` image."""
        K = np.asarray(K, dtype=np.float64)
        return cls(float(K[0, 0]), float(K[1, 1]), float(K[0, 2]), float(K[1, 2]), int(width), int(height))

    @property
    def K(self) -> np.ndarray:
        """The intrinsic matrix (3, 3) float64, pixels."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], dtype=np.float64)

    def scaled(self, width: int, height: int) -> Camera:
        """The same camera for images resized to ``width`` x ``height``.

        Pixel centres are integers, so the image spans [-0.5, width - 0.5] and cx' = (cx + 0.5) s - 0.5.
        """
        sx, sy = width / self.width, height / self.height
        return Camera(self.fx * sx, self.fy * sy, (self.cx + 0.5) * sx - 0.5, (self.cy + 0.5) * sy - 0.5, width, height)

    def cropped(self, row: int, col: int, height: int, width: int) -> Camera:
        """The camera of the window that starts at pixel (``row``, ``col``); the window may leave the image."""
        return replace(self, cx=self.cx - col, cy=self.cy - row, width=width, height=height)


@dataclass(frozen=True)
class Frame:
    """One registered RGB-D image with its pose. Colour and depth have the same size, ``camera``'s."""

    name: str  # unique within its source, for manifests and error messages
    camera: Camera
    color: np.ndarray  # (H, W, 3) uint8
    depth: np.ndarray  # (H, W) float32, metres, 0 = no reading
    T_world_cam: np.ndarray  # (4, 4) float64

    def __post_init__(self) -> None:
        size = (self.camera.height, self.camera.width)
        if self.color.shape != (*size, 3) or self.depth.shape != size:
            raise ValueError(
                f"frame {self.name}: colour {self.color.shape} and depth {self.depth.shape} do not fit "
                f"the camera's {size}"
            )


@dataclass(frozen=True)
class PointCloud:
    """Points in the world frame."""

    xyz: np.ndarray  # (N, 3) float32, metres
    rgb: np.ndarray  # (N, 3) float32 in [0, 1]

    def __len__(self) -> int:
        return len(self.xyz)


@dataclass
class TensorBundle:
    """A dataclass of tensors that moves between devices as one; base of every batch."""

    def to(self, device: torch.device | str, non_blocking: bool = False) -> Any:
        """A copy with every tensor, and every bundle inside it, on ``device``."""
        return self._map(lambda t: t.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> Any:
        """A copy in page-locked memory (called by the data loader when asked to)."""
        return self._map(lambda t: t.pin_memory())

    def _map(self, move: Any) -> Any:
        def apply(value: Any) -> Any:
            if isinstance(value, Tensor):
                return move(value)
            return value._map(move) if isinstance(value, TensorBundle) else value

        return replace(self, **{f.name: apply(getattr(self, f.name)) for f in fields(self)})


@dataclass
class VoxelBatch(TensorBundle):
    """The occupied voxels of ``batch_size`` clouds, rows grouped by cloud."""

    coords: Tensor  # (V, 4) int32: batch index, then x, y, z in voxels, of the augmented cloud
    feats: Tensor  # (V, C) float32
    xyz: Tensor  # (V, 3) float32, metres: mean of the voxel's points in the world, before augmentation
    batch_size: int
    masked: Tensor | None = None  # (V,) bool: voxels whose input features the network must do without


@dataclass
class Matches(TensorBundle):
    """True pixel correspondences from a source view to a destination view of the same item.

    Both directions of a pair are there as separate rows; pixels are those of the batch's images.
    """

    item: Tensor  # (M,) int64, index into the batch
    source_view: Tensor  # (M,) int64
    source_pixel: Tensor  # (M, 2) int64 (row, col)
    target_view: Tensor  # (M,) int64
    target_pixel: Tensor  # (M, 2) int64 (row, col)


@dataclass
class ViewBatch(TensorBundle):
    """B view sets of V frames each, as the pre-training task eats them.

    ``pixel2voxel`` is the whole projection: pixel -> voxel, made once by the data worker, so augmenting
    coordinates never touches it. ``views`` encodes each frame alone (cloud ``b * V + v``), ``shared`` the union of
    an item's frames (cloud ``b``); the one that the task does not use is None.
    """

    images: Tensor  # (B, V, H, W, 3) uint8
    matches: Matches
    views: VoxelBatch | None
    view_pixel2voxel: Tensor | None  # (B, V, H, W) int64 into ``views``, -1 = none
    shared: VoxelBatch | None
    shared_pixel2voxel: Tensor | None  # (B, V, H, W) int64 into ``shared``, -1 = none
    names: list[tuple[str, ...]] = field(default_factory=list)  # per item, its frames' names
    pairs_without_matches: int = 0
