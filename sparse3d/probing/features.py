"""Features of a scene's voxels from a frozen SR-UNet: the encoder's levels, each on its own voxels, and the decoder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from sparse3d.data.voxel_clouds import VoxelScene
from sparse3d.models.resunet import SRUNet
from sparse3d.sparse import SparseTensor

KINDS = ("encoder", "decoder")


@dataclass(frozen=True)
class LevelFeatures:
    """Features that live on voxels of different sizes: ``feats[l][rows[l]]`` side by side are those of the finest ones.

    A coarse level is stored once a coarse voxel, so what is linear in the features is computed there, once.
    """

    feats: list[Tensor]  # of each level (V_l, C_l) float32
    rows: list[Tensor]  # of each level (V,) int64: the level's voxel that holds each finest voxel

    @property
    def channels(self) -> int:
        """Of all levels together."""
        return sum(level.shape[1] for level in self.feats)

    def at(self, voxels: Tensor) -> Tensor:
        """(M, C) float32: the features, levels side by side, of the finest voxels ``voxels`` (M,) int64."""
        return torch.cat([f[r[voxels]] for f, r in zip(self.feats, self.rows, strict=True)], dim=1)

    def linear(self, weight: Tensor, bias: Tensor) -> Tensor:
        """``at(all voxels) @ weight + bias`` for weight (C, K) and bias (K,): (V, K)."""
        parts = weight.split([level.shape[1] for level in self.feats])
        total = bias.expand(len(self.rows[0]), -1)
        for feats, rows, part in zip(self.feats, self.rows, parts, strict=True):
            total = total + (feats @ part)[rows]
        return total


@torch.no_grad()
def scene_features(
    backbone: SRUNet, scene: VoxelScene, kinds: Sequence[str], device: torch.device
) -> dict[str, LevelFeatures]:
    """The frozen network's features of a whole scene, on the CPU.

    Args:
        backbone: in eval mode.
        scene: its voxels.
        kinds: of :data:`KINDS`: ``encoder`` is all five levels, each carried to the finest voxels by containment;
            ``decoder`` the decoder's output before ``final``.
        device: where the network is.
    """
    index = np.zeros((len(scene.coords), 1), dtype=np.int32)
    coords = torch.from_numpy(np.concatenate([index, scene.coords], axis=1)).to(device)
    levels = backbone.encode(SparseTensor.from_coords(coords, torch.from_numpy(scene.feats).to(device), 1))
    found = {}
    if "encoder" in kinds:
        finest = levels[0]
        rows = [finest.manager.parents(finest.key, level.key).cpu() for level in levels]
        found["encoder"] = LevelFeatures([level.feats.float().cpu() for level in levels], rows)
    if "decoder" in kinds:
        decoded = backbone.decode(levels).feats.float().cpu()
        found["decoder"] = LevelFeatures([decoded], [torch.arange(len(decoded))])
    return found
