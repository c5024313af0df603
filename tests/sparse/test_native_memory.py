"""Memory of the compiled kernels: blocks are used again, never by two tensors, never more than at worst."""

from __future__ import annotations

import os
import random
import threading
import weakref

import pytest
import torch

from sparse3d.sparse import BatchNorm, Convolution, SparseTensor, concatenate, native
from sparse3d.sparse.native.memory import empty_rows, pool_bytes

pytestmark = pytest.mark.skipif(
    not native.available() or os.environ.get("SPARSE3D_KEEP_MEMORY") == "0", reason="no native library, or told not to"
)
MEGABYTE = 1 << 20


def test_a_block_given_back_serves_the_next_tensor_of_that_size() -> None:
    first = empty_rows(1500, 1000)
    place = first.data_ptr()
    del first
    again = empty_rows(1490, 1000)
    assert again.data_ptr() == place
    assert again.shape == (1490, 1000) and again.dtype == torch.float32 and again.is_contiguous()


def test_tensors_never_share_a_block_and_keep_what_is_written_whatever_the_order() -> None:
    """Several threads take and give back blocks of many sizes, each tensor filled with a number of its own."""
    faults: list[int] = []

    def churn(seed: int) -> None:
        rng, alive = random.Random(seed), {}
        for step in range(150):
            tensor = empty_rows(rng.randrange(300, 900), 1024)
            alive[seed * 1000 + step] = tensor.fill_(seed * 1000 + step)
            for name in [name for name in alive if rng.random() < 0.4]:
                if not bool((alive.pop(name) == name).all()):
                    faults.append(name)

    threads = [threading.Thread(target=churn, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert faults == []


def test_free_neighbours_become_one_place_and_a_large_place_serves_small_tensors() -> None:
    large = empty_rows(6000, 1024)
    place, size = large.data_ptr(), large.numel() * 4
    del large
    parts = [empty_rows(2000, 1024) for _ in range(3)]
    assert all(place <= part.data_ptr() < place + size for part in parts)
    while parts:
        parts.pop(1 if len(parts) > 1 else 0)  # the middle one first: it has neighbours on both sides later
    assert empty_rows(6000, 1024).data_ptr() == place


def test_what_is_kept_and_in_use_never_exceeds_the_worst_time() -> None:
    alive: list[torch.Tensor] = []
    rng = random.Random(0)
    worst = pool_bytes()[2]
    for _ in range(300):
        alive.append(empty_rows(rng.randrange(300, 3000), 1024))
        used, kept, most = pool_bytes()
        worst = max(worst, used)
        assert used + kept <= most <= worst
        while len(alive) > rng.randrange(8):
            alive.pop(rng.randrange(len(alive)))
    alive.clear()
    used, kept, most = pool_bytes()
    assert used + kept <= most


def test_a_bad_moment_is_forgotten_slowly() -> None:
    large = empty_rows(60_000, 1024)
    most = pool_bytes()[2]
    del large
    for _ in range(20):
        empty_rows(300, 1024)
    assert pool_bytes()[2] < most


def test_views_and_storages_keep_their_block() -> None:
    view = empty_rows(1024, 1024).fill_(7)[5:, 3]
    others = [empty_rows(1024, 1024).fill_(0) for _ in range(3)]
    assert bool((view == 7).all()) and len(others) == 3


def test_small_tensors_and_the_environment_leave_it_to_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    before = pool_bytes()[0]
    small = empty_rows(10, 10)
    monkeypatch.setenv("SPARSE3D_KEEP_MEMORY", "0")
    large = empty_rows(1500, 1000)
    assert pool_bytes()[0] == before and small.shape == (10, 10) and large.shape == (1500, 1000)


def test_the_defaults_of_torch_do_not_matter() -> None:
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    try:
        assert empty_rows(10, 10).dtype == empty_rows(1500, 1000).dtype == torch.float32
    finally:
        torch.set_default_dtype(before)


def test_nothing_of_no_size_is_taken_and_too_much_is_torchs_error() -> None:
    assert empty_rows(0, 5).shape == (0, 5)
    with pytest.raises(RuntimeError, match="memory"):
        empty_rows(1 << 40, 1 << 10)


def some_layers() -> tuple[torch.nn.Module, ...]:
    torch.manual_seed(0)
    return Convolution(8, 16, 3), BatchNorm(16), Convolution(16, 8, 3)


def test_a_norms_output_is_not_kept_for_the_convolution_behind_it_and_the_gradients_are_the_same_bits() -> None:
    cells = torch.randperm(20**3, generator=torch.Generator().manual_seed(0))[:2000]
    coords = torch.stack([cells * 0, cells // 400, cells // 20 % 20, cells % 20], dim=1).int()
    feats = torch.randn(2000, 8)
    results = []
    for kept in (False, True):
        first, norm, second = some_layers()
        x = feats.clone().requires_grad_()
        middle = norm(first(SparseTensor.from_coords(coords, x, backend="native")), relu=True)
        if kept:  # another tensor of the same values, which nobody knows how to make again
            middle = middle.with_feats(middle.feats * 1.0)
        gone = weakref.ref(middle.feats)
        out = second(middle).feats
        del middle
        assert kept or gone() is None
        out.square().sum().backward()
        results.append([x.grad, *(p.grad for m in (first, norm, second) for p in m.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_a_concatenation_of_what_can_be_made_again_is_not_kept_and_the_gradients_are_the_same_bits() -> None:
    coords = torch.stack([torch.arange(900) * 0, *(torch.arange(900) // n % 10 for n in (90, 9, 1))], dim=1)
    coords = torch.unique(coords, dim=0).int()
    feats, results = torch.randn(len(coords), 8), []
    for kept in (False, True):
        first, norm, second = some_layers()
        torch.manual_seed(1)
        last = Convolution(24, 4, 3)
        x = SparseTensor.from_coords(coords, feats.clone().requires_grad_(), backend="native")
        beside = concatenate(norm(first(x), relu=True), second(first(x)))
        if kept:
            beside = beside.with_feats(torch.cat([part.contiguous() for part in beside.feats.split([16, 8], dim=1)], 1))
        gone = weakref.ref(beside.feats)
        out = last(beside).feats
        del beside
        assert kept or gone() is None
        out.square().sum().backward()
        results.append([x.feats.grad, *(p.grad for m in (first, norm, second, last) for p in m.parameters())])
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))


def test_a_norms_output_that_was_written_to_is_kept_as_it_is() -> None:
    coords = torch.tensor([[0, i, 0, 0] for i in range(30)], dtype=torch.int32)
    feats, gradients = torch.randn(30, 8), []
    for in_place in (True, False):
        first, norm, second = some_layers()
        middle = norm(first(SparseTensor.from_coords(coords, feats, backend="native")))
        middle = middle.with_feats(middle.feats.mul_(3) if in_place else middle.feats * 3)
        second(middle).feats.square().sum().backward()
        gradients.append(second.kernel.grad)
    assert torch.equal(*gradients)


def test_weights_changed_between_the_passes_are_an_error_not_a_wrong_gradient() -> None:
    first, norm, second = some_layers()
    coords = torch.tensor([[0, i, 0, 0] for i in range(30)], dtype=torch.int32)
    middle = norm(first(SparseTensor.from_coords(coords, torch.randn(30, 8), backend="native")), relu=True)
    out = second(middle).feats.sum()
    with torch.no_grad():
        norm.bn.weight.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        out.backward()
