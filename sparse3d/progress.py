"""Progress bars on long work: where a command line tool runs on a terminal, and nowhere else."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

Item = TypeVar("Item")
_shown: ContextVar[bool] = ContextVar("shown", default=False)


@contextmanager
def bars_shown() -> Iterator[None]:
    """Inside, :func:`track` draws bars on stderr, if that is a terminal."""
    token = _shown.set(True)
    try:
        yield
    finally:
        _shown.reset(token)


def track(items: Sequence[Item], what: str, unit: str) -> Iterator[Item]:
    """The items in order, with a bar that says ``what`` is being done and how many ``unit``\\ s are left."""
    if not _shown.get():
        return iter(items)
    from tqdm import tqdm  # the tools of set-up run where nothing is installed yet

    return iter(tqdm(items, desc=what, unit=unit, disable=None, leave=False))
