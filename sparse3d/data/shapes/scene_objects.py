"""The annotated objects of scans as single shapes: furnished rooms, ScanNet, S3DIS, whatever has instances."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from zlib import crc32

import gin
import numpy as np

from sparse3d.checks import at_least
from sparse3d.data.scene_sources import LabelledScene, PreparedSplit, SceneSource, check_scene
from sparse3d.data.shapes.source import Shape, WholeShapes
from sparse3d.errors import InputError
from sparse3d.types import IGNORE


@gin.configurable
class SceneObjects(WholeShapes):
    """Every instance of a class of the scenes' boxes, cut out with its own colours and in metres.

    All scenes are read once, and the objects kept in memory: 15 bytes a point.

    Args:
        source: the scenes.
        classes: names among the box classes to keep, in this order; None keeps all of them.
        least_points: objects with fewer are left out; ``left_out`` counts them by class.
        most_points: larger ones are thinned out to so many, always the same ones.

    Raises:
        InputError: an unknown class, a scene that cannot be used, or no object at all.
    """

    colored = True
    in_memory = True

    def __init__(
        self,
        source: SceneSource = gin.REQUIRED,
        classes: Sequence[str] | None = None,
        least_points: int = 50,
        most_points: int = 2048,
    ) -> None:
        at_least("SceneObjects.least_points", least_points, 1)
        at_least("SceneObjects.most_points", most_points, least_points)
        known = source.box_classes.names
        self._classes = known if classes is None else tuple(classes)
        if unknown := [name for name in self._classes if name not in known]:
            raise InputError(f"SceneObjects.classes: {unknown[0]!r} is none of {', '.join(known)}")
        if len(set(self._classes)) < len(self._classes):
            raise InputError(f"SceneObjects.classes = {self._classes}: names a class twice")
        if isinstance(source, PreparedSplit):  # other data sets are annotated as a whole
            source.check_instances("no object")
        self.least_points, self.most_points = least_points, most_points
        self.left_out: Counter[str] = Counter()
        self._new_label = {known.index(name): label for label, name in enumerate(self._classes)}
        self._objects: list[Shape] = []
        for index in range(len(source.names)):
            scene = source.load(index)
            check_scene(scene, len(source.classes))
            self._objects += self._objects_of(scene)
        if not self._objects:
            raise InputError(f"SceneObjects: the {len(source.names)} scenes hold no object of the classes")
        self._names = [shape.name for shape in self._objects]

    def load(self, index: int) -> Shape:
        shape = self._objects[index]
        assert shape.rgb is not None
        return Shape(shape.name, shape.xyz, shape.rgb.astype(np.float32) / 255, shape.label)

    def _objects_of(self, scene: LabelledScene) -> Iterator[Shape]:
        """The objects of one scene, with colours in whole numbers up to 255."""
        for row, old in enumerate(scene.boxes.label.tolist()):
            if old == IGNORE or old not in self._new_label:
                continue
            mine = np.flatnonzero(scene.instance == row)
            name, label = f"{scene.name}/{row}", self._new_label[old]
            if len(mine) < self.least_points:
                self.left_out[self._classes[label]] += 1
                continue
            if len(mine) > self.most_points:
                rng = np.random.default_rng(crc32(name.encode()))
                mine = np.sort(rng.choice(mine, self.most_points, replace=False, shuffle=False))
            yield Shape(name, scene.xyz[mine], np.round(scene.rgb[mine] * 255).astype(np.uint8), label)
