"""Points to voxels and back: features at continuous coordinates, reduced to voxels and read from them again."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sparse3d.sparse.coordinates import Triple, check_range, floor_to, pack, triple
from sparse3d.sparse.precision import sum_type, widest_type
from sparse3d.sparse.tensor import SparseTensor


def check_points(coords: Tensor) -> None:
    """Raise ValueError unless ``coords`` (N, 4) are finite, with whole batch indices."""
    if coords.ndim != 2 or coords.shape[1] != 4:
        raise ValueError(f"point coordinates must be (N, 4), batch index first, got {tuple(coords.shape)}")
    if not bool(torch.isfinite(coords).all()):
        bad = int((~torch.isfinite(coords)).any(dim=1).nonzero()[0])
        raise ValueError(f"point {bad} has coordinates that are not finite: {coords[bad].tolist()}")
    if coords.is_floating_point() and bool((coords[:, 0] != coords[:, 0].floor()).any()):
        raise ValueError("batch indices (the first column) must be whole numbers")


@dataclass(frozen=True)
class TensorField:
    """Features of points, any number of them in a voxel.

    ``coords`` (N, 4) has the batch index first, then x, y, z in voxels, float or integer. The voxel of a point is the
    floor of it; for interpolating and splatting, a voxel's features sit at its integer coordinates.

    Raises:
        ValueError: shapes that do not fit, coordinates that are not finite, batch indices that are not whole.
    """

    feats: Tensor
    coords: Tensor

    def __post_init__(self) -> None:
        check_points(self.coords)
        if self.feats.ndim != 2 or len(self.feats) != len(self.coords):
            shapes = f"{tuple(self.coords.shape)}, {tuple(self.feats.shape)}"
            raise ValueError(f"coords must be (N, 4) beside (N, C) features, got {shapes}")

    def __len__(self) -> int:
        return len(self.feats)

    def sparse(
        self,
        reduction: str = "average",
        tensor_stride: int | Sequence[int] = 1,
        batch_size: int | None = None,
        backend: str | None = None,
    ) -> SparseTensor:
        """The voxels that hold points, in the order of their first points; differentiable in the features.

        Args:
            reduction: ``first`` keeps each voxel's first point; ``average``, ``sum`` and ``max`` are of all its points
                (of equal largest values the first gets the gradient); ``splat`` adds every point to the eight voxels
                around it, weighted as in linear interpolation, so that sums are kept; all eight become voxels.
            tensor_stride: of the result: voxels are ``floor(c / stride) * stride``, and splatting reaches that far.
            batch_size: number of clouds, by default one more than the largest index.
            backend: overrides the configured backend.

        Raises:
            ValueError: an unknown reduction, or coordinates out of range.
        """
        stride = triple(tensor_stride, "tensor_stride")
        if reduction == "splat":
            return self._splat(stride, batch_size, backend)
        if reduction not in _REDUCTIONS:
            raise ValueError(f"reduction must be one of {', '.join([*_REDUCTIONS, 'splat'])}, got {reduction!r}")
        coords = _voxels(self.coords, stride)
        first, voxel_of_point = _group(coords)
        feats = _REDUCTIONS[reduction](self.feats, first, voxel_of_point)
        return SparseTensor.from_coords(coords[first], feats, batch_size, backend, stride)

    def rows_in(self, x: SparseTensor) -> Tensor:
        """Row (N,) int64 of the voxel of ``x`` that holds each point, -1 where ``x`` has none; any tensor stride."""
        corner, _ = lattice_corner(self.coords, x.tensor_stride)
        return x.manager.coordinates(x.key).rows_of(corner)

    def _splat(self, stride: Triple, batch_size: int | None, backend: str | None) -> SparseTensor:
        check_range(self.coords.detach().floor())
        corner, fraction = lattice_corner(self.coords, stride)
        # All corners are grouped at once for MinkowskiEngine's row order: point by point, z fastest.
        voxels, shares = zip(*around(corner, fraction, stride), strict=True)
        corners = torch.stack(voxels, dim=1).reshape(-1, 4)
        weights = torch.stack(shares, dim=1).to(self.feats.dtype)
        first, voxel_of_corner = _group(corners)
        feats = self.feats.new_zeros(len(first), self.feats.shape[1])
        for index, rows in enumerate(voxel_of_corner.view(-1, 8).unbind(1)):
            feats.index_add_(0, rows, self.feats * weights[:, index, None])
        return SparseTensor.from_coords(corners[first].to(torch.int32), feats, batch_size, backend, stride)


def slice(x: SparseTensor, field: TensorField) -> Tensor:
    """The features (N, C) of the voxel of ``x`` that holds each point; zeros where there is none.

    ``field.rows_in(x)`` is -1 at the points without a voxel.
    """
    return rows_or_zero(x.feats, field.rows_in(x))


def rows_or_zero(feats: Tensor, rows: Tensor) -> Tensor:
    """``feats[rows]`` (N, C), zeros where a row is -1."""
    found = torch.nonzero(rows >= 0)[:, 0]
    out = feats.new_zeros(len(rows), feats.shape[1])
    return out.index_copy(0, found, feats.index_select(0, rows[found]))


def lattice_corner(coords: Tensor, stride: Triple) -> tuple[Tensor, Tensor]:
    """The voxel ``floor(c / stride) * stride`` (N, 4) int64 of each point, and how far it lies in there (N, 3).

    The fraction is that of the stride, in [0, 1).
    """
    points = coords if coords.is_floating_point() else coords.to(widest_type(coords))
    # Beyond +-2^40 no voxel is possible, and a float that large may have no integer to become.
    cells = points.detach().floor().clamp(-(2.0**40), 2.0**40).to(torch.int64)
    corner = floor_to(cells, stride)  # by integers: a rounded quotient may reach the next voxel
    fraction = (points[:, 1:] - corner[:, 1:]) / torch.tensor(stride, device=coords.device)
    return corner, fraction


def around(corner: Tensor, fraction: Tensor, stride: Triple) -> list[tuple[Tensor, Tensor]]:
    """The eight voxels (N, 4) around each point, z fastest, with their weights (N,) of linear interpolation."""
    sides = (1 - fraction, fraction)
    eight = []
    for x, y, z in itertools.product((0, 1), repeat=3):
        step = torch.tensor([0, x * stride[0], y * stride[1], z * stride[2]], device=corner.device)
        eight.append((corner + step, sides[x][:, 0] * sides[y][:, 1] * sides[z][:, 2]))
    return eight


def _voxels(coords: Tensor, stride: Triple) -> Tensor:
    """(N, 4) int32, after the guard of the range: a larger float has no int32."""
    cells = coords.detach().floor()
    check_range(cells)
    return floor_to(cells.to(torch.int32), stride)


def _group(coords: Tensor) -> tuple[Tensor, Tensor]:
    """The first row of each voxel (V,), ascending, and the voxel (N,) of each row in that numbering."""
    check_range(coords)  # floored to a stride, a voxel may lie further out than its points
    keys, group = torch.unique(pack(coords), return_inverse=True)
    rows = torch.arange(len(coords), device=coords.device)
    first = rows.new_full((len(keys),), len(coords)).scatter_reduce(0, group, rows, "amin")
    first, order = first.sort()
    number = torch.empty_like(order).index_copy_(0, order, torch.arange(len(order), device=order.device))
    return first, number[group]


def _first(feats: Tensor, first: Tensor, voxel_of_point: Tensor) -> Tensor:
    return feats.index_select(0, first)


def _sum(feats: Tensor, first: Tensor, voxel_of_point: Tensor) -> Tensor:
    return _wide_sum(feats, first, voxel_of_point).to(feats.dtype)


def _average(feats: Tensor, first: Tensor, voxel_of_point: Tensor) -> Tensor:
    counts = torch.bincount(voxel_of_point, minlength=len(first))
    return (_wide_sum(feats, first, voxel_of_point) / counts[:, None]).to(feats.dtype)


def _wide_sum(feats: Tensor, first: Tensor, voxel_of_point: Tensor) -> Tensor:
    wide = feats.to(sum_type(feats))
    return wide.new_zeros(len(first), feats.shape[1]).index_add(0, voxel_of_point, wide)


def _max(feats: Tensor, first: Tensor, voxel_of_point: Tensor) -> Tensor:
    """By the row of the winner: one point a voxel and channel gets the gradient, on every device the same."""
    index = voxel_of_point[:, None].expand_as(feats)
    values = feats.detach()
    largest = values.new_zeros(len(first), feats.shape[1]).scatter_reduce(0, index, values, "amax", include_self=False)
    wins = (values == largest[voxel_of_point]) | values.isnan()
    rows = torch.arange(len(feats), device=feats.device)[:, None]
    candidates = torch.where(wins, rows, len(feats))
    winner = candidates.new_full(largest.shape, len(feats)).scatter_reduce(0, index, candidates, "amin")
    return feats.gather(0, winner)


_REDUCTIONS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "first": _first,
    "average": _average,
    "sum": _sum,
    "max": _max,
}
