"""Features of every point of a cloud, by a pre-trained network."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from sparse3d.models.pretrain_net import PretrainNet
from sparse3d.tasks.segmentation_prediction import ScenePredictor
from sparse3d.types import VoxelBatch


class Features(nn.Module):
    """A pre-trained network that takes and gives what a segmenter does: the features that views are compared by.

    Args:
        net: the backbone and its readouts.
    """

    def __init__(self, net: PretrainNet) -> None:
        super().__init__()
        self.net = net

    @property
    def out_channels(self) -> int:
        """Width of the features."""
        return self.net.mv_readout.out_channels

    def forward(self, voxels: VoxelBatch) -> Tensor:
        """Features (V, D) of every voxel."""
        return self.net.encode(voxels).compared


class FeaturePredictor(ScenePredictor):
    """Runs a pre-trained network over whole clouds, cut as a segmenter's are."""

    @torch.no_grad()
    def point_features(self, model: Features, xyz: np.ndarray, rgb: np.ndarray, device: torch.device) -> np.ndarray:
        """(N, D) float32: the features of each point's voxel."""
        scene = self.voxels(xyz, rgb)
        found = np.zeros((len(scene.coords), model.out_channels), dtype=np.float32)
        for inner, rows in self._pieces(scene.coords):
            coords = np.concatenate([np.zeros((len(rows), 1), np.int32), scene.coords[rows]], axis=1)
            feats = torch.from_numpy(scene.feats[rows])
            batch = VoxelBatch(torch.from_numpy(coords), feats, torch.zeros(len(rows), 3), batch_size=1)
            found[rows[inner]] = model(batch.to(device)).float().cpu().numpy()[inner]
        return found[scene.point2voxel]
