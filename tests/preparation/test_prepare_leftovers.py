"""What a preparation that is ended leaves behind: nothing that is half done, and nothing of others taken away."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from fake_scannet import write_scan

from sparse3d.preparation import runner
from sparse3d.preparation.options import PrepareOptions
from sparse3d.preparation.runner import Job
from sparse3d.preparation.scene import scene_lock
from sparse3d.whole_files import held

SCENE = "scene0000_00"


@pytest.fixture
def job(tmp_path: Path) -> Job:
    """A scene that was begun and not finished."""
    write_scan(tmp_path / "source" / "scans" / SCENE)
    (tmp_path / "out" / "scenes" / f".{SCENE}.12345.partial").mkdir(parents=True)
    return Job(tmp_path / "source", tmp_path / "out", PrepareOptions(size=(64, 48)))


def left(job: Job) -> list[str]:
    return [path.name for path in (job.destination / "scenes").glob(".*.partial")]


def hold(job: Job, begun: threading.Event, end: threading.Event, seconds: float) -> None:
    with held(scene_lock(job.destination, SCENE)):
        begun.set()
        end.wait(seconds)


@pytest.mark.parametrize(("seconds", "cleared"), [(0.5, True), (60.0, False)])
def test_a_worker_that_is_about_to_end_is_waited_for_and_another_run_is_not(
    job: Job, seconds: float, cleared: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A signal to all processes takes the forkserver, too: its workers see that a moment later, and hold locks."""
    monkeypatch.setattr(runner, "WATCH_SECONDS", 1.0 if cleared else 0.1)
    begun, end = threading.Event(), threading.Event()
    worker = threading.Thread(target=hold, args=(job, begun, end, seconds))
    worker.start()
    begun.wait(10)
    runner._remove_leftovers(job, job.scenes())
    assert left(job) == ([] if cleared else [f".{SCENE}.12345.partial"])
    end.set()
    worker.join()
