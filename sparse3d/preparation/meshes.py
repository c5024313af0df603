"""The mesh of a scene with everything that is known of its vertices, and its objects with their boxes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from sparse3d.data.prepared import MESH, OBJECTS
from sparse3d.data.scannet.annotations import VertexLabels, label_vertices, read_groups, read_segments
from sparse3d.data.scannet.classes import SCANNET18, SCANNET20, SCANNET200, ClassList
from sparse3d.data.scannet.label_table import LabelTable
from sparse3d.data.scannet.mesh_ply import ScanMesh, read_mesh, read_vertex_labels
from sparse3d.data.scannet.scene_files import SceneFiles
from sparse3d.errors import InputError
from sparse3d.geometry import transform_points
from sparse3d.preparation.files import write_json
from sparse3d.types import IGNORE
from sparse3d.whole_files import write_whole


@dataclass
class LabelledMesh:
    """A mesh, its labels (None for a scan without any), remarks for the record, and whether objects are annotated."""

    mesh: ScanMesh
    labels: VertexLabels | None
    notes: list[str]
    instances_known: bool


def write_mesh(
    files: SceneFiles, folder: Path, table: LabelTable | None, axis_alignment: np.ndarray | None
) -> tuple[dict[str, Any], list[str]]:
    """Write ``mesh.npz`` and ``objects.json`` into ``folder``; returns their record and remarks.

    Raises InputError for files that are damaged or do not belong together.
    """
    started = perf_counter()
    found = read_labelled_mesh(files, table)
    mesh, labels = found.mesh, found.labels
    count = len(mesh.xyz)
    blank = VertexLabels(np.full(count, -1, np.int32), np.full(count, -1, np.int32), np.zeros(count, np.uint8))
    known = labels or blank
    semantic20, semantic200 = SCANNET20.index_of_id(known.nyu40), SCANNET200.index_of_id(known.raw_id)
    arrays = {
        "xyz": mesh.xyz,
        "rgb": mesh.rgb,
        "faces": mesh.faces,
        "raw_category": known.raw_id,
        "nyu40": known.nyu40,
        "semantic20": semantic20,
        "semantic200": semantic200,
        "instance": known.instance,
    }
    if mesh.normals is not None:
        arrays["normals"] = mesh.normals
    write_whole(folder / MESH, lambda file: np.savez(file, **arrays))  # type: ignore[arg-type]
    objects = objects_of(known, mesh.xyz, axis_alignment)
    write_json(folder / OBJECTS, {"aligned": axis_alignment is not None, "objects": objects})
    record = {
        "vertices": count,
        "faces": len(mesh.faces),
        "labels": labels is not None,
        "instances_known": found.instances_known,
        "instances": len(objects),
        "vertices_of_class": _histogram(SCANNET20, semantic20),
        "instances_of_class": _histogram(SCANNET20, np.array([_index_or_ignore(o["class20"]) for o in objects], int)),
        "vertices_without_class": int((semantic20 == IGNORE).sum()),
        "duplicate_groups": known.duplicate_groups,
        "groups_without_vertices": known.groups_without_vertices,
        "vertices_claimed_twice": known.vertices_claimed_twice,
        "unknown_labels": known.unknown_labels,
        "seconds": {"mesh": round(perf_counter() - started, 3)},
    }
    return record, found.notes + _remarks(known)


def check_table(files: SceneFiles, table: LabelTable | None) -> None:
    """Raises InputError for an annotated mesh without a table, before any of the scene's work is done."""
    if table is None and None not in (files.mesh, files.segments, files.aggregation):
        raise InputError(
            f"{files.folder}: labels need a table of categories (*-labels.combined.tsv): put it beside the scans, or "
            "into the folder over them"
        )


def read_labelled_mesh(files: SceneFiles, table: LabelTable | None) -> LabelledMesh:
    """The mesh and, where they are there, its labels: from segments and groups, else from ``.labels.ply`` alone."""
    if files.mesh is None:
        raise InputError(f"{files.folder}: the scene has no mesh")
    check_table(files, table)
    mesh = read_mesh(files.mesh)
    count, notes = len(mesh.xyz), []
    exported = None if files.vertex_labels is None else read_vertex_labels(files.vertex_labels, count)
    labels = None
    annotated = files.segments is not None and files.aggregation is not None
    if files.segments is not None and files.aggregation is not None and table is not None:
        segments = read_segments(files.segments, count)
        labels = label_vertices(segments, read_groups(files.aggregation), table)
        if exported is not None and (differ := int((exported != labels.nyu40).sum())):
            name = files.vertex_labels.name if files.vertex_labels else ""
            notes.append(f"{name} differs from the annotation at {differ} of {count} vertices: the annotation is used")
    elif exported is not None:
        nothing = np.full(count, -1, np.int32)
        labels = VertexLabels(nothing, nothing.copy(), exported)
        notes.append("labels from .labels.ply alone: no instances, no classes of ScanNet200")
    elif files.segments is not None or files.aggregation is not None:
        missing = ".aggregation.json" if files.aggregation is None else "_vh_clean_2.0.010000.segs.json"
        notes.append(f"{files.name}{missing} is missing: the mesh is left without labels")
    return LabelledMesh(mesh, labels, notes, annotated)


def objects_of(labels: VertexLabels, xyz: np.ndarray, axis_alignment: np.ndarray | None) -> list[dict[str, Any]]:
    """An entry an instance, in their order; boxes are min and max of the aligned vertices, as VoteNet's are.

    Without alignment they are along the scan's own axes.
    """
    boxes = instance_boxes(labels.instance, len(labels.objects), xyz, axis_alignment)
    entries = []
    for found, (low, high) in zip(labels.objects, boxes, strict=True):
        category = found.category
        raw, nyu40 = (None, None) if category is None else (category.id, category.nyu40)
        entries.append(
            {
                "object_id": found.object_id,
                "label": found.label,
                "raw_category": raw,
                "nyu40": nyu40,
                "class20": _index(SCANNET20, nyu40),
                "class18": _index(SCANNET18, nyu40),
                "class200": _index(SCANNET200, raw),
                "center": ((low + high) / 2).tolist(),
                "size": (high - low).tolist(),
                "vertices": found.vertices,
            }
        )
    return entries


def instance_boxes(instance: np.ndarray, count: int, xyz: np.ndarray, axis_alignment: np.ndarray | None) -> np.ndarray:
    """(count, 2, 3) float64, metres: lowest and highest coordinates of each instance's vertices.

    ``instance`` (V,) has every number below ``count`` at least once, -1 for none.
    """
    inside = np.flatnonzero(instance >= 0)
    order = inside[np.argsort(instance[inside], kind="stable")]
    points = xyz[order].astype(np.float64)
    if axis_alignment is not None:
        points = transform_points(axis_alignment, points)
    if count == 0:
        return np.zeros((0, 2, 3))
    starts = np.searchsorted(instance[order], np.arange(count))
    return np.stack([np.minimum.reduceat(points, starts), np.maximum.reduceat(points, starts)], axis=1)


def _index(classes: ClassList, number: int | None) -> int | None:
    found = IGNORE if number is None else int(classes.index_of_id(np.array(number)))
    return None if found == IGNORE else found


def _index_or_ignore(index: int | None) -> int:
    return IGNORE if index is None else index


def _histogram(classes: ClassList, indices: np.ndarray) -> dict[str, int]:
    counts = np.bincount(indices[indices >= 0], minlength=len(classes))
    return {name: int(n) for name, n in zip(classes.names, counts, strict=True) if n}


def _remarks(labels: VertexLabels) -> list[str]:
    notes = [
        f"label {label!r} is not in the label table: its {vertices} vertices have no class"
        for label, vertices in labels.unknown_labels.items()
    ]
    if labels.duplicate_groups:
        notes.append(f"{labels.duplicate_groups} groups are listed twice: one of each is kept")
    if labels.groups_without_vertices:
        names = ", ".join(labels.groups_without_vertices[:3])
        notes.append(f"{len(labels.groups_without_vertices)} groups have no vertex and are left out: {names}")
    if labels.vertices_claimed_twice:
        notes.append(f"{labels.vertices_claimed_twice} vertices lie in two groups: the later one has them")
    return notes
