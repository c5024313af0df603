"""The stream of items: item(t) = (permutation of epoch t // n at t % n, hash(seed, t)), whoever asks and whenever."""

from __future__ import annotations

from itertools import islice

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparse3d.training.sampler import StreamSampler, item_at


def first(sampler: StreamSampler, batches: int) -> list[list[tuple[int, int]]]:
    return list(islice(iter(sampler), batches))


@given(length=st.integers(1, 40), seed=st.integers(0, 2**31), epoch=st.integers(0, 3))
def test_every_epoch_visits_every_item_once(length: int, seed: int, epoch: int) -> None:
    indices = [item_at(t, length, seed)[0] for t in range(epoch * length, (epoch + 1) * length)]
    assert sorted(indices) == list(range(length))


@given(world=st.integers(1, 4), per_rank=st.integers(1, 3), length=st.integers(1, 20), start=st.integers(0, 5))
def test_the_union_of_the_ranks_is_the_stream_of_one_process(
    world: int, per_rank: int, length: int, start: int
) -> None:
    batch = world * per_rank
    alone = first(StreamSampler(length, batch, 5, start * batch), 6)
    ranks = [first(StreamSampler(length, batch, 5, start * batch, rank, world), 6) for rank in range(world)]
    for step in range(6):
        assert sorted(key for rank in ranks for key in rank[step]) == sorted(alone[step])
        assert all(len(rank[step]) == per_rank for rank in ranks)


def test_the_ranks_cover_the_set_each_epoch_without_overlap() -> None:
    ranks = [first(StreamSampler(12, 4, 0, 0, rank, 2), 3) for rank in range(2)]
    indices = [index for rank in ranks for batch in rank for index, _ in batch]
    assert sorted(indices) == list(range(12))


@given(skipped=st.integers(0, 10))
def test_a_position_is_the_whole_state(skipped: int) -> None:
    whole = first(StreamSampler(7, 3, 11), skipped + 4)
    assert first(StreamSampler(7, 3, 11, position=3 * skipped), 4) == whole[skipped:]


def test_iterating_again_starts_at_the_same_place() -> None:
    sampler = StreamSampler(7, 3, 11, position=6)
    assert first(sampler, 5) == first(sampler, 5)


def test_item_seeds_and_orders_differ_between_epochs_and_seeds() -> None:
    n = 50
    one, two = ([item_at(t, n, 0) for t in range(e * n, (e + 1) * n)] for e in range(2))
    other = [item_at(t, n, 1) for t in range(n)]
    seeds = [seed for items in (one, two, other) for _, seed in items]
    assert len(set(seeds)) == 3 * n and all(0 <= seed < 2**63 for seed in seeds)
    assert len({tuple(index for index, _ in items) for items in (one, two, other)}) == 3


def test_a_batch_that_does_not_divide_among_the_ranks_is_refused() -> None:
    with pytest.raises(ValueError, match="divide"):
        StreamSampler(10, 3, 0, rank=0, world=2)
