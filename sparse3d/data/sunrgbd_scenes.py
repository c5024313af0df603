"""SUN RGB-D frames as labelled scenes: boxes turned about z, points without labels of their own."""

from __future__ import annotations

import gin
import numpy as np

from sparse3d.checks import at_least, fraction, one_of
from sparse3d.data.scannet.classes import ClassList
from sparse3d.data.scannet.split_lists import limited_scenes
from sparse3d.data.scene_sources import LabelledScene
from sparse3d.data.sunrgbd import (
    CLASSES,
    COLORS,
    LABELS,
    boxes_of,
    read_labels,
    read_sunrgbd_frame,
    sunrgbd_frames,
    sunrgbd_root,
)
from sparse3d.errors import InputError
from sparse3d.types import IGNORE, Boxes

SUNRGBD10 = ClassList("sunrgbd10", "sunrgbd", CLASSES, tuple(range(len(CLASSES))), COLORS)


@gin.configurable
class SunRgbdFrames:
    """The frames of a split.

    Args:
        root: the folder of depth, image, calib and label, or the one above it.
        split: ``train`` or ``val``, by the lists that lie beside the folders; None takes every frame.
        labels: version of the annotation: ``v1`` is what published figures are of.
        share, share_seed: of the frames, as for :class:`~sparse3d.data.scene_sources.PreparedSplit`.

    Raises:
        InputError: no frames there, a list that does not fit, or an unknown version.
    """

    def __init__(
        self,
        root: str = gin.REQUIRED,
        split: str | None = "train",
        labels: str = "v1",
        share: float = 1.0,
        share_seed: int = 0,
    ) -> None:
        one_of("SunRgbdFrames.labels", labels, LABELS)
        fraction("SunRgbdFrames.share", share, "frames")
        at_least("SunRgbdFrames.share_seed", share_seed, 0)
        folder = sunrgbd_root(root)
        if folder is None:
            raise InputError(f"{root}: holds no depth/*.mat: name the folder of depth, image, calib and label")
        self.root, self.labels = folder, labels
        self._names = list(limited_scenes(sunrgbd_frames(folder, split), share, share_seed))

    @property
    def classes(self) -> ClassList:
        return SUNRGBD10

    @property
    def box_classes(self) -> ClassList:
        return SUNRGBD10

    @property
    def names(self) -> list[str]:
        return list(self._names)

    def boxes(self, index: int) -> Boxes:
        """The boxes of frame ``index``: a text file, where the points are megabytes."""
        return boxes_of(read_labels(self.root / LABELS[self.labels] / f"{self._names[index]}.txt"))

    def load(self, index: int) -> LabelledScene:
        frame = read_sunrgbd_frame(self.root, self._names[index], self.labels)
        count = len(frame.xyz)
        none = np.full(count, IGNORE, dtype=np.int64)
        return LabelledScene(frame.name, frame.xyz, frame.rgb, none, np.full(count, -1, dtype=np.int64), frame.boxes)
