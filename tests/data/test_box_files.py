"""Boxes written and read again are the same to the last bit; their picture in PLY is closed bars along the edges."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from plyfile import PlyData

from sparse3d.data.box_files import read_boxes_json, write_boxes_json, write_boxes_ply
from sparse3d.errors import InputError
from sparse3d.types import IGNORE, Boxes

NAMES = ("bed", "chair", "shower curtain")


def some_boxes(count: int = 5, scored: bool = True) -> Boxes:
    rng = np.random.default_rng(0)
    label = np.arange(count) % len(NAMES)
    score = rng.random(count) if scored else None
    return Boxes(
        rng.uniform(-3, 3, (count, 3)), rng.uniform(0.3, 2, (count, 3)), rng.uniform(-3, 3, count), label, score
    )


def assert_same(a: Boxes, b: Boxes) -> None:
    for name in ("center", "size", "yaw", "label", "score"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)


@pytest.mark.parametrize("scored", [True, False])
@pytest.mark.parametrize("count", [0, 1, 7])
def test_boxes_come_back_to_the_last_bit(tmp_path: Path, scored: bool, count: int) -> None:
    boxes = some_boxes(count, scored)
    write_boxes_json(tmp_path / "new" / "a.json", boxes, NAMES, scene="a")
    assert_same(read_boxes_json(tmp_path / "new" / "a.json"), boxes)
    first = (tmp_path / "new" / "a.json").read_bytes()
    write_boxes_json(tmp_path / "new" / "a.json", boxes, NAMES, scene="a")
    assert (tmp_path / "new" / "a.json").read_bytes() == first
    assert [p.name for p in (tmp_path / "new").iterdir()] == ["a.json"]


def test_the_file_says_what_it_holds(tmp_path: Path) -> None:
    boxes = replace(some_boxes(2), label=np.array([2, IGNORE]), size=np.array([[0.1, 0.2, 0.3]] * 2))
    write_boxes_json(tmp_path / "a.json", boxes, NAMES, "room", "run/best.pt")
    content = json.loads((tmp_path / "a.json").read_text())
    assert (content["scene"], content["checkpoint"], content["unit"]) == ("room", "run/best.pt", "metres")
    assert [b["class"] for b in content["boxes"]] == ["shower curtain", None]
    assert content["boxes"][0]["size"] == [0.1, 0.2, 0.3]
    assert_same(read_boxes_json(tmp_path / "a.json"), boxes)


def test_labels_follow_the_names_that_are_asked_for(tmp_path: Path) -> None:
    write_boxes_json(tmp_path / "a.json", some_boxes(3), NAMES)
    found = read_boxes_json(tmp_path / "a.json", ("desk", "shower curtain", "chair", "bed"))
    assert found.label.tolist() == [3, 2, 1]
    with pytest.raises(InputError, match="'shower curtain' is none of the 2"):
        read_boxes_json(tmp_path / "a.json", ("bed", "chair"))


def test_boxes_of_another_checkpoint_are_refused(tmp_path: Path) -> None:
    write_boxes_json(tmp_path / "a.json", some_boxes(), NAMES, checkpoint="step 100")
    assert len(read_boxes_json(tmp_path / "a.json", checkpoint="step 100")) == 5
    with pytest.raises(InputError, match="made by step 100, not by step 200: predict anew"):
        read_boxes_json(tmp_path / "a.json", checkpoint="step 200")


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"format": "sparse3d boxes", "version": 99}', '{"format": "sparse3d boxes", "version": 1}'],
)
def test_files_that_are_none_are_one_clear_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(InputError, match=r"a\.json: "):
        read_boxes_json(tmp_path / "a.json")


@pytest.mark.parametrize("change", [("center", [1, 2]), ("yaw", None), ("score", "x"), ("size", [1, 1, float("nan")])])
def test_a_damaged_box_is_one_clear_line(tmp_path: Path, change: tuple[str, object]) -> None:
    write_boxes_json(tmp_path / "a.json", some_boxes(2), NAMES)
    content = json.loads((tmp_path / "a.json").read_text())
    content["boxes"][1][change[0]] = change[1]
    (tmp_path / "a.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=r"a\.json: a box needs"):
        read_boxes_json(tmp_path / "a.json")


def test_what_cannot_be_written_leaves_no_file(tmp_path: Path) -> None:
    boxes = some_boxes(2)
    bad = replace(boxes, size=np.array([[1, 1, 1], [1, np.inf, 1]]))
    with pytest.raises(ValueError, match="box 1"):
        write_boxes_json(tmp_path / "a.json", bad, NAMES)
    with pytest.raises(ValueError, match="box 1"):
        write_boxes_ply(tmp_path / "a.ply", bad, np.zeros(3, np.uint8))
    with pytest.raises(ValueError, match="label 9"):
        write_boxes_json(tmp_path / "a.json", replace(boxes, label=np.array([0, 9])), NAMES)
    for colors in (np.zeros(3), np.zeros((3, 3), np.uint8)):
        with pytest.raises(ValueError, match="colours"):
            write_boxes_ply(tmp_path / "a.ply", boxes, colors)
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        write_boxes_ply(tmp_path / "file" / "a.ply", boxes, np.zeros(3, np.uint8))


def test_the_picture_is_closed_bars_along_the_edges(tmp_path: Path) -> None:
    boxes = some_boxes(3)
    colors = np.array([[255, 0, 0], [0, 255, 0], [0, 0, 255]], dtype=np.uint8)
    write_boxes_ply(tmp_path / "a.ply", boxes, colors, thickness=0.02)
    mesh = trimesh.load(tmp_path / "a.ply", process=False)
    assert mesh.is_watertight and mesh.is_winding_consistent
    for k in range(3):
        part = mesh.vertices[k * 96 : (k + 1) * 96]
        gap = np.linalg.norm(part[:, None] - boxes.corners()[k], axis=2)
        np.testing.assert_allclose(gap.min(axis=1), 0.01 * np.sqrt(3), atol=1e-5)  # bars end around the corners
        assert (mesh.visual.vertex_colors[k * 96 : (k + 1) * 96, :3] == colors[k]).all()
    wide = boxes.size.astype(float) + 0.02
    expected = 0.02**2 * 4 * wide.sum()  # twelve bars, four along each axis
    assert mesh.volume == pytest.approx(expected, rel=1e-3)


def test_no_boxes_are_a_valid_file(tmp_path: Path) -> None:
    write_boxes_ply(tmp_path / "a.ply", Boxes.empty(), np.zeros(3, np.uint8))
    found = PlyData.read(tmp_path / "a.ply")
    assert (found["vertex"].count, found["face"].count) == (0, 0)
