"""The demo end to end at small size, and its manners towards the folder it writes to."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sparse3d.demo import MARK, DemoOptions, DemoResult, report, run_demo
from sparse3d.errors import InputError

ROOT = Path(__file__).resolve().parents[1]


def result(**recalls: float) -> DemoResult:
    figures = {
        "recall_aligned_colour": 0.1, "recall_aligned_random": 0.3, "recall_aligned_pretrained": 0.5,
        "recall_rotated_colour": 0.1, "recall_rotated_random": 0.05, "recall_rotated_pretrained": 0.3, "pairs": 7,
    } | recalls  # fmt: skip
    losses = {"loss/knowledge_transfer": (1.0, 0.5), "loss/consistency": (6.0, 3.0)}
    return DemoResult(10, losses, figures, {"render": 1.0, "train": 2.0}, Path("somewhere/run"))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, DemoResult]:
    out = tmp_path_factory.mktemp("demo") / "out"
    few = ("MatchingPairs.max_pairs = 2", "MatchingPairs.matches = 100", "train.workers = 0", "VOXEL_SIZE = 0.1")
    options = DemoOptions(out, steps=2, frames=14, size=(80, 60), pairs=2, workers=1, bindings=few)
    return out, run_demo(options)


def test_the_whole_demo_runs_from_rendering_to_the_table(small: tuple[Path, DemoResult]) -> None:
    out, found = small
    assert found.steps == 2
    assert set(found.losses) == {"loss/knowledge_transfer", "loss/consistency"}
    for protocol in ("aligned", "rotated"):
        for row in ("colour", "random", "pretrained"):
            assert 0 <= found.figures[f"recall_{protocol}_{row}"] <= 1
    assert json.loads((out / MARK).read_text())["steps"] == 2
    assert (out / "run/checkpoints/last.pt").is_file() and list((out / "run/tensorboard").iterdir())
    text = report(found)
    assert "pre-trained network" in text and "knowledge transfer" in text and "tensorboard --logdir" in text


def test_training_and_validation_are_different_rooms(small: tuple[Path, DemoResult]) -> None:
    out, _ = small
    config = (out / "run/config.gin").read_text()
    assert f"DATA_ROOT = '{out}/prepared/scenes/room0000_00'" in config
    assert f"VAL_ROOT = '{out}/prepared/scenes/room0001_00'" in config
    files = sorted((out / "prepared").rglob("*.sens"))
    assert len(files) == 2 and files[0].read_bytes() != files[1].read_bytes()


def test_an_earlier_demo_is_replaced_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Reached(Exception):
        pass

    def stop(*_: object) -> None:
        raise Reached

    monkeypatch.setattr("sparse3d.demo._make_rooms", stop)
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.tex").write_text("years of work")
    with pytest.raises(InputError, match="no earlier demo"):
        run_demo(DemoOptions(foreign))
    assert (foreign / "thesis.tex").read_text() == "years of work"
    own = tmp_path / "own"
    with pytest.raises(Reached):
        run_demo(DemoOptions(own))
    (own / "run").mkdir()
    (own / "run" / "old.pt").write_text("old")
    (own / "notes.txt").write_text("mine")
    with pytest.raises(Reached):
        run_demo(DemoOptions(own))
    assert not (own / "run").exists() and (own / "notes.txt").read_text() == "mine"


def test_a_slip_in_an_option_does_not_cost_an_earlier_demo(tmp_path: Path) -> None:
    out = tmp_path / "out"
    (out / "run").mkdir(parents=True)
    (out / "run" / "old.pt").write_text("old")
    (out / MARK).write_text("{}")
    for binding in ("PretrainTask.kt_wieght = 1.0", "train.steps = 'many'", "train.batch_size = 0"):
        with pytest.raises(InputError, match=binding.split(" = ")[0].split(".")[1]):
            run_demo(DemoOptions(out, bindings=(binding,)))
        assert (out / "run" / "old.pt").read_text() == "old"


def test_two_demos_do_not_work_in_one_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"

    def meanwhile(*_: object) -> None:
        with pytest.raises(InputError, match="another demo runs there"):
            run_demo(DemoOptions(out))
        assert (out / MARK).is_file()
        raise KeyboardInterrupt

    monkeypatch.setattr("sparse3d.demo._make_rooms", meanwhile)
    with pytest.raises(KeyboardInterrupt):
        run_demo(DemoOptions(out))
    assert [path.name for path in out.iterdir()] == [MARK]


def test_a_file_as_out_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file"):
        run_demo(DemoOptions(tmp_path / "file"))


def test_steps_below_one_are_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--steps 0"):
        run_demo(DemoOptions(tmp_path / "out", steps=0))
    assert not (tmp_path / "out").exists()


def test_winning_means_beating_both_rows_under_both_protocols() -> None:
    assert result().lost_to() == []
    assert result(recall_aligned_random=0.5).lost_to() == ["recall_aligned_random"]
    assert result(recall_rotated_pretrained=0.07).lost_to() == ["recall_rotated_colour"]
    assert result(recall_rotated_pretrained=float("nan")).lost_to() == [
        "recall_rotated_colour",
        "recall_rotated_random",
    ]
    assert result().as_json()["won"] is True


@pytest.mark.parametrize("flag, code, word", [("--help", 0, "example"), ("--steps=none", 2, "invalid int")])
def test_the_tool_explains_itself(flag: str, code: int, word: str) -> None:
    done = subprocess.run(
        [sys.executable, "tools/demo.py", flag], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == code
    assert word in done.stdout + done.stderr
