"""Class probabilities of every point of a scene, large scenes in pieces."""

from __future__ import annotations

from collections.abc import Iterator

import gin
import numpy as np
import torch
from torch import nn

from sparse3d.checks import at_least, positive
from sparse3d.data.voxel_clouds import VoxelScene, voxelize_scene
from sparse3d.progress import track
from sparse3d.types import VoxelBatch

QUARTERS = ((1, 0), (0, 1), (-1, 0), (0, -1))  # cosine and sine of the turns of test-time augmentation


@gin.configurable
class ScenePredictor:
    """Runs a segmenter over whole scenes.

    Args:
        voxel_size: metres, that of the training.
        most_voxels: a scene with more is worked on in pieces, cut across the floor; bounds the memory.
        margin: metres of surroundings that each piece is given and whose results are thrown away.

    Raises:
        InputError: an option out of its range.
    """

    def __init__(self, voxel_size: float = 0.05, most_voxels: int = 400_000, margin: float = 2.0) -> None:
        positive("ScenePredictor.voxel_size", voxel_size, "metres")
        positive("ScenePredictor.margin", margin, "metres")
        at_least("ScenePredictor.most_voxels", most_voxels, 1)
        self.voxel_size, self.most_voxels, self.margin = voxel_size, most_voxels, margin

    def voxels(self, xyz: np.ndarray, rgb: np.ndarray) -> VoxelScene:
        """The scene's voxels; see :func:`voxelize_scene`."""
        return voxelize_scene(xyz, rgb, self.voxel_size)

    def voxel_probabilities(self, model: nn.Module, scene: VoxelScene, device: torch.device) -> torch.Tensor:
        """(V, C) float32 on the CPU, rows summing to 1."""
        found: torch.Tensor | None = None
        for inner, piece in self._pieces(scene.coords):
            scores = _run(model, scene.coords[piece], scene.feats[piece], device)
            probabilities = scores.float().softmax(dim=1).cpu()
            if found is None:
                found = torch.zeros(len(scene.coords), probabilities.shape[1])
            found[torch.from_numpy(piece[inner])] = probabilities[torch.from_numpy(inner)]
        assert found is not None
        return found

    def point_probabilities(
        self, model: nn.Module, xyz: np.ndarray, rgb: np.ndarray, device: torch.device, tta: bool = False
    ) -> torch.Tensor:
        """(N, C) float32: what every point's voxel is given.

        ``tta`` averages over the four quarter turns about z, each also mirrored: every view votes with its
        probabilities on the original points.
        """
        views = list(turned_views(xyz)) if tta else [xyz]
        total: torch.Tensor | None = None
        for view in track(views, "predicting", "view"):
            scene = self.voxels(view, rgb)
            votes = self.voxel_probabilities(model, scene, device)[torch.from_numpy(scene.point2voxel)]
            total = votes if total is None else total.add_(votes)
        assert total is not None
        return total / len(views)

    def _pieces(self, coords: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Rows of every piece, rising, with a mask of those that count; each voxel counts in one piece."""
        margin = int(np.ceil(self.margin / self.voxel_size))
        waiting = [(coords[:, :2].min(axis=0), coords[:, :2].max(axis=0) + 1)]
        while waiting:
            low, high = waiting.pop()
            near = ((coords[:, :2] >= low - margin) & (coords[:, :2] < high + margin)).all(axis=1)
            rows = np.flatnonzero(near)
            inside = ((coords[rows, :2] >= low) & (coords[rows, :2] < high)).all(axis=1)
            axis = int(np.argmax(high - low))
            # Below the margin's width a piece is mostly surroundings, and cutting it saves nothing.
            if len(rows) > self.most_voxels and high[axis] - low[axis] > margin:
                middle = (low[axis] + high[axis]) // 2
                first_high, second_low = high.copy(), low.copy()
                first_high[axis] = second_low[axis] = middle
                waiting += [(low, first_high), (second_low, high)]
            elif inside.any():
                yield inside, rows


def turned_views(xyz: np.ndarray) -> Iterator[np.ndarray]:
    """The eight views of test-time augmentation, (N, 3) float32 each: exact, as nothing but signs and axes change."""
    for mirror in (1, -1):
        for cos, sin in QUARTERS:
            x, y = mirror * xyz[:, 0], xyz[:, 1]
            yield np.stack([cos * x - sin * y, sin * x + cos * y, xyz[:, 2]], axis=1).astype(np.float32)


def _run(model: nn.Module, coords: np.ndarray, feats: np.ndarray, device: torch.device) -> torch.Tensor:
    index = np.zeros((len(coords), 1), dtype=np.int32)
    batch = VoxelBatch(
        coords=torch.from_numpy(np.concatenate([index, coords], axis=1)),
        feats=torch.from_numpy(feats),
        xyz=torch.zeros(len(coords), 3),
        batch_size=1,
    )
    with torch.no_grad():
        return model(batch.to(device))
