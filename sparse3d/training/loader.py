"""Batches for the loop: worker processes that start, fail and end in good order."""

from __future__ import annotations

import multiprocessing
import pickle
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from sparse3d.blas_threads import keep_numpy_to_one_thread
from sparse3d.errors import InputError
from sparse3d.training.sampler import StreamSampler


@dataclass(frozen=True)
class _Refused:
    """Stands for an item or batch that met bad input; it travels to the main process as a value."""

    message: str


class _GuardedDataset(Dataset[Any]):
    """Turns an InputError into a value: torch would wrap it in a worker's traceback, and lose its type."""

    def __init__(self, dataset: Any) -> None:
        self.dataset = dataset

    def __len__(self) -> int:
        return len(self.dataset)

    def __getitem__(self, key: tuple[int, int]) -> Any:
        try:
            return self.dataset[key]
        except InputError as error:
            return _Refused(str(error))
        except Exception as error:
            if not _can_travel(type(error)):
                raise RuntimeError(f"{type(error).__name__}: {error}") from error
            raise


def _can_travel(kind: type) -> bool:
    """Whether a worker can send an exception of this class.

    gin re-raises under a class made on the spot, which cannot be pickled; the main process would wait for ever.
    """
    try:
        pickle.dumps(kind)
    except (pickle.PicklingError, AttributeError):
        return False
    return True


class _GuardedCollate:
    def __init__(self, collate: Callable[[list[Any]], Any]) -> None:
        self.collate = collate

    def __call__(self, items: list[Any]) -> Any:
        refused = next((item for item in items if isinstance(item, _Refused)), None)
        if refused is not None:
            return refused
        try:
            return self.collate(items)
        except InputError as error:
            return _Refused(str(error))


def _start_worker(_worker: int) -> None:
    # One thread a worker: the machine's cores are shared by the workers and the training process.
    torch.set_num_threads(1)
    keep_numpy_to_one_thread()
    # A signal to the whole group must not kill workers under the feet of the process that is still saving.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


def start_method(requested: str) -> str:
    """The method of multiprocessing; ``auto`` forks where the system can. InputError where it is not known here.

    Forking hands the task's ``collate`` and the data set to workers without pickling, and spares them the import of
    torch.
    The known danger, OpenMP threads that do not exist in the child, is kept away by one thread a worker.
    """
    methods = multiprocessing.get_all_start_methods()
    if requested == "auto":
        return "fork" if "fork" in methods else methods[0]
    if requested not in methods:
        raise InputError(
            f"train.worker_start = {requested!r} is not known here; choose auto or one of {', '.join(methods)}"
        )
    return requested


class BatchLoader:
    """Endless batches in the sampler's order; :meth:`close` ends every worker and waits for it."""

    def __init__(
        self,
        dataset: Any,
        collate: Callable[[list[Any]], Any],
        sampler: StreamSampler,
        workers: int,
        prefetch: int = 2,
        worker_start: str = "auto",
        pin_memory: bool = False,
    ) -> None:
        options: dict[str, Any] = {}
        if workers > 0:
            options = {"prefetch_factor": prefetch, "multiprocessing_context": start_method(worker_start)}
        self._loader: DataLoader[Any] = DataLoader(
            _GuardedDataset(dataset),
            batch_sampler=sampler,
            num_workers=workers,
            collate_fn=_GuardedCollate(collate),
            worker_init_fn=_start_worker if workers > 0 else None,
            pin_memory=pin_memory,
            # A generator of its own: else starting the loader would draw from the global one, and a resumed run differ.
            generator=torch.Generator().manual_seed(0),
            **options,
        )
        self._iterator: Iterator[Any] | None = iter(self._loader)

    def __next__(self) -> Any:
        """The next batch; InputError if its data could not be read."""
        if self._iterator is None:
            raise ValueError("the loader is closed")
        batch = next(self._iterator)
        if isinstance(batch, _Refused):
            raise InputError(batch.message)
        return batch

    def close(self) -> None:
        """Ends the workers; one that does not listen is killed, so that none outlives the run."""
        iterator, self._iterator = self._iterator, None
        shutdown = getattr(iterator, "_shutdown_workers", None)
        if shutdown is None:  # batches were made in this process
            return
        workers = list(getattr(iterator, "_workers", ()))
        shutdown()
        for worker in workers:
            if worker.is_alive():
                worker.kill()
            worker.join()
