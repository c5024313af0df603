"""Checkpoints of every task, trained for two steps; then their data and folders are taken away."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import gin
import pytest
from prepared_rooms import write_prepared
from shape_files import write_arrays, write_shapenetpart

from sparse3d import run
from tools import predict

SHORT = (
    "train.steps = 2",
    "train.warmup = 0",
    "train.workers = 0",
    "train.device = 'cpu'",
    "train.tensorboard = False",
)
SMALL = (
    *SHORT,
    "train.batch_size = 2",
    "VOXEL_SIZE = 0.1",
    "SRUNet.spec = 'SRUNet14-CPU'",
    "SRUNet.stem_kernel_size = 3",
)


@pytest.fixture
def tool(monkeypatch: pytest.MonkeyPatch) -> Callable[..., int]:
    """Runs the command in this process; gives its exit code."""

    def run_tool(*arguments: object) -> int:
        monkeypatch.setattr(sys, "argv", ["predict.py", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            predict.main()
        return int(ended.value.code or 0)

    return run_tool


@pytest.fixture
def small() -> tuple[str, ...]:
    """Bindings of a training of two steps."""
    return SMALL


@pytest.fixture(autouse=True)
def no_config_stays() -> Iterator[None]:
    yield
    gin.clear_config()


@pytest.fixture(scope="session")
def rooms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rooms to train on and one to look at, as tools/prepare.py writes them."""
    return write_prepared(tmp_path_factory.mktemp("rooms") / "prepared")


def moved_checkpoint(
    factory: pytest.TempPathFactory, name: str, config: str, data: Path, more: Sequence[str] = ()
) -> Path:
    """A checkpoint that lies somewhere else than it was written, while the data it was trained on are gone."""
    work = factory.mktemp(name)
    shutil.copytree(data, work / "data")
    bindings = [f"DATA_ROOT = {str(work / 'data')!r}", *SMALL, *more]
    run.start([config], bindings, work / "run")
    gin.clear_config()
    target = factory.mktemp(f"{name}-moved") / f"{name}.pt"
    shutil.move(work / "run" / "checkpoints" / "last.pt", target)
    shutil.rmtree(work)
    return target


@pytest.fixture(scope="session")
def segmenter(tmp_path_factory: pytest.TempPathFactory, rooms: Path) -> Path:
    return moved_checkpoint(tmp_path_factory, "segmenter", "segmentation/rooms.gin", rooms)


@pytest.fixture(scope="session")
def detector(tmp_path_factory: pytest.TempPathFactory, rooms: Path) -> Path:
    """After two steps scores are low: all candidates are kept."""
    more = ["SparseHead.score = 0.0", "SparseHead.most_boxes = 60"]
    return moved_checkpoint(tmp_path_factory, "detector", "detection/rooms_sparse.gin", rooms, more)


@pytest.fixture(scope="session")
def pretrained(tmp_path_factory: pytest.TempPathFactory, room_folder: Path) -> Path:
    more = [
        "FrameFolder.size = (64, 48)",
        "train/FrameFolder.part = (0.0, 1.0)",
        "PretrainTask.val = None",
        "train.eval_every = 0",
        "train.picture_every = 0",
        "EfficientNetLite0Teacher.pretrained = False",
    ]
    return moved_checkpoint(tmp_path_factory, "pretrained", "pretrain/frames.gin", room_folder, more)


@pytest.fixture(scope="session")
def classifier(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of single shapes without colours, trained until it tells plates from sticks; its data are gone."""
    folder = tmp_path_factory.mktemp("classifier")
    data = write_arrays(folder / "shapes.npz", count=20)
    longer = ["train.steps = 40", "train.batch_size = 4"]
    run.start(["classification/arrays.gin"], [f"DATA_ROOT = {str(data)!r}", *SMALL, *longer], folder / "run")
    gin.clear_config()
    data.unlink()
    return folder / "run" / "checkpoints" / "last.pt"


@pytest.fixture(scope="session")
def object_classifier(tmp_path_factory: pytest.TempPathFactory, rooms: Path) -> Path:
    """Of the objects of rooms, which have colours."""
    return moved_checkpoint(
        tmp_path_factory, "objects", "classification/rooms.gin", rooms, ["train.best_metric = None"]
    )


@pytest.fixture(scope="session")
def part_segmenter(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A checkpoint, and the ShapeNetPart of sorts that it was trained on."""
    folder = tmp_path_factory.mktemp("part_segmenter")
    root = write_shapenetpart(folder / "shapes")
    lists = ["train/ShapeNetPartShapes.split = 'train'", "train.best_metric = None"]
    run.start(["parts/shapenetpart.gin"], [f"DATA_ROOT = {str(root)!r}", *lists, *SMALL], folder / "run")
    gin.clear_config()
    return folder / "run" / "checkpoints" / "last.pt", root
