"""S3DIS's rooms as labelled scenes: splits, names, and a box around every object."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from prepared_rooms import write_areas

from sparse3d.data.s3dis_scenes import S3disAreas
from sparse3d.data.scene_sources import check_scene
from sparse3d.errors import InputError


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_areas(tmp_path_factory.mktemp("areas")))


def test_the_test_area_is_held_out(root: str) -> None:
    train, val = S3disAreas(root, "train", cache=False), S3disAreas(root, "val", cache=False)
    assert val.names == ["Area_5/office_1"] and len(train.names) == 5 and not set(train.names) & set(val.names)
    assert S3disAreas(root, "val", test_area=2).names == ["Area_2/office_1"]
    assert S3disAreas(root, areas=(1, 6)).names == ["Area_1/office_1", "Area_6/office_1"]
    assert len(S3disAreas(root, "all", share=0.5).names) == 3


def test_every_object_has_its_class_and_its_box(root: str) -> None:
    source = S3disAreas(root, areas=(2,), cache=False)
    scene = source.load(0)
    check_scene(scene, len(source.classes))
    assert scene.name == source.names[0] and len(source.classes) == 13
    assert sorted(source.box_classes.names[k] for k in scene.boxes.label) == ["floor", "table", "wall"]
    for k in range(len(scene.boxes)):
        mine = scene.xyz[scene.instance == k]
        np.testing.assert_allclose(scene.boxes.center[k], (mine.min(axis=0) + mine.max(axis=0)) / 2, atol=1e-5)
        np.testing.assert_allclose(scene.boxes.size[k], np.ptp(mine, axis=0), atol=1e-5)
        assert set(scene.semantic[scene.instance == k].tolist()) == {scene.boxes.label[k]}


def test_objects_of_no_class_are_counted_and_named_when_rooms_are_opened(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """They become clutter: right for the original's stairs, wrong for a mistyped chair, so nobody should miss it."""
    root = write_areas(tmp_path)
    S3disAreas(str(root), areas=(1, 2), cache=False)
    assert not caplog.records
    for area, name in ((1, "chiar_1"), (1, "chiar_2"), (2, "stairs_1"), (3, "chiar_3")):
        annotations = root / f"Area_{area}" / "office_1" / "Annotations"
        shutil.copy(next(annotations.glob("*.txt")), annotations / f"{name}.txt")
    S3disAreas(str(root), areas=(1, 2), cache=False)
    assert [record.getMessage() for record in caplog.records] == [
        f"{root}: objects of no class of S3DIS are clutter: chiar (2), stairs (1)"
    ]


def test_a_room_that_is_not_there_and_a_share_out_of_range_are_named(root: str) -> None:
    with pytest.raises(InputError, match="Area_1/office_9 is none of"):
        S3disAreas(root, areas=(1,), rooms=("Area_1/office_9",))
    with pytest.raises(InputError, match=r"S3disAreas\.share"):
        S3disAreas(root, share=0.0)
    with pytest.raises(InputError, match=r"S3disAreas\.share_seed = -1"):
        S3disAreas(root, share_seed=-1)
    with pytest.raises(InputError, match=r"S3disAreas\.rooms is empty"):
        S3disAreas(root, rooms=())
    assert S3disAreas(root, areas=(1, 2), rooms=("Area_2/office_1",)).names == ["Area_2/office_1"]


@pytest.mark.needs_shared_data
def test_a_real_hallway_is_read(shared_data: Path) -> None:
    source = S3disAreas(str(shared_data / "s3dis"), areas=(3,), rooms=("Area_3/hallway_3",), cache=False)
    scene = source.load(0)
    check_scene(scene, 13)
    present = {source.classes.names[k] for k in np.unique(scene.semantic)}
    assert {"floor", "wall", "door"} <= present and len(scene) > 100_000


def test_a_room_without_its_annotations_is_named(tmp_path: Path) -> None:
    root = write_areas(tmp_path / "s3dis")
    (root / "Area_3" / "lost_1").mkdir()
    (root / "Area_3" / "lost_1" / "lost_1.txt").write_text("0 0 0 1 2 3\n")
    with pytest.raises(InputError, match="lost_1: holds a room without Annotations"):
        S3disAreas(str(root), areas=(3,))
