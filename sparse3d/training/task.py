"""What the training loop knows about a job: :class:`Task`, and nothing else."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sparse3d.errors import InputError


@dataclass
class StepOutput:
    """What one forward pass gives the loop."""

    loss: Tensor  # scalar, float32, the mean over the batch's items
    scalars: dict[str, float | Tensor] = field(default_factory=dict)  # logged as means over steps and processes
    items: int = 1  # how many items this process worked on, for items/s


class Task(ABC):
    """One job (pre-training, segmentation, ...): its data, its network, its losses, its figures.

    The loop calls ``build_model`` and ``train_dataset`` once, after seeding. Everything that is trained must sit in
    the model; ``state_dict`` is for state that is neither model nor optimiser (running means, say), and holds only
    tensors and plain Python values, so that checkpoints load with ``weights_only=True``. What is not abstract may be
    left out.
    """

    name: str

    @abstractmethod
    def build_model(self) -> nn.Module:
        """The network with random weights, on the CPU."""

    @abstractmethod
    def train_dataset(self) -> Any:
        """A map-style data set of ``len(d)`` items; ``d[(index, item_seed)]`` draws from ``item_seed`` alone."""

    @property
    @abstractmethod
    def collate(self) -> Any:
        """A function of a list of items that makes one batch.

        The batch has ``.to(device, non_blocking)``; ``.names``, if there, is printed if its loss is not finite. The
        function is sent to data workers: a static method, or one that holds what it needs and no more.
        """

    @abstractmethod
    def training_step(self, model: nn.Module, batch: Any, step: int) -> StepOutput:
        """Forward pass and losses; ``model`` may be wrapped for several processes, so call it, not its parts."""

    @abstractmethod
    def evaluate(self, model: nn.Module, device: torch.device) -> Iterator[tuple[str, float]]:
        """Validation figures by name; draws from fixed seeds only. The network is no longer wrapped."""

    def pictures(self, model: nn.Module, device: torch.device) -> Iterator[tuple[str, np.ndarray]]:
        """Pictures by name, (H, W, 3) uint8; of the unwrapped network."""
        yield from ()

    def meshes(self, model: nn.Module, device: torch.device) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
        """``vertices``, ``colors`` and ``faces`` by name, for TensorBoard's mesh plugin; see ``RunLog.mesh``."""
        yield from ()

    def text(self) -> Iterator[tuple[str, str]]:
        """Texts by name for TensorBoard: what was kept of the data, for example."""
        yield from ()

    def write_submission(self, model: nn.Module, device: torch.device, folder: str) -> dict[str, float]:
        """Writes predictions in a benchmark's form; returns the figures, if any.

        Raises:
            InputError: there is no such form.
        """
        raise InputError(f"--submission: the task {self.name!r} has no benchmark's form to write")

    def state_dict(self) -> dict[str, Any]:
        """State that is not the model's."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:  # noqa: B027 - where there is none, nothing is to be done
        """Takes back what :meth:`state_dict` gave."""

    def to(self, device: torch.device) -> Any:
        """Moves frozen parts (a teacher) to the device."""
        return self

    def idle_options(self) -> dict[str, str]:
        """Parameters without effect beside the others, and why: ``--set`` may not give them."""
        return {}

    def idle_options_of_parts(self) -> dict[str, dict[str, str]]:
        """The same of the parts that were built until now, by their classes."""
        return {}
