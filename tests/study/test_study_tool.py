"""tools/study.py from its command line: real trainings and probes of seconds, killed and resumed."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from fake_scannet import write_scan, write_table
from prepared_rooms import objects_of, room_points

from sparse3d.preparation.options import PrepareOptions
from sparse3d.preparation.runner import Job, prepare

TOOL = Path(__file__).resolve().parents[2] / "tools" / "study.py"
TEXT = """
include "base/study.gin"
ROWS = [@scratch/StudyRow(), @mvnet/StudyRow()]
TASKS = [@segmentation/StudyFinetune(), @probe/StudyProbe()]
Study.seeds = 1
Study.costs = False
StudyRow.common = ["train.steps = 2", "train.batch_size = 1", "train.eval_every = 0", "train.workers = 0",
                   "train.warmup = 0", "VOXEL_SIZE = 0.2", "FrameFolder.size = (64, 48)"]
mvnet/StudyRow.files = ["pretrain/rooms.gin"]
segmentation/StudyFinetune.files = ["segmentation/rooms.gin"]
segmentation/StudyFinetune.bindings = ["train.batch_size = 1", "train.workers = 0", "VOXEL_SIZE = 0.2"]
segmentation/StudyFinetune.shares = [1.0]
segmentation/StudyFinetune.label_sets = 1
segmentation/StudyFinetune.steps = 2
segmentation/StudyFinetune.evaluations = 2
probe/StudyProbe.bindings = ["VOXEL_SIZE = 0.2", "FeatureProbe.points = 200"]
probe/StudyProbe.shares = [1.0]
probe/StudyProbe.label_sets = 1
"""


@pytest.fixture(scope="module")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared scenes with frames, whose meshes are replaced by rooms that have something to learn."""
    import numpy as np

    folder = tmp_path_factory.mktemp("rooms")
    write_table(folder / "source")
    (folder / "source/splits").mkdir()
    for k, split in enumerate(("train", "val")):
        write_scan(folder / "source" / f"scene000{k}_00")
        (folder / f"source/splits/{split}.txt").write_text(f"scene000{k}_00\n")
    prepare(Job(folder / "source", folder / "root", PrepareOptions(size=(64, 48), frame_skip=1)))
    for k, scene in enumerate(sorted((folder / "root" / "scenes").iterdir())):
        arrays = room_points(k)
        with (scene / "mesh.npz").open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        (scene / "objects.json").write_text(json.dumps({"aligned": True, "objects": objects_of(arrays)}))
    return folder / "root"


def study(rooms: Path, out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    config = out.parent / "tiny.gin"
    config.write_text(TEXT)
    command = [
        sys.executable,
        str(TOOL),
        str(config),
        "--set",
        f"DATA_ROOT={str(rooms)!r}",
        "--out",
        str(out),
        *options,
    ]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, env=environment, timeout=400)


def test_the_whole_of_it(rooms: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    planned = study(rooms, out, "--plan")
    assert planned.returncode == 0 and "5 jobs for 6 cells, 5 to do" in planned.stdout and not out.exists()

    done = study(rooms, out, "--jobs", "2", "--threads", "1")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("left about") == 5 and "[5/5]" in done.stderr
    records = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert len(records) == 6 and all(0 <= record["score"] <= 1 for record in records)
    tuned = next(record for record in records if record["row"] == "mvnet" and record["task"] == "segmentation")
    assert [step for step, _ in tuned["curve"]] == [1, 2]
    log = (out / "jobs" / tuned["job"] / "log.txt").read_text()
    assert "init: " in log and "100%" in log  # the pre-trained encoder was loaded
    assert "(n=1, no interval)" in (out / "table.md").read_text() and list((out / "figures").glob("*.png"))

    refused = study(rooms, out)
    assert refused.returncode == 2 and refused.stderr.count("\n") == 1 and "--resume" in refused.stderr
    again = study(rooms, out, "--resume")
    assert again.returncode == 0 and "left about" not in again.stderr and "0 jobs done now" in again.stderr


def test_bad_arguments_are_one_line(rooms: Path, tmp_path: Path) -> None:
    for options, message in (
        (("--jobs", "0"), "--jobs 0"),
        (("--only", "mvent"), "mvent"),
        (("--plan", "--take", "x.jsonl"), "--plan writes nothing"),
        (("--take", "x.jsonl"), "--take x.jsonl: no such file"),
        (("--set", "Study.seads = 1"), "seeds"),
    ):
        done = study(rooms, tmp_path / "out", *options)
        assert done.returncode == 2 and message in done.stderr and done.stderr.count("\n") == 1, done.stderr
