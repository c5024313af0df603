"""Voxel features in the view: brute force, gradients and the mask."""

from __future__ import annotations

import pytest
import torch

from sparse3d.errors import InputError
from sparse3d.models.projection import project_features


def pixel_map(seed: int = 0, voxels: int = 20) -> torch.Tensor:
    pixels = torch.randint(-12, voxels, (2, 6, 9), generator=torch.Generator().manual_seed(seed)).clamp_min(-1)
    pixels[0, :3, 3:6] = -1  # a cell without any
    return pixels


def test_each_cell_is_the_mean_over_its_pixels() -> None:
    feats, pixels = torch.randn(20, 5, dtype=torch.float64), pixel_map()
    maps, mask = project_features(feats, pixels, 3)
    assert maps.shape == (2, 5, 2, 3) and mask.shape == (2, 2, 3) and not mask[0, 0, 1]
    for n in range(2):
        for r in range(2):
            for c in range(3):
                rows = pixels[n, 3 * r : 3 * r + 3, 3 * c : 3 * c + 3].flatten()
                rows = rows[rows >= 0]
                assert bool(mask[n, r, c]) == (len(rows) > 0)
                oracle = feats[rows].mean(0) if len(rows) else torch.zeros(5, dtype=torch.float64)
                assert torch.allclose(maps[n, :, r, c], oracle)


def test_gradients_equal_finite_differences() -> None:
    feats = torch.randn(20, 3, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda f: project_features(f, pixel_map(), 3)[0], (feats,))


def test_the_last_voxel_is_not_taken_for_none() -> None:
    """Pitfall: -1 as an index means the last row."""
    feats = torch.zeros(4, 1)
    feats[3] = 100
    maps, mask = project_features(feats, torch.full((1, 2, 2), -1), 2)
    assert not mask.any() and not maps.any()
    maps, _ = project_features(feats, torch.tensor([[[3, -1], [-1, -1]]]), 2)
    assert float(maps) == 100


def test_a_map_that_is_not_contiguous_projects_the_same() -> None:
    feats, pixels = torch.randn(20, 3), pixel_map()
    expected = project_features(feats, pixels[:, :, :6].contiguous(), 3)[0]
    assert torch.equal(project_features(feats, pixels[:, :, :6], 3)[0], expected)


def test_sizes_that_do_not_divide_name_what_to_change() -> None:
    with pytest.raises(InputError, match=r"9 x 6 .* cells of 4 .*map_stride"):
        project_features(torch.zeros(20, 1), pixel_map(), 4)
