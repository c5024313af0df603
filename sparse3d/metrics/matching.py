"""Matching recall: does the nearest neighbour in feature space lie where the true correspondence lies?"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor


def matching_recall(
    source: Tensor, target: Tensor, target_xyz: Tensor, query: Tensor, true_xyz: Tensor, tolerance: float = 0.1
) -> Tensor:
    """Hits of one frame pair.

    Args:
        source: (V, C) features of the source view's voxels.
        target: (U, C) features of the target view's voxels, all of them candidates.
        target_xyz: (U, 3) where the candidates lie, metres.
        query: (M,) int64, the source voxel of each true correspondence.
        true_xyz: (M, 3) where its true match lies, metres.
        tolerance: metres.

    Returns:
        (M,) bool: the nearest candidate (Euclidean, of the features as given) lies within ``tolerance`` of the truth.
    """
    nearest = torch.cdist(source[query].float(), target.float()).argmin(dim=1)
    return (target_xyz[nearest] - true_xyz).norm(dim=1) < tolerance


def unit_rows(feats: Tensor) -> Tensor:
    """Rows scaled to unit length; zero rows stay zero."""
    return F.normalize(feats.float(), dim=1, eps=1e-6)


@dataclass
class MatchingRecall:
    """Mean recall over frame pairs; each pair counts the same, one without a true correspondence not at all."""

    pair_recalls: list[float]
    without_matches: int = 0  # pairs that had nothing to find

    @classmethod
    def empty(cls) -> MatchingRecall:
        return cls([])

    def update(self, hits: Tensor) -> None:
        """Take in one pair's hits (M,) bool; with M = 0 the pair is only counted."""
        if len(hits) == 0:
            self.without_matches += 1
        else:
            self.pair_recalls.append(float(hits.float().mean()))

    def compute(self) -> float:
        """The mean, NaN without a pair."""
        return sum(self.pair_recalls) / len(self.pair_recalls) if self.pair_recalls else float("nan")
