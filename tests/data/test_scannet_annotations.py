"""Segments, groups, meshes and alignment: each trap of ScanNet's files, and a slow oracle beside the quick code."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from fake_scannet import (
    GROUPS,
    SEGMENTS,
    TURN,
    colors,
    triangles,
    vertices,
    write_annotation,
    write_ply,
    write_scan,
    write_table,
)
from plyfile import PlyData

from sparse3d.data.scannet.annotations import Group, VertexLabels, label_vertices, read_groups, read_segments
from sparse3d.data.scannet.axis_alignment import read_scene_text
from sparse3d.data.scannet.label_table import LabelTable, read_label_table
from sparse3d.data.scannet.mesh_ply import read_mesh, read_vertex_labels
from sparse3d.data.scannet.scene_files import find_scenes
from sparse3d.errors import InputError


@pytest.fixture
def table(tmp_path: Path) -> LabelTable:
    return read_label_table(write_table(tmp_path / "table"))


def labelled(groups: tuple[tuple[int, str, tuple[int, ...]], ...], table: LabelTable) -> VertexLabels:
    return label_vertices(SEGMENTS, [Group(*group) for group in groups], table)


def test_labels_agree_with_a_loop_over_all_vertices(table: LabelTable) -> None:
    rng = np.random.default_rng(0)
    segments = rng.choice(rng.choice(10_000, 60, replace=False), 2000)
    names = list(table.categories)
    numbers = rng.permutation(np.unique(segments))
    groups = [
        Group(int(k * 3 + 1), names[k % len(names)], tuple(int(s) for s in numbers[5 * k : 5 * k + 5]))
        for k in range(9)
    ]
    found = label_vertices(segments, groups, table)
    for v, segment in enumerate(segments.tolist()):
        owner = next((k for k, group in enumerate(groups) if segment in group.segments), None)
        if owner is None:
            assert (found.instance[v], found.raw_id[v], found.nyu40[v]) == (-1, -1, 0)
        else:
            category = table.categories[groups[owner].label]
            assert found.instance[v] == owner
            assert (found.raw_id[v], found.nyu40[v]) == (category.id, category.nyu40)
    assert [o.vertices for o in found.objects] == np.bincount(found.instance[found.instance >= 0]).tolist()


def test_ids_with_gaps_become_rows_and_are_kept_beside(table: LabelTable) -> None:
    found = labelled(GROUPS, table)
    assert [o.object_id for o in found.objects] == [0, 4, 5, 9]
    assert sorted(set(found.instance.tolist())) == [-1, 0, 1, 2, 3]
    assert (found.instance == -1).sum() == (SEGMENTS == 8).sum()


def test_groups_listed_twice_are_one_object_each_and_counted(table: LabelTable) -> None:
    """scene0217_00 lists all its groups twice, the second time with other ids."""
    again = tuple((k + 20, label, segments[::-1]) for k, label, segments in GROUPS)
    once, twice = labelled(GROUPS, table), labelled((*GROUPS, *again), table)
    np.testing.assert_array_equal(twice.instance, once.instance)
    np.testing.assert_array_equal(twice.nyu40, once.nyu40)
    assert twice.objects == once.objects
    assert (once.duplicate_groups, twice.duplicate_groups) == (0, len(GROUPS)) and twice.vertices_claimed_twice == 0


def test_the_benchmarks_spelling_in_an_annotation_is_the_refrigerator(table: LabelTable) -> None:
    found = labelled(GROUPS, table)
    assert set(found.nyu40[SEGMENTS == 13]) == {24} and set(found.raw_id[SEGMENTS == 13]) == {27}


def test_two_names_of_one_id_are_one_category(table: LabelTable) -> None:
    found = labelled(((0, "book", (7,)), (1, "books", (12,))), table)
    assert set(found.raw_id[found.instance >= 0]) == {22} and len(found.objects) == 2


def test_a_label_that_the_table_has_not_is_named_and_its_vertices_have_no_class(table: LabelTable) -> None:
    found = labelled(((0, "gizmo", (7, 12)), (1, "chair", (13,))), table)
    assert found.unknown_labels == {"gizmo": 8}
    assert set(found.nyu40[found.instance == 0]) == {0} and set(found.raw_id[found.instance == 0]) == {-1}
    assert found.objects[0].category is None and found.objects[0].vertices == 8


def test_groups_without_a_vertex_and_segments_of_two_groups_are_counted(table: LabelTable) -> None:
    found = labelled(((0, "chair", (7, 12)), (1, "wall", (77, 78)), (2, "floor", (12, 13)), (3, "wall", ())), table)
    assert found.groups_without_vertices == ["1 wall", "3 wall"]
    assert found.vertices_claimed_twice == 4 and set(found.nyu40[SEGMENTS == 12]) == {2}
    assert [o.object_id for o in found.objects] == [0, 2] and found.objects[0].vertices == 4
    assert set(found.instance.tolist()) == {-1, 0, 1}


def test_a_scene_without_any_group_has_no_labels(table: LabelTable) -> None:
    found = labelled((), table)
    assert (found.instance == -1).all() and (found.nyu40 == 0).all() and found.objects == []


def test_segments_of_another_mesh_are_an_error_with_both_counts(tmp_path: Path) -> None:
    write_annotation(tmp_path, GROUPS, SEGMENTS)
    path = next(tmp_path.glob("*.segs.json"))
    np.testing.assert_array_equal(read_segments(path, 28), SEGMENTS)
    with pytest.raises(InputError, match="28 numbers and the mesh 29 vertices"):
        read_segments(path, 29)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"segGroups": 3}', '{"segGroups": [{"id": 1}]}', "\x00", '{"segGroups": [7]}']
)
def test_a_damaged_annotation_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "a.aggregation.json"
    path.write_text(text)
    with pytest.raises(InputError, match="a.aggregation.json"):
        read_groups(path)


@pytest.mark.parametrize("content", ["x", [[1]], [1.5, "a"], [None], [10**30]])
def test_segments_that_are_no_numbers_are_named(tmp_path: Path, content: object) -> None:
    path = tmp_path / "a.segs.json"
    path.write_text(json.dumps({"segIndices": content}))
    with pytest.raises(InputError, match="a.segs.json"):
        read_segments(path, 1)


def test_the_mesh_is_what_was_written(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", vertices(), triangles(), labels=np.arange(28) + 20)
    mesh = read_mesh(tmp_path / "a.ply")
    np.testing.assert_array_equal(mesh.xyz, vertices())
    np.testing.assert_array_equal(mesh.rgb, colors())
    np.testing.assert_array_equal(mesh.faces, triangles())
    assert mesh.normals is None and mesh.faces.dtype == np.int32 and mesh.rgb.dtype == np.uint8
    labels = read_vertex_labels(tmp_path / "a.ply", 28)
    assert labels.tolist() == [n if n <= 40 else 0 for n in range(20, 48)], "numbers beyond the 40 mean nothing"
    with pytest.raises(InputError, match="has 28 vertices and the mesh 27"):
        read_vertex_labels(tmp_path / "a.ply", 27)


def test_a_text_mesh_with_lists_of_any_length_is_read_too(tmp_path: Path) -> None:
    write_ply(tmp_path / "a.ply", vertices(), triangles())
    ply = PlyData.read(str(tmp_path / "a.ply"))
    PlyData(ply.elements, text=True).write(str(tmp_path / "b.ply"))
    np.testing.assert_array_equal(read_mesh(tmp_path / "b.ply").faces, triangles())
    text = (tmp_path / "b.ply").read_text().splitlines()
    text[-1] = "4 0 1 2 3"
    (tmp_path / "b.ply").write_text("\n".join(text) + "\n")
    with pytest.raises(InputError, match="no triangles"):
        read_mesh(tmp_path / "b.ply")


def test_a_damaged_mesh_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    write_ply(path, vertices(), triangles())
    whole = path.read_bytes()
    for broken in (whole[:-5], whole[:40], b"", whole.replace(b"uchar red", b"uchar rad")):
        path.write_bytes(broken)
        with pytest.raises(InputError, match="a.ply"):
            read_mesh(path)
    write_ply(path, vertices(), triangles() + 10)
    with pytest.raises(InputError, match="names vertex 36 and there are 28"):
        read_mesh(path)
    write_ply(path, np.full((3, 3), np.nan), np.array([[0, 1, 2]]))
    with pytest.raises(InputError, match="3 vertices are not finite"):
        read_mesh(path)


@pytest.mark.parametrize("kind", ["float", "ushort", "list uchar uchar"])
def test_colours_that_are_no_bytes_are_named_with_their_type(tmp_path: Path, kind: str) -> None:
    """Cast to bytes, colours from 0 to 1 would all be black."""
    path = tmp_path / "a.ply"
    head = "ply\nformat ascii 1.0\nelement vertex 1\n" + "".join(f"property float {axis}\n" for axis in "xyz")
    channels = "".join(f"property {kind} {channel}\n" for channel in ("red", "green", "blue"))
    row = "0 0 0 " + " ".join(["1 1" if "list" in kind else "1"] * 3)
    path.write_text(f"{head}{channels}end_header\n{row}\n")
    with pytest.raises(InputError, match=r"a\.ply: its colours are of type .*: save them as uchar"):
        read_mesh(path)


@pytest.mark.parametrize("count", ["9" * 15, "9" * 30])
def test_a_mesh_that_claims_more_than_memory_holds_is_named(tmp_path: Path, count: str) -> None:
    write_ply(tmp_path / "a.ply", vertices(), triangles())
    for text in (True, False):
        PlyData(PlyData.read(str(tmp_path / "a.ply")).elements, text=text).write(str(tmp_path / "b.ply"))
        claimed = (tmp_path / "b.ply").read_bytes().replace(b"vertex 28", f"vertex {count}".encode())
        (tmp_path / "c.ply").write_bytes(claimed)
        with pytest.raises(InputError, match=r"c\.ply: cannot be read as PLY"):
            read_mesh(tmp_path / "c.ply")


def test_alignment_is_row_by_row_and_absent_in_test_scenes(tmp_path: Path) -> None:
    whole, without = write_scan(tmp_path / "a", ("alignment",)), write_scan(tmp_path / "b", ())
    np.testing.assert_allclose(read_scene_text(whole / "a.txt").axis_alignment, TURN)
    text = read_scene_text(without / "b.txt")
    assert text.axis_alignment is None and text.values["sceneType"] == "Bedroom"
    assert text.depth_intrinsics() == (52.0, 48.0, 31.2, 24.6)


@pytest.mark.parametrize("numbers", ["1 2 3", "a " * 16, "0 " * 16, "1 0 0 0 0 1 0 0 0 0 1 nan 0 0 0 1", "2 " * 16])
def test_an_alignment_that_is_no_rigid_motion_is_named(tmp_path: Path, numbers: str) -> None:
    (tmp_path / "a.txt").write_text(f"axisAlignment = {numbers}\n")
    with pytest.raises(InputError, match="axisAlignment"):
        read_scene_text(tmp_path / "a.txt")


def test_scenes_are_found_in_every_layout_with_what_is_absent(tmp_path: Path) -> None:
    write_scan(tmp_path / "scans" / "scene0001_00", ("mesh", "labels"))
    write_scan(tmp_path / "scans_test" / "scene0707_00", ("mesh",))
    write_scan(tmp_path / "room0000_00")
    (tmp_path / "scene0005_00").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / ".scene0009_00").mkdir()
    found = {files.name: files.absent() for files in find_scenes(tmp_path)}
    assert found == {
        "room0000_00": [],
        "scene0001_00": ["frames"],
        "scene0005_00": ["frames", "mesh", "labels", "alignment"],
        "scene0707_00": ["frames", "labels"],
    }
    write_scan(tmp_path / "scene0001_00", ("mesh",))
    with pytest.raises(InputError, match="the scene is also in"):
        find_scenes(tmp_path)


def test_the_annotation_of_the_finer_mesh_is_never_taken(tmp_path: Path) -> None:
    folder = write_scan(tmp_path / "scene0000_00")
    (folder / "scene0000_00.aggregation.json").rename(folder / "scene0000_00_vh_clean.aggregation.json")
    (files,) = find_scenes(tmp_path)
    assert files.aggregation is None and "labels" in files.absent()


def test_a_source_without_scans_says_what_was_looked_for(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="looked for <scene>/<scene>.sens"):
        find_scenes(tmp_path)
    with pytest.raises(InputError, match="there is no such folder"):
        find_scenes(tmp_path / "nowhere")
