"""Pairs of frames with true correspondences, to measure features on: nothing random but what a fixed seed draws."""

from __future__ import annotations

from dataclasses import dataclass

import gin
import numpy as np

from sparse3d.checks import at_least, positive
from sparse3d.data.augment import RandomYaw
from sparse3d.data.clouds import frame_points, voxelize_frames
from sparse3d.data.view_sets import FrameFolder, match_frames, scene_pairs, warn_of_pairless
from sparse3d.data.voxel_clouds import VoxelCloud
from sparse3d.errors import InputError
from sparse3d.geometry import transform_points
from sparse3d.geometry.projection import unproject_pixels
from sparse3d.types import Frame

PROTOCOLS = ("aligned", "rotated")


@dataclass(frozen=True)
class EncodedView:
    """One view's cloud under one protocol; the clouds' ``xyz`` are in the world whatever the protocol."""

    cloud: VoxelCloud
    pixel2voxel: np.ndarray  # (H, W) int64


@dataclass(frozen=True)
class MatchingPair:
    """Two views with M true correspondences from the first to the second."""

    frames: tuple[Frame, Frame]
    views: dict[str, tuple[EncodedView, EncodedView]]  # by protocol
    source_pixels: np.ndarray  # (M, 2) int64 (row, col)
    target_pixels: np.ndarray  # (M, 2) int64
    true_xyz: np.ndarray  # (M, 3) float32, world, where the target pixel's reading lies


@gin.configurable
class MatchingPairs:
    """Frame pairs to measure matching recall on.

    Args:
        frames: where the frames come from.
        voxel_size: metres.
        max_pairs: pairs kept, evenly spaced over all that qualify.
        matches: true correspondences a pair.
        overlap: bounds on the overlap of the two frames.
        max_depth: readings beyond are left out, metres.
        seed: of the choice of correspondences and of the turns of the rotated protocol.

    Raises:
        InputError: no pair qualifies.
    """

    def __init__(
        self,
        frames: FrameFolder = gin.REQUIRED,
        voxel_size: float = 0.05,
        max_pairs: int = 100,
        matches: int = 1000,
        overlap: tuple[float, float] = (0.3, 0.9),
        max_depth: float = 5.0,
        seed: int = 0,
    ) -> None:
        positive("MatchingPairs.voxel_size", voxel_size, "metres")
        at_least("MatchingPairs.max_pairs", max_pairs, 1)
        at_least("MatchingPairs.matches", matches, 1)
        positive("MatchingPairs.max_depth", max_depth, "metres")
        at_least("MatchingPairs.seed", seed, 0)
        self.voxel_size, self.matches, self.max_depth, self.seed = voxel_size, matches, max_depth, seed
        self.sources = frames.open()
        found = [scene_pairs(source, *overlap) for source in self.sources]
        pairs = [(scene, int(i), int(j)) for scene, (chosen, _) in enumerate(found) for i, j in chosen]
        if not pairs:
            raise InputError(
                f"{frames.root}: no two frames overlap by {overlap[0]} to {overlap[1]}: nothing to measure on "
                f"({_range_text([matrix for _, matrix in found])}). Widen MatchingPairs.overlap, hold other frames out "
                "(val/FrameFolder.part, first, last), or train unmeasured: PretrainTask.val = None"
            )
        warn_of_pairless(frames.root, self.sources, [chosen for chosen, _ in found])
        chosen = np.unique(np.linspace(0, len(pairs) - 1, min(max_pairs, len(pairs))).round().astype(int))
        self.pairs = [pairs[k] for k in chosen]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> MatchingPair:
        scene, i, j = self.pairs[index]
        frames = (self.sources[scene][i], self.sources[scene][j])
        rng = np.random.default_rng((self.seed, index))
        pixels, targets = match_frames(*frames, self.max_depth)
        keep = rng.permutation(len(pixels))[: self.matches]
        pixels, targets = pixels[keep], targets[keep]
        points = [frame_points(frame, self.max_depth) for frame in frames]
        views = {}
        for protocol in PROTOCOLS:
            turns = [] if protocol == "aligned" else [RandomYaw()]
            encoded = [voxelize_frames([p], self.voxel_size, turns, rng=rng) for p in points]
            first, second = (EncodedView(cloud, pixel2voxel[0]) for cloud, pixel2voxel in encoded)
            views[protocol] = (first, second)
        return MatchingPair(frames, views, pixels, targets, _world_points(frames[1], targets))


def _world_points(frame: Frame, pixels: np.ndarray) -> np.ndarray:
    z = frame.depth[pixels[:, 0], pixels[:, 1]]
    return transform_points(frame.T_world_cam, unproject_pixels(pixels, z, frame.camera)).astype(np.float32)


def _range_text(overlaps: list[np.ndarray]) -> str:
    """Between what the overlaps of different frames lie."""
    known = np.concatenate([matrix[np.triu_indices(len(matrix), 1)] for matrix in overlaps])
    return f"their overlaps are {known.min():.2f} to {known.max():.2f}" if len(known) else "there are no two frames"
