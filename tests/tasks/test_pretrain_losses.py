"""How the pre-training's parts come together: weights, readouts, and what the student is asked for."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from pretrain_parts import TinyTeacher, make_task
from synthetic_room import room_frame
from torch import Tensor, nn

from sparse3d.models.pretrain_net import PretrainNet
from sparse3d.models.student import Student2D
from sparse3d.tasks.consistency.info_nce import InfoNceConsistency
from sparse3d.tasks.consistency.matching import MatchingConsistency
from sparse3d.tasks.consistency.regression import RegressionConsistency
from sparse3d.tasks.pretrain import PretrainTask
from sparse3d.types import ViewBatch


class OtherTeacher(TinyTeacher):
    """Sees the negative."""

    def extract(self, images: Tensor) -> list[Tensor]:
        return super().extract(255 - images)


def stepped(folder: Path, **options: Any) -> tuple[PretrainTask, nn.Module, ViewBatch, float, dict[str, float]]:
    """A task after one step without an update of the network: its loss, and what it logs."""
    task = make_task(folder, "per_view", **options)
    torch.manual_seed(0)
    model = task.build_model()
    data = task.train_dataset()
    frames = [room_frame(k) for k in range(4)]
    frames[0].depth[:, :24] = 0  # cells without a voxel, at every stride
    items = [data.make_item(pair, np.random.default_rng(0)) for pair in (frames[:2], frames[2:])]
    batch = task.collate(items)
    output = task.training_step(model, batch, 0)
    return task, model, batch, float(output.loss.detach()), {k: float(v) for k, v in output.scalars.items()}


def test_the_total_is_the_weighted_sum_of_what_is_logged(room_folder: Path) -> None:
    weights = {"kt_weight": 0.5, "mv_weight": 0.25, "level_weights": (0.3, 2.0)}
    *_, total, logged = stepped(room_folder, **weights)
    fine, coarse = (logged[f"loss/knowledge_transfer_stride{s}"] for s in TinyTeacher.strides)
    assert logged["loss/knowledge_transfer"] == pytest.approx(0.3 * fine + 2.0 * coarse)
    assert total == pytest.approx(0.5 * logged["loss/knowledge_transfer"] + 0.25 * logged["loss/consistency"])
    *_, total, logged = stepped(room_folder, mv_weight=0.0)
    levels = [logged[f"loss/knowledge_transfer_stride{s}"] for s in TinyTeacher.strides]
    assert total == pytest.approx(sum(levels) / 2)  # equally, summing to 1


def disagreement(predicted: Tensor, target: Tensor, kind: str) -> Tensor:
    """Of (C,) vectors."""
    a, b = F.normalize(predicted, dim=0), F.normalize(target, dim=0)
    if kind == "cosine":
        return 1 - (a * b).sum()
    size = len(a) ** 0.5
    return F.smooth_l1_loss(a * size, b * size)


@pytest.mark.parametrize("kind", ["cosine", "smooth_l1"])
def test_the_student_is_asked_for_the_centred_features_of_its_own_view(room_folder: Path, kind: str) -> None:
    task, model, batch, _, logged = stepped(room_folder, kt_kind=kind, mv_weight=0.0)
    images = batch.images.flatten(0, 1)
    with torch.no_grad():
        output = model(batch)
    for level, (stride, features) in enumerate(zip(TinyTeacher.strides, task.teacher.extract(images), strict=True)):
        predicted, mask = output.predictions[level]
        centred = features - features.mean(dim=(0, 2, 3), keepdim=True)  # the first batch's mean is the running mean
        views = []
        for view in range(len(images)):
            cells = torch.nonzero(mask[view]).tolist()
            losses = [disagreement(predicted[view, :, r, c], centred[view, :, r, c], kind) for r, c in cells]
            views.append(torch.stack(losses).mean())
        assert logged[f"loss/knowledge_transfer_stride{stride}"] == pytest.approx(
            float(torch.stack(views).mean()),
            abs=2e-4,  # features are kept in half precision
        )
        assert not bool(mask.all())  # cells without a voxel are there, and do not count


@pytest.mark.parametrize(
    ("options", "taught", "compared"),
    [
        ({"kt_readout": "encoder", "mv_readout": "decoder"}, "encoder", "decoder"),
        ({"kt_readout": "decoder", "mv_readout": "encoder"}, "decoder", "encoder"),
        ({"kt_readout": "decoder", "mv_readout": "encoder", "kt_weight": 0.0}, "encoder", "encoder"),
        ({"kt_readout": "encoder", "mv_readout": "decoder", "mv_weight": 0.0}, "encoder", "encoder"),
    ],
)
def test_each_loss_reads_what_it_is_told_to(
    room_folder: Path, options: dict[str, Any], taught: str, compared: str
) -> None:
    task = make_task(room_folder, **options)
    for net in (task.build_model(), task.build_encoder()):
        assert isinstance(net, PretrainNet)
        assert (net.kt_readout.kind, net.mv_readout.kind) == (taught, compared)
        assert net.decodes == ("decoder" in (taught, compared))


def test_the_consistency_loss_gets_its_options(room_folder: Path) -> None:
    form = partial(InfoNceConsistency, near=0.3)
    found = make_task(room_folder, consistency=form, max_queries=9).consistency
    assert isinstance(found.form, InfoNceConsistency) and found.form.near == 0.3
    assert (found.max_queries, found.map_stride) == (9, 4)


FORMS = (MatchingConsistency, RegressionConsistency, InfoNceConsistency)
# Of every option that a loss may read, another value.
OTHERS = {
    "teacher": OtherTeacher,
    "student": partial(Student2D, hidden=8, depth=2),
    "consistency": partial(MatchingConsistency, coordinate_weight=5.0, max_keys=7),
    "kt_readout": "decoder",
    "mv_readout": "decoder",
    "kt_kind": "smooth_l1",
    "level_weights": (0.1, 0.9),
    "max_queries": 9,
}


@pytest.mark.parametrize(
    "options",
    [
        {"mv_weight": 0.0},
        *({"kt_weight": 0.0, "mv_weight": 1.0, "consistency": form} for form in FORMS),
        *({"consistency": form} for form in FORMS),
    ],
    ids=str,
)
def test_the_options_called_idle_change_nothing_and_all_others_do(room_folder: Path, options: dict[str, Any]) -> None:
    task, *_, usual, _ = stepped(room_folder, **options)
    idle = task.idle_options()
    unread = [name for name, value in OTHERS.items() if stepped(room_folder, **{**options, name: value})[3] == usual]
    assert set(unread) == set(idle)


def test_only_training_moves_the_running_means(room_folder: Path) -> None:
    task, _, batch, *_ = stepped(room_folder, mv_weight=0.0)
    before = [mean["mean"].clone() for mean in task.state_dict()["means"]]
    task.teacher_targets(255 - batch.images.flatten(0, 1), update_mean=False)
    assert all(torch.equal(a, b["mean"]) for a, b in zip(before, task.state_dict()["means"], strict=True))
    task.teacher_targets(255 - batch.images.flatten(0, 1), update_mean=True)
    assert not torch.equal(before[0], task.state_dict()["means"][0]["mean"])
