"""2D knowledge transfer: the student's maps agree with the frozen teacher's."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

KINDS = ("cosine", "smooth_l1")
_SHORTEST = 1e-6  # shorter vectors are divided by this instead of their length


def knowledge_transfer_loss(predicted: Tensor, target: Tensor, mask: Tensor, kind: str = "cosine") -> Tensor:
    """Disagreement of one tap, averaged over each view's valid cells, then over the views.

    Both sides are normalised to unit length along the channels (the target is expected mean-centred already).
    ``cosine``: 1 - cos. ``smooth_l1``: Huber loss of the unit vectors scaled by sqrt(C), so that a channel is
    of unit size.

    Args:
        predicted: (N, C, h, w).
        target: (N, C, h, w).
        mask: (N, h, w) bool; a view without a valid cell counts zero.
        kind: ``cosine`` or ``smooth_l1``.

    Returns:
        Scalar float32.
    """
    if kind not in KINDS:
        raise ValueError(f"kind must be one of {KINDS}, got {kind!r}")
    predicted, target = predicted.float(), target.float()
    if kind == "cosine":
        per_cell = 1 - _cosine(predicted, target)
    else:
        predicted, target = (F.normalize(maps, dim=1, eps=_SHORTEST) for maps in (predicted, target))
        scale = predicted.shape[1] ** 0.5
        per_cell = F.smooth_l1_loss(predicted * scale, target * scale, reduction="none").mean(dim=1)
    known = mask.to(per_cell.dtype)
    per_view = (per_cell * known).sum(dim=(1, 2)) / known.sum(dim=(1, 2)).clamp_min(1)
    return per_view.mean()


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    """(N, h, w) of maps (N, C, h, w); without unit vectors, which would be maps to write and to go back through."""
    over_a, over_b = (maps.square().sum(dim=1).clamp_min(_SHORTEST**2).rsqrt() for maps in (a, b))
    return (a * b).sum(dim=1) * over_a * over_b


class RunningMean:
    """Running mean of a teacher tap's channels: exact over the first batches, exponential later.

    Equal on all processes when they train together.
    """

    def __init__(self, channels: int, momentum: float = 0.01) -> None:
        self.mean = torch.zeros(channels)
        self.updates = 0
        self.momentum = momentum

    def update(self, maps: Tensor) -> None:
        """Take in a batch of maps (N, C, h, w)."""
        batch = maps.float().mean(dim=(0, 2, 3))
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(batch)
            batch /= torch.distributed.get_world_size()
        self.updates += 1
        share = max(self.momentum, 1.0 / self.updates)
        self.mean = self.mean.to(batch.device).lerp(batch, share)

    def center(self, maps: Tensor) -> Tensor:
        """``maps`` (N, C, h, w) without the mean."""
        return maps.float() - self.mean.to(maps.device)[:, None, None]

    def state_dict(self) -> dict[str, Tensor]:
        return {"mean": self.mean.cpu(), "updates": torch.tensor(self.updates)}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        self.mean, self.updates = state["mean"], int(state["updates"])
