"""Generating, pruning and uniting against MinkowskiEngine's own modules, values and gradients.

Decoders of random shape run on both: which voxels there are after every step, and what is on them, must agree on every
backend. Which voxels are pruned depends on their coordinates alone, so that rounding decides nothing.

Not held against it, because it is wrong or ends the process; ours is held to a dictionary in test_generative.py and
test_pruning.py instead:

- the second union of one tensor stride: it goes onto the voxels of the first, values in wrong rows;
- products over a union: a voxel that only the first tensor has keeps its value, one of the second gives 0;
- striding a pruned tensor after another was pruned at the coarser stride: both are called ``pruned`` and share voxels;
- any layer after a pruning that kept nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from test_minkowski_parity import BACKENDS, EXAMPLES, TOLERANCE
from torch import Tensor, nn

from sparse3d.sparse import Convolution, ConvolutionTranspose, GenerativeConvolutionTranspose, Pruning, SparseTensor
from sparse3d.sparse.coordinates import pack

pytestmark = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")

CHANNELS = 3


@st.composite
def small_clouds(draw: st.DrawFn) -> Tensor:
    """(N, 4) int32 in random order: few voxels, as generating makes many of them."""
    generator = torch.Generator().manual_seed(draw(st.integers(0, 2**31)))
    count, batch, extent = draw(st.sampled_from([1, 2, 10, 25])), draw(st.integers(1, 3)), draw(st.sampled_from([2, 6]))
    cells = torch.randperm(batch * (2 * extent) ** 3, generator=generator)[:count]
    columns = [cells // (2 * extent) ** (3 - axis) % (2 * extent) - extent for axis in (1, 2, 3)]
    return torch.stack([cells // (2 * extent) ** 3, *columns], dim=1).to(torch.int32)


def chosen(coords: Tensor, seed: int) -> Tensor:
    """Two thirds of the voxels, (N,) bool, by their coordinates."""
    return (coords.long() @ torch.tensor([5, 7, 11, 13]) + coords.long().square().sum(1) + seed) % 3 > 0


class Ours:
    """The steps of a decoder in our layers."""

    def read(self, x: SparseTensor) -> tuple[Tensor, Tensor, list[int]]:
        return x.coords, x.feats, list(x.tensor_stride)

    def prune(self, x: SparseTensor, keep: Tensor) -> SparseTensor:
        return Pruning()(x, keep)


class Theirs:
    """The same in MinkowskiEngine's."""

    def __init__(self, engine: ModuleType) -> None:
        self.engine = engine

    def read(self, x: Any) -> tuple[Tensor, Tensor, list[int]]:
        return x.C, x.F, x.tensor_stride

    def prune(self, x: Any, keep: Tensor) -> Any:
        return self.engine.MinkowskiPruning()(x, keep)

    def copy(self, layer: Any) -> nn.Module:
        kind = getattr(self.engine, f"Minkowski{type(layer).__name__}")
        region = layer.region
        options = {
            name: list(value)
            for name, value in [("kernel_size", region.size), ("stride", layer.stride), ("dilation", region.dilation)]
        }
        copy: nn.Module = kind(CHANNELS, CHANNELS, bias=layer.bias is not None, dimension=3, **options)
        copy = copy.to(layer.kernel.dtype)
        copy.load_state_dict(layer.state_dict(), strict=True)
        return copy


Plan = dict[str, Any]
Steps = Callable[[Any, Any, Any], list[Any]]  # (side, layers, input) -> every tensor on the way


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """A network: down twice, pruned or not; then twice up by making voxels or going back, united, mixed, pruned."""
    sizes, strides = st.sampled_from([1, 2, 3]), st.sampled_from([2, 3, (2, 1, 2)])
    return {
        "strides": [draw(strides) for _ in range(2)],
        "down": [draw(sizes) for _ in range(2)],
        "prune_first": draw(st.booleans()),
        "prune_coarse": draw(st.booleans()),
        "up": [
            {
                "kind": draw(st.sampled_from([GenerativeConvolutionTranspose, ConvolutionTranspose])),
                "size": draw(sizes),
                "dilation": draw(st.integers(1, 2)),
                "unite": draw(st.sampled_from(["", "add", "subtract"])),
                "mix": draw(st.booleans()),
                "prune": draw(st.booleans()),
            }
            for _ in range(2)
        ],
    }


def layers_of(plan: Plan, dtype: torch.dtype) -> nn.ModuleDict:
    torch.manual_seed(0)
    layers: dict[str, nn.Module] = {}
    for level in range(2):
        stride, step = plan["strides"][level], plan["up"][1 - level]
        layers[f"down{level}"] = Convolution(CHANNELS, CHANNELS, plan["down"][level], stride=stride)
        layers[f"up{level}"] = step["kind"](
            CHANNELS, CHANNELS, step["size"], stride=stride, dilation=step["dilation"], bias=True
        )
        layers[f"mix{level}"] = Convolution(CHANNELS, CHANNELS, 3)
    return nn.ModuleDict(layers).to(dtype)


def run(plan: Plan, side: Any, layers: Any, x: Any) -> list[Any]:
    """Every tensor on the way. Raises _KeptNothingError where a pruning would keep nothing."""
    steps = [x]

    def prune(tensor: Any, seed: int) -> Any:
        keep = chosen(side.read(tensor)[0], seed)
        if not keep.any():
            raise _KeptNothingError
        return side.prune(tensor, keep)

    if plan["prune_first"]:
        steps.append(prune(steps[-1], 0))
    levels = [steps[-1]]
    for level in range(2):
        levels.append(layers[f"down{level}"](levels[-1]))
    steps += levels[1:]
    out = prune(levels[-1], 1) if plan["prune_coarse"] else levels[-1]
    for level in (1, 0):
        step = plan["up"][1 - level]
        out = layers[f"up{level}"](out)
        steps.append(out)
        if step["unite"]:
            out = out + levels[level] if step["unite"] == "add" else levels[level] - out
        out = layers[f"mix{level}"](out) if step["mix"] else out
        out = prune(out, level) if step["prune"] else out
        steps.append(out)
    return steps


class _KeptNothingError(Exception):
    pass


def in_order(coords: Tensor, feats: Tensor) -> tuple[Tensor, Tensor]:
    order = pack(coords).argsort()
    return coords[order], feats[order]


def gradients(feats: Tensor, wanted: list[Tensor]) -> list[Tensor]:
    """For one cotangent in the order of the coordinates; zeros for parameters that took no part."""
    cotangent = torch.randn(feats.shape, dtype=feats.dtype, generator=torch.Generator().manual_seed(1))
    return list(torch.autograd.grad(feats, wanted, cotangent, allow_unused=True, materialize_grads=True))


def check(engine: ModuleType, layers: nn.ModuleDict, steps: Steps, coords: Tensor, dtype: torch.dtype) -> None:
    """Every tensor that ``steps`` makes, and the gradients of the last one."""
    feats = torch.randn(len(coords), CHANNELS, dtype=dtype, generator=torch.Generator().manual_seed(2))
    theirs, x = Theirs(engine), feats.clone().requires_grad_()
    copies = nn.ModuleDict({name: theirs.copy(layer) for name, layer in layers.items()})
    made = [theirs.read(step) for step in steps(theirs, copies, engine.SparseTensor(x, coordinates=coords))]
    expected = [(stride, *in_order(c, f)) for c, f, stride in made]
    expected_grads = gradients(expected[-1][2], [x, *copies.parameters()])
    for backend in BACKENDS:
        ours, x = Ours(), feats.clone().requires_grad_()
        tensors = steps(ours, layers, SparseTensor.from_coords(coords, x, backend=backend))
        for tensor, (stride, voxels, values) in zip(tensors, expected, strict=True):
            assert ours.read(tensor)[2] == stride
            got_voxels, got = in_order(tensor.coords, tensor.feats)
            assert torch.equal(got_voxels, voxels)
            assert close(got, values), backend
        for a, b in zip(gradients(got, [x, *layers.parameters()]), expected_grads, strict=True):
            assert close(a, b), backend


def close(a: Tensor, b: Tensor) -> bool:
    """Up to eight layers deep: an order looser than for one."""
    return bool((a - b).abs().max() <= 10 * TOLERANCE[b.dtype] * b.abs().max().clamp_min(1e-3))


@EXAMPLES
@given(small_clouds(), plans(), st.sampled_from([torch.float32, torch.float64]))
def test_decoders_of_any_shape_equal_theirs(
    minkowski: ModuleType, coords: Tensor, plan: Plan, dtype: torch.dtype
) -> None:
    try:
        check(minkowski, layers_of(plan, dtype), partial(run, plan), coords, dtype)
    except _KeptNothingError:
        assume(False)


@EXAMPLES
@given(small_clouds(), st.integers(0, 2), st.sampled_from([2, 3]), st.sampled_from([1, 2, 3, 4]))
def test_transposing_onto_pruned_voxels_equals_theirs(
    minkowski: ModuleType, coords: Tensor, seed: int, stride: int, size: int
) -> None:
    keep = chosen(coords, seed)
    assume(bool(keep.any()))
    layers = nn.ModuleDict(
        {
            "down": Convolution(CHANNELS, CHANNELS, 3, stride=stride),
            "up": ConvolutionTranspose(CHANNELS, CHANNELS, size, stride=stride),
        }
    )

    def steps(side: Any, layers: Any, x: Any) -> list[Any]:
        return [layers["up"](layers["down"](x), side.prune(x, keep))]

    check(minkowski, layers, steps, coords, torch.float32)
