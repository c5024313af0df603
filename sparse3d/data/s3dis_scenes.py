"""S3DIS rooms as labelled scenes."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import gin
import numpy as np

from sparse3d.checks import at_least, fraction
from sparse3d.data.s3dis import CLASSES, COLORS, read_s3dis_room, s3dis_rooms, s3dis_split, unknown_kinds
from sparse3d.data.scannet.classes import ClassList
from sparse3d.data.scannet.split_lists import limited_scenes
from sparse3d.data.scene_sources import LabelledScene
from sparse3d.errors import InputError
from sparse3d.types import Boxes

_log = logging.getLogger("sparse3d")

S3DIS13 = ClassList("s3dis", "s3dis", CLASSES, tuple(range(len(CLASSES))), COLORS)


@gin.configurable
class S3disAreas:
    """The rooms of some of S3DIS's areas.

    Args:
        root: the folder that holds ``Area_1`` to ``Area_6``.
        split: ``train`` (all areas but the test area), ``val`` or ``test`` (the test area), or ``all``.
        test_area: 5 by the usual protocol; 1 to 6 in turn for the six folds.
        areas: these instead of the split's.
        rooms: names such as ``"Area_3/hallway_3"`` to keep; None keeps all.
        share, share_seed: of the rooms, as for :class:`~sparse3d.data.scene_sources.PreparedSplit`.
        cache: keep each room's points in a file beside its annotations, which is read much faster.

    Raises:
        InputError: an area or room that is not there.
    """

    def __init__(
        self,
        root: str = gin.REQUIRED,
        split: str = "train",
        test_area: int = 5,
        areas: Sequence[int] | None = None,
        rooms: Sequence[str] | None = None,
        share: float = 1.0,
        share_seed: int = 0,
        cache: bool = True,
    ) -> None:
        fraction("S3disAreas.share", share, "rooms")
        at_least("S3disAreas.share_seed", share_seed, 0)
        if rooms is not None and not len(rooms):
            raise InputError("S3disAreas.rooms is empty: name at least one, or None for all")
        chosen = s3dis_split(split, test_area) if areas is None else tuple(areas)
        folders = {f"{path.parent.name}/{path.name}": path for path in s3dis_rooms(root, chosen)}
        if missing := [name for name in rooms or () if name not in folders]:
            raise InputError(f"S3disAreas.rooms: {missing[0]} is none of the {len(folders)} rooms of areas {chosen}")
        names = [name for name in folders if rooms is None or name in rooms]
        self.folders = [folders[name] for name in limited_scenes(names, share, share_seed)]
        self.cache = cache
        if unknown := unknown_kinds(self.folders):
            named = ", ".join(f"{kind} ({count})" for kind, count in unknown.items())
            _log.warning("%s: objects of no class of S3DIS are clutter: %s", root, named)

    @property
    def classes(self) -> ClassList:
        return S3DIS13

    @property
    def box_classes(self) -> ClassList:
        return S3DIS13

    @property
    def names(self) -> list[str]:
        return [f"{path.parent.name}/{path.name}" for path in self.folders]

    def load(self, index: int) -> LabelledScene:
        room = read_s3dis_room(self.folders[index], self.cache)
        boxes = _boxes_of_instances(room.xyz, room.instance, room.semantic, len(room.objects))
        return LabelledScene(room.name, room.xyz, room.rgb, room.semantic, room.instance, boxes)


def _boxes_of_instances(xyz: np.ndarray, instance: np.ndarray, semantic: np.ndarray, count: int) -> Boxes:
    low, high = np.full((count, 3), np.inf), np.full((count, 3), -np.inf)
    np.minimum.at(low, instance, xyz)
    np.maximum.at(high, instance, xyz)
    label = np.zeros(count, dtype=np.int64)
    label[instance] = semantic  # all points of an object have one class
    return Boxes((low + high) / 2, high - low, np.zeros(count), label)
