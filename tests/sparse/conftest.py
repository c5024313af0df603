"""Clouds and the MinkowskiEngine that the tests of the sparse layer share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from torch import Tensor

from sparse3d.sparse import minkowski_import, native


@pytest.fixture(scope="session")
def minkowski() -> ModuleType:
    """MinkowskiEngine; without it the test is skipped, or fails where SPARSE3D_REQUIRE_MINKOWSKI=1."""
    if not minkowski_import.available():
        if os.environ.get("SPARSE3D_REQUIRE_MINKOWSKI") == "1":
            pytest.fail(f"SPARSE3D_REQUIRE_MINKOWSKI=1, but {minkowski_import.why_not()}")
        pytest.skip(minkowski_import.why_not())
    return minkowski_import.load()


@pytest.fixture(params=["torch", "native", "minkowski"])
def backend(request: pytest.FixtureRequest) -> str:
    """Every backend's name."""
    if request.param == "minkowski":
        request.getfixturevalue("minkowski")
    if request.param == "native" and not native.available():
        pytest.skip(native.why_not())
    return str(request.param)


@pytest.fixture(scope="session")
def random_coords() -> Callable[..., Tensor]:
    """Makes ``count`` different voxels around zero, in random order: (N, 4) int32."""

    def make(count: int, seed: int = 0, batch_size: int = 2, extent: int = 6) -> Tensor:
        generator = torch.Generator().manual_seed(seed)
        side = 2 * extent
        cells = torch.randperm(batch_size * side**3, generator=generator)[:count]
        columns = [
            cells // side**3,
            cells // side**2 % side - extent,
            cells // side % side - extent,
            cells % side - extent,
        ]
        return torch.stack(columns, dim=1).to(torch.int32)

    return make


@pytest.fixture(scope="session")
def surface_coords() -> Tensor:
    """Two batch items of a room's corner with a ball in it, around zero, in random order: about 3,000 voxels."""
    rng = np.random.default_rng(0)
    clouds = []
    for item in range(2):
        flat = rng.uniform(-1.0, 1.0, (3, 3000, 3))
        for axis in range(3):
            flat[axis, :, axis] = -1.0
        ball = rng.normal(size=(3000, 3))
        ball = 0.4 * ball / np.linalg.norm(ball, axis=1, keepdims=True) - 0.3
        points = np.concatenate([*flat, ball]) + rng.normal(scale=0.004, size=(12000, 3))
        voxels = np.unique(np.floor(points / 0.09).astype(np.int32), axis=0)
        clouds.append(np.insert(voxels, 0, item, axis=1))
    coords = np.concatenate(clouds)
    return torch.from_numpy(coords[rng.permutation(len(coords))])


@pytest.fixture(scope="session")
def frame_coords(shared_data: Path) -> Tensor:
    """A real Kinect frame of 7-Scenes RedKitchen in 6 cm voxels, in its camera's frame."""
    from PIL import Image

    folder = shared_data / "redkitchen"
    intrinsics = np.loadtxt(folder / "camera-intrinsics.txt")
    depth = np.asarray(Image.open(folder / "frame-000000.depth.png")).astype(np.float64) / 1000
    depth[(depth > 10) | (depth <= 0)] = np.nan  # 65535 and 0 mean no reading
    rows, cols = np.nonzero(np.isfinite(depth))
    z = depth[rows, cols]
    x, y = (cols - intrinsics[0, 2]) * z / intrinsics[0, 0], (rows - intrinsics[1, 2]) * z / intrinsics[1, 1]
    voxels = np.unique(np.floor(np.stack([x, y, z], axis=1) / 0.06).astype(np.int32), axis=0)
    return torch.from_numpy(np.insert(voxels, 0, 0, axis=1))


@pytest.fixture(
    scope="session", params=["random", "surface", pytest.param("frame", marks=pytest.mark.needs_shared_data)]
)
def cloud_coords(request: pytest.FixtureRequest, random_coords: Callable[..., Tensor]) -> Tensor:
    """Clouds of different kinds: random, a synthetic surface, a real frame."""
    if request.param == "random":
        return random_coords(700)
    return request.getfixturevalue(f"{request.param}_coords")
