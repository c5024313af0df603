"""The bound: its products are those of the network's kernel maps, counted by hand and against a dictionary."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from sparse3d.benchmark.networks import our_network
from sparse3d.benchmark.products import Products, convolution_shapes, pair_counts
from sparse3d.sparse import Convolution, ConvolutionTranspose, SparseTensor


def cells(count: int, seed: int) -> np.ndarray:
    """Different voxels of both signs."""
    rng = np.random.default_rng(seed)
    return np.unique(rng.integers(-4, 5, (count, 3)), axis=0).astype(np.int32)


def test_three_voxels_in_a_row_have_seven_pairs() -> None:
    """Each with itself, and two with a neighbour on each side: 2 FLOP x 7 pairs x 2 x 2 channels."""
    row = np.array([[0, 0, 0], [1, 0, 0], [2, 0, 0]])
    (shape,) = convolution_shapes(our_network("layer:2"), row, input_gradient=True)
    assert sorted(shape.pairs) == [2, 2, 3]
    assert shape.flops == 2 * 7 * 2 * 2
    assert Products([shape, shape]).flops == 2 * shape.flops


@pytest.mark.parametrize("size, spacing", [(1, 1), (2, 1), (3, 1), (3, 2), (5, 1)])
def test_pairs_are_those_of_a_dictionary(size: int, spacing: int) -> None:
    fine = cells(150, seed=size) * spacing
    coarse = fine if size % 2 else np.unique(fine // (2 * spacing) * 2 * spacing, axis=0)
    start = -(size // 2) if size % 2 else 0
    steps = [(start + i) * spacing for i in range(size)]
    known = {tuple(c) for c in fine.tolist()}
    expected = [
        sum((x + dx, y + dy, z + dz) in known for x, y, z in coarse.tolist()) for dz, dy, dx in product(steps, repeat=3)
    ]
    assert pair_counts(fine, coarse, size, spacing) == expected


def test_a_strided_layer_connects_every_voxel_with_one_parent() -> None:
    coords = cells(200, seed=1)
    shapes = convolution_shapes(our_network("SRUNet14-CPU"), coords, input_gradient=False)
    strided = [s for s in shapes if len(s.pairs) <= 8 and sum(s.pairs) == len(coords) and s.c_in == s.c_out]
    assert strided, "the first strided convolution is not among the shapes"
    assert [s.has_input_gradient for s in shapes] == [False] + [True] * (len(shapes) - 1)


def test_modules_are_registered_in_the_order_that_strides_follow() -> None:
    """The shapes are read off the modules' order: strides must come out as those of the real forward pass."""
    network, coords = our_network("SRUNet14-CPU"), cells(120, seed=2)
    ran: dict[nn.Module, int] = {}

    def note(module: nn.Module, _: object, out: SparseTensor) -> None:
        ran[module] = len(out.coords)

    layers = [m for m in network.modules() if isinstance(m, Convolution | ConvolutionTranspose)]
    for layer in layers:
        layer.register_forward_hook(note)
    rows = torch.from_numpy(np.insert(coords, 0, 0, axis=1))
    with torch.no_grad():
        network(SparseTensor.from_coords(rows, torch.rand(len(rows), 3), backend="torch"))
    shapes = convolution_shapes(network, coords, input_gradient=False)
    for layer, shape in zip(layers, shapes, strict=True):
        if layer in ran and layer.region.volume == 1:
            assert shape.pairs == (ran[layer],)


def test_the_bound_takes_time_and_leaves_out_the_first_input_gradient() -> None:
    shapes = convolution_shapes(our_network("SRUNet14-CPU"), cells(60, seed=3), input_gradient=False)
    bound = Products(shapes)
    assert bound.forward() > 0 and bound.backward() > 0
