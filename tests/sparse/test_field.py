"""Points to voxels and back: every reduction, the order of the rows, what is refused, gradients."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from sparse3d.sparse import Convolution, SparseTensor, TensorField, slice
from sparse3d.sparse.coordinates import COORD_LIMIT, MAX_BATCH

REDUCTIONS = ["first", "average", "sum", "max", "splat"]
Group = dict[tuple[int, ...], list[int]]


def random_points(count: int, seed: int = 0, batch: int = 2, extent: float = 2.5) -> Tensor:
    """(N, 4) float32 around zero, several in a voxel."""
    generator = torch.Generator().manual_seed(seed)
    item = torch.randint(0, batch, (count, 1), generator=generator)
    return torch.cat([item, (2 * torch.rand(count, 3, generator=generator) - 1) * extent], dim=1)


def members(coords: Tensor, stride: int = 1) -> Group:
    """The points of each voxel, both in order of appearance, by plain Python."""
    voxels: Group = {}
    for index, (item, *xyz) in enumerate(coords.tolist()):
        voxels.setdefault((int(item), *(int(v // stride) * stride for v in xyz)), []).append(index)
    return voxels


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**31), count=st.integers(1, 60), stride=st.integers(1, 3))
@pytest.mark.parametrize(
    ("reduction", "oracle"),
    [
        ("first", lambda rows: rows[0]),
        ("average", lambda rows: rows.mean(0)),
        ("sum", lambda rows: rows.sum(0)),
        ("max", lambda rows: rows.amax(0)),
    ],
)
def test_voxels_come_in_the_order_of_their_first_points_and_hold_the_reduction_of_all(
    reduction: str, oracle: object, seed: int, count: int, stride: int
) -> None:
    coords = random_points(count, seed)
    feats = torch.randn(count, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    x = TensorField(feats, coords).sparse(reduction, tensor_stride=stride, backend="torch")
    expected = members(coords, stride)
    assert [tuple(row) for row in x.coords.tolist()] == list(expected)
    assert torch.allclose(x.feats, torch.stack([oracle(feats[rows]) for rows in expected.values()]))  # type: ignore[operator]
    assert x.tensor_stride == (stride,) * 3


@pytest.mark.parametrize("stride", [1, 2, (1, 2, 3)])
def test_splatting_keeps_sums_and_centres_of_mass(stride: int | tuple[int, int, int]) -> None:
    """The weights of one point are those of linear interpolation: they sum to 1, and their mean place is the point."""
    coords = random_points(1)
    x = TensorField(torch.ones(1, 1, dtype=torch.float64), coords.double()).sparse("splat", stride, backend="torch")
    assert len(x) == 8 and float(x.feats.sum()) == pytest.approx(1)
    assert torch.allclose((x.feats * x.coords[:, 1:]).sum(0), coords[0, 1:].double())
    many = TensorField(torch.randn(50, 2, dtype=torch.float64), random_points(50))
    assert torch.allclose(many.sparse("splat", stride, backend="torch").feats.sum(0), many.feats.sum(0))


def test_voxels_of_negative_coordinates_are_their_floor() -> None:
    x = TensorField(torch.ones(2, 1), torch.tensor([[0, -0.25, -1.0, -1.5], [0, 0.25, 0.0, 1.5]])).sparse()
    assert x.coords.tolist() == [[0, -1, -1, -2], [0, 0, 0, 1]]


def test_the_largest_of_negative_features_is_negative() -> None:
    """MinkowskiEngine's maximum starts from zero on a CPU."""
    field = TensorField(torch.tensor([[-3.0], [-2.0]]), torch.zeros(2, 4))
    assert field.sparse("max").feats.tolist() == [[-2.0]]


def test_equal_largest_values_give_the_gradient_to_the_first_point() -> None:
    feats = torch.ones(3, 1, requires_grad=True)
    TensorField(feats, torch.zeros(3, 4)).sparse("max").feats.sum().backward()
    assert feats.grad is not None and feats.grad[:, 0].tolist() == [1, 0, 0]


@pytest.mark.parametrize("reduction", ["first", "average", "sum", "max"])
def test_not_a_number_stays_in_its_voxel(reduction: str) -> None:
    coords = torch.tensor([[0.0, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]])
    feats = TensorField(torch.tensor([[torch.nan], [1.0], [2.0]]), coords).sparse(reduction).feats
    assert feats.isnan()[:, 0].tolist() == [True, False] and float(feats[1]) == 2


def test_many_points_of_a_half_type_are_summed_in_float32() -> None:
    field = TensorField(torch.ones(1000, 1, dtype=torch.bfloat16), torch.zeros(1000, 4))
    assert field.sparse("sum").feats.tolist() == [[1000.0]] and field.sparse("average").feats.tolist() == [[1.0]]


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_reductions_and_slicing_pass_gradcheck(reduction: str, backend: str) -> None:
    coords = random_points(14, extent=1.5)

    def through(feats: Tensor) -> Tensor:
        field = TensorField(feats, coords)
        return slice(field.sparse(reduction, backend=backend), field)

    assert torch.autograd.gradcheck(through, (torch.randn(14, 2, dtype=torch.float64, requires_grad=True),))


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_field_without_points_is_a_tensor_without_voxels(reduction: str, backend: str) -> None:
    field = TensorField(torch.zeros(0, 3), torch.zeros(0, 4))
    x = field.sparse(reduction, batch_size=2, backend=backend)
    assert len(x) == 0 and x.feats.shape == (0, 3) and x.batch_size == 2
    assert slice(x, field).shape == (0, 3)
    assert slice(x, TensorField(torch.zeros(2, 1), torch.zeros(2, 4))).tolist() == [[0, 0, 0]] * 2


@pytest.mark.parametrize("stride", [1, 2, (1, 2, 3)])
def test_slicing_reads_the_voxel_that_holds_each_point_at_any_stride(
    stride: int | tuple[int, int, int], backend: str
) -> None:
    field = TensorField(torch.randn(40, 3), random_points(40))
    x = field.sparse(backend=backend)
    coarse = Convolution(3, 2, 2, stride=stride)(x)
    steps = torch.tensor(coarse.tensor_stride)
    owners = {tuple(row): feats for row, feats in zip(coarse.coords.tolist(), coarse.feats, strict=True)}
    voxels = torch.cat([field.coords[:, :1], (field.coords[:, 1:] / steps).floor() * steps], dim=1)
    expected = torch.stack([owners[tuple(int(v) for v in row)] for row in voxels.tolist()])
    assert torch.equal(slice(coarse, field), expected)


def test_points_without_a_voxel_are_zeros_and_told_apart() -> None:
    x = SparseTensor.from_coords(torch.tensor([[0, 0, 0, 0], [1, 3, 0, 0]]), torch.ones(2, 1), tensor_stride=3)
    away = [[0, 2.9, 0, 0], [0, 3, 0, 0], [1, 0, 0, 0], [0, -0.1, 0, 0], [5, 0, 0, 0], [-1, 0, 0, 0], [0, 1e30, 0, 0]]
    field = TensorField(torch.zeros(8, 1), torch.tensor([[1, 3, 0, 2.9], *away]))
    assert field.rows_in(x).tolist() == [1, 0, -1, -1, -1, -1, -1, -1]
    assert slice(x, field)[:, 0].tolist() == [1, 1, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
@pytest.mark.parametrize("column", [0, 2])
def test_coordinates_that_are_not_finite_are_refused_with_their_point(value: float, column: int) -> None:
    coords = torch.zeros(3, 4)
    coords[1, column] = value
    with pytest.raises(ValueError, match="point 1 has coordinates that are not finite"):
        TensorField(torch.zeros(3, 1), coords)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("value", [COORD_LIMIT + 1.0, -COORD_LIMIT - 0.5, 1e30])
def test_points_beyond_the_range_are_refused_with_the_remedy(reduction: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"must lie in .*{COORD_LIMIT}.*larger voxels"):
        TensorField(torch.zeros(1, 1), torch.tensor([[0, value, 0, 0]])).sparse(reduction)


@pytest.mark.parametrize("reduction", ["first", "average", "sum", "max"])
@pytest.mark.parametrize("value", [COORD_LIMIT + 0.5, -float(COORD_LIMIT)])
def test_points_at_the_end_of_the_range_are_kept(reduction: str, value: float) -> None:
    x = TensorField(torch.ones(1, 1), torch.tensor([[MAX_BATCH - 1, value, 0, 0]])).sparse(reduction)
    assert x.coords.tolist() == [[MAX_BATCH - 1, int(value // 1), 0, 0]]


def test_float64_coordinates_keep_their_precision() -> None:
    """Just under a voxel's face: float32 rounds it onto the face, as MinkowskiEngine does."""
    coords = torch.tensor([[0, 30000 - 1e-9, 0, 0]], dtype=torch.float64)
    assert TensorField(torch.ones(1, 1), coords).sparse().coords[0, 1] == 29999


def test_integer_coordinates_are_points_at_the_corners_of_voxels() -> None:
    field = TensorField(torch.ones(2, 1), torch.tensor([[0, 1, -2, 3], [0, 1, -2, 3]], dtype=torch.int32))
    assert field.sparse("sum").coords.tolist() == [[0, 1, -2, 3]]
    assert field.sparse("splat").feats[:, 0].tolist() == [2, 0, 0, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("feats", "coords", "message"),
    [
        (torch.zeros(2, 1), torch.zeros(3, 4), "beside"),
        (torch.zeros(3), torch.zeros(3, 4), "beside"),
        (torch.zeros(3, 1), torch.zeros(3, 3), "must be \\(N, 4\\)"),
        (torch.zeros(1, 1), torch.tensor([[0.5, 0, 0, 0]]), "whole numbers"),
    ],
)
def test_shapes_that_do_not_fit_are_refused(feats: Tensor, coords: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        TensorField(feats, coords)


def test_an_unknown_reduction_is_refused() -> None:
    with pytest.raises(ValueError, match="one of first, average, sum, max, splat"):
        TensorField(torch.zeros(1, 1), torch.zeros(1, 4)).sparse("median")


def test_a_tensor_refuses_the_duplicates_that_a_field_reduces() -> None:
    coords = torch.zeros(2, 4, dtype=torch.int32)
    with pytest.raises(ValueError, match="voxelize the points first"):
        SparseTensor.from_coords(coords, torch.ones(2, 1))
    assert TensorField(torch.ones(2, 1), coords).sparse("sum").feats.tolist() == [[2.0]]
