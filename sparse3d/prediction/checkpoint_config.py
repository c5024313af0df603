"""What a checkpoint's config tells of its task without opening any data."""

from __future__ import annotations

import copy
import inspect
import re
from typing import Any

import gin
from gin import config as gin_config

from sparse3d.data.s3dis_scenes import S3DIS13, S3disAreas
from sparse3d.data.scannet.classes import CLASS_LISTS, ClassList
from sparse3d.data.scene_sources import LabelledScene, PreparedSplit
from sparse3d.data.sunrgbd_scenes import SUNRGBD10
from sparse3d.errors import InputError

REQUIRED = re.compile(r"^([\w./]+) *= *%gin\.REQUIRED\b", re.MULTILINE)


def placeholders(config_text: str) -> tuple[str, ...]:
    """Bindings for what the config leaves to be given: roots of data that are not going to be opened."""
    return tuple(f"{name} = ''" for name in REQUIRED.findall(config_text))


def bound(key: str, default: Any) -> Any:
    """The value of ``Configurable.parameter`` in the loaded config, references followed, or ``default``."""
    try:
        return copy.deepcopy(gin.query_parameter(key))  # gin's references are evaluated when they are copied
    except ValueError:
        return default


class ClassesOnly:
    """Scenes of which only the classes are known; a task asks for no more to build its network."""

    names: tuple[str, ...] = ()

    def __init__(self, classes: ClassList) -> None:
        self.classes = self.box_classes = classes

    def load(self, index: int) -> LabelledScene:
        """There are none."""
        raise IndexError(f"scene {index}: a loaded model has no scenes")


def list_of(names: tuple[str, ...]) -> ClassList:
    """The known list of these names, for its colours, or one made of them."""
    for known in (*CLASS_LISTS.values(), S3DIS13, SUNRGBD10):
        if known.names == names:
            return known
    return ClassList("checkpoint", "index", names, tuple(range(len(names))))


def segmentation_classes(task_state: dict[str, Any], checkpoint: str) -> ClassList:
    """The classes of a segmentation checkpoint: those that it names, else those of its scenes by the loaded config.

    Raises:
        InputError: the scenes are of a kind whose classes only they themselves know.
    """
    if task_state.get("classes"):
        return list_of(tuple(task_state["classes"]))
    for key in ("SegmentationTask.val", "LabelledScenes.source"):
        reference = _reference(key)
        if reference is not None:
            return _classes_of(reference, checkpoint)
    raise InputError(f"checkpoint {checkpoint}: its config names no scenes, so its classes are not known")


def _reference(key: str) -> Any:
    try:
        value = gin.query_parameter(key)
    except ValueError:
        return None
    return value if isinstance(value, gin_config.ConfigurableReference) else None


def _classes_of(reference: Any, checkpoint: str) -> ClassList:
    selector = reference.configurable.selector
    name = selector.rsplit(".", 1)[-1]
    if name == S3disAreas.__name__:
        return S3DIS13
    if name != PreparedSplit.__name__:
        raise InputError(f"checkpoint {checkpoint}: the classes of {name} are not known without its data")
    scope = "/".join(reference.scopes)
    default = inspect.signature(PreparedSplit.__init__).parameters["classes"].default
    chosen = bound("PreparedSplit.classes", default)
    return CLASS_LISTS[bound(f"{scope}/PreparedSplit.classes", chosen) if scope else chosen]
