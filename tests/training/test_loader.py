"""Worker processes: the same stream for any number of them, and none left behind."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import gin
import pytest
import torch
from blas import numpys_openblas
from toy import ToyBatch, ToyDataset, ToyTask

from sparse3d.errors import InputError
from sparse3d.training.loader import BatchLoader
from sparse3d.training.sampler import StreamSampler


def stream(workers: int, batches: int = 6, **options: Any) -> list[ToyBatch]:
    loader = BatchLoader(ToyDataset(7), ToyTask().collate, StreamSampler(7, 3, 1), workers, **options)
    try:
        return [next(loader) for _ in range(batches)]
    finally:
        loader.close()


@pytest.mark.parametrize("workers", [1, 2])
def test_the_stream_does_not_depend_on_the_number_of_workers(workers: int) -> None:
    for ours, theirs in zip(stream(0), stream(workers), strict=True):
        assert ours.names == theirs.names and torch.equal(ours.x, theirs.x)
    assert multiprocessing.active_children() == []


def test_items_of_two_workers_differ_and_one_item_differs_between_epochs() -> None:
    batches = stream(2, batches=14)  # two workers take turns
    rows = [tuple(row.tolist()) for batch in batches for row in batch.x]
    assert len(set(rows)) == len(rows) == 42  # each of the 7 items six times, never alike


class WorkerFacts(ToyDataset):
    def __getitem__(self, key: tuple[int, int]) -> Any:
        ignored = [signal.getsignal(s) == signal.SIG_IGN for s in (signal.SIGINT, signal.SIGTERM)]
        # Of numpy's BLAS too, whose idle threads spin on the cores of the training process.
        threads = max([torch.get_num_threads(), *(library.num_threads for library in numpys_openblas())])
        return str(os.getpid()), torch.tensor([threads, *ignored]), torch.zeros(1)


def test_workers_use_one_thread_and_leave_signals_to_the_training_process(
    request: pytest.FixtureRequest,
) -> None:
    for library in numpys_openblas():  # a tool that was run in this process may have left it at one
        request.addfinalizer(partial(library.set_num_threads, library.num_threads))
        library.set_num_threads(2)
    loader = BatchLoader(WorkerFacts(7), ToyTask().collate, StreamSampler(7, 2, 1), 2)
    try:
        batches = [next(loader) for _ in range(4)]
    finally:
        loader.close()
    assert all(torch.equal(batch.x, torch.ones(2, 3, dtype=torch.int64)) for batch in batches)
    pids = {int(name) for batch in batches for name in batch.names}
    assert len(pids) == 2 and os.getpid() not in pids
    for pid in pids:
        with pytest.raises(ProcessLookupError):  # gone and reaped: no zombie
            os.kill(pid, 0)


def test_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    stream(2)
    assert torch.equal(torch.rand(1), expected)


@gin.configurable(module="toy")
def fail_in_worker() -> None:
    raise OSError("disk gone")


class Failing(ToyDataset):
    def __getitem__(self, key: tuple[int, int]) -> Any:
        fail_in_worker()


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_below_gin_arrives_instead_of_hanging(workers: int) -> None:
    loader = BatchLoader(Failing(7), ToyTask().collate, StreamSampler(7, 2, 1), workers)
    try:
        with pytest.raises(RuntimeError, match="disk gone"):
            next(loader)
    finally:
        loader.close()


def test_an_unknown_start_method_is_an_input_error() -> None:
    with pytest.raises(InputError, match="train.worker_start = 'forked'"):
        stream(1, worker_start="forked")


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_no_file_descriptor_is_left_open() -> None:
    stream(2)
    wait_for_queue_threads()
    before = open_descriptors()
    for _ in range(3):
        stream(2)
    wait_for_queue_threads()
    assert open_descriptors() <= before


def wait_for_queue_threads(seconds: float = 30.0) -> None:
    """The feeder thread of a multiprocessing queue closes the queue's pipe by itself, after its owner has let go."""
    gc.collect()
    deadline = time.monotonic() + seconds
    while any(thread.name == "QueueFeederThread" for thread in threading.enumerate()):
        assert time.monotonic() < deadline, f"a queue's thread still runs after {seconds:.0f} s"
        time.sleep(0.01)
