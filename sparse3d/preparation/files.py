"""JSON records, and what is remembered of the sources to know them again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sparse3d.data.prepared import FORMAT
from sparse3d.data.scannet.scene_files import SceneFiles
from sparse3d.errors import InputError
from sparse3d.whole_files import write_whole_text

BLOCK = 1 << 20
RECORD = frozenset(  # what is read of it again
    ("scene", "options", "absent", "notes", "frames", "mesh", "bytes", "seconds", "sources", "axis_alignment")
)
EXPORTED = ("color", "depth", "pose", "intrinsic")


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as readable JSON."""
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    write_whole_text(path, text)


def read_json(path: Path) -> Any:
    """The content of a JSON file of ours, or None where it is missing or damaged (then it is made again)."""
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def read_record(path: Path) -> dict[str, Any] | None:
    """A scene's record as this version writes it, or None where it is missing, damaged, or of another one."""
    record = read_json(path)
    known = isinstance(record, dict) and record.get("format") == FORMAT and set(record) >= RECORD
    return record if known else None


def sources_of(files: SceneFiles, table: Path | None) -> dict[str, list[Path]]:
    """The source files of a scene by what they are; exported frames are many."""
    sources = {suffix: [path] for suffix, path in files.files().items()}
    if files.exported is not None:
        sources["frames"] = list(_exported(files.exported))
        if not sources["frames"]:
            raise InputError(f"{files.exported}: its folders color, depth and pose are empty: fill or remove them")
    if table is not None and files.aggregation is not None:
        sources["labels.combined.tsv"] = [table]
    return sources


def describe_sources(sources: dict[str, list[Path]]) -> dict[str, dict[str, Any]]:
    """Size in bytes, time of the last change and SHA-256 of each source; many files are summed up as one.

    Of many files there is a digest of their names, sizes and times, too: a changed one need not be the newest.
    """
    return {name: _status(paths) | {"sha256": _checksum(paths)} for name, paths in sources.items()}


def sources_agree(known: dict[str, dict[str, Any]], sources: dict[str, list[Path]]) -> bool:
    """Whether the sources are those of a record: size and time, or size and checksum after a copy changed the time."""
    if set(known) != set(sources):
        return False
    for name, paths in sources.items():
        status, before = _status(paths), known[name]
        if any(status[key] != before.get(key) for key in ("files", "bytes")):
            return False
        unchanged = all(status[key] == before.get(key) for key in ("modified_ns", "listing") if key in status)
        if not unchanged and _checksum(paths) != before.get("sha256"):
            return False
    return True


def _status(paths: list[Path]) -> dict[str, Any]:
    try:
        stats = [path.stat() for path in paths]
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error
    modified = max(stat.st_mtime_ns for stat in stats)
    name = paths[0].name if len(paths) == 1 else f"{len(paths)} files"
    status = {"name": name, "files": len(paths), "bytes": sum(s.st_size for s in stats), "modified_ns": modified}
    if len(paths) > 1:
        every = [(p.parent.name, p.name, s.st_size, s.st_mtime_ns) for p, s in zip(paths, stats, strict=True)]
        status["listing"] = hashlib.sha256(json.dumps(every).encode()).hexdigest()
    return status


def _checksum(paths: list[Path]) -> str:
    """SHA-256, by blocks: a scene's file is larger than memory may be."""
    digest = hashlib.sha256()
    try:
        for path in paths:
            with path.open("rb") as file:
                while block := file.read(BLOCK):
                    digest.update(block)
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error
    return digest.hexdigest()


def _exported(folder: Path) -> Iterator[Path]:
    for name in EXPORTED:
        yield from sorted(path for path in (folder / name).glob("[!.]*") if path.is_file())
    yield from sorted(folder.glob("intrinsic*.txt"))
