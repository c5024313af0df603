"""The tool as a whole: plan, exit codes, resuming, shares of machines and processes, broken scenes."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from fake_scannet import SEGMENTS, write_scan, write_table

from sparse3d.data.prepared import prepared_scenes
from sparse3d.errors import InputError
from sparse3d.preparation import manifest as manifest_module
from sparse3d.preparation import runner
from sparse3d.preparation import scene as scene_module
from sparse3d.preparation.manifest import write_manifest
from sparse3d.preparation.options import PrepareOptions
from sparse3d.preparation.runner import Job, parse_shard, prepare
from sparse3d.preparation.scene import remove_leftovers
from sparse3d.tools import prepare as tool

SCENES = ("scene0000_00", "scene0001_00", "scene0002_00")
OPTIONS = PrepareOptions(size=(64, 48), frame_skip=2)
SMALL = ("--size", "64x48", "--frame-skip", "2")


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Three whole scenes below scans/, with the table and lists beside it."""
    folder = tmp_path / "source"
    write_table(folder)
    for name in SCENES:
        write_scan(folder / "scans" / name)
    (folder / "splits").mkdir()
    (folder / "splits" / "train.txt").write_text("scene0000_00\nscene0001_00\n")
    (folder / "splits" / "val.txt").write_text("scene0002_00\nscene0099_00\n")
    return folder


@pytest.fixture(autouse=True)
def no_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    monkeypatch.setattr(sys, "argv", ["prepare", "scannet", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        tool.main()
    return int(ended.value.code or 0)


def break_labels(source: Path, scene: str) -> None:
    write_scan(source / "scans" / scene, segments=SEGMENTS[:-1])


def states(source: Path, out: Path, **options: object) -> dict[str, str]:
    return {o.name: o.state for o in prepare(Job(source, out, OPTIONS), **options)}  # type: ignore[arg-type]


def manifest(out: Path) -> dict:
    return json.loads((out / "manifest.json").read_text())


def test_the_plan_writes_nothing_and_names_what_is_missing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (source / "scans" / "scene0001_00" / "scene0001_00.sens").unlink()
    out = tmp_path / "out"
    assert run(monkeypatch, source, out, "--plan", *SMALL, "--workers", 2) == 0
    said = capsys.readouterr().out
    assert not out.exists() and "3 scenes found: 3 to do, 0 finished, 0 broken" in said
    assert "without frames: scene0001_00" in said and "split train: 2 of 2 found\n" in said
    assert "split val: 1 of 2 found; missing: scene0099_00" in said and "(estimated from scene0000_00)" in said
    assert run(monkeypatch, source, out, "--plan", *SMALL, "--json") == 0
    plan = json.loads(capsys.readouterr().out)
    assert plan["frames"] == 6 and plan["seconds"] > 0 and not out.exists()
    assert plan["splits"]["val"] == {"listed": 2, "found": 1, "missing": ["scene0099_00"]}


def test_the_bytes_of_the_plan_are_near_those_written(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run(monkeypatch, source, tmp_path / "out", "--plan", *SMALL, "--json")
    planned = json.loads(capsys.readouterr().out)["bytes"]
    states(source, tmp_path / "out")
    assert manifest(tmp_path / "out")["totals"]["bytes"] == pytest.approx(planned, rel=0.05)


def test_a_broken_scene_is_named_left_out_and_exit_code_3(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    break_labels(source, SCENES[1])
    sens = source / "scans" / SCENES[2] / f"{SCENES[2]}.sens"
    whole = sens.read_bytes()
    sens.write_bytes(whole[: len(whole) // 2])
    (source / "scans" / "scene0003_00").mkdir()
    out = tmp_path / "out"
    assert run(monkeypatch, source, out, *SMALL) == 3
    said = capsys.readouterr().out
    assert f"{SCENES[1]}: left out: " in said and "segIndices has 27 numbers and the mesh 28" in said
    assert f"{SCENES[2]}: left out: " in said and "the file ends at byte" in said and "neither frames" in said
    assert "1 prepared, 0 skipped, 3 broken" in said
    assert sorted(p.name for p in (out / "scenes").iterdir()) == [SCENES[0]], "nothing half done is left"
    assert set(manifest(out)["broken"]) == {SCENES[1], SCENES[2], "scene0003_00"}
    with pytest.raises(InputError, match=r"1 of 2 .* first: scene0001_00 \(left out as broken\)"):
        prepared_scenes(out, "train")
    sens.write_bytes(whole)
    write_scan(source / "scans" / SCENES[1])
    (source / "scans" / "scene0003_00").rmdir()
    (out / "broken" / "scene0003_00.json").unlink()
    assert run(monkeypatch, source, out, *SMALL) == 0
    assert "2 prepared, 1 skipped, 0 broken" in capsys.readouterr().out
    assert manifest(out)["broken"] == {} and manifest(out)["totals"]["scenes"] == 3


def test_the_plan_names_scenes_with_a_damaged_header(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (source / "scans" / SCENES[0] / f"{SCENES[0]}.sens").write_bytes(b"\x09\x00\x00\x00nonsense")
    assert run(monkeypatch, source, tmp_path / "out", "--plan", *SMALL) == 3
    said = capsys.readouterr().out
    assert "2 to do, 0 finished, 1 broken" in said and f"broken {SCENES[0]}: " in said


def test_finished_scenes_are_skipped_until_source_option_or_result_changes(source: Path, tmp_path: Path) -> None:
    out, every = tmp_path / "out", dict.fromkeys(SCENES, "skipped")
    assert states(source, out) == dict.fromkeys(SCENES, "prepared")
    assert states(source, out) == every
    text = source / "scans" / SCENES[0] / f"{SCENES[0]}.txt"
    os.utime(text, ns=(1, 1))
    assert states(source, out) == every, "a copy has another time and the same content"
    text.write_text(text.read_text().replace("Bedroom", "Kitchen"))
    assert states(source, out) == every | {SCENES[0]: "prepared"}
    (out / "scenes" / SCENES[1] / "mesh.npz").write_bytes(b"cut off")
    (out / "scenes" / SCENES[2] / "overlap.npz").unlink()
    assert states(source, out) == every | {SCENES[1]: "prepared", SCENES[2]: "prepared"}
    other = prepare(Job(source, out, PrepareOptions(size=(32, 24), frame_skip=2)))
    assert [o.state for o in other] == ["prepared"] * 3
    table = next(source.glob("*.tsv"))
    table.write_text(table.read_text().replace("\tfloor\t2\t", "\tfloor\t1\t"))
    assert set(states(source, out).values()) == {"prepared"}


@pytest.mark.skipif(sys.platform != "linux", reason="needs names of any bytes")
def test_a_source_whose_name_is_no_text_is_prepared(source: Path, tmp_path: Path) -> None:
    odd = source.rename(tmp_path / os.fsdecode(b"caf\xe9"))
    assert set(states(odd, tmp_path / "out").values()) == {"prepared"}
    assert set(states(odd, tmp_path / "out").values()) == {"skipped"}


def test_a_source_that_broke_keeps_the_old_result_out_of_sight(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    states(source, out)
    break_labels(source, SCENES[1])
    assert states(source, out)[SCENES[1]] == "broken"
    assert (out / "scenes" / SCENES[1] / "scene.json").is_file()
    assert [s.name for s in prepared_scenes(out)] == [SCENES[0], SCENES[2]]
    assert SCENES[1] not in manifest(out)["scenes"]


def test_what_a_killed_run_left_is_cleared(source: Path, tmp_path: Path) -> None:
    leftover = tmp_path / "out" / "scenes" / f".{SCENES[0]}.12345.partial"
    leftover.mkdir(parents=True)
    (leftover / "mesh.npz").write_bytes(b"half")
    states(source, tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out" / "scenes").iterdir()) == list(SCENES)


def test_leftovers_are_a_scenes_own_and_not_those_of_one_with_a_longer_name(tmp_path: Path) -> None:
    folder = tmp_path / "scenes"
    names = [".office.12.partial", ".office.12.old", ".office.v2.12.partial", ".office.lock"]
    for name in names:
        (folder / name).mkdir(parents=True)
    remove_leftovers(tmp_path, "office")
    assert sorted(p.name for p in folder.iterdir()) == [".office.lock", ".office.v2.12.partial"]


def test_two_runs_at_once_share_the_scenes(source: Path, tmp_path: Path) -> None:
    """Each scene is made by one of them, whole; the other one waits for it and finds it finished."""
    out = tmp_path / "out"
    command = [sys.executable, "-m", "sparse3d.tools.prepare", "scannet", str(source), str(out), *SMALL, "--json"]
    runs = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    found = []
    for process in runs:
        printed, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
        found.append({scene["name"]: scene["state"] for scene in json.loads(printed)["scenes"]})
    for name in SCENES:
        assert sorted(states[name] for states in found) == ["prepared", "skipped"]
    assert sorted(p.name for p in (out / "scenes").iterdir()) == list(SCENES)
    assert set(states(source, out).values()) == {"skipped"}


def test_the_manifest_stands_a_record_that_is_being_replaced(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out"
    states(source, out)
    gone = out / "scenes" / SCENES[1] / "scene.json"
    real = manifest_module._records
    monkeypatch.setattr(manifest_module, "_records", lambda folder: [*real(folder), gone.with_name("moved.json")])
    assert list(write_manifest(out)["scenes"]) == list(SCENES)


def test_empty_folders_of_frames_are_named_by_plan_and_preparation(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = source / "scans" / "scene0003_00"
    for part in ("color", "depth", "pose"):
        (folder / part).mkdir(parents=True)
    run(monkeypatch, source, tmp_path / "out", *SMALL, "--plan")
    assert "scene0003_00: its folders color, depth and pose are empty" in capsys.readouterr().out
    assert states(source, tmp_path / "out")["scene0003_00"] == "broken"


def test_shares_of_two_machines_make_the_whole(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    assert run(monkeypatch, source, out, *SMALL, "--shard", "1/2") == 0
    assert manifest(out)["totals"]["scenes"] == 1
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert run(monkeypatch, source, out, *SMALL) == 0
    assert list(manifest(out)["scenes"]) == list(SCENES)
    assert manifest(out)["splits"] == {
        "train": {"listed": 2, "prepared": 2},
        "val": {"listed": 2, "prepared": 1},
    }


def test_two_workers_write_what_one_does(source: Path, tmp_path: Path) -> None:
    states(source, tmp_path / "one")
    assert states(source, tmp_path / "two", workers=2) == dict.fromkeys(SCENES, "prepared")
    for path in sorted((tmp_path / "one").rglob("*")):
        if path.is_file() and path.name not in ("scene.json", "manifest.json"):
            assert path.read_bytes() == (tmp_path / "two" / path.relative_to(tmp_path / "one")).read_bytes()


def test_a_defect_of_ours_costs_one_scene_and_leaves_its_traceback(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = runner.prepare_scene

    def fails(files, *rest):  # type: ignore[no-untyped-def]
        if files.name == SCENES[1]:
            raise ZeroDivisionError("of ours")
        return real(files, *rest)

    monkeypatch.setattr(runner, "prepare_scene", fails)
    assert states(source, tmp_path / "out") == dict.fromkeys(SCENES, "prepared") | {SCENES[1]: "broken"}
    kept = json.loads((tmp_path / "out" / "broken" / f"{SCENES[1]}.json").read_text())
    assert "defect: ZeroDivisionError: of ours" in kept["reason"] and "Traceback" in kept["trace"]


def test_the_manifest_is_made_again_from_the_scenes(source: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    states(source, out)
    before = manifest(out)
    (out / "manifest.json").unlink()
    assert write_manifest(out) == before == manifest(out)
    totals = before["totals"]
    assert totals["frames"] == 9 and totals["vertices"] == 84 and totals["instances"] == 12
    assert totals["scenes_with_class"]["chair"] == 3 and totals["instances_of_class"]["wall"] == 0
    labels = json.loads((out / "labels.json").read_text())
    assert labels["raw_categories"]["refrigerator"] == {"id": 27, "nyu40": 24}
    assert len(labels["classes"]["scannet200"]["ids"]) == 200


def test_labels_without_a_table_leave_the_scene_out(source: Path, tmp_path: Path) -> None:
    next(source.glob("*.tsv")).unlink()
    outcomes = prepare(Job(source, tmp_path / "out", OPTIONS))
    assert {o.state for o in outcomes} == {"broken"} and "labels.combined.tsv" in outcomes[0].reason


def test_a_missing_table_is_found_before_a_frame_is_written(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    next(source.glob("*.tsv")).unlink()

    def no_work(*_: object) -> None:
        raise AssertionError("frames were written")

    monkeypatch.setattr(scene_module, "write_frames", no_work)
    outcomes = prepare(Job(source, tmp_path / "out", OPTIONS))
    assert all("labels need a table" in o.reason for o in outcomes)
    assert run(monkeypatch, source, tmp_path / "out", "--plan", *SMALL) == 3
    assert "0 to do, 0 finished, 3 broken" in capsys.readouterr().out


@pytest.mark.parametrize("plan", [(), ("--plan",)])
def test_a_full_disk_ends_the_run_and_is_no_fault_of_a_scene(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    plan: tuple[str, ...],
) -> None:  # fmt: skip
    out = tmp_path / "out"

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "overlap.npz")

    with monkeypatch.context() as patch:
        patch.setattr(scene_module, "write_frames", full)
        assert run(patch, source, out, *SMALL, *plan) == 2
    last = capsys.readouterr().err.strip().splitlines()[-1]
    assert last.startswith("error: overlap.npz: ") and "No space left on device" in last and "free space" in last
    assert list(out.glob("broken/*")) == []
    assert set(states(source, out).values()) == {"prepared"}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--size", "64"), "--size 64 is no size"),
        (("--frame-skip", "0"), "--frame-skip 0: must be at least 1"),
        (("--workers", "0"), "--workers 0: must be at least 1"),
        (("--shard", "2/2"), "--shard 2/2: write i/n"),
        (("--shard", "1"), "--shard 1: write i/n"),
        (("--splits", "nowhere"), "nowhere: holds no split list"),
    ],
)
def test_an_option_that_is_none_is_one_line_and_exit_code_2(
    source: Path,
    tmp_path: Path,
    arguments: tuple[str, ...],
    said: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run(monkeypatch, source, tmp_path / "out", *arguments) == 2
    error = capsys.readouterr().err
    assert said in error and error.count("\n") == 1
    assert not (tmp_path / "out" / "scenes").exists()


def test_a_shard_is_the_option_else_torchruns_else_all(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parse_shard(None) == (0, 1)
    monkeypatch.setenv("RANK", "10")
    monkeypatch.setenv("WORLD_SIZE", "12")
    assert parse_shard(None) == (10, 12) and parse_shard("0/3") == (0, 3)


def test_interrupting_the_tool_leaves_finished_scenes_and_no_worker(source: Path, tmp_path: Path) -> None:
    for k in range(3, 150):
        write_scan(source / "scans" / f"scene{k:04d}_00", parts=("frames",))
    out = tmp_path / "out"
    command = [sys.executable, "-m", "sparse3d.tools.prepare", "scannet", str(source), str(out), "--frame-skip", "1"]
    process = subprocess.Popen([*command, "--workers", "2"], start_new_session=True, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not list((out / "scenes").glob("scene*")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130 and errors.splitlines()[-1] == "interrupted"
    left = [path.name for path in (out / "scenes").iterdir()]
    assert 0 < len(left) < 150 and all((out / "scenes" / name / "scene.json").is_file() for name in left)
    with pytest.raises(ProcessLookupError):  # the whole group has ended
        for _ in range(100):
            os.killpg(process.pid, 0)
            time.sleep(0.1)


def test_a_killed_worker_is_told_in_one_line_and_finished_scenes_stay(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class KilledPool(runner.ProcessPoolExecutor):
        def submit(self, *arguments, **options):  # type: ignore[no-untyped-def]
            return super().submit(os._exit, 9)

    monkeypatch.setattr(runner, "ProcessPoolExecutor", KilledPool)
    with pytest.raises(InputError, match="a worker was killed .* fewer --workers"):
        states(source, tmp_path / "out", workers=2)


@pytest.mark.parametrize("below", ["", "further"])
@pytest.mark.parametrize("options", [(), ("--plan",)])
def test_a_destination_that_is_a_file_is_one_line_and_exit_code_2(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    below: str, options: tuple[str, ...],
) -> None:  # fmt: skip
    file = tmp_path / "file"
    file.write_text("mine")
    assert run(monkeypatch, source, file / below, *options, *SMALL) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said.startswith("error: ") and "file" in said and "name another folder" in said
    assert file.read_text() == "mine"


@pytest.mark.parametrize("size", ["100000x100000", "²x³", "0x48"])
def test_a_size_that_is_none_costs_no_scene(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], size: str
) -> None:
    assert run(monkeypatch, source, tmp_path / "out", "--size", size) == 2
    assert capsys.readouterr().err.startswith(f"error: --size {size}") and not (tmp_path / "out").exists()
