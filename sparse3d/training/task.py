"""What the training loop knows about a job: the :class:`Task` protocol, and nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn


@dataclass
class StepOutput:
    """What one forward pass gives the loop."""

    loss: Tensor  # scalar, float32, the mean over the batch's items
    scalars: dict[str, float | Tensor] = field(default_factory=dict)  # logged as means over steps and processes
    items: int = 1  # how many items this process worked on, for items/s


class Task(Protocol):
    """One job (pre-training, segmentation, ...): its data, its network, its losses, its figures.

    The loop calls ``build_model`` and ``train_dataset`` once, after seeding. Everything that is trained must sit in
    the model; ``state_dict`` is for state that is neither model nor optimiser (running means, say), and holds only
    tensors and plain Python values, so that checkpoints load with ``weights_only=True``.
    """

    name: str

    def build_model(self) -> nn.Module:
        """The network with random weights, on the CPU."""
        ...

    def train_dataset(self) -> Any:
        """A map-style data set of ``len(d)`` items; ``d[(index, item_seed)]`` draws from ``item_seed`` alone."""
        ...

    def collate(self, items: list[Any]) -> Any:
        """One batch with ``.to(device, non_blocking)``; ``.names``, if there, is printed if its loss is not finite.

        ``task.collate`` is sent to data workers: a static method, or a function that holds what it needs and no more.
        """
        ...

    def training_step(self, model: nn.Module, batch: Any, step: int) -> StepOutput:
        """Forward pass and losses; ``model`` may be wrapped for several processes, so call it, not its parts."""
        ...

    def evaluate(self, model: nn.Module, device: torch.device) -> Iterator[tuple[str, float]]:
        """Validation figures by name; draws from fixed seeds only."""
        ...

    def pictures(self, model: nn.Module, device: torch.device) -> Iterator[tuple[str, np.ndarray]]:
        """Pictures by name, (H, W, 3) uint8."""
        ...

    # A task may also have idle_options() -> {parameter: why it has no effect beside the others}, which --set may not
    # give then, and idle_options_of_parts() -> {class: the same of a part}; and meshes(model, device) ->
    # Iterator[(name, {vertices, colors, faces})], for TensorBoard's mesh plugin; see RunLog.mesh for the arrays.

    def text(self) -> Iterator[tuple[str, str]]:
        """Texts by name for TensorBoard: what was kept of the data, for example."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """State that is not the model's."""
        ...

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Takes back what :meth:`state_dict` gave."""
        ...

    def to(self, device: torch.device) -> Any:
        """Moves frozen parts (a teacher) to the device."""
        ...
