"""A scene's annotation: segments of the mesh (``.segs.json``) gathered to labelled objects (``.aggregation.json``).

The traps, all in real scans: object ids have gaps, so objects are numbered anew and keep theirs beside; scene0217_00
lists its groups twice; a group may name segments that the mesh has not, or that another group has taken; a label may
be unknown to the table. None of it stops a scene, all of it is counted.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from sparse3d.data.scannet.label_table import LabelTable, RawCategory
from sparse3d.errors import InputError

NONE = -1


@dataclass(frozen=True)
class Group:
    """One annotated object: its number in the file, the annotator's label, and its segments."""

    object_id: int
    label: str
    segments: tuple[int, ...]


@dataclass(frozen=True)
class AnnotatedObject:
    """One object of :class:`VertexLabels`; ``category`` is None for a label that the table has not."""

    object_id: int
    label: str
    category: RawCategory | None
    vertices: int


@dataclass
class VertexLabels:
    """The annotation brought to the V vertices. ``instance`` k is ``objects[k]``."""

    instance: np.ndarray  # (V,) int32, -1 for none
    raw_id: np.ndarray  # (V,) int32, id of the raw category, -1 for none
    nyu40: np.ndarray  # (V,) uint8, 0 for none
    objects: list[AnnotatedObject] = field(default_factory=list)
    duplicate_groups: int = 0
    groups_without_vertices: list[str] = field(default_factory=list)
    vertices_claimed_twice: int = 0  # the later group has them, as in the benchmark's own scripts
    unknown_labels: dict[str, int] = field(default_factory=dict)  # label -> vertices


def read_segments(path: str | Path, vertices: int) -> np.ndarray:
    """The segment number of each vertex, (V,) int64. Raises InputError where they are not ``vertices`` many."""
    found = _member(Path(path), "segIndices")
    try:
        segments = np.array(found, dtype=np.int64)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{path}: segIndices must be whole numbers ({error})") from error
    if segments.shape != (vertices,):
        raise InputError(
            f"{path}: segIndices has {len(segments)} numbers and the mesh {vertices} vertices: "
            "they belong to different meshes; fetch both files of the scene again"
        )
    return segments


def read_groups(path: str | Path) -> list[Group]:
    """The groups as listed, duplicates too. Raises InputError for a group without segments, label or number."""
    groups = []
    for place, entry in enumerate(_member(Path(path), "segGroups")):
        try:
            number = entry["objectId"] if "objectId" in entry else entry["id"]
            groups.append(Group(int(number), str(entry["label"]), tuple(int(s) for s in entry["segments"])))
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: segGroups[{place}] needs objectId, label and segments ({error!r})") from error
    return groups


def label_vertices(segments: np.ndarray, groups: list[Group], table: LabelTable) -> VertexLabels:
    """Bring ``groups`` to the vertices whose ``segments`` (V,) are given."""
    kept = _without_duplicates(groups)
    numbers, inverse = np.unique(segments, return_inverse=True)
    group_of_segment = np.full(len(numbers), NONE, dtype=np.int64)
    size = np.bincount(inverse, minlength=len(numbers))
    twice = 0
    for row, group in enumerate(kept):
        mine = np.flatnonzero(np.isin(numbers, np.array(group.segments, dtype=np.int64)))
        twice += int(size[mine[group_of_segment[mine] != NONE]].sum())
        group_of_segment[mine] = row
    count = np.bincount(group_of_segment + 1, weights=size, minlength=len(kept) + 1)[1:].astype(int)
    row_of_group = np.where(count > 0, np.cumsum(count > 0) - 1, NONE)
    objects = [
        AnnotatedObject(group.object_id, group.label, table.get(group.label), int(n))
        for group, n in zip(kept, count, strict=True)
        if n > 0
    ]
    # the last place of each table answers for -1
    instance = np.append(row_of_group, NONE)[group_of_segment][inverse].astype(np.int32)
    raw = np.array([NONE if o.category is None else o.category.id for o in objects] + [NONE], dtype=np.int32)
    nyu40 = np.array([0 if o.category is None else o.category.nyu40 for o in objects] + [0], dtype=np.uint8)
    unknown: dict[str, int] = {}
    for o in objects:
        if o.category is None:
            unknown[o.label] = unknown.get(o.label, 0) + o.vertices
    return VertexLabels(
        instance=instance,
        raw_id=raw[instance],
        nyu40=nyu40[instance],
        objects=objects,
        duplicate_groups=len(groups) - len(kept),
        groups_without_vertices=[f"{g.object_id} {g.label}" for g, n in zip(kept, count, strict=True) if n == 0],
        vertices_claimed_twice=twice,
        unknown_labels=unknown,
    )


def _without_duplicates(groups: list[Group]) -> list[Group]:
    """Each object once: two groups are the same where label and segments are, whatever their numbers."""
    seen: dict[tuple[str, frozenset[int]], Group] = {}
    for group in groups:
        seen.setdefault((group.label, frozenset(group.segments)), group)
    return list(seen.values())


def _member(path: Path, key: str) -> list[Any]:
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as JSON ({error})") from error
    value = content.get(key) if isinstance(content, dict) else None
    if not isinstance(value, list):
        raise InputError(f"{path}: holds no list {key}: is it a ScanNet annotation?")
    return value
