"""S3DIS rooms: points come back as written, classes in the benchmark's order, and faults name file and line."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from sparse3d.data.s3dis import (
    CACHE,
    CLASSES,
    is_s3dis_room,
    read_points,
    read_s3dis_room,
    s3dis_rooms,
    s3dis_split,
)
from sparse3d.errors import InputError

OBJECTS = ("chair_1", "chair_10", "chair_2", "floor_1", "stairs_1", "wall_1")


def write_room(folder: Path, objects: tuple[str, ...] = OBJECTS, count: int = 20) -> dict[str, np.ndarray]:
    """A room of random points; returns what was written, (count, 6) an object, in millimetres and whole colours."""
    (folder / "Annotations").mkdir(parents=True)
    rng = np.random.default_rng(len(objects))
    written = {}
    for name in objects:
        xyz = np.round(rng.uniform(-20, 20, (count, 3)), 3)
        values = np.concatenate([xyz, rng.integers(0, 256, (count, 3))], axis=1)
        lines = [f"{x:.3f} {y:.3f} {z:.3f} {r:.0f} {g:.0f} {b:.0f}" for x, y, z, r, g, b in values]
        (folder / "Annotations" / f"{name}.txt").write_text("\n".join(lines) + "\n")
        written[name] = values
    (folder / "Annotations" / ".DS_Store").write_bytes(b"\x00\x01")
    (folder / "Annotations" / "._chair_1.txt").write_bytes(b"\x00\x05")  # as macOS has it beside each file
    return written


def test_a_room_is_read_as_it_was_written(tmp_path: Path) -> None:
    written = write_room(tmp_path / "Area_2" / "office_3")
    room = read_s3dis_room(tmp_path / "Area_2" / "office_3")
    assert room.name == "Area_2/office_3"
    assert room.objects == ("chair_1", "chair_2", "chair_10", "floor_1", "stairs_1", "wall_1")  # by number
    assert len(room) == 120
    assert (room.xyz.dtype, room.rgb.dtype, room.semantic.dtype, room.instance.dtype) == ("f4", "f4", "i8", "i8")
    for k, name in enumerate(room.objects):
        mine = room.instance == k
        np.testing.assert_allclose(room.xyz[mine], written[name][:, :3], atol=1e-5)
        np.testing.assert_allclose(room.rgb[mine] * 255, written[name][:, 3:], atol=1e-4)
        kind = name.split("_")[0]
        assert {CLASSES[c] for c in room.semantic[mine]} == {kind if kind in CLASSES else "clutter"}


def test_the_classes_stand_in_the_benchmarks_order() -> None:
    order = "ceiling floor wall beam column window door table chair sofa bookcase board clutter"
    assert order.split() == list(CLASSES)


def test_classes_outside_the_benchmark_are_clutter_and_counted(tmp_path: Path) -> None:
    write_room(tmp_path / "room")
    assert read_s3dis_room(tmp_path / "room").unknown_classes == {"stairs": 20}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("1 2 3 4 5", "six numbers"),
        ("1 2 3 4 5 6 7", "six numbers"),
        ("1 2 x 4 5 6", "six numbers"),
        ("1 2 3 4 5 256", "outside 0 to 255"),
        ("1 nan 3 4 5 6", "not finite"),
        ("1 2 3 18\x107 5 6", "six numbers"),
        ("1 2 3 4\u00e9 5 6 7", "six numbers"),
    ],
)
def test_a_broken_line_is_named(tmp_path: Path, line: str, why: str) -> None:
    write_room(tmp_path / "room")
    path = tmp_path / "room" / "Annotations" / "floor_1.txt"
    lines = path.read_text().splitlines()
    lines[6] = line
    path.write_text("\n\n" + "\n".join(lines), encoding="utf-8")  # blank lines count
    with pytest.raises(InputError, match=r"floor_1\.txt: line 9\b.*" + why):
        read_s3dis_room(tmp_path / "room")


def test_two_broken_lines_do_not_make_up_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "wall_1.txt"
    path.write_text("1 2 3 4 5 6\n1 2 3 4 5\n1 2 3 4 5 6 7\n")
    with pytest.raises(InputError, match=r"wall_1\.txt: line 2"):
        read_points(path)


@pytest.mark.parametrize("stray", [b"\x10", b"\xa0", b"\xc2\xa0"])
def test_a_stray_byte_between_two_numbers_is_a_blank_and_told(tmp_path: Path, stray: bytes) -> None:
    folder = tmp_path / "Area_5" / "hallway_6" / "Annotations"
    folder.mkdir(parents=True)
    (folder / "ceiling_1.txt").write_bytes(b"1 2 3 4 5 6\n-22.1 41.2 3.3 185" + stray + b"187 186\n7 8 9 1 2 3\n")
    room = read_s3dis_room(folder.parent)
    np.testing.assert_allclose(room.rgb[1] * 255, (185, 187, 186), atol=1e-4)
    assert room.mended == ("ceiling_1.txt: line 2",)


def test_lines_may_end_as_windows_has_them_and_the_last_without_an_end(tmp_path: Path) -> None:
    path = tmp_path / "a_1.txt"
    path.write_bytes(b"1 2 3 4 5 6\r\n1.5e0\t-2 3 4 5 7")
    values, mended = read_points(path)
    assert values.tolist() == [[1, 2, 3, 4, 5, 6], [1.5, -2, 3, 4, 5, 7]] and mended == []


def test_an_empty_annotation_is_an_error_that_names_it(tmp_path: Path) -> None:
    write_room(tmp_path / "room")
    (tmp_path / "room" / "Annotations" / "beam_1.txt").write_text("\n")
    with pytest.raises(InputError, match=r"beam_1\.txt: holds no point"):
        read_s3dis_room(tmp_path / "room")


def test_the_cache_is_used_while_it_fits_and_only_then(tmp_path: Path) -> None:
    folder = tmp_path / "room"
    write_room(folder)
    plain = read_s3dis_room(folder)
    assert not (folder / CACHE).exists()
    made, taken = read_s3dis_room(folder, cache=True), read_s3dis_room(folder, cache=True)
    for room in (made, taken):
        assert room.objects == plain.objects and room.unknown_classes == plain.unknown_classes
        for name in ("xyz", "rgb", "semantic", "instance"):
            np.testing.assert_array_equal(getattr(room, name), getattr(plain, name))
            assert getattr(room, name).dtype == getattr(plain, name).dtype
    path = folder / "Annotations" / "wall_1.txt"
    path.write_text("0 0 0 1 2 3\n")
    assert len(read_s3dis_room(folder, cache=True)) == len(plain) - 19
    status = path.stat()
    path.write_text("0 0 1 1 2 3\n")  # the same size; another time
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    assert read_s3dis_room(folder, cache=True).xyz[-1, 2] == 1
    (folder / CACHE).write_bytes(b"damaged")
    assert len(read_s3dis_room(folder, cache=True)) == len(plain) - 19
    assert [p.name for p in folder.iterdir() if p.name.endswith("partial")] == []


@pytest.mark.parametrize("cache", [False, True])
def test_an_annotation_whose_content_was_not_fetched_is_named(tmp_path: Path, cache: bool) -> None:
    """A link that leads nowhere, as git-annex leaves it."""
    write_room(tmp_path / "Area_1" / "office_1")
    (tmp_path / "Area_1" / "office_1" / "Annotations" / "chair_9.txt").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"chair_9\.txt: cannot be read \(No such file"):
        read_s3dis_room(tmp_path / "Area_1" / "office_1", cache=cache)


def test_a_room_whose_cache_cannot_be_written_is_read_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "Area_1" / "office_1"
    write_room(folder)

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sparse3d.data.s3dis.np.savez", full)
    monkeypatch.setattr("sparse3d.data.s3dis._troubles", [])
    for _ in range(2):
        found = read_s3dis_room(folder, cache=True)
    assert np.array_equal(found.xyz, read_s3dis_room(folder).xyz)
    (said,) = caplog.messages  # once, not for each of some hundred rooms
    assert "No space left" in said and "S3disAreas.cache = False" in said


def test_rooms_are_listed_by_area_and_the_split_tests_on_area_5(tmp_path: Path) -> None:
    for place in ("Area_1/office_2", "Area_1/hallway_1", "Area_5/office_1"):
        write_room(tmp_path / place, ("wall_1",))
    (tmp_path / "Area_1" / "notes").mkdir()
    assert [p.name for p in s3dis_rooms(tmp_path, (1,))] == ["hallway_1", "office_2"]
    assert [p.name for p in s3dis_rooms(tmp_path, s3dis_split("test"))] == ["office_1"]
    with pytest.raises(InputError, match="Area_2"):
        s3dis_rooms(tmp_path, s3dis_split("train"))
    assert s3dis_split("train") == (1, 2, 3, 4, 6) and s3dis_split("val") == (5,)
    assert sorted(s3dis_split("train", 2) + s3dis_split("test", 2)) == [1, 2, 3, 4, 5, 6]
    with pytest.raises(InputError, match="unknown"):
        s3dis_split("trian")
    assert not is_s3dis_room(tmp_path)


def test_a_folder_that_is_no_room_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=str(tmp_path)):
        read_s3dis_room(tmp_path)


@pytest.mark.needs_shared_data
def test_a_real_room(shared_data: Path) -> None:
    room = read_s3dis_room(shared_data / "s3dis" / "Area_3" / "hallway_3")
    assert len(room) == 175_075 and len(room.objects) == 12 and not room.unknown_classes and not room.mended
    counts = dict(zip(CLASSES, np.bincount(room.semantic, minlength=13).tolist(), strict=True))
    assert {k: n for k, n in counts.items() if n} == {
        "ceiling": 34_283, "floor": 33_948, "wall": 57_387, "door": 35_890, "clutter": 13_567,
    }  # fmt: skip
    floor, ceiling = room.xyz[room.semantic == 1], room.xyz[room.semantic == 0]
    assert abs(np.median(floor[:, 2])) < 0.05 and np.median(ceiling[:, 2]) > 2  # z is up
    assert room.rgb.min() >= 0 and room.rgb.max() <= 1 and room.rgb.std() > 0.05
