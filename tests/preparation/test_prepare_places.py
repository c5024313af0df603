"""Where preparation and inspection look for lists and tables: above scans/ and through symbolic links, too."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from fake_scannet import write_scan, write_table

from sparse3d.data.prepared import PreparedScene
from sparse3d.data.scannet.label_table import find_label_table
from sparse3d.errors import InputError
from sparse3d.inspection.scene import load_scene
from sparse3d.preparation.manifest import write_manifest
from sparse3d.preparation.options import PrepareOptions
from sparse3d.preparation.plan import describe_plan, make_plan
from sparse3d.preparation.runner import Job, prepare, report

SCENE = "scene0000_00"
OPTIONS = PrepareOptions(size=(64, 48), frame_skip=2)
links = pytest.mark.skipif(sys.platform == "win32", reason="needs symbolic links")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """One scan with table and lists beside scans/."""
    folder = tmp_path / "source"
    write_table(folder)
    write_scan(folder / "scans" / SCENE)
    (folder / "splits").mkdir()
    (folder / "splits" / "mine.txt").write_text(f"{SCENE}\n")
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")  # as macOS has it beside each file
    return folder


@pytest.mark.parametrize("named", [".", "scans", "scans/../scans"])
def test_the_lists_beside_scans_are_taken_and_told(source: Path, tmp_path: Path, named: str) -> None:
    out = tmp_path / "out"
    job = Job(source / named, out, OPTIONS)
    plan = make_plan(job)
    assert set(plan.splits) == {"mine"} and f"split lists: those of {source / 'splits'}\n" in describe_plan(plan, 1)
    assert f"split lists: those of {source / 'splits'}\n" in report(prepare(job), job)
    assert [path.name for path in (out / "splits").iterdir()] == ["mine.txt"]


def test_lists_over_a_folder_of_another_name_are_not_the_sets(source: Path, tmp_path: Path) -> None:
    (source / "scans").rename(source / "rooms")
    plan = make_plan(Job(source / "rooms", tmp_path / "out", OPTIONS))
    assert "mine" not in plan.splits and "train" in plan.splits  # ScanNet's own


@links
def test_the_table_over_a_link_counts_and_the_one_over_its_target_too(source: Path, tmp_path: Path) -> None:
    table = next(source.glob("[!.]*.tsv"))
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "scans").symlink_to(source / "scans")
    assert find_label_table(elsewhere / "scans") == table  # over the target
    own = write_table(elsewhere)
    assert find_label_table(elsewhere / "scans") == own  # over the link


@pytest.mark.parametrize("content", ["[]", "{}", '"text"', '{"format": 1, "scene": "scene0000_00"}', "{"])
def test_records_that_are_none_are_as_if_they_were_not_there(source: Path, tmp_path: Path, content: str) -> None:
    out = tmp_path / "out"
    job = Job(source, out, OPTIONS)
    prepare(job)
    for path in (out / "scenes" / SCENE / "scene.json", out / "broken" / "scene0009_00.json"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(content)
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7")
    if content != '{"format": 1, "scene": "scene0000_00"}':
        with pytest.raises(InputError, match=r"scene\.json: .*prepare"):
            PreparedScene(out / "scenes" / SCENE)
    assert write_manifest(out)["totals"] | {"scenes": 0, "broken": 0} == write_manifest(out)["totals"]
    assert [outcome.state for outcome in prepare(job)] == ["prepared"]


@links
def test_scans_and_prepared_scenes_are_shown_through_links_of_any_name(source: Path, tmp_path: Path) -> None:
    prepare(Job(source, tmp_path / "out", OPTIONS))
    for target, kind in ((source / "scans" / SCENE, "ScanNet's files"), (tmp_path / "out/scenes" / SCENE, "prepared")):
        link = tmp_path / f"link {kind}"
        link.symlink_to(os.path.relpath(target, tmp_path))
        scene = load_scene(link)
        assert (scene.kind, scene.name) == (kind, SCENE) and scene.source is not None and scene.objects
