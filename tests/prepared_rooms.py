"""A few small prepared scenes on disk: a floor, two walls and some boxes, each of a class and colour of its own."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sparse3d.data.scannet.classes import SCANNET18, SCANNET20, SCANNET200
from sparse3d.types import IGNORE

# name, nyu40 id, id of the raw category, colour
THINGS = (("bed", 4, 11, 200), ("chair", 5, 2, 140), ("table", 7, 4, 60))


def sheet(low: Sequence[float], high: Sequence[float], spacing: float) -> np.ndarray:
    """Points (N, 3) of the surface of a box (of a plane, where an edge is 0)."""
    low, high = np.asarray(low, float), np.asarray(high, float)
    axes = [np.arange(a, b + 1e-9, spacing) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1).reshape(-1, 3)
    on_side = (np.abs(grid - low) < spacing / 2) | (np.abs(grid - high) < spacing)
    return grid[on_side.any(axis=1)]


def room_points(seed: int, spacing: float = 0.08) -> dict[str, np.ndarray]:
    """The arrays of a mesh.npz."""
    rng = np.random.default_rng(seed)
    pieces = [(sheet((0, 0, 0), (3, 2.4, 0), spacing), 2, 3, 90, -1)]
    pieces += [(sheet((0, 0, 0), (3, 0, 2), spacing), 1, 1, 230, -1)]
    pieces += [(sheet((0, 0, 0), (0, 2.4, 2), spacing), 1, 1, 230, -1)]
    for k, (_, nyu40, raw, grey) in enumerate(THINGS):
        low = np.array([0.2 + k * 0.9, 0.3 + 1.2 * rng.random(), 0.0])
        size = rng.uniform(0.4, 0.7, 3)
        pieces.append((sheet(low, low + size, spacing), nyu40, raw, grey, k))
    xyz = np.concatenate([p[0] for p in pieces]).astype(np.float32)

    def of_points(column: int, dtype: type) -> np.ndarray:
        return np.concatenate([np.full(len(p[0]), p[column], dtype) for p in pieces])

    grey = of_points(3, np.int64)[:, None] + rng.integers(-8, 9, (len(xyz), 3))
    nyu40, raw = of_points(1, np.uint8), of_points(2, np.int32)
    return {
        "xyz": xyz,
        "rgb": np.clip(grey, 0, 255).astype(np.uint8),
        "faces": np.stack([np.arange(0, len(xyz) - 2, 3) + k for k in range(3)], axis=1).astype(np.int32),
        "raw_category": raw,
        "nyu40": nyu40,
        "semantic20": SCANNET20.index_of_id(nyu40),
        "semantic200": SCANNET200.index_of_id(raw),
        "instance": of_points(4, np.int32),
    }


def objects_of(arrays: dict[str, np.ndarray]) -> list[dict[str, object]]:
    """The entries of an objects.json."""
    entries: list[dict[str, object]] = []
    for k, (name, nyu40, raw, _) in enumerate(THINGS):
        mine = arrays["xyz"][arrays["instance"] == k].astype(float)
        low, high = mine.min(axis=0), mine.max(axis=0)
        kinds = {"class20": SCANNET20, "class18": SCANNET18}
        indices = {key: int(c.index_of_id(np.array([nyu40]))[0]) for key, c in kinds.items()}
        entries.append(
            {
                "object_id": k,
                "label": name,
                "raw_category": raw,
                "nyu40": nyu40,
                **{key: None if index == IGNORE else index for key, index in indices.items()},
                "class200": int(SCANNET200.index_of_id(np.array([raw]))[0]),
                "center": ((low + high) / 2).tolist(),
                "size": (high - low).tolist(),
                "vertices": len(mine),
            }
        )
    return entries


def write_prepared(root: Path, train: int = 2, val: int = 1, spacing: float = 0.08) -> Path:
    """A prepared root with so many rooms; returns it."""
    names = [f"room{k:04d}_00" for k in range(train + val)]
    for k, name in enumerate(names):
        folder = root / "scenes" / name
        folder.mkdir(parents=True)
        arrays = room_points(k, spacing)
        with (folder / "mesh.npz").open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]
        (folder / "objects.json").write_text(json.dumps({"aligned": True, "objects": objects_of(arrays)}))
        record = {"format": 1, "axis_alignment": np.eye(4).tolist(), "mesh": {"labels": True}, "frames": None}
        (folder / "scene.json").write_text(json.dumps(record))
    (root / "splits").mkdir()
    (root / "splits" / "train.txt").write_text("\n".join(names[:train]) + "\n")
    (root / "splits" / "val.txt").write_text("\n".join(names[train:]) + "\n")
    return root


def write_areas(root: Path) -> Path:
    """S3DIS's layout with one small room an area: floor, wall and a table; returns the folder of the areas."""
    for area in range(1, 7):
        folder = root / f"Area_{area}" / "office_1" / "Annotations"
        folder.mkdir(parents=True)
        parts = {
            "floor_1": sheet((0, 0, 0), (2, 2, 0), 0.1),
            "wall_1": sheet((0, 0, 0), (2, 0, 2), 0.1),
            "table_1": sheet((0.5, 0.5, 0), (1.0 + 0.05 * area, 1.2, 0.7), 0.1),
        }
        for k, (name, xyz) in enumerate(parts.items()):
            lines = [f"{x:.3f} {y:.3f} {z:.3f} {40 + 60 * k} 120 {200 - 60 * k}" for x, y, z in xyz]
            (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
    return root
