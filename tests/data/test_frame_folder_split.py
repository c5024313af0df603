"""Pre-training on prepared scenes: a split list chooses them, their stored overlaps are used."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_scannet import write_scan, write_table

from sparse3d.data.view_sets import FrameFolder, ViewSets
from sparse3d.errors import InputError
from sparse3d.preparation.options import PrepareOptions
from sparse3d.preparation.runner import Job, prepare

NAMES = ("scene0000_00", "scene0000_01", "scene0001_00")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("split")
    write_table(folder / "source")
    for name in NAMES[:2]:
        write_scan(folder / "source" / name)
    write_scan(folder / "source" / NAMES[2], parts=("mesh", "labels", "alignment"))
    (folder / "source/splits").mkdir()
    lists = {"train": NAMES[:1], "val": NAMES[1:2], "meshes": NAMES[2:], "all": NAMES}
    for name, scenes in lists.items():
        (folder / f"source/splits/{name}.txt").write_text("\n".join(scenes) + "\n")
    prepare(Job(folder / "source", folder / "prepared", PrepareOptions(size=(64, 48), frame_skip=1)))
    return folder / "prepared"


def test_the_split_chooses_the_scenes_in_its_order(prepared: Path) -> None:
    for split, names in (("train", NAMES[:1]), ("val", NAMES[1:2])):
        assert [s.scene for s in FrameFolder(str(prepared), size=(64, 48), split=split).open()] == list(names)
    assert len(FrameFolder(str(prepared), size=(64, 48)).open()) == 2


def test_scenes_without_frames_are_left_out_and_none_at_all_is_an_error(prepared: Path) -> None:
    assert [s.scene for s in FrameFolder(str(prepared), size=(64, 48), split="all").open()] == list(NAMES[:2])
    with pytest.raises(InputError, match="no scene of the split 'meshes' has frames"):
        FrameFolder(str(prepared), size=(64, 48), split="meshes").open()


def test_an_unknown_split_names_those_there_are(prepared: Path) -> None:
    with pytest.raises(InputError, match="train"):
        FrameFolder(str(prepared), size=(64, 48), split="trian").open()


def test_view_sets_of_a_split_train_on_its_pairs(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def computed(*_: object, **__: object) -> np.ndarray:
        raise AssertionError("overlaps were computed though they are stored")

    monkeypatch.setattr("sparse3d.data.overlaps.computed_overlaps", computed)
    sets = ViewSets(FrameFolder(str(prepared), size=(64, 48), split="train"), voxel_size=0.1, cloud="per_view")
    item = sets[(0, 7)]
    assert len(item.names) == 2 and item.images.shape == (2, 48, 64, 3)
