"""Scans in ScanNet's files, rooms among them, and what preparation made of them, for :mod:`.scene`."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

from sparse3d.data.prepared import PreparedScene
from sparse3d.data.readers import open_frames
from sparse3d.data.scannet.axis_alignment import read_scene_text
from sparse3d.data.scannet.classes import SCANNET20
from sparse3d.data.scannet.label_table import LabelTable, find_label_table, read_label_table
from sparse3d.data.scannet.scene_files import SceneFiles, find_scenes
from sparse3d.geometry import transform_points
from sparse3d.inspection.frame_labels import FrameLabels
from sparse3d.inspection.scene_parts import (
    OTHER,
    OTHER_COLOR,
    LookedAtScene,
    SceneObject,
    add_cloud,
    add_frames,
    face_the_cameras,
    mesh_surface,
)
from sparse3d.preparation.meshes import LabelledMesh, objects_of, read_labelled_mesh
from sparse3d.types import IGNORE

_NAMES = (*SCANNET20.names, OTHER)
_COLORS = (*SCANNET20.colors, OTHER_COLOR)


def scannet_files(path: Path) -> SceneFiles | None:
    """The files of the scan in ``path``, None where there is neither a mesh nor a ``.sens`` named after the folder."""
    for folder in dict.fromkeys((Path(os.path.abspath(path)), path.resolve())):  # a link may have a name of its own
        name = folder.name
        suffixes = (".sens", "_vh_clean_2.ply", ".aggregation.json")
        if any((folder / f"{name}{suffix}").is_file() for suffix in suffixes):
            return next((files for files in find_scenes(folder.parent) if files.folder.name == name), None)
    return None


def load_scan(files: SceneFiles) -> LookedAtScene:
    scene = LookedAtScene(files.name, files.folder, "ScanNet's files", None, _NAMES, _COLORS)
    if files.text is not None:
        text = read_scene_text(files.text)
        scene.alignment = text.axis_alignment
        scene.facts += [(key, text.values[key]) for key in ("sceneType",) if key in text.values]
    table_path = find_label_table(files.folder)
    table = None if table_path is None else read_label_table(table_path)
    _add_alignment(scene)
    if files.mesh is None:
        scene.notes.append(f"no mesh: {files.name}_vh_clean_2.ply is not there")
    else:
        _add_scan(scene, files, table)
    if files.has("frames"):
        add_frames(scene, open_frames(files.sens or files.exported or files.folder, on_fault="drop"))
        scene.frame_labels = FrameLabels.find(files.folder, files.name, table)
        if scene.frame_labels is None:
            scene.notes.append("no labels of the frames: neither _2d-label.zip nor _2d-instance.zip is there")
    else:
        scene.notes.append(f"no frames: {files.name}.sens is not there")
    face_the_cameras(scene)
    add_cloud(scene)
    return scene


def _add_scan(scene: LookedAtScene, files: SceneFiles, table: LabelTable | None) -> None:
    if table is None and files.aggregation is not None:
        scene.notes.append("no labels: *-labels.combined.tsv is neither beside the scans nor in the folder over them")
        bare = SceneFiles(files.name, files.folder, mesh=files.mesh, vertex_labels=files.vertex_labels)
        found = read_labelled_mesh(bare, None)
    else:
        found = read_labelled_mesh(files, table)
    scene.notes += found.notes
    if found.labels is None:
        scene.notes.append("no labels: segs.json, aggregation.json or labels.ply is missing")
    mesh = found.mesh
    scene.surface = mesh_surface(_aligned(scene, mesh.xyz), mesh.rgb, mesh.faces)
    if found.labels is not None:
        scene.surface.semantic = _classes(found.labels.nyu40)
        _add_scan_objects(scene, found)


def _add_scan_objects(scene: LookedAtScene, found: LabelledMesh) -> None:
    labels = found.labels
    assert labels is not None and scene.surface is not None
    if labels.unknown_labels:
        scene.notes.append(f"labels that the table has not: {', '.join(sorted(labels.unknown_labels))}")
    if not labels.objects:
        return
    scene.surface.instance = labels.instance.astype(np.int64)
    for entry in objects_of(labels, found.mesh.xyz, scene.alignment):
        semantic = int(_classes(np.array(entry["nyu40"] or 0)))
        center, size = tuple(entry["center"]), tuple(entry["size"])
        scene.objects.append(SceneObject(entry["label"], semantic, center, size, points=entry["vertices"]))


def load_prepared(path: Path) -> LookedAtScene:
    stored = PreparedScene(path.resolve())  # its files bear the name of the folder, not of a link to it
    scene = LookedAtScene(stored.name, path, "prepared", None, _NAMES, _COLORS)
    scene.alignment = stored.axis_alignment
    _add_alignment(scene)
    if stored.has_mesh:
        mesh = stored.mesh(aligned=True)
        scene.surface = mesh_surface(mesh.xyz, np.round(mesh.rgb * 255).astype(np.uint8), mesh.faces)
        if stored.has_labels:
            scene.surface.semantic = _classes(mesh.nyu40)
        else:
            scene.notes.append("no labels: the scene was prepared from a scan without them")
        for o in stored.objects():
            semantic = int(_classes(np.array(o.nyu40 or 0)))
            scene.objects.append(SceneObject(o.label, semantic, o.center, o.size, points=o.vertices))
        scene.surface.instance = mesh.instance if scene.objects else None
    else:
        scene.notes.append("no mesh: the scene was prepared from frames alone")
    if stored.has_frames:
        add_frames(scene, stored.frames(on_fault="drop"))
        scene.notes.append("no labels of the frames: preparation does not keep them")
    else:
        scene.notes.append("no frames: the scene was prepared from a mesh alone")
    scene.notes += [str(note) for note in stored.record.get("notes", [])]
    face_the_cameras(scene)
    add_cloud(scene)
    return scene


def _classes(nyu40: np.ndarray) -> np.ndarray:
    """Class indices of nyu40 ids, int64: the 20, then "other label", IGNORE for none."""
    found = SCANNET20.index_of_id(nyu40).astype(np.int64)
    return np.where((found == IGNORE) & (nyu40 > 0), len(SCANNET20), found)


def _aligned(scene: LookedAtScene, xyz: np.ndarray) -> np.ndarray:
    return xyz if scene.alignment is None else transform_points(scene.alignment, xyz)


def _add_alignment(scene: LookedAtScene) -> None:
    if scene.alignment is None:
        scene.notes.append("no axis alignment: shown in the scan's own axes")
        return
    turn = np.degrees(np.arctan2(scene.alignment[1, 0], scene.alignment[0, 0]))
    x, y, z = scene.alignment[:3, 3]
    scene.facts.append(("axis alignment", f"turned by {turn:.1f} degrees, moved by {x:.2f}, {y:.2f}, {z:.2f} m"))
