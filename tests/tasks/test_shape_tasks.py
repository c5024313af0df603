"""Classification and part segmentation: they learn, start from a pre-trained encoder, are measured on own points."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from shape_files import points_of, write_arrays, write_scanobjectnn, write_shapenetpart
from torch import Tensor, nn

from sparse3d.data.augment import RandomShift, RandomYaw
from sparse3d.data.shapes.arrays import ShapeArrays
from sparse3d.data.shapes.dataset import LabelledShapes, ShapeGrid, collate_shapes
from sparse3d.data.shapes.scanobjectnn import ScanObjectNNShapes
from sparse3d.data.shapes.shapenetpart import ShapeNetPartShapes
from sparse3d.data.shapes.source import Shape
from sparse3d.errors import InputError
from sparse3d.models.resunet import SPECS, ResUNetSpec, SRUNet
from sparse3d.models.shape_nets import PartSegmenter, ShapeClassifier
from sparse3d.tasks.classification import ClassificationTask
from sparse3d.tasks.parts import PartSegmentationTask, parts_among
from sparse3d.tasks.shapes import ShapeTask, turned
from sparse3d.training.loop import train
from sparse3d.training.settings import TrainSettings
from sparse3d.training.transfer import InitSettings, prepare_transfer
from sparse3d.types import VoxelBatch

CPU = torch.device("cpu")
GRID = ShapeGrid(0.1, points=None)


@pytest.fixture(autouse=True, scope="module")
def tiny_spec() -> Iterator[None]:
    SPECS["tiny-shape"] = ResUNetSpec((16,) * 8, (1,) * 8, stem=16)
    yield
    del SPECS["tiny-shape"]


BACKBONE = partial(SRUNet, spec="tiny-shape", stem_kernel_size=3)


@pytest.fixture(scope="module")
def arrays(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_arrays(tmp_path_factory.mktemp("arrays") / "shapes.npz", count=20))


@pytest.fixture(scope="module")
def parts_root(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(write_shapenetpart(tmp_path_factory.mktemp("parts") / "root"))


def classification(path: str, **options: Any) -> ClassificationTask:
    data = partial(LabelledShapes, ShapeArrays(path, "train"), GRID, [RandomYaw(), RandomShift()])
    defaults: dict[str, Any] = dict(
        grid=GRID, val=partial(ShapeArrays, path, "val"), backbone=BACKBONE, hidden=16, dropout=0.0
    )
    return ClassificationTask(data, **{**defaults, **options})


def part_segmentation(root: str, **options: Any) -> PartSegmentationTask:
    data = partial(LabelledShapes, ShapeNetPartShapes(root, "train"), GRID, [RandomYaw(), RandomShift()])
    val = partial(ShapeNetPartShapes, root, "test")
    return PartSegmentationTask(data, **{**dict(grid=GRID, val=val, backbone=BACKBONE), **options})


def trained(task: ShapeTask, out: Path, steps: int) -> nn.Module:
    train(task, out, settings=TrainSettings(steps=steps, batch_size=4, lr=0.01, device="cpu", tensorboard=False))
    model = task.build_model()  # type: ignore[attr-defined]
    model.load_state_dict(torch.load(out / "checkpoints" / "last.pt", weights_only=True)["model"])
    return model.eval()


def test_classes_are_learnt_and_evaluation_repeats_itself(arrays: str, tmp_path: Path) -> None:
    task = classification(arrays)
    model = trained(task, tmp_path / "run", 25)
    found = dict(task.evaluate(model, CPU))
    assert found["overall_accuracy"] == found["mean_accuracy"] == 1.0
    assert set(found) == {"overall_accuracy", "mean_accuracy", "accuracy/plate", "accuracy/stick"}
    assert dict(task.evaluate(model, CPU)) == found
    names = [name for name, picture in task.pictures(model, CPU) if picture.ndim == 3 and picture.dtype == np.uint8]
    assert names == ["val/confused", "confusion"]


def test_parts_are_learnt_and_measured_on_the_shapes_points(parts_root: str, tmp_path: Path) -> None:
    task = part_segmentation(parts_root)
    model = trained(task, tmp_path / "run", 40)
    found = dict(task.evaluate(model, CPU))
    assert set(found) == {"instance_miou", "category_miou", "iou/Table", "iou/Cap"}
    assert found["instance_miou"] > 0.9
    assert task.val_shapes is not None
    shape = task.val_shapes.load(0)
    probabilities = task.probabilities(model, CPU, [shape])[0]
    assert probabilities.shape == (len(shape), 50)
    assert [name for name, _ in task.pictures(model, CPU)] == ["val/parts"]


class ByTallness(nn.Module):
    """Class 1 where a shape is more than half as high as it is wide along x."""

    def forward(self, voxels: VoxelBatch) -> Tensor:
        scores = torch.zeros(voxels.batch_size, 2)
        for b in range(voxels.batch_size):
            mine = voxels.coords[voxels.coords[:, 0] == b, 1:]
            extent = mine.max(dim=0).values - mine.min(dim=0).values
            scores[b, int(extent[2] > 0.5 * extent[0])] = 9.0
        return scores


def test_accuracies_are_counted_over_all_shapes_in_batches_of_any_size(
    arrays: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    task = classification(arrays, val=partial(ShapeArrays, arrays, "all"))
    found = dict(task.evaluate(ByTallness(), CPU))
    assert found == {"overall_accuracy": 1.0, "mean_accuracy": 1.0, "accuracy/plate": 1.0, "accuracy/stick": 1.0}
    monkeypatch.setattr("sparse3d.tasks.shapes.BATCH", 3)
    assert dict(task.evaluate(ByTallness(), CPU)) == found


def test_the_network_gives_a_shape_the_same_scores_in_any_batch(arrays: str) -> None:
    source, model = ShapeArrays(arrays), ShapeClassifier(BACKBONE, 2, hidden=0).eval()
    items = [GRID.measured(source.load(k)) for k in range(3)]
    with torch.no_grad():
        together = model(collate_shapes(items).voxels)
        alone = torch.cat([model(collate_shapes([item]).voxels) for item in items])
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    model.train()
    model(collate_shapes(items[:1]).voxels).sum().backward()  # a batch may be one shape
    assert all(p.grad is not None for p in model.parameters())


def test_the_kind_of_a_shape_reaches_its_voxels_and_no_others(parts_root: str) -> None:
    source = ShapeNetPartShapes(parts_root, "train")
    batch = collate_shapes([GRID.measured(source.load(k)) for k in (0, 1)])
    model = PartSegmenter(BACKBONE, 16, 50).eval()
    with torch.no_grad():
        first, second = model(batch.voxels, torch.tensor([15, 15])), model(batch.voxels, torch.tensor([15, 2]))
    is_first = batch.voxels.coords[:, 0] == 0
    assert torch.equal(first[is_first], second[is_first]) and not torch.equal(first[~is_first], second[~is_first])


def test_only_parts_of_the_kind_are_answered() -> None:
    probabilities = np.array([[0.6, 0.1, 0.2, 0.1], [0.0, 0.1, 0.2, 0.7]])
    assert parts_among(probabilities, (1, 2)).tolist() == [2, 2]


def test_votes_average_over_turns_and_one_vote_sees_the_shape_as_it_is(arrays: str) -> None:
    shape = ShapeArrays(arrays).load(0)
    assert turned(shape, 0) is shape
    np.testing.assert_allclose(turned(turned(shape, 90), 270).xyz, shape.xyz, atol=1e-6)
    one, four = classification(arrays), classification(arrays, votes=4)
    model = one.build_model().eval()
    single = [one.probabilities(model, CPU, [turned(shape, 90.0 * k)])[0] for k in range(4)]
    np.testing.assert_allclose(four.probabilities(model, CPU, [shape])[0], np.mean(single, axis=0), atol=1e-6)


def test_an_encoder_is_carried_over_without_a_decoder(arrays: str, tmp_path: Path) -> None:
    torch.manual_seed(0)
    donor = SRUNet(spec="tiny-shape", stem_kernel_size=3)
    torch.save({f"backbone.{name}": value for name, value in donor.state_dict().items()}, tmp_path / "donor.pt")
    model = classification(arrays).build_model()
    prepare_transfer(model, InitSettings(checkpoint=str(tmp_path / "donor.pt"), freeze="encoder"))
    for name, value in model.backbone.state_dict().items():
        assert torch.equal(value, donor.state_dict()[name]), name
    assert {name.split(".")[0] for name, p in model.named_parameters() if p.requires_grad} == {
        "norm", "hidden", "classes",
    }  # fmt: skip
    with pytest.raises(InputError, match="the configured network has no decoder"):
        prepare_transfer(model, InitSettings(checkpoint=str(tmp_path / "donor.pt"), parts="all"))
    rates = prepare_transfer(classification(arrays).build_model(), InitSettings(lr_decay=0.5)).lr_scales
    assert rates["backbone.block4.0.conv1.kernel"] == 0.5, "the stage below the head: there is no decoder between"
    prepare_transfer(
        PartSegmenter(BACKBONE, 2, 3), InitSettings(checkpoint=str(tmp_path / "donor.pt"), parts="all")
    )  # whole networks, where there is a decoder


def test_shapes_that_do_not_belong_together_are_refused(arrays: str, parts_root: str, tmp_path: Path) -> None:
    scanned = partial(ScanObjectNNShapes, str(write_scanobjectnn(tmp_path / "scanned")), "test")
    with pytest.raises(
        InputError, match="the training shapes' classes are not those of .*: 2, not 15 .'plate' is on one"
    ):
        classification(arrays, val=scanned).train_dataset()
    with pytest.raises(InputError, match="training and measuring must agree"):
        classification(arrays, grid=ShapeGrid(0.2)).train_dataset()
    whole = PartSegmentationTask(
        partial(LabelledShapes, ShapeArrays(arrays), GRID), GRID, partial(ShapeArrays, arrays), BACKBONE
    )
    with pytest.raises(InputError, match="have no parts"):
        whole.build_model()
    colored = ShapeArrays(arrays)
    colored.colored = True  # type: ignore[misc]
    with pytest.raises(InputError, match="the training shapes' points are without colours, those of .* with;"):
        classification(arrays, val=lambda: colored).train_dataset()
    task = part_segmentation(parts_root)
    state = task.state_dict()
    task.load_state_dict(state)
    with pytest.raises(
        InputError, match="the checkpoint's classes are not those of the shapes at hand: class 0 is 'Cup'"
    ):
        task.load_state_dict({**state, "classes": ["Cup", *state["classes"][1:]]})
    with pytest.raises(
        InputError, match="the checkpoint's points are with colours, those of the shapes at hand without"
    ):
        task.load_state_dict({**state, "colored": True})


def test_sizes_of_both_sides_are_told(tmp_path: Path) -> None:
    root = write_shapenetpart(tmp_path / "parts")
    (root / "04379243" / "shape1.txt").unlink()
    data = partial(LabelledShapes, ShapeNetPartShapes(str(root), "train", missing=True), GRID)
    task = PartSegmentationTask(data, GRID, partial(ShapeNetPartShapes, str(root), "val"), BACKBONE)
    assert dict(task.text()) == {
        "shapes/train": "5 shapes of 16 classes\nleft out: 1",
        "shapes/val": "1 shapes of 16 classes",
    }


def test_shapes_of_one_voxel_each_are_told_from_points(parts_root: str) -> None:
    """As many rows of scores as shapes, and yet they are of voxels."""
    task = part_segmentation(parts_root, grid=ShapeGrid(100.0, "none", None))
    shapes = [task.val_shape(k) for k in range(2)] if task.val_shapes is not None else []
    model = PartSegmenter(BACKBONE, 16, 50).eval()
    found = task.probabilities(model, CPU, shapes)
    assert [len(one) for one in found] == [len(shape) for shape in shapes]


def test_one_small_shape_as_a_batch_is_refused_in_one_line() -> None:
    """It has one voxel on the coarsest level, and batch normalisation has nothing to compare it with."""
    xyz = points_of("stick", 0)
    item = ShapeGrid(0.1, "none").measured(Shape("small", xyz - xyz.min(axis=0), None, 0))
    with pytest.raises(InputError, match="more than 1 value a channel.*raise train.batch_size"):
        ShapeClassifier(BACKBONE, 2)(collate_shapes([item]).voxels)
