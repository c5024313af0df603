"""Shapes of every format are read the same: upright, with their class, in the order of the lists, or refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from shape_files import (
    KINDS,
    SIZES,
    points_of,
    write_arrays,
    write_modelnet_meshes,
    write_modelnet_points,
    write_off,
    write_scanobjectnn,
    write_shapenetpart,
)

from sparse3d.data.shapes.arrays import ShapeArrays
from sparse3d.data.shapes.modelnet import ModelNetShapes
from sparse3d.data.shapes.off import read_off
from sparse3d.data.shapes.scanobjectnn import ScanObjectNNShapes
from sparse3d.data.shapes.shapenetpart import ShapeNetPartShapes
from sparse3d.data.shapes.source import Shape, ShapeSource, check_shape, upright, whole_numbers
from sparse3d.errors import InputError
from sparse3d.types import IGNORE


def meshes(folder: Path) -> ShapeSource:
    return ModelNetShapes(str(write_modelnet_meshes(folder / "meshes")), sampled=500)


def resampled(folder: Path) -> ShapeSource:
    return ModelNetShapes(str(write_modelnet_points(folder / "points")))


def arrays(folder: Path) -> ShapeSource:
    return ShapeArrays(str(write_arrays(folder / "shapes.npz")))


def scanned(folder: Path) -> ShapeSource:
    return ScanObjectNNShapes(str(write_scanobjectnn(folder / "scanobjectnn")))


UPRIGHT = {"plate": "plate", "flat_plate": "plate", "table": "plate", "stick": "stick", "chair": "stick"}


@pytest.mark.parametrize("make", [meshes, resampled, arrays, scanned])
def test_every_format_gives_upright_shapes_of_the_right_class(
    make: Callable[[Path], ShapeSource], tmp_path: Path
) -> None:
    source = make(tmp_path)
    assert len(set(source.names)) == len(source.names) >= 6
    assert source.parts == () and source.parts_of == ()
    kinds = set()
    for index, name in enumerate(source.names):
        shape = source.load(index)
        check_shape(shape, source)
        assert shape.name == name and shape.xyz.dtype == np.float32 and shape.rgb is None
        kind = UPRIGHT[source.classes[shape.label]]
        kinds.add(kind)
        size = np.ptp(shape.xyz, axis=0)
        assert (size[2] > 0.6) == (kind == "stick"), "z is up"
        np.testing.assert_allclose(size, SIZES[kind], rtol=0.3)
        again = source.load(index)
        np.testing.assert_array_equal(shape.xyz, again.xyz)
    assert kinds == set(KINDS)


def test_a_turn_to_z_up_mirrors_nothing() -> None:
    corners = np.vstack([np.zeros(3), np.eye(3)])
    for up in "xyz":
        turned = upright(corners, up)
        axes = turned[1:] - turned[0]  # the images of x, y and z
        np.testing.assert_allclose(axes["xyz".index(up)], [0, 0, 1], atol=1e-6)
        assert np.linalg.det(axes) == pytest.approx(1)


def test_a_shape_far_from_the_origin_keeps_its_digits() -> None:
    """Single precision alone would leave a handful of points there."""
    xyz = points_of("plate", 0).astype(np.float64)
    np.testing.assert_allclose(upright(xyz + 4e6, "z"), upright(xyz, "z"), atol=1e-6)


def test_the_splits_of_modelnet_share_no_shape(tmp_path: Path) -> None:
    for write in (write_modelnet_meshes, write_modelnet_points):
        root = str(write(tmp_path / write.__name__))
        train, test = (ModelNetShapes(root, split) for split in ("train", "test"))
        assert train.classes == test.classes and not set(train.names) & set(test.names)
        assert (len(train.names), len(test.names)) == (6, 4)


def test_meshes_with_a_header_that_runs_on_are_read(tmp_path: Path) -> None:
    """As some of ModelNet40's: "OFF8 12 0" in one line."""
    for header, folder in (("OFF\n", "plain"), ("OFF", "run-on")):
        write_off(tmp_path / folder / "stick" / "train" / "stick_0001.off", "stick", 0, header)
    plain, run_on = (ModelNetShapes(str(tmp_path / folder)).load(0) for folder in ("plain", "run-on"))
    np.testing.assert_array_equal(plain.xyz, run_on.xyz)


def test_a_mesh_is_sampled_evenly_by_area(tmp_path: Path) -> None:
    write_off(tmp_path / "plate" / "train" / "plate_0001.off", "plate", 0)
    xyz = ModelNetShapes(str(tmp_path), sampled=20_000).load(0).xyz
    xyz = xyz - (xyz.min(axis=0) + xyz.max(axis=0)) / 2
    size = np.ptp(xyz, axis=0)
    face = np.array([size[1] * size[2], size[0] * size[2], size[0] * size[1]])
    on_face = np.array([(np.abs(np.abs(xyz[:, k]) - size[k] / 2) < 1e-4).mean() for k in range(3)])
    np.testing.assert_allclose(on_face, face / face.sum(), atol=0.015)


BROKEN = {
    "empty": "",
    "another format": "PLY\n",
    "too few vertices": "OFF\n3 1 0\n0 0 0\n",
    "too few faces": "OFF\n3 2 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n",
    "no surface": "OFF\n3 1 0\n0 0 0\n1 1 1\n2 2 2\n3 0 1 2\n",
    "no faces": "OFF\n3 0 0\n0 0 0\n1 1 1\n2 2 2\n",
    "a vertex that is not there": "OFF\n3 1 0\n0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n",
    "words": "OFF\n3 1 0\n0 0 0\n1 0 zero\n0 1 0\n3 0 1 2\n",
}


@pytest.mark.parametrize("text", BROKEN.values(), ids=list(BROKEN))
def test_a_broken_mesh_is_one_line_that_names_it(text: str, tmp_path: Path) -> None:
    path = tmp_path / "stick" / "train" / "stick_0001.off"
    path.parent.mkdir(parents=True)
    path.write_text(text)
    with pytest.raises(InputError, match="stick_0001.off: cannot be read as a mesh"):
        ModelNetShapes(str(tmp_path)).load(0)


def test_meshes_are_read_with_comments_colours_and_polygons(tmp_path: Path) -> None:
    square = "0 0 0 255 0 0\n1 0 0 0 0 0\n1 1 0 0 0 0\n0 1 0 0 0 0\n.5 2 0 0 0 0\n"
    text = f"\ufeff# made by hand\ncoff\r\n5 2 0 # counts\n\n{square}4 0 1 2 3 255 0 0\n3 2 4 3\n"
    (tmp_path / "mixed.OFF").write_text(text, encoding="utf-8")
    vertices, triangles = read_off(tmp_path / "mixed.OFF")
    assert vertices.shape == (5, 3) and triangles.tolist() == [[0, 1, 2], [0, 2, 3], [2, 4, 3]]


def test_a_class_without_shapes_of_the_split_is_named(tmp_path: Path) -> None:
    root = write_modelnet_meshes(tmp_path / "meshes", test=0)
    write_off(root / "plate" / "test" / "plate_0009.off", "plate", 9)
    with pytest.raises(InputError, match="stick/test: holds no .off file"):
        ModelNetShapes(str(root), "test")
    points = write_modelnet_points(tmp_path / "points")
    (points / "stick" / "stick_0002.txt").unlink()
    with pytest.raises(InputError, match=r"1 of 6 shapes are not there; first: .*stick_0002\.txt"):
        ModelNetShapes(str(points))


def test_files_of_one_name_in_two_classes_are_two_shapes(tmp_path: Path) -> None:
    for kind in KINDS:
        write_off(tmp_path / kind / "train" / "0001.OFF", kind, 0)  # in capitals, too
    assert ModelNetShapes(str(tmp_path)).names == ["plate/0001", "stick/0001"]


def test_parts_belong_to_their_category(tmp_path: Path) -> None:
    source = ShapeNetPartShapes(str(write_shapenetpart(tmp_path / "parts")), "train")
    assert len(source.classes) == 16 and len(source.parts) == len(set(source.parts)) == 50
    assert sorted(part for parts in source.parts_of for part in parts) == list(range(50))
    for index in range(len(source.names)):
        shape = source.load(index)
        check_shape(shape, source)
        name = source.classes[shape.label]
        assert shape.part is not None and set(shape.part) == ({47, 48} if name == "Table" else {6, 7})
        top = shape.xyz[shape.part == shape.part.min()]
        assert np.ptp(top[:, 2]) < 0.2 and top[:, 2].mean() > 0.2, "the plate lies above"


def test_a_shape_that_is_listed_again_is_taken_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = str(write_shapenetpart(tmp_path / "parts"))
    source = ShapeNetPartShapes(root, "trainval")  # the one in val is in train, too
    assert len(source.names) == len(set(source.names)) == 6
    assert "1 entries of split 'trainval' name a shape again" in caplog.text


def test_listed_shapes_that_are_not_there_are_refused_or_counted(tmp_path: Path) -> None:
    root = write_shapenetpart(tmp_path / "parts")
    (root / "04379243" / "shape1.txt").unlink()
    with pytest.raises(InputError, match=r"1 of 6 shapes.*04379243/shape1\.txt.*missing = True"):
        ShapeNetPartShapes(str(root), "train")
    source = ShapeNetPartShapes(str(root), "train", missing=True)
    assert source.left_out == 1 and len(source.names) == 5
    caps = ShapeNetPartShapes(str(root), "train", categories=("Cap",))
    assert len(caps.names) == 3 and caps.left_out == 0 and caps.load(0).label == source.classes.index("Cap")


def test_a_part_of_another_category_is_refused(tmp_path: Path) -> None:
    source = ShapeNetPartShapes(str(write_shapenetpart(tmp_path / "parts")), "train", categories=("Cap",))
    shape = source.load(0)
    assert shape.part is not None
    wrong = replace(shape, part=np.where(np.arange(len(shape)) == 5, 47, shape.part))
    with pytest.raises(InputError, match="part 47 is no part of class 'Cap', which has 6, 7"):
        check_shape(wrong, source)
    check_shape(replace(shape, part=np.full(len(shape), IGNORE)), source)


def test_scanobjectnn_without_h5py_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(InputError, match="needs h5py: pip install"):
        ScanObjectNNShapes(str(tmp_path))


BAD: list[tuple[str, Callable[[Path], object], str]] = [
    ("nothing", lambda folder: ModelNetShapes(str(folder)), "holds neither modelnet40_train.txt nor"),
    ("no list", lambda folder: ShapeNetPartShapes(str(folder)), "shuffled_train_file_list.json: the list of shapes"),
    ("no h5", lambda folder: ScanObjectNNShapes(str(folder)), "cannot be read as a file of ScanObjectNN"),
    ("no npz", lambda folder: ShapeArrays(str(folder / "x.npz")), "x.npz: cannot be read as an .npz file"),
    ("split", lambda folder: ModelNetShapes(str(folder), split="val"), "ModelNetShapes.split = 'val'"),
    ("category", lambda folder: ShapeNetPartShapes(str(folder), categories=("Cat",)), "ShapeNetPartShapes.categories"),
    ("variant", lambda folder: ScanObjectNNShapes(str(folder), variant="X"), "ScanObjectNNShapes.variant = 'X'"),
    ("every", lambda folder: ShapeArrays(str(folder), val_every=1), "ShapeArrays.val_every = 1"),
    ("up", lambda folder: ShapeArrays(str(folder), up="w"), "ShapeArrays.up = 'w'"),
]


@pytest.mark.parametrize(("make", "text"), [(make, text) for _, make, text in BAD], ids=[name for name, _, _ in BAD])
def test_what_cannot_be_read_is_one_line(make: Callable[[Path], object], text: str, tmp_path: Path) -> None:
    with pytest.raises(InputError) as caught:
        make(tmp_path)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"label": np.zeros(3)}, "points float16 (10, 400, 3) and label (3,) are not numbers (M, N, 3) and (M,)"),
        ({"classes": None}, "has no array classes"),
        ({"name": np.array(["a"] * 10)}, "name holds a text twice"),
        ({"name": np.array(["a", "b"])}, "name holds 2 texts for 10 shapes"),
        ({"label": np.full(10, 1.5)}, "label: a label is 1.5"),
        ({"label": np.full(10, np.nan)}, "label: a label is nan"),
        ({"label": np.arange(10)}, "label: a label is 2"),
        ({"label": np.array(["plate"] * 10)}, "are no numbers"),
        ({"classes": np.array("plate")}, "classes has shape ()"),
        ({"classes": np.array(["plate", "plate"])}, "classes holds a text twice"),
        ({"points": np.full((10, 4, 3), "a")}, "are not numbers (M, N, 3)"),
    ],
)
def test_arrays_that_do_not_fit_are_refused(change: dict[str, np.ndarray | None], text: str, tmp_path: Path) -> None:
    path = write_arrays(tmp_path / "shapes.npz")
    with np.load(path) as stored:
        held = {name: stored[name] for name in stored.files} | change
    np.savez(path, **{name: array for name, array in held.items() if array is not None})
    with pytest.raises(InputError) as caught:
        ShapeArrays(str(path))
    assert text in str(caught.value)


def test_classes_may_be_written_as_bytes_and_damage_is_one_line(tmp_path: Path) -> None:
    path = write_arrays(tmp_path / "shapes.npz")
    with np.load(path) as stored:
        np.savez(tmp_path / "bytes.npz", **{**dict(stored), "classes": stored["classes"].astype("S")})
        np.save(tmp_path / "single.npy", stored["points"])
    assert ShapeArrays(str(tmp_path / "bytes.npz")).classes == KINDS
    with pytest.raises(InputError, match="holds a single array"):
        ShapeArrays(str(tmp_path / "single.npy"))
    whole = path.read_bytes()
    for at in range(10, len(whole), len(whole) // 60):
        path.write_bytes(whole[:at] + b"\xff\xff\xff" + whole[at + 3 :])
        try:
            ShapeArrays(str(path))
        except InputError as error:
            assert "shapes.npz" in str(error)


def test_arrays_are_split_class_by_class_without_overlap(tmp_path: Path) -> None:
    """Labels that follow each other in turn would otherwise leave whole classes on one side."""
    path = str(write_arrays(tmp_path / "shapes.npz", count=20))
    train, val = (ShapeArrays(path, split, val_every=2) for split in ("train", "val"))
    assert sorted(train.names + val.names) == sorted(ShapeArrays(path).names)
    for side in (train, val):
        assert [side.load(k).label for k in range(10)].count(0) == 5
    few = write_arrays(tmp_path / "few.npz", count=4)
    assert len(ShapeArrays(str(few), "train").names) == 4
    with pytest.raises(InputError, match="split 'val': holds no shape"):
        ShapeArrays(str(few), "val")


def test_labels_are_whole_numbers_of_a_class() -> None:
    for kind in (np.uint8, np.int16, np.float32):
        found = whole_numbers(np.array([0, 2, 1], kind), 3, "x")
        assert found.dtype == np.int64 and found.tolist() == [0, 2, 1]
    with pytest.raises(InputError, match="x: a label is -1, number 1 of 2; whole numbers from 0 to 2"):
        whole_numbers(np.array([0, -1]), 3, "x")


PROPER = Shape("s", points_of("stick", 0), None, 1)


@pytest.mark.parametrize(
    ("shape", "text"),
    [
        (replace(PROPER, xyz=PROPER.xyz[:0]), "has no points"),
        (replace(PROPER, xyz=PROPER.xyz * np.nan), "400 of 400 points have coordinates that are not finite"),
        (replace(PROPER, xyz=np.ones((4, 3), np.float32)), "all its points are in one place"),
        (replace(PROPER, label=2), "class 2 is none of the 2"),
    ],
)
def test_a_shape_that_cannot_be_used_is_refused(shape: Shape, text: str, tmp_path: Path) -> None:
    source = arrays(tmp_path)
    check_shape(PROPER, source)
    with pytest.raises(InputError, match=f"shapes.npz: shape s: .*{text}"):
        check_shape(replace(shape, file="shapes.npz"), source)


@pytest.mark.needs_shared_data
def test_real_shapes_are_read(shared_data: Path) -> None:
    source = ShapeNetPartShapes(str(shared_data / "shapenetpart"), "train", missing=True)
    listed = json.loads((shared_data / "shapenetpart/train_test_split/shuffled_train_file_list.json").read_text())
    assert len(source.names) + source.left_out == len(set(listed))
    for index in range(len(source.names)):
        check_shape(source.load(index), source)
    table = next(shape for k in range(len(source.names)) if (shape := source.load(k)).label == 15)
    assert table.part is not None
    top, legs = (table.xyz[table.part == part][:, 2].mean() for part in (47, 48))
    assert top > legs, "z is up"
    shapes = ShapeArrays(str(shared_data / "modelnet10_train.npz"), "val")
    assert len(shapes.classes) == 10 and len(shapes.names) == 796
    check_shape(shapes.load(0), shapes)


def test_a_list_that_names_a_folder_of_no_category_is_refused(tmp_path: Path) -> None:
    root = write_shapenetpart(tmp_path / "parts")
    path = root / "train_test_split" / "shuffled_val_file_list.json"
    path.write_text(json.dumps(["shape_data/00000001/x", *json.loads(path.read_text())]))
    with pytest.raises(InputError, match=r"00000001/x, which is in none of the 16 categories' folders \(1 such"):
        ShapeNetPartShapes(str(root), "trainval")
    assert ShapeNetPartShapes(str(root), "train").names
