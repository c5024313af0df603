"""Segmentation: figures are those of the original points, the same each time, for any order of rows and in pieces."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from prepared_rooms import write_prepared
from torch import Tensor, nn

from sparse3d.data.augment import RandomShift, RandomYaw
from sparse3d.data.labelled_scenes import LabelledScenes
from sparse3d.data.scene_sources import LabelledScene, PreparedSplit
from sparse3d.data.voxel_clouds import voxelize_scene
from sparse3d.errors import InputError
from sparse3d.models.resunet import SPECS, ResUNetSpec, SRUNet
from sparse3d.tasks.segmentation import SegmentationTask
from sparse3d.tasks.segmentation_prediction import ScenePredictor, turned_views
from sparse3d.training.loop import train
from sparse3d.training.settings import TrainSettings
from sparse3d.training.transfer import InitSettings
from sparse3d.types import IGNORE, VoxelBatch

CPU = torch.device("cpu")
VOXEL = 0.1


@pytest.fixture(autouse=True, scope="module")
def tiny_spec() -> Iterator[None]:
    SPECS["tiny-seg"] = ResUNetSpec((16,) * 8, (1,) * 8, stem=16)
    yield
    del SPECS["tiny-seg"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_prepared(tmp_path_factory.mktemp("prepared"), train=2, val=2)


def make_task(root: Path, **options: Any) -> SegmentationTask:
    data = partial(
        LabelledScenes,
        PreparedSplit(str(root), "train"),
        VOXEL,
        crop_points=2500,
        augmentations=[RandomYaw(), RandomShift()],
        **options.pop("data", {}),
    )
    defaults: dict[str, Any] = dict(
        val=partial(PreparedSplit, str(root), "val"),
        backbone=partial(SRUNet, spec="tiny-seg", stem_kernel_size=3),
        predictor=partial(ScenePredictor, VOXEL),
    )
    return SegmentationTask(data=data, **{**defaults, **options})


@pytest.fixture(scope="module")
def trained(root: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[SegmentationTask, nn.Module]:
    """A network that has learned the small rooms roughly."""
    out = tmp_path_factory.mktemp("run") / "run"
    task = make_task(root)
    train(task, out, settings=TrainSettings(steps=60, batch_size=2, lr=0.01, device="cpu", tensorboard=False))
    model = task.build_model()
    model.load_state_dict(torch.load(out / "checkpoints" / "last.pt", weights_only=True)["model"])
    return task, model.eval()


def figures(task: SegmentationTask, model: nn.Module) -> dict[str, float]:
    return dict(task.evaluate(model, CPU))


def test_it_learns_small_rooms_and_evaluation_repeats_itself(trained: tuple[SegmentationTask, nn.Module]) -> None:
    task, model = trained
    found = figures(task, model)
    assert found["overall_accuracy_point"] > 0.8
    assert figures(task, model) == found, "to the last digit"
    assert {"miou_point", "miou_voxel", "mean_accuracy_point", "iou_point/wall"} <= set(found)
    assert not any(name.startswith("miou_tta") for name in found)


class ByHeight(nn.Module):
    """Says class 1 (floor) for voxels in the lowest layer and class 0 (wall) for all others."""

    def forward(self, voxels: VoxelBatch) -> Tensor:
        is_low = (voxels.coords[:, 3] == 0).long()
        return nn.functional.one_hot(is_low, 20).float() * 9


def test_figures_are_counted_over_all_points_of_all_scenes_at_once(root: Path) -> None:
    task = make_task(root, tta=True)
    found = figures(task, ByHeight())
    scenes = [task.val_scenes.load(k) for k in range(2)]  # type: ignore[union-attr]
    truth = np.concatenate([scene.semantic for scene in scenes])
    guess = np.concatenate([(np.floor(s.xyz[:, 2].astype(np.float64) / VOXEL) == 0).astype(int) for s in scenes])
    ious = []
    for label in np.union1d(truth, guess):
        hits = sum(1 for t, g in zip(truth, guess, strict=True) if t == g == label)
        union = sum(1 for t, g in zip(truth, guess, strict=True) if label in (t, g))
        ious.append(hits / union)
    assert found["miou_point"] == pytest.approx(np.mean(ious), abs=1e-12)
    assert found["miou_tta"] == found["miou_point"], "heights do not change under turns about z"
    assert found["miou_voxel"] != found["miou_point"]


class ByOctant(nn.Module):
    """Says which of the eight sectors of 45 degrees about the z axis a voxel's centre lies in."""

    def forward(self, voxels: VoxelBatch) -> Tensor:
        x, y = (voxels.coords[:, 1:3] + 0.5).unbind(dim=1)
        sector = (torch.atan2(y, x) / (torch.pi / 4)).floor().long() % 8
        return nn.functional.one_hot(sector, 8).float() * 9


def test_the_eight_views_put_every_point_once_into_every_octant() -> None:
    cells = np.stack(np.meshgrid(np.arange(-9, 9), np.arange(-9, 9), [0, 1]), axis=-1).reshape(-1, 3) + 0.5
    cells = cells[np.abs(cells[:, 0]) != np.abs(cells[:, 1])]  # none lies between two sectors
    xyz, rgb = (cells * VOXEL).astype(np.float32), np.zeros((len(cells), 3), np.float32)
    predictor = ScenePredictor(VOXEL)
    once = predictor.point_probabilities(ByOctant(), xyz, rgb, CPU)
    assert once.argmax(dim=1).bincount(minlength=8).tolist() == [len(cells) // 8] * 8
    votes = predictor.point_probabilities(ByOctant(), xyz, rgb, CPU, tta=True)
    torch.testing.assert_close(votes, torch.full((len(cells), 8), 1 / 8))


def shuffled(scene: LabelledScene, seed: int) -> tuple[LabelledScene, np.ndarray]:
    order = np.random.default_rng(seed).permutation(len(scene))
    return replace(scene, **{n: getattr(scene, n)[order] for n in ("xyz", "rgb", "semantic", "instance")}), order


@pytest.mark.parametrize("tta", [False, True])
def test_the_order_of_rows_changes_nothing(trained: tuple[SegmentationTask, nn.Module], tta: bool) -> None:
    task, model = trained
    scene = task.val_scenes.load(0)  # type: ignore[union-attr]
    other, order = shuffled(scene, 1)
    first = task.predictor.point_probabilities(model, scene.xyz, scene.rgb, CPU, tta)
    second = task.predictor.point_probabilities(model, other.xyz, other.rgb, CPU, tta)
    assert torch.equal(first[torch.from_numpy(order)], second)
    torch.testing.assert_close(first.sum(dim=1), torch.ones(len(first)))


def test_voxels_are_the_same_bits_in_any_order() -> None:
    """Sums of floats depend on their order: points are brought into one first."""
    rng = np.random.default_rng(0)
    xyz, rgb = rng.uniform(0, 1, (4000, 3)).astype(np.float32), rng.random((4000, 3)).astype(np.float32)
    order = rng.permutation(4000)
    first, second = voxelize_scene(xyz, rgb, 0.3), voxelize_scene(xyz[order], rgb[order], 0.3)
    assert first.feats.tobytes() == second.feats.tobytes() and np.array_equal(first.coords, second.coords)
    assert np.array_equal(first.point2voxel[order], second.point2voxel)


def test_pieces_cover_every_voxel_once_and_stay_small() -> None:
    coords = np.unique(np.random.default_rng(0).integers(-40, 60, (6000, 3)), axis=0).astype(np.int32)
    predictor = ScenePredictor(VOXEL, most_voxels=2500, margin=0.5)
    counted = np.zeros(len(coords), dtype=int)
    sizes = []
    for inside, rows in predictor._pieces(coords):
        counted[rows[inside]] += 1
        sizes.append(len(rows))
        mine, margin = coords[rows[inside]], 5
        near = ((coords[:, :2] >= mine[:, :2].min(0) - margin) & (coords[:, :2] <= mine[:, :2].max(0) + margin)).all(1)
        assert set(np.flatnonzero(near)) <= set(rows.tolist()), "a piece lacks surroundings"
    assert np.all(counted == 1) and len(sizes) > 2 and max(sizes) <= 2500
    assert len(list(ScenePredictor(VOXEL, most_voxels=10**6)._pieces(coords))) == 1


def test_a_scene_in_pieces_is_within_half_a_point_of_the_whole(
    trained: tuple[SegmentationTask, nn.Module], root: Path
) -> None:
    _, model = trained
    whole, cut = make_task(root), make_task(root, predictor=partial(ScenePredictor, VOXEL, 1400, 1.0))
    first, second = figures(whole, model), figures(cut, model)
    scene = whole.val_scenes.load(0)  # type: ignore[union-attr]
    assert len(list(cut.predictor._pieces(cut.predictor.voxels(scene.xyz, scene.rgb).coords))) > 1
    assert second["miou_point"] == pytest.approx(first["miou_point"], abs=0.005)
    assert second["overall_accuracy_point"] == pytest.approx(first["overall_accuracy_point"], abs=0.005)


def test_the_eight_views_are_exact_and_all_different() -> None:
    xyz = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    views = list(turned_views(xyz))
    assert len({view.tobytes() for view in views}) == 8
    for view in views:
        assert np.array_equal(np.sort(np.abs(view[:, :2]), axis=1), np.sort(np.abs(xyz[:, :2]), axis=1))
        assert np.array_equal(view[:, 2], xyz[:, 2])


def test_a_batch_without_labels_has_a_loss_of_0_and_is_counted(root: Path) -> None:
    task = make_task(root, lovasz_weight=0.5)
    model = task.build_model()
    data = task.train_dataset()
    batch = task.collate([data[(0, 1)], data[(1, 2)]])
    output = task.training_step(model, batch, 0)
    assert output.items == 2 and output.loss > 0 and output.scalars["data/batches_without_labels"] == 0
    assert {"loss/cross_entropy", "loss/lovasz", "accuracy"} <= set(output.scalars)
    none = task.training_step(model, replace(batch, semantic=torch.full_like(batch.semantic, IGNORE)), 0)
    none.loss.backward()
    assert none.loss.item() == 0 and none.loss.dtype == torch.float32
    assert none.scalars["data/batches_without_labels"] == 1
    assert all(p.grad is None or bool((p.grad == 0).all()) for p in model.parameters())


def test_class_weights_come_from_the_labels_that_are_trained_on_and_are_kept(root: Path) -> None:
    task = make_task(root, class_weights="inverse_log", data={"points": 100})
    assert task.weights is None
    task.train_dataset()
    assert task.weights is not None and task.weights[0] < task.weights[4] and task.weights[19] == 0
    again = make_task(root, class_weights="inverse_log")
    again.load_state_dict(pickle.loads(pickle.dumps(task.state_dict())))
    again.train_dataset()
    assert torch.equal(again.weights, task.weights), "a resumed run must not count anew"  # type: ignore[arg-type]
    with pytest.raises(InputError, match="3 for 20 classes"):
        make_task(root, class_weights="given", given_weights=(1.0, 2.0, 3.0)).train_dataset()


def test_a_checkpoint_says_which_classes_it_predicts_and_fits_no_others(root: Path) -> None:
    task = make_task(root)
    state = pickle.loads(pickle.dumps(task.state_dict()))
    assert tuple(state["classes"]) == task.class_source.classes.names
    task.load_state_dict(state)
    task.load_state_dict({"class_weights": None})  # as earlier versions wrote it
    swapped = [state["classes"][k] for k in (0, 2, 1, *range(3, 20))]
    with pytest.raises(InputError, match="class 1 is 'cabinet', not 'floor'"):
        task.load_state_dict({**state, "classes": swapped})
    with pytest.raises(InputError, match="18, not 20"):
        task.load_state_dict({**state, "classes": state["classes"][:18]})


@pytest.mark.parametrize(
    "options",
    [{"class_weights": "log"}, {"class_weights": "given"}, {"given_weights": (1.0,)}, {"label_smoothing": 1.0}],
    ids=str,
)
def test_options_that_do_not_fit_are_refused(root: Path, options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match="SegmentationTask"):
        make_task(root, **options)


def test_a_submission_holds_the_benchmarks_id_of_every_vertex(root: Path, tmp_path: Path) -> None:
    task = make_task(root)
    found = task.write_submission(ByHeight(), CPU, tmp_path / "out")
    assert found["miou_point"] == figures(task, ByHeight())["miou_point"]
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["room0002_00.txt", "room0003_00.txt"]
    scene = task.val_scenes.load(0)  # type: ignore[union-attr]
    written = np.loadtxt(tmp_path / "out" / "room0002_00.txt", dtype=int)
    assert np.array_equal(written, np.where(np.floor(scene.xyz[:, 2].astype(np.float64) / VOXEL) == 0, 2, 1))
    before = (tmp_path / "out" / "room0002_00.txt").read_bytes()
    with pytest.raises(InputError, match="out: is not empty; name a new folder, so that predictions do not mix"):
        task.write_submission(ByHeight(), CPU, tmp_path / "out")
    assert (tmp_path / "out" / "room0002_00.txt").read_bytes() == before


def test_pictures_and_the_mesh_show_every_point(trained: tuple[SegmentationTask, nn.Module]) -> None:
    task, model = trained
    figures(task, model)
    drawn = dict(task.pictures(model, CPU))
    assert list(drawn) == ["val/room0002_00", "val/room0003_00", "confusion"]
    assert all(image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 for image in drawn.values())
    task.training_step(model, task.collate([task.train_dataset()[(0, 1)]]), 1)
    assert "confusion" not in dict(task.pictures(model, CPU)), "it was an older network's"
    ((_, mesh),) = task.meshes(model, CPU)
    assert mesh["vertices"].shape == mesh["colors"].shape and mesh["colors"].dtype == np.uint8


def test_a_linear_probe_trains_the_head_alone(root: Path, tmp_path: Path) -> None:
    task = make_task(root)
    settings = TrainSettings(
        steps=3, batch_size=2, lr=0.01, device="cpu", tensorboard=False, checkpoint_every=1, keep=3
    )
    train(task, tmp_path / "run", settings=settings, init=InitSettings(freeze="all"))
    first, last = (
        torch.load(tmp_path / "run" / "checkpoints" / f"step-000000{k}.pt", weights_only=True)["model"] for k in (1, 3)
    )
    changed = {name for name in first if not torch.equal(first[name], last[name])}
    assert changed == {"backbone.final.kernel", "backbone.final.bias"}
    assert "frozen: all of the backbone" in (tmp_path / "run" / "init.txt").read_text()


def test_voxels_of_another_size_in_prediction_than_in_training_are_refused(root: Path) -> None:
    with pytest.raises(InputError, match=r"ScenePredictor.voxel_size = 0.4: training and prediction must agree"):
        make_task(root, predictor=partial(ScenePredictor, 0.4)).train_dataset()


def test_training_scenes_of_other_classes_than_the_validations_are_refused(root: Path) -> None:
    """Class k would mean one thing in the labels and another in the figures."""
    other = partial(PreparedSplit, str(root), "val", classes="scannet200")
    with pytest.raises(InputError, match="training scenes' classes are not the validation scenes': 20, not 200"):
        make_task(root, val=other).train_dataset()


def test_on_resuming_the_configs_class_weights_count(root: Path) -> None:
    given = tuple(float(k) for k in range(1, 21))
    stored = make_task(root, class_weights="inverse_log", data={"points": 100})
    stored.train_dataset()
    for weighting, expected in (("none", None), ("given", given)):
        task = make_task(root, class_weights=weighting, given_weights=expected)
        task.train_dataset()
        task.load_state_dict(stored.state_dict())
        task.train_dataset()
        assert (None if task.weights is None else tuple(task.weights.tolist())) == expected
    counted = make_task(root, class_weights="inverse_log")
    from_given = make_task(root, class_weights="given", given_weights=given)
    from_given.train_dataset()
    counted.load_state_dict(from_given.state_dict())
    counted.train_dataset()
    assert counted.weights is not None and tuple(counted.weights.tolist()) != given


def test_resuming_with_other_rates_of_the_parts_names_the_options(root: Path, tmp_path: Path) -> None:
    settings = TrainSettings(steps=1, batch_size=2, device="cpu", tensorboard=False)
    train(make_task(root), tmp_path / "run", settings=settings)
    with pytest.raises(InputError, match=r"resume with the run's own init.freeze, init.lr_scale and init.lr_decay"):
        train(make_task(root), tmp_path / "run", resume=True, settings=settings, init=InitSettings(lr_decay=0.5))
