"""tools/predict.py with networks for single shapes: every form of a shape, and files that say what the model said."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image
from plyfile import PlyData
from shape_files import points_of, write_off, y_up

import sparse3d
from sparse3d.data.shapes.modelnet import ModelNetShapes
from sparse3d.errors import InputError
from sparse3d.prediction.shape_input import read_shape

Run = Callable[..., int]


def test_a_class_is_written_as_the_model_gives_it(
    classifier: Path, tool: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = sparse3d.load(classifier, "cpu")
    for kind in ("plate", "stick"):
        write_off(tmp_path / f"my.{kind}.off", kind, 3)
        assert tool(tmp_path / f"my.{kind}.off", "--checkpoint", classifier, "--out", tmp_path / "out") == 0
        told = capsys.readouterr().out.splitlines()
        assert len(told) == 3 and re.search(rf"4096 points; {kind}, probability [01]\.\d\d", told[-1])
        report = json.loads((tmp_path / "out" / f"my.{kind}_class.json").read_text())
        wanted = model.classify(read_shape(tmp_path / f"my.{kind}.off", colored=False).xyz)
        assert report["class"] == kind == model.classes[wanted.label]
        assert list(report["probabilities"].values()) == sorted(wanted.probabilities.tolist(), reverse=True)
        picture = np.asarray(Image.open(tmp_path / "out" / f"my.{kind}_class.png"))
        assert (picture != 255).any() and picture.shape[2] == 3
    assert len(list((tmp_path / "out").iterdir())) == 4


def test_parts_are_written_as_the_model_gives_them(
    part_segmenter: tuple[Path, Path], tool: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """ShapeNetPart's own file, whose y axis points up."""
    checkpoint, root = part_segmenter
    path = root / "04379243" / "shape0.txt"
    options = ("--kind", "Table", "--up", "y", "--json")
    assert tool(path, "--checkpoint", checkpoint, "--out", tmp_path, *options) == 0
    report = json.loads(capsys.readouterr().out)
    rows = np.loadtxt(path)
    xyz = np.roll(rows[:, :3] - rows[:, :3].mean(axis=0), 1, axis=1)
    model = sparse3d.load(checkpoint, "cpu")
    wanted = model.segment_parts(xyz.astype(np.float32), "Table").labels
    assert (np.loadtxt(tmp_path / "shape0_parts.txt", dtype=int) == wanted).all()
    vertex = PlyData.read(str(tmp_path / "shape0_parts.ply"))["vertex"].data
    assert (vertex["label"] == wanted).all()
    assert np.stack([vertex[a] for a in "xyz"], axis=1) == pytest.approx(xyz, abs=1e-6)
    assert sum(report["found"].values()) == report["points"] == len(rows)
    assert set(report["found"]) == {model.classes[k] for k in wanted}
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(Path(p).name for p in report["files"].values())
    assert len(report["files"]) == 4


def test_shapes_with_colours_are_read_as_scans_are(
    object_classifier: Path, tool: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    xyz = points_of("plate", 5)
    rgb = np.random.default_rng(0).integers(0, 256, xyz.shape, dtype=np.uint8)
    np.savez(tmp_path / "plate.npz", xyz=xyz, rgb=rgb)
    write_off(tmp_path / "plate.off", "plate", 5)
    assert tool(tmp_path / "plate.npz", "--checkpoint", object_classifier, "--out", tmp_path / "out", "--json") == 0
    found = json.loads(capsys.readouterr().out)["found"]
    model = sparse3d.load(object_classifier, "cpu")
    wanted = model.classify(xyz - xyz.mean(axis=0, dtype=np.float64), rgb)
    assert next(iter(found)) == model.classes[wanted.label]
    assert list(found.values()) == pytest.approx(sorted(wanted.probabilities.tolist(), reverse=True), abs=1e-5)
    assert tool(tmp_path / "plate.off", "--checkpoint", object_classifier, "--out", tmp_path / "out") == 2
    assert "plate.off" in capsys.readouterr().err, "colours that are not there"


# What is read


def test_every_form_of_a_shape_is_the_same_points(tmp_path: Path) -> None:
    xyz = points_of("stick", 2)
    np.savez(tmp_path / "a.npz", xyz=xyz)
    np.savez(tmp_path / "b.npz", points=xyz.astype(float))
    lines = [[repr(float(v)) for v in row] for row in xyz]
    (tmp_path / "blank.txt").write_text("\n".join(" ".join(row) for row in lines))
    (tmp_path / "normals.txt").write_text("\n".join(",".join([*row, "0", "0", "1"]) for row in lines))
    trimesh.PointCloud(xyz).export(tmp_path / "cloud.ply")
    wanted = read_shape(tmp_path / "a.npz", colored=False).xyz
    assert np.abs(wanted.mean(axis=0)).max() < 1e-6
    for name in ("b.npz", "blank.txt", "normals.txt", "cloud.ply"):
        np.testing.assert_allclose(read_shape(tmp_path / name, colored=False).xyz, wanted, atol=1e-6, err_msg=name)
    np.savez(tmp_path / "lying.npz", xyz=y_up(xyz))
    np.testing.assert_allclose(read_shape(tmp_path / "lying.npz", colored=False, up="y").xyz, wanted, atol=1e-6)


def test_a_mesh_is_sampled_as_in_training(tmp_path: Path) -> None:
    for split in ("train", "test"):
        write_off(tmp_path / "stick" / split / "stick_0001.off", "stick", 1)
    path = tmp_path / "stick" / "test" / "stick_0001.off"
    trained = ModelNetShapes(str(tmp_path), "test").load(0)
    assert np.array_equal(read_shape(path, colored=False).xyz, trained.xyz)


@pytest.mark.parametrize("ending", ["ply", "obj", "stl"])
def test_meshes_of_other_formats_have_points_all_over_their_surface(ending: str, tmp_path: Path) -> None:
    box = trimesh.creation.box((2.0, 1.0, 0.5))
    box.export(tmp_path / f"box.{ending}")
    xyz = read_shape(tmp_path / f"box.{ending}", colored=False).xyz
    assert len(xyz) == 4096
    offset = np.abs(np.abs(xyz) - (1.0, 0.5, 0.25)).min(axis=1)
    assert offset.max() < 0.05, "on a side, but for where the mean of the points lies"
    areas = np.array([0.5, 1.0, 2.0]) / 3.5  # of the sides across x, y, z
    side = np.bincount(np.abs(np.abs(xyz) - (1.0, 0.5, 0.25)).argmin(axis=1), minlength=3) / len(xyz)
    assert side == pytest.approx(areas, abs=0.04)


# Bad input


def test_bad_shapes_are_one_line_with_their_name_and_code_2(
    classifier: Path, tool: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    trimesh.creation.box().export(bad / "whole.ply")
    (bad / "cut.ply").write_bytes((bad / "whole.ply").read_bytes()[:60])
    (bad / "empty.obj").write_text("# nothing\n")
    (bad / "flat.off").write_text("OFF\n3 1 0\n0 0 0\n0 0 0\n0 0 0\n3 0 1 2\n")
    (bad / "two.txt").write_text("1 2\n3 4\n")
    (bad / "words.txt").write_text("a b c\n")
    (bad / "image.glb2").write_text("")
    np.savez(bad / "other.npz", cloud=np.zeros((3, 3)))
    np.savez(bad / "holes.npz", xyz=np.full((3, 3), np.nan))
    said = {
        "cut.ply": "cannot be read as a mesh", "empty.obj": "cannot be read as a mesh|neither faces nor points",
        "flat.off": "has no surface", "two.txt": "2 numbers a line", "words.txt": "cannot be read as lines",
        "image.glb2": "shapes .glb2 are not read", "other.npz": "no array xyz or points", "holes.npz": "not finite",
        "none.off": "does not exist", ".": "is a folder",
    }  # fmt: skip
    for name, text in said.items():
        assert tool(bad / name, "--checkpoint", classifier, "--out", tmp_path / "out") == 2, name
        error = capsys.readouterr().err.strip()
        assert "\n" not in error and str(bad / name) in error and re.search(text, error), error
    assert not (tmp_path / "out").exists()


def test_options_of_the_other_sort_of_network_are_refused(
    classifier: Path, part_segmenter: tuple[Path, Path], segmenter: Path, tool: Run, tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    np.savez(tmp_path / "a.npz", xyz=points_of("stick", 1), rgb=points_of("stick", 1) * 0)
    parts = part_segmenter[0]
    cases = [
        (classifier, ("--min-score", 0.5), "--min-score is for scans"),
        (classifier, ("--tta",), "--tta is for scans"),
        (classifier, ("--kind", "stick"), "--kind is for parts"),
        (classifier, ("--up", "-y"), "--up"),
        (classifier, ("--up", "w"), "--up w: one of x, y, z"),
        (parts, (), "give --kind, one of Airplane"),
        (parts, ("--kind", "Spoon"), "'Spoon' is none of the network's classes"),
        (segmenter, ("--kind", "Chair"), "--kind is for single shapes"),
        (segmenter, ("--up", "y"), "--up is for single shapes"),
    ]
    for checkpoint, options, text in cases:
        assert tool(tmp_path / "a.npz", "--checkpoint", checkpoint, "--out", tmp_path / "out", *options) == 2, text
        assert text in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_face_that_names_no_vertex_is_one_line(
    classifier: Path, tool: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    head = "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    head += "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    (tmp_path / "bad.ply").write_text(head + "0 0 0\n1 0 0\n0 1 0\n3 0 1 99\n")
    assert tool(tmp_path / "bad.ply", "--checkpoint", classifier, "--out", tmp_path / "out") == 2
    assert "bad.ply: cannot be read as a mesh" in capsys.readouterr().err


def test_damaged_arrays_are_one_line_wherever_the_damage_is(tmp_path: Path) -> None:
    np.savez_compressed(tmp_path / "whole.npz", xyz=points_of("stick", 0))
    whole = (tmp_path / "whole.npz").read_bytes()
    refused = 0
    for place in range(0, len(whole), 41):
        changed = bytearray(whole)
        changed[place] ^= 0x5A
        (tmp_path / "changed.npz").write_bytes(changed)
        try:
            read_shape(tmp_path / "changed.npz", colored=False)
        except InputError as error:
            refused += 1
            assert "changed.npz" in str(error)
    assert refused > 10
