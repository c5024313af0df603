"""The order of training items, as a pure function of (seed, position).

Position ``t`` counts items over all epochs and processes. Its epoch ``t // length`` fixes a permutation, its place in
it the index, and ``(seed, t)`` the item's own seed. So resuming needs only the position, the number of data workers
changes nothing, and several processes split one stream by taking every ``world``-th position.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np


@lru_cache(maxsize=4)
def epoch_order(length: int, seed: int, epoch: int) -> np.ndarray:
    """The permutation (length,) int64 of one epoch; do not write to it."""
    order = np.random.default_rng((seed, epoch)).permutation(length)
    order.flags.writeable = False
    return order


def item_at(position: int, length: int, seed: int) -> tuple[int, int]:
    """``(index, item_seed)`` at a position of the endless stream; ``item_seed`` lies in [0, 2**63)."""
    epoch, place = divmod(position, length)
    item_seed = int(np.random.SeedSequence((seed, position)).generate_state(1, np.uint64)[0] >> 1)
    return int(epoch_order(length, seed, epoch)[place]), item_seed


class StreamSampler:
    """Endless batches of ``(index, item_seed)`` for one process, to be used as a ``batch_sampler``.

    ``batch_size`` counts the items of one batch over all processes; this process takes the positions
    ``t`` with ``t % world == rank``. Epochs run on without a gap, so a batch may span two.
    """

    def __init__(self, length: int, batch_size: int, seed: int, position: int = 0, rank: int = 0, world: int = 1):
        if length < 1:
            raise ValueError("cannot sample from an empty data set")
        if batch_size % world or position % batch_size:
            raise ValueError(f"batch size {batch_size} must divide by {world} processes, position {position} by it")
        self.length, self.batch_size, self.seed = length, batch_size, seed
        self.position, self.rank, self.world = position, rank, world

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        # A local counter: the loader reads ahead, so what was drawn says nothing about what was trained on.
        start = self.position
        while True:
            batch = range(start + self.rank, start + self.batch_size, self.world)
            yield [item_at(position, self.length, self.seed) for position in batch]
            start += self.batch_size
