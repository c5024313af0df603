"""tools/evaluate.py takes a checkpoint of any task: the same figures as its run logged, from the checkpoint alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import gin
import numpy as np
import pytest
from prepared_rooms import write_prepared
from shape_files import write_arrays, write_shapenetpart

from sparse3d import run
from sparse3d.errors import InputError
from sparse3d.evaluation import evaluate
from sparse3d.evaluation_report import figures_text

SMALL = [
    "train.steps = 2", "train.batch_size = 2", "train.workers = 0", "train.device = 'cpu'", "train.eval_every = 2",
    "train.tensorboard = False", "VOXEL_SIZE = 0.2",
]  # fmt: skip


@pytest.fixture(autouse=True)
def no_config_stays() -> Iterator[None]:
    yield
    gin.clear_config()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evaluate")
    root = write_prepared(folder / "prepared", train=2, val=1)
    run.start(["segmentation/rooms.gin"], [f"DATA_ROOT = {str(root)!r}", *SMALL], folder / "run")
    gin.clear_config()
    return folder


def checkpoint(trained: Path) -> Path:
    return trained / "run" / "checkpoints" / "last.pt"


def test_the_figures_are_those_that_the_run_logged(trained: Path) -> None:
    figures = evaluate(checkpoint(trained))
    lines = [json.loads(line) for line in (trained / "run" / "metrics.jsonl").read_text().splitlines()]
    logged = {k: v for k, v in lines[-1].items() if k not in ("step", "kind", "seconds")}
    assert lines[-1]["kind"] == "val" and {k: v for k, v in figures.items() if k != "task"} == logged
    text = figures_text(figures)
    assert "miou_point" in text and "wall" in text and len({len(line) for line in text.splitlines()[-3:]}) == 1


def test_another_split_other_data_and_options_hold(trained: Path, tmp_path: Path) -> None:
    root = write_prepared(tmp_path / "other", train=1, val=2)
    on_train = evaluate(checkpoint(trained), split="train", data=str(root))
    assert on_train["miou_point"] != evaluate(checkpoint(trained))["miou_point"]
    assert "miou_tta" in evaluate(checkpoint(trained), bindings=("SegmentationTask.tta = True",))


def test_a_useless_option_is_told_before_anything_is_measured(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: object) -> None:
        raise AssertionError("measured")

    monkeypatch.setattr("sparse3d.tasks.segmentation.SegmentationTask.evaluate_scenes", never)
    for options in ({}, {"submission": str(tmp_path / "out")}):
        with pytest.raises(InputError, match="nothing in this run uses init.lr_scale"):
            evaluate(checkpoint(trained), bindings=("init.lr_scale = 0.5",), **options)
    assert not (tmp_path / "out").exists()


def test_scenes_without_labels_get_a_submission_and_no_figures(trained: Path, tmp_path: Path) -> None:
    root = write_prepared(tmp_path / "test", train=1, val=1)
    record = root / "scenes" / "room0001_00" / "scene.json"
    record.write_text(record.read_text().replace('"labels": true', '"labels": false'))
    options = {"data": str(root), "submission": str(tmp_path / "out")}
    with pytest.raises(InputError, match="has no labels"):
        evaluate(checkpoint(trained), **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="has no effect: it is of a training"):
        evaluate(checkpoint(trained), **options, bindings=("train.lr = 5.0",))  # type: ignore[arg-type]
    evaluate(checkpoint(trained), **options, bindings=("val/PreparedSplit.labelled = False",))  # type: ignore[arg-type]
    ids = (tmp_path / "out" / "room0001_00.txt").read_text().split()
    assert len(ids) > 100 and set(map(int, ids)) <= {*range(1, 13), 14, 16, 24, 28, 33, 34, 36, 39}


def test_options_of_other_tasks_are_refused(trained: Path) -> None:
    for options in ({"pairs": 3}, {"frames": {"first": 1}}):
        with pytest.raises(InputError, match="for checkpoints of a pre-training"):
            evaluate(checkpoint(trained), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("leaf", "figure", "split"),
    [("classification/arrays.gin", "overall_accuracy", "all"), ("parts/shapenetpart.gin", "instance_miou", "val")],
)
def test_tasks_on_single_shapes_are_measured_as_their_runs_were(
    leaf: str, figure: str, split: str, tmp_path: Path
) -> None:
    arrays = "arrays" in leaf
    root = write_arrays(tmp_path / "shapes.npz") if arrays else write_shapenetpart(tmp_path / "shapes")
    run.start([leaf], [f"DATA_ROOT = {str(root)!r}", *SMALL], tmp_path / "run")
    gin.clear_config()
    last = tmp_path / "run" / "checkpoints" / "last.pt"
    figures = evaluate(last)
    logged = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert figures[figure] == logged[figure] and figures["task"] in ("classification", "parts")
    others = evaluate(last, split=split)
    assert figure in others
    assert arrays or ("iou/Cap" in figures and "iou/Cap" not in others), "the one shape of val is a table"
    with pytest.raises(InputError, match="split = 'nowhere'"):
        evaluate(last, split="nowhere")
    with pytest.raises(InputError, match="has no benchmark's form to write"):
        evaluate(last, submission=str(tmp_path / "upload"))


def test_data_of_other_classes_are_named_and_not_taken_for_another_network(tmp_path: Path) -> None:
    root = write_arrays(tmp_path / "shapes.npz")
    run.start(["classification/arrays.gin"], [f"DATA_ROOT = {str(root)!r}", *SMALL], tmp_path / "run")
    gin.clear_config()
    with np.load(root) as stored:
        np.savez(tmp_path / "more.npz", **{**dict(stored), "classes": np.array(["plate", "stick", "ball"])})
    with pytest.raises(InputError, match="classes are not those of the shapes at hand: 2, not 3 .'ball' is on one"):
        evaluate(tmp_path / "run" / "checkpoints" / "last.pt", data=str(tmp_path / "more.npz"))


@pytest.mark.parametrize(
    "bindings",
    [
        ["val/PreparedSplit.split = 'train'"],
        ["LabelledScenes.source = @val/PreparedSplit()"],
    ],
)
def test_what_was_trained_can_be_evaluated_though_its_config_has_lost_what_was_overridden(
    bindings: list[str], trained: Path, tmp_path: Path
) -> None:
    """Trap: macros and scopes that only overridden statements referred to stay in a checkpoint's config."""
    root = str(trained / "prepared")
    run.start(["segmentation/rooms.gin"], [f"DATA_ROOT = {root!r}", *SMALL, *bindings], tmp_path / "run")
    assert "miou_point" in evaluate(tmp_path / "run" / "checkpoints" / "last.pt")
    with pytest.raises(InputError, match="nothing refers to the macro VAL_SPLT"):
        evaluate(tmp_path / "run" / "checkpoints" / "last.pt", bindings=("VAL_SPLT = 'val'",))


def test_a_best_metric_without_anything_measured_says_that_there_is_no_best_checkpoint(
    trained: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    given = [f"DATA_ROOT = {str(trained / 'prepared')!r}", *SMALL, "SegmentationTask.val = None"]
    run.start(["segmentation/rooms.gin"], given, tmp_path / "run")
    assert "nothing is measured, so train.best_metric = 'miou_point' chooses no checkpoint" in capfd.readouterr().err
    assert not (tmp_path / "run" / "checkpoints" / "best.pt").exists()
