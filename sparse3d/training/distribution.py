"""One process or many: the little that the loop needs of torch.distributed.

``torchrun`` sets the environment; the backend is NCCL on GPUs and gloo on CPUs. With one process every function here is
the identity, so the loop has no second path.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from sparse3d.errors import InputError

# Other processes wait while the first one evaluates, which takes longer than the backends' default patience.
PATIENCE = timedelta(hours=6)


# Groups that were left, kept until the interpreter ends; see _leave.
_left_groups: list[Any] = []
_DRAIN_SECONDS = 0.2


@dataclass(frozen=True)
class Processes:
    """This process among the others of the run."""

    rank: int
    world: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and evaluates."""
        return self.rank == 0

    def barrier(self) -> None:
        """Waits for all processes."""
        if self.world > 1:
            dist.barrier()

    def any(self, *flags: bool) -> list[bool]:
        """Each flag or-ed over all processes."""
        if self.world == 1:
            return list(flags)
        values = torch.tensor(flags, dtype=torch.int32, device=self.device)
        dist.all_reduce(values, dist.ReduceOp.MAX)
        return [bool(v) for v in values.tolist()]

    def gather(self, value: Any) -> list[Any]:
        """Every process's value, by rank, in every process; plain Python values and CPU tensors only."""
        if self.world == 1:
            return [value]
        values: list[Any] = [None] * self.world
        dist.all_gather_object(values, value)
        return values

    def wrap(self, model: nn.Module) -> nn.Module:
        """The model with averaged gradients; every parameter must take part in every forward pass."""
        if self.world == 1:
            return model
        # Batch statistics over all processes are the network's own affair: it is built of layers that synchronise.
        if self.device.type == "cuda":
            return DistributedDataParallel(model, device_ids=[self.device.index])
        return DistributedDataParallel(model)

    def gradient_sync(self, model: nn.Module, enabled: bool) -> AbstractContextManager[Any]:
        """Holds the averaging of gradients back while micro-batches add up."""
        if isinstance(model, DistributedDataParallel) and not enabled:
            return model.no_sync()
        return nullcontext()


def choose_device(device: str, option: str = "train.device") -> torch.device:
    """``auto`` takes CUDA where there is one; anything else is taken by its torch name.

    Of several processes that ``torchrun`` started, each takes the CUDA device of its own rank.

    Raises:
        InputError: no such device here, or one device named for several processes; the message calls it by ``option``.
    """
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        chosen = torch.device(device)
    except RuntimeError:
        raise InputError(f"{option} = {device!r} is not a device; use auto, cpu, cuda or cuda:N") from None
    if chosen.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if chosen.index is not None and _environment_number("WORLD_SIZE", 1) > 1:
            raise InputError(f"{option} = {device!r} would put every process on one device; say cuda, or auto")
        local_rank = _environment_number("LOCAL_RANK", 0)
        chosen = torch.device("cuda", local_rank if chosen.index is None else chosen.index)
        if chosen.index >= count:
            raise InputError(f"{option} = {device!r}, but torch sees {count or 'no'} CUDA devices; use auto or cpu")
        torch.cuda.set_device(chosen)
    elif chosen.type != "cpu":
        _check_is_there(chosen, option)
    return chosen


def _check_is_there(device: torch.device, option: str) -> None:
    try:
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{option} = '{device}' cannot be used here ({reason}); use auto, cpu, cuda or cuda:N"
        ) from None


def _environment_number(name: str, default: int) -> int:
    text = os.environ.get(name, str(default))  # the environment holds text: "0" is not 0
    if not text.isdecimal():
        raise InputError(f"environment variable {name} = {text!r} is not a whole number; start through torchrun")
    return int(text)


@contextmanager
def processes(device: str) -> Iterator[Processes]:
    """Joins the group that ``torchrun`` made, if any, and leaves it at the end."""
    world = _environment_number("WORLD_SIZE", 1)
    chosen = choose_device(device)
    if world == 1:
        yield Processes(0, 1, chosen)
        return
    mine = not dist.is_initialized()
    if mine:
        dist.init_process_group("nccl" if chosen.type == "cuda" else "gloo", timeout=PATIENCE)
    try:
        yield Processes(dist.get_rank(), dist.get_world_size(), chosen)
    finally:
        if mine:
            _leave()


def _leave() -> None:
    """Leaves the group so that the process can end.

    A worker thread of gloo that lets go of the last collective's tensors needs the interpreter's lock. Freeing the
    group (its last owner can be DistributedDataParallel's reducer) joins that thread while holding the lock, and
    ending the interpreter kills it: now and then a run that was over would hang for ever, or abort. So the group is
    kept, and the workers get a moment without the lock first.
    """
    time.sleep(_DRAIN_SECONDS)
    _left_groups.append(dist.group.WORLD)
    dist.destroy_process_group()


def unwrapped(model: nn.Module) -> nn.Module:
    """The model itself, without its wrapper for several processes."""
    return model.module if isinstance(model, DistributedDataParallel) else model
