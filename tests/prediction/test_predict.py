"""tools/predict.py: what it writes is what the model said, and what it cannot use it names."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from fake_scannet import write_scan
from PIL import Image
from plyfile import PlyData, PlyElement
from prepared_rooms import room_points

import sparse3d
from sparse3d.data.box_files import read_boxes_json
from sparse3d.errors import InputError
from sparse3d.prediction.model import SegmentationPrediction
from sparse3d.prediction.scan_input import read_scan
from sparse3d.types import Boxes

Run = Callable[..., int]


def write_ply(path: Path, mesh: bool = True, colors: str = "u1", seed: int = 5) -> dict[str, np.ndarray]:
    """A room as PLY by another writer than ours; its arrays."""
    arrays = room_points(seed)
    kinds = [(a, "f8") for a in "xyz"] + [(c, colors) for c in ("red", "green", "blue") if colors]
    vertex = np.empty(len(arrays["xyz"]), dtype=kinds)
    for k, axis in enumerate("xyz"):
        vertex[axis] = arrays["xyz"][:, k]
    for k, channel in enumerate(("red", "green", "blue") if colors else ()):
        vertex[channel] = arrays["rgb"][:, k]
    face = np.empty(len(arrays["faces"]), dtype=[("vertex_indices", "i4", (3,))])
    face["vertex_indices"] = arrays["faces"]
    elements = [PlyElement.describe(vertex, "vertex")] + ([PlyElement.describe(face, "face")] if mesh else [])
    PlyData(elements).write(str(path))
    return arrays


# What is written


@pytest.mark.parametrize("mesh", [True, False])
def test_labels_are_written_as_the_model_gives_them(
    mesh: bool, tool: Run, segmenter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays = write_ply(tmp_path / "my.room.ply", mesh)
    assert tool(tmp_path / "my.room.ply", "--checkpoint", segmenter, "--out", tmp_path / "out") == 0
    names = [f"my.room_labels{ending}" for ending in (".ply", ".png", ".txt", "_classes.tsv")]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == names
    told = capsys.readouterr().out.splitlines()
    assert len(told) == 5 and sum(line.startswith(str(tmp_path / "out")) for line in told) == 4

    model = sparse3d.load(segmenter, "cpu")
    wanted = model.predict(arrays["xyz"], arrays["rgb"])
    assert isinstance(wanted, SegmentationPrediction)
    ply = PlyData.read(str(tmp_path / "out" / "my.room_labels.ply"))
    vertex = ply["vertex"].data
    assert np.array_equal(vertex["label"], wanted.labels)
    assert np.array_equal(np.stack([vertex[a] for a in "xyz"], axis=1), arrays["xyz"])
    painted = np.stack([vertex[c] for c in ("red", "green", "blue")], axis=1)
    assert np.array_equal(painted, model.colors[wanted.labels])
    assert ("face" in ply) == mesh
    if mesh:
        assert np.array_equal(np.stack(list(ply["face"].data["vertex_indices"])), arrays["faces"])
    assert np.array_equal(np.loadtxt(tmp_path / "out" / "my.room_labels.txt", dtype=int), wanted.labels)
    rows = [line.split("\t") for line in (tmp_path / "out" / "my.room_labels_classes.tsv").read_text().splitlines()[1:]]
    assert [row[1] for row in rows] == list(model.classes)
    assert [int(row[-1]) for row in rows] == np.bincount(wanted.labels, minlength=20).tolist()


def test_boxes_come_back_from_their_json_as_the_model_gave_them(
    tool: Run, detector: Path, rooms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    scene = rooms / "scenes" / "room0002_00"
    model = sparse3d.load(detector, "cpu")
    wanted = model.predict(read_scan(scene).xyz, read_scan(scene).rgb)
    assert isinstance(wanted, Boxes) and wanted.score is not None
    least = float(np.median(wanted.score))
    options = ("--min-score", least, "--json")
    assert tool(scene, "--checkpoint", detector, "--out", tmp_path, *options) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["task"] == "detection" and report["aligned"] and len(report["files"]) == 4
    assert all(Path(path).is_file() for path in report["files"].values())
    found = read_boxes_json(tmp_path / "room0002_00_boxes.json", model.classes, model.key)
    kept = wanted.select(wanted.score >= least)
    assert 0 < len(kept) < len(wanted) and sum(report["found"].values()) == len(kept)
    for name in ("center", "size", "yaw", "label", "score"):
        assert np.array_equal(getattr(found, name), getattr(kept, name))
    ply = PlyData.read(str(tmp_path / "room0002_00_boxes.ply"))
    assert len(ply["vertex"].data) == len(kept) * 12 * 8


def test_boxes_leave_the_labels_of_the_same_scan_as_they_are(
    tool: Run, segmenter: Path, detector: Path, tmp_path: Path
) -> None:
    """Indices of the two tasks mean different classes: no file may speak of both."""
    write_ply(tmp_path / "room.ply")
    out = tmp_path / "out"
    assert tool(tmp_path / "room.ply", "--checkpoint", segmenter, "--out", out) == 0
    before = {path: path.read_bytes() for path in out.iterdir()}
    assert tool(tmp_path / "room.ply", "--checkpoint", detector, "--out", out) == 0
    assert {path: path.read_bytes() for path in before} == before and len(list(out.iterdir())) == 8


def test_what_another_training_found_is_told_apart_though_its_checkpoint_has_the_same_name(
    tool: Run, segmenter: Path, detector: Path, tmp_path: Path
) -> None:
    """Trap: best.pt of yesterday and of today are one path."""
    write_ply(tmp_path / "room.ply")
    best = tmp_path / "best.pt"
    shutil.copy(detector, best)
    assert tool(tmp_path / "room.ply", "--checkpoint", best, "--out", tmp_path / "out") == 0
    old = sparse3d.load(best, "cpu")
    file = tmp_path / "out" / "room_boxes.json"
    read_boxes_json(file, old.classes, old.key)
    assert old.key == sparse3d.load(best, "cpu").key and old.key.startswith("best.pt, step 2, sha256 ")
    state = torch.load(best, weights_only=True)
    torch.save({**state, "step": 3}, best)
    with pytest.raises(InputError, match="was made by best.pt, step 2.*not by best.pt, step 3"):
        read_boxes_json(file, old.classes, sparse3d.load(best, "cpu").key)
    assert tool(tmp_path / "room.ply", "--checkpoint", segmenter, "--out", tmp_path / "out") == 0
    head = (tmp_path / "out" / "room_labels.ply").read_bytes()[:200].decode("ascii", "replace")
    assert f"comment made by {sparse3d.load(segmenter, 'cpu').key}\n" in head


def test_no_box_at_all_is_an_answer(tool: Run, detector: Path, tmp_path: Path) -> None:
    write_ply(tmp_path / "room.ply")
    assert tool(tmp_path / "room.ply", "--checkpoint", detector, "--out", tmp_path, "--min-score", 1.0) == 0
    assert len(read_boxes_json(tmp_path / "room_boxes.json")) == 0


def test_the_picture_shows_the_classes_colours(tool: Run, segmenter: Path, tmp_path: Path) -> None:
    arrays = write_ply(tmp_path / "room.ply")
    tool(tmp_path / "room.ply", "--checkpoint", segmenter, "--out", tmp_path)
    picture = np.asarray(Image.open(tmp_path / "room_labels.png"))
    model = sparse3d.load(segmenter, "cpu")
    answer = model.predict(arrays["xyz"], arrays["rgb"])
    assert isinstance(answer, SegmentationPrediction)
    for label in np.unique(answer.labels):  # at least in the legend
        assert (picture == model.colors[label]).all(axis=2).sum() > 50


def test_twice_gives_the_same_bytes(tool: Run, segmenter: Path, detector: Path, tmp_path: Path) -> None:
    write_ply(tmp_path / "room.ply")
    written = []
    for out in ("one", "two"):
        for checkpoint, options in ((segmenter, ()), (detector, ("--min-score", 0))):
            assert tool(tmp_path / "room.ply", "--checkpoint", checkpoint, "--out", tmp_path / out, *options) == 0
        written.append({p.name: p.read_bytes() for p in (tmp_path / out).iterdir()})
    assert written[0] == written[1] and len(written[0]) == 8


# What is read


def test_every_form_of_a_scan_is_the_same_cloud(tmp_path: Path) -> None:
    arrays = write_ply(tmp_path / "room.ply")
    xyz, rgb = arrays["xyz"], arrays["rgb"]
    np.savez(tmp_path / "a.npz", xyz=xyz, rgb=rgb, faces=arrays["faces"])
    np.savez(tmp_path / "b.npz", points=xyz.astype(float), colors=rgb.astype(np.float32) / np.float32(255))
    lines = "\n".join(" ".join(map(repr, [*p.tolist(), *c.tolist()])) for p, c in zip(xyz, rgb, strict=True))
    (tmp_path / "room.txt").write_text(lines + "\n")
    (tmp_path / "fine.xyz").write_text("0 0 0 0.5 0.25 1\n1 0 0 0 0 1\n")
    whole = read_scan(tmp_path / "room.ply")
    assert np.array_equal(whole.xyz, xyz) and np.array_equal(whole.rgb, rgb.astype(np.float32) / np.float32(255))
    for name in ("a.npz", "b.npz", "room.txt"):
        other = read_scan(tmp_path / name)
        assert np.array_equal(other.xyz, whole.xyz) and np.array_equal(other.rgb, whole.rgb)
    assert read_scan(tmp_path / "fine.xyz").rgb.tolist() == [[0.5, 0.25, 1], [0, 0, 1]]


def test_a_scene_of_scannet_is_turned_to_its_axes(tmp_path: Path) -> None:
    write_scan(tmp_path / "scene0001_00")
    turned = read_scan(tmp_path / "scene0001_00")
    plain = read_scan(tmp_path / "scene0001_00" / "scene0001_00_vh_clean_2.ply")
    text = (tmp_path / "scene0001_00" / "scene0001_00.txt").read_text()
    numbers = re.search(r"axisAlignment = (.*)", text)
    assert numbers is not None and turned.aligned and not plain.aligned
    T = np.array(numbers[1].split(), dtype=float).reshape(4, 4)
    assert np.allclose(turned.xyz, plain.xyz @ T[:3, :3].T + T[:3, 3], atol=1e-5)


# Bad input


def bad_inputs(folder: Path) -> dict[str, tuple[Path, str]]:
    """Scans that cannot be used, and what the error has to say beside the file's name."""
    folder.mkdir()
    write_ply(folder / "grey.ply", colors="")
    write_ply(folder / "float.ply", colors="f4")
    (folder / "cut.ply").write_bytes((folder / "float.ply").read_bytes()[:3000])
    arrays: dict[str, Any] = room_points(1)
    holes = arrays["xyz"].copy()
    holes[7, 1] = np.nan
    np.savez(folder / "holes.npz", xyz=holes, rgb=arrays["rgb"])
    np.savez(folder / "nameless.npz", cloud=arrays["xyz"])
    np.savez(folder / "empty.npz", xyz=np.zeros((0, 3)), rgb=np.zeros((0, 3), np.uint8))
    np.savez(folder / "faces.npz", xyz=arrays["xyz"][:3], rgb=arrays["rgb"][:3], faces=[[0, 1, 99]])
    np.savez(folder / "below.npz", xyz=arrays["xyz"][:3], rgb=arrays["rgb"][:3], faces=[[0, 1, -4]])
    np.savez(folder / "half.npz", xyz=arrays["xyz"][:3], rgb=arrays["rgb"][:3], faces=[[0.5, 1.0, 2.0]])
    np.savez(folder / "scalar.npz", xyz=np.float32(1), rgb=arrays["rgb"][:3], faces=[[0, 1, 2]])
    np.save(folder / "array.npy", arrays["xyz"])
    (folder / "array.npy").rename(folder / "array.npz")
    (folder / "zip.npz").write_text("no zip")
    (folder / "words.txt").write_text("x y z r g b\n")
    (folder / "few.txt").write_text("1 2 3\n")
    (folder / "bright.txt").write_text("0 0 0 0 0 256\n")
    (folder / "scan.las").write_text("")
    (folder / "hollow").mkdir()
    said = {
        "grey.ply": "no property 'red'", "float.ply": "type float32", "cut.ply": "cannot be read",
        "holes.npz": "not finite, the first is row 7", "nameless.npz": "no array xyz or points",
        "empty.npz": "has no points", "faces.npz": "point 99", "zip.npz": "cannot be read",
        "below.npz": "point -4", "half.npz": "type float64", "scalar.npz": "point 2 and there are 1",
        "array.npz": "cannot be read", "words.txt": "x y z r g b",
        "few.txt": "3 numbers a line", "bright.txt": "a colour is 256", "scan.las": "files .las are not read",
        "hollow": "neither a prepared scene", "none.ply": "does not exist",
    }  # fmt: skip
    return {name: (folder / name, text) for name, text in said.items()}


@pytest.mark.parametrize("count", [1, 20])
def test_points_in_one_place_have_an_answer_and_a_picture(
    count: int, tool: Run, segmenter: Path, detector: Path, tmp_path: Path
) -> None:
    np.savez(tmp_path / "dot.npz", xyz=np.full((count, 3), 0.25), rgb=np.full((count, 3), 0.5))
    for checkpoint in (segmenter, detector):
        out = tmp_path / checkpoint.parents[1].name
        assert tool(tmp_path / "dot.npz", "--checkpoint", checkpoint, "--out", out) == 0
        assert list(out.glob("*.png"))


def test_a_scan_in_millimetres_is_one_line_and_code_2(
    tool: Run, segmenter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arrays: dict[str, Any] = room_points(1)
    np.savez(tmp_path / "large.npz", xyz=arrays["xyz"] * 3000, rgb=arrays["rgb"])
    assert tool(tmp_path / "large.npz", "--checkpoint", segmenter, "--out", tmp_path / "out") == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: a point lies") and error.endswith("check the unit")


def test_bad_scans_are_one_line_with_their_name_and_code_2(
    tool: Run, segmenter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, (path, said) in bad_inputs(tmp_path / "bad").items():
        assert tool(path, "--checkpoint", segmenter, "--out", tmp_path / "out") == 2, name
        error = capsys.readouterr().err.strip()
        assert "\n" not in error and str(path) in error and re.search(said, error), error
    assert not (tmp_path / "out").exists()


def test_bad_options_are_one_line_and_code_2(
    tool: Run, segmenter: Path, detector: Path, pretrained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_ply(tmp_path / "room.ply")
    (tmp_path / "file").write_text("")
    cases = [
        ((pretrained, tmp_path / "out"), "of a pre-training, which has no classes"),
        ((tmp_path / "no.pt", tmp_path / "out"), "no.pt does not exist"),
        ((segmenter, tmp_path / "file" / "below"), "file"),
        ((segmenter, tmp_path / "out", "--min-score", "7"), "--min-score 7.0"),
        ((segmenter, tmp_path / "out", "--min-score", "0.5"), "--min-score is for boxes"),
        ((segmenter, tmp_path / "out", "--device", "teapot"), "teapot"),
        ((detector, tmp_path / "out", "--tta"), "tta"),
    ]
    for (checkpoint, out, *more), said in cases:
        assert tool(tmp_path / "room.ply", "--checkpoint", checkpoint, "--out", out, *more) == 2, said
        error = capsys.readouterr().err.strip().splitlines()[-1]
        assert error.startswith("error: ") and said in error


# The page of the documentation


def test_the_functions_of_the_page_do_what_they_say(segmenter: Path, detector: Path, pretrained: Path) -> None:
    page = Path(__file__).parents[2] / "docs" / "use.md"
    names: dict[str, Any] = {}
    for block in re.findall(r"^```python\n(.*?)^```", page.read_text(), re.M | re.S):
        exec(compile(block, "docs", "exec"), names)
    arrays = room_points(4)
    cloud = arrays["xyz"], arrays["rgb"]
    counts = names["count_classes"](segmenter, *cloud)
    assert sum(counts.values()) == len(cloud[0])
    boxes = names["list_boxes"](detector, *cloud, least=0.0)
    assert boxes and all(len(row) == 4 and isinstance(row[0], str) for row in boxes)
    likeness = names["most_similar"](pretrained, *cloud, 3)
    assert likeness.shape == (len(cloud[0]),) and abs(likeness[3] - 1) < 1e-4 and likeness.max() < 1.001
