"""The confusion matrix against a count, point by point, of what each class hits, misses and takes wrongly."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse3d.metrics.segmentation import ConfusionMatrix
from sparse3d.types import IGNORE

NAMES = ("wall", "floor", "chair", "sofa", "table")
Scenes = dict[str, tuple[np.ndarray, np.ndarray]]


def random_scenes(seed: int, classes: int = 5) -> Scenes:
    """Scenes of few classes each, with labels and predictions outside the list in both directions."""
    rng = np.random.default_rng(seed)
    scenes = {}
    for k in range(int(rng.integers(1, 5))):
        pool = np.append(rng.choice(classes, int(rng.integers(1, classes)), replace=False), [IGNORE, -1, classes, 255])
        count = int(rng.integers(0, 60))
        truth, guess = rng.choice(pool, count), rng.choice(pool, count)
        scenes[f"scene{k}"] = (np.where(rng.random(count) < 0.5, truth, guess), truth)
    return scenes


def counted(scenes: Scenes, names: tuple[str, ...] = NAMES) -> ConfusionMatrix:
    confusion = ConfusionMatrix(names)
    for scene, (prediction, truth) in scenes.items():
        confusion.update(scene, prediction, truth)
    return confusion


def brute_force(scenes: Scenes, classes: int) -> dict[str, float]:
    """Sets of points, class by class; no matrix."""
    points = [
        (int(p), int(t)) for prediction, truth in scenes.values() for p, t in zip(prediction, truth, strict=True)
        if 0 <= t < classes
    ]  # fmt: skip
    ious, accuracies = [], []
    for c in range(classes):
        hits = sum(p == c and t == c for p, t in points)
        touched = sum(p == c or t == c for p, t in points)
        mine = sum(t == c for _, t in points)
        if mine:
            ious.append(hits / touched)
            accuracies.append(hits / mine)
    right = sum(p == t for p, t in points)
    nan = math.nan
    return {
        "miou_point": sum(ious) / len(ious) if ious else nan,
        "mean_accuracy_point": sum(accuracies) / len(accuracies) if accuracies else nan,
        "overall_accuracy_point": right / len(points) if points else nan,
    }


@pytest.mark.parametrize("block", range(10))
def test_figures_of_random_scenes_are_those_of_the_count(block: int) -> None:
    for seed in range(20 * block, 20 * block + 20):
        scenes = random_scenes(seed)
        figures = counted(scenes).compute("point")
        for name, value in brute_force(scenes, len(NAMES)).items():
            assert figures[name] == pytest.approx(value, abs=1e-9, nan_ok=True), (seed, name)


def test_by_hand() -> None:
    truth = np.array([0, 0, 0, 1, 1, 2, IGNORE, 255])
    guess = np.array([0, 0, 1, 1, -1, 2, 0, 1])
    confusion = counted({"a": (guess, truth)})
    np.testing.assert_allclose(confusion.iou(), [2 / 3, 1 / 3, 1, np.nan, np.nan])
    np.testing.assert_allclose(confusion.accuracy(), [2 / 3, 1 / 2, 1, np.nan, np.nan])
    figures = confusion.compute("voxel")
    assert figures["miou_voxel"] == pytest.approx(2 / 3)
    assert figures["overall_accuracy_voxel"] == pytest.approx(4 / 6)
    assert [name for name in figures if "/" in name] == ["iou_voxel/wall", "iou_voxel/floor", "iou_voxel/chair"]
    assert confusion.skipped == 2
    assert confusion.matrix.tolist()[1] == [0, 1, 0, 0, 0, 1]


def test_a_prediction_outside_the_classes_is_a_miss_and_nobodys_false_positive() -> None:
    inside = counted({"a": (np.array([0, 1, 2]), np.array([0, 1, 2]))})
    outside = counted({"a": (np.array([0, 1, 77]), np.array([0, 1, 2]))})
    np.testing.assert_array_equal(inside.iou()[:2], outside.iou()[:2])
    assert outside.iou()[2] == 0


def test_an_absent_class_is_no_zero_also_where_it_is_predicted() -> None:
    """Trap: one point of a class that does not occur would add a zero to the mean, and change what it is taken over."""
    truth = np.array([0, 0, 1, 1])
    assert counted({"a": (truth, truth)}).compute("point")["miou_point"] == 1
    wrong = counted({"a": (np.array([0, 0, 1, 3]), truth)})
    np.testing.assert_allclose(wrong.iou(), [1, 0.5, np.nan, np.nan, np.nan])
    assert np.isnan(wrong.accuracy()[3])
    elsewhere = counted({"a": (np.array([0, 0, 1, 0]), truth)}).compute("point")
    assert set(elsewhere) == set(wrong.compute("point")), "the same classes, whatever is predicted"


def test_the_mean_is_over_all_scenes_and_not_of_the_scenes() -> None:
    """Class 0 is found in the large scene and missed in the small one: 90 of 100, not the mean of 1 and 0."""
    large, small = np.zeros(90, dtype=int), np.zeros(10, dtype=int)
    confusion = counted({"large": (large, large), "small": (small - 1, small)})
    assert confusion.iou()[0] == pytest.approx(0.9)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_order_of_points_scenes_and_merging_changes_no_digit(seed: int) -> None:
    scenes = random_scenes(seed)
    whole = counted(scenes).compute("point")
    rng = np.random.default_rng(seed)
    parts = []
    for scene, (prediction, truth) in scenes.items():
        order = rng.permutation(len(truth))
        parts.append(counted({scene: (prediction[order], truth[order])}))
    for order in itertools.islice(itertools.permutations(range(len(parts))), 6):
        merged = ConfusionMatrix(NAMES)
        for k in order:
            merged.merge(parts[k])
        np.testing.assert_equal(merged.compute("point"), whole)


def test_a_scene_padded_into_two_processes_counts_once() -> None:
    scenes = random_scenes(1)
    whole, again = counted(scenes), counted(scenes)
    whole.merge(again)
    np.testing.assert_array_equal(whole.matrix, again.matrix)
    assert whole.scenes == sorted(scenes)


def test_a_scene_counted_twice_or_with_another_networks_labels_is_refused() -> None:
    one, other = np.array([0, 1]), np.array([0, 0])
    confusion = counted({"a": (one, one)})
    with pytest.raises(ValueError, match="scene a has been counted already"):
        confusion.update("a", one, one)
    with pytest.raises(ValueError, match="stale"):
        confusion.merge(counted({"a": (other, one)}))
    with pytest.raises(ValueError, match="cannot be merged"):
        confusion.merge(counted({}, ("x", "y")))


def test_tensors_and_narrow_integers_count_like_arrays() -> None:
    prediction, truth = random_scenes(3)["scene0"]
    narrow = ConfusionMatrix(NAMES)
    narrow.update("a", torch.from_numpy(prediction), truth.astype(np.int16))
    np.testing.assert_array_equal(narrow.matrix, counted({"a": (prediction, truth)}).matrix)


def test_nothing_counted_has_no_figure() -> None:
    figures = ConfusionMatrix(NAMES).compute("tta")
    assert set(figures) == {"miou_tta", "mean_accuracy_tta", "overall_accuracy_tta"}
    assert all(math.isnan(value) for value in figures.values())


def test_bad_input_is_refused() -> None:
    confusion = ConfusionMatrix(NAMES)
    with pytest.raises(ValueError, match="do not fit"):
        confusion.update("a", np.zeros(3, dtype=int), np.zeros(4, dtype=int))
    with pytest.raises(ValueError, match="integers, got float"):
        confusion.update("a", np.zeros(3), np.zeros(3, dtype=int))
    for names in ([], ["a", "a"]):
        with pytest.raises(ValueError, match="different names"):
            ConfusionMatrix(names)
    assert confusion.scenes == []
