"""Networks that make voxels, judge them and leave out most: generating, pruning, uniting, on every backend.

The oracle is a dictionary from voxels to rows: a transposed convolution of kernel W sends every input row x at c as
``x W[k]`` to ``c + offset[k]``, in units of the finer tensor stride.
"""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparse3d.sparse import (
    Convolution,
    ConvolutionTranspose,
    GenerativeConvolutionTranspose,
    MaxPooling,
    Pruning,
    ReLU,
    SparseTensor,
    SumPooling,
    concatenate,
)
from sparse3d.sparse.coordinates import COORD_LIMIT

Coords = Callable[..., Tensor]
Voxel = tuple[int, ...]
SHAPES: list[dict[str, Any]] = [
    {"kernel_size": 2, "stride": 2},
    {"kernel_size": 3, "stride": 2},
    {"kernel_size": 3, "stride": 2, "dilation": 2},
    {"kernel_size": 1, "stride": 2},
    {"kernel_size": 4, "stride": 4},
    {"kernel_size": (2, 1, 3), "stride": (2, 1, 4)},
    {"kernel_size": 3, "stride": 1},
]


def coarse_cloud(coords: Tensor, channels: int, backend: str | None = None, stride: int = 4) -> SparseTensor:
    """Voxels of tensor stride 4 with random features."""
    feats = torch.randn(len(coords), channels, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    spaced = coords * torch.tensor([1, stride, stride, stride], dtype=torch.int32)
    return SparseTensor.from_coords(spaced, feats.requires_grad_(), backend=backend, tensor_stride=stride)


def as_dict(x: SparseTensor) -> dict[Voxel, Tensor]:
    return {tuple(voxel): row for voxel, row in zip(x.coords.tolist(), x.feats, strict=True)}


def reached(layer: Any, x: SparseTensor) -> dict[Voxel, Tensor]:
    """Every voxel that the kernel reaches, with the sum of what arrives there."""
    unit = torch.tensor([coarse // step for coarse, step in zip(x.tensor_stride, layer.stride, strict=True)])
    sums: dict[Voxel, Tensor] = {}
    for (batch, *place), row in as_dict(x).items():
        for offset, weight in zip(layer.region.offsets() * unit, layer.kernel, strict=True):
            voxel = (batch, *(torch.tensor(place) + offset).tolist())
            sums[voxel] = sums.get(voxel, 0.0) + row @ weight
    return sums


def gradients(out: dict[Voxel, Tensor], wanted: list[Tensor]) -> list[Tensor]:
    """For a cotangent that depends on the voxel."""
    loss = torch.stack([(row * (1.0 + hash(voxel) % 7)).sum() for voxel, row in out.items()]).sum()
    return list(torch.autograd.grad(loss, wanted, retain_graph=True))


def same(a: dict[Voxel, Tensor], b: dict[Voxel, Tensor]) -> bool:
    return a.keys() == b.keys() and all(torch.allclose(row, b[voxel], atol=1e-12) for voxel, row in a.items())


GENERATING = [(GenerativeConvolutionTranspose, shape) for shape in SHAPES]
GENERATING += [(ConvolutionTranspose, shape) for shape in SHAPES if shape["stride"] != 1]


@pytest.mark.parametrize(("kind", "shape"), GENERATING)
def test_where_there_are_no_voxels_all_that_the_kernel_reaches_are_made(
    random_coords: Coords, kind: Any, shape: dict[str, Any], backend: str
) -> None:
    x, layer = coarse_cloud(random_coords(15, extent=2), 2, backend), kind(2, 3, **shape).double()
    out = layer(x)
    expected = reached(layer, x)
    assert same(as_dict(out), expected)
    wanted = [x.feats, layer.kernel]
    for ours, oracle in zip(gradients(as_dict(out), wanted), gradients(expected, wanted), strict=True):
        assert torch.allclose(ours, oracle, atol=1e-11)


def test_generating_adds_to_voxels_that_are_there_and_transposing_does_not(random_coords: Coords, backend: str) -> None:
    x = SparseTensor.from_coords(random_coords(40), torch.randn(40, 2), backend=backend)
    coarse = SumPooling(2, 2)(x)
    made = GenerativeConvolutionTranspose(2, 2, 2, stride=2)(coarse)
    kept = ConvolutionTranspose(2, 2, 2, stride=2)(coarse)
    assert kept.key == x.key and made.key.branch != x.key.branch
    assert len(made) == 8 * len(coarse) and set(as_dict(x)) < set(as_dict(made))


def test_the_first_layer_to_make_voxels_of_a_stride_makes_its_originals(random_coords: Coords) -> None:
    """As MinkowskiEngine has it: later transposed layers go back to them, later generations open branches."""
    generate = GenerativeConvolutionTranspose(2, 2, 2, stride=2).double()
    transpose = ConvolutionTranspose(2, 2, 2, stride=2).double()
    for first in (generate, transpose):
        x = coarse_cloud(random_coords(15), 2)
        few = Pruning()(x, torch.arange(15) < 4)
        made = first(few)
        assert transpose(few).key == transpose(x).key == made.key and len(made) == 8 * 4
        later = [generate(t) for t in (few, few, x)]
        assert len({made.key, *(t.key for t in later)}) == 4
        assert [len(t) for t in later] == [8 * 4, 8 * 4, 8 * 15]


def test_a_kernel_of_one_voxel_stays_on_its_voxels(random_coords: Coords, backend: str) -> None:
    x, layer = coarse_cloud(random_coords(15), 2, backend), GenerativeConvolutionTranspose(2, 3, 1).double()
    out = layer(x)
    assert out.key == x.key and torch.allclose(out.feats, x.feats @ layer.kernel)


def test_generated_voxels_do_not_depend_on_the_order_of_rows(random_coords: Coords, backend: str) -> None:
    coords, layer = random_coords(30, extent=2) * 4, GenerativeConvolutionTranspose(2, 3, 3, stride=2).double()
    coords[:, 0] //= 4
    feats, shuffle = torch.randn(30, 2).double(), torch.randperm(30)
    a = layer(SparseTensor.from_coords(coords, feats, backend=backend, tensor_stride=4))
    b = layer(SparseTensor.from_coords(coords[shuffle], feats[shuffle], backend=backend, tensor_stride=4))
    assert torch.equal(a.coords, b.coords) and torch.allclose(a.feats, b.feats, atol=1e-13)


def test_voxels_beyond_the_range_are_refused(backend: str) -> None:
    edge = torch.tensor([[0, COORD_LIMIT // 4 * 4, 0, 0]], dtype=torch.int32)
    x = SparseTensor.from_coords(edge, torch.ones(1, 1), backend=backend, tensor_stride=4)
    with pytest.raises(ValueError, match="shift the cloud"):
        GenerativeConvolutionTranspose(1, 1, 3, stride=2)(x)


def test_generating_below_the_given_voxels_is_an_error(random_coords: Coords) -> None:
    x = SparseTensor.from_coords(random_coords(20), torch.randn(20, 2))
    with pytest.raises(ValueError, match="tensor stride that it divides"):
        GenerativeConvolutionTranspose(2, 2, 2, stride=2)(x)


OPERATIONS: dict[str, Callable[[Any, Any], Any]] = {
    "sum": lambda a, b: a + b,
    "difference": lambda a, b: a - b,
    "product": lambda a, b: a * b,
}


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_voxel_that_one_side_lacks_counts_zero_there(random_coords: Coords, name: str, backend: str) -> None:
    """In MinkowskiEngine's product a voxel that only the first side has keeps its value."""
    x = coarse_cloud(random_coords(40), 3, backend)
    left = Pruning()(x, torch.arange(40) % 3 > 0)
    right = Pruning()(x.with_feats(x.feats.cos()), torch.arange(40) % 2 > 0)
    out = OPERATIONS[name](left, right)
    a, b, zero = as_dict(left), as_dict(right), torch.zeros(3).double()
    expected = {v: OPERATIONS[name](a.get(v, zero), b.get(v, zero)) for v in a.keys() | b.keys()}
    assert same(as_dict(out), expected) and out.tensor_stride == x.tensor_stride
    assert torch.allclose(*(gradients(d, [x.feats])[0] for d in (as_dict(out), expected)), atol=1e-12)


@pytest.mark.parametrize("name", OPERATIONS)
def test_gradients_of_unions_pass_gradcheck(random_coords: Coords, name: str, backend: str) -> None:
    coords = random_coords(10)

    def combine(a: Tensor, b: Tensor) -> Tensor:
        x = SparseTensor.from_coords(coords, a, backend=backend)
        left, right = Pruning()(x, torch.arange(10) < 7), Pruning()(x.with_feats(b), torch.arange(10) > 3)
        out: Tensor = OPERATIONS[name](left, right).feats
        return out

    a, b = (torch.randn(10, 2, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert torch.autograd.gradcheck(combine, (a, b))


def test_later_unions_have_voxels_of_their_own(random_coords: Coords) -> None:
    """MinkowskiEngine adds a second union of a stride onto the first one's voxels, in wrong rows."""
    x = SparseTensor.from_coords(random_coords(30), torch.randn(30, 1))
    parts = [Pruning()(x, torch.arange(30) // 10 == part) for part in range(3)]
    first, second, all_three = parts[0] + parts[1], parts[0] + parts[2], parts[0] + parts[1] + parts[2]
    assert len({t.key for t in (first, second, all_three)}) == 3
    assert set(as_dict(second)) == set(as_dict(parts[0])) | set(as_dict(parts[2]))
    assert as_dict(all_three) == as_dict(x)


def test_a_union_with_the_whole_keeps_its_voxels_and_layers_go_on_from_it(random_coords: Coords, backend: str) -> None:
    x = SparseTensor.from_coords(random_coords(40), torch.randn(40, 2).double(), backend=backend)
    union = Pruning()(x, torch.arange(40) < 9) - x
    conv = Convolution(2, 3, 3, stride=2).double()
    again = conv(x.with_feats(torch.where(torch.arange(40)[:, None] < 9, 0.0, -x.feats)))
    assert same(as_dict(conv(union)), as_dict(again))


class Decoder(nn.Module):
    """Down twice; then twice: make voxels, add those of the way down, judge, prune. As sparse detectors do."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.ModuleList([Convolution(3, 8, 3, stride=2), Convolution(8, 8, 3, stride=2)])
        self.up = nn.ModuleList([GenerativeConvolutionTranspose(8, 8, 3, stride=2) for _ in range(2)])
        self.lateral = nn.ModuleList([Convolution(3, 8, 1), Convolution(8, 8, 1)])
        self.mix, self.judge = Convolution(8, 8, 3), Convolution(8, 1, 1, bias=True)
        self.relu, self.prune, self.pool = ReLU(), Pruning(), MaxPooling(3)

    def forward(self, x: SparseTensor, threshold: float = 0.0) -> list[SparseTensor]:
        levels = [x]
        for down in self.down:
            levels.append(self.relu(down(levels[-1])))
        out, scores = levels[-1], []
        for level in (1, 0):
            out = self.up[level](out) + self.lateral[level](levels[level])
            out = self.relu(self.mix(out))
            score = self.judge(self.pool(out))
            scores.append(score)
            out = self.prune(out, score.feats.detach()[:, 0] > score.feats.median() + threshold)
        return [out, *scores]


def decode(coords: Tensor, feats: Tensor, backend: str, threshold: float = 0.0) -> tuple[list[SparseTensor], Decoder]:
    torch.manual_seed(0)
    net = Decoder().double()
    return net(SparseTensor.from_coords(coords, feats, backend=backend), threshold), net


def test_a_detection_decoder_is_the_same_on_every_backend(random_coords: Coords, backend: str) -> None:
    coords, found = random_coords(60, extent=4), []
    for name in ("torch", backend):
        feats = torch.randn(60, 3, generator=torch.Generator().manual_seed(0)).double().requires_grad_()
        tensors, net = decode(coords, feats, name)
        loss = sum((t.feats**2).sum() for t in tensors)
        found.append([*(v for t in tensors for v in (t.coords, t.feats)), loss])
        found[-1] += torch.autograd.grad(loss, [feats, *net.parameters()])
    assert 0 < len(tensors[0]) < len(tensors[2]) and tensors[0].tensor_stride == (1, 1, 1)
    assert all(torch.allclose(a, b, atol=1e-10) for a, b in zip(*found, strict=True))


def test_a_decoder_that_keeps_nothing_still_has_gradients(random_coords: Coords, backend: str) -> None:
    """Early in training a head may leave out everything; MinkowskiEngine then ends the process."""
    feats = torch.randn(60, 3).double().requires_grad_()
    tensors, _ = decode(random_coords(60, extent=4), feats, backend, threshold=float("inf"))
    assert len(tensors[0]) == 0 and len(tensors[2]) >= 60
    sum(t.feats.sum() for t in tensors).backward()
    assert feats.grad is not None and bool(feats.grad.any())


def test_branches_are_freed_with_the_last_tensor(random_coords: Coords, backend: str) -> None:
    tensors, _ = decode(random_coords(60, extent=4), torch.randn(60, 3).double(), backend)
    manager = weakref.ref(tensors[0].manager)
    del tensors
    gc.collect()
    assert manager() is None


def test_tensors_of_different_branches_are_united_not_put_side_by_side(random_coords: Coords) -> None:
    x = SparseTensor.from_coords(random_coords(20), torch.randn(20, 2))
    same_voxels = Pruning()(x, torch.ones(20, dtype=torch.bool))
    with pytest.raises(ValueError, match="union"):
        concatenate(x, same_voxels)
    assert same(as_dict(x + same_voxels), as_dict(x.with_feats(2 * x.feats)))
