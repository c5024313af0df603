"""Labelled scenes from whatever data set they come: one form for rooms, ScanNet and others.

A new data set is one more class with the methods of :class:`SceneSource`, named in gin.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Protocol

import gin
import numpy as np

from sparse3d.checks import at_least, fraction, one_of
from sparse3d.data.limited_labels import keep_labelled_points
from sparse3d.data.prepared import PreparedScene, limited_scenes, prepared_scenes
from sparse3d.data.recent import RecentItems
from sparse3d.data.scannet.classes import CLASS_LISTS, ClassList
from sparse3d.errors import InputError
from sparse3d.types import IGNORE, Boxes

_log = logging.getLogger("sparse3d")

WIDEST = 300.0  # metres; a scene that spans more is most likely given in millimetres


@dataclass(frozen=True, eq=False)
class LabelledScene:
    """N points of one scene, z up, along the room's axes where the data set has them."""

    name: str
    xyz: np.ndarray  # (N, 3) float32, metres
    rgb: np.ndarray  # (N, 3) float32 in [0, 1]
    semantic: np.ndarray  # (N,) int64, index of the source's classes, IGNORE for none
    instance: np.ndarray  # (N,) int64, row of ``boxes``, -1 for none
    boxes: Boxes  # of the instances; label IGNORE outside the source's box classes
    faces: np.ndarray | None = None  # (F, 3) int32, where the points are a mesh's vertices

    def __len__(self) -> int:
        return len(self.xyz)

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        arrays = (self.xyz, self.rgb, self.semantic, self.instance, self.faces)
        return sum(array.nbytes for array in arrays if array is not None)


class SceneSource(Protocol):
    """Named scenes with one list of classes; picklable, read on demand."""

    @property
    def classes(self) -> ClassList:
        """The classes of ``semantic``."""
        ...

    @property
    def box_classes(self) -> ClassList:
        """The classes of the boxes' labels."""
        ...

    @property
    def names(self) -> list[str]:
        """The scenes' names, all different."""
        ...

    def load(self, index: int) -> LabelledScene:
        """Scene ``index``; raises InputError where it cannot be used."""
        ...

    # A source may also have boxes(index) -> Boxes, where they are had without reading the points.


@gin.configurable
class PreparedSplit:
    """Scenes that ``tools/prepare.py`` wrote: furnished rooms, ScanNet.

    Args:
        root: the folder it wrote into.
        split: the name of a list in ``root/splits``, the path of a list, or None for all scenes.
        classes: ``scannet20`` or ``scannet200``.
        share: of the split's scenes to use, in (0, 1]; smaller shares' scenes are among larger ones'.
        share_seed: which scenes a share takes.
        labelled: leave out no scene, but demand that all have labels. False for a benchmark's test scenes.

    Raises:
        InputError: an unknown list of classes, scenes that are not there, or one without a mesh or labels.
    """

    def __init__(
        self,
        root: str = gin.REQUIRED,
        split: str | None = "train",
        classes: str = "scannet20",
        share: float = 1.0,
        share_seed: int = 0,
        labelled: bool = True,
    ) -> None:
        one_of("PreparedSplit.classes", classes, [name for name in CLASS_LISTS if name != "scannet18"])
        fraction("PreparedSplit.share", share, "scenes")
        at_least("PreparedSplit.share_seed", share_seed, 0)
        scenes = prepared_scenes(root, split)
        kept = set(limited_scenes([scene.name for scene in scenes], share, share_seed))
        self.scenes: list[PreparedScene] = [scene for scene in scenes if scene.name in kept]
        for scene in self.scenes:
            if not scene.has_mesh:
                raise InputError(f"{scene.path}: prepared without a mesh, so there are no points to label")
            if labelled and not scene.has_labels:
                raise InputError(
                    f"{scene.path}: has no labels; choose a labelled split, or bind val/PreparedSplit.labelled "
                    "= False to predict without measuring"
                )
        self._classes = classes
        if classes == "scannet200":
            self.check_instances("no class of ScanNet200")

    def check_instances(self, lacking: str = "no box") -> None:
        """Whether objects are annotated wherever classes are: what is there and unknown would count as not there.

        Raises:
            InputError: a scene with classes from ``.labels.ply`` alone, which has ``lacking``.
        """
        without = [scene for scene in self.scenes if scene.has_labels and not scene.has_instances]
        if without:
            raise InputError(
                f"{without[0].path}: {lacking}, as its labels are of .labels.ply alone ({len(without)} of "
                f"{len(self.scenes)} scenes): fetch .aggregation.json and .segs.json, and prepare again"
            )

    @property
    def classes(self) -> ClassList:
        return CLASS_LISTS[self._classes]

    @property
    def box_classes(self) -> ClassList:
        """The 18 of detection, whatever the points' classes are."""
        return CLASS_LISTS["scannet18"]

    @property
    def names(self) -> list[str]:
        return [scene.name for scene in self.scenes]

    def load(self, index: int) -> LabelledScene:
        scene = self.scenes[index]
        mesh = scene.mesh(self._classes, aligned=True)
        return LabelledScene(
            scene.name, mesh.xyz, mesh.rgb, mesh.semantic, mesh.instance, self.boxes(index), mesh.faces
        )

    def boxes(self, index: int) -> Boxes:
        """The boxes of scene ``index``, along its axes."""
        objects = self.scenes[index].objects()
        return Boxes(
            center=np.array([o.center for o in objects], dtype=np.float32).reshape(-1, 3),
            size=np.array([o.size for o in objects], dtype=np.float32).reshape(-1, 3),
            yaw=np.zeros(len(objects), dtype=np.float32),
            label=np.array([IGNORE if o.class18 is None else o.class18 for o in objects], dtype=np.int64),
        )


def check_scene(scene: LabelledScene, classes: int) -> None:
    """Whether a scene can be worked with.

    Raises:
        InputError: no points, coordinates or colours that are not finite, a class out of range, or coordinates so far
            out that they cannot be metres.
    """
    if not len(scene):
        raise InputError(f"scene {scene.name}: has no points; leave it out of the split")
    for what, values in (("coordinates", scene.xyz), ("colours", scene.rgb)):
        bad = int((~np.isfinite(values)).any(axis=1).sum())
        if bad:
            raise InputError(f"scene {scene.name}: {bad} of {len(scene)} points have {what} that are not finite")
    named = scene.semantic[scene.semantic != IGNORE]
    if len(named) and not 0 <= named.min() <= named.max() < classes:
        wrong = int(named.min()) if named.min() < 0 else int(named.max())
        raise InputError(
            f"scene {scene.name}: class {wrong} is none of the {classes} (0 to {classes - 1}), nor {IGNORE}"
        )
    extent = float(np.ptp(scene.xyz, axis=0).max())
    if extent > WIDEST:
        _log.warning("scene %s spans %.0f m: are its coordinates millimetres? They must be metres", scene.name, extent)


class SceneCache(RecentItems[LabelledScene]):
    """The most recently used scenes of a source, checked, within a bound in bytes; one cache a process.

    Args:
        source: where scenes come from.
        most_bytes: the bound.
        points: labelled points a scene to keep (see :func:`keep_labelled_points`); None keeps all.
        points_seed: which points.
    """

    def __init__(self, source: SceneSource, most_bytes: int, points: int | None = None, points_seed: int = 0) -> None:
        super().__init__(self._checked, most_bytes)
        self.source, self.points, self.points_seed = source, points, points_seed

    def _checked(self, index: int) -> LabelledScene:
        scene = self.source.load(index)
        check_scene(scene, len(self.source.classes))
        if self.points is None:
            return scene
        kept = keep_labelled_points(scene.name, scene.semantic, self.points, self.points_seed)
        return replace(scene, semantic=kept)
