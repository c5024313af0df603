"""Jobs done on one machine count on another; a checkpoint that is not there is made anew where a job needs it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from study_parts import FakeRunner, do_study, make_study

from sparse3d.errors import InputError
from sparse3d.study.command import Request, plan_text
from sparse3d.study.exchange import LINES
from sparse3d.study.expand import expand
from sparse3d.study.jobs import checkpoint_of
from sparse3d.study.options import Study
from sparse3d.study.store import Store


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures, and the rehearsal of jobs that a fake runner makes up, take longer than all the rest."""
    monkeypatch.setattr("sparse3d.study.report.write_figures", lambda *_: [])
    monkeypatch.setattr("sparse3d.study.command.rehearse", lambda _: None)


@pytest.fixture
def made(tmp_path: Path) -> tuple[Study, str, Path]:
    """A study of which one row was run, in ``there``."""
    study, text = make_study(tmp_path)
    do_study(study, text, tmp_path / "there", only=["kt"], runner=FakeRunner())
    return study, text, tmp_path / "there"


@pytest.mark.parametrize("form", ["folder", "file"])
def test_what_was_done_elsewhere_is_not_done_again_and_gives_the_same_cells(
    made: tuple[Study, str, Path], tmp_path: Path, form: str, capsys: pytest.CaptureFixture[str]
) -> None:
    study, text, there = made
    out, runner = tmp_path / "here", FakeRunner()
    source = there if form == "folder" else there / LINES
    assert do_study(study, text, out, runner=runner, take=[source]) == 0
    assert runner.started and not any(" kt," in title for title in runner.titles)
    count = len((there / LINES).read_text().splitlines())
    assert f"{source}: {count} jobs of this study, {count} of them new here" in capsys.readouterr().err
    cells = [
        [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()] for folder in (there, out)
    ]
    assert [cell for cell in cells[1] if cell["row"] == "kt"] == cells[0]
    assert {cell["row"] for cell in cells[1]} == {row.name for row in study.rows}


def test_two_machines_share_the_rows_and_one_reports_without_running(
    made: tuple[Study, str, Path], tmp_path: Path
) -> None:
    study, text, there = made
    rest = [row.name for row in study.rows if row.name != "kt"]
    do_study(study, text, tmp_path / "second", only=rest, runner=FakeRunner())
    out = tmp_path / "both"
    assert do_study(study, text, out, report_only=True, take=[there, tmp_path / "second" / LINES]) == 0
    plan = expand(study)
    assert all(Store(out).done(job) for job in plan.jobs.values())
    assert len((out / "results.jsonl").read_text().splitlines()) == len(plan.cells)


def test_a_pre_training_without_its_checkpoint_is_made_again_only_where_a_job_starts_from_it(
    made: tuple[Study, str, Path], tmp_path: Path
) -> None:
    study, text, there = made
    out, runner = tmp_path / "here", FakeRunner()
    do_study(study, text, out, only=["kt"], runner=runner, take=[there / LINES])
    assert runner.started == []  # all its jobs are done, so none needs the checkpoints

    plan = expand(study)
    gone = next(job for job in plan.jobs.values() if job.title.startswith("segmentation kt") and "seed 1" in job.title)
    shutil.rmtree(gone.folder(out))
    shown = plan_text(study, Request(out, only=["kt"]))
    assert "pretrain kt, seed 1 (again: its checkpoint is gone)" in shown and "2 to do" in shown
    do_study(study, text, out, resume=True, only=["kt"], runner=runner)
    assert runner.titles == ["pretrain kt, seed 1", gone.title]
    assert not any("--resume" in command for _, command in runner.started)
    seconds = json.loads((runner.started[0][0].folder(out) / "done.json").read_text())["cpu_seconds"]
    assert seconds == 2.0  # of the new attempt alone


def test_a_half_trained_checkpoint_does_not_pass_for_what_was_done_elsewhere(
    made: tuple[Study, str, Path], tmp_path: Path
) -> None:
    study, text, there = made
    plan = expand(study)
    job = next(job for job in plan.jobs.values() if job.title == "pretrain kt, seed 0")
    out, half = tmp_path / "here", checkpoint_of(tmp_path / "here", job.key)
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    (out / "study.gin").write_text(text)
    taken = [line for line in (there / LINES).read_text().splitlines() if job.key in line.split(",")[0]]
    (tmp_path / "one.jsonl").write_text("\n".join(taken))
    runner = FakeRunner()
    do_study(study, text, out, resume=True, only=["kt"], take=[tmp_path / "one.jsonl"], runner=runner)
    assert job.title in runner.titles and half.read_bytes() != b"half"


def test_a_report_of_less_does_not_shorten_what_is_carried_on(made: tuple[Study, str, Path]) -> None:
    study, text, there = made
    lines = (there / LINES).read_text().splitlines()
    do_study(study, text, there, report_only=True, seeds=1)
    assert sorted((there / LINES).read_text().splitlines()) == sorted(lines)


def test_what_is_done_here_stays(made: tuple[Study, str, Path], tmp_path: Path) -> None:
    study, text, there = made
    lines = (there / LINES).read_text()
    (tmp_path / "other.jsonl").write_text(lines.replace('"commit": "', '"commit": "another '))
    do_study(study, text, there, report_only=True, take=[tmp_path / "other.jsonl"])
    assert (there / LINES).read_text() == lines


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "no such file or folder"),
        ("", "it is empty"),
        ("{", "line 1: not JSON"),
        ("[1]", "line 1: 'key' is missing"),
        ('{"row": "kt", "score": 0.1}', "'key' is missing, so it is no job"),
        ("OTHER", "none of its 1 jobs is of this study"),
        ("UNFIT", "segmentation kt, .*no figure 'miou_point'"),
    ],
)
def test_what_cannot_be_taken_is_one_line_and_writes_nothing(
    made: tuple[Study, str, Path], tmp_path: Path, content: str | None, message: str
) -> None:
    study, text, there = made
    records = [json.loads(line) for line in (there / LINES).read_text().splitlines()]
    if content == "OTHER":
        content = json.dumps(records[0] | {"key": "0123456789abcdef"})
    if content == "UNFIT":
        content = json.dumps(next(r for r in records if r["kind"] == "finetune") | {"figures": {"loss": 1.0}})
    path = tmp_path / "given.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(InputError, match=message):
        do_study(study, text, tmp_path / "here", runner=FakeRunner(), take=[path])
    assert not (tmp_path / "here").exists()


def test_a_folder_in_which_nothing_is_done_cannot_be_taken(made: tuple[Study, str, Path], tmp_path: Path) -> None:
    study, text, _ = made
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no job of a study is done there"):
        do_study(study, text, tmp_path / "here", runner=FakeRunner(), take=[tmp_path / "empty"])
