"""The detection task with both heads: steps, figures, what a perfect network would get, and rooms learned by heart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from prepared_rooms import write_prepared
from torch import nn

from sparse3d.data.detection_scenes import DetectionScenes, detection_item, known_boxes
from sparse3d.data.labelled_scenes import SceneBatch, collate_scenes
from sparse3d.data.scene_sources import LabelledScene, PreparedSplit
from sparse3d.detection_types import CellPredictions, VotePredictions
from sparse3d.errors import InputError
from sparse3d.losses.detection_sparse import SparseDetectionLoss
from sparse3d.losses.detection_votenet import DenseTruth, VoteNetLoss
from sparse3d.metrics.detection import DetectionAP
from sparse3d.models.detection.box_coding import encode_turn
from sparse3d.models.detection.sparse_head import SparseHead
from sparse3d.models.detection.votenet_head import VoteNetHead
from sparse3d.models.resunet import SRUNet
from sparse3d.tasks.detection import DetectionTask, truth_of
from sparse3d.tasks.detection_evaluation import cleaned, detect_scene, measured
from sparse3d.types import IGNORE, Boxes

CPU = torch.device("cpu")
VOXEL = 0.1
HEADS: dict[str, tuple[Callable[..., nn.Module], Callable[..., Any]]] = {
    "sparse": (lambda *a: SparseHead(*a, voxel_size=VOXEL, strides=(2, 4), hidden=32), SparseDetectionLoss),
    "oriented": (lambda *a: SparseHead(*a, voxel_size=VOXEL, strides=(2, 4), hidden=32, oriented=True),
                 SparseDetectionLoss),
    "coarse": (lambda *a: SparseHead(*a, voxel_size=VOXEL, strides=(8, 16), hidden=32), SparseDetectionLoss),
    "votenet": (lambda *a: VoteNetHead(*a, seeds=256, proposals=64, hidden=32), VoteNetLoss),
    "votenet, coarse seeds": (
        lambda *a: VoteNetHead(*a, seeds=64, proposals=16, hidden=32, stride=2), lambda: VoteNetLoss(overlap_weight=1.0)
    ),
    "votenet, turned": (lambda *a: VoteNetHead(*a, seeds=64, proposals=16, hidden=32, heading_bins=12), VoteNetLoss),
}  # fmt: skip


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_prepared(tmp_path_factory.mktemp("prepared"), 2, 1))


def make_task(root: str, kind: str, **options: Any) -> DetectionTask:
    head, criterion = HEADS[kind]
    arguments: dict[str, Any] = {
        "data": lambda: DetectionScenes(PreparedSplit(root, "train"), VOXEL, None, min_box_points=1),
        "head": head,
        "criterion": criterion,
        "val": lambda: PreparedSplit(root, "val"),
        "backbone": lambda: SRUNet(spec="SRUNet14-CPU", stem_kernel_size=3),
        "voxel_size": VOXEL,
        "points": None,
    }
    return DetectionTask(**{**arguments, **options})


def batch_of(task: DetectionTask) -> SceneBatch:
    data = task.train_dataset()
    return task.collate([data[(0, 0)], data[(1, 1)]])


@pytest.mark.parametrize("kind", HEADS)
def test_every_trained_parameter_has_its_gradient(root: str, kind: str) -> None:
    """Several processes need every parameter in every pass, also where a batch has no box."""
    task = make_task(root, kind)
    torch.manual_seed(0)
    batch, model = batch_of(task), task.build_model()
    nothing = replace(
        batch, boxes=batch.boxes[:0], box_label=batch.box_label[:0], box_item=batch.box_item[:0],
        instance=torch.full_like(batch.instance, -1),
    )  # fmt: skip
    for step, given in enumerate((batch, nothing)):
        model.zero_grad()
        output = task.training_step(model, given, step)
        output.loss.backward()
        assert bool(output.loss.isfinite()) and output.loss.dtype == torch.float32
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                assert parameter.grad is not None and bool(parameter.grad.isfinite().all()), name


def test_figures_are_the_same_twice_and_for_other_rows(root: str) -> None:
    for kind in ("sparse", "votenet"):
        task = make_task(root, kind)
        torch.manual_seed(1)
        model = task.build_model().eval()
        if kind == "sparse":  # an untrained network finds nothing: let it find something
            nn.init.constant_(model.head.classify.bias, 0.0)
        first, second = (dict(task.evaluate(model, CPU)) for _ in range(2))
        assert first == second and {"map25", "map50", "recall25", "recall50"} <= set(first)
        source = PreparedSplit(root, "val")
        scene = source.load(0)
        order = np.random.default_rng(0).permutation(len(scene))
        parts = {name: getattr(scene, name)[order] for name in ("xyz", "rgb", "semantic", "instance")}
        a, b = detect_scene(task, model, scene, CPU), detect_scene(task, model, replace(scene, **parts), CPU)
        assert len(a) > 0 and np.array_equal(a.center, b.center) and np.array_equal(a.size, b.size)


class WithoutBoxes(PreparedSplit):
    """A benchmark's test scenes."""

    def boxes(self, index: int) -> Boxes:
        found = super().boxes(index)
        return found.select(np.zeros(len(found), dtype=bool))


def test_scenes_without_boxes_have_no_figures(root: str) -> None:
    task = make_task(root, "sparse", val=lambda: WithoutBoxes(root, "val"))
    assert dict(task.evaluate(task.build_model().eval(), CPU)) == {}


def turned_scene() -> LabelledScene:
    rng = np.random.default_rng(0)
    boxes = Boxes(
        np.array([[0, 0, 0.5], [3, 0, 0.5], [0, 3, 0.4]]), rng.uniform(0.5, 1.4, (3, 3)), np.array([0.4, -1.0, 2.0]),
        np.array([3, 0, 5]),
    )  # fmt: skip
    xyz = (np.repeat(boxes.center, 300, axis=0) + rng.uniform(-0.2, 0.2, (900, 3))).astype(np.float32)
    none = np.full(len(xyz), IGNORE)
    return LabelledScene("turned", xyz, rng.random((900, 3)).astype(np.float32), none, np.full(len(xyz), -1), boxes)


@pytest.mark.parametrize("turned", [False, True])
def test_perfect_cells_have_average_precision_one(root: str, turned: bool) -> None:
    task = make_task(root, "oriented" if turned else "sparse")
    scene = turned_scene() if turned else PreparedSplit(root, "val").load(0)
    truth = truth_of(collate_scenes([detection_item(scene, VOXEL, None)]))
    count = len(truth)
    total, turn = encode_turn(truth.boxes[:, 3:6], truth.boxes[:, 6])
    size = torch.stack([total, total, truth.boxes[:, 5]], dim=1) if turned else truth.boxes[:, 3:6]
    logits = torch.full((2 * count, 18), -20.0)
    logits[torch.arange(2 * count), truth.label.repeat(2)] = torch.linspace(3, 2, 2 * count)
    output = CellPredictions(
        point=torch.zeros(2 * count, 3), item=torch.zeros(2 * count).long(), level=torch.zeros(2 * count).long(),
        cells=(0.2,), logits=logits, center=truth.boxes[:, :3].repeat(2, 1), size=size.repeat(2, 1),
        turn=turn.repeat(2, 1) if turned else None,
    )  # fmt: skip
    (found,) = task.build_model().head.detect(output, 1)
    assert len(found) == 2 * count
    found = cleaned(found, scene.xyz, task.min_points, task.nms_iou)  # doubles go
    assert len(found) == count
    precision = DetectionAP(task.classes)
    precision.update("scene", found, known_boxes(scene.boxes))
    figures = precision.compute().figures()
    assert figures["map25"] == figures["map50"] == 1.0


@pytest.mark.parametrize("turned", [False, True])
def test_perfect_proposals_have_average_precision_one(root: str, turned: bool) -> None:
    task = make_task(root, "votenet, turned" if turned else "votenet")
    scene = turned_scene() if turned else PreparedSplit(root, "val").load(0)
    dense = DenseTruth.of(truth_of(collate_scenes([detection_item(scene, VOXEL, None)])), 1)
    bins, count = (12, dense.boxes.shape[1]) if turned else (1, dense.boxes.shape[1])
    middle, yaw = dense.boxes[..., :3], torch.remainder(dense.boxes[..., 6], 2 * np.pi) * bins / (2 * np.pi)
    names = nn.functional.one_hot(dense.label, 18) * 30.0
    means = torch.rand(18, 3) + 0.5
    output = VotePredictions(
        seed_row=torch.zeros(1, count).long(), seed_xyz=middle, vote_xyz=middle, proposal_xyz=middle, center=middle,
        objectness=torch.tensor([-9.0, 9.0]).expand(1, count, 2), classes=names,
        heading=nn.functional.one_hot(yaw.round().long() % bins, bins) * 30.0,
        heading_rest=((yaw - yaw.round()) * 2)[..., None].expand(1, count, bins),
        size=names, size_rest=dense.boxes[:, :, None, 3:6] / means - 1, mean_sizes=means,
    )  # fmt: skip
    (found,) = task.build_model().head.detect(output, 1)
    precision = DetectionAP(task.classes)
    precision.update("scene", cleaned(found, scene.xyz, 5, 0.25), known_boxes(scene.boxes))
    assert precision.compute().figures()["map50"] == 1.0


def test_size_bins_are_taken_once_and_stay_with_the_network(root: str) -> None:
    task = make_task(root, "votenet")
    batch, model = batch_of(task), task.build_model()
    task.training_step(model, batch, 0)
    sizes = model.head.mean_sizes.clone()
    assert bool(model.head.sizes_known) and not bool((sizes == 1).all())
    other = make_task(root, "votenet").build_model()
    other.load_state_dict(model.state_dict())
    assert torch.equal(other.head.mean_sizes, sizes) and bool(other.head.sizes_known)


def test_most_voxels_bounds_what_is_made(root: str) -> None:
    task = make_task(root, "sparse", head=lambda *a: SparseHead(*a, voxel_size=VOXEL, strides=(2, 4), most_voxels=160))
    torch.manual_seed(0)
    batch, model = batch_of(task), task.build_model()
    output = model(batch.voxels, batch.moved)
    free = make_task(root, "sparse").build_model()(batch.voxels, batch.moved)
    assert len(output.point) < len(free.point)
    assert bool(task.training_step(model, batch, 0).loss.isfinite())


def test_boxes_without_a_class_are_not_asked_for(root: str) -> None:
    batch = batch_of(make_task(root, "sparse"))
    batch.box_label[1] = IGNORE
    truth = truth_of(batch)
    assert len(truth) == len(batch.boxes) - 1 and bool((truth.label >= 0).all())
    assert torch.equal(truth.instance[batch.instance == 0], torch.zeros_like(truth.instance[batch.instance == 0]))
    assert bool((truth.instance[batch.instance == 1] == -1).all()) and bool(
        (truth.instance[batch.instance == 2] == 1).all()
    )


def test_parts_that_do_not_fit_are_refused(root: str) -> None:
    with pytest.raises(InputError, match="training and evaluation must agree"):
        make_task(root, "sparse", voxel_size=0.2).train_dataset()
    with pytest.raises(InputError, match=r"SparseHead.voxel_size = .* told in the wrong place"):
        make_task(root, "sparse", voxel_size=0.2).build_model()
    with pytest.raises(InputError, match="they must be the same"):
        make_task(root, "sparse", classes="sunrgbd10").train_dataset()
    for kind, criterion in (("sparse", VoteNetLoss), ("votenet", SparseDetectionLoss)):
        task = make_task(root, kind, criterion=criterion)
        batch, model = batch_of(task), task.build_model()
        with pytest.raises(InputError, match=f"criterion = @{criterion.__name__} is not for the configured head"):
            task.training_step(model, batch, 0)
    with pytest.raises(InputError, match="nms_iou = 1"):
        make_task(root, "sparse", nms_iou=1.0)
    with pytest.raises(InputError, match="other box classes"):
        make_task(root, "sparse").load_state_dict({"classes": ["chair"]})


def test_pictures_show_boxes_and_curves(root: str) -> None:
    task = make_task(root, "sparse")
    model = task.build_model().eval()
    nn.init.constant_(model.head.classify.bias, 0.0)
    pictures = dict(task.pictures(model, CPU))
    assert sorted(pictures) == ["boxes/room0002_00", "precision_recall/25", "precision_recall/50"]
    assert all(p.dtype == np.uint8 and p.ndim == 3 for p in pictures.values())
    (_, mesh), *_ = task.meshes(model, CPU)
    assert mesh["vertices"].shape == mesh["colors"].shape and mesh["colors"].dtype == np.uint8


@pytest.mark.parametrize(("kind", "steps", "rate"), [("sparse", 60, 2e-3), ("votenet", 90, 6e-3)])
def test_rooms_are_learned_by_heart(root: str, kind: str, steps: int, rate: float) -> None:
    task = make_task(root, kind)
    torch.manual_seed(0)
    batch, model = batch_of(task), task.build_model()
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])
    for step in range(steps):
        optimizer.param_groups[0]["lr"] = rate * min(1.0, 2 * (1 - step / steps))
        optimizer.zero_grad()
        task.training_step(model, batch, step).loss.backward()
        optimizer.step()
    figures = measured(task, model.eval(), PreparedSplit(root, "train"), CPU).compute().figures()
    assert figures["map25"] > 0.8
