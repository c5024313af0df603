"""Networks for single shapes: a class for the whole, or a part for every voxel, from an SR-UNet's features."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparse3d.models.resunet import SRUNet
from sparse3d.sparse import SparseTensor, global_pool
from sparse3d.types import VoxelBatch


class ShapeClassifier(nn.Module):
    """Voxels in, class scores of each shape out: the encoder's five levels, pooled over the shape, and a small head.

    Every level is pooled by mean and by maximum: small shapes have few voxels on the coarse levels.

    Args:
        backbone: makes the SR-UNet; its decoder is left out.
        classes: how many.
        hidden: width of the head's hidden layer; 0 leaves a linear head (behind the layer normalisation).
        dropout: before the last layer.
    """

    def __init__(self, backbone: Callable[..., SRUNet], classes: int, hidden: int = 0, dropout: float = 0.0) -> None:
        super().__init__()
        self.backbone = backbone(out_channels=None)
        self.backbone.drop_decoder()
        width = 2 * sum(self.backbone.encoder_channels)
        # By layer, not by batch: a batch may be a single shape.
        self.norm = nn.LayerNorm(width)
        self.hidden = nn.Sequential(nn.Linear(width, hidden), nn.ReLU()) if hidden else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.classes = nn.Linear(hidden or width, classes)

    def forward(self, voxels: VoxelBatch) -> Tensor:
        """Scores (B, classes), before the softmax."""
        levels = self.backbone.encode(SparseTensor.from_coords(voxels.coords, voxels.feats, voxels.batch_size))
        pooled = torch.cat([global_pool(level, mode) for level in levels for mode in ("average", "max")], dim=1)
        return self.classes(self.dropout(self.hidden(self.norm(pooled))))


class PartSegmenter(nn.Module):
    """Voxels in, part scores of each voxel out; the shape's class is given, as in ShapeNetPart's protocol.

    Args:
        backbone: makes the SR-UNet.
        classes: how many classes shapes may have.
        parts: how many parts there are, of all classes together.
    """

    def __init__(self, backbone: Callable[..., SRUNet], classes: int, parts: int) -> None:
        super().__init__()
        self.backbone = backbone(out_channels=None)
        width = self.backbone.out_channels
        self.kinds = classes
        self.hidden = nn.Linear(width + classes, width)
        self.parts = nn.Linear(width, parts)

    def forward(self, voxels: VoxelBatch, label: Tensor) -> Tensor:
        """Scores (V, parts), before the softmax, of voxels whose shapes have the classes ``label`` (B,)."""
        feats = self.backbone(SparseTensor.from_coords(voxels.coords, voxels.feats, voxels.batch_size)).feats
        kind = F.one_hot(label, self.kinds).to(feats.dtype)[voxels.coords[:, 0].long()]
        return self.parts(F.relu(self.hidden(torch.cat([feats, kind], dim=1))))
