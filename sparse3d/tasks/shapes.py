"""What the tasks on single shapes share: their data on both sides, and networks run over whole sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sparse3d import checks
from sparse3d.data.recent import RecentItems
from sparse3d.data.shapes.dataset import LabelledShapes, ShapeBatch, ShapeGrid, ShapeItem, collate_shapes
from sparse3d.data.shapes.source import Shape, ShapeSource, check_names, check_shape
from sparse3d.errors import InputError
from sparse3d.models.resunet import SRUNet
from sparse3d.progress import track
from sparse3d.tasks.class_names import difference
from sparse3d.tasks.part_options import PartOptions
from sparse3d.training.task import Task

CACHE_BYTES = 1_000_000_000  # of validation shapes kept in memory
BATCH = 16  # shapes of one forward pass in evaluation: a matter of memory, not of figures


class ShapeTask(Task):
    """Base of the classification and the part segmentation; see their arguments.

    A subclass has ``build_model``, ``training_step``, ``evaluate`` and ``scores_of``.
    """

    name = "shapes"
    of_points = False  # whether scores are of voxels, and so of points; else of whole shapes
    needs_parts = False

    def __init__(
        self,
        data: Callable[..., LabelledShapes],
        grid: ShapeGrid,
        val: Callable[..., ShapeSource] | None,
        backbone: Callable[..., SRUNet],
        votes: int,
        pictures: int,
    ) -> None:
        owner = type(self).__name__
        checks.at_least(f"{owner}.votes", votes, 1)
        checks.at_least(f"{owner}.pictures", pictures, 0)
        self._make_data, self._make_val, self.make_backbone = data, val, backbone
        self.grid, self.votes, self.drawn = grid, votes, pictures
        self._data: LabelledShapes | None = None
        self._val: ShapeSource | None = None
        self._val_shapes: RecentItems[Shape] | None = None
        self._part_options = PartOptions()

    def idle_options_of_parts(self) -> dict[str, dict[str, str]]:
        """Options of the shapes without effect beside others, and why."""
        self.train_data, self.val_shapes  # noqa: B018 - built, and so noted
        return self._part_options.idle()

    def scores_of(self, model: nn.Module, batch: ShapeBatch) -> Tensor:
        """The network's scores of a batch: a row a shape, or a row a voxel."""
        raise NotImplementedError

    # What the loop asks for -------------------------------------------------------------------------------

    def train_dataset(self) -> LabelledShapes:
        """The training shapes."""
        return self.train_data

    @staticmethod
    def collate(items: list[Any]) -> ShapeBatch:
        """Shapes as one batch."""
        return collate_shapes(items)

    def text(self) -> Iterator[tuple[str, str]]:
        """How many shapes there are on both sides, and how many were left out."""
        for side, source in (("train", self.train_data.source), ("val", self.val_shapes)):
            if source is not None:
                lines = [f"{len(source.names)} shapes of {len(source.classes)} classes"]
                if left_out := getattr(source, "left_out", None):
                    lines.append(f"left out: {dict(left_out) if isinstance(left_out, dict) else left_out}")
                yield f"shapes/{side}", "\n".join(lines)

    def state_dict(self) -> dict[str, Any]:
        """What the network's outputs stand for."""
        return _meaning(self.class_source)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what :meth:`state_dict` gave.

        Raises:
            InputError: the network was trained on other classes or parts, on the same in another order, or on shapes
                that had colours where these have none, or the other way round.
        """
        remedy = "choose shapes with the same, or start a new run from it with init.checkpoint"
        _check_same(state, self.state_dict(), "the checkpoint's", "the shapes at hand", remedy)

    # Data, opened when first needed -------------------------------------------------------------------------

    @property
    def train_data(self) -> LabelledShapes:
        """The training shapes, opened at the first call."""
        if self._data is None:
            data = self._make_data()
            if vars(data.grid) != vars(self.grid):
                raise InputError(
                    f"LabelledShapes.grid has {vars(data.grid)}, {type(self).__name__}.grid {vars(self.grid)}: "
                    "training and measuring must agree"
                )
            source, other = self._opened(data.source), self.val_shapes or data.source
            remedy = "bind shapes of one kind for train/ and val/"
            _check_same(_meaning(source), _meaning(other), "the training shapes'", "the validation shapes", remedy)
            self._part_options.note(data)
            self._data = data
        return self._data

    @property
    def val_shapes(self) -> ShapeSource | None:
        """The validation shapes, opened at the first call."""
        if self._val is None and self._make_val is not None:
            self._val = self._opened(self._make_val())
            self._val_shapes = RecentItems(self._checked_val, 0 if self._val.in_memory else CACHE_BYTES)
        return self._val

    def _opened(self, source: ShapeSource) -> ShapeSource:
        if source.names:  # a loaded model has none
            check_names(source.names, type(source).__name__)
        if self.needs_parts and not source.parts:
            raise InputError(f"{type(self).__name__}: the shapes ({type(source).__name__}) have no parts")
        return self._part_options.note(source)

    def _checked_val(self, index: int) -> Shape:
        assert self._val is not None
        shape = self._val.load(index)
        check_shape(shape, self._val)
        return shape

    def val_shape(self, index: int) -> Shape:
        """Validation shape ``index``, checked; those read last are kept."""
        assert self.val_shapes is not None and self._val_shapes is not None
        return self._val_shapes[index]

    @property
    def class_source(self) -> ShapeSource:
        """Whose classes the network has: the validation's, which evaluation needs anyway, else the training's."""
        return self.val_shapes if self.val_shapes is not None else self.train_data.source

    # Whole sets ---------------------------------------------------------------------------------------------

    def predicted(self, model: nn.Module, device: torch.device) -> Iterator[tuple[Shape, np.ndarray]]:
        """Every validation shape with its probabilities (:meth:`probabilities`), in order."""
        assert self.val_shapes is not None
        count = len(self.val_shapes.names)
        for start in track(range(0, count, BATCH), "measuring", f"{BATCH} shapes"):
            shapes = [self.val_shape(index) for index in range(start, min(start + BATCH, count))]
            yield from zip(shapes, self.probabilities(model, device, shapes), strict=True)

    def probabilities(self, model: nn.Module, device: torch.device, shapes: Sequence[Shape]) -> list[np.ndarray]:
        """For each shape (1, C) float64 or, where scores are of voxels, (N, C) of its points; mean over the votes.

        A vote sees the shapes turned about the up axis by its share of the full circle; the first one as they are.
        """
        totals: list[np.ndarray] = []
        for vote in range(self.votes):
            items = [self.grid.measured(turned(shape, 360.0 * vote / self.votes)) for shape in shapes]
            batch = collate_shapes(items).to(device)
            with torch.no_grad():
                scores = self.scores_of(model, batch).float().softmax(dim=1).cpu().numpy().astype(np.float64)
            found = _by_point(scores, items) if self.of_points else np.split(scores, len(items))
            totals = found if not totals else [total + one for total, one in zip(totals, found, strict=True)]
        return [total / self.votes for total in totals]


def turned(shape: Shape, degrees: float) -> Shape:
    """The shape turned about the up axis, from x towards y."""
    if degrees == 0:
        return shape
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return replace(shape, xyz=(shape.xyz.astype(np.float64) @ turn.T).astype(np.float32))


def _by_point(scores: np.ndarray, items: Sequence[ShapeItem]) -> list[np.ndarray]:
    ends = np.cumsum([len(item.cloud.coords) for item in items])[:-1]
    return [part[item.point2voxel] for part, item in zip(np.split(scores, ends), items, strict=True)]


def _meaning(source: ShapeSource) -> dict[str, Any]:
    """What a network must know of shapes to be asked about them."""
    return {
        "classes": list(source.classes),
        "parts": list(source.parts),
        "parts_of": [list(parts) for parts in source.parts_of],
        "colored": source.colored,
    }


def _check_same(theirs: dict[str, Any], ours: dict[str, Any], whose: str, others: str, remedy: str) -> None:
    for kind in ("classes", "parts", "parts_of"):
        if theirs[kind] != ours[kind]:
            raise InputError(
                f"{whose} {kind} are not those of {others}: {difference(theirs[kind], ours[kind])}; {remedy}"
            )
    if theirs["colored"] != ours["colored"]:
        has = ("with", "without") if theirs["colored"] else ("without", "with")
        raise InputError(f"{whose} points are {has[0]} colours, those of {others} {has[1]}; {remedy}")
