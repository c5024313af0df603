"""Pieces of labelled scenes: drawn by (index, seed) alone, within the budget; labels that fit."""

from __future__ import annotations

import logging
import pickle
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from prepared_rooms import write_prepared

from sparse3d.data.augment import RandomFlip, RandomScale, RandomShift, RandomYaw
from sparse3d.data.crops import crop_center, crop_rows
from sparse3d.data.detection_scenes import DetectionScenes
from sparse3d.data.labelled_scenes import LabelledScenes, SceneItem, collate_scenes, make_item
from sparse3d.data.limited_labels import keep_labelled_points
from sparse3d.data.scene_sources import PreparedSplit, SceneCache, check_scene
from sparse3d.errors import InputError
from sparse3d.types import IGNORE

MOVES = [RandomYaw(), RandomFlip(), RandomScale(), RandomShift()]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prepared(tmp_path_factory.mktemp("prepared"), train=3, val=1)


@pytest.fixture
def source(root: Path) -> PreparedSplit:
    return PreparedSplit(str(root), "train")


def same(a: SceneItem, b: SceneItem) -> bool:
    flat = all(np.array_equal(getattr(a, n), getattr(b, n)) for n in ("moved", "semantic"))
    return flat and all(np.array_equal(getattr(a.cloud, n), getattr(b.cloud, n)) for n in ("coords", "feats"))


def test_an_item_depends_on_its_index_and_seed_alone(source: PreparedSplit) -> None:
    data = LabelledScenes(source, 0.1, crop_points=2000, augmentations=MOVES, repeat=2)
    other = pickle.loads(pickle.dumps(data))  # as another worker has it
    assert len(data) == 6
    first = data[(1, 5)]
    assert data[(0, 9)].name != first.name
    assert same(data[(1, 5)], first) and same(other[(1, 5)], first)
    assert not same(data[(1, 6)], first)
    assert data[(4, 5)].name == first.name, "the second round of the epoch begins again"


@pytest.mark.parametrize("shape", ["column", "sphere"])
def test_a_crop_holds_the_nearest_points_and_no_more_than_its_budget(shape: str) -> None:
    xyz = np.random.default_rng(0).uniform(0, 4, (500, 3)).astype(np.float32)
    center = xyz[7]
    rows = crop_rows(xyz, center, 100, shape)
    assert len(rows) == 100 and np.all(np.diff(rows) > 0)
    axes = 2 if shape == "column" else 3
    distance = np.linalg.norm(xyz[:, :axes] - center[:axes], axis=1)
    assert distance[rows].max() <= np.delete(distance, rows).min()
    assert np.array_equal(crop_rows(xyz, center, 500, shape), np.arange(500))


def test_a_thinned_piece_has_points_of_the_whole_piece_and_other_ones_each_time(source: PreparedSplit) -> None:
    fine = 0.001  # metres: a voxel a point, so that voxels count points
    whole = LabelledScenes(source, fine, crop_points=None)[(0, 1)]
    thin = LabelledScenes(source, fine, crop_points=None, thin_to=500)
    item = thin[(0, 1)]
    assert len(whole.moved) > 1000 and 490 <= len(item.moved) <= 500  # a few points of the room coincide
    label_of = dict(zip(map(bytes, whole.moved), whole.semantic, strict=True))
    assert np.mean([label_of[bytes(place)] for place in item.moved] == item.semantic) > 0.99
    assert np.all(np.ptp(item.moved, axis=0) > 0.8 * np.ptp(whole.moved, axis=0)), "not a corner of it"
    assert same(thin[(0, 1)], item) and not same(thin[(0, 2)], item)
    few = LabelledScenes(source, fine, crop_points=None, thin_to=10**6)[(0, 1)]
    assert same(few, whole), "a piece with fewer points stays as it is"


def test_pieces_around_classes_show_a_rare_class_as_often_as_any_other() -> None:
    rng = np.random.default_rng(0)
    xyz = rng.uniform(0, 4, (2000, 3)).astype(np.float32)
    labels = np.where(np.arange(2000) < 10, 7, np.where(np.arange(2000) < 1500, 0, IGNORE))
    label_at = {tuple(place): int(label) for place, label in zip(xyz.tolist(), labels, strict=True)}
    drawn = [label_at[tuple(crop_center(xyz, labels, rng, "classes").tolist())] for _ in range(400)]
    assert set(drawn) == {0, 7} and 150 < drawn.count(7) < 250
    unlabelled = np.full(2000, IGNORE)
    assert tuple(crop_center(xyz, unlabelled, rng, "classes").tolist()) in label_at
    drawn = [label_at[tuple(crop_center(xyz, labels, rng).tolist())] for _ in range(400)]
    assert drawn.count(7) < 20 and IGNORE in drawn


def test_a_voxel_has_the_label_of_most_of_its_points(source: PreparedSplit) -> None:
    scene = source.load(0)
    item = make_item(scene, 0.2)
    votes: dict[tuple[int, ...], Counter[int]] = {}
    for place, label in zip(
        np.floor(scene.xyz.astype(np.float64) / 0.2).astype(int).tolist(), scene.semantic, strict=True
    ):
        votes.setdefault(tuple(place), Counter())[int(label)] += 1
    assert len(votes) == len(item.cloud.coords)
    for place, label in zip(item.cloud.coords.tolist(), item.semantic, strict=True):
        most = max(votes[tuple(place)].values())
        assert label == min(k for k, count in votes[tuple(place)].items() if count == most)


def test_a_batch_keeps_clouds_apart_and_its_rows_point_to_its_own_boxes(source: PreparedSplit) -> None:
    data = DetectionScenes(source, 0.1, points=None)
    items = [data[(0, 0)], data[(0, 0)], data[(1, 0)]]
    batch = collate_scenes(items)
    assert len(np.unique(batch.voxels.coords.numpy(), axis=0)) == len(batch.voxels.coords)
    assert batch.voxels.batch_size == 3 and batch.boxes.shape == (9, 7)
    item_of_row = batch.voxels.coords[:, 0].long()
    has = batch.instance >= 0
    assert bool((batch.box_item[batch.instance[has]] == item_of_row[has]).all())
    assert batch.names == [item.name for item in items]
    assert int(has.sum()) == sum(int((item.instance >= 0).sum()) for item in items)


def test_limited_points_keep_so_many_labels_nested_and_the_same_each_time(source: PreparedSplit) -> None:
    scene = source.load(0)
    few, more = (keep_labelled_points(scene.name, scene.semantic, count) for count in (20, 50))
    assert (few != IGNORE).sum() == 20 and (more != IGNORE).sum() == 50
    assert np.all(more[few != IGNORE] == few[few != IGNORE])
    assert np.all(few[few != IGNORE] == scene.semantic[few != IGNORE])
    data = LabelledScenes(source, 0.1, crop_points=None, points=20, augmentations=MOVES)
    labelled = [int((data[(0, seed)].semantic != IGNORE).sum()) for seed in range(3)]
    assert all(0 < count <= 20 for count in labelled)
    assert data.label_counts().sum() == 20 * len(source.names), "hidden labels were counted"


def test_thinning_takes_no_label_away_where_they_are_few(source: PreparedSplit) -> None:
    fine = {"voxel_size": 0.001, "crop_points": None, "points": 20}  # a voxel a point, so that voxels count points
    whole = LabelledScenes(source, **fine)[(0, 1)]
    for most in (500, 10):
        item = LabelledScenes(source, thin_to=most, **fine)[(0, 1)]
        assert (item.semantic != IGNORE).sum() == (whole.semantic != IGNORE).sum() > 15
        assert len(item.moved) <= max(most, 20)


def test_a_share_of_the_scenes_is_nested(root: Path) -> None:
    small, large = (set(PreparedSplit(str(root), "train", share=share).names) for share in (0.34, 0.67))
    assert len(small) == 1 and len(large) == 2 and small < large


def test_the_cache_stays_within_its_bytes_and_does_not_travel(source: PreparedSplit) -> None:
    bound = int(2.5 * source.load(0).nbytes)
    cache = SceneCache(source, bound)
    first = cache[0]
    assert cache[0] is first
    for index in (1, 2):
        assert len(cache[index]) and cache.nbytes <= bound
    assert cache[0] is not first, "it should have been the one to go"
    assert pickle.loads(pickle.dumps(cache)).nbytes == 0


def test_scenes_that_cannot_be_used_are_named(source: PreparedSplit, caplog: pytest.LogCaptureFixture) -> None:
    scene = source.load(0)
    broken = scene.xyz.copy()
    broken[3] = np.nan
    labels = scene.semantic.copy()
    labels[5] = 20
    for bad, said in (
        (replace(scene, xyz=broken), "room0000_00: 1 of .* points have coordinates that are not finite"),
        (replace(scene, rgb=scene.rgb * np.nan), "colours that are not finite"),
        (replace(scene, semantic=labels), "class 20 is none of the 20"),
        (replace(scene, xyz=scene.xyz[:0], rgb=scene.rgb[:0], semantic=labels[:0]), "has no points"),
    ):
        with pytest.raises(InputError, match=said):
            check_scene(bad, 20)
    with caplog.at_level(logging.WARNING, logger="sparse3d"):
        check_scene(replace(scene, xyz=scene.xyz * 1000), 20)
    assert "millimetres" in caplog.text


def test_scenes_without_labels_are_refused_unless_one_asks_for_them(tmp_path: Path) -> None:
    root = write_prepared(tmp_path, train=1, val=1)
    record = root / "scenes" / "room0001_00" / "scene.json"
    record.write_text(record.read_text().replace('"labels": true', '"labels": false'))
    with pytest.raises(InputError, match="room0001_00: has no labels"):
        PreparedSplit(str(root), "val")
    assert PreparedSplit(str(root), "val", labelled=False).names == ["room0001_00"]


@pytest.mark.parametrize(
    ("options", "said"),
    [({"voxel_size": 0.0}, "voxel_size"), ({"crop_points": 0}, "crop_points"), ({"thin_to": 0}, "thin_to"),
     ({"crop_shape": "cube"}, "crop_shape"),
     ({"crop_centers": "boxes"}, "crop_centers"), ({"points": 0}, "points"), ({"repeat": 0}, "repeat")],
)  # fmt: skip
def test_an_option_out_of_range_names_itself(source: PreparedSplit, options: dict[str, object], said: str) -> None:
    with pytest.raises(InputError, match=rf"LabelledScenes\.{said}"):
        LabelledScenes(source, **options)  # type: ignore[arg-type]


def test_two_hundred_classes_have_indices_of_their_own(root: Path) -> None:
    source = PreparedSplit(str(root), "train", classes="scannet200")
    labels = np.unique(source.load(0).semantic)
    assert [source.classes.names[k] for k in labels] == ["wall", "chair", "floor", "table", "bed"]
    with pytest.raises(InputError, match=r"PreparedSplit\.classes"):
        PreparedSplit(str(root), "train", classes="scannet21")
