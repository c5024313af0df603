"""A task small enough to train in milliseconds, with everything the loop can meet."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import gin
import numpy as np
import torch
from torch import Tensor, nn

from sparse3d.errors import InputError
from sparse3d.sparse.batch_norm import SynchronizedBatchNorm1d
from sparse3d.training.task import StepOutput, Task
from sparse3d.types import TensorBundle


@dataclass
class ToyBatch(TensorBundle):
    x: Tensor  # (B, 6)
    y: Tensor  # (B, 2)
    names: list[str] = field(default_factory=list)


class ToyDataset:
    """Noisy samples of a fixed map; the noise comes from the item's seed alone."""

    def __init__(self, length: int, bad_item: int = -1) -> None:
        self.length, self.bad_item = length, bad_item

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, key: tuple[int, int]) -> tuple[str, Tensor, Tensor]:
        index, item_seed = key
        if index == self.bad_item:
            raise InputError(f"item{index} is broken; mend it")
        noise = np.random.default_rng(item_seed)
        x = np.random.default_rng(index).normal(size=6) + 0.1 * noise.normal(size=6)
        y = np.array([x[:3].sum(), x[3:].prod()])
        return f"item{index}", torch.from_numpy(x).float(), torch.from_numpy(y).float()


@gin.configurable(module="toy")
class ToyTask(Task):
    """Regression by a two-layer network with batch statistics and dropout, so that resuming needs every state.

    ``nan_steps`` have a loss that is not finite; at ``signal_at`` the process sends itself ``signal_number``.
    """

    name = "toy"

    def __init__(
        self,
        width: int = 8,
        length: int = 12,
        dropout: float = 0.1,
        nan_steps: Sequence[int] = (),
        bad_item: int = -1,
        signal_at: int = -1,
        signal_number: int = int(signal.SIGTERM),
        root: str = "",
    ) -> None:
        self.width, self.length, self.dropout, self.root = width, length, dropout, root
        self.nan_steps, self.bad_item = set(nan_steps), bad_item
        self.signal_at, self.signal_number = signal_at, signal_number
        self.seen = 0  # state that is not the model's
        self.seen_names: list[str] = []

    def build_model(self) -> nn.Module:
        norm = SynchronizedBatchNorm1d(self.width)
        return nn.Sequential(
            nn.Linear(6, self.width), norm, nn.ReLU(), nn.Dropout(self.dropout), nn.Linear(self.width, 2)
        )

    def train_dataset(self) -> ToyDataset:
        return ToyDataset(self.length, self.bad_item)

    def collate(self, items: list[Any]) -> ToyBatch:
        names, x, y = zip(*items, strict=True)
        return ToyBatch(torch.stack(x), torch.stack(y), list(names))

    def training_step(self, model: nn.Module, batch: ToyBatch, step: int) -> StepOutput:
        loss = (model(batch.x).float() - batch.y).square().mean()
        if step in self.nan_steps:
            loss = loss * float("nan")
        if step == self.signal_at:
            os.kill(os.getpid(), self.signal_number)
        self.seen += len(batch.x)
        self.seen_names += batch.names
        return StepOutput(loss, {"loss/square": loss, "mean_x": float(batch.x.mean())}, len(batch.x))

    def evaluate(self, model: nn.Module, device: torch.device) -> Iterator[tuple[str, float]]:
        torch.rand(3)  # careless, and must not change the training
        x = torch.from_numpy(np.random.default_rng(7).normal(size=(16, 6))).float().to(device)
        yield "error", float((model(x)[:, 0] - x[:, :3].sum(1)).abs().mean())

    def pictures(self, model: nn.Module, device: torch.device) -> Iterator[tuple[str, np.ndarray]]:
        yield "grey", np.full((8, 8, 3), 127, dtype=np.uint8)

    def text(self) -> Iterator[tuple[str, str]]:
        yield "data", f"{self.length} items"

    def state_dict(self) -> dict[str, Any]:
        return {"seen": self.seen}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seen = state["seen"]

    def to(self, device: torch.device) -> ToyTask:
        return self
