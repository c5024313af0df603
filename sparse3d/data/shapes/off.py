"""Meshes in the OFF format, as ModelNet has them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np

from sparse3d.errors import InputError

_HEADER = re.compile(r"^(ST)?C?N?4?n?OFF", re.IGNORECASE)


def read_off(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Vertices (V, 3) float64 and triangles (F, 3) int64; larger polygons are fanned out, colours left aside.

    Some of ModelNet40's headers run into the counts ("OFF490 518 0"), which the format does not allow; they are read.

    Raises:
        InputError: no OFF file, one that ends too early, or a face that names a vertex that is not there.
    """
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
        lines = [line for raw in text.splitlines() if (line := raw.partition("#")[0].strip())]
        header = _HEADER.match(lines[0]) if lines else None
        if header is None or "4" in header[0] or "n" in header[0]:
            raise ValueError(f"it begins with {lines[0][:20]!r} in place of OFF" if lines else "it is empty")
        rest = lines[0][header.end() :].strip()
        counts, body = (rest, lines[1:]) if rest else (lines[1] if len(lines) > 1 else "", lines[2:])
        vertices, faces = (int(word) for word in counts.split()[:2])
        if len(body) < vertices + faces:
            raise ValueError(f"it names {vertices} vertices and {faces} faces and has {len(body)} lines for them")
        xyz = np.array([line.split()[:3] for line in body[:vertices]], dtype=np.float64).reshape(-1, 3)
        triangles = []
        for line in body[vertices : vertices + faces]:
            corners = [int(word) for word in line.split()[: 1 + int(line.split(maxsplit=1)[0])]][1:]
            triangles += [(corners[0], b, c) for b, c in zip(corners[1:], corners[2:], strict=False)]
        found = np.array(triangles, dtype=np.int64).reshape(-1, 3)
        if found.size and not 0 <= found.min() <= found.max() < vertices:
            raise ValueError(f"a face names a vertex beyond its {vertices}")
    except (OSError, ValueError, IndexError) as error:
        raise InputError(f"{path}: cannot be read as a mesh ({error}): fetch it again, or remove it") from error
    return xyz, found
