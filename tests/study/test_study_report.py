"""Results, tables and figures, made from jobs whose scores are known."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from PIL import Image
from study_parts import TEXT, FakeRunner, do_study, make_study

from sparse3d.errors import InputError
from sparse3d.study.cost_table import preparation_text
from sparse3d.study.expand import expand
from sparse3d.study.figures import gain, look
from sparse3d.study.jobs import Job
from sparse3d.study.options import Study
from sparse3d.study.report import write_report
from sparse3d.study.results import Entry, Scores, collect
from sparse3d.study.statistics import Estimate
from sparse3d.study.store import Store
from sparse3d.study.tables import difference_text, entry_text, markdown

GAINS = {"scratch": 0.0, "kt": 0.02, "both": 0.05, "both_all": -0.03}


def known(job: Job) -> float:
    """.3 + .01 for every label set + what the row brings, and a little less with the second seed."""
    row = job.title.split(",")[0].split()[-1]
    label_set = next((int(text.rpartition("=")[2]) for text in job.given if "share_seed" in text), 0)
    return 0.3 + 0.1 * label_set + GAINS[row] - (0.004 if "seed 1" in job.title else 0.0)


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory) -> tuple[Study, Path]:
    folder = tmp_path_factory.mktemp("study")
    study, text = make_study(folder, "segmentation/StudyFinetune.label_sets = 3")
    assert do_study(study, text, folder / "out", runner=FakeRunner(score=known)) == 0
    return study, folder / "out"


def test_a_line_a_cell_says_all_of_it(ran: tuple[Study, Path]) -> None:
    study, out = ran
    records = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert len(records) == len(expand(study).cells)
    for record in records:
        assert {"row", "task", "share", "label_set", "seed", "score", "metrics", "command", "commit", "config",
                "seconds", "job"} <= record.keys()  # fmt: skip
        assert (out / "jobs" / record["job"] / "done.json").is_file()
        assert bool(record["curve"]) == (record["task"] == "segmentation")
        assert bool(record["pretrain_command"]) == (record["row"] != "scratch")


def test_the_table_has_means_and_paired_differences(ran: tuple[Study, Path]) -> None:
    _, out = ran
    table = (out / "table.md").read_text()
    first = table.split("### segmentation")[1].split("Differences from")[0]
    lines = {line.split(" | ")[0]: line for line in first.splitlines() if " | " in line}
    assert "39.8 (n=3)" in lines["| scratch"]  # .3, .4 and .5, less .004 for half of them
    assert "44.8, **+5.0 [5.0, 5.0]** n=3" in lines["| MVNet"]
    assert "**-3.0 [-3.0, -3.0]** n=3" in table and "Differences from kt instead:" in table
    assert "56 of" not in table and "of 112 cells" in table and "| MVNet | 1 / 2 |" in table


def test_the_csv_can_be_computed_with(ran: tuple[Study, Path]) -> None:
    _, out = ran
    rows = list(csv.DictReader((out / "table.csv").open()))
    found = next(r for r in rows if (r["row"], r["task"], r["share"]) == ("both", "segmentation", "0.5"))
    assert float(found["difference"]) == pytest.approx(0.05) and found["pairs"] == found["n"] == "3"
    assert next(r for r in rows if r["row"] == "scratch")["difference"] == ""


def test_figures_are_drawn_and_the_report_comes_out_the_same_again(ran: tuple[Study, Path]) -> None:
    study, out = ran
    names = {path.name for path in (out / "figures").iterdir()}
    assert {"bars_segmentation.png", "shares_segmentation.png", "curves_segmentation_50.png",
            "gain_segmentation_100.png", "bars_linear_encoder.png"} <= names  # fmt: skip
    files = [path for path in out.rglob("*") if path.is_file() and "jobs" not in path.parts and path.name != ".lock"]
    before = {path: path.read_bytes() for path in files}
    for path in files:
        if path.name != "study.gin":
            path.unlink()
    assert do_study(study, "", out, report_only=True) == 0
    assert {path: path.read_bytes() for path in files} == before
    for path in (out / "figures").iterdir():
        with Image.open(path) as image:
            assert image.width > 300 and image.convert("L").getextrema()[0] < 128


def test_gains_are_paired_at_every_step(ran: tuple[Study, Path]) -> None:
    study, out = ran
    scores = Scores(study, collect(expand(study), Store(out)))
    found = gain(study, scores, "both", ("segmentation", 0.5))
    assert [step for step, _ in found] == [2, 4]
    assert [round(e.mean, 6) for _, e in found] == [0.025, 0.05] and found[0][1].n == 3
    assert gain(study, scores, "scratch", ("segmentation", 0.5)) == []


def test_gains_leave_out_pairs_of_unlike_schedules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparse3d.study.report.write_figures", lambda *_: [])
    study, out = with_task(
        tmp_path, FakeRunner(score=known), "", tasks="@segmentation/StudyFinetune(), @probe/StudyProbe()"
    )
    records = collect(expand(study), Store(out))
    for record in records:  # as if its schedule had twice the steps
        if record["row"] == "both" and record["seed"] == 1:
            record["curve"] = [[2 * step, value] for step, value in record["curve"]]
    found = gain(study, Scores(study, records), "both", ("segmentation", 0.5))
    assert [estimate.n for _, estimate in found] == [2, 2]


def test_rows_of_one_colour_differ_in_dashes_and_all_others_in_colour(tmp_path: Path) -> None:
    study, _ = make_study(tmp_path, "both/StudyRow.color = '#0072B2'", "both_all/StudyRow.color = '#0072B2'")
    looks = [look(study, row.name) for row in study.rows]
    assert len(set(looks)) == 4 and looks[2][0] == looks[3][0] == "#0072B2"
    assert len({color for color, _ in looks}) == 3
    with pytest.raises(InputError, match="both/StudyRow.color = 'red'"):
        make_study(tmp_path, "both/StudyRow.color = 'red'")


def test_a_report_of_half_a_study_says_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparse3d.study.report.write_figures", lambda *_: [])
    study, text = make_study(tmp_path)
    runner = FakeRunner(score=known, code=lambda job: 2 if job.title.startswith("pretrain both") else 0)
    assert do_study(study, text, tmp_path / "out", runner=runner) == 1
    table = (tmp_path / "out" / "table.md").read_text()
    assert "Failed: pretrain both, seed 0" in table and "and this is the last line" in table
    assert "MVNet" not in table.split("### segmentation")[1].split("### Cost")[0]
    write_report(study, expand(study, 1), Store(tmp_path / "out"))
    narrow = (tmp_path / "out" / "table.md").read_text()
    assert "job folders are of no cell of this table" in narrow and "Failed: pretrain both, seed 0" in narrow
    assert do_study(study, text, tmp_path / "out", runner=FakeRunner(score=known), resume=True) == 0
    assert "Failed" not in (tmp_path / "out" / "table.md").read_text()


@pytest.mark.parametrize(
    ("estimate", "text"),
    [
        (Estimate(0.031, 10, 0.012, 0.05, 0.02), "**+3.1 [1.2, 5.0]** n=10"),
        (Estimate(0.031, 3, 0.012, 0.05, 0.04), "+3.1 [1.2, 5.0] n=3"),  # Student's does not
        (Estimate(0.031, 10, -0.001, 0.05, 0.02), "+3.1 [-0.1, 5.0] n=10"),
        (Estimate(0.031, 10, 0.0, 0.05, 0.02), "+3.1 [0.0, 5.0] n=10"),
        (Estimate(-0.02, 5, -0.03, -0.01, 0.01), "**-2.0 [-3.0, -1.0]** n=5"),
        (Estimate(-0.0002, 4, -0.0003, 0.0004, 0.01), "+0.0 [0.0, 0.0] n=4"),
        (Estimate(0.5, 2), "+50.0 (n=2, no interval)"),
    ],
)
def test_bold_needs_an_interval_that_excludes_zero(estimate: Estimate, text: str) -> None:
    assert difference_text(estimate) == text


@pytest.mark.parametrize(
    ("difference", "text"),
    [
        (Estimate(0.1, 3, 0.05, 0.2, 0.06), "45.1, **+10.0 [5.0, 20.0]** n=3"),
        (Estimate(0.104, 1), "45.1 (n=3), +10.4 (n=1, no interval)"),  # else one would subtract the means
        (None, "45.1 (n=3)"),
    ],
)
def test_a_mean_of_more_cells_than_pairs_says_so(difference: Estimate | None, text: str, tmp_path: Path) -> None:
    study, _ = make_study(tmp_path)
    entry = Entry("both", ("segmentation", 0.1), Estimate(0.451, 3), "scratch", difference)
    assert entry_text(study, entry) == text


def with_task(folder: Path, runner: FakeRunner, task: str, *bindings: str, tasks: str = "") -> tuple[Study, Path]:
    """A study with one more task, run."""
    listed = tasks or f"@segmentation/StudyFinetune(), @probe/StudyProbe(), {task}"
    text = re.sub(r"TASKS = .*", f"TASKS = [{listed}]", TEXT)
    study, config = make_study(folder, *bindings, text=text)
    do_study(study, config, folder / "out", runner=runner, resume=True)
    return study, folder / "out"


def test_recall_is_compared_with_the_random_network_of_the_same_measurement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows may differ in voxels and readouts, and so do their random networks."""
    monkeypatch.setattr("sparse3d.study.report.write_figures", lambda *_: [])
    (tmp_path / "frames").mkdir()
    runner = FakeRunner(score=known, random=lambda job: known(job) - (0.07 if "both" in job.title else 0.11))
    study, out = with_task(
        tmp_path, runner, "@kitchen/StudyMatching()", f"kitchen/StudyMatching.folder = {str(tmp_path / 'frames')!r}"
    )
    scores = Scores(study, collect(expand(study), Store(out)))
    gains = {row: scores.entry(row, ("kitchen_rotated", None)) for row in ("scratch", "kt", "both")}
    assert gains["scratch"] and gains["scratch"].difference is None and gains["scratch"].score.n == 2
    assert gains["kt"] and gains["kt"].difference and gains["kt"].difference.mean == pytest.approx(0.11)
    assert gains["both"] and gains["both"].difference and gains["both"].difference.mean == pytest.approx(0.07)
    against = scores.entry("both", ("kitchen_rotated", None), "kt")
    assert against and against.difference and against.difference.mean == pytest.approx(0.03)
    records = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert all(r["pretrain_seconds"] == 0 and r["pretrain_command"] is None for r in records if r["row"] == "scratch")
    assert "\n| scratch |" not in (out / "table.md").read_text().split("### Cost")[1]  # it has no pre-training


def test_a_figure_that_jobs_do_not_have_fails_them_by_name_and_stops_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparse3d.study.report.write_figures", lambda *_: [])
    study, out = with_task(tmp_path, FakeRunner(score=known), "", "segmentation/StudyFinetune.figure = 'miou'",
                           tasks="@segmentation/StudyFinetune(), @probe/StudyProbe()")  # fmt: skip
    table = (out / "table.md").read_text()
    assert "it has no figure 'miou'; there are miou_point, loss" in table
    assert "### linear_encoder" in table and "### segmentation" not in table
    assert do_study(study, "", out, report_only=True) == 0


def test_a_finished_job_without_the_figure_is_one_line(ran: tuple[Study, Path], tmp_path: Path) -> None:
    _, out = ran
    study, _ = make_study(out.parent, "segmentation/StudyFinetune.figure = 'map25'")
    with pytest.raises(InputError, match="no figure 'map25'; there are miou_point.*segmentation of the study asks"):
        collect(expand(study), Store(out))


def test_scores_that_are_no_number_are_left_out_and_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparse3d.study.report.write_figures", lambda *_: [])
    study, text = make_study(tmp_path)
    bad = "segmentation both, 0.5 of the rooms, set 0, seed 0"
    runner = FakeRunner(score=lambda job: "nan" if job.title == bad else known(job))  # type: ignore[arg-type,return-value]
    assert do_study(study, text, tmp_path / "out", runner=runner) == 0
    table = (tmp_path / "out" / "table.md").read_text()
    assert "1 cells have a score that is no number" in table
    scores = Scores(study, collect(expand(study), Store(tmp_path / "out")))
    entry = scores.entry("both", ("segmentation", 0.5))
    assert len(scores.by_place["segmentation", 0.5]["both"]) == 3
    assert entry and entry.difference and entry.difference.n == 2 and entry.difference.mean == pytest.approx(0.05)
    assert gain(study, scores, "both", ("segmentation", 0.5))[-1][1].n == 2


def test_a_baseline_other_than_the_tables_is_named_and_a_task_has_its_title(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sparse3d.study.report.write_figures", lambda *_: [])
    study, out = with_task(
        tmp_path, FakeRunner(score=known), "", "both/StudyRow.baseline = 'kt'",
        "segmentation/StudyFinetune.title = 'Classes of points'", "segmentation/StudyFinetune.label_sets = 3",
        tasks="@segmentation/StudyFinetune(), @probe/StudyProbe()",
    )  # fmt: skip
    main = (out / "table.md").read_text().split("### Classes of points")[1].split("Differences from")[0]
    assert "**+3.0 [3.0, 3.0]** n=3 to kt" in main and "+2.0 [2.0, 2.0]** n=3 |" in main


def test_markdown_survives_bars_in_names() -> None:
    assert markdown(["", "a"], [["x|y", "1"]]).splitlines() == ["|  | a |", "| --- | ---: |", "| x/y | 1 |"]


def test_preparation_is_read_from_the_manifest(tmp_path: Path) -> None:
    assert preparation_text(str(tmp_path)) == ""
    totals = {"scenes": 80, "frames": 2400, "seconds": 46.7, "bytes": 1_008_252_010}
    (tmp_path / "manifest.json").write_text(json.dumps({"totals": totals}))
    assert preparation_text(str(tmp_path)).endswith("80 scenes, 2400 frames in 47 s, 1008 MB.")
