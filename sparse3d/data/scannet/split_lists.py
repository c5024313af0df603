"""Lists of scenes, one id a line; ``#`` begins a comment (the first line of ours says where the list comes from)."""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

import numpy as np

from sparse3d.errors import InputError

LISTS = "[!.]*.txt"  # of a folder: hidden files are none (macOS puts a ._NAME beside each)
SHARES = (1, 5, 10, 20)  # per cent of the training scenes
POINTS = (20, 50, 100, 200)  # labelled points a scene


def packaged_splits(name: str) -> Path | None:
    """The folder ``data_splits/<name>`` that comes with sparse3d, in a clone or inside the installed package."""
    package = Path(__file__).resolve().parents[2]
    places = (package / "data_splits" / name, package.parent / "data_splits" / name)
    return next((place for place in places if place.is_dir()), None)


def read_split(path: str | Path) -> list[str]:
    """The scenes of a list, in its order. Raises InputError when it cannot be read, names a scene twice, or none."""
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the split list cannot be read ({error})") from error
    names = [name for line in lines if (name := line.partition("#")[0].strip())]
    if not names:
        raise InputError(f"{path}: the split list names no scene")
    if len(set(names)) < len(names):
        twice = next(name for k, name in enumerate(names) if name in names[:k])
        raise InputError(f"{path}: names {twice} twice: remove one")
    return names


def read_splits(folder: str | Path) -> dict[str, list[str]]:
    """Every ``*.txt`` of ``folder`` by its stem. Raises InputError where there is none."""
    paths = sorted(Path(folder).glob(LISTS))
    if not paths:
        raise InputError(f"{folder}: holds no split list (train.txt, val.txt, ...)")
    return {path.stem: read_split(path) for path in paths}


def limited_scenes(names: Sequence[str], share: float, seed: int = 0) -> list[str]:
    """A ``share`` in (0, 1] of the scenes, at least one, in their order in ``names``.

    Nested: with one seed a smaller share's scenes are among a larger one's. They are the first of a permutation drawn
    from ``numpy.random.default_rng(seed)``; the lists ``train_1pct`` to ``train_20pct`` are those of seed 0.
    """
    if not 0 < share <= 1:
        raise ValueError(f"share = {share}: must lie in (0, 1]")
    order = np.random.default_rng(seed).permutation(len(names))
    return [names[i] for i in sorted(order[: max(1, round(share * len(names)))])]


def limited_points(scene_name: str, n_vertices: int, points: int, seed: int = 0) -> np.ndarray:
    """The ``points`` vertices of a scene that may be learned from, (points,) int64 below ``n_vertices``, all different.

    Nested: the first 20 of 50 are the 20. They are the first of a permutation drawn from
    ``default_rng([seed, s])``, s being the first 8 bytes of the name's SHA-256 as a little-endian number, so a scene's
    points depend on nothing but its name, its size and the seed. All vertices where there are fewer than ``points``.
    """
    own = int.from_bytes(sha256(scene_name.encode("utf-8")).digest()[:8], "little")
    return np.random.default_rng([seed, own]).permutation(n_vertices)[:points].astype(np.int64)
