"""A checkpoint alone is a model: without its data, its folder or its order of points."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import gin
import numpy as np
import pytest
import torch
from prepared_rooms import room_points

import sparse3d
from sparse3d import config, run
from sparse3d.data.s3dis_scenes import S3DIS13
from sparse3d.data.scannet.classes import SCANNET18, SCANNET20
from sparse3d.data.sunrgbd_scenes import SUNRGBD10
from sparse3d.errors import InputError
from sparse3d.prediction.checkpoint_config import list_of
from sparse3d.prediction.model import Model, SegmentationPrediction
from sparse3d.sparse.backend import multiplying
from sparse3d.tasks.detection_evaluation import detect_scene
from sparse3d.training.checkpoint import load_checkpoint
from sparse3d.types import Boxes

Cloud = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def cloud() -> Cloud:
    """A room that nothing was trained on: metres, and colours as bytes."""
    arrays = room_points(7)
    return arrays["xyz"], arrays["rgb"]


def same_boxes(one: Boxes, other: Boxes) -> bool:
    return all(np.array_equal(getattr(one, f), getattr(other, f)) for f in ("center", "size", "yaw", "label", "score"))


# Loading


def test_what_the_checkpoint_says_of_itself(segmenter: Path, detector: Path, pretrained: Path) -> None:
    models = [sparse3d.load(path, "cpu") for path in (segmenter, detector, pretrained)]
    assert [m.task for m in models] == ["segmentation", "detection", "pretrain"]
    assert [m.classes for m in models] == [SCANNET20.names, SCANNET18.names, ()]
    assert [len(m.colors) for m in models] == [20, 18, 0]
    for known in (SCANNET20, S3DIS13, SUNRGBD10):
        assert list_of(known.names) is known, "the data set's own colours"
    assert [m.voxel_size for m in models] == [0.1] * 3 and [m.step for m in models] == [2] * 3
    assert [m.config_text for m in models] == [load_checkpoint(m.checkpoint)["config"] for m in models]
    assert not any(m.network.training for m in models)


def test_loading_leaves_the_callers_config_and_random_numbers_alone(segmenter: Path) -> None:
    config.load_config(["segmentation/rooms.gin"], ["DATA_ROOT = 'somewhere'", "train.lr = 0.125"])
    text, locked = config.config_text(), gin.config.config_is_locked()
    torch.manual_seed(5)
    wanted = torch.rand(3)
    torch.manual_seed(5)
    sparse3d.load(segmenter, "cpu")
    assert torch.equal(torch.rand(3), wanted)
    assert config.config_text() == text and gin.query_parameter("train.lr") == 0.125
    assert gin.config.config_is_locked() == locked


def test_two_models_live_side_by_side(segmenter: Path, detector: Path, cloud: Cloud) -> None:
    first = sparse3d.load(segmenter, "cpu")
    alone = first.predict(*cloud)
    second = sparse3d.load(detector, "cpu")
    second.predict(*cloud)
    again = first.predict(*cloud)
    assert isinstance(alone, SegmentationPrediction) and isinstance(again, SegmentationPrediction)
    assert np.array_equal(alone.probabilities, again.probabilities)


def test_a_root_that_the_config_leaves_open_is_not_asked_for(segmenter: Path, tmp_path: Path) -> None:
    state = load_checkpoint(segmenter)
    state["config"] = re.sub(r"^DATA_ROOT = .*$", "DATA_ROOT = %gin.REQUIRED", state["config"], flags=re.MULTILINE)
    assert "%gin.REQUIRED" in state["config"]
    torch.save(state, tmp_path / "open.pt")
    assert sparse3d.load(tmp_path / "open.pt", "cpu").classes == SCANNET20.names


def test_a_file_that_is_no_checkpoint_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="none.pt does not exist"):
        sparse3d.load(tmp_path / "none.pt")
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(InputError, match="text.pt cannot be read"):
        sparse3d.load(tmp_path / "text.pt")


def test_a_task_that_is_not_known_is_named(segmenter: Path, tmp_path: Path) -> None:
    torch.save({**load_checkpoint(segmenter), "task_name": "juggling"}, tmp_path / "odd.pt")
    with pytest.raises(InputError, match="'juggling': known are segmentation, detection, pretrain"):
        sparse3d.load(tmp_path / "odd.pt")


# Answers


def configured_task(checkpoint: Path, root: Path) -> tuple[object, torch.nn.Module]:
    """The task as evaluation builds it: with its data."""
    state = load_checkpoint(checkpoint)
    config.load_config_text(state["config"], [f"DATA_ROOT = {str(root)!r}"])
    task = run.build_task()
    network = task.build_model()
    network.load_state_dict(state["model"])
    return task, network.eval()


def test_labels_are_those_of_the_tasks_own_evaluation(segmenter: Path, rooms: Path) -> None:
    task, network = configured_task(segmenter, rooms)
    found: dict[str, np.ndarray] = {}
    figures = dict(task.evaluate_scenes(network, torch.device("cpu"), found.__setitem__))  # type: ignore[attr-defined]
    scene = task.val_scenes.load(0)  # type: ignore[attr-defined]
    answer = sparse3d.load(segmenter, "cpu").predict(scene.xyz, scene.rgb)
    assert isinstance(answer, SegmentationPrediction)
    assert figures and np.array_equal(answer.labels, found[scene.name])


def test_products_are_those_of_the_checkpoint_and_not_of_the_process(
    segmenter: Path, cloud: Cloud, tmp_path: Path
) -> None:
    models = []
    for products in ("float32", "bfloat16"):
        state = load_checkpoint(segmenter)
        state["config"] += f'\nsparse.products = "{products}"\n'
        torch.save(state, tmp_path / f"{products}.pt")
        models.append(sparse3d.load(tmp_path / f"{products}.pt", "cpu"))
    exact, rounded = models
    before = exact.predict(*cloud), rounded.predict(*cloud)
    assert not np.array_equal(before[0].probabilities, before[1].probabilities)  # type: ignore[union-attr]
    with multiplying("bfloat16"):  # as a run in this process may have left it
        after = exact.predict(*cloud), rounded.predict(*cloud)
    for old, new in zip(before, after, strict=True):
        assert np.array_equal(old.probabilities, new.probabilities)  # type: ignore[union-attr]


def test_boxes_are_those_of_the_tasks_own_evaluation(detector: Path, rooms: Path) -> None:
    task, network = configured_task(detector, rooms)
    scene = task.val_scenes.load(0)  # type: ignore[attr-defined]
    wanted = detect_scene(task, network, scene, torch.device("cpu"))  # type: ignore[arg-type]
    answer = sparse3d.load(detector, "cpu").predict(scene.xyz, scene.rgb)
    assert isinstance(answer, Boxes) and len(answer) == len(wanted) > 0
    assert np.array_equal(answer.label, wanted.label) and answer.score is not None and wanted.score is not None
    assert np.allclose(answer.center, wanted.center, atol=1e-4) and np.allclose(answer.score, wanted.score, atol=1e-5)


def test_kinds_and_sums_of_a_segmentation(segmenter: Path, cloud: Cloud) -> None:
    answer = sparse3d.load(segmenter, "cpu").predict(*cloud)
    assert isinstance(answer, SegmentationPrediction)
    assert answer.labels.dtype == np.int64 and answer.labels.shape == (len(cloud[0]),)
    assert answer.probabilities.dtype == np.float32 and answer.probabilities.shape == (len(cloud[0]), 20)
    assert np.allclose(answer.probabilities.sum(axis=1), 1, atol=1e-5)
    assert np.array_equal(answer.probabilities.argmax(axis=1), answer.labels)


def test_boxes_are_scored_in_falling_order(detector: Path, cloud: Cloud) -> None:
    boxes = sparse3d.load(detector, "cpu").predict(*cloud)
    assert isinstance(boxes, Boxes) and boxes.score is not None and len(boxes)
    assert (np.diff(boxes.score) <= 0).all() and boxes.label.max() < 18


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_the_points_changes_no_bit(
    seed: int, segmenter: Path, detector: Path, pretrained: Path, cloud: Cloud
) -> None:
    xyz, rgb = np.concatenate([cloud[0], cloud[0][:50]]), np.concatenate([cloud[1], cloud[1][:50]])
    rows = np.random.default_rng(seed).permutation(len(xyz))
    model = sparse3d.load(segmenter, "cpu")
    straight, mixed = model.predict(xyz, rgb), model.predict(xyz[rows], rgb[rows])
    assert isinstance(straight, SegmentationPrediction) and isinstance(mixed, SegmentationPrediction)
    assert np.array_equal(straight.probabilities[rows], mixed.probabilities)
    model = sparse3d.load(detector, "cpu")
    first, second = model.predict(xyz, rgb), model.predict(xyz[rows], rgb[rows])
    assert isinstance(first, Boxes) and isinstance(second, Boxes) and same_boxes(first, second)
    model = sparse3d.load(pretrained, "cpu")
    assert np.array_equal(model.features(xyz, rgb)[rows], model.features(xyz[rows], rgb[rows]))


def test_colours_as_bytes_whole_numbers_and_floats_are_the_same(segmenter: Path, cloud: Cloud) -> None:
    model, (xyz, rgb) = sparse3d.load(segmenter, "cpu"), cloud
    kinds = (rgb, rgb.astype(np.int64), rgb.astype(np.float32) / np.float32(255), torch.from_numpy(rgb))
    answers = [model.predict(xyz, colors) for colors in kinds]
    assert all(isinstance(a, SegmentationPrediction) for a in answers)
    assert all(np.array_equal(answers[0].probabilities, a.probabilities) for a in answers)  # type: ignore[union-attr]


def test_features_are_the_backbones_on_every_voxel(pretrained: Path, cloud: Cloud) -> None:
    model = sparse3d.load(pretrained, "cpu")
    features = model.features(*cloud)
    assert features.dtype == np.float32 and features.shape[0] == len(cloud[0]) and np.isfinite(features).all()
    voxel = np.floor(cloud[0].astype(np.float64) / model.voxel_size)
    _, first, back = np.unique(voxel, axis=0, return_index=True, return_inverse=True)
    assert np.array_equal(features, features[first][back.reshape(-1)])  # one feature a voxel
    assert features.std(axis=0).max() > 0
    saved = torch.load(pretrained, weights_only=True)["model"]
    assert features.shape[1] == len(saved["mv_readout.levels.0.bias"]), "what views are compared by"
    held = model.network.state_dict()
    assert torch.equal(held["net.mv_readout.levels.4.weight"], saved["mv_readout.levels.4.weight"])


def test_a_large_cloud_is_cut_and_comes_out_nearly_the_same(segmenter: Path, pretrained: Path) -> None:
    xyz, rgb = room_points(3)["xyz"], room_points(3)["rgb"]
    wide = np.concatenate([xyz + (3.2 * k, 0, 0) for k in range(4)])
    colors = np.concatenate([rgb] * 4)
    for path in (segmenter, pretrained):
        model = sparse3d.load(path, "cpu")
        ask: Callable[..., object] = model.predict if path == segmenter else model.features
        whole = ask(wide, colors)
        assert model._scenes is not None
        model._scenes.most_voxels = 1500
        cut = ask(wide, colors)
        if isinstance(whole, SegmentationPrediction) and isinstance(cut, SegmentationPrediction):
            assert (whole.labels == cut.labels).mean() > 0.95
        else:
            assert np.shape(whole) == np.shape(cut) and np.isfinite(cut).all()  # type: ignore[call-overload]


def test_a_single_point_has_an_answer(segmenter: Path, detector: Path, pretrained: Path) -> None:
    xyz, rgb = np.array([[0.3, 0.2, 0.1]]), np.array([[0.5, 0.5, 0.5]])
    answer = sparse3d.load(segmenter, "cpu").predict(xyz, rgb)
    assert isinstance(answer, SegmentationPrediction) and answer.labels.shape == (1,)
    assert isinstance(sparse3d.load(detector, "cpu").predict(xyz, rgb), Boxes)
    assert len(sparse3d.load(pretrained, "cpu").features(xyz, rgb)) == 1


# Bad input

BAD: list[tuple[object, object, str]] = [
    (np.zeros((0, 3)), np.zeros((0, 3)), "no points"),
    ([], [], "no points"),
    (np.zeros((4, 2)), np.zeros((4, 3)), r"points have shape \(4, 2\): give \(N, 3\)"),
    (np.zeros((4, 3)), np.zeros((4, 4)), r"colours have shape \(4, 4\)"),
    (np.zeros(12), np.zeros((4, 3)), r"shape \(12,\)"),
    (np.zeros((4, 3)), np.zeros((3, 3)), "4 points and 3 colours"),
    (np.array([[0, 0, 0], [0, np.nan, 1]]), np.zeros((2, 3)), "1 of 2 points have coordinates .* row 1"),
    (np.zeros((2, 3)), np.array([[0, 0, np.inf], [0, 0, 1]]), "colours that are not finite, the first is row 0"),
    (np.zeros((2, 3)), np.full((2, 3), 128.0), r"a colour is 128.0: give floats in \[0, 1\], or uint8"),
    (np.zeros((2, 3)), np.full((2, 3), -0.5), "a colour is -0.5"),
    (np.zeros((2, 3)), np.full((2, 3), 300), "a colour is 300: give whole numbers from 0 to 255"),
    (np.array([["a", "b", "c"]]), np.zeros((1, 3)), "points are of type <U1"),
    (np.full((2, 3), 5e5), np.zeros((2, 3)), "500000 m from the origin"),
]


@pytest.mark.parametrize(("points", "colors", "message"), BAD)
def test_input_that_cannot_be_used_is_an_error_of_one_line(
    points: object, colors: object, message: str, segmenter: Path
) -> None:
    model = sparse3d.load(segmenter, "cpu")
    with pytest.raises(InputError, match=message) as caught:
        model.predict(points, colors)
    assert isinstance(caught.value, ValueError) and "\n" not in str(caught.value)


def test_millimetres_are_warned_of(segmenter: Path, cloud: Cloud, caplog: pytest.LogCaptureFixture) -> None:
    model = sparse3d.load(segmenter, "cpu")
    model.predict(cloud[0] * 1000, cloud[1])
    assert "millimetres" in caplog.text


def test_the_other_tasks_method_says_what_to_do(
    segmenter: Path, detector: Path, pretrained: Path, cloud: Cloud
) -> None:
    with pytest.raises(InputError, match="use features"):
        sparse3d.load(pretrained, "cpu").predict(*cloud)
    with pytest.raises(InputError, match="for pre-trained networks"):
        sparse3d.load(segmenter, "cpu").features(*cloud)
    with pytest.raises(InputError, match="tta"):
        sparse3d.load(detector, "cpu").predict(*cloud, tta=True)


def test_the_model_is_described_in_a_line(segmenter: Path) -> None:
    model: Model = sparse3d.load(segmenter, "cpu")
    assert "segmentation, 20 classes, step 2, on cpu" in repr(model)
