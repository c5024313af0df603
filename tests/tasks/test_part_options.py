"""Options of a pre-training's parts that are called idle: they change nothing, and all others do."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gin
import pytest
import torch
from pretrain_parts import make_task

from sparse3d.data.view_sets import FrameFolder, ViewSets
from sparse3d.models.student import Student2D
from sparse3d.models.teachers.efficientnet_lite import EfficientNetLite0Teacher
from sparse3d.tasks.part_options import PartOptions
from sparse3d.tasks.pretrain import PretrainTask

OTHERS: dict[str, Any] = {
    "Student2D.hidden": 5,
    "Readout.channels": 7,
    "ViewSets.mask_block": 0.9,
    "ViewSets.mask_remove": True,
    "EfficientNetLite0Teacher.seed": 1,
}


@pytest.fixture(autouse=True)
def no_config_stays() -> Iterator[None]:
    yield
    gin.clear_config()


def stepped(folder: Path, mask_ratio: float, depth: int, pretrained: bool, readouts: str) -> tuple[PretrainTask, float]:
    """A task after one step, and its loss; what is not given is bound by gin."""
    frames = FrameFolder(str(folder), size=(64, 48), up="z")
    task = make_task(
        folder,
        teacher=partial(EfficientNetLite0Teacher, taps=(16,), pretrained=pretrained),
        student=partial(Student2D, depth=depth),
        kt_readout=readouts.split()[0],
        mv_readout=readouts.split()[-1],
    )
    task._make_data = partial(ViewSets, frames, voxel_size=0.12, mask_ratio=mask_ratio)
    torch.manual_seed(0)
    model, data = task.build_model(), task.train_dataset()
    return task, float(task.training_step(model, task.collate([data[(0, 0)]]), 0).loss.detach())


@pytest.mark.parametrize(
    "options",
    [
        {"mask_ratio": 0.0, "depth": 0, "pretrained": True, "readouts": "decoder both"},
        {"mask_ratio": 0.3, "depth": 1, "pretrained": False, "readouts": "encoder"},
        {"mask_ratio": 0.3, "depth": 0, "pretrained": True, "readouts": "decoder encoder"},
    ],
    ids=str,
)
def test_the_options_called_idle_change_nothing_and_all_others_do(room_folder: Path, options: dict[str, Any]) -> None:
    task, usual = stepped(room_folder, **options)
    idle = {f"{name}.{option}" for name, found in task.idle_options_of_parts().items() for option in found}
    unread = set()
    for name, value in OTHERS.items():
        gin.clear_config()
        gin.bind_parameter(name, value)
        if stepped(room_folder, **options)[1] == usual:
            unread.add(name)
    assert unread == idle


def test_an_option_is_idle_where_no_part_of_the_class_reads_it() -> None:
    parts, student = PartOptions(), partial(Student2D, 4, (8,), (8,), 4)
    assert parts.idle() == {} and parts.note(3) == 3
    for depth, idle in ((0, ["hidden"]), (1, []), (0, [])):
        parts.note(student(depth=depth))
        assert list(parts.idle()["Student2D"]) == idle
