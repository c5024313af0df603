"""Detection items: boxes follow every move, thinning does not depend on rows, typical sizes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prepared_rooms import write_prepared

from sparse3d.data.augment import RandomFlip, RandomScale, RandomShift, RandomYaw
from sparse3d.data.detection_scenes import (
    DetectionScenes,
    RandomMirrorX,
    RandomQuarterTurn,
    _most_frequent,
    box_class_names,
    class_mean_sizes,
    detection_item,
    known_boxes,
    scene_boxes,
    thinned_rows,
)
from sparse3d.data.scene_sources import LabelledScene, PreparedSplit
from sparse3d.data.sunrgbd_scenes import SunRgbdFrames
from sparse3d.data.voxelize import majority_label
from sparse3d.errors import InputError
from sparse3d.geometry.boxes import count_points_in_boxes, points_in_boxes
from sparse3d.types import IGNORE, Boxes


def scene(seed: int = 0, turned: bool = False) -> LabelledScene:
    """Three objects, each of 400 points that fill its box, among 500 others."""
    rng = np.random.default_rng(seed)
    size = rng.uniform(0.4, 1.2, (3, 3)).astype(np.float32)
    center = np.array([[0, 0, 0.5], [3, 1, 0.6], [-1, 3, 0.7]], dtype=np.float32)
    yaw = rng.uniform(-3, 3, 3).astype(np.float32) if turned else np.zeros(3, np.float32)
    boxes = Boxes(center, size, yaw, np.array([4, IGNORE, 7]))
    local = rng.uniform(-0.5, 0.5, (3, 400, 3))
    local[:, :2] = np.array([[-0.5] * 3, [0.5] * 3])  # two corners, so that the box is the points' own
    flat = local * size[:, None]
    cos, sin = np.cos(yaw)[:, None], np.sin(yaw)[:, None]
    x, y = cos * flat[..., 0] - sin * flat[..., 1], sin * flat[..., 0] + cos * flat[..., 1]
    things = (np.stack([x, y, flat[..., 2]], axis=2) + center[:, None]).reshape(-1, 3)
    xyz = np.concatenate([things, rng.uniform(-2, 4, (500, 3))]).astype(np.float32)
    instance = np.concatenate([np.repeat(np.arange(3), 400), np.full(500, -1)])
    if turned:  # as SUN RGB-D: points know of no instance
        instance = np.full(len(xyz), -1)
    return LabelledScene(
        "here", xyz, rng.random((len(xyz), 3)).astype(np.float32), np.full(len(xyz), IGNORE), instance, boxes
    )


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_boxes_hold_the_same_points_after_a_move(seed: int, turned: bool) -> None:
    before, rng = scene(seed, turned), np.random.default_rng(seed)
    moves = [RandomQuarterTurn(), RandomFlip(), RandomScale(0.8, 1.2), RandomShift(2.0)]
    moves += [RandomYaw(180), RandomMirrorX()] if turned else []
    item = detection_item(before, 1e-3, None, moves, rng)
    # A voxel of a millimetre holds a point; its mean before and after the move are the same point's places.
    assert len(item.moved) == len(before)
    old, new = points_in_boxes(item.cloud.xyz, before.boxes), points_in_boxes(item.moved, item.boxes)
    near_a_face = 3 * 3 * 2  # corners and rounding
    assert (old != new).sum() <= near_a_face
    assert item.boxes.label.tolist() == before.boxes.label.tolist()


@pytest.mark.parametrize("seed", range(4))
def test_quarter_turns_and_flips_turn_boxes_along_the_axes_exactly(seed: int) -> None:
    before, rng = scene(seed), np.random.default_rng(seed)
    item = detection_item(before, 0.05, None, [RandomQuarterTurn(), RandomFlip()], rng)
    assert np.allclose(np.sort(item.boxes.size[:, :2], axis=1), np.sort(before.boxes.size[:, :2], axis=1), atol=1e-5)
    assert np.allclose(np.abs(np.sort(np.abs(item.boxes.center[:, :2]), axis=1)),
                       np.sort(np.abs(before.boxes.center[:, :2]), axis=1), atol=1e-5)  # fmt: skip
    assert not item.boxes.yaw.any()


def test_boxes_along_the_axes_are_drawn_anew_around_the_turned_points() -> None:
    item = detection_item(scene(), 1e-3, None, [RandomYaw(180), RandomShift()], np.random.default_rng(2))
    for k in range(3):
        mine = item.moved[item.instance == k]
        np.testing.assert_allclose(item.boxes.center[k] - item.boxes.size[k] / 2, mine.min(axis=0), atol=1e-4)
        np.testing.assert_allclose(item.boxes.center[k] + item.boxes.size[k] / 2, mine.max(axis=0), atol=1e-4)
    assert not item.boxes.yaw.any()


def test_boxes_are_those_of_all_points_however_few_are_kept() -> None:
    before = scene()
    item = detection_item(before, 0.05, 50, [RandomQuarterTurn()], np.random.default_rng(0))
    assert len(item.moved) <= 50 and len(item.boxes) == 3
    assert np.allclose(np.sort(item.boxes.size, axis=1), np.sort(before.boxes.size, axis=1), atol=1e-5)


def test_boxes_of_few_points_are_left_out_and_their_voxels_belong_to_none() -> None:
    before = scene()
    instance = before.instance.copy()
    instance[5:400] = -1
    item = detection_item(replace(before, instance=instance), 0.01, None, min_box_points=20)
    assert item.boxes.label.tolist() == [IGNORE, 7]
    assert set(item.instance.tolist()) == {-1, 0, 1}


def test_of_scenes_without_instances_boxes_that_hold_few_points_are_left_out() -> None:
    whole = scene()
    wider = replace(whole.boxes, size=1.001 * whole.boxes.size)  # no point lies in a face
    before = replace(whole, instance=np.full(len(whole), -1), boxes=wider)
    inside = count_points_in_boxes(before.xyz, before.boxes)
    for least in (0, int(inside.min()) + 1, int(inside.max()) + 1):
        item = detection_item(before, 0.05, None, min_box_points=least)
        assert np.array_equal(item.boxes.label, before.boxes.label[inside >= least])


def test_an_item_without_randomness_does_not_depend_on_the_order_of_rows() -> None:
    before = scene()
    order = np.random.default_rng(1).permutation(len(before))
    parts = {name: getattr(before, name)[order] for name in ("xyz", "rgb", "semantic", "instance")}
    first, second = (detection_item(s, 0.05, 300) for s in (before, replace(before, **parts)))
    assert np.array_equal(first.cloud.coords, second.cloud.coords)
    assert np.array_equal(first.instance, second.instance) and np.array_equal(first.boxes.size, second.boxes.size)
    assert np.array_equal(first.cloud.feats, second.cloud.feats) and np.array_equal(first.moved, second.moved)


def test_thinning_takes_each_row_once() -> None:
    xyz = np.random.default_rng(0).normal(size=(100, 3))
    for rng in (None, np.random.default_rng(3)):
        rows = thinned_rows(xyz, xyz, 30, rng)
        assert len(set(rows.tolist())) == 30
        assert sorted(thinned_rows(xyz, xyz, None, rng)) == sorted(thinned_rows(xyz, xyz, 100, rng)) == list(range(100))


@pytest.mark.parametrize("seed", range(5))
def test_the_most_frequent_instance_is_the_majority_with_none_as_a_candidate(seed: int) -> None:
    rng = np.random.default_rng(seed)
    instance, voxel = rng.integers(-1, 4, 300), rng.integers(0, 40, 300)
    expected = majority_label(instance + 1, voxel, 41, -7)
    expected = np.where(expected == -7, -1, expected - 1)
    assert np.array_equal(_most_frequent(instance, voxel, 41), expected)


def test_typical_sizes_are_means_by_class(tmp_path: Path) -> None:
    source = PreparedSplit(str(write_prepared(tmp_path, 3, 1)), split="train")
    sizes: dict[int, list[np.ndarray]] = {}
    for index in range(3):
        stored, loaded = known_boxes(scene_boxes(source, index)), known_boxes(source.load(index).boxes)
        assert np.array_equal(stored.size, loaded.size) and np.array_equal(stored.label, loaded.label)
        for label, size in zip(loaded.label.tolist(), loaded.size, strict=True):
            sizes.setdefault(label, []).append(size)
    means = class_mean_sizes(source)
    for label, found in sizes.items():
        assert np.allclose(means[label], np.mean(found, axis=0), atol=1e-5)
    everything = np.mean([size for found in sizes.values() for size in found], axis=0)
    unseen = sorted(set(range(18)) - set(sizes))
    assert np.allclose(means[unseen], everything, atol=1e-5)


def test_the_same_seed_gives_the_same_item(tmp_path: Path) -> None:
    source = PreparedSplit(str(write_prepared(tmp_path)), split="train")
    data = DetectionScenes(source, points=500, augmentations=[RandomYaw(5), RandomShift()], repeat=3, min_box_points=1)
    assert len(data) == 6
    first, second, third = data[(1, 5)], data[(1, 5)], data[(1, 6)]
    assert np.array_equal(first.moved, second.moved) and not np.array_equal(first.moved[:50], third.moved[:50])
    assert np.array_equal(first.boxes.center, second.boxes.center)


def test_options_that_cannot_be_are_refused(tmp_path: Path) -> None:
    source = PreparedSplit(str(write_prepared(tmp_path)), split="train")
    for options in ({"voxel_size": 0}, {"points": 0}, {"repeat": 0}):
        with pytest.raises(InputError, match="must be"):
            DetectionScenes(source, **options)
    with pytest.raises(InputError, match="box classes 'nyu' are unknown: choose one of scannet18, sunrgbd10"):
        box_class_names("nyu")
    with pytest.raises(InputError, match=r"holds no depth/\*.mat"):
        SunRgbdFrames(str(tmp_path))


@pytest.mark.needs_shared_data
def test_sunrgbd_frames_are_scenes_with_turned_boxes(shared_data: Path) -> None:
    source = SunRgbdFrames(str(shared_data / "sunrgbd"), split=None)
    assert len(source.names) == 2
    for index in range(2):
        frame = source.load(index)
        held = points_in_boxes(frame.xyz, frame.boxes).sum(axis=0)
        assert frame.boxes.yaw.any() and (held > 50).all()
        item = detection_item(frame, 0.05, 20_000, [RandomMirrorX(1.0)], np.random.default_rng(0))
        again = points_in_boxes(frame.xyz * np.array([-1, 1, 1], np.float32), item.boxes).sum(axis=0)
        assert np.allclose(held, again, atol=3)
