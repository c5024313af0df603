"""The account of a whole prepared data set, put together from what every scene says of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from sparse3d.data.prepared import BROKEN, FORMAT, SCENE, SCENES
from sparse3d.data.scannet.classes import SCANNET18, SCANNET20, SCANNET200
from sparse3d.data.scannet.label_table import LabelTable
from sparse3d.data.scannet.split_lists import read_splits
from sparse3d.errors import InputError
from sparse3d.preparation.files import read_json, read_record, write_json
from sparse3d.whole_files import write_whole

MANIFEST, LABELS, SPLITS = "manifest.json", "labels.json", "splits"


def write_manifest(destination: Path) -> dict[str, Any]:
    """Write ``manifest.json`` from the scenes that are there, whoever prepared them, and return it.

    Other processes may finish scenes meanwhile: it is written again until nothing was added while it was.
    """
    while True:
        before = _state(destination)
        manifest = _manifest(destination)
        write_json(destination / MANIFEST, manifest)
        if _state(destination) == before:
            return manifest


def write_labels(destination: Path, table: LabelTable | None) -> None:
    """Write ``labels.json``: the lists of classes, and the raw categories of the table."""
    lists = {
        classes.name: {
            "id_kind": classes.id_kind,
            "names": list(classes.names),
            "ids": list(classes.ids),
            "colors": [list(color) for color in classes.colors],
        }
        for classes in (SCANNET20, SCANNET18, SCANNET200)
    }
    known = {} if table is None else table.categories
    categories = {name: {"id": category.id, "nyu40": category.nyu40} for name, category in known.items()}
    write_json(destination / LABELS, {"classes": lists, "raw_categories": categories})


def copy_splits(folder: Path | None, destination: Path) -> dict[str, list[str]]:
    """Copy the lists of ``folder`` into ``destination/splits`` and return them. InputError for a list that is none."""
    if folder is None:
        return {}
    lists = read_splits(folder)
    for name in lists:
        content = (folder / f"{name}.txt").read_bytes()
        write_whole(destination / SPLITS / f"{name}.txt", lambda file, content=content: file.write(content))  # type: ignore[misc]
    return lists


def write_broken(destination: Path, scene: str, reason: str, trace: str = "") -> None:
    """Remember that ``scene`` was left out, until it is prepared."""
    write_json(destination / BROKEN / f"{scene}.json", {"scene": scene, "reason": reason, "trace": trace})


def _state(destination: Path) -> list[tuple[str, int]]:
    state = []
    for path in _records(destination):
        with suppress(FileNotFoundError):  # another process is just replacing it
            state.append((path.as_posix(), path.stat().st_mtime_ns))
    return state


def _records(destination: Path) -> list[Path]:
    return [*_scene_records(destination), *_broken_records(destination)]


def _scene_records(destination: Path) -> list[Path]:
    return sorted(destination.glob(f"{SCENES}/[!.]*/{SCENE}"))


def _broken_records(destination: Path) -> list[Path]:
    return sorted(destination.glob(f"{BROKEN}/[!.]*.json"))


def _manifest(destination: Path) -> dict[str, Any]:
    left_out = [read_json(path) for path in _broken_records(destination)]
    broken = {r["scene"]: r["reason"] for r in left_out if isinstance(r, dict) and {"scene", "reason"} <= set(r)}
    known = [record for path in _scene_records(destination) if (record := read_record(path)) is not None]
    scenes = {record["scene"]: record for record in known if record["scene"] not in broken}
    return {
        "format": FORMAT,
        "totals": _totals(scenes.values()) | {"broken": len(broken)},
        "broken": broken,
        "splits": _split_counts(destination, set(scenes)),
        "scenes": {name: _short(record) for name, record in scenes.items()},
    }


def _short(record: dict[str, Any]) -> dict[str, Any]:
    """A scene's record without the long lists, which ``scene.json`` has."""
    frames = record["frames"] and {k: v for k, v in record["frames"].items() if k not in ("drops", "numbers")}
    keys = ("options", "absent", "notes", "mesh", "bytes", "seconds", "sources")
    return {key: record[key] for key in keys} | {"aligned": record["axis_alignment"] is not None, "frames": frames}


def _totals(records: Iterable[dict[str, Any]]) -> dict[str, Any]:
    totals: Counter[str] = Counter(scenes=0, frames=0, frames_dropped=0, vertices=0, instances=0, bytes=0)
    vertices: Counter[str] = Counter()
    instances: Counter[str] = Counter()
    in_scenes: Counter[str] = Counter()
    seconds = 0.0
    for record in records:
        frames, mesh = record["frames"] or {}, record["mesh"] or {}
        totals.update(scenes=1, bytes=sum(record["bytes"].values()))
        totals.update(frames=frames.get("kept", 0), frames_dropped=sum(frames.get("dropped", {}).values()))
        totals.update(vertices=mesh.get("vertices", 0), instances=mesh.get("instances", 0))
        vertices.update(mesh.get("vertices_of_class", {}))
        instances.update(mesh.get("instances_of_class", {}))
        in_scenes.update(mesh.get("vertices_of_class", {}).keys())
        seconds += record["seconds"]["all"]

    def in_order(counts: Counter[str]) -> dict[str, int]:
        return {name: counts[name] for name in SCANNET20.names}

    return dict(totals) | {
        "seconds": round(seconds, 3),
        "vertices_of_class": in_order(vertices),
        "instances_of_class": in_order(instances),
        "scenes_with_class": in_order(in_scenes),
    }


def _split_counts(destination: Path, there: set[str]) -> dict[str, dict[str, int]]:
    try:
        lists = read_splits(destination / SPLITS)
    except InputError:  # no lists were asked for
        return {}
    return {name: {"listed": len(names), "prepared": len(there & set(names))} for name, names in lists.items()}
