"""Running a plan: order, failures, interruption, what is done stays done."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path

import pytest
from study_parts import FakeRunner, do_study, make_study

from sparse3d.errors import InputError
from sparse3d.study.command import Request, plan_text
from sparse3d.study.expand import expand
from sparse3d.study.jobs import RUN, Job, Plan, Recipe
from sparse3d.study.options import Study
from sparse3d.study.runner import ProcessRunner
from sparse3d.study.schedule import Estimate, Scheduler, clock_text
from sparse3d.study.store import DONE, Store, UnreadableResult, training_figures


@pytest.fixture(autouse=True)
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """They take longer than all the rest."""
    monkeypatch.setattr("sparse3d.study.report.write_figures", lambda *_: [])


class Ran:
    """A study that was run with a fake runner."""

    def __init__(self, folder: Path, runner: FakeRunner, *bindings: str, slots: int = 2) -> None:
        self.study: Study = make_study(folder, *bindings)[0]
        self.plan: Plan = expand(self.study)
        self.store, self.said = Store(folder / "out"), list[str]()
        self.runner = runner
        scheduler = Scheduler(self.store, runner, slots, self.said.append, wait=lambda: None)
        self.outcome = scheduler.run(list(self.plan.jobs.values()))


def test_every_job_runs_once_after_its_pre_training(tmp_path: Path) -> None:
    ran = Ran(tmp_path, FakeRunner(polls=lambda job: 2), slots=3)
    keys = [job.key for job, _ in ran.runner.started]
    assert sorted(keys) == sorted(ran.plan.jobs) and ran.runner.most_at_once == 3
    assert all(keys.index(job.parent) < keys.index(job.key) for job, _ in ran.runner.started if job.parent)
    assert not ran.outcome.failed and len(ran.outcome.done) == len(keys)
    assert ran.said[-1].startswith(f"[{len(keys)}/{len(keys)}]") and ran.said[-1].endswith("left about 0:00:00")


def test_what_is_done_is_never_run_again_also_when_the_table_grows(tmp_path: Path) -> None:
    first = Ran(tmp_path, FakeRunner())
    again = Ran(tmp_path, FakeRunner())
    assert again.runner.started == [] and not again.outcome.done
    grown = Ran(tmp_path, FakeRunner(), "segmentation/StudyFinetune.label_sets = 3")
    assert len(grown.runner.started) == len(grown.plan.jobs) - len(first.plan.jobs) > 0
    assert all(job.kind == "finetune" for job, _ in grown.runner.started)


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ("kt/StudyRow.network = ['SRUNet.spec = \"nope\"']", "kt.*: SRUNet.spec = 'nope' is unknown"),
        ("kt/StudyRow.bindings = [%DECODER, 'PretrainTask.map_stride = 0']", "pretrain kt, seed 0: .*map_stride = 0"),
        ("scratch/StudyRow.finetune = ['init.lr_scale = 0.5']", "segmentation scratch.*1 where no init.checkpoint"),
        ("both/StudyRow.finetune = ['init.freeze = \"half\"']", "segmentation both, .*init.freeze = 'half'"),
        ("probe/StudyProbe.bindings = ['FeatureProbe.k = 0']", "probe scratch.*k = 0"),
    ],
)
def test_what_a_job_would_refuse_is_said_before_any_runs(tmp_path: Path, binding: str, message: str) -> None:
    study, text = make_study(tmp_path, binding)
    runner = FakeRunner()
    with pytest.raises(InputError, match=message):
        do_study(study, text, tmp_path / "out", runner=runner)
    assert runner.started == [] and not (tmp_path / "out").exists()


def test_a_failed_job_is_named_and_takes_only_its_children_with_it(tmp_path: Path) -> None:
    bad = "pretrain kt, seed 1"
    ran = Ran(tmp_path, FakeRunner(code=lambda job: 3 if job.title == bad else 0))
    key = next(key for key, job in ran.plan.jobs.items() if job.title == bad)
    assert ran.outcome.failed == {key: "exit code 3: and this is the last line"}
    children = {k for k, job in ran.plan.jobs.items() if job.parent == key}
    assert set(ran.outcome.blocked) == children and len(children) == 6
    assert len(ran.outcome.done) == len(ran.plan.jobs) - 7
    assert any(line.startswith(f"FAILED {bad}") and line.endswith("and this is the last line") for line in ran.said)
    mended = Ran(tmp_path, FakeRunner())
    assert {job.key for job, _ in mended.runner.started} == children | {key}


def test_a_job_that_leaves_no_figures_has_failed(tmp_path: Path) -> None:
    class Forgetful(FakeRunner):
        def start(self, job: Job, command: list[str], log: Path):  # type: ignore[no-untyped-def]
            process = super().start(job, command, log)
            if job.kind == "probe":
                process.end = lambda code: setattr(process, "ended", code)  # type: ignore[method-assign]
            return process

    ran = Ran(tmp_path, Forgetful())
    assert {ran.plan.jobs[key].kind for key in ran.outcome.failed} == {"probe"}
    assert all("left no figures" in why for why in ran.outcome.failed.values())


def test_no_job_goes_on_behind_a_study_that_crashed(tmp_path: Path) -> None:
    runner = FakeRunner(polls=lambda job: 1 if job.title == "pretrain kt, seed 0" else 1000)
    study = make_study(tmp_path)[0]

    def crash(job: Job) -> None:
        raise RuntimeError("a defect")

    scheduler = Scheduler(Store(tmp_path / "out"), runner, 3, lambda line: None, crash, wait=lambda: None)
    with pytest.raises(RuntimeError, match="a defect"):
        scheduler.run(list(expand(study).jobs.values()))
    assert len(runner.started) == 3 and runner.alive == 0


def test_an_evaluation_before_the_last_step_is_no_result(tmp_path: Path) -> None:
    lines = [
        {"step": 2, "kind": "val", "seconds": 1.0, "miou_point": 0.3},
        {"step": 3, "kind": "train", "seconds": 1.0, "loss": 1.0, "time/step_s": 0.1, "time/data_s": 0.0},
    ]
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    with pytest.raises(UnreadableResult, match="last evaluation is after 2 of 4 steps"):
        training_figures(path)
    path.write_text("".join(json.dumps({**line, "step": 3 + k}) + "\n" for k, line in enumerate(reversed(lines))))
    assert training_figures(path)["figures"]["miou_point"] == 0.3


def test_a_signal_ends_it_and_resuming_goes_on_where_jobs_stopped(tmp_path: Path) -> None:
    def interrupt(job: Job) -> int:
        if job.kind == "finetune":
            os.kill(os.getpid(), signal.SIGTERM)
        return 0

    ran = Ran(tmp_path, FakeRunner(code=interrupt, polls=lambda job: 1 + 30 * (job.kind == "pretrain")), slots=2)
    assert ran.outcome.stopped == signal.SIGTERM and not ran.outcome.failed
    assert 0 < len(ran.outcome.done) < len(ran.plan.jobs)
    assert signal.getsignal(signal.SIGTERM) in (signal.SIG_DFL, signal.default_int_handler)
    begun = [job for job in ran.plan.jobs.values() if (job.folder(ran.store.out) / "run/config.gin").is_file()]
    after = Ran(tmp_path, FakeRunner())
    commands = {job.key: command for job, command in after.runner.started}
    assert not set(commands) & set(ran.outcome.done)
    waiting = [job for job in begun if job.key in commands]
    assert waiting and all(commands[job.key][-1] == "--resume" for job in waiting)
    assert len(ran.outcome.done) + len(after.outcome.done) == len(ran.plan.jobs)


def test_times_of_all_attempts_count(tmp_path: Path) -> None:
    ran = Ran(tmp_path, FakeRunner())
    job = next(iter(ran.plan.jobs.values()))
    (job.folder(ran.store.out) / DONE).unlink()
    ran.store.attempted(job, 100.0, 143)
    record = ran.store.finish(job)
    assert 100.0 <= record["seconds"] < 101.0 and record["cpu_seconds"] == 2.0


def test_the_time_of_a_job_that_outlived_its_study_counts(tmp_path: Path) -> None:
    """Nobody notes that attempt; the training's log knows it, begun twice."""
    ran = Ran(tmp_path, FakeRunner())
    job = next(job for job in ran.plan.jobs.values() if job.kind == "pretrain")
    folder = job.folder(ran.store.out)
    (folder / DONE).unlink()
    metrics = folder / RUN / "metrics.jsonl"
    lines = [json.loads(line) for line in metrics.read_text().splitlines()]
    for line, seconds in zip([lines[0], lines[0], lines[-1]], (300.0, 500.0, 90.0), strict=True):
        with metrics.open("a") as file:
            file.write(json.dumps({**line, "seconds": seconds}) + "\n")
    assert ran.store.finish(job)["seconds"] == pytest.approx(590.0, abs=5)


def test_fine_tuned_checkpoints_are_dropped_and_pre_trained_ones_stay(tmp_path: Path) -> None:
    ran = Ran(tmp_path, FakeRunner())
    kept = {job.kind for job in ran.plan.jobs.values() if (job.folder(ran.store.out) / "run/checkpoints").is_dir()}
    assert kept == {"pretrain"}


def test_a_folder_that_ended_before_its_first_step_is_begun_anew(tmp_path: Path) -> None:
    job = Job("finetune", "0" * 16, "t", Recipe(("a.gin",)))
    store = Store(tmp_path)
    (job.folder(tmp_path) / "run" / "checkpoints").mkdir(parents=True)
    assert "--resume" not in store.begin(job) and not (job.folder(tmp_path) / "run").exists()
    (job.folder(tmp_path) / "run").mkdir()
    (job.folder(tmp_path) / "run" / "config.gin").write_text("")
    assert store.begin(job)[-1] == "--resume"


def test_estimates_learn_from_what_was_measured() -> None:
    jobs = [Job("finetune", str(k), "", Recipe(()), seconds=10.0) for k in range(4)]
    jobs.append(Job("probe", "p", "", Recipe(()), seconds=7.0))
    estimate = Estimate(jobs, [{"key": "0", "seconds": 30.0}])
    assert estimate.seconds(jobs[1:]) == pytest.approx(3 * 30 + 7)
    estimate.learn(jobs[1], 10.0)
    assert estimate.seconds(jobs[2:4]) == pytest.approx(2 * 20)
    assert clock_text(3725.4) == "1:02:05"


def test_folders_are_asked_for_and_kept_apart(tmp_path: Path) -> None:
    study, text = make_study(tmp_path)
    out = tmp_path / "out"
    do_study(study, text, out, runner=FakeRunner(), seeds=1)
    assert {"table.md", "table.csv", "results.jsonl", "study.gin"} <= {path.name for path in out.iterdir()}
    with pytest.raises(InputError, match="go on with --resume"):
        do_study(study, text, out, runner=FakeRunner())
    assert do_study(study, text, out, resume=True, runner=FakeRunner(), seeds=1) == 0
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "thesis.txt").write_text("")
    with pytest.raises(InputError, match="holds no study"):
        do_study(study, text, tmp_path / "other", resume=True, runner=FakeRunner())
    with pytest.raises(InputError, match="holds no study yet"):
        do_study(study, text, tmp_path / "none", report_only=True)
    with pytest.raises(InputError, match="'kitchen' is none of the study's"):
        do_study(study, text, out, resume=True, only=["kitchen"], runner=FakeRunner())


def test_exit_codes_and_rows_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    study, text = make_study(tmp_path)
    runner = FakeRunner(code=lambda job: int(job.kind == "probe"))
    assert do_study(study, text, tmp_path / "out", only=["kt"], runner=runner, seeds=1) == 1
    assert {job.title.split(",")[0].split()[-1] for job, _ in runner.started} == {"kt"}
    said = capsys.readouterr().err
    assert "failed: probe kt" in said and "log.txt" in said
    shown = plan_text(study, Request(tmp_path / "out", seeds=1, jobs=2, only=["kt"]))
    assert shown.count("done") == 4 and "1 to do" in shown


def test_a_study_whose_jobs_are_still_alive_keeps_others_out(tmp_path: Path) -> None:
    study, text = make_study(tmp_path)
    out, seen = tmp_path / "out", []

    class Nested(FakeRunner):
        def start(self, job: Job, command: list[str], log: Path):  # type: ignore[no-untyped-def]
            if not seen:
                with pytest.raises(InputError, match="another study") as caught:
                    do_study(study, text, out, resume=True, runner=FakeRunner())
                seen.append(caught)
            return super().start(job, command, log)

    do_study(study, text, out, runner=Nested(), seeds=1)
    assert seen


def test_processes_write_their_log_and_stop_when_asked(tmp_path: Path) -> None:
    runner = ProcessRunner(threads=3)
    job = Job("probe", "k", "t", Recipe(()))
    code = "import os, time, sys; print(os.environ['OMP_NUM_THREADS'], flush=True); time.sleep(float(sys.argv[1]))"
    quick = runner.start(job, [sys.executable, "-c", code, "0"], tmp_path / "a.txt")
    slow = runner.start(job, [sys.executable, "-c", code, "60"], tmp_path / "b.txt")
    deadline = time.monotonic() + 30
    while quick.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert quick.poll() == 0 and (tmp_path / "a.txt").read_text() == "3\n"
    slow.stop()
    while slow.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert slow.poll() == -signal.SIGTERM and quick.cpu_seconds > 0


def test_done_records_name_command_commit_config_and_time(tmp_path: Path) -> None:
    ran = Ran(tmp_path, FakeRunner())
    for job in ran.plan.jobs.values():
        record = json.loads((job.folder(ran.store.out) / DONE).read_text())
        assert record["key"] == job.key and record["command"].startswith("python ") and record["seconds"] >= 0
        assert record["commit"] and record["cpu"] and record["config"].endswith("config.gin")
