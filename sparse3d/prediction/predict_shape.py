"""What a network finds in a single shape, as files: its class, or its parts."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from sparse3d.data.shapes.source import UPS, Shape
from sparse3d.errors import InputError
from sparse3d.prediction.label_files import beside, write_labels, write_picture
from sparse3d.prediction.model import Model
from sparse3d.prediction.predict_scan import Told
from sparse3d.prediction.scan_input import Scan
from sparse3d.prediction.shape_input import read_shape
from sparse3d.tasks.shape_pictures import shape_picture
from sparse3d.visualize.class_colors import legend
from sparse3d.visualize.layout import BACKGROUND, INK, font, side_by_side, stacked, text_size
from sparse3d.whole_files import write_whole_text

SIZE = (320, 360)  # of a view, pixels
TURNS = (-125.0, 55.0)  # degrees: corners that lie opposite
MOST_BARS = 5  # likely classes in the picture


def predict_shape(
    path: str | Path,
    model: Model,
    out: str | Path,
    kind: str | None = None,
    up: str = "z",
    on_file: Told = lambda what, path: None,
) -> dict[str, Any]:
    """Writes the class of a single shape, or the part of each of its points.

    Args:
        path: see :func:`~sparse3d.prediction.shape_input.read_shape`.
        model: of a classification or a part segmentation.
        out: the folder; files in it that bear the shape's name are replaced.
        kind: parts: what the shape is, one of the model's kinds.
        up: the file's axis that points up.
        on_file: called with what each file is, and its path.

    Returns:
        ``task``, ``shape``, ``checkpoint``, ``step``, ``points`` (sampled ones, of a mesh), ``files`` by what they are,
        and ``found``: probabilities of all classes, the likeliest first, or points by part, those that occur.

    Raises:
        InputError: a shape or option that cannot be used.
    """
    if up not in UPS:
        raise InputError(f"--up {up}: one of {', '.join(UPS)}, the axis of the shape's file that points up")
    if kind is not None and not model.kinds:
        raise InputError(f"--kind is for parts; checkpoint {model.checkpoint} finds out the class itself: leave it out")
    if kind is None and model.kinds:
        raise InputError(f"checkpoint {model.checkpoint} finds parts: give --kind, one of {', '.join(model.kinds)}")
    cloud = read_shape(path, model.colored, up)
    files: dict[str, str] = {}

    def wrote(what: str, path: Path) -> None:
        files[what] = str(path)
        on_file(what, path)

    found = _parts(Path(out), cloud, model, kind, wrote) if kind else _class(Path(out), cloud, model, wrote)
    return {
        "task": model.task,
        "shape": str(path),
        "checkpoint": model.checkpoint,
        "step": model.step,
        "points": len(cloud),
        "files": files,
        "found": found,
    }


def _class(out: Path, cloud: Scan, model: Model, wrote: Told) -> dict[str, float]:
    answer = model.classify(cloud.xyz, cloud.rgb if model.colored else None)
    order = np.argsort(-answer.probabilities, kind="stable")
    found = {model.classes[k]: float(answer.probabilities[k]) for k in order}
    path = beside(out / cloud.name, "_class.json")
    content = {"shape": cloud.name, "checkpoint": model.key, "class": next(iter(found)), "probabilities": found}
    write_whole_text(path, json.dumps(content, indent=1) + "\n")
    wrote("class and its probability", path)
    picture = stacked([_views(cloud, model), _bars(found, 2 * SIZE[1])])
    write_picture(beside(out / cloud.name, "_class.png"), picture)
    wrote("picture", beside(out / cloud.name, "_class.png"))
    return found


def _parts(out: Path, cloud: Scan, model: Model, kind: str, wrote: Told) -> dict[str, int]:
    labels = model.segment_parts(cloud.xyz, kind, cloud.rgb if model.colored else None).labels
    counts = write_labels(out / cloud.name, "_parts", cloud, labels, model, "part", wrote)
    there = np.unique(labels)
    names = [model.classes[k] for k in there]
    picture = stacked([_views(cloud, model, model.colors[labels]), legend(names, model.colors[there], 2 * SIZE[1])])
    write_picture(beside(out / cloud.name, "_parts.png"), picture)
    wrote("picture", beside(out / cloud.name, "_parts.png"))
    return {model.classes[k]: int(counts[k]) for k in there}


def _views(cloud: Scan, model: Model, colors: np.ndarray | None = None) -> np.ndarray:
    shape = Shape(cloud.name, cloud.xyz, cloud.rgb if model.colored else None, 0)
    return side_by_side([shape_picture(shape, colors, turn, SIZE) for turn in TURNS])


def _bars(found: dict[str, float], width: int) -> np.ndarray:
    """The likeliest classes as bars, a line each, (h, ``width``, 3) uint8."""
    likely = list(found.items())[:MOST_BARS]
    line = text_size("Ag")[1] + 6
    left = 12 + max(text_size(name)[0] for name, _ in likely)
    canvas = Image.new("RGB", (width, len(likely) * line + 4), BACKGROUND)
    draw = ImageDraw.Draw(canvas)
    for row, (name, probability) in enumerate(likely):
        end = left + round(probability * (width - left - 60))
        draw.text((4, row * line + 2), name, fill=INK, font=font())
        draw.rectangle((left, row * line + 4, end, (row + 1) * line - 2), fill=(0, 114, 178))
        draw.text((end + 6, row * line + 2), f"{probability:.2f}", fill=INK, font=font())
    return np.asarray(canvas)
