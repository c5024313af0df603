"""Shapes on disk in every form that is read: boxes of two kinds, upright sticks and flat plates, easy to tell apart."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

KINDS = ("plate", "stick")
SIZES = {"plate": (1.0, 0.8, 0.1), "stick": (0.1, 0.12, 1.0)}  # along x, y, z, with z up


def points_of(kind: str, seed: int, count: int = 400) -> np.ndarray:
    """Points (count, 3) float32 on a box's surface, z up; each seed has proportions of its own."""
    rng = np.random.default_rng(seed)
    size = np.array(SIZES[kind]) * rng.uniform(0.8, 1.25, 3)
    unit = rng.uniform(-0.5, 0.5, (count, 3))
    side = rng.integers(0, 3, count)
    unit[np.arange(count), side] = rng.choice([-0.5, 0.5], count)
    return (unit * size).astype(np.float32)


def y_up(xyz: np.ndarray) -> np.ndarray:
    """Points whose z axis points up, as files whose y axis does have them."""
    return xyz[:, [1, 2, 0]]


def write_off(path: Path, kind: str, seed: int, header: str = "OFF\n") -> None:
    """A box as a triangle mesh."""
    size = np.array(SIZES[kind]) * np.random.default_rng(seed).uniform(0.8, 1.25, 3)
    corners = (np.array([[(k >> axis) & 1 for axis in range(3)] for k in range(8)]) - 0.5) * size
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [t for a, b, c, d in quads for t in ((a, b, c), (a, c, d))]
    lines = [f"{len(corners)} {len(faces)} 0", *(" ".join(map(str, row)) for row in corners)]
    lines += [f"3 {a} {b} {c}" for a, b, c in faces]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(header + "\n".join(lines) + "\n")


def write_modelnet_meshes(root: Path, train: int = 3, test: int = 2) -> Path:
    """The original's layout."""
    for kind in KINDS:
        for k in range(train + test):
            split = "train" if k < train else "test"
            write_off(root / kind / split / f"{kind}_{k + 1:04d}.off", kind, k)
    return root


def write_modelnet_points(root: Path, train: int = 3, test: int = 2) -> Path:
    """The layout of ``modelnet40_normal_resampled``; a class' name may have an underscore."""
    names = {"flat_plate": "plate", "stick": "stick"}
    root.mkdir(parents=True, exist_ok=True)
    (root / "modelnet40_shape_names.txt").write_text("\n".join(names) + "\n")
    lists: dict[str, list[str]] = {"train": [], "test": []}
    for name, kind in names.items():
        for k in range(train + test):
            entry = f"{name}_{k + 1:04d}"
            lists["train" if k < train else "test"].append(entry)
            xyz = y_up(points_of(kind, k))
            (root / name).mkdir(exist_ok=True)
            np.savetxt(root / name / f"{entry}.txt", np.hstack([xyz, np.zeros_like(xyz)]), "%.6f", delimiter=",")
    for split, entries in lists.items():
        (root / f"modelnet40_{split}.txt").write_text("\n".join(entries) + "\n")
    return root


def write_arrays(path: Path, count: int = 10) -> Path:
    """One .npz file, kinds in turn."""
    points = np.stack([points_of(KINDS[k % 2], k) for k in range(count)])
    np.savez(path, points=points.astype(np.float16), label=np.arange(count) % 2, classes=np.array(KINDS))
    return path


def write_scanobjectnn(root: Path, count: int = 6) -> Path:
    """The files of the hardest variant; chairs (4) are sticks, tables (9) plates."""
    import h5py

    (root / "main_split").mkdir(parents=True)
    for split, start in (("training", 0), ("test", 100)):
        points = np.stack([y_up(points_of(KINDS[k % 2], start + k)) for k in range(count)])
        with h5py.File(root / "main_split" / f"{split}_objectdataset_augmentedrot_scale75.h5", "w") as file:
            file["data"], file["label"] = points, np.array([(9, 4)[k % 2] for k in range(count)])
    return root


def write_shapenetpart(root: Path, count: int = 3) -> Path:
    """Tables (parts 47, 48) that are plates over sticks, and caps (6, 7); all in train, the first in val."""
    names = []
    for folder, first in (("04379243", 47), ("02954340", 6)):
        (root / folder).mkdir(parents=True)
        for k in range(count):
            plate, stick = points_of("plate", k), points_of("stick", k)
            plate[:, 2] += 0.5
            xyz = y_up(np.concatenate([plate, stick]))
            part = np.repeat([first, first + 1], len(plate))[:, None]
            np.savetxt(root / folder / f"shape{k}.txt", np.hstack([xyz, np.zeros_like(xyz), part]), "%.6f")
            names.append(f"shape_data/{folder}/shape{k}")
    (root / "train_test_split").mkdir()
    for split, listed in (("train", names), ("val", names[:1]), ("test", names[1:])):
        (root / "train_test_split" / f"shuffled_{split}_file_list.json").write_text(json.dumps(listed))
    return root
