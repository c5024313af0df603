"""The bytes of a .sens file, there and back; and what is left of it when it is cut anywhere."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import tracemalloc
import zlib
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from recordings import WRITERS, assert_same, make_frames, write_scannet_sens

from sparse3d.data.readers import open_frames
from sparse3d.data.sens_writer import SensWriter, write_sens
from sparse3d.errors import InputError
from sparse3d.types import Camera

TINY = Camera(4.0, 5.0, 2.0, 1.25, 4, 3)


def header(
    version: int = 4,
    name: bytes = b"StructureSensor",
    codes: tuple[int, int] = (0, 0),
    sizes: tuple[int, int, int, int] = (4, 3, 4, 3),
    shift: float = 1000.0,
    frames: int = 0,
    name_length: int | None = None,
) -> bytes:
    """A header, field by field as the format is described; extrinsics that would show if they were applied."""
    K = [4, 0, 2, 0, 0, 5, 1.25, 0, 0, 0, 1, 0, 0, 0, 0, 1]
    extrinsic = [1, 0, 0, 9, 0, 1, 0, 9, 0, 0, 1, 9, 0, 0, 0, 1]
    out = struct.pack("<I", version) + struct.pack("<Q", len(name) if name_length is None else name_length) + name
    for matrix in (K, extrinsic, K, extrinsic):
        out += struct.pack("<16f", *matrix)
    out += struct.pack("<ii", *codes)
    out += struct.pack("<IIII", *sizes)
    return out + struct.pack("<f", shift) + struct.pack("<Q", frames)


def frame_bytes(pose: np.ndarray, color: bytes, depth: bytes) -> bytes:
    out = struct.pack("<16f", *pose.ravel()) + struct.pack("<QQ", 11, 22)
    return out + struct.pack("<Q", len(color)) + struct.pack("<Q", len(depth)) + color + depth


def test_a_file_spelled_out_by_hand_is_read(tmp_path: Path) -> None:
    frames = make_frames(2, TINY)
    raws = [np.round(f.depth * 4000).astype("<u2").tobytes() for f in frames]
    data = header(codes=(0, 1), shift=4000.0, frames=2)
    for frame, raw in zip(frames, raws, strict=True):
        data += frame_bytes(frame.T_world_cam, frame.color.tobytes(), zlib.compress(raw))
    (tmp_path / "a.sens").write_bytes(data + struct.pack("<Q", 1) + b"imu record")
    source = open_frames(tmp_path / "a.sens")
    assert source.header.sensor_name == "StructureSensor" and source.scene == "a"  # type: ignore[attr-defined]
    for read, written in zip(source, frames, strict=True):
        assert_same(read, written)


def test_a_written_file_is_the_described_bytes(tmp_path: Path) -> None:
    frame = make_frames(1, TINY)[0]
    camera = Camera(4.5, -5.5, 2.0, 1.0, 4, 3)
    with SensWriter(tmp_path / "a.sens", TINY, camera, "me", "raw", "raw", depth_shift=2000.0) as writer:
        writer.write(frame.color, frame.depth, frame.T_world_cam, timestamp=77)
    data = io.BytesIO((tmp_path / "a.sens").read_bytes())

    def take(layout: str) -> tuple:
        return struct.unpack("<" + layout, data.read(struct.calcsize("<" + layout)))

    assert take("I") == (4,) and take("Q") == (2,) and data.read(2) == b"me"
    assert take("16f") == (4, 0, 2, 0, 0, 5, 1.25, 0, 0, 0, 1, 0, 0, 0, 0, 1)
    assert take("16f") == tuple(np.eye(4).ravel())
    assert take("16f") == (4.5, 0, 2, 0, 0, -5.5, 1, 0, 0, 0, 1, 0, 0, 0, 0, 1)
    assert take("16f") == tuple(np.eye(4).ravel())
    assert take("i") == (0,) and take("i") == (0,)
    assert take("II") == (4, 3) and take("II") == (4, 3) and take("f") == (2000.0,) and take("Q") == (1,)
    np.testing.assert_allclose(take("16f"), frame.T_world_cam.ravel(), rtol=1e-6)
    assert take("QQ") == (77, 77) and take("Q") == (36,) and take("Q") == (24,)
    assert data.read(36) == frame.color.tobytes()
    assert data.read(24) == np.round(frame.depth * 2000).astype("<u2").tobytes()
    assert take("Q") == (0,) and data.read() == b""


@pytest.mark.parametrize("color", ["raw", "png", "jpeg"])
@pytest.mark.parametrize("depth", ["raw", "zlib"])
def test_round_trip_of_every_compression(tmp_path: Path, color: str, depth: str) -> None:
    frames = make_frames(3)
    source = open_frames(write_scannet_sens(tmp_path, frames, color, depth), check_images=True)
    assert len(source) == 3
    for read, written in zip(source, frames, strict=True):
        np.testing.assert_array_equal(read.depth, written.depth)
        np.testing.assert_allclose(read.T_world_cam, written.T_world_cam, atol=1e-6)
        if color != "jpeg":
            np.testing.assert_array_equal(read.color, written.color)


def test_jpeg_colour_is_what_the_codec_makes_of_it(tmp_path: Path) -> None:
    frame = make_frames(1)[0]
    rows, cols = np.mgrid[:32, :40]
    frame.color[:] = np.stack([6 * cols, 7 * rows, 3 * (rows + cols)], axis=-1)
    read = open_frames(write_scannet_sens(tmp_path, [frame], "jpeg"))[0]
    assert np.abs(read.color.astype(int) - frame.color).max() <= 6


@pytest.mark.parametrize("format", sorted(WRITERS))
def test_any_recording_becomes_a_sens_file(tmp_path: Path, format: str) -> None:
    frames = make_frames()
    source = open_frames(WRITERS[format](tmp_path / "s", frames), up="z")
    assert write_sens(source, tmp_path / "out" / "b.sens", color_compression="png") == 5
    for read, written in zip(open_frames(tmp_path / "out"), frames, strict=True):
        assert_same(read, written)


def test_a_converted_recording_stands_upright(tmp_path: Path) -> None:
    source = open_frames(WRITERS["redwood"](tmp_path / "s", make_frames()), up="-y", size=(20, 16))
    write_sens(source, tmp_path / "b.sens")
    copy = open_frames(tmp_path / "b.sens")
    np.testing.assert_allclose(copy.pose(3), source.pose(3), atol=1e-6)
    np.testing.assert_allclose(copy.camera(0).K, source.camera(0).K, rtol=1e-6)
    assert np.abs(copy[0].depth - source[0].depth).max() <= 0.00051  # means of blocks are no whole millimetres


def test_cut_anywhere_is_one_clear_line(tmp_path: Path) -> None:
    frames = make_frames(3, TINY)
    path = write_scannet_sens(tmp_path, frames, "raw", "raw")
    whole = path.read_bytes()
    first = len(header(name=b"sparse3d"))
    one = 96 + 36 + 24
    assert len(whole) == first + 3 * one + 8
    for cut in range(len(whole)):
        path.write_bytes(whole[:cut])
        if cut >= first + 3 * one:  # only the IMU records are gone
            assert len(open_frames(path)) == 3
            continue
        with pytest.raises(InputError) as caught:
            open_frames(path)
        message = str(caught.value)
        assert str(path) in message and f"byte {cut}" in message and "\n" not in message
        assert cut < first or " 3" in message  # how many frames it should hold
        if cut < first + 2 * one:
            with pytest.raises(InputError):
                open_frames(path, on_fault="drop")
        else:
            source = open_frames(path, on_fault="drop")
            assert len(source) == 2 and source.manifest.counts() == {"truncated": 1}
            assert_same(source[1], frames[1])


def test_a_file_cut_after_opening_is_named(tmp_path: Path) -> None:
    path = write_scannet_sens(tmp_path, make_frames(3, TINY), "raw", "raw")
    source = open_frames(path)
    os.truncate(path, path.stat().st_size - 20)
    with pytest.raises(InputError, match="frame 000002 is cut off"):
        source[2]
    path.unlink()
    with pytest.raises(InputError, match="cannot be read"):
        source[0]


DAMAGED = {
    "version": (header(version=3), "version 4"),
    "a PNG": (b"\x89PNG\r\n\x1a\n" + bytes(600), "version 4"),
    "name": (header(name_length=10**18), "sensor name of 1000000000000000000"),
    "colour code": (header(codes=(7, 0)), "colour compression 7"),
    "occi": (header(codes=(0, 2)), "occi"),
    "sizes": (header(sizes=(4, 3, 0, 3)), "4 x 3 and 0 x 3"),
    "huge": (header(sizes=(2**32 - 1, 3, 4, 3)), "4294967295 x 3"),
    "shift": (header(shift=0.0), "depth units"),
    "nan shift": (header(shift=float("nan")), "depth units"),
    "no frame": (header(frames=0), "no frame"),
    "many frames": (header(frames=10**18), "1000000000000000000 frames"),
    "payload": (header(frames=2) + struct.pack("<16f4Q", *np.eye(4).ravel(), 0, 0, 10**18, 5), "within frame 0 of 2"),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_absurd_headers_are_refused_without_allocating(tmp_path: Path, case: str) -> None:
    data, expected = DAMAGED[case]
    path = tmp_path / "a.sens"
    path.write_bytes(data)
    tracemalloc.start()
    with pytest.raises(InputError, match=expected) as caught:
        open_frames(path)
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()
    assert str(path) in str(caught.value)


def test_frames_with_empty_or_wrong_payloads_are_named(tmp_path: Path) -> None:
    frame = make_frames(1, TINY)[0]
    color, depth = frame.color.tobytes(), bytes(24)
    payloads = [(color, depth), (b"", depth), (color, b""), (color, depth[:-2]), (color[:-1], depth)]
    data = header(frames=5) + b"".join(frame_bytes(np.eye(4), *p) for p in payloads)
    (tmp_path / "a.sens").write_bytes(data)
    with pytest.raises(InputError, match="frame 000001 has no colour image; 4 of 5 frames are faulty"):
        open_frames(tmp_path)
    source = open_frames(tmp_path, on_fault="drop")
    assert [d.reason for d in source.manifest.dropped] == ["missing_color", "missing_depth"] + 2 * ["size_mismatch"]


def test_a_zlib_bomb_does_not_unpack(tmp_path: Path) -> None:
    bomb = zlib.compress(bytes(50_000_000))
    data = header(codes=(0, 1), frames=1) + frame_bytes(np.eye(4), bytes(36), bomb)
    (tmp_path / "a.sens").write_bytes(data)
    source = open_frames(tmp_path)
    tracemalloc.start()
    with pytest.raises(InputError, match="does not unpack to the 24 bytes"):
        source[0]
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


def test_a_file_of_gigabytes_is_indexed_not_loaded(tmp_path: Path) -> None:
    size = (1296, 968, 640, 480)
    color_bytes, depth_bytes, count = 1296 * 968 * 3, 640 * 480 * 2, 400
    K_color = struct.pack("<16f", 1170, 0, 647.5, 0, 0, 1170, 483.5, 0, 0, 0, 1, 0, 0, 0, 0, 1)
    K_depth = struct.pack("<16f", 577.8, 0, 319.5, 0, 0, 580.2, 239.5, 0, 0, 0, 1, 0, 0, 0, 0, 1)
    start = bytearray(header(sizes=size, frames=count))
    place = 4 + 8 + len(b"StructureSensor")
    start[place : place + 64], start[place + 128 : place + 192] = K_color, K_depth
    path = tmp_path / "big.sens"
    with path.open("wb") as file:
        file.write(start)
        for _ in range(count):
            file.write(struct.pack("<16f4Q", *np.eye(4).ravel(), 0, 0, color_bytes, depth_bytes))
            file.seek(color_bytes + depth_bytes, io.SEEK_CUR)  # a hole: takes no place on the disk
        file.seek(-2, io.SEEK_CUR)
        file.write(struct.pack("<H", 1500))
    assert path.stat().st_size > 1_700_000_000
    tracemalloc.start()
    source = open_frames(path)
    assert len(source) == count and tracemalloc.get_traced_memory()[1] < 3_000_000
    tracemalloc.stop()
    last = source[count - 1]
    assert last.depth[-1, -1] == 1.5 and last.depth.sum() == 1.5 and last.color.shape == (480, 640, 3)


def test_nothing_is_left_after_an_exception(tmp_path: Path) -> None:
    frame = make_frames(1, TINY)[0]
    with pytest.raises(RuntimeError), SensWriter(tmp_path / "a.sens", TINY, TINY) as writer:
        writer.write(frame.color, frame.depth, frame.T_world_cam)
        raise RuntimeError("power cut")
    with pytest.raises(InputError, match="no frame was written"), SensWriter(tmp_path / "a.sens", TINY, TINY):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_one_clear_error_and_leaves_nothing(tmp_path: Path) -> None:
    """In a process of its own, whose files may not grow beyond some bytes."""
    code = f"""
import resource, signal, numpy as np
from sparse3d.data.sens_writer import SensWriter
from sparse3d.errors import InputError
from sparse3d.types import Camera
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
camera = Camera(60, 60, 31.5, 23.5, 64, 48)
try:
    with SensWriter({str(tmp_path / "a.sens")!r}, camera, camera, color_compression="raw") as writer:
        for _ in range(50):
            writer.write(np.zeros((48, 64, 3), np.uint8), np.ones((48, 64)), np.eye(4))
except InputError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "a.sens: cannot be written (File too large)" in done.stdout
    assert list(tmp_path.iterdir()) == []


def test_an_existing_file_stands_until_the_new_one_is_whole(tmp_path: Path) -> None:
    frames = make_frames(2, TINY)
    path = write_scannet_sens(tmp_path, frames[:1])
    before = path.read_bytes()
    with pytest.raises(RuntimeError), SensWriter(path, TINY, TINY) as writer:
        writer.write(frames[1].color, frames[1].depth, frames[1].T_world_cam)
        assert path.read_bytes() == before
        raise RuntimeError
    assert path.read_bytes() == before
    write_scannet_sens(tmp_path, frames)
    assert len(open_frames(path)) == 2 and [p.name for p in tmp_path.iterdir()] == [path.name]


def test_the_writer_refuses_what_it_cannot_hold(tmp_path: Path) -> None:
    frame = make_frames(1, TINY)[0]
    with pytest.raises(InputError, match="color_compression='webp'.*jpeg"):
        SensWriter(tmp_path / "a", TINY, TINY, color_compression="webp")
    with pytest.raises(InputError, match="depth_compression='occi'"):
        SensWriter(tmp_path / "a", TINY, TINY, depth_compression="occi")
    for bad in (70.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(InputError, match="16 bit"), SensWriter(tmp_path / "a", TINY, TINY) as writer:
            writer.write(frame.color, np.full((3, 4), bad, np.float32), frame.T_world_cam)
    for place, refused in ((9_000.0, False), (450_000.0, True), (1e39, True), (-np.inf, False)):
        pose = np.eye(4)
        pose[0, 3] = place + 0.0123
        with SensWriter(tmp_path / "a", TINY, TINY) as writer:
            with pytest.raises(InputError, match="frame 0 lies .*offset") if refused else nullcontext():
                writer.write(frame.color, frame.depth, pose)
            writer.write(frame.color, frame.depth, np.eye(4))
    (tmp_path / "a").unlink()
    with (
        pytest.raises(ValueError, match=r"colour must be \(3, 4, 3\)"),
        SensWriter(tmp_path / "a", TINY, TINY) as writer,
    ):
        writer.write(frame.color.transpose(1, 0, 2), frame.depth, frame.T_world_cam)
    with pytest.raises(ValueError, match="with block"):
        SensWriter(tmp_path / "a", TINY, TINY).write(frame.color, frame.depth, frame.T_world_cam)
    assert list(tmp_path.iterdir()) == []


def test_colour_of_the_sens_cameras_is_sampled_by_ray(tmp_path: Path) -> None:
    color_camera, depth_camera = Camera(60.0, 60.0, 30.0, 20.0, 64, 48), Camera(40.0, 40.0, 19.5, 15.5, 40, 32)
    rows, cols = np.mgrid[:48, :64]
    color = np.stack([128 + 150 * (cols - 30) / 60, 128 + 150 * (rows - 20) / 60, 0 * rows], axis=-1).astype(np.uint8)
    with SensWriter(tmp_path / "a.sens", color_camera, depth_camera, color_compression="png") as writer:
        writer.write(color, np.ones((32, 40), np.float32), np.eye(4))
    frame = open_frames(tmp_path)[0]
    rows, cols = np.nonzero(frame.depth)
    inner = (cols > cols.min()) & (cols < cols.max()) & (rows > rows.min()) & (rows < rows.max())
    rows, cols = rows[inner], cols[inner]
    expected = np.stack([128 + 150 * (cols - 19.5) / 40, 128 + 150 * (rows - 15.5) / 40], axis=-1)
    assert np.abs(frame.color[rows, cols, :2] - expected).max() < 2
    assert Image.fromarray(frame.color).size == (40, 32)
