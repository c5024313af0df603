"""What the tasks on single shapes share: their data on both sides, and networks run over whole sets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sparse3d import checks
from sparse3d.data.shapes.dataset import LabelledShapes, ShapeBatch, ShapeGrid, ShapeItem, collate_shapes
from sparse3d.data.shapes.source import Shape, ShapeSource, check_shape
from sparse3d.errors import InputError
from sparse3d.models.resunet import SRUNet
from sparse3d.tasks.class_names import difference

BATCH = 16  # shapes of one forward pass in evaluation: a matter of memory, not of figures


class ShapeTask:
    """Base of the classification and the part segmentation; see their arguments.

    A subclass has ``build_model``, ``training_step``, ``evaluate`` and ``scores_of``.
    """

    name = "shapes"

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

    def scores_of(self, model: nn.Module, batch: ShapeBatch) -> Tensor:
        """The network's scores of a batch: a row a shape, or a row a voxel."""
        raise NotImplementedError

    # What the loop asks for -------------------------------------------------------------------------------

    def train_dataset(self) -> LabelledShapes:
        """The training shapes."""
        return self.train_data

    def collate(self, items: list[Any]) -> ShapeBatch:
        """Shapes as one batch."""
        return collate_shapes(items)

    def to(self, device: torch.device) -> ShapeTask:
        """Nothing is held outside the network."""
        return self

    def meshes(self, model: nn.Module, device: torch.device) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
        """None."""
        yield from ()

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
        source = self.class_source
        return {
            "classes": list(source.classes),
            "parts": list(source.parts),
            "parts_of": [list(parts) for parts in source.parts_of],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what :meth:`state_dict` gave.

        Raises:
            InputError: the network was trained on other classes or parts, or on the same in another order.
        """
        for kind, here in self.state_dict().items():
            if state[kind] != here:
                raise InputError(
                    f"the checkpoint's {kind} are not the shapes': {difference(state[kind], here)}; choose shapes "
                    "with the same, or start a new run from it with init.checkpoint"
                )

    # Data, opened when first needed -------------------------------------------------------------------------

    @property
    def train_data(self) -> LabelledShapes:
        """The training shapes, opened at the first call."""
        if self._data is None:
            data = self._make_data()
            theirs, ours = vars(data.grid), vars(self.grid)
            if theirs != ours:
                raise InputError(
                    f"LabelledShapes.grid has {theirs}, {type(self).__name__}.grid {ours}: training and measuring must "
                    "agree"
                )
            other = self.val_shapes or data.source
            if data.source.classes != other.classes:
                raise InputError(
                    "the training shapes' classes are not the validation shapes': "
                    f"{difference(data.source.classes, other.classes)}"
                )
            self._data = data
        return self._data

    @property
    def val_shapes(self) -> ShapeSource | None:
        """The validation shapes, opened at the first call."""
        if self._val is None and self._make_val is not None:
            self._val = self._make_val()
        return self._val

    @property
    def class_source(self) -> ShapeSource:
        """Whose classes the network has: the validation's, which evaluation needs anyway, else the training's."""
        return self.val_shapes if self.val_shapes is not None else self.train_data.source

    # Whole sets ---------------------------------------------------------------------------------------------

    def predicted(
        self, model: nn.Module, device: torch.device, source: ShapeSource
    ) -> Iterator[tuple[Shape, np.ndarray]]:
        """Every shape of ``source`` with its probabilities (:meth:`probabilities`), in order."""
        for start in range(0, len(source.names), BATCH):
            shapes = [source.load(index) for index in range(start, min(start + BATCH, len(source.names)))]
            for shape in shapes:
                check_shape(shape, source)
            yield from zip(shapes, self.probabilities(model, device, shapes), strict=True)

    def probabilities(self, model: nn.Module, device: torch.device, shapes: Sequence[Shape]) -> list[np.ndarray]:
        """For each shape (1, C) float64 or, where scores are of voxels, (N, C) of its points; mean over the votes.

        A vote sees the shapes turned about the up axis by its share of the full circle; the first one as they are.
        """
        totals: list[np.ndarray] = []
        for vote in range(self.votes):
            items = [self.grid.item(turned(shape, 360.0 * vote / self.votes)) for shape in shapes]
            batch = collate_shapes(items).to(device)
            with torch.no_grad():
                scores = self.scores_of(model, batch).float().softmax(dim=1).cpu().numpy().astype(np.float64)
            found = _by_shape(scores, items)
            totals = found if not totals else [total + one for total, one in zip(totals, found, strict=True)]
        return [total / self.votes for total in totals]


def turned(shape: Shape, degrees: float) -> Shape:
    """The shape turned about the up axis, from x towards y."""
    if degrees == 0:
        return shape
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    turn = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]])
    return replace(shape, xyz=(shape.xyz.astype(np.float64) @ turn.T).astype(np.float32))


def _by_shape(scores: np.ndarray, items: Sequence[ShapeItem]) -> list[np.ndarray]:
    if len(scores) == len(items):
        return [scores[k : k + 1] for k in range(len(items))]
    ends = np.cumsum([len(item.cloud.coords) for item in items])[:-1]
    return [part[item.point2voxel] for part, item in zip(np.split(scores, ends), items, strict=True)]
