"""What a pre-training is measured by: the compared features' directions, and the teacher where there are voxels."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from pretrain_parts import make_task
from torch import Tensor, nn

from sparse3d.data.matching_pairs import MatchingPairs
from sparse3d.data.view_sets import FrameFolder
from sparse3d.models.pretrain_net import PretrainNet, VoxelFeatures
from sparse3d.tasks.pretrain_evaluation import matching_recalls, teacher_agreement
from sparse3d.training.distribution import processes
from sparse3d.training.evaluation import Evaluator
from sparse3d.training.interrupt import StopRequest
from sparse3d.training.run_log import RunLog
from sparse3d.training.settings import TrainSettings
from sparse3d.types import VoxelBatch

CPU = torch.device("cpu")
Features = Callable[[VoxelBatch], Tensor]


@pytest.fixture(scope="module")
def pairs(room_folder: Path) -> MatchingPairs:
    frames = FrameFolder(str(room_folder), size=(64, 48), up="z")
    return MatchingPairs(frames, voxel_size=0.1, max_pairs=4, matches=200)


class Given(PretrainNet):
    """A network whose features are given."""

    def __init__(self, compared: Features, taught: Features) -> None:
        nn.Module.__init__(self)
        self.compared, self.taught = compared, taught

    def encode(self, voxels: VoxelBatch) -> VoxelFeatures:
        return VoxelFeatures(self.taught(voxels), self.compared(voxels))


def nothing(voxels: VoxelBatch) -> Tensor:
    return torch.ones(len(voxels.xyz), 4)


def by_place(voxels: VoxelBatch) -> Tensor:
    return torch.cat([voxels.xyz, torch.ones(len(voxels.xyz), 1)], dim=1)


def stretched(voxels: VoxelBatch) -> Tensor:
    lengths = torch.rand(len(voxels.xyz), 1, generator=torch.Generator().manual_seed(0)) * 9 + 0.1
    return by_place(voxels) * lengths


def test_recall_is_that_of_the_directions_of_what_views_are_compared_by(pairs: MatchingPairs) -> None:
    """Lengths of features, and what the student is taught from, do not count."""
    right, far, poor = (matching_recalls(Given(f, nothing), pairs, CPU) for f in (by_place, stretched, nothing))
    assert right == pytest.approx(far, abs=0.01) and all(right[k] > poor[k] + 0.5 for k in right)


def noise_of(image: Tensor) -> Tensor:
    """Features of a teacher, each frame's its own."""
    return torch.randn(1, 64, 3, 4, generator=torch.Generator().manual_seed(int(image.long().sum()) % 100_003))


def test_agreement_is_with_the_own_view_where_there_are_voxels_and_shuffled_with_another(pairs: MatchingPairs) -> None:
    """The student is right in the cells that have voxels, and as wrong as can be in the others."""
    mask = torch.zeros(1, 3, 4, dtype=torch.bool)
    mask[:, :, :2] = True
    seen = {
        (scene, number): torch.tensor(frame.color)[None]
        for index, (scene, *numbers) in enumerate(pairs.pairs)
        for number, frame in zip(numbers, pairs[index].frames, strict=True)
    }
    told = iter([torch.where(mask[:, None], noise_of(image), -noise_of(image)) for image in seen.values()])
    net: Any = Given(nothing, nothing)
    net.student, net.map_stride = object(), 4
    net.project, net.predict_teacher = lambda *_: None, lambda _: [(next(told), mask)]
    task: Any = SimpleNamespace(teacher_targets=lambda image, update_mean: [noise_of(image)])
    found = teacher_agreement(task, net, pairs, CPU)
    assert found["teacher_cosine"] == pytest.approx(1, abs=1e-5)
    assert abs(found["teacher_cosine_shuffled"]) < 0.2


@pytest.mark.parametrize("readout", ["decoder", "encoder"])
def test_a_signal_is_heeded_between_the_pairs(readout: str, room_folder: Path) -> None:
    task = make_task(room_folder, kt_readout=readout, mv_readout=readout)
    model, stop = task.build_model(), StopRequest()
    encoded: list[int] = []

    def encode(voxels: VoxelBatch) -> VoxelFeatures:
        encoded.append(len(voxels.coords))
        stop.signal_number = 15
        return PretrainNet.encode(model, voxels)  # type: ignore[arg-type]

    model.encode = encode  # type: ignore[assignment]
    log = RunLog(None, 1)
    with processes("cpu") as group:
        Evaluator(task, TrainSettings(device="cpu"), group, log, stop).figures(model, 1)
    assert len(encoded) == 1
