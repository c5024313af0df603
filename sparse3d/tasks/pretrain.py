"""The pre-training task: multi-view knowledge transfer and consistency on RGB-D view sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import gin
import numpy as np
import torch
from torch import Tensor, nn
from torch.profiler import record_function

from sparse3d import checks
from sparse3d.data.matching_pairs import MatchingPairs
from sparse3d.data.view_sets import ViewSets, collate_views
from sparse3d.errors import InputError
from sparse3d.losses.knowledge_transfer import KINDS, RunningMean, knowledge_transfer_loss
from sparse3d.models.pretrain_net import PretrainNet, PretrainOutput
from sparse3d.models.readout import READOUTS, Readout
from sparse3d.models.resunet import SRUNet
from sparse3d.models.student import Student2D, grid_strides
from sparse3d.models.teachers.base import Teacher, sample_teacher
from sparse3d.models.teachers.cache import TeacherCache
from sparse3d.tasks.consistency.form import ConsistencyForm, ViewConsistency, frame_pairs
from sparse3d.tasks.consistency.matching import MatchingConsistency
from sparse3d.tasks.part_options import PartOptions
from sparse3d.training.task import StepOutput, Task
from sparse3d.types import ViewBatch


@gin.configurable
class PretrainTask(Task):
    """MVNet's pre-training and the baselines that share its code.

    Parts are given as constructors (``@SRUNet``, not ``@SRUNet()``), so that each is built when it is needed:
    the networks after seeding, the teacher and the training frames only for training.

    Args:
        data: the training view sets.
        backbone: the network to pre-train.
        teacher: the frozen 2D network of the knowledge transfer.
        student: the 2D student between projected features and teacher.
        val: frame pairs to measure on; None measures nothing while training.
        consistency: form of the consistency loss, of ``sparse3d/tasks/consistency``.
        kt_weight: weight of the knowledge transfer loss; 0 leaves teacher and student out.
        mv_weight: weight of the consistency loss; 0 leaves its head out.
        kt_readout: what the knowledge transfer reads: the backbone's output (``decoder``), a linear map of its
            ``encoder``'s levels, or the sum of ``both``.
        mv_readout: what the consistency loss reads, likewise. A loss that is left out reads what the other reads.
        kt_kind: ``cosine`` or ``smooth_l1``.
        level_weights: of the teacher's taps; None weighs them equally, summing to 1.
        map_stride: pixels a cell of the projected maps.
        max_queries: source cells a view pair and direction in the consistency loss.
        teacher_cache: folder of cached teacher features; None keeps them in memory only.
        cache_items: teacher features kept in memory, images.
    """

    name = "pretrain"

    def __init__(
        self,
        data: Callable[..., ViewSets] = gin.REQUIRED,
        backbone: Callable[..., SRUNet] = SRUNet,
        teacher: Callable[..., Teacher] | None = None,
        student: Callable[..., Student2D] = Student2D,
        val: Callable[..., MatchingPairs] | None = None,
        consistency: Callable[..., ConsistencyForm] = MatchingConsistency,
        kt_weight: float = 1.0,
        mv_weight: float = 0.02,
        kt_readout: str = "encoder",
        mv_readout: str = "encoder",
        kt_kind: str = "cosine",
        level_weights: Sequence[float] | None = None,
        map_stride: int = 4,
        max_queries: int = 512,
        teacher_cache: str | None = None,
        cache_items: int = 1024,
    ) -> None:
        checks.one_of("PretrainTask.kt_kind", kt_kind, KINDS)
        checks.one_of("PretrainTask.kt_readout", kt_readout, READOUTS)
        checks.one_of("PretrainTask.mv_readout", mv_readout, READOUTS)
        checks.not_negative("PretrainTask.kt_weight", kt_weight)
        checks.not_negative("PretrainTask.mv_weight", mv_weight)
        if level_weights is not None:
            checks.weights("PretrainTask.level_weights", level_weights)
        if kt_weight > 0 and teacher is None:
            raise InputError("PretrainTask.kt_weight is positive but there is no teacher: bind PretrainTask.teacher")
        if kt_weight == 0 and mv_weight == 0:
            raise InputError("PretrainTask.kt_weight and mv_weight are both 0: there is nothing to learn")
        for option, number in (("map_stride", map_stride), ("max_queries", max_queries)):
            checks.require(number is not None and number >= 1, f"PretrainTask.{option}", number, "at least 1")
        self._make_data, self._make_backbone, self._make_teacher = data, backbone, teacher
        self._make_student, self._make_val = student, val
        self.kt_readout, self.mv_readout = kt_readout, mv_readout
        self.kt_weight, self.mv_weight, self.kt_kind = kt_weight, mv_weight, kt_kind
        # One that is left out is not built, so that options of its own are known to have no effect.
        self._consistency = ViewConsistency(consistency(), map_stride, max_queries) if mv_weight > 0 else None
        self.level_weights, self.map_stride = level_weights, map_stride
        self.teacher_cache, self.cache_items = teacher_cache, cache_items
        self.device = torch.device("cpu")
        self._part_options = PartOptions()
        self._teacher: Teacher | None = None
        self._features: TeacherCache | None = None
        self._means: list[RunningMean] | None = None
        self._data: ViewSets | None = None
        self._val: MatchingPairs | None = None

    def idle_options(self) -> dict[str, str]:
        """Options without effect beside the others, and why; not the teacher's caches, which are places and sizes."""
        found: dict[str, str] = {}
        if self.kt_weight == 0:
            of_transfer = ("teacher", "student", "kt_readout", "kt_kind", "level_weights")
            found |= dict.fromkeys(of_transfer, "PretrainTask.kt_weight is 0")
        if self.mv_weight == 0:
            of_consistency = ("mv_readout", "consistency", "max_queries")
            found |= dict.fromkeys(of_consistency, "PretrainTask.mv_weight is 0")
        return found

    @property
    def consistency(self) -> ViewConsistency:
        """The consistency loss; there is none where ``mv_weight`` is 0."""
        assert self._consistency is not None
        return self._consistency

    def idle_options_of_parts(self) -> dict[str, dict[str, str]]:
        """The same of the parts that were built until now, by their classes."""
        return self._part_options.idle()

    # What the loop asks for -------------------------------------------------------------------------------

    def build_model(self) -> nn.Module:
        """The network with random weights."""
        backbone = self._make_backbone()
        kt_readout, mv_readout = self._readouts(backbone)
        student = head = None
        if self.kt_weight > 0:
            teacher = self.teacher
            if self.level_weights is not None and len(self.level_weights) != len(teacher.channels):
                raise InputError(
                    f"PretrainTask.level_weights = {tuple(self.level_weights)}: the teacher {teacher.name} has "
                    f"{len(teacher.channels)} taps, give one weight each"
                )
            student = self._part_options.note(self._build_student(kt_readout.out_channels))
        if self.mv_weight > 0:
            head = self.consistency.form.build_head(mv_readout.out_channels)
        return PretrainNet(backbone, self.map_stride, student, head, kt_readout=kt_readout, mv_readout=mv_readout)

    def _build_student(self, in_channels: int) -> Student2D:
        teacher, longer_side = self.teacher, self.teacher.longer_side
        # Where images keep their size the strides are known now, else at the first image.
        strides = self.level_strides(0, 0) if longer_side is None else teacher.strides
        return self._make_student(in_channels, teacher.channels, strides, self.map_stride, longer_side=longer_side)

    def build_encoder(self) -> PretrainNet:
        """The backbone and its readouts with random weights, without student and heads; asks for no teacher."""
        backbone = self._make_backbone()
        kt_readout, mv_readout = self._readouts(backbone)
        return PretrainNet(backbone, self.map_stride, kt_readout=kt_readout, mv_readout=mv_readout)

    def _readouts(self, backbone: SRUNet) -> tuple[Readout, Readout]:
        """Each loss's own; one for both where they read the backbone's output, and where one loss is left out."""
        note = self._part_options.note
        first = note(Readout(backbone, self.kt_readout if self.kt_weight > 0 else self.mv_readout))
        if min(self.kt_weight, self.mv_weight) <= 0 or self.kt_readout == self.mv_readout == "decoder":
            return first, first
        return first, note(Readout(backbone, self.mv_readout))

    def train_dataset(self) -> ViewSets:
        """The training view sets."""
        data, val = self._part_options.note(self._make_data()), self.val_pairs
        for option in ("voxel_size", "max_depth"):
            if val is not None and getattr(data, option) != getattr(val, option):
                raise InputError(
                    f"ViewSets.{option} = {getattr(data, option)} but MatchingPairs.{option} = {getattr(val, option)}: "
                    "training and validation must agree"
                )
        self._data = data
        return data

    @property
    def collate(self) -> Callable[[list[Any]], ViewBatch]:
        """Makes items of :class:`ViewSets` one batch. It knows nothing else of the task: spawned workers get a copy."""
        return partial(collate_views, map_stride=self.map_stride)

    def to(self, device: torch.device) -> PretrainTask:
        """Moves the teacher."""
        self.device = device
        if self._teacher is not None:
            self._teacher.to(device)
        return self

    def state_dict(self) -> dict[str, Any]:
        """The running means of the teacher's features."""
        return {"means": [mean.state_dict() for mean in self._means or ()]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what :meth:`state_dict` gave."""
        if state["means"]:
            self._means = [RunningMean(len(s["mean"])) for s in state["means"]]
            for mean, s in zip(self._means, state["means"], strict=True):
                mean.load_state_dict(s)

    def training_step(self, model: nn.Module, batch: ViewBatch, step: int) -> StepOutput:
        """Both losses, weighted; each part is logged."""
        output = model(batch)
        scalars: dict[str, float | Tensor] = {
            "data/voxels": float(sum(len(c.coords) for c in (batch.views, batch.shared) if c is not None)),
            "data/matches_per_pair": len(batch.matches.item) / max(1, len(frame_pairs(batch))),
            "data/pairs_without_matches": float(batch.pairs_without_matches),
        }
        total = torch.zeros((), device=output.taught.maps.device)
        if self.kt_weight > 0:
            with record_function("sparse3d.losses"):
                loss, parts = self._knowledge_transfer(output, batch)
            total = total + self.kt_weight * loss
            scalars |= {"loss/knowledge_transfer": loss.detach(), **parts}
        if self.mv_weight > 0:
            with record_function("sparse3d.losses"):
                loss, parts = self.consistency(output, batch)
            total = total + self.mv_weight * loss
            scalars |= {"loss/consistency": loss.detach(), **parts}
        return StepOutput(total, scalars, items=len(batch.images))

    def evaluate(self, model: nn.Module, device: torch.device) -> Iterator[tuple[str, float]]:
        """Matching recall under both protocols, and the agreement with the teacher beside that of shuffled views."""
        from sparse3d.tasks.pretrain_evaluation import matching_recalls, teacher_agreement

        pairs = self.val_pairs
        if pairs is None:
            return
        for protocol, value in matching_recalls(model, pairs, device).items():
            yield f"recall_{protocol}", value
        if self.kt_weight > 0:
            for name, value in teacher_agreement(self, model, pairs, device).items():
                yield name, value

    def pictures(self, model: nn.Module, device: torch.device) -> Iterator[tuple[str, np.ndarray]]:
        """What the network sees in a fixed validation pair."""
        from sparse3d.tasks.pretrain_pictures import validation_pictures

        if self.val_pairs is not None:
            yield from validation_pictures(self, model, self.val_pairs, device)

    def text(self) -> Iterator[tuple[str, str]]:
        """The frames that were kept on both sides, and each that was not, with the reason."""
        for name, data in (("train", self._data), ("val", self.val_pairs)):
            if data is not None:
                yield f"frames/{name}", "\n".join(source.manifest.listing() for source in data.sources)

    # Parts, built when first needed -------------------------------------------------------------------------

    @property
    def teacher(self) -> Teacher:
        """The frozen teacher."""
        if self._teacher is None:
            assert self._make_teacher is not None
            self._teacher = self._part_options.note(self._make_teacher()).to(self.device)
        return self._teacher

    def level_strides(self, height: int, width: int) -> tuple[int, ...]:
        """Stride of the student's grid at each tap, in pixels of images of this size."""
        return grid_strides(self.teacher.strides, self.teacher.longer_side, self.map_stride, height, width)

    @property
    def val_pairs(self) -> MatchingPairs | None:
        """The validation pairs, opened at the first call."""
        if self._val is None and self._make_val is not None:
            self._val = self._make_val()
        return self._val

    def teacher_targets(self, images: Tensor, update_mean: bool) -> list[Tensor]:
        """Mean-centred teacher features on the student's grids.

        Args:
            images: (N, H, W, 3) uint8.
            update_mean: take the batch into the running means (training only).

        Returns:
            Per tap (N, C_l, h_l, w_l) float32.
        """
        teacher = self.teacher
        if self._features is None:
            self._features = TeacherCache(self.teacher_cache, teacher, max_items=self.cache_items)
        height, width = images.shape[1:3]
        maps = [m.to(images.device) for m in self._features.features(images)]
        if self._means is None:
            self._means = [RunningMean(c) for c in teacher.channels]
        targets = []
        for level, centers in zip(range(len(maps)), teacher.cell_centers(height, width), strict=True):
            stride = self.level_strides(height, width)[level]
            if update_mean:
                self._means[level].update(maps[level])
            centered = self._means[level].center(maps[level])
            targets.append(sample_teacher(centered, centers, -(-height // stride), -(-width // stride), stride))
        return targets

    # Losses ------------------------------------------------------------------------------------------------------

    def _knowledge_transfer(self, output: PretrainOutput, batch: ViewBatch) -> tuple[Tensor, dict[str, Tensor]]:
        assert output.predictions is not None
        with record_function("sparse3d.teacher"):
            targets = self.teacher_targets(batch.images.flatten(0, 1), update_mean=True)
        weights = self.level_weights or [1 / len(targets)] * len(targets)
        strides = self.level_strides(*batch.images.shape[2:4])
        total, parts = torch.zeros((), device=targets[0].device), {}
        for level, ((predicted, mask), target, weight) in enumerate(
            zip(output.predictions, targets, weights, strict=True)
        ):
            loss = knowledge_transfer_loss(predicted, target, mask, self.kt_kind)
            parts[f"loss/knowledge_transfer_{_tap_name(strides, level)}"] = loss.detach()
            total = total + weight * loss
        return total, parts


def _tap_name(strides: tuple[int, ...], level: int) -> str:
    """A tap by its stride, and by its number where others have that stride, too."""
    stride = strides[level]
    return f"stride{stride}" if strides.count(stride) == 1 else f"tap{level}_stride{stride}"
