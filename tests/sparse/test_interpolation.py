"""Interpolation between voxels, against a dense oracle and the meaning of linear."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sparse3d.sparse import Convolution, Interpolation, SparseTensor, TensorField, interpolate, slice

STRIDES = [(1, 1, 1), (2, 2, 2), (1, 2, 3)]


def cube(side: int, stride: tuple[int, int, int]) -> Tensor:
    """Every voxel of a cube around zero, in random order."""
    axis = torch.arange(-side, side)
    grid = torch.cartesian_prod(torch.zeros(1, dtype=axis.dtype), *(axis * step for step in stride))
    return grid[torch.randperm(len(grid), generator=torch.Generator().manual_seed(0))].to(torch.int32)


def points_within(count: int, side: int, stride: tuple[int, int, int], seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    inside = (torch.rand(count, 3, generator=generator, dtype=torch.float64) * (2 * side - 1) - side) * torch.tensor(
        stride
    )
    return torch.cat([torch.zeros(count, 1, dtype=torch.float64), inside], dim=1)


@pytest.mark.parametrize("stride", STRIDES)
def test_interpolation_equals_the_dense_one(stride: tuple[int, int, int], backend: str) -> None:
    """torch's ``grid_sample`` on the dense grid of a sparse cloud, zeros where there is no voxel."""
    side = 3
    coords = cube(side, stride)[: 4 * side**3]  # half of the cells stay empty
    feats = torch.randn(len(coords), 2, dtype=torch.float64)
    x = SparseTensor.from_coords(coords, feats, backend=backend, tensor_stride=stride)
    points = points_within(50, side, stride)
    cells = (coords[:, 1:].long() // torch.tensor(stride) + side).unbind(1)
    dense = torch.zeros(2 * side, 2 * side, 2 * side, 2, dtype=torch.float64).index_put(cells, feats)
    place = (points[:, 1:] / torch.tensor(stride) + side) / (2 * side - 1) * 2 - 1
    sampled = F.grid_sample(dense.permute(3, 2, 1, 0)[None], place.view(1, 1, 1, -1, 3), align_corners=True)
    assert torch.allclose(interpolate(x, points), sampled.view(2, -1).t(), atol=1e-12)


@pytest.mark.parametrize("stride", STRIDES)
def test_a_linear_function_is_kept(stride: tuple[int, int, int]) -> None:
    coords = cube(3, stride)
    slope = torch.tensor([[0.3, -1.0], [2.0, 0.5], [-0.7, 1.5]], dtype=torch.float64)
    x = SparseTensor.from_coords(coords, coords[:, 1:].double() @ slope, tensor_stride=stride)
    points = points_within(40, 3, stride)
    assert torch.allclose(interpolate(x, points), points[:, 1:] @ slope)


def test_at_the_voxels_interpolation_is_slicing(random_coords: object, backend: str) -> None:
    coords = random_coords(200, batch_size=3)  # type: ignore[operator]
    x = Convolution(3, 4, 2, stride=2)(SparseTensor.from_coords(coords, torch.randn(200, 3), backend=backend))
    assert torch.equal(interpolate(x, x.coords.float()), x.feats)
    assert torch.equal(interpolate(x, x.coords), slice(x, TensorField(x.feats, x.coords)))


def test_missing_voxels_count_zero_and_nothing_is_scaled_up() -> None:
    x = SparseTensor.from_coords(torch.tensor([[0, 0, 0, 0]]), torch.tensor([[8.0]]))
    points = torch.tensor([[0, 0.5, 0, 0], [0, 0.5, 0.5, -0.5], [0, -0.25, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]])
    assert interpolate(x, points)[:, 0].tolist() == [4, 1, 6, 0, 0]


def test_points_far_out_are_missing_not_errors(backend: str) -> None:
    x = SparseTensor.from_coords(torch.tensor([[0, 0, 0, 0]]), torch.ones(1, 1), backend=backend)
    far = torch.tensor([[0, 70000.0, 0, 0], [0, 0, -1e30, 0], [5000, 0, 0, 0], [-1, 0, 0, 0], [0, 0, 0, 131072]])
    assert interpolate(x, far).tolist() == [[0]] * 5


@pytest.mark.parametrize("stride", STRIDES)
def test_interpolation_passes_gradcheck_in_features_and_points(stride: tuple[int, int, int], backend: str) -> None:
    coords = cube(2, stride)[:40]
    points = points_within(12, 2, stride, seed=3)

    def at(feats: Tensor, xyz: Tensor) -> Tensor:
        x = SparseTensor.from_coords(coords, feats, backend=backend, tensor_stride=stride)
        return interpolate(x, torch.cat([points[:, :1], xyz], dim=1))

    feats = torch.randn(40, 2, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(at, (feats, points[:, 1:].clone().requires_grad_()))


def test_splatting_is_the_transpose_of_interpolation() -> None:
    """What interpolation reads with a weight, splatting writes with it."""
    points = points_within(20, 2, (1, 1, 1), seed=4)
    field = TensorField(torch.randn(20, 1, dtype=torch.float64), points)
    x = field.sparse("splat")
    other = torch.randn(len(x), 1, dtype=torch.float64)
    assert torch.allclose((x.feats * other).sum(), (field.feats * interpolate(x.with_feats(other), points)).sum())


def test_no_voxel_and_no_point(backend: str) -> None:
    nothing = SparseTensor.from_coords(torch.zeros(0, 4, dtype=torch.int32), torch.zeros(0, 3), backend=backend)
    assert Interpolation()(nothing, torch.zeros(2, 4)).tolist() == [[0, 0, 0]] * 2
    one = SparseTensor.from_coords(torch.zeros(1, 4, dtype=torch.int32), torch.ones(1, 3), backend=backend)
    assert Interpolation()(one, torch.zeros(0, 4)).shape == (0, 3)


def test_features_keep_their_type() -> None:
    x = SparseTensor.from_coords(torch.zeros(1, 4, dtype=torch.int32), torch.ones(1, 1))
    assert interpolate(x, torch.zeros(1, 4, dtype=torch.float64)).dtype == torch.float32
    assert interpolate(x.with_feats(x.feats.double()), torch.zeros(1, 4)).dtype == torch.float64


@pytest.mark.parametrize("bad", [torch.zeros(2, 3), torch.full((1, 4), float("nan")), torch.full((1, 4), 0.5)])
def test_points_that_are_none_are_refused(bad: Tensor) -> None:
    x = SparseTensor.from_coords(torch.zeros(1, 4, dtype=torch.int32), torch.ones(1, 1))
    with pytest.raises(ValueError, match="N, 4|not finite|whole numbers"):
        interpolate(x, bad)
