"""Classes of points as files: a coloured PLY with a label a vertex, a line a point, and what the labels mean."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from sparse3d.prediction.scan_input import Scan
from sparse3d.whole_files import write_whole, write_whole_text

if TYPE_CHECKING:
    from sparse3d.prediction.model import Model


def write_label_ply(path: Path, scan: Scan, labels: np.ndarray, colors: np.ndarray, made_by: str) -> None:
    """The scan in its classes' colours: binary PLY, vertices in the scan's order with an int ``label``, and faces.

    Args:
        path: the file.
        scan: N points.
        labels: (N,) int64, indices of the classes.
        colors: (C, 3) uint8 of the classes.
        made_by: the network, for a comment.
    """
    kind = [("xyz", "<f4", 3), ("rgb", "u1", 3), ("label", "<i4")]
    vertex = np.empty(len(scan), dtype=kind)
    vertex["xyz"], vertex["rgb"], vertex["label"] = scan.xyz, colors[labels], labels
    header = [
        "ply", "format binary_little_endian 1.0", f"comment made by {made_by}", f"element vertex {len(vertex)}",
        *(f"property float {axis}" for axis in "xyz"), *(f"property uchar {c}" for c in ("red", "green", "blue")),
        "property int label",
    ]  # fmt: skip
    content = vertex.tobytes()
    if scan.faces is not None:
        face = np.empty(len(scan.faces), dtype=[("count", "u1"), ("corners", "<i4", 3)])
        face["count"], face["corners"] = 3, scan.faces
        header += [f"element face {len(face)}", "property list uchar int vertex_indices"]
        content += face.tobytes()
    head = ("\n".join([*header, "end_header"]) + "\n").encode("ascii", "backslashreplace")
    write_whole(path, lambda file: file.write(head + content))


def beside(stem: Path, ending: str) -> Path:
    """The path of ``stem``, whose own name may hold dots, with ``ending``."""
    return stem.with_name(stem.name + ending)


def write_labels(
    stem: Path,
    ending: str,
    scan: Scan,
    labels: np.ndarray,
    model: Model,
    what: str,
    wrote: Callable[[str, Path], None],
) -> np.ndarray:
    """Writes ``STEMENDING.ply``, ``.txt`` and ``_classes.tsv``; returns how many points have each class, (C,).

    Args:
        stem: folder and name.
        ending: such as ``_labels``.
        scan: N points.
        labels: (N,) int64, indices of the model's C classes.
        model: what found them.
        what: a label is, such as "class".
        wrote: called with what each file is, and its path.
    """
    counts = np.bincount(labels, minlength=len(model.classes))
    write_label_ply(beside(stem, f"{ending}.ply"), scan, labels, model.colors, model.key)
    wrote(f"points coloured by {what}", beside(stem, f"{ending}.ply"))
    write_label_text(beside(stem, f"{ending}.txt"), labels)
    wrote(f"{what} of each point", beside(stem, f"{ending}.txt"))
    write_class_table(beside(stem, f"{ending}_classes.tsv"), model.classes, model.colors, counts, "points")
    wrote("meaning of the classes", beside(stem, f"{ending}_classes.tsv"))
    return counts


def write_label_text(path: Path, labels: np.ndarray) -> None:
    """A line a point, in the points' order: the index of its class."""
    write_whole_text(path, "\n".join(map(str, labels.tolist())) + "\n")


def write_class_table(path: Path, names: Sequence[str], colors: np.ndarray, counts: np.ndarray, unit: str) -> None:
    """Tab separated: index, name, red, green, blue and how many ``unit`` (points, boxes) have the class."""
    lines = [f"index\tname\tred\tgreen\tblue\t{unit}"]
    for k, (name, color, count) in enumerate(zip(names, colors.tolist(), counts.tolist(), strict=True)):
        lines.append("\t".join([str(k), name, *map(str, color), str(count)]))
    write_whole_text(path, "\n".join(lines) + "\n")


def write_picture(path: Path, image: np.ndarray) -> None:
    """A PNG of ``image`` (H, W, 3) uint8."""
    write_whole(path, lambda file: Image.fromarray(image).save(file, format="PNG"))
