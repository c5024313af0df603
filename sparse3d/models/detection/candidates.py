"""Scores of places and classes made into a list of scored boxes for each cloud."""

from __future__ import annotations

import torch
from torch import Tensor

from sparse3d.types import Boxes


def boxes_by_item(table: Tensor, scores: Tensor, item: Tensor, batch_size: int, least: float, most: int) -> list[Boxes]:
    """The best (place, class) pairs of each cloud, by falling score; doubles are left to non-maximum suppression.

    Args:
        table: (P, 7) centre, size (metres), yaw (radians) of each place's box.
        scores: (P, C) of each class, in [0, 1].
        item: (P,) the place's cloud.
        batch_size: number of clouds.
        least: pairs with a lower score are left out.
        most: pairs of one cloud.
    """
    found = []
    sound = table.isfinite().all(dim=1)
    for index in range(batch_size):
        rows = torch.nonzero((item == index) & sound).squeeze(1)
        row, label = torch.nonzero(scores[rows] >= least, as_tuple=True)
        value = scores[rows[row], label]
        best = value.argsort(descending=True, stable=True)[:most]
        boxes = table[rows[row[best]]].detach().cpu().double().numpy()
        found.append(
            Boxes(
                boxes[:, :3], boxes[:, 3:6], boxes[:, 6], label[best].cpu().numpy(), value[best].detach().cpu().numpy()
            )
        )
    return found
