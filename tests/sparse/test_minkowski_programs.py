"""Random networks against MinkowskiEngine: layers in any order, with voxels made, left out and united on the way.

What single layers cannot show: on which voxels a layer after another puts its output, and that maps are not mixed up
between sets of one stride.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from test_minkowski_parity import BACKENDS, EXAMPLES, clouds
from torch import Tensor

from sparse3d import sparse
from sparse3d.sparse.coordinates import pack

pytestmark = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")

CHANNELS = 2
MOST_VOXELS = 4000


@dataclass(frozen=True)
class Step:
    """One layer: its kind, kernel and stride, and for pruning and uniting a number that chooses."""

    kind: str
    size: int
    stride: int
    choice: int


steps = st.lists(
    st.builds(
        Step,
        st.sampled_from(
            ["Convolution", "ConvolutionTranspose", "GenerativeConvolutionTranspose", "prune", "unite", "SumPooling"]
        ),
        st.integers(1, 3),
        st.integers(1, 2),
        st.integers(0, 5),
    ),
    min_size=2,
    max_size=6,
)


class Pair:
    """Our tensor and theirs, of the same voxels."""

    def __init__(self, ours: sparse.SparseTensor, theirs: Any) -> None:
        self.ours, self.theirs = ours, theirs

    def check(self, where: str) -> None:
        mine, its = pack(self.ours.coords).argsort(), pack(self.theirs.C).argsort()
        assert torch.equal(self.ours.coords[mine], self.theirs.C[its]), where
        a, b = self.ours.feats[mine], self.theirs.F[its]
        assert (a - b).abs().max() <= 1e-10 * b.abs().max().clamp_min(1e-6), where


def layer(engine: ModuleType, step: Step, x: Pair) -> Pair | None:
    """The layer on both sides; None where it does not fit."""
    fine = x.ours.tensor_stride[0]
    if step.kind.endswith("Transpose") and fine % step.stride:
        return None
    if step.kind == "SumPooling":
        if step.size == step.stride:  # there a missing voxel ends their process
            return None
        ours: Any = sparse.SumPooling(step.size, step.stride)
        theirs = engine.MinkowskiSumPooling(kernel_size=step.size, stride=step.stride, dimension=3)
    else:
        ours = getattr(sparse, step.kind)(CHANNELS, CHANNELS, step.size, stride=step.stride).double()
        theirs = getattr(engine, f"Minkowski{step.kind}")(
            CHANNELS, CHANNELS, kernel_size=step.size, stride=step.stride, dimension=3
        ).double()
        theirs.load_state_dict(ours.state_dict())
    return Pair(ours(x.ours), theirs(x.theirs))


def chosen(coords: Tensor, choice: int) -> Tensor:
    """About two thirds of the voxels, by coordinate."""
    return (coords[:, 1:].long() @ torch.tensor([1, 3, 5]) // (1 + choice)) % 3 > 0


def once_each(program: list[Step]) -> list[Step]:
    """Without all prunings and unions but the first: MinkowskiEngine mixes up the voxels of a second one."""
    kinds = [step.kind for step in program]
    return [s for i, s in enumerate(program) if s.kind not in ("prune", "unite") or s.kind not in kinds[:i]]


def apply(engine: ModuleType, step: Step, made: list[Pair]) -> Pair | None:
    x = made[-1]
    if step.kind == "prune":
        keep, its = chosen(x.ours.coords, step.choice), chosen(x.theirs.C, step.choice)
        if not bool(keep.any()):
            return None
        return Pair(sparse.Pruning()(x.ours, keep), engine.MinkowskiPruning()(x.theirs, its))
    if step.kind == "unite":
        same = [y for y in made if y.ours.tensor_stride == x.ours.tensor_stride]
        other = same[step.choice % len(same)]
        return Pair(x.ours + other.ours, x.theirs + other.theirs)
    return layer(engine, step, x)


@settings(EXAMPLES, max_examples=100)
@given(clouds(), steps, st.sampled_from([1, 2, 4]))
def test_random_networks_equal_theirs(
    minkowski: ModuleType, coords: Tensor, program: list[Step], tensor_stride: int
) -> None:
    coords = coords * torch.tensor([1, *[tensor_stride] * 3], dtype=torch.int32)
    coords[:, 1:] -= int(coords[:, 1:].max() > 40000) * 80000  # back into the range
    feats = torch.randn(len(coords), CHANNELS, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    program = once_each(program)
    for backend in BACKENDS:
        torch.manual_seed(0)
        ours = sparse.SparseTensor.from_coords(coords, feats, backend=backend, tensor_stride=tensor_stride)
        made = [Pair(ours, minkowski.SparseTensor(feats, coordinates=coords, tensor_stride=tensor_stride))]
        for number, step in enumerate(program):
            result = apply(minkowski, step, made)
            if result is not None:
                result.check(f"{backend}, step {number}: {step}")
                made.append(result)
            if len(made[-1].ours) > MOST_VOXELS:
                break
