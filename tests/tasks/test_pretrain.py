"""The pre-training task: every form trains, batches are means, nothing frozen moves, many processes equal one."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.multiprocessing as mp
from pretrain_parts import TinyTeacher, make_task
from synthetic_room import room_frame
from torch import nn

from sparse3d.data.view_sets import ViewItem
from sparse3d.errors import InputError
from sparse3d.models.teachers.base import CellAxis, Centers
from sparse3d.models.teachers.hub import SamTeacher
from sparse3d.tasks.consistency.info_nce import InfoNceConsistency
from sparse3d.tasks.consistency.matching import MatchingConsistency
from sparse3d.tasks.consistency.regression import RegressionConsistency
from sparse3d.tasks.pretrain import PretrainTask
from sparse3d.training.loop import train
from sparse3d.training.settings import TrainSettings

CPU = torch.device("cpu")
FORMS: list[dict[str, Any]] = [
    {"consistency": MatchingConsistency, "kt_weight": 0.0},
    {"consistency": RegressionConsistency, "kt_weight": 0.0},
    {"consistency": InfoNceConsistency, "kt_weight": 0.0, "cloud": "per_view"},
    {"mv_weight": 0.0, "cloud": "shared"},
    {"mv_weight": 0.0, "cloud": "per_view", "kt_kind": "smooth_l1"},
    {"consistency": MatchingConsistency, "views": 3},
    {"consistency": InfoNceConsistency, "kt_readout": "encoder", "mv_readout": "encoder"},
    {"consistency": MatchingConsistency, "kt_readout": "both", "mv_readout": "both"},
    {"consistency": MatchingConsistency, "kt_readout": "encoder"},
    {"consistency": RegressionConsistency, "mv_readout": "encoder", "cloud": "both"},
]


def form_name(options: dict[str, Any]) -> str:
    return " ".join(f"{key}={getattr(value, '__name__', value)}" for key, value in options.items())


def model_of(task: PretrainTask, seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return task.build_model()


def run_steps(task: PretrainTask, model: nn.Module, batch: Any, count: int, amp: bool = False) -> list[float]:
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 5e-3)
    losses = []
    model.train()
    for step in range(count):
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=amp):
            output = task.training_step(model, batch, step)
        assert output.loss.dtype == torch.float32 and output.loss.ndim == 0
        output.loss.backward()
        optimizer.step()
        losses.append(float(output.loss.detach()))
    return losses


@pytest.mark.parametrize("options", FORMS, ids=form_name)
def test_every_form_trains_and_every_parameter_takes_part(room_folder: Path, options: dict[str, Any]) -> None:
    task = make_task(room_folder, **options)
    model, data = model_of(task), task.train_dataset()
    batch = task.collate([data[(0, 0)]])
    losses = run_steps(task, model, batch, 15)
    assert losses[-1] < 0.9 * losses[0]
    assert not [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]


def test_losses_are_float32_and_finite_under_bfloat16(room_folder: Path) -> None:
    task = make_task(room_folder)
    batch = task.collate([task.train_dataset()[(0, 0)]])
    losses = run_steps(task, model_of(task), batch, 3, amp=True)
    plain = run_steps(task, model_of(task), batch, 3)
    assert all(map(math.isfinite, losses)) and losses[0] == pytest.approx(plain[0], rel=0.05)


@pytest.mark.parametrize("options", FORMS, ids=form_name)
def test_a_batchs_loss_is_the_mean_of_its_items(room_folder: Path, options: dict[str, Any]) -> None:
    """What equality of one process and two rests on."""
    task = make_task(room_folder, **options)
    model, data = model_of(task), task.train_dataset()
    items = [data[(k, k)] for k in range(2)]
    run_steps(task, model, task.collate(items), 2)  # batch statistics and the teacher's means
    model.eval()
    state = task.state_dict()
    losses = []
    for batch in (items, items[:1], items[1:]):
        task.load_state_dict(state)
        for mean in task._means or ():
            mean.update = lambda maps: None  # type: ignore[method-assign]
        with torch.no_grad():
            losses.append(float(task.training_step(model, task.collate(batch), 0).loss))
    assert losses[0] == pytest.approx((losses[1] + losses[2]) / 2, rel=1e-4)


@pytest.mark.parametrize("options", FORMS[:3], ids=form_name)
def test_a_pair_without_matches_costs_zero_and_is_counted(room_folder: Path, options: dict[str, Any]) -> None:
    """Pitfall: a pair without matches: infinite loop, fake match, or division by zero."""
    task = make_task(room_folder, **options)
    model, data = model_of(task), task.train_dataset()
    blind = replace(room_frame(1), depth=np.zeros((48, 64), np.float32))
    item: ViewItem = data.make_item([room_frame(0), blind], np.random.default_rng(0))
    output = task.training_step(model, task.collate([item]), 0)
    output.loss.backward()
    assert float(output.loss.detach()) == 0 and output.scalars["data/pairs_without_matches"] == 1
    missing = [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert not missing and all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)


def test_figures_of_a_repeated_view_are_those_of_its_real_pairs(room_folder: Path) -> None:
    task = make_task(room_folder, views=3, kt_weight=0.0)
    model, data = model_of(task), task.train_dataset()
    frames = [room_frame(0), room_frame(1), room_frame(0)]
    item: ViewItem = data.make_item(frames, np.random.default_rng(0))
    scalars = task.training_step(model, task.collate([item]), 0).scalars
    assert scalars["data/matches_per_pair"] == sum(len(match[2]) for match in item.matches) / 4
    assert scalars["data/pairs_without_matches"] == 0
    other = data.make_item([room_frame(k) for k in range(3)], np.random.default_rng(1))
    model.eval()
    with torch.no_grad():
        batches = ([item, other], [item], [other])
        both, first, second = (float(task.training_step(model, task.collate(b), 0).loss) for b in batches)
    assert both == pytest.approx((first + second) / 2, rel=1e-4) and first != pytest.approx(second, rel=1e-3)


@pytest.mark.parametrize("option", ["voxel_size", "max_depth"])
def test_validation_of_other_voxels_than_the_trainings_is_refused(room_folder: Path, option: str) -> None:
    task = make_task(room_folder)
    assert task.val_pairs is not None
    setattr(task.val_pairs, option, 0.33)
    with pytest.raises(InputError, match=rf"MatchingPairs.{option} = 0.33: training and validation must agree"):
        task.train_dataset()


def test_taps_of_one_stride_are_logged_apart(room_folder: Path) -> None:
    task = make_task(room_folder, mv_weight=0.0, map_stride=16)
    batch = task.collate([task.train_dataset()[(0, 0)]])
    strides = task.level_strides(48, 64)
    assert len(set(strides)) < len(strides) == 2
    output = task.training_step(model_of(task), batch, 0)
    parts = [float(v) for name, v in output.scalars.items() if name.startswith("loss/knowledge_transfer_tap")]
    assert len(parts) == 2 and np.mean(parts) == pytest.approx(float(output.scalars["loss/knowledge_transfer"]))


def test_a_teacher_that_resizes_images_is_asked_as_densely_as_it_looks(room_folder: Path) -> None:
    """Of 64 x 48 pixels it sees 128 x 96: its patches of 16 pixels are 8 of the image's."""
    pytest.importorskip("transformers")
    config = {"hidden_size": 16, "output_channels": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "mlp_dim": 16}
    config |= {"image_size": 128, "patch_size": 16, "window_size": 2, "global_attn_indexes": [], "num_pos_feats": 8}
    task = make_task(room_folder, teacher=partial(SamTeacher, config=config), map_stride=2, mv_weight=0.0)
    rows, cols = task.teacher.cell_centers(48, 64)[0]
    assert task.level_strides(48, 64) == (8,) and float(rows[1] - rows[0]) == float(cols[1] - cols[0]) == 8
    assert task.level_strides(480, 640) == (80,)
    batch, model = task.collate([task.train_dataset()[(0, 0)]]), model_of(task)
    predicted, _ = model(batch).predictions[0]
    images = batch.images.flatten(0, 1)
    target = task.teacher_targets(images, update_mean=False)[0]
    assert predicted.shape == target.shape == (2, 8, 6, 8)
    assert "loss/knowledge_transfer_stride8" in task.training_step(model, batch, 0).scalars


class ShiftedTeacher(TinyTeacher):
    """One whose cells look a quarter of a cell further down and right than the blocks they come from."""

    name = "shifted"

    def cell_centers(self, height: int, width: int) -> list[Centers]:
        axes = [[CellAxis(size // s, (s - 1) / 2 + s / 4, s) for size in (height, width)] for s in self.strides]
        return [(rows.centers(), cols.centers()) for rows, cols in axes]


def test_targets_lie_where_the_teacher_says_that_it_looks(room_folder: Path) -> None:
    """Trap: the teacher sampled a quarter of a cell off. Its maps are then those of an image moved by as much."""
    plain = make_task(room_folder, mv_weight=0.0)
    shifted = make_task(room_folder, mv_weight=0.0, teacher=ShiftedTeacher)
    images = plain.collate([plain.train_dataset()[(0, 0)]]).images.flatten(0, 1)
    for level, stride in enumerate(TinyTeacher.strides):
        straight, moved = (task.teacher_targets(images, update_mean=False)[level] for task in (plain, shifted))
        # Between neighbours a quarter of the way back: by three quarters its own value, by one the neighbour before.
        rows = 0.75 * straight[:, :, 1:] + 0.25 * straight[:, :, :-1]
        wanted = 0.75 * rows[:, :, :, 1:] + 0.25 * rows[:, :, :, :-1]
        assert torch.allclose(moved[:, :, 1:, 1:], wanted, atol=1e-3), stride
        assert not torch.allclose(moved, straight, atol=1e-2)


def test_the_teacher_stays_bit_equal_and_out_of_the_model(room_folder: Path) -> None:
    """Pitfall: a teacher in train mode, its BatchNorm drifting."""
    task = make_task(room_folder)
    model = model_of(task)
    before = {name: value.clone() for name, value in task.teacher.state_dict().items()}
    run_steps(task, model, task.collate([task.train_dataset()[(0, 0)]]), 3)
    list(task.evaluate(model, CPU))
    assert all(torch.equal(before[name], value) for name, value in task.teacher.state_dict().items())
    assert not task.teacher.training and not any("teacher" in name for name in model.state_dict())


def test_two_evaluations_are_identical(room_folder: Path) -> None:
    """Pitfall: augmentation left on in validation."""
    task = make_task(room_folder)
    model = model_of(task)
    run_steps(task, model, task.collate([task.train_dataset()[(0, 0)]]), 2)
    first = dict(task.evaluate(model, CPU))
    np.random.seed(5)
    torch.manual_seed(5)
    again = dict(task.evaluate(model, CPU))
    assert first == again and {"recall_aligned", "recall_rotated", "teacher_cosine"} <= set(first)
    assert all(map(math.isfinite, first.values()))


def test_a_validation_pair_without_matches_does_not_spoil_the_figures(room_folder: Path) -> None:
    """Pitfall: a pair without matches; its empty mean made every recall NaN."""
    task = make_task(room_folder)
    pairs = task.val_pairs
    assert pairs is not None
    model, before = model_of(task), pairs.pairs
    one = dict(task.evaluate(model, CPU))
    blind = replace(room_frame(1), depth=np.zeros((48, 64), np.float32))
    pairs.sources = [*pairs.sources, [room_frame(0), blind]]  # type: ignore[list-item]
    pairs.pairs = [*before, (1, 0, 1)]
    two = dict(task.evaluate(model, CPU))
    assert two["recall_aligned"] == one["recall_aligned"] and two["recall_rotated"] == one["recall_rotated"]
    assert all(map(math.isfinite, two.values()))


def test_the_running_means_travel_with_the_checkpoint(room_folder: Path) -> None:
    task, other = make_task(room_folder), make_task(room_folder)
    model = model_of(task)
    run_steps(task, model, task.collate([task.train_dataset()[(0, 0)]]), 2)
    other.load_state_dict(task.state_dict())
    assert dict(task.evaluate(model, CPU)) == dict(other.evaluate(model, CPU))


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"kt_readout": "encoders"}, "PretrainTask.kt_readout"),
        ({"mv_readout": "skip"}, "PretrainTask.mv_readout"),
        ({"kt_kind": "l2"}, "PretrainTask.kt_kind"),
        ({"teacher": None}, "PretrainTask.teacher"),
        ({"kt_weight": 0.0, "mv_weight": 0.0}, "nothing to learn"),
        ({"map_stride": 0}, "map_stride = 0"),
        ({"map_stride": None}, "map_stride = None"),
        ({"max_queries": None}, "max_queries = None"),
        ({"level_weights": (1.0,)}, "PretrainTask.level_weights"),
    ],
)
def test_wrong_options_are_input_errors(room_folder: Path, options: dict[str, Any], named: str) -> None:
    with pytest.raises(InputError, match=named):
        make_task(room_folder, **options).build_model()


def settings(workers: int = 0) -> TrainSettings:
    return TrainSettings(
        steps=2, batch_size=2, optimizer="sgd", lr=0.05, warmup=0, workers=workers, log_every=1, eval_every=2,
        checkpoint_every=2, tensorboard=False, device="cpu",
    )  # fmt: skip


def train_in_one_of_many(rank: int, world: int, port: int, folder: str, out: str) -> None:
    """One process of a run; must be importable by the processes that are spawned."""
    torch.set_num_threads(1)
    os.environ.update(
        RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE=str(world), MASTER_ADDR="127.0.0.1", MASTER_PORT=str(port)
    )
    train(make_task(Path(folder)), out, settings=settings())


def test_two_processes_equal_one(room_folder: Path, tmp_path: Path, free_port: int) -> None:
    """Pitfall: the loss reduced in place before backward; means or batch statistics of one process only."""
    train(make_task(room_folder), tmp_path / "one", settings=settings())
    mp.spawn(train_in_one_of_many, (2, free_port, str(room_folder), str(tmp_path / "two")), nprocs=2)
    one, two = (torch.load(tmp_path / name / "checkpoints" / "last.pt", weights_only=True) for name in ("one", "two"))
    for name, value in one["model"].items():
        torch.testing.assert_close(two["model"][name], value, rtol=1e-4, atol=2e-5, msg=lambda m, n=name: f"{n}: {m}")
    for a, b in zip(one["task"]["means"], two["task"]["means"], strict=True):
        torch.testing.assert_close(a["mean"], b["mean"], rtol=1e-5, atol=1e-6)
    figures = [
        dict(make_task_with(room_folder, state).evaluate(network(room_folder, state), CPU)) for state in (one, two)
    ]
    assert figures[0] == pytest.approx(figures[1], abs=0.02)


def make_task_with(folder: Path, state: dict[str, Any]) -> PretrainTask:
    task = make_task(folder)
    task.load_state_dict(state["task"])
    return task


def network(folder: Path, state: dict[str, Any]) -> nn.Module:
    model = model_of(make_task(folder))
    model.load_state_dict(state["model"])
    return model.eval()


def test_the_tiny_teacher_is_a_teacher() -> None:
    maps = TinyTeacher()(torch.zeros(1, 48, 64, 3, dtype=torch.uint8))
    assert [tuple(m.shape) for m in maps] == [(1, 4, 6, 8), (1, 6, 3, 4)]
