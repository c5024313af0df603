"""A faulty frame is named and counted, never silent, and never moves its neighbours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from recordings import (
    WRITERS,
    assert_same,
    make_frames,
    write_redwood,
    write_scannet_frames,
    write_scannet_sens,
    write_seven_scenes,
)

from sparse3d.data.readers import FrameSource, open_frames
from sparse3d.data.sens_writer import SensWriter
from sparse3d.errors import InputError

# Where frame 2 keeps its files, by format.
FILES = {
    "seven_scenes": {
        "color": "frame-000002.color.png",
        "depth": "frame-000002.depth.png",
        "pose": "frame-000002.pose.txt",
    },
    "redwood": {"color": "color/00002.png", "depth": "depth/00002.png"},
    "tum": {"color": "rgb/1305031102.066667.png", "depth": "depth/1305031102.070667.png"},
    "scannet_frames": {"color": "color/2.png", "depth": "depth/2.png", "pose": "pose/2.txt"},
}
EACH_FILE = [(format, part) for format, files in FILES.items() for part in files]
EACH_IMAGE = [(format, part) for format, part in EACH_FILE if part != "pose"]


def assert_fault(path: Path, reason: str, named: str, **options: object) -> FrameSource:
    """Frame 2 of five is an error that names it in one line; dropped, the other four are what they were."""
    with pytest.raises(InputError, match='on_fault="drop"') as caught:
        open_frames(path, up="z", **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert named in message and f"{reason} 1" in message and "1 of 5 frames" in message and "\n" not in message
    source = open_frames(path, up="z", on_fault="drop", **options)  # type: ignore[arg-type]
    assert [d.reason for d in source.manifest.dropped] == [reason] and named in source.manifest.dropped[0].detail
    assert [source.frame_number(i) for i in range(len(source))] == [0, 1, 3, 4]
    frames = make_frames()
    for read, k in zip(source, (0, 1, 3, 4), strict=True):
        assert_same(read, frames[k])
    return source


@pytest.mark.parametrize(("format", "part"), EACH_FILE)
def test_one_missing_file_is_named_and_shifts_nothing(tmp_path: Path, format: str, part: str) -> None:
    path = WRITERS[format](tmp_path / "s", make_frames())
    missing = path / FILES[format][part]
    missing.unlink()
    named = Path(FILES[format]["depth" if part == "color" else "color"]).name
    source = assert_fault(path, f"missing_{part}", named)
    assert part.replace("color", "colour") in source.manifest.dropped[0].detail


@pytest.mark.parametrize(("format", "part"), EACH_IMAGE)
def test_an_image_of_other_size_is_named(tmp_path: Path, format: str, part: str) -> None:
    path = WRITERS[format](tmp_path / "s", make_frames())
    image = path / FILES[format][part]
    with Image.open(image) as opened:
        opened.crop((0, 0, 38, 32)).save(image)
    assert_fault(path, "size_mismatch", image.name)


@pytest.mark.parametrize(("format", "part"), EACH_IMAGE)
def test_a_file_that_is_no_image_is_named(tmp_path: Path, format: str, part: str) -> None:
    path = WRITERS[format](tmp_path / "s", make_frames())
    image = path / FILES[format][part]
    for content in (b"", b"not an image", image.read_bytes()[:20]):
        image.write_bytes(content)
        assert_fault(path, f"unreadable_{part}", image.name)


@pytest.mark.parametrize(("format", "part"), EACH_IMAGE)
def test_a_broken_payload_is_found_by_check_images_or_named_when_read(tmp_path: Path, format: str, part: str) -> None:
    path = WRITERS[format](tmp_path / "s", make_frames())
    image = path / FILES[format][part]
    image.write_bytes(image.read_bytes()[:-200])
    source = open_frames(path, up="z")  # headers are fine
    with pytest.raises(InputError, match=image.name):
        source[2]
    assert_fault(path, f"unreadable_{part}", image.name, check_images=True)


@pytest.mark.parametrize("format", FILES)
def test_depth_of_8_bit_or_colour_is_never_read_as_depth(tmp_path: Path, format: str) -> None:
    path = WRITERS[format](tmp_path / "s", make_frames())
    image = path / FILES[format]["depth"]
    for mode in ("L", "RGB"):
        Image.new(mode, (40, 32), 100).save(image)
        assert_fault(path, "unreadable_depth", image.name)


def test_empty_depth_is_left_out_when_images_are_checked(tmp_path: Path) -> None:
    path = write_seven_scenes(tmp_path / "s", make_frames())
    Image.fromarray(np.zeros((32, 40), np.uint16)).save(path / "frame-000002.depth.png")
    assert not open_frames(path, up="z")[2].depth.any()
    assert_fault(path, "empty_depth", "frame-000002.depth.png", check_images=True)


MATRICES = {
    "-inf": np.full((4, 4), -np.inf),
    "nan": np.full((4, 4), np.nan),
    "zeros": np.zeros((4, 4)),
    "one -inf": np.where(np.arange(16).reshape(4, 4) == 7, -np.inf, np.eye(4)),
    "scaled": np.diag([2.0, 2.0, 2.0, 1.0]),
    "mirrored": np.diag([1.0, 1.0, -1.0, 1.0]),
}


@pytest.mark.parametrize("matrix", MATRICES)
def test_an_invalid_pose_is_an_error_where_it_is_not_expected(tmp_path: Path, matrix: str) -> None:
    path = write_seven_scenes(tmp_path / "s", make_frames())
    np.savetxt(path / "frame-000002.pose.txt", MATRICES[matrix])
    assert_fault(path, "invalid_pose", "frame-000002.pose.txt")


def test_a_pose_beyond_all_maps_is_invalid(tmp_path: Path) -> None:
    """Points there overflow single precision, in which they are kept."""
    for far in (1e30, -1e200):
        frames = make_frames()
        frames[2].T_world_cam[1, 3] = far
        assert_fault(write_seven_scenes(tmp_path / f"s{far:g}", frames), "invalid_pose", "beyond all maps")


def test_the_offset_of_a_map_is_a_valid_pose(tmp_path: Path) -> None:
    frames = make_frames()
    for frame in frames:
        frame.T_world_cam[:3, 3] += (450_000, 5_400_000, 300)
    assert len(open_frames(write_seven_scenes(tmp_path / "s", frames), up="z")) == 5


@pytest.mark.parametrize("text", ["", "1 0 0 0 0 1 0 0", "a b c d", "-1.#INF " * 16, "1.#QNAN " * 16])
def test_a_pose_file_that_holds_no_pose_is_named(tmp_path: Path, text: str) -> None:
    path = write_seven_scenes(tmp_path / "s", make_frames())
    (path / "frame-000002.pose.txt").write_text(text)
    assert_fault(path, "invalid_pose", "frame-000002.pose.txt")


def test_an_invalid_pose_in_a_trajectory_is_named(tmp_path: Path) -> None:
    frames = make_frames()
    frames[2].T_world_cam[:] = -np.inf
    assert_fault(write_redwood(tmp_path / "s", frames), "invalid_pose", "trajectory.log: frame 00002")


def test_a_zero_quaternion_is_an_invalid_pose(tmp_path: Path) -> None:
    path = WRITERS["tum"](tmp_path / "s", make_frames())
    lines = (path / "groundtruth.txt").read_text().splitlines()
    lines[3] = lines[3].split()[0] + " 0 0 0 0 0 0 0"
    (path / "groundtruth.txt").write_text("\n".join(lines))
    assert_fault(path, "invalid_pose", "groundtruth.txt")


@pytest.mark.parametrize("format", ["scannet_frames", "scannet_sens"])
@pytest.mark.parametrize("matrix", MATRICES)
def test_scannets_lost_poses_are_counted_and_no_error(tmp_path: Path, format: str, matrix: str) -> None:
    frames = make_frames()
    expected = make_frames()
    frames[2].T_world_cam[:] = MATRICES[matrix]
    source = open_frames(WRITERS[format](tmp_path / "s", frames))
    assert [source.frame_number(i) for i in range(len(source))] == [0, 1, 3, 4]
    assert source.manifest.counts() == {"invalid_pose": 1} and source.manifest.dropped[0].name.endswith("2")
    assert_same(source[2], expected[3])


@pytest.mark.parametrize("format", sorted(WRITERS))
def test_a_recording_without_a_usable_frame_says_so(tmp_path: Path, format: str) -> None:
    frames = make_frames(3)
    for frame in frames:
        frame.T_world_cam[:] = 0 if format != "tum" else np.nan
    if format == "tum":
        path = WRITERS[format](tmp_path / "s", make_frames(3))
        for image in (path / "rgb").iterdir():
            image.unlink()
    else:
        path = WRITERS[format](tmp_path / "s", frames)
    for on_fault in ("error", "drop"):
        with pytest.raises(InputError, match=r"no usable frame.*3 dropped.*looked for"):
            open_frames(path, on_fault=on_fault)


def test_redwood_frames_gone_with_both_images_are_told_by_the_trajectorys_numbers(tmp_path: Path) -> None:
    path = write_redwood(tmp_path / "s", make_frames())
    (path / "color/00002.png").unlink()
    (path / "depth/00002.png").unlink()
    assert_fault(path, "missing_color", "2")


def test_redwood_does_not_guess_which_image_is_missing(tmp_path: Path) -> None:
    path = write_redwood(tmp_path / "s", make_frames(), first=1)
    (path / "color/00005.png").unlink()
    (path / "depth/00005.png").unlink()  # images 1 to 4 could be poses 1 to 4 as well as poses 0 to 3
    for on_fault in ("error", "drop"):
        with pytest.raises(InputError, match=r"5 poses, but there are 4 frames, numbered 1 to 4"):
            open_frames(path, on_fault=on_fault)


def test_redwood_poses_with_other_gaps_than_the_images_are_refused(tmp_path: Path) -> None:
    """As many poses as images, of other frames: by order all between the two gaps would have a neighbour's pose."""
    path = write_redwood(tmp_path / "s", make_frames())
    lines = (path / "trajectory.log").read_text().splitlines()
    (path / "trajectory.log").write_text("\n".join(lines[:15] + lines[20:]))  # without pose 3
    for part in ("color", "depth"):
        (path / part / "00001.png").unlink()
    with pytest.raises(InputError, match="poses 0 to 4 without 3 for 4 frames, numbered 0 to 4 without 1"):
        open_frames(path)
    for part in ("color", "depth"):
        (path / part / "00003.png").rename(path / part / "00001.png")
    assert len(open_frames(path, up="z")) == 4  # the same gap on both sides


@pytest.mark.parametrize("word", ["inf", "nan", "1.5"])
def test_a_trajectory_whose_numbers_are_none_is_an_error(tmp_path: Path, word: str) -> None:
    path = write_redwood(tmp_path / "s", make_frames())
    log = path / "trajectory.log"
    log.write_text(log.read_text().replace("1 1 2", f"1 1 {word}").replace("2 2 3", f"{word} 2 3"))
    with pytest.raises(InputError, match=r"trajectory\.log: entry 1 does not begin with three integers"):
        open_frames(path)


def test_a_cut_trajectory_is_an_error(tmp_path: Path) -> None:
    path = write_redwood(tmp_path / "s", make_frames())
    log = path / "trajectory.log"
    log.write_text("\n".join(log.read_text().splitlines()[:-2]))
    with pytest.raises(InputError, match="trajectory.log: holds 87 numbers"):
        open_frames(path)


def test_two_files_of_one_number_are_refused(tmp_path: Path) -> None:
    path = write_scannet_frames(tmp_path / "s", make_frames())
    (path / "depth/02.png").write_bytes((path / "depth/2.png").read_bytes())
    with pytest.raises(InputError, match=r"number 2 is also that of 02.png"):
        open_frames(path)


def test_faults_outside_the_selection_do_not_matter(tmp_path: Path) -> None:
    path = write_seven_scenes(tmp_path / "s", make_frames())
    (path / "frame-000002.pose.txt").unlink()
    source = open_frames(path, up="z", first=3)
    assert len(source) == 2 and not source.manifest.dropped


def test_corrupt_payloads_in_a_sens_file_are_named(tmp_path: Path) -> None:
    for color in ("png", "jpeg"):
        path = write_scannet_sens(tmp_path / color, make_frames(), color=color)
        whole = path.read_bytes()
        clean = open_frames(path)
        for part, place in (("color", clean._entries[2].color), ("depth", clean._entries[2].depth)):
            path.write_bytes(whole[: place[0]] + bytes(place[1]) + whole[sum(place) :])
            with pytest.raises(InputError, match=r"scene0000_00.sens: frame 000002.*decoded"):
                open_frames(path)[2]
            source = open_frames(path, check_images=True, on_fault="drop")
            assert source.manifest.counts() == {f"unreadable_{part}": 1} and len(source) == 4


def test_a_sens_file_whose_images_disagree_with_its_header_is_named(tmp_path: Path) -> None:
    frames = make_frames()
    camera = frames[0].camera
    small = camera.scaled(20, 16)
    path = tmp_path / "a.sens"
    with SensWriter(path, camera, camera, color_compression="png") as writer:
        for k, frame in enumerate(frames):
            writer.color_camera = writer.depth_camera = small if k == 2 else camera
            rows = slice(None, None, 2 if k == 2 else 1)
            writer.write(frame.color[rows, rows], frame.depth[rows, rows], frame.T_world_cam)
    with pytest.raises(InputError, match="frame 000002: depth does not unpack"):
        open_frames(path)[2]
    with pytest.raises(InputError, match=r"frame 000002: colour is 20 x 16, the header says 40 x 32"):
        source = open_frames(path)
        source._read_color(source._entries[2])
