"""Every gin file that we ship trains: it is built as it stands, on a small room, and takes two steps."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from pathlib import Path

import gin
import pytest
import torch
from fake_scannet import write_scan, write_table
from fake_sunrgbd import write_sunrgbd
from prepared_rooms import write_areas, write_prepared
from shape_files import write_arrays, write_modelnet_meshes, write_scanobjectnn, write_shapenetpart
from synthetic_room import room_frame, write_room

from sparse3d import config, run
from sparse3d.config_paths import packaged_gin_dir
from sparse3d.models.resunet import SRUNet
from sparse3d.preparation.options import PrepareOptions
from sparse3d.preparation.runner import Job, prepare

GIN = packaged_gin_dir()
# Studies and probes train nothing themselves: tests/study and tests/probing run theirs.
OTHERS = (GIN / "base", GIN / "study", GIN / "probe")
LEAVES = sorted(path.relative_to(GIN).as_posix() for path in GIN.rglob("*.gin") if path.parent not in OTHERS)
MOST_LINES = 15
# What makes a run small; each is given where the config has such a value. Everything else is as shipped.
SMALL = {
    "train.steps": "2",
    "train.batch_size": "2",
    "train.workers": "0",
    "train.warmup": "0",
    "train.log_every": "1",
    "train.device": "'cpu'",
    "train.tensorboard": "False",
    "VOXEL_SIZE": "0.2",
    "SRUNet.spec": "'SRUNet14-CPU'",
    "FrameFolder.size": "(64, 48)",
    "FrameFolder.step": "1",
    "MatchingPairs.max_pairs": "2",
    "MatchingPairs.matches": "50",
}


@pytest.fixture(autouse=True)
def no_config_stays() -> Iterator[None]:
    yield
    gin.clear_config()


@pytest.fixture(scope="module")
def room(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten frames on both sides of number 479; any few that follow each other overlap by about a half."""
    folder = write_room(tmp_path_factory.mktemp("room"), [room_frame(k, 13) for k in (0, 3, 6, 9, 12, 1, 4, 7, 2, 8)])
    for k in reversed(range(10)):
        for path in folder.glob(f"frame-{k:06d}.*"):
            path.rename(folder / path.name.replace(f"{k:06d}", f"{473 + k + (k > 5):06d}"))
    return folder


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root as tools/prepare.py writes it, with the splits train and val of one scene each."""
    folder = tmp_path_factory.mktemp("prepared")
    write_table(folder / "source")
    (folder / "source/splits").mkdir()
    for split, name in (("train", "scene0000_00"), ("val", "scene0001_00")):
        write_scan(folder / "source" / name)
        (folder / f"source/splits/{split}.txt").write_text(name + "\n")
    prepare(Job(folder / "source", folder / "root", PrepareOptions(size=(64, 48), frame_skip=1)))
    return folder / "root"


def text_of(name: str) -> str:
    """A gin file with all that it includes."""
    text = (GIN / name).read_text()
    return text + "".join(text_of(included) for included in re.findall(r"""^include ['"](.+)['"]""", text, re.M))


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Prepared rooms with labels and boxes."""
    return write_prepared(tmp_path_factory.mktemp("labelled"), train=2, val=1)


@pytest.fixture(scope="module")
def areas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """S3DIS's six areas, a room each."""
    return write_areas(tmp_path_factory.mktemp("s3dis"))


@pytest.fixture(scope="module")
def sunrgbd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three frames with turned boxes."""
    return write_sunrgbd(tmp_path_factory.mktemp("sunrgbd"))


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Single shapes in every form, by the name of what reads them."""
    folder = tmp_path_factory.mktemp("shapes")
    return {
        "ModelNetShapes": write_modelnet_meshes(folder / "modelnet"),
        "ShapeArrays": write_arrays(folder / "shapes.npz"),
        "ScanObjectNNShapes": write_scanobjectnn(folder / "scanobjectnn"),
        "ShapeNetPartShapes": write_shapenetpart(folder / "shapenetpart"),
    }


def required_roots(leaf: str, roots: dict[str, Path]) -> list[str]:
    """The data roots that the leaf leaves to the command line: the first kind whose mark its text has."""
    text = text_of(leaf)
    kinds = {
        "@train/S3disAreas()": "areas",
        "@train/SunRgbdFrames()": "sunrgbd",
        "@train/PreparedSplit()": "labelled",
        'FrameFolder.split = "train"': "prepared",
    }
    kinds |= {f"@train/{reader}()": reader for reader in roots if reader[0].isupper()}
    root = roots[next((kind for mark, kind in kinds.items() if mark in text), "room")]
    return [f"{name} = {str(root)!r}" for name in re.findall(r"^(\w+) = %gin.REQUIRED", text, re.M)]


def test_there_are_gin_files() -> None:
    assert "pretrain/redkitchen.gin" in LEAVES


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_leaf_names_a_network_that_can_be_built(leaf: str) -> None:
    """The trainings below take a small one: this one is as shipped, with no memory behind it."""
    roots = re.findall(r"^(\w+) = %gin.REQUIRED", text_of(leaf), re.M)
    config.load_config([leaf], [f"{name} = ''" for name in roots])
    with config.configured_calls(), torch.device("meta"):
        assert sum(p.numel() for p in SRUNet().parameters()) > 100_000


def test_clouds_are_shifted_in_training() -> None:
    """Trap: without it a network learns the phase of the voxels' grid."""
    lists = [
        (path.name, entries)
        for path in GIN.rglob("*.gin")
        for entries in re.findall(r"^\w+\.augmentations = \[(.*?)\]", path.read_text(), re.S | re.M)
    ]
    assert {"pretrain.gin", "segmentation.gin", "detection.gin", "shapes.gin", "sunrgbd.gin"} <= {n for n, _ in lists}
    assert [name for name, entries in lists if "@RandomShift()" not in entries] == []


@pytest.mark.parametrize("leaf", LEAVES)
def test_a_leaf_is_short_and_says_what_it_is_for(leaf: str) -> None:
    lines = [line for line in (GIN / leaf).read_text().splitlines() if line.strip()]
    assert len(lines) <= MOST_LINES
    header = " ".join(line for line in lines[: next(k for k, line in enumerate(lines) if line[0] != "#")]).lower()
    assert "hardware: " in header
    assert any(word in header for word in ("time", "minutes", "hours", "not run")), "how long does it take?"
    assert any(word in header for word in ("score", "recall", "what came out", "not run")), "what comes out?"


@pytest.mark.parametrize("leaf", LEAVES)
def test_it_trains(leaf: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    kinds = ("room", "prepared", "labelled", "areas", "sunrgbd")
    single = request.getfixturevalue("shapes")
    roots = required_roots(leaf, {kind: request.getfixturevalue(kind) for kind in kinds} | single)
    config.load_config([leaf], roots)
    text = config.config_text()
    small = [f"{name} = {value}" for name, value in SMALL.items() if f"\n{name} = " in f"\n{text}"]
    measures = [f"{name} = 2" for name in ("train.eval_every", "train.picture_every") if f"\n{name} = 0" not in text]
    run.start([leaf], [*roots, *small, *measures], tmp_path / "run")

    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    trained = [line for line in lines if line["kind"] == "train"]
    assert len(trained) == 2 and all(math.isfinite(line["loss"]) and line["skipped"] == 0 for line in trained)
    measured = [line for line in lines if line["kind"] != "train"]
    assert bool(measured) == bool(measures), "its validation was never run"
    assert all(math.isfinite(value) for line in measured for value in line.values() if isinstance(value, float))
    state = torch.load(tmp_path / "run" / "checkpoints" / "last.pt", weights_only=True)
    assert state["step"] == 2


@pytest.mark.parametrize("leaf", ["pretrain/rooms.gin", "segmentation/rooms.gin", "classification/rooms.gin"])
def test_spawned_workers_make_the_same_batches(leaf: str, request: pytest.FixtureRequest, tmp_path: Path) -> None:
    """They get data and collate function pickled; gin's classes of one scope cannot be, and a task holds such."""
    root = request.getfixturevalue("prepared" if "pretrain" in leaf else "labelled")
    small = [f"{name} = {value}" for name, value in SMALL.items() if f"\n{name} = " in text_of(leaf)]
    quiet = [f"{name} = 0" for name in ("train.eval_every", "train.picture_every")]
    losses = {}
    for workers in ("train.workers = 0", "train.workers = 1"):
        more = [workers, "train.worker_start = 'spawn'"] if workers[-1] == "1" else [workers]
        out = tmp_path / workers[-1]
        run.start([leaf], [f"DATA_ROOT = {str(root)!r}", *small, *quiet, *more, "train.best_metric = None"], out)
        losses[workers] = [json.loads(line)["loss"] for line in (out / "metrics.jsonl").read_text().splitlines()]
    first, second = losses.values()
    assert first == second and len(first) == 2
