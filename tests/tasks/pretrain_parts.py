"""A pre-training task small enough for tests: a tiny backbone and a teacher of two convolutions."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sparse3d.data.augment import RandomYaw
from sparse3d.data.matching_pairs import MatchingPairs
from sparse3d.data.view_sets import FrameFolder, ViewSets
from sparse3d.models.resunet import SPECS, ResUNetSpec, SRUNet
from sparse3d.models.student import Student2D
from sparse3d.models.teachers.base import CellAxis, Centers, Teacher
from sparse3d.tasks.consistency.matching import MatchingConsistency
from sparse3d.tasks.pretrain import PretrainTask

TINY = ResUNetSpec((8,) * 8, (1,) * 8, stem=8)


class TinyTeacher(Teacher):
    """Strides 8 and 16, with a BatchNorm whose buffers must not move."""

    name, strides, channels = "tiny", (8, 16), (4, 6)

    def __init__(self) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.first = nn.Sequential(nn.Conv2d(3, 4, 8, stride=8), nn.BatchNorm2d(4))
            self.second = nn.Conv2d(4, 6, 2, stride=2)
        self.freeze()

    def extract(self, images: Tensor) -> list[Tensor]:
        first = self.first(images.movedim(-1, 1).float() / 255 - 0.5)
        return [first, self.second(first)]

    def cell_centers(self, height: int, width: int) -> list[Centers]:
        axes = [[CellAxis(size // s, (s - 1) / 2, s) for size in (height, width)] for s in self.strides]
        return [(rows.centers(), cols.centers()) for rows, cols in axes]


def make_task(folder: Path, cloud: str = "both", views: int = 2, augment: bool = True, **options: Any) -> PretrainTask:
    """The task on the recording in ``folder`` (64 x 48 pixels)."""
    SPECS["tiny"] = TINY
    frames = FrameFolder(str(folder), size=(64, 48), up="z")
    augmentations = [RandomYaw()] if augment else []
    data = partial(
        ViewSets, frames, voxel_size=0.12, views=views, cloud=cloud, augmentations=augmentations, mask_ratio=0.2
    )
    defaults: dict[str, Any] = dict(
        teacher=TinyTeacher,
        student=partial(Student2D, hidden=8),
        backbone=partial(SRUNet, spec="tiny", stem_kernel_size=3),
        val=partial(MatchingPairs, frames, voxel_size=0.12, max_pairs=3, matches=200),
        consistency=partial(MatchingConsistency, near=0.15),
    )
    return PretrainTask(data=data, **{**defaults, **options})
