"""Bad input, through the real tools: exit code 2, one line that names the file and what to do, and nothing left behind.

What each reader says of each fault is tested beside the readers; here it is what the user sees of it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import gin
import numpy as np
import pytest
from PIL import Image
from synthetic_room import room_frame, write_room

from sparse3d.data.readers import open_frames
from sparse3d.data.sens_writer import write_sens
from sparse3d.tools import evaluate, export_sens, inspect_pairs, train

ROOT = Path(__file__).resolve().parents[1]
FRAMES = 4
SMALL = (
    "train.steps = 1", "train.batch_size = 2", "train.warmup = 0", "train.workers = 0", "train.tensorboard = False",
    "train.device = 'cpu'", "VOXEL_SIZE = 0.2", "FrameFolder.size = (64, 48)", "MatchingPairs.max_pairs = 2",
    "PretrainTask.kt_weight = 0.0",
)  # fmt: skip


@pytest.fixture(autouse=True)
def no_config_stays() -> Iterator[None]:
    yield
    gin.clear_config()


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound recording."""
    return write_room(tmp_path_factory.mktemp("good") / "room", [room_frame(k, FRAMES) for k in range(FRAMES)])


@pytest.fixture(scope="module")
def good_sens(tmp_path_factory: pytest.TempPathFactory, good: Path) -> Path:
    path = tmp_path_factory.mktemp("good_sens") / "room.sens"
    write_sens(open_frames(good), path)
    return path


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory: pytest.TempPathFactory, good: Path) -> Path:
    """A run of one step."""
    out = tmp_path_factory.mktemp("runs") / "run"
    assert called(train.main, train_arguments(good, out)) == 0
    gin.clear_config()
    return out


@pytest.fixture(scope="module")
def checkpoint(run_folder: Path) -> Path:
    return run_folder / "checkpoints" / "last.pt"


def train_arguments(data: Path, out: Path, *more: str) -> list[str]:
    bindings = [f"DATA_ROOT = {str(data)!r}", *SMALL, *more]
    return ["base/pretrain.gin", "--out", str(out), *[part for text in bindings for part in ("--set", text)]]


def called(main: Callable[[], None], arguments: Sequence[str]) -> int:
    """The tool's exit code."""
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", ["tool", *arguments])
        main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


def the_line(main: Callable[[], None], arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    """All that the tool says, when it ends with code 2 and one line."""
    capsys.readouterr()
    code = called(main, arguments)
    out, error = capsys.readouterr()
    assert (code, out) == (2, ""), error
    assert error.startswith("error: ") and error.count("\n") == 1 and error.endswith("\n"), error
    return error


# Faults of recordings: each makes the fault and gives what the line must name. --------------------------------------


def empty_folder(data: Path) -> list[str]:
    for path in data.iterdir():
        path.unlink()
    return ["no RGB-D recording found there; looked for", ".sens", "trajectory.log"]


def no_folder(data: Path) -> list[str]:
    shutil.rmtree(data)
    return ["there is no such file or folder"]


def lost_pose(data: Path) -> list[str]:
    np.savetxt(data / "frame-000002.pose.txt", np.full((4, 4), -np.inf))
    return ["frame-000002.pose.txt", "not finite", 'leave them out with on_fault="drop"']


def other_size(data: Path) -> list[str]:
    path = data / "frame-000001.depth.png"
    with Image.open(path) as image:
        image.crop((0, 0, 60, 48)).save(path)
    return ["frame-000001.depth.png", "is 60 x 48, the others are 64 x 48", 'on_fault="drop"']


def missing_pose(data: Path) -> list[str]:
    (data / "frame-000003.pose.txt").unlink()
    return ["frame-000003", "its pose is missing", 'on_fault="drop"']


def no_camera(data: Path) -> list[str]:
    for path in data.glob("camera-intrinsics.txt"):
        path.write_text("585 0 320")
    return ["camera-intrinsics.txt"]


FAULTS = [empty_folder, no_folder, lost_pose, other_size, missing_pose, no_camera]
CUTS = {
    "in the header": (lambda size: 200, "within the header"),
    "in the index": (lambda size: size // 2, "within frame "),
    "in the last frame": (lambda size: size - 100, "within its last frame"),
}


@pytest.fixture(params=[*FAULTS, *CUTS], ids=lambda fault: fault if isinstance(fault, str) else fault.__name__)
def faulty(request: pytest.FixtureRequest, tmp_path: Path, good: Path, good_sens: Path) -> tuple[Path, list[str]]:
    """A faulty recording, and what the line must say of it."""
    if request.param in CUTS:
        place, said = CUTS[request.param]
        whole = good_sens.read_bytes()
        path = tmp_path / "cut.sens"
        path.write_bytes(whole[: place(len(whole))])
        return path, [f"the file ends at byte {place(len(whole))}, {said}", "copy or download it again"]
    data = shutil.copytree(good, tmp_path / "room")
    return data, request.param(data)


def test_train_evaluate_and_export_name_the_fault_and_leave_nothing(
    faulty: tuple[Path, list[str]], checkpoint: Path, good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, said = faulty
    before = sorted(tmp_path.rglob("*"))
    out, sens = tmp_path / "out", tmp_path / "out.sens"
    val = f"val/FrameFolder.root = {str(data)!r}"
    lines = [
        the_line(train.main, train_arguments(data, out), capsys),
        the_line(train.main, train_arguments(good, out, val), capsys),
        the_line(evaluate.main, [str(checkpoint), "--data", str(data), "--split", "all"], capsys),
        the_line(export_sens.main, [str(data), str(sens)], capsys),
    ]
    for line in lines:
        assert [part for part in [str(data), *said] if part not in line] == [], line
    assert sorted(tmp_path.rglob("*")) == before


def test_inspection_names_the_fault_and_writes_no_page(
    faulty: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data, said = faulty
    out = tmp_path / "out"
    line = the_line(inspect_pairs.main, [str(data), "--out", str(out), "--on-fault", "error"], capsys)
    assert [part for part in [str(data), *said] if part not in line] == [], line
    assert not out.exists() or list(out.iterdir()) == []


def test_an_image_that_breaks_in_mid_training_is_one_line_from_a_worker_too(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Image payloads are not decoded before training, so the run's folder is there by then; but no checkpoint."""
    data = shutil.copytree(good, tmp_path / "room")
    for path in data.glob("*.color.png"):
        path.write_bytes(path.read_bytes()[:-200])
    for workers in (0, 1):
        out = tmp_path / f"out{workers}"
        assert called(train.main, train_arguments(data, out, f"train.workers = {workers}")) == 2
        error = capsys.readouterr().err
        assert error.count("error: ") == 1 and "Traceback" not in error
        line = error.splitlines()[-1]
        assert line.startswith("error: ") and str(data) in line and ".color.png" in line
        assert [path for path in out.rglob("*") if path.suffix in (".pt", ".partial")] == []


# Configs and checkpoints. -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("PretrainTask.kt_wieght = 1.0", ["my.gin, line 2", "'kt_wieght'", "nearest is PretrainTask.kt_weight"]),
        ("SRUnet.spec = 'SRUNet14-CPU'", ["my.gin, line 2", "SRUnet is not", "nearest is SRUNet"]),
        ("SRUNet.spec = 'Res16UNet35'", ["SRUNet", "'Res16UNet35'"]),
        ("PretrainTask.consistency = @Match", ["@Match is not a configurable", "nearest is @Match"]),
        (
            "PretrainTask.consistency = 'matching'",
            ["consistency = 'matching': must be of type constructor of ConsistencyForm, such as @InfoNce"],
        ),
        ("PretrainTask.teacher = 3", ["PretrainTask.teacher = 3: must be of type constructor of Teacher, such as @"]),
        ("run.task = @RandomYaw()", ["run.task is a RandomYaw, which is no task"]),
        ("PretrainTask.teacher = @Teacher_", ["my.gin, line 2", "@Teacher_", "nearest is @"]),
        ("ViewSets.views = 'two'", ["my.gin, line 2: ViewSets.views = 'two': must be of type int"]),
        ("ViewSets.overlap = 0.5", ["ViewSets.overlap = 0.5: must be of type tuple[float, float]"]),
        ("FrameFolder.size = 320", ["FrameFolder.size = 320: must be of type tuple[int, int]"]),
        ("FrameFolder.size = (320, 0)", ["size"]),
        ("FrameFolder.format = 'scanet_sens'", ["'scanet_sens'", "scannet_sens"]),
        ("train.steps = 1.5", ["train.steps = 1.5"]),
        ("train.device = 'cuda:77'", ["train.device", "cuda:77"]),
        ("sparse.backend = 'mink'", ["sparse.backend", "'mink'", "minkowski"]),
        ("VOXEL_SIZE = 0", ["voxel_size = 0", "positive"]),
        ("EfficientNetLite0Teacher.taps = (16, 7)", ["taps", "7"]),
    ],
)
def test_a_wrong_name_or_value_in_a_gin_file_is_one_line(
    text: str, said: list[str], good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "my.gin"
    path.write_text(f'include "base/pretrain.gin"\n{text}\n')
    out = tmp_path / "out"
    name = text.split(" = ")[0]
    small = [binding for binding in SMALL if not binding.startswith((name, "PretrainTask.kt_weight"))]
    bindings = [part for binding in (f"DATA_ROOT = {str(good)!r}", *small) for part in ("--set", binding)]
    line = the_line(train.main, [str(path), "--out", str(out), *bindings], capsys)
    assert [part for part in said if part not in line] == [], line
    assert not out.exists()


def test_a_checkpoint_of_another_network_is_refused_and_stays(
    run_folder: Path, good: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = run_folder / "checkpoints" / "last.pt"
    before = {path: path.read_bytes() for path in run_folder.rglob("*") if path.is_file()}
    other = "SRUNet.spec = 'Res16UNet14'"
    for line in (
        the_line(train.main, [*train_arguments(good, run_folder, other), "--resume"], capsys),
        the_line(evaluate.main, [str(checkpoint), "--set", other], capsys),
    ):
        assert (
            f"checkpoint {checkpoint} is of another network: " in line and "use the config it was trained with" in line
        )
    assert {path: path.read_bytes() for path in run_folder.rglob("*") if path.is_file()} == before


def test_what_is_no_checkpoint_is_refused(
    checkpoint: Path, good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = checkpoint.read_bytes()
    for name, content in {
        "cut.pt": whole[:-1000],
        "empty.pt": b"",
        "text.pt": b"weights",
        "config.gin": b"a = 1",
    }.items():
        (tmp_path / name).write_bytes(content)
        line = the_line(evaluate.main, [str(tmp_path / name)], capsys)
        assert str(tmp_path / name) in line and "truncated" in line
    for absent in (tmp_path / "nowhere.pt", tmp_path):
        assert f"{absent} does not exist" in the_line(evaluate.main, [str(absent)], capsys)
    run = tmp_path / "run"
    (run / "checkpoints").mkdir(parents=True)
    (run / "checkpoints" / "last.pt").write_bytes(whole[:-1000])
    line = the_line(train.main, [*train_arguments(good, run), "--resume"], capsys)
    assert str(run / "checkpoints" / "last.pt") in line
    assert [path.name for path in run.rglob("*") if path.is_file()] == ["last.pt"]


def test_evaluation_options_out_of_range_are_one_line(checkpoint: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options, said in (
        (["--device", "cuda:77"], "cuda:77"),
        (["--device", "gpu"], "gpu"),
        (["--pairs", "0"], "pairs"),
        (["--first", "100"], "first=100"),
        (["--format", "scanet"], "scanet"),
        (["--set", "MatchingPairs.max_piars = 3"], "max_piars"),
    ):
        assert said in the_line(evaluate.main, [str(checkpoint), "--split", "all", *options], capsys)


def test_a_folder_that_cannot_be_written_is_one_line(
    good: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        assert str(out) in the_line(train.main, train_arguments(good, out), capsys)
        assert str(out) in the_line(inspect_pairs.main, [str(good), "--out", str(out)], capsys)
    below = tmp_path / "file" / "scene.sens"
    assert str(below) in the_line(export_sens.main, [str(good), str(below)], capsys)


# As separate processes, as users run them. --------------------------------------------------------------------------


def test_real_processes_print_nothing_but_the_line(tmp_path: Path) -> None:
    """Nothing that is imported, and no library's own logger, adds a line."""
    (tmp_path / "empty").mkdir()
    out = tmp_path / "out"
    commands = {
        "train": train_arguments(tmp_path / "empty", out),
        "export_sens": [str(tmp_path / "empty"), str(out / "scene.sens")],
    }
    running = {
        name: subprocess.Popen(
            [sys.executable, os.fspath(ROOT / "tools" / f"{name}.py"), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name, arguments in commands.items()
    }
    for name, process in running.items():
        stdout, stderr = process.communicate(timeout=120)
        assert (process.returncode, stdout) == (2, ""), name
        assert stderr.startswith("error: ") and stderr.count("\n") == 1, stderr
    assert not out.exists() or list(out.iterdir()) == []
