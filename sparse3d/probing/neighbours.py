"""k nearest neighbours by cosine, votes weighted by similarity.

Source of the weights: Wu, Xiong, Yu, Lin, "Unsupervised Feature Learning via Non-Parametric Instance
Discrimination" (CVPR 2018): exp(cosine / temperature), temperature .07.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from sparse3d.probing.linear import standardisation

_CHUNK = 4096  # queries at a time: bounds the memory


@dataclass(frozen=True)
class NeighbourClassifier:
    """A bank of standardised features of unit length, with their labels."""

    bank: Tensor  # (N, C) float32
    labels: Tensor  # (N,) int64
    mean: Tensor  # (C,)
    scale: Tensor  # (C,)
    classes: int
    k: int
    temperature: float = 0.07

    @classmethod
    def of(cls, feats: Tensor, labels: Tensor, classes: int, k: int) -> NeighbourClassifier:
        """The classifier that remembers ``feats`` (N, C) with ``labels`` (N,)."""
        mean, scale = standardisation(feats)
        bank = F.normalize((feats - mean) * scale, dim=1)
        return cls(bank, labels, mean, scale, classes, min(k, len(feats)))

    def predict(self, feats: Tensor) -> Tensor:
        """Class (M,) int64 of each of ``feats`` (M, C)."""
        found = []
        for part in feats.split(_CHUNK):
            query = F.normalize((part - self.mean) * self.scale, dim=1)
            nearest, rows = (query @ self.bank.T).topk(self.k, dim=1)
            votes = torch.zeros(len(part), self.classes)
            votes.scatter_add_(1, self.labels[rows], ((nearest - 1) / self.temperature).exp())
            found.append(votes.argmax(dim=1))
        return torch.cat(found) if found else torch.zeros(0, dtype=torch.int64)
