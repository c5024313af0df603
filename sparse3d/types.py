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

from collections.abc import Sequence
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


@dataclass(frozen=True, eq=False)  # one is another by being it: images are not compared
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
class SparseRows(TensorBundle):
    """The E entries of a sparse matrix, row after row."""

    start: Tensor  # (rows,) int64, a row's first entry
    column: Tensor  # (E,) int64
    weight: Tensor  # (E,) float32


@dataclass
class MapCells(TensorBundle):
    """Which voxels each cell of projected maps shows, and by which share of those of its pixels that show one.

    It is a sparse matrix of cells by voxels, whose rows sum to 1 or are empty; cells are numbered as they lie in
    ``mask``. Its transpose is there for the gradient.
    """

    mask: Tensor  # (B, V, h, w) bool, cells that show a voxel
    by_cell: SparseRows  # a row a cell; columns are rows of the cloud
    by_voxel: SparseRows  # the transpose


@dataclass
class ViewBatch(TensorBundle):
    """B view sets of V frames each, as the pre-training task eats them.

    ``..._cells`` are the whole projection, made once by the data worker from pixel -> voxel, so augmenting
    coordinates never touches it. ``views`` encodes each frame alone (cloud ``b * V + v``), ``shared`` the union of
    an item's frames (cloud ``b``); the one that the task does not use is None.
    """

    images: Tensor  # (B, V, H, W, 3) uint8
    matches: Matches
    views: VoxelBatch | None
    view_cells: MapCells | None  # of the B x V images, into ``views``
    shared: VoxelBatch | None
    shared_cells: MapCells | None  # of the B x V images, into ``shared``
    names: list[tuple[str, ...]] = field(default_factory=list)  # per item, its frames' names
    pairs_without_matches: int = 0


@dataclass(frozen=True, eq=False)
class Boxes:
    """N boxes that stand upright and may be turned about z: true ones, or predictions with scores.

    ``size`` holds full edge lengths along the box's own x, y and z; ``yaw`` turns the box from x towards y, 0 for
    axis-aligned. Arrays are brought to the kinds below; a wrong shape is a ValueError. A box with an edge of zero or
    less is allowed (networks give such): it has no volume.
    """

    center: np.ndarray  # (N, 3) float32, metres
    size: np.ndarray  # (N, 3) float32, metres
    yaw: np.ndarray  # (N,) float32, radians
    label: np.ndarray  # (N,) int64, class index or IGNORE
    score: np.ndarray | None = None  # (N,) float32, None for true boxes

    def __post_init__(self) -> None:
        kinds: dict[str, Any] = {"center": np.float32, "size": np.float32, "yaw": np.float32, "label": np.int64}
        if self.score is not None:
            kinds["score"] = np.float32
        count = len(np.asarray(self.center))
        for name, kind in kinds.items():
            value = np.asarray(getattr(self, name))
            shape = (count, 3) if name in ("center", "size") else (count,)
            if value.size == 0 and count == 0:
                value = value.reshape(shape)
            if value.shape != shape:
                raise ValueError(f"boxes: {name} has shape {value.shape}, {count} boxes need {shape}")
            object.__setattr__(self, name, value.astype(kind, copy=False))

    def __len__(self) -> int:
        return len(self.center)

    @classmethod
    def empty(cls, scored: bool = False) -> Boxes:
        """No boxes; ``scored`` as predictions are."""
        none = np.zeros(0)
        return cls(np.zeros((0, 3)), np.zeros((0, 3)), none, none, none if scored else None)

    @classmethod
    def concatenate(cls, parts: Sequence[Boxes]) -> Boxes:
        """The boxes of all ``parts`` in their order. Raises ValueError without parts, or if only some have scores."""
        scored = {part.score is not None for part in parts}
        if len(scored) != 1:
            raise ValueError("boxes to concatenate: all or none must have scores, and there must be some")
        names = [f.name for f in fields(cls) if f.name != "score" or True in scored]
        return cls(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})

    def select(self, rows: np.ndarray) -> Boxes:
        """The boxes of ``rows``: indices in any order, or a mask (N,)."""
        score = None if self.score is None else self.score[rows]
        return Boxes(self.center[rows], self.size[rows], self.yaw[rows], self.label[rows], score)

    def corners(self) -> np.ndarray:
        """(N, 8, 3) float32, metres: corner k has the high x where bit 0 of k is set, high y by bit 1, high z by 2."""
        side = (np.arange(8)[:, None] >> np.arange(3)) & 1
        local = (side - 0.5) * self.size[:, None].astype(np.float64)
        yaw = self.yaw.astype(np.float64)
        c, s = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
        x, y = c * local[..., 0] - s * local[..., 1], s * local[..., 0] + c * local[..., 1]
        return (np.stack([x, y, local[..., 2]], axis=-1) + self.center[:, None]).astype(np.float32)

    def volume(self) -> np.ndarray:
        """(N,) float64, cubic metres; 0 where an edge is zero or less."""
        return np.maximum(self.size.astype(np.float64), 0).prod(axis=1)
