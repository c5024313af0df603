"""Class lists, label table and split lists: facts that must be ScanNet's, held against its files where those are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from fake_scannet import write_table

from sparse3d.data.scannet.classes import CLASS_LISTS, SCANNET18, SCANNET20, SCANNET200, ClassList
from sparse3d.data.scannet.label_table import RawCategory, find_label_table, read_label_table
from sparse3d.data.scannet.split_lists import (
    POINTS,
    SHARES,
    limited_points,
    limited_scenes,
    packaged_splits,
    read_split,
    read_splits,
)
from sparse3d.errors import InputError
from sparse3d.types import IGNORE


def test_the_lists_have_the_benchmarks_ids() -> None:
    assert SCANNET20.ids == (*range(1, 13), 14, 16, 24, 28, 33, 34, 36, 39)
    assert SCANNET18.names == tuple(n for n in SCANNET20.names if n not in ("wall", "floor"))
    assert len(SCANNET200) == len(set(SCANNET200.ids)) == len(set(SCANNET200.names)) == 200
    assert len(set(SCANNET20.colors)) == 20


@pytest.mark.parametrize("classes", CLASS_LISTS.values(), ids=CLASS_LISTS)
def test_index_of_id_is_the_place_in_the_list_and_ignored_elsewhere(classes: ClassList) -> None:
    every = np.arange(-300, 1400)
    index = classes.index_of_id(every)
    for number, found in zip(every.tolist(), index.tolist(), strict=True):
        assert found == (classes.ids.index(number) if number in classes.ids else IGNORE)
    assert classes.index_of_id(np.zeros((2, 3), np.uint8)).shape == (2, 3)


def test_both_spellings_of_the_refrigerator_are_one_class() -> None:
    assert SCANNET20.index_of_name("refridgerator") == SCANNET20.index_of_name("refrigerator") == 14
    with pytest.raises(InputError, match="'fridge' is none of scannet20"):
        SCANNET20.index_of_name("fridge")


@pytest.mark.needs_shared_data
def test_names_and_ids_are_those_of_the_release(shared_data: Path) -> None:
    lines = (shared_data / "scannet_meta" / "scannetv2-labels.combined.tsv").read_text().split("\n")
    rows = [line.split("\t") for line in lines[1:] if line]
    raw = {(int(row[0]), name) for row in rows for name in (row[1], row[2])}
    assert [pair for pair in zip(SCANNET200.ids, SCANNET200.names, strict=True) if pair not in raw] == []
    nyu = {(int(row[4]), row[7].replace("refridgerator", "refrigerator")) for row in rows}
    assert [pair for pair in zip(SCANNET20.ids, SCANNET20.names, strict=True) if pair not in nyu] == []
    table = read_label_table(shared_data / "scannet_meta" / "scannetv2-labels.combined.tsv")
    assert len(table.categories) == len({row[1] for row in rows})
    assert table.get("refridgerator") == table.get(" refrigerator ") == RawCategory(27, 24)


def test_a_row_given_twice_is_no_fault_unless_the_two_disagree(tmp_path: Path) -> None:
    path = write_table(tmp_path)
    assert read_label_table(path).get("object") == RawCategory(1163, 40)
    assert read_label_table(path).get("unheard of") is None
    path.write_text(path.read_text() + "1164\tobject\tobject\t40\totherprop\n")
    with pytest.raises(InputError, match="line 10: 'object' is given twice"):
        read_label_table(path)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("id\traw_category\n1\twall\n", "no column nyu40id"),
        ("id\traw_category\tnyu40id\nx\twall\t1\n", "line 2, 'wall'"),
        ("id\traw_category\tnyu40id\n1\n", "line 2 is cut off"),
        ("id\traw_category\tnyu40id\n", "no row"),
    ],
)
def test_a_damaged_table_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "x-labels.combined.tsv"
    path.write_text(text)
    with pytest.raises(InputError, match=said) as caught:
        read_label_table(path)
    assert str(path) in str(caught.value)


def test_lines_may_end_as_in_the_release_with_two_carriage_returns(tmp_path: Path) -> None:
    path = write_table(tmp_path)
    before = read_label_table(path).categories
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\r\n"))
    assert read_label_table(path).categories == before


def test_the_table_is_found_above_and_two_are_too_many(tmp_path: Path) -> None:
    scans = tmp_path / "rooms" / "scans"
    scans.mkdir(parents=True)
    assert find_label_table(scans, above=1) is None
    path = write_table(tmp_path / "rooms", "rooms-labels.combined.tsv")
    assert find_label_table(scans) == find_label_table(tmp_path / "rooms") == path
    write_table(tmp_path / "rooms")
    with pytest.raises(InputError, match="holds 2 label tables"):
        find_label_table(scans)


def test_the_official_lists_are_whole_and_apart() -> None:
    folder = packaged_splits("scannet")
    assert folder is not None
    lists = read_splits(folder)
    assert [len(lists[name]) for name in ("train", "val", "test")] == [1201, 312, 100]
    assert len({scene for name in ("train", "val", "test") for scene in lists[name]}) == 1613
    spaces = {name: {scene[:9] for scene in lists[name]} for name in ("train", "val")}
    assert spaces["train"] & spaces["val"] == set(), "a place is in training or in validation, not in both"


@pytest.mark.needs_shared_data
def test_the_official_lists_are_those_of_the_release(shared_data: Path) -> None:
    lists = read_splits(packaged_splits("scannet") or "")
    for name in ("train", "val", "test"):
        assert lists[name] == (shared_data / "scannet_meta" / f"scannetv2_{name}.txt").read_text().split()


def test_the_smaller_lists_are_nested_and_come_from_the_documented_seed() -> None:
    lists = read_splits(packaged_splits("scannet") or "")
    inside: set[str] = set()
    for share in SHARES:
        chosen = lists[f"train_{share}pct"]
        assert chosen == limited_scenes(lists["train"], share / 100, seed=0)
        assert len(chosen) == round(1201 * share / 100) and inside <= set(chosen) <= set(lists["train"])
        assert chosen == sorted(chosen, key=lists["train"].index)
        inside = set(chosen)
    assert limited_scenes(lists["train"], 0.1, seed=1) != lists["train_10pct"]
    assert limited_scenes(["only"], 0.01) == ["only"]


def test_every_list_says_in_its_first_line_where_it_comes_from() -> None:
    folder = packaged_splits("scannet")
    assert folder is not None
    for path in folder.glob("*.txt"):
        first = path.read_text().splitlines()[0]
        assert first.startswith("# ") and ("ScanNet v2 release" in first) != ("ours" in first)


def test_points_are_nested_distinct_and_a_scenes_own() -> None:
    chosen = {points: limited_points("scene0000_00", 5000, points) for points in POINTS}
    for fewer, more in zip(POINTS, POINTS[1:], strict=False):
        np.testing.assert_array_equal(chosen[more][:fewer], chosen[fewer])
    assert len(np.unique(chosen[200])) == 200 and chosen[200].min() >= 0 and chosen[200].max() < 5000
    assert not np.array_equal(limited_points("scene0000_01", 5000, 20), chosen[20])
    assert not np.array_equal(limited_points("scene0000_00", 5000, 20, seed=1), chosen[20])
    assert sorted(limited_points("small", 7, 20)) == list(range(7))


def test_points_do_not_change_from_one_run_to_the_next() -> None:
    assert limited_points("scene0000_00", 1000, 5).tolist() == [861, 43, 365, 770, 240]


def test_comments_and_blank_lines_are_no_scenes_and_a_repeated_one_is_named(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text("# a comment\nscene0001_00\n\n scene0000_00  # and one behind\n")
    assert read_split(path) == ["scene0001_00", "scene0000_00"]
    path.write_text("a\nb\na\n")
    with pytest.raises(InputError, match="names a twice"):
        read_split(path)
    path.write_text("# nothing\n")
    with pytest.raises(InputError, match="names no scene"):
        read_split(path)
    with pytest.raises(InputError, match="holds no split list"):
        read_splits(tmp_path / "nowhere")
