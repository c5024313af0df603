"""What detection heads tell, as plain tensors."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass
class Cells:
    point: Tensor
    item: Tensor
    level: Tensor
    cells: tuple[float, ...]
    logits: Tensor
    center: Tensor
    size: Tensor
    turn: Tensor | None


@dataclass
class Votes:
    seed_row: Tensor
    seed_xyz: Tensor
    vote_xyz: Tensor
    proposal_xyz: Tensor
    center: Tensor
    objectness: Tensor
    classes: Tensor
    heading: Tensor
    heading_rest: Tensor
    size: Tensor
    size_rest: Tensor
    mean_sizes: Tensor
