"""Finding out what a path holds, and opening it."""

from __future__ import annotations

import difflib
import importlib
import inspect
import logging
import pkgutil
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from sparse3d.data import readers
from sparse3d.data.readers.base import FrameSource, ReadOptions, Size
from sparse3d.data.readers.manifest import some_of
from sparse3d.errors import InputError

_log = logging.getLogger("sparse3d")

IMAGE_FOLDERS = {"color", "depth", "image", "images", "rgb"}  # what a recording's folder holds, whatever its form
DEEPEST = 3  # folders below the given one that are searched for scenes


@cache
def known_formats() -> dict[str, type[FrameSource]]:
    """Every reader by its format's name: the concrete FrameSources of the modules in this package."""
    found: dict[str, type[FrameSource]] = {}
    for module in pkgutil.iter_modules(readers.__path__, readers.__name__ + "."):
        for value in vars(importlib.import_module(module.name)).values():
            if inspect.isclass(value) and issubclass(value, FrameSource) and not inspect.isabstract(value):
                found[value.format] = value
    return dict(sorted(found.items()))


def open_frames(
    path: str | Path,
    *,
    format: str = "auto",
    size: Size | None = None,
    up: str = "auto",
    first: int | None = None,
    last: int | None = None,
    step: int = 1,
    on_fault: str = "error",
    check_images: bool = False,
    depth_scale: float | None = None,
) -> FrameSource:
    """Open the one recording at ``path``.

    Args:
        path: a recording's folder or ``.sens`` file, or a folder with one recording somewhere below.
        format: the reader's name, or "auto" to recognise it from the names of the files.
        size: (width, height) of the frames given out; None keeps the depth images' own.
        up: the axis of the recorded world that points up ("x", "-y", ...), "estimate" to find it from the surfaces in
            20 frames, or "auto": as it is where the format's world is z up already, else estimated.
        first, last: only the frames whose number lies between them, both included.
        step: only every ``step``-th of these frames.
        on_fault: "error" raises when a frame cannot be used; "drop" leaves such frames out. Either way ``manifest``
            accounts for each. Frames without a valid pose are normal in ScanNet and never an error there.
        check_images: decode every image now, so that nothing can fail later; also leaves out empty depth.
        depth_scale: units of the depth images a metre, where they are not the format's.

    Raises:
        InputError: nothing recognised, more than one recording or format, faulty frames, or none usable.
    """
    options = ReadOptions(size, up, first, last, step, on_fault, check_images, depth_scale)  # type: ignore[arg-type]
    found = _scenes(Path(path), format)
    if len(found) > 1:
        names = some_of([str(p.relative_to(path)) for p, _ in found])
        raise InputError(f"{path}: holds {len(found)} recordings ({names}): name one of them")
    where, reader = found[0]
    return reader(where, options)


def open_scenes(path: str | Path, *, format: str = "auto", **options: object) -> list[FrameSource]:
    """Open every recording at or below ``path`` (7-Scenes' ``seq-XX`` folders, ScanNet's ``scans/*/*.sens``), by name.

    Takes the options of :func:`open_frames`. Scenes are named after their folder or file, after the path to them
    where that is not unique. Raises InputError if there is none, or one of them cannot be opened.
    """
    chosen = ReadOptions(**options)  # type: ignore[arg-type]
    sources = [reader(where, chosen) for where, reader in _scenes(Path(path), format)]
    names = [source.scene for source in sources]
    for source in sources:
        if names.count(source.scene) > 1:
            below = source.path.relative_to(path)
            source.scene = (below.with_suffix("") if source.path.is_file() else below).as_posix()
            source.manifest.scene = source.scene
    return sources


def _scenes(path: Path, format: str) -> list[tuple[Path, type[FrameSource]]]:
    """The recordings at or below ``path`` with their readers; at least one."""
    candidates = known_formats()
    if format != "auto":
        if format not in candidates:
            near = difflib.get_close_matches(format, candidates, 1)
            hint = f" (did you mean {near[0]}?)" if near else ""
            raise InputError(f"format {format!r} is unknown{hint}; known: auto, {', '.join(candidates)}")
        candidates = {format: candidates[format]}
    if not path.exists():
        raise InputError(f"{path}: there is no such file or folder")
    strange: list[str] = []
    try:
        found = list(_search(path, candidates, DEEPEST, strange))
    except OSError as error:
        raise InputError(f"{error.filename or path}: cannot be searched ({error.strerror})") from error
    if not found:
        wanted = "; ".join(f"{name}: {reader.looks_for}" for name, reader in candidates.items())
        raise InputError(f"{path}: no RGB-D recording found there; looked for {wanted}")
    if strange:
        _log.warning(
            "%s: %d folders with images are no recording of a known form, and are left out: %s (name the format, and "
            "the error says which of their files are missing)", path, len(strange), some_of(strange),
        )  # fmt: skip
    return found


def _search(
    path: Path, candidates: dict[str, type[FrameSource]], deeper: int, strange: list[str]
) -> Iterator[tuple[Path, type[FrameSource]]]:
    """The recordings at or below ``path``; folders with images that are none go into ``strange``."""
    here = {name: scenes for name, reader in candidates.items() if (scenes := reader.scenes_in(path))}
    if len(here) > 1:
        raise InputError(f"{path}: could be {' or '.join(here)}: name the format; known: {', '.join(known_formats())}")
    taken = [(scene, candidates[name]) for name, scenes in here.items() for scene in scenes]
    yield from taken
    # A folder that is a recording holds its own images; one that only holds files of recordings may hold more below.
    if path in (scene for scene, _ in taken) or deeper == 0 or not path.is_dir():
        return
    children = [child for child in sorted(path.iterdir()) if child.is_dir() and not child.name.startswith(".")]
    if not here and len(candidates) > 1 and not IMAGE_FOLDERS.isdisjoint(child.name for child in children):
        strange.append(str(path))
    for child in children:
        yield from _search(child, candidates, deeper - 1, strange)
