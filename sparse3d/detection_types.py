"""What detection heads tell, as their losses and their decoding understand it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass
class CellPredictions:
    """What P cells of all clouds and levels say; cells of a level stand together."""

    point: Tensor  # (P, 3) float32, metres: the cells' middles
    item: Tensor  # (P,) int64, index of the cloud
    level: Tensor  # (P,) int64, 0 for the finest
    cells: tuple[float, ...]  # edge of a level's cells, metres
    logits: Tensor  # (P, C) float32
    center: Tensor  # (P, 3) float32, metres
    size: Tensor  # (P, 3) float32, metres: edges, or for turned boxes (length + width, 1, height)
    turn: Tensor | None  # (P, 2) float32, see :mod:`sparse3d.models.detection.box_coding`; None for upright boxes


@dataclass
class VotePredictions:
    """B clouds with S seeds and P proposals each, C classes, H heading bins."""

    seed_row: Tensor  # (B, S) int64, the seeds' rows among the voxels
    seed_xyz: Tensor  # (B, S, 3) float32, metres
    vote_xyz: Tensor  # (B, S, 3)
    proposal_xyz: Tensor  # (B, P, 3), the votes that groups stand around
    center: Tensor  # (B, P, 3), metres
    objectness: Tensor  # (B, P, 2) logits: nothing, object
    classes: Tensor  # (B, P, C) logits
    heading: Tensor  # (B, P, H) logits
    heading_rest: Tensor  # (B, P, H), radians over half a bin
    size: Tensor  # (B, P, C) logits of the size bins, one a class
    size_rest: Tensor  # (B, P, C, 3), over the bin's mean size
    mean_sizes: Tensor  # (C, 3), metres
