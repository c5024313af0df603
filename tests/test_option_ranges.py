"""A value outside its range is one line that names the option, whatever part of the package takes it."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from sparse3d.checks import at_least, fraction, in_range, not_negative, one_of, positive
from sparse3d.data.augment import ColorDrop, ColorJitter, RandomFlip, RandomScale, RandomShift, RandomTilt, RandomYaw
from sparse3d.data.augment_scenes import AutoContrast, ColorNoise, ElasticDistortion
from sparse3d.data.detection_scenes import RandomMirrorX
from sparse3d.data.labelled_scenes import LabelledScenes
from sparse3d.data.matching_pairs import MatchingPairs
from sparse3d.data.scene_sources import PreparedSplit
from sparse3d.data.shapes.dataset import LabelledShapes, ShapeGrid
from sparse3d.data.shapes.modelnet import ModelNetShapes
from sparse3d.data.shapes.scene_objects import SceneObjects
from sparse3d.data.sunrgbd_scenes import SunRgbdFrames
from sparse3d.data.view_sets import FrameFolder, ViewSets
from sparse3d.errors import InputError
from sparse3d.losses.detection_sparse import SparseDetectionLoss
from sparse3d.losses.detection_votenet import VoteNetLoss
from sparse3d.models.correspondence import MatchingHead, RegressionHead
from sparse3d.models.detection.sparse_head import SparseHead
from sparse3d.models.detection.votenet_head import VoteNetHead
from sparse3d.models.resunet import SRUNet
from sparse3d.models.student import Student2D
from sparse3d.probing.probe import FeatureProbe
from sparse3d.study.options import StudyMatching
from sparse3d.tasks.classification import ClassificationTask
from sparse3d.tasks.consistency.info_nce import InfoNceConsistency
from sparse3d.tasks.consistency.matching import MatchingConsistency
from sparse3d.tasks.detection import DetectionTask
from sparse3d.tasks.parts import PartSegmentationTask
from sparse3d.tasks.pretrain import PretrainTask
from sparse3d.tasks.segmentation import SegmentationTask
from sparse3d.training.settings import TrainSettings

FOLDER = FrameFolder(root="never opened")
# What each class needs besides the option in question; none of it is touched before the options are checked.
GIVEN: dict[type, dict[str, Any]] = {
    LabelledScenes: {"source": None}, MatchingPairs: {"frames": FOLDER}, ViewSets: {"frames": FOLDER},
    PreparedSplit: {"root": "never opened"}, MatchingHead: {"in_channels": 4}, RegressionHead: {"in_channels": 4},
    SparseHead: {"backbone": None, "classes": 3}, VoteNetHead: {"backbone": None, "classes": 3},
    Student2D: {"in_channels": 4, "channels": (8,), "strides": (8,), "map_stride": 4},
    FeatureProbe: {"train": None, "val": None}, StudyMatching: {"name": "kitchen"},
    DetectionTask: {"data": None, "head": None, "criterion": dict}, PretrainTask: {"data": None, "teacher": dict},
    SegmentationTask: {"data": None}, ClassificationTask: {"data": None, "grid": None},
    PartSegmentationTask: {"data": None, "grid": None}, LabelledShapes: {"source": None, "grid": None},
    ModelNetShapes: {"root": "never opened"}, SceneObjects: {"source": None},
}  # fmt: skip
WRONG: list[tuple[Callable[..., Any], str, list[Any]]] = [
    (RandomYaw, "degrees", [-1.0, math.inf, math.nan]),
    (RandomTilt, "degrees", [-1.0]),
    (RandomFlip, "probability", [1.5, -0.1]),
    (partial(RandomScale, high=0.8), "low", [0.0, -1.0, 0.9]),
    (partial(RandomScale, low=0.1), "high", [0.0]),
    (RandomShift, "distance", [-1.0]),
    (ColorJitter, "brightness", [-0.1]),
    (ColorJitter, "gain", [-0.1]),
    (ColorDrop, "probability", [7.0, -7.0]),
    (ElasticDistortion, "probability", [2.0]),
    (AutoContrast, "probability", [-0.1]),
    (AutoContrast, "blend", [1.1]),
    (ColorNoise, "std", [-1.0]),
    (ColorNoise, "probability", [1.1]),
    (RandomMirrorX, "probability", [1.1]),
    (ViewSets, "max_depth", [0.0, -1.0, math.nan]),
    (ViewSets, "mask_block", [-0.1, math.inf, math.nan]),
    (MatchingPairs, "max_depth", [0.0]),
    (MatchingPairs, "seed", [-1]),
    (LabelledScenes, "points_seed", [-1]),
    (PreparedSplit, "share_seed", [-1]),
    (partial(SunRgbdFrames, "frames"), "share_seed", [-1]),
    (FeatureProbe, "seed", [-1]),
    (FeatureProbe, "features", [("encoder", "encoder")]),
    (StudyMatching, "pairs", [0, -3]),
    (partial(StudyMatching, last=3), "first", [4]),
    (PretrainTask, "kt_weight", [-1.0, math.inf]),
    (PretrainTask, "mv_weight", [-1.0, math.nan]),
    (MatchingConsistency, "coordinate_weight", [-5.0]),
    (MatchingConsistency, "near", [-1.0]),
    (MatchingConsistency, "max_keys", [0]),
    (InfoNceConsistency, "near", [-1.0]),
    (PretrainTask, "level_weights", [(-1.0, 2.0), (0.0, 0.0), (math.inf, 1.0)]),
    (SegmentationTask, "pictures", [-1]),
    (SegmentationTask, "label_smoothing", [1.0, -0.1, math.nan]),
    (SegmentationTask, "lovasz_weight", [-1.0, math.nan]),
    (ShapeGrid, "voxel_size", [0.0, -1.0, math.nan]),
    (ShapeGrid, "normalize", ["sphere"]),
    (ShapeGrid, "points", [0]),
    (LabelledShapes, "cache_bytes", [-1]),
    (ModelNetShapes, "variant", ["modelnet"]),
    (ModelNetShapes, "sampled", [0]),
    (ModelNetShapes, "up", ["w"]),
    (SceneObjects, "least_points", [0]),
    (SceneObjects, "most_points", [49]),
    (ClassificationTask, "hidden", [-1]),
    (ClassificationTask, "dropout", [1.0, -0.1]),
    (ClassificationTask, "label_smoothing", [1.0]),
    (ClassificationTask, "votes", [0]),
    (ClassificationTask, "pictures", [-1]),
    (PartSegmentationTask, "label_smoothing", [-0.1]),
    (PartSegmentationTask, "votes", [0]),
    (SparseDetectionLoss, "nearest", [0]),
    (SparseDetectionLoss, "span", [0.0, math.nan]),
    (SparseDetectionLoss, "least_size", [0.0]),
    (SparseDetectionLoss, "box_weight", [-1.0]),
    (SparseDetectionLoss, "turn_weight", [math.nan]),
    (VoteNetLoss, "near", [0.7, 0.0]),
    (VoteNetLoss, "scale", [0.0, math.nan]),
    (VoteNetLoss, "object_weights", [(-1.0, -1.0), (0.0, 0.0)]),
    (VoteNetLoss, "vote_weight", [-1.0]),
    (VoteNetLoss, "objectness_weight", [math.inf]),
    (VoteNetLoss, "box_weight", [-5.0]),
    (VoteNetLoss, "class_weight", [math.nan]),
    (VoteNetLoss, "overlap_weight", [-0.1]),
    (partial(SegmentationTask, class_weights="given"), "given_weights", [(-1.0, -1.0), (0.0, 0.0)]),
    (DetectionTask, "points", [0, -5]),
    (SparseHead, "score", [5.0]),
    (SparseHead, "hidden", [0, -1]),
    (SparseHead, "bn_momentum", [9.0]),
    (VoteNetHead, "score", [-0.1]),
    (VoteNetHead, "hidden", [0]),
    (SRUNet, "in_channels", [0]),
    (SRUNet, "stem_kernel_size", [0]),
    (SRUNet, "out_channels", [0]),
    (SRUNet, "bn_momentum", [7.0]),
    (MatchingHead, "dim", [0, -1]),
    (MatchingHead, "temperature", [0.001, math.inf, math.nan]),
    (RegressionHead, "hidden", [0]),
    (Student2D, "hidden", [0]),
    (Student2D, "depth", [-1]),
    (TrainSettings, "worker_start", ["bogus"]),
]


def made_by(make: Callable[..., Any]) -> type:
    return make.func if isinstance(make, partial) else make  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("make", "option", "value"),
    [(make, option, value) for make, option, values in WRONG for value in values],
    ids=lambda value: getattr(value, "__name__", None),
)
def test_it_is_named_with_its_value(make: Callable[..., Any], option: str, value: Any) -> None:
    kind = made_by(make)
    with pytest.raises(InputError) as caught:
        make(**GIVEN.get(kind, {}), **{option: value})
    owner = "train" if kind is TrainSettings else kind.__name__
    assert f"{owner}.{option} = " in str(caught.value) and str(value) in str(caught.value)


def test_the_ends_of_a_range_belong_to_it_where_they_make_sense() -> None:
    RandomYaw(0.0), RandomFlip(0.0), RandomFlip(1.0), RandomScale(1.0, 1.0), RandomShift(0.0), ColorDrop(1.0)
    in_range("x", 0, 0, 1), in_range("x", 1, 0, 1), not_negative("x", 0), at_least("x", 1, 1), at_least("x", None, 1)
    for check in (partial(positive, "x"), partial(not_negative, "x"), partial(in_range, "x", low=0, high=1)):
        with pytest.raises(InputError, match="x = nan"):
            check(math.nan)
    with pytest.raises(InputError, match="x = 0.0: must be positive and finite, in metres"):
        positive("x", 0.0, "metres")


def test_a_choice_that_is_none_names_those_that_are() -> None:
    one_of("x", "b", "abc"), one_of("x", None, (None, "y")), fraction("x", 1.0, "rooms")
    with pytest.raises(InputError, match="x = 'd' is unknown: choose one of a, b, c"):
        one_of("x", "d", {"a": 1, "b": 2, "c": 3})
    for value in (0.0, 1.5, math.nan):
        with pytest.raises(InputError, match=rf"x = {value}: must be in \(0, 1\], as a share of the rooms"):
            fraction("x", value, "rooms")
