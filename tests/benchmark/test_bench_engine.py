"""The benchmark of the engine, end to end with tiny sizes: what its figures must satisfy whatever the machine."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from sparse3d.benchmark import engine, variants
from sparse3d.benchmark.networks import our_network
from sparse3d.benchmark.parts import PARTS
from sparse3d.benchmark.runners import OurRunner, make_runner
from sparse3d.errors import InputError
from sparse3d.sparse import configure, minkowski_import, native
from sparse3d.tools import bench


def run_bench(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of the tool."""
    capsys.readouterr()
    with pytest.MonkeyPatch.context() as patch, pytest.raises(SystemExit) as ended:
        patch.setattr(sys, "argv", ["bench.py", *arguments])
        bench.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code, *capsys.readouterr()


def measured(arguments: Sequence[str], capsys: pytest.CaptureFixture[str]) -> tuple[str, dict[str, Any]]:
    """What is printed for people and for machines."""
    code, out, error = run_bench(["engine", *arguments, "--json"], capsys)
    assert code == 0, error
    *lines, last = out.splitlines()
    return "\n".join(lines), json.loads(last)


def by_key(settings: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {row["key"]: row for row in settings["variants"]}


def test_times_ratios_and_the_environments_of_the_processes(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")  # of the user's shell: no worker inherits it
    there = minkowski_import.available()
    beside = "minkowskiengine,mm" if there else "mm"
    small = ["--backends", "torch", "--network", "SRUNet14-CPU", "--voxels", "300", "--rounds", "2", "--threads", "1"]
    text, found = measured([*small, "--beside", beside, "--only-times"], capsys)
    assert found["machine"]["cores"] == variants.cores()
    (setting,) = found["settings"]
    rows = by_key(setting)
    assert list(rows) == ["torch", *beside.split(",")]
    assert abs(setting["voxels"] - 300) <= 3 and setting["gflop_forward"] > 0
    for row in rows.values():
        steps = [a + b for a, b in zip(row["forward"]["all"], row["backward"]["all"], strict=True)]
        assert row["step"]["all"] == pytest.approx(steps) and min(steps) > 0
        assert row["step"]["low"] <= row["step"]["median"] <= row["step"]["high"]
        assert row["inference"]["median"] > 0
        assert row["of_products"] == pytest.approx(rows["mm"]["step"]["median"] / row["step"]["median"])
        assert row["title"] in text
        assert row["process"]["threads"] == 1
    assert rows["torch"]["process"]["OMP_WAIT_POLICY"] == "PASSIVE"
    assert rows["torch"]["process"]["GOMP_SPINCOUNT"] == "10000"
    if there:
        assert rows["minkowskiengine"]["process"]["OMP_WAIT_POLICY"] is None
        assert rows["minkowskiengine"]["process"]["GOMP_SPINCOUNT"] is None
        assert rows["minkowskiengine"]["process"]["our_library_loaded"] in (False, None)
        assert rows["minkowskiengine"]["x_as_installed"] == 1


def test_parts_sum_to_one_and_training_takes_more_memory_than_inference(capsys: pytest.CaptureFixture[str]) -> None:
    small = ["--network", "SRUNet14-CPU", "--voxels", "300", "--rounds", "1", "--threads", "1"]
    text, found = measured(["--backends", "torch", "--beside", "", *small], capsys)
    (row,) = found["settings"][0]["variants"]
    assert set(row["parts"]) == set(PARTS)
    assert sum(row["parts"].values()) == pytest.approx(1)
    assert all(share >= 0 for share in row["parts"].values())
    assert row["parts"]["gradients"] > 0 and row["parts"]["convolutions"] > 0
    if row["peak_mb"]["train"] is not None:
        weights = sum(p.numel() for p in our_network("SRUNet14-CPU").parameters()) * 4 / 1e6
        assert row["peak_mb"]["train"] > row["peak_mb"]["inference"] > weights
    assert "kernel maps" in text


def test_a_sweep_gives_a_table_and_a_picture(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def quickly(setting: engine.Setting, rows: Sequence[variants.Variant], *_: Any, **__: Any) -> dict[str, Any]:
        record = {"voxels": len(setting.coords), "network": setting.network, "threads": setting.threads}
        step = {"median": len(setting.coords) * 1e-5}
        row = {"key": "torch", "title": "torch", "step": step}
        return {**record, "rounds": 1, "gflop_forward": 1.0, "variants": [row]}

    monkeypatch.setattr(engine, "measure_setting", quickly)
    path = tmp_path / "growth.png"
    options = ["--sweep", "voxels", "--values", "400,100,200", "--backends", "torch", "--beside", ""]
    text, found = measured([*options, "--picture", str(path)], capsys)
    assert [round(s["voxels"], -2) for s in found["settings"]] == [100, 200, 400]
    assert "us/voxel" in text and text.count(" 10.00") == 3
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [p.name for p in tmp_path.iterdir()] == ["growth.png"]


def test_channels_and_threads_are_swept_on_one_cloud(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[engine.Setting] = []

    def remember(setting: engine.Setting, *_: Any, **__: Any) -> dict[str, Any]:
        seen.append(setting)
        row = {"key": "torch", "title": "torch", "step": {"median": 1.0}}
        record = {"voxels": len(setting.coords), "network": setting.network, "threads": setting.threads}
        return {**record, "rounds": 1, "gflop_forward": 1.0, "variants": [row]}

    monkeypatch.setattr(engine, "measure_setting", remember)
    ours = ["--backends", "torch", "--beside", "", "--voxels", "300"]
    text, _ = measured(["--sweep", "channels", "--values", "32,16", *ours], capsys)
    assert [s.network for s in seen] == ["layer:16", "layer:32"] and "3.00" in text
    seen.clear()
    measured(["--sweep", "threads", *ours], capsys)
    assert [s.threads for s in seen] == list(range(1, variants.cores() + 1))
    assert len({s.coords.tobytes() for s in seen}) == 1


BAD = [
    (["--backends", "torh"], "the nearest is torch"),
    (["--backends", "torch,torch"], "torch is given twice"),
    (["--beside", "mkl"], "is unknown"),
    (["--voxels", "many"], "'many' is no number"),
    (["--voxels", "0"], "'0' is no number of at least 1"),
    (["--network", "ResNet"], "layer:CHANNELS or one of"),
    (["--rounds", "0"], "at least 1"),
    (["--threads", "4096"], "between 1 and"),
    (["--cloud", "none.ply"], "there is no such file"),
    (["--cloud", "none.ply", "--voxel-size", "0"], "is no size"),
    (["--sweep", "colours"], "voxels, channels, threads"),
    (["--sweep", "threads", "--values", "4096"], "between 1 and"),
    (["--sweep", "voxels", "--picture", "growth.pdf"], "end its name in .png"),
    (["--sweep", "voxels", "--picture", "nowhere/growth.png"], "there is no folder nowhere"),
    (["--picture", "growth.png"], "go with --sweep"),
    (["--voxel-size", "0.1"], "has no effect"),
    (["--cloud", "none.ply", "--voxels", "300"], "has no effect"),
    (["--sweep", "threads", "--threads", "1"], "has no effect"),
    (["--sweep", "channels", "--network", "Res16UNet14"], "has no effect"),
    (["--backends", "", "--beside", ""], "nothing to measure"),
]


@pytest.mark.parametrize("arguments, words", BAD, ids=[" ".join(a) for a, _ in BAD])
def test_bad_input_is_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    code, out, error = run_bench(["engine", *arguments], capsys)
    assert (code, out) == (2, "")
    assert error.startswith("error: ") and error.count("\n") == 1 and words in error


@pytest.mark.parametrize("command", [[], ["engine"], ["pretrain"]])
def test_the_tool_explains_itself(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run_bench([*command, "--help"], capsys)
    assert code == 0
    assert ("example:" if not command else "--json") in out


def test_what_the_user_set_for_other_work_is_not_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "GOMP_SPINCOUNT", "MALLOC_ARENA_MAX", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    installed = variants.worker_environment(variants.AS_INSTALLED, variants.cores())
    assert [name for name in installed if name.startswith(variants._CLEARED)] == []
    assert installed["PATH"] == os.environ["PATH"]
    tuned = variants.worker_environment(variants.TUNED, variants.cores() + 1)
    assert {n: v for n, v in tuned.items() if n.startswith(variants._CLEARED)} == {
        "OMP_WAIT_POLICY": "PASSIVE",
        **dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), str(variants.cores() + 1)),
    }


def test_engines_that_disagree_are_not_compared(tmp_path: Path) -> None:
    rows = variants.OURS[:2]
    np.save(tmp_path / "native.npy", np.array([[1.0, 2.0]]))
    np.save(tmp_path / "torch.npy", np.array([[1.0, 2.0005]]))
    engine._check_agreement(rows, tmp_path)
    np.save(tmp_path / "native-bfloat16.npy", np.array([[1.0, 2.01]]))
    engine._check_agreement([*rows, variants.ROUNDED], tmp_path)
    np.save(tmp_path / "torch.npy", np.array([[1.0, 2.01]]))
    with pytest.raises(RuntimeError, match="not one network"):
        engine._check_agreement(rows, tmp_path)


def test_bfloat16_products_are_measured_where_they_are_asked_for() -> None:
    asked = engine.EngineOptions(backends=("torch", "native-bfloat16"), beside=())
    if reason := native.why_not():
        with pytest.raises(InputError, match=reason):
            engine.chosen_variants(asked)
        return
    assert engine.chosen_variants(asked)[0][1] is variants.ROUNDED
    assert variants.ROUNDED not in engine.chosen_variants(engine.EngineOptions())[0]
    try:
        runner = make_runner(variants.ROUNDED.engine)
        assert isinstance(runner, OurRunner)
        assert runner.tensor(torch.zeros(1, 4, dtype=torch.int32), torch.ones(1, 1)).manager.products == "bfloat16"
    finally:
        configure()


def test_without_minkowskiengine_its_rows_are_left_out_unless_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minkowski_import, "why_not", lambda: "MinkowskiEngine is not installed")
    rows, notes = engine.chosen_variants(engine.EngineOptions(backends=("torch",)))
    assert [row.key for row in rows] == ["torch", "mm"]
    assert len(notes) == 2 and all("not installed" in note for note in notes)
    with pytest.raises(InputError, match="--beside minkowskiengine: MinkowskiEngine is not installed"):
        engine.chosen_variants(engine.EngineOptions(beside=("minkowskiengine",)))
