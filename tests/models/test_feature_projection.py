"""Voxel features in the view: brute force, gradients and the mask."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from sparse3d.data.map_cells import map_cells
from sparse3d.errors import InputError
from sparse3d.models.projection import project_features


def pixel_map(seed: int = 0, voxels: int = 20) -> np.ndarray:
    pixels = np.maximum(np.random.default_rng(seed).integers(-12, voxels, (2, 6, 9)), -1)
    pixels[0, :3, 3:6] = -1  # a cell without any
    pixels[1, :3, :3] = 7  # one that shows one voxel only
    return pixels


def projected(feats: Tensor, pixels: np.ndarray, stride: int) -> tuple[Tensor, Tensor]:
    cells = map_cells(pixels, stride, len(feats))
    return project_features(feats, cells), cells.mask


def test_each_cell_is_the_mean_over_its_pixels() -> None:
    feats, pixels = torch.randn(20, 5), pixel_map()
    maps, mask = projected(feats, pixels, 3)
    assert maps.shape == (2, 5, 2, 3) and mask.shape == (2, 2, 3) and not mask[0, 0, 1]
    for n in range(2):
        for r in range(2):
            for c in range(3):
                rows = pixels[n, 3 * r : 3 * r + 3, 3 * c : 3 * c + 3].flatten()
                rows = rows[rows >= 0]
                assert bool(mask[n, r, c]) == (len(rows) > 0)
                oracle = feats[rows].mean(0) if len(rows) else torch.zeros(5)
                assert torch.allclose(maps[n, :, r, c], oracle, atol=1e-6)
    assert torch.equal(maps[1, :, 0, 0], feats[7])


def test_gradients_equal_finite_differences() -> None:
    feats = torch.randn(20, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f: projected(f, pixel_map(), 3)[0], (feats,))


def test_gradients_of_voxels_are_the_sums_of_their_pixels_shares() -> None:
    """Against the mean over pixels, in single precision and with a voxel that no pixel shows."""
    pixels = pixel_map(voxels=18)
    feats, grad = torch.randn(20, 5, requires_grad=True), torch.randn(2, 5, 2, 3)
    maps, mask = projected(feats, pixels, 3)
    cells = torch.from_numpy(pixels).reshape(2, 2, 3, 3, 3).transpose(2, 3).flatten(3)
    seen = (cells >= 0)[..., None]
    means = (feats[cells] * seen).sum(3) / seen.sum(3).clamp_min(1)
    (ours,), (plain,) = (torch.autograd.grad(m, feats, grad) for m in (maps, means.movedim(-1, 1)))
    assert torch.allclose(ours, plain, atol=1e-6) and not ours[18:].any()


def test_the_last_voxel_is_not_taken_for_none() -> None:
    """Pitfall: -1 as an index means the last row."""
    feats = torch.zeros(4, 1)
    feats[3] = 100
    maps, mask = projected(feats, np.full((1, 2, 2), -1), 2)
    assert not mask.any() and not maps.any()
    maps, _ = projected(feats, np.array([[[3, -1], [-1, -1]]]), 2)
    assert float(maps) == 100


def test_each_voxel_of_a_cell_counts_once_and_the_transpose_is_the_same_matrix() -> None:
    pixels = pixel_map()
    cells = map_cells(pixels, 3, 20)
    dense = []
    for rows, columns in ((cells.by_cell, 20), (cells.by_voxel, 12)):
        matrix = torch.zeros(len(rows.start), columns)
        ends = [*rows.start[1:].tolist(), len(rows.column)]
        for row, (start, end) in enumerate(zip(rows.start.tolist(), ends, strict=True)):
            assert len(torch.unique(rows.column[start:end])) == end - start
            matrix[row, rows.column[start:end]] = rows.weight[start:end]
        dense.append(matrix)
    assert torch.equal(dense[0], dense[1].t())
    assert torch.allclose(dense[0].sum(1), cells.mask.flatten().float())


def test_leading_dimensions_are_the_maps() -> None:
    feats, pixels = torch.randn(20, 3), pixel_map()
    maps, mask = projected(feats, pixels[None], 3)
    assert maps.shape == (1, 2, 3, 2, 3) and mask.shape == (1, 2, 2, 3)
    assert torch.equal(maps[0], projected(feats, pixels, 3)[0])


def test_a_map_that_is_not_contiguous_projects_the_same() -> None:
    feats, pixels = torch.randn(20, 3), pixel_map()
    expected = projected(feats, np.ascontiguousarray(pixels[:, :, :6]), 3)[0]
    assert torch.equal(projected(feats, pixels[:, :, :6], 3)[0], expected)


def test_sizes_that_do_not_divide_name_what_to_change() -> None:
    with pytest.raises(InputError, match=r"9 x 6 .* cells of 4 .*map_stride"):
        map_cells(pixel_map(), 4, 20)
