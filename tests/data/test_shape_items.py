"""What is trained on: objects cut out of scenes, and shapes of any source normalised, thinned, voxelized, batched."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from prepared_rooms import write_prepared
from shape_files import (
    points_of,
    write_arrays,
    write_shapenetpart,
)

from sparse3d.data.augment import RandomShift, RandomYaw
from sparse3d.data.scene_sources import PreparedSplit
from sparse3d.data.shapes.arrays import ShapeArrays
from sparse3d.data.shapes.dataset import LabelledShapes, ShapeGrid, collate_shapes, in_unit_sphere
from sparse3d.data.shapes.scene_objects import SceneObjects
from sparse3d.data.shapes.shapenetpart import ShapeNetPartShapes
from sparse3d.data.shapes.source import ShapeSource
from sparse3d.errors import InputError


def arrays(folder: Path) -> ShapeSource:
    return ShapeArrays(str(write_arrays(folder / "shapes.npz")))


# Objects of scenes ------------------------------------------------------------------------------------------


def test_objects_of_scenes_are_cut_out_whole_with_their_colours(tmp_path: Path) -> None:
    scenes = PreparedSplit(str(write_prepared(tmp_path / "rooms", train=2)), "train")
    source = SceneObjects(scenes, most_points=10_000)
    assert len(source.names) == 6 and source.classes == scenes.box_classes.names and not source.left_out
    for index in range(3):
        shape, scene = source.load(index), scenes.load(0)
        mine = scene.instance == index
        assert source.classes[shape.label] == scenes.box_classes.names[scene.boxes.label[index]]
        np.testing.assert_array_equal(shape.xyz, scene.xyz[mine])
        assert shape.rgb is not None
        np.testing.assert_allclose(shape.rgb, scene.rgb[mine], atol=0.5 / 255 + 1e-6)


def test_objects_are_thinned_the_same_way_and_small_ones_counted(tmp_path: Path) -> None:
    scenes = PreparedSplit(str(write_prepared(tmp_path / "rooms", train=2)), "train")
    whole = SceneObjects(scenes, most_points=10_000)
    thin, again = (SceneObjects(scenes, least_points=10, most_points=60) for _ in range(2))
    sizes = [len(whole.load(index)) for index in range(6)]
    assert max(sizes) > 60
    assert [len(thin.load(index)) for index in range(6)] == [min(size, 60) for size in sizes]
    np.testing.assert_array_equal(thin.load(0).xyz, again.load(0).xyz)
    least = sorted(sizes)[2]
    some = SceneObjects(scenes, least_points=least, most_points=10_000)
    assert len(some.names) + sum(some.left_out.values()) == 6 and sum(some.left_out.values()) == 2


def test_objects_of_chosen_classes_are_numbered_by_the_choice(tmp_path: Path) -> None:
    scenes = PreparedSplit(str(write_prepared(tmp_path / "rooms", train=2)), "train")
    source = SceneObjects(scenes, classes=("table", "bed"))
    assert source.classes == ("table", "bed") and sorted(source.load(k).label for k in range(4)) == [0, 0, 1, 1]
    with pytest.raises(InputError, match="'spoon' is none of"):
        SceneObjects(scenes, classes=("spoon",))
    with pytest.raises(InputError, match="hold no object of the classes"):
        SceneObjects(scenes, classes=("toilet",))


# Training items ---------------------------------------------------------------------------------------------


def test_shapes_are_brought_to_the_unit_sphere_wherever_and_however_large() -> None:
    xyz = points_of("plate", 3)
    there = in_unit_sphere(xyz)
    np.testing.assert_allclose(there.mean(axis=0), 0, atol=1e-6)
    assert np.linalg.norm(there, axis=1).max() == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(in_unit_sphere(xyz * 1000 + 5000), there, atol=1e-4)


def test_an_item_depends_on_its_seed_alone(tmp_path: Path) -> None:
    data = LabelledShapes(arrays(tmp_path), ShapeGrid(0.1, points=200), [RandomYaw(), RandomShift()])
    first, again, other = data[3, 7], pickle.loads(pickle.dumps(data))[3, 7], data[3, 8]
    np.testing.assert_array_equal(first.cloud.coords, again.cloud.coords)
    np.testing.assert_array_equal(first.cloud.feats, again.cloud.feats)
    assert first.cloud.coords.shape != other.cloud.coords.shape or (first.cloud.coords != other.cloud.coords).any()
    assert len(first.point2voxel) == 200, "thinned"


def test_training_and_measuring_see_shapes_of_one_density(tmp_path: Path) -> None:
    """Networks see how full the surroundings of a voxel are: 72 % became 40 % where measured shapes were four times as
    dense as those trained on."""
    source, grid = arrays(tmp_path), ShapeGrid(0.1, points=100)
    data = LabelledShapes(source, grid)
    drawn = np.mean([len(data[k, 0].cloud.coords) for k in range(10)])
    measured = [grid.measured(source.load(k)) for k in range(10)]
    assert np.mean([len(item.cloud.coords) for item in measured]) == pytest.approx(drawn, rel=0.05)
    assert drawn < 0.9 * np.mean([len(ShapeGrid(0.1).measured(source.load(k)).cloud.coords) for k in range(10)])
    np.testing.assert_array_equal(measured[0].cloud.coords, grid.measured(source.load(0)).cloud.coords)


def test_every_point_of_a_thinned_shape_has_the_voxel_of_a_point_beside_it(tmp_path: Path) -> None:
    shape = arrays(tmp_path).load(0)
    item = ShapeGrid(0.1, "none", points=100).measured(shape)
    assert len(item.point2voxel) == len(shape)
    away = np.linalg.norm(item.cloud.xyz[item.point2voxel] - shape.xyz, axis=1)
    assert away.max() < 0.35 and np.median(away) < 0.1


def test_thinning_does_not_move_a_shape(tmp_path: Path) -> None:
    """It is normalised before; else a shape of one drawn point would be a division by zero."""
    shape = arrays(tmp_path).load(0)
    item = ShapeGrid(0.1, points=1).measured(shape)
    assert len(item.cloud.coords) == 1 and np.isfinite(item.cloud.xyz).all()


def test_a_grid_without_normalising_keeps_metres(tmp_path: Path) -> None:
    shape = arrays(tmp_path).load(0)
    kept, scaled = ShapeGrid(0.1, "none").measured(shape), ShapeGrid(0.1).measured(shape)
    assert np.ptp(kept.cloud.coords, axis=0).max() < np.ptp(scaled.cloud.coords, axis=0).max()
    np.testing.assert_allclose(np.ptp(kept.cloud.xyz, axis=0), np.ptp(shape.xyz, axis=0), atol=0.15)


def test_points_without_colours_look_like_dropped_ones_and_are_no_zeros(tmp_path: Path) -> None:
    item = ShapeGrid(0.1).measured(arrays(tmp_path).load(0))
    assert (item.cloud.feats == -0.5).all()


def test_a_batch_keeps_shapes_apart(tmp_path: Path) -> None:
    source = ShapeNetPartShapes(str(write_shapenetpart(tmp_path / "parts")), "train")
    data = LabelledShapes(source, ShapeGrid(0.1))
    items = [data[index, 0] for index in (0, 4)]
    batch = collate_shapes(items)
    sizes = torch.bincount(batch.voxels.coords[:, 0]).tolist()
    assert sizes == [len(item.cloud.coords) for item in items] and len(batch.part) == sum(sizes)
    assert batch.label.tolist() == [15, 2] and batch.names == [items[0].name, items[1].name]
    assert set(batch.part[: sizes[0]].tolist()) == {47, 48} and set(batch.part[sizes[0] :].tolist()) == {6, 7}


def test_objects_of_scenes_without_instances_are_refused_as_detection_does(tmp_path: Path) -> None:
    root = write_prepared(tmp_path / "rooms", train=2)
    record = root / "scenes" / "room0001_00" / "scene.json"
    content = json.loads(record.read_text())
    content["mesh"]["instances_known"] = False
    record.write_text(json.dumps(content))
    with pytest.raises(InputError, match="room0001_00: no object, as its labels are of .labels.ply alone"):
        SceneObjects(PreparedSplit(str(root), "train"))
