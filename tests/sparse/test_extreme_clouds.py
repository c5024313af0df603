"""Clouds at the ends of what is allowed, through every layer: none, one or 4,096 items, the edge of the range."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sparse3d.sparse import (
    AvgPooling,
    BatchNorm,
    Convolution,
    ConvolutionTranspose,
    GenerativeConvolutionTranspose,
    MaxPooling,
    PoolingTranspose,
    Pruning,
    ReLU,
    SparseTensor,
    SumPooling,
    TensorField,
    global_pool,
    interpolate,
    slice,
)
from sparse3d.sparse.coordinates import COORD_LIMIT, MAX_BATCH, pack

LAYERS: dict[str, Callable[[], list[nn.Module]]] = {
    "convolution": lambda: [Convolution(4, 3, 3, bias=True)],
    "pointwise": lambda: [Convolution(4, 3, 1, bias=True)],
    "dilated": lambda: [Convolution(4, 3, 3, dilation=2)],
    "strided": lambda: [Convolution(4, 3, 2, stride=2)],
    "strided pointwise": lambda: [Convolution(4, 3, 1, stride=2)],
    "axes of their own": lambda: [Convolution(4, 3, (3, 1, 2), stride=(1, 2, 4))],
    "down and up": lambda: [Convolution(4, 5, 2, stride=4), ConvolutionTranspose(5, 3, 2, stride=4)],
    "generating": lambda: [Convolution(4, 5, 2, stride=2), GenerativeConvolutionTranspose(5, 3, 2, stride=2)],
    "sum": lambda: [SumPooling(2, stride=2)],
    "average": lambda: [AvgPooling(3, stride=2)],
    "maximum": lambda: [MaxPooling(2, stride=2)],
    "maximum and back": lambda: [MaxPooling(2, stride=2), PoolingTranspose(2, stride=2)],
    "normalised": lambda: [Convolution(4, 3, 3), BatchNorm(3).eval(), ReLU()],
}


def run(layers: list[nn.Module], coords: Tensor, feats: Tensor, backend: str) -> SparseTensor:
    out = nn.Sequential(*layers)(SparseTensor.from_coords(coords, feats, batch_size=2, backend=backend))
    assert isinstance(out, SparseTensor)
    return out


def in_order(x: SparseTensor) -> tuple[Tensor, Tensor]:
    order = pack(x.coords).argsort()
    return x.coords[order], x.feats[order]


@pytest.mark.parametrize("case", LAYERS)
def test_no_voxel_gives_none_and_zero_gradients(case: str, backend: str) -> None:
    feats = torch.zeros(0, 4, requires_grad=True)
    layers = LAYERS[case]()
    out = run(layers, torch.zeros(0, 4, dtype=torch.int32), feats, backend)
    assert len(out) == 0 and out.coords.shape == (0, 4)
    out.feats.sum().backward()
    assert feats.grad is not None and feats.grad.shape == (0, 4)
    gradients = [p.grad for layer in layers for p in layer.parameters()]
    assert all(gradient is not None and not bool(gradient.any()) for gradient in gradients)


@pytest.mark.parametrize("case", LAYERS)
def test_one_voxel_far_from_zero_gives_what_one_at_zero_does(case: str, backend: str) -> None:
    """A shift by a multiple of every stride changes coordinates and nothing else."""
    layers, feats = LAYERS[case](), torch.randn(1, 4)
    near = run(layers, torch.tensor([[1, 0, 0, 0]], dtype=torch.int32), feats, backend)
    far = run(layers, torch.tensor([[1, -400, 640, -16]], dtype=torch.int32), feats, backend)
    assert len(near) >= 1 and bool(near.feats.isfinite().all())
    assert torch.equal(far.coords, near.coords + torch.tensor([0, -400, 640, -16]))
    assert torch.equal(far.feats, near.feats)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("case", [case for case in LAYERS if case != "generating"])
def test_a_cloud_at_the_edge_of_the_range_gives_what_one_at_zero_does(case: str, sign: int, backend: str) -> None:
    generator = torch.Generator().manual_seed(0)
    cells = torch.randperm(2 * 6**3, generator=generator)[:150]
    columns = [cells // 6**3, *(sign * -(cells // 6**axis % 6) for axis in range(3))]
    coords, feats = torch.stack(columns, dim=1).to(torch.int32), torch.randn(150, 4)
    layers, shift = LAYERS[case](), sign * COORD_LIMIT
    assert shift % 16 == 0  # a multiple of every stride
    coords_at_zero, expected = in_order(run(layers, coords, feats, backend))
    moved = coords + torch.tensor([0, shift, shift, shift], dtype=torch.int32)
    assert int(moved[:, 1:].abs().max()) == COORD_LIMIT
    coords_at_edge, out = in_order(run(layers, moved, feats, backend))
    assert torch.equal(coords_at_edge - torch.tensor([0, shift, shift, shift]), coords_at_zero)
    assert torch.allclose(out, expected, atol=1e-6)


def test_voxels_generated_beyond_the_range_are_refused_with_the_remedy(backend: str) -> None:
    x = SparseTensor.from_coords(torch.tensor([[0, COORD_LIMIT, 0, 0]]), torch.ones(1, 1), backend=backend)
    with pytest.raises(ValueError, match=f"{COORD_LIMIT}.*shift the cloud"):
        GenerativeConvolutionTranspose(1, 1, 3)(x)


@pytest.mark.parametrize("case", LAYERS)
def test_4096_batch_items_stay_apart(case: str, backend: str) -> None:
    """The same three voxels in every item, features of its own: each item gives what it gives alone."""
    shape = torch.tensor([[0, 0, 0], [1, 0, -1], [-3, 2, 0]])
    items = torch.arange(MAX_BATCH).repeat_interleave(3)[:, None]
    coords = torch.cat([items, shape.repeat(MAX_BATCH, 1)], dim=1).to(torch.int32)
    feats = torch.randn(len(coords), 4)
    layers = LAYERS[case]()
    out = nn.Sequential(*layers)(SparseTensor.from_coords(coords, feats, backend=backend))
    assert out.batch_size == MAX_BATCH
    for item in (0, 1, 2047, MAX_BATCH - 1):
        rows = out.batch_index == item
        alone_coords = coords[coords[:, 0] == item] * torch.tensor([0, 1, 1, 1], dtype=torch.int32)
        alone = nn.Sequential(*layers)(
            SparseTensor.from_coords(alone_coords, feats[coords[:, 0] == item], backend=backend)
        )
        assert torch.equal(out.coords[rows][:, 1:], alone.coords[:, 1:])
        assert torch.allclose(out.feats[rows], alone.feats, atol=1e-6)


def test_4096_items_are_pooled_voxelized_and_read_each_by_itself(backend: str) -> None:
    points = torch.rand(2 * MAX_BATCH, 4)
    points[:, 0] = torch.arange(MAX_BATCH).repeat(2)
    field = TensorField(torch.randn(2 * MAX_BATCH, 2), points)
    x = field.sparse("average", backend=backend)
    means = (field.feats[:MAX_BATCH] + field.feats[MAX_BATCH:]) / 2
    assert torch.allclose(x.feats, means) and torch.allclose(global_pool(x), means)
    assert torch.allclose(slice(x, field), means.repeat(2, 1))
    assert torch.allclose(interpolate(x, x.coords.float()), means)


def test_batch_item_4096_is_refused_with_the_remedy(backend: str) -> None:
    coords = torch.tensor([[MAX_BATCH, 0, 0, 0]], dtype=torch.int32)
    with pytest.raises(ValueError, match=r"\[0, 4096\), got \[4096, 4096\]: use smaller batches"):
        SparseTensor.from_coords(coords, torch.ones(1, 1), backend=backend)


def test_what_was_pruned_to_nothing_flows_on(backend: str) -> None:
    """A detection head on an empty scene: every layer after it sees no voxel, and the loss still has gradients."""
    feats = torch.randn(5, 4, requires_grad=True)
    coords = torch.tensor([[0, k, -k, 2 * k] for k in range(5)], dtype=torch.int32)
    x = Convolution(4, 4, 3)(SparseTensor.from_coords(coords, feats, backend=backend))
    empty = Pruning()(x, torch.zeros(5, dtype=torch.bool))
    for case, layers in LAYERS.items():
        out = nn.Sequential(*layers())(empty)
        # Going up again after pruning leads to the original voxels, on which nothing arrives.
        assert len(out) == (5 if case in ("down and up", "maximum and back") else 0)
        assert not bool(out.feats.any())
        out.feats.sum().backward(retain_graph=True)
    assert feats.grad is not None and not bool(feats.grad.any())
