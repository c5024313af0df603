"""What a pre-training reads from the backbone: its decoder's output, its encoder's levels, or both."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from sparse3d.models.resunet import SRUNet
from sparse3d.sparse import SparseTensor
from sparse3d.sparse.coordinates import floor_to

READOUTS = ("decoder", "encoder", "both")


class Readout(nn.Module):
    """Features of the finest voxels, (V, ``backbone.out_channels``).

    ``decoder`` is the backbone's output. ``encoder`` is a linear map of the encoder's five levels, each level's carried
    to the finest voxels by containment: what the losses ask for must then be there in the encoder, which is the part
    that transfer keeps; the decoder is not run, and takes no gradients any more. ``both`` is their sum.

    Args:
        backbone: whose channels they are; it is no part of this module.
        kind: of :data:`READOUTS`.
    """

    def __init__(self, backbone: SRUNet, kind: str = "decoder") -> None:
        super().__init__()
        if kind not in READOUTS:
            raise ValueError(f"readout {kind!r} is none of {', '.join(READOUTS)}")
        self.kind = kind
        widths = () if kind == "decoder" else backbone.encoder_channels
        if kind == "encoder":
            for parameter in backbone.decoder_parameters():
                parameter.requires_grad_(False)
        # One bias for the sum of all levels.
        self.levels = nn.ModuleList(
            nn.Linear(width, backbone.out_channels, bias=not k) for k, width in enumerate(widths)
        )

    def forward(self, backbone: SRUNet, x: SparseTensor) -> Tensor:
        if self.kind == "decoder":
            return backbone(x).feats
        levels = backbone.encode(x)
        # Mapped on the few coarse voxels, then carried to the finest, where the first level is already.
        mapped = [linear(level.feats) for level, linear in zip(levels, self.levels, strict=True)]
        parts = [mapped[0]]
        for level, feats in zip(levels[1:], mapped[1:], strict=True):
            # Not indexed, as the gradient of that goes one number at a time.
            parts.append(F.embedding(containing_rows(level, x.coords), feats))
        total = sum(parts[1:], parts[0])
        if self.kind == "encoder":
            return total
        decoded = backbone.decode(levels)
        return total + (decoded if backbone.final is None else backbone.final(decoded)).feats


def containing_rows(level: SparseTensor, coords: Tensor) -> Tensor:
    """Row (V,) int64 of the level's voxel that holds each of ``coords`` (V, 4)."""
    return level.manager.coordinates(level.key).rows_of(floor_to(coords, level.tensor_stride))
