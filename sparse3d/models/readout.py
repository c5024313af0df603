"""What a pre-training's loss reads from the backbone: its decoder's output, its encoder's levels, or both."""

from __future__ import annotations

import gin
import torch.nn.functional as F
from torch import Tensor, nn

from sparse3d.checks import at_least
from sparse3d.models.resunet import SRUNet
from sparse3d.sparse import SparseTensor

READOUTS = ("decoder", "encoder", "both")


@gin.configurable(denylist=["backbone", "kind"])
class Readout(nn.Module):
    """Features of the finest voxels, (V, ``out_channels``).

    ``decoder`` is the backbone's output. ``encoder`` is a linear map of the encoder's five levels, each level's carried
    to the finest voxels by containment: what the loss asks for must then be there in the encoder, which is the part
    that transfer keeps. ``both`` is their sum.

    Args:
        backbone: whose channels they are; it is no part of this module.
        kind: of :data:`READOUTS`.
        channels: of the ``encoder``'s map; the other kinds have as many as the backbone's output.

    Raises:
        InputError: no channels.
    """

    def __init__(self, backbone: SRUNet, kind: str = "decoder", channels: int = 128) -> None:
        super().__init__()
        if kind not in READOUTS:
            raise ValueError(f"readout {kind!r} is none of {', '.join(READOUTS)}")
        at_least("Readout.channels", channels, 1)
        self.kind = kind
        widths = () if kind == "decoder" else backbone.encoder_channels
        self.out_channels = channels if kind == "encoder" else backbone.out_channels
        # One bias for the sum of all levels.
        self.levels = nn.ModuleList(nn.Linear(width, self.out_channels, bias=not k) for k, width in enumerate(widths))

    def idle_options(self) -> dict[str, str]:
        """Options without effect beside the others, and why."""
        return {} if self.kind == "encoder" else {"channels": "no loss of this run reads the 'encoder' alone"}

    def forward(self, levels: list[SparseTensor], decoded: Tensor | None) -> Tensor:
        """From :meth:`SRUNet.encode`'s levels and the backbone's output (V, C), which ``encoder`` does without."""
        parts = []
        if self.kind != "encoder":
            assert decoded is not None
            parts.append(decoded)
        if self.kind != "decoder":
            # Summed from the coarsest level up, so that only one step is taken by as many rows as there are voxels.
            total = self.levels[-1](levels[-1].feats)
            for k in reversed(range(len(levels) - 1)):
                rows = levels[k].manager.parents(levels[k].key, levels[k + 1].key)
                # Not indexed, as the gradient of that goes one number at a time.
                total = self.levels[k](levels[k].feats) + F.embedding(rows, total)
            parts.append(total)
        return sum(parts[1:], parts[0])
