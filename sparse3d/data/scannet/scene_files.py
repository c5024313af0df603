"""Which files of which scenes lie in a folder of scans: ScanNet's own layout, or exported frames."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sparse3d.errors import InputError

FOLDERS = (".", "scans", "scans_test")  # of the source, with a folder a scene each
SCENE_NAME = re.compile(r"(scene|room)\d{4}_\d{2}")
PARTS = ("frames", "mesh", "labels", "alignment")
SUFFIXES = {
    "sens": ".sens",
    "mesh": "_vh_clean_2.ply",
    "vertex_labels": "_vh_clean_2.labels.ply",
    "segments": "_vh_clean_2.0.010000.segs.json",
    "aggregation": ".aggregation.json",
    "text": ".txt",
}


@dataclass(frozen=True)
class SceneFiles:
    """The files of one scene, None for one that is not there.

    ``aggregation`` is the annotation of the ``_vh_clean_2`` mesh; ``_vh_clean.aggregation.json`` belongs to the finer
    mesh's segments and is never taken for it.
    """

    name: str
    folder: Path
    sens: Path | None = None
    exported: Path | None = None  # a folder with color/, depth/ and pose/
    mesh: Path | None = None
    vertex_labels: Path | None = None
    segments: Path | None = None
    aggregation: Path | None = None
    text: Path | None = None

    def files(self) -> dict[str, Path]:
        """The single files by their suffix, to be held against what they were (exported frames are not among them)."""
        known = {suffix: getattr(self, part) for part, suffix in SUFFIXES.items()}
        return {suffix: path for suffix, path in known.items() if path is not None}

    def has(self, part: str) -> bool:
        """Whether ``part``, one of :data:`PARTS`, can be prepared; alignment by the file's presence alone."""
        if part == "frames":
            return self.sens is not None or self.exported is not None
        if part == "mesh":
            return self.mesh is not None
        if part == "labels":
            return (self.segments is not None and self.aggregation is not None) or self.vertex_labels is not None
        return self.text is not None

    def absent(self) -> list[str]:
        """The parts that are not there."""
        return [part for part in PARTS if not self.has(part)]


def find_scenes(source: str | Path) -> list[SceneFiles]:
    """Every scene below ``source``, by name: folders of it, of ``scans/`` or of ``scans_test/`` in it.

    A folder named like a scene counts even when it is empty, so that it can be reported. Raises InputError where there
    is none, or two of one name.
    """
    source = Path(source)
    if not source.is_dir():
        raise InputError(f"{source}: there is no such folder; name the one that holds scans/ or the scenes' folders")
    found: dict[str, SceneFiles] = {}
    for folder in _candidates(source):
        files = _files_of(folder)
        if not (files.has("frames") or files.has("mesh") or SCENE_NAME.fullmatch(folder.name)):
            continue
        if folder.name in found:
            raise InputError(f"{folder}: the scene is also in {found[folder.name].folder}: keep one of them")
        found[folder.name] = files
    if not found:
        looked = f"<scene>/<scene>.sens, <scene>/<scene>{SUFFIXES['mesh']} or <scene>/color, depth and pose"
        raise InputError(f"{source}: no scan found there or in its scans/; looked for {looked}")
    return [found[name] for name in sorted(found)]


def _candidates(source: Path) -> Iterator[Path]:
    for name in FOLDERS:
        if (source / name).is_dir():
            folders = (child for child in (source / name).iterdir() if child.is_dir())
            yield from sorted(
                child for child in folders if not child.name.startswith(".") and child.name not in FOLDERS
            )


def _files_of(folder: Path) -> SceneFiles:
    name = folder.name
    found = {part: path for part, suffix in SUFFIXES.items() if (path := folder / f"{name}{suffix}").is_file()}
    exported = None
    if "sens" not in found:
        places = (folder, folder / "frames", folder / "exported")
        exported = next((p for p in places if (p / "pose").is_dir() and (p / "depth").is_dir()), None)
    return SceneFiles(name, folder, exported=exported, **found)
