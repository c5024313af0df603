"""The pictures and the page of :mod:`sparse3d.inspection.scene`."""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from sparse3d.data.scannet.classes import SCANNET20
from sparse3d.errors import InputError
from sparse3d.geometry.projection import has_reading
from sparse3d.inspection.scene import load_scene
from sparse3d.inspection.scene_parts import SHELL, LookedAtScene, Surface, decoded
from sparse3d.types import IGNORE, Frame
from sparse3d.visualize.box_lines import draw_boxes, draw_path, draw_scale
from sparse3d.visualize.class_colors import NONE, distinct_colors, legend, palette_colors
from sparse3d.visualize.colors import ramp_colors
from sparse3d.visualize.layout import side_by_side
from sparse3d.visualize.page import Section, Table, page
from sparse3d.visualize.scene_views import (
    FOUR_CORNERS,
    SeenPoints,
    Viewpoint,
    around,
    from_above,
    look_at,
    see_mesh,
    see_points,
)
from sparse3d.whole_files import as_bytes, write_whole

PAGE = "scene.html"
_Finish = Callable[[np.ndarray, SeenPoints], np.ndarray]  # picture, what it shows -> picture
OBJECTS = 120  # listed on the page
_CUT = 2.1  # metres over the floor: what is higher is cut away from above
_CUT_SHARE = 0.8  # of a low room's height
_FRAME_WIDTH = 400  # pixels


@dataclass
class _Pictures:
    """Pictures as they are made: a PNG file each, and their places on the page."""

    folder: Path
    files: list[str] = field(default_factory=list)

    def add(self, section: Section, name: str, caption: str, image: np.ndarray) -> None:
        buffer = io.BytesIO()
        Image.fromarray(image).save(buffer, "PNG", compress_level=4)
        write_whole(self.folder / f"{name}.png", lambda file: file.write(buffer.getvalue()))
        self.files.append(f"{name}.png")
        section.add_picture(caption, image, photograph=True)


def inspect_scene(
    path: str | Path,
    out: str | Path,
    frames: int = 6,
    size: tuple[int, int] = (600, 800),
    frame: str | None = None,
    labels: str | None = None,
    up: str | None = None,
) -> LookedAtScene:
    """Draw the scene at ``path``; writes PNG pictures and ``scene.html`` (pictures included) into ``out``.

    Args:
        path: as :func:`~sparse3d.inspection.scene.load_scene` takes it.
        out: folder; made when it is not there.
        frames: how many frames are shown.
        size: (H, W) of the views of the scene, pixels.
        frame, labels: SUN RGB-D: which frame, and which version of its annotation.
        up: a recording: the axis that points up.

    Raises:
        InputError: nothing recognised, a damaged file, ``frames`` below 0, or ``out`` cannot be written.
    """
    if frames < 0:
        raise InputError(f"--frames {frames}: must be 0 (none is shown) or more")
    scene = load_scene(path, frame, labels, up)
    pictures = _Pictures(Path(out))
    sections = []
    if scene.surface is not None:
        sections += _surface_sections(scene, scene.surface, pictures, size)
    if scene.view is not None:
        sections.append(_image_section(scene, pictures))
    if scene.source is not None and frames > 0:
        sections.append(_frames_section(scene, pictures, frames))
    summary = Table("Facts", ("", ""), facts(scene))
    first = Section("Tables", scene.notes, [class_table(scene), object_table(scene)])
    text = page(scene.name, f"{scene.kind}: {scene.path}", summary, [first, *sections])
    write_whole(pictures.folder / PAGE, lambda file: file.write(as_bytes(text)))
    return scene


# Tables ---------------------------------------------------------------------------------------------------------


def facts(scene: LookedAtScene) -> list[tuple[str, str]]:
    """What there is to say in a line each."""
    rows = [("scene", scene.name), ("kind", scene.kind)]
    surface = scene.surface
    if surface is not None:
        x, y, z = surface.xyz.max(axis=0) - surface.xyz.min(axis=0)
        what = f"{len(surface.xyz):,} points"
        if surface.faces is not None:
            what = f"{len(surface.xyz):,} vertices, {len(surface.faces):,} triangles"
        rows += [
            ("surface", f"{what}, about {1000 * surface.spacing:.0f} mm apart"),
            ("extent", f"{x:.2f} x {y:.2f} x {z:.2f} m"),
        ]
        if surface.semantic is not None:
            none = int((surface.semantic < 0).sum())
            rows.append(("labels", f"{1 - none / len(surface.semantic):.1%} of them have a label"))
    if scene.objects:
        used = {o.semantic for o in scene.objects if o.semantic != IGNORE}
        rows.append(("instances", f"{len(scene.objects)} of {len(used)} classes"))
    return rows + scene.facts


def class_table(scene: LookedAtScene) -> Table:
    """Points and instances of each class that occurs."""
    semantic = None if scene.surface is None else scene.surface.semantic
    rows = []
    for index, name in [*enumerate(scene.class_names), (IGNORE, "none")]:
        points = 0 if semantic is None else int((semantic == index).sum())
        instances = sum(o.semantic == index for o in scene.objects)
        if points or instances:
            share = "-" if semantic is None else f"{points / len(semantic):.1%}"
            rows.append((name, "-" if semantic is None else f"{points:,}", share, str(instances)))
    return Table("Classes", ("class", "points", "share", "instances"), rows)


def object_table(scene: LookedAtScene) -> Table:
    """Every instance with the size of its box."""
    rows = []
    for k, o in enumerate(scene.objects[:OBJECTS]):
        x, y, z = o.size
        turn = f"{np.degrees(o.yaw):.0f}" if o.yaw else "-"
        points = "-" if o.points is None else f"{o.points:,}"
        size = (f"{x:.2f}", f"{y:.2f}", f"{z:.2f}", f"{o.center[2] - z / 2:.2f}")
        rows.append((str(k), o.label, scene.class_name(o.semantic), *size, turn, points))
    more = len(scene.objects) - len(rows)
    caption = "Instances" + (f" (the first {OBJECTS}; {more} more)" if more > 0 else "") + ", metres and degrees"
    return Table(caption, ("", "label", "class", "long", "wide", "high", "stands at", "turned by", "points"), rows)


# The surface ----------------------------------------------------------------------------------------------------


def _surface_sections(
    scene: LookedAtScene, surface: Surface, pictures: _Pictures, size: tuple[int, int]
) -> list[Section]:
    views = _viewpoints(scene, surface.xyz, size)
    everything = [_seen(surface, view, below) for view, below in tqdm(views, desc="views", disable=None, leave=False)]
    colors = np.asarray(scene.class_colors, dtype=np.uint8).reshape(-1, 3)
    sections = []

    def add(title: str, stem: str, rgb: np.ndarray, finish: _Finish | None = None, smooth: bool = False) -> Section:
        section = Section(title)
        for seen in everything:
            name = seen.view.name
            picture = seen.painted(rgb, smooth)
            picture = finish(picture, seen) if finish else picture
            pictures.add(section, f"{stem}_{name.replace(' ', '_')}", name, picture)
        sections.append(section)
        return section

    def path_and_scale(picture: np.ndarray, seen: SeenPoints) -> np.ndarray:
        if not seen.view.parallel:
            return picture
        return draw_scale(draw_path(picture, seen, scene.poses), seen.view)

    path = "; from above with the camera's path, green to red" if len(scene.poses) else ""
    add(f"Colours{path}", "colour", surface.rgb, path_and_scale, smooth=True)
    if surface.semantic is not None:
        section = add("Classes", "class", palette_colors(surface.semantic, colors))
        present = [k for k in range(len(colors)) if (surface.semantic == k).any()]
        names = [scene.class_names[k] for k in present]
        strip = legend([*names, "none"], np.concatenate([colors[present], [NONE]]), size[1])
        pictures.add(section, "class_legend", "the classes that occur", strip)
    if surface.instance is not None:
        add("Instances", "instance", palette_colors(surface.instance, distinct_colors(len(scene.objects))))
    rows = [k for k, o in enumerate(scene.objects) if not {scene.class_name(o.semantic), o.label} & SHELL]
    if rows:
        own = palette_colors(np.array([scene.objects[k].semantic for k in rows]), colors)
        names = [scene.objects[k].label for k in rows]
        pale = np.round(0.5 * surface.rgb + 110).astype(np.uint8)

        def boxes(picture: np.ndarray, seen: SeenPoints) -> np.ndarray:
            return draw_boxes(picture, seen, scene.boxes.select(np.array(rows)), own, names)

        add("Boxes of the instances (without walls, floor and ceiling)", "box", pale, boxes, smooth=True)
    return sections


def _seen(surface: Surface, view: Viewpoint, below: float | None) -> SeenPoints:
    """The view of what lies under the height ``below``."""
    shown = np.ones(len(surface.xyz), dtype=bool) if below is None else surface.xyz[:, 2] < below
    if surface.faces is not None and len(surface.faces):
        faces = surface.faces[shown[surface.faces].all(axis=1)]
        # from above the ceiling is cut, and what has been seen from below only is better than a hole
        return see_mesh(surface.xyz, faces, view, surface.normals, both_sides=view.parallel)
    size = 2 * max(surface.spacing, 0.004)
    through = None if view.parallel else surface.see_through
    return see_points(surface.xyz, view, size, surface.normals, through, shown)


def _viewpoints(scene: LookedAtScene, xyz: np.ndarray, size: tuple[int, int]) -> list[tuple[Viewpoint, float | None]]:
    """The views, each with the height under which things are drawn; None draws all."""
    stray = 0.1 if scene.turns is None else 1.5  # per cent of the points, in a single view's cloud
    low, high = np.percentile(xyz, (stray, 100 - stray), axis=0)
    cut = float(low[2] + min(_CUT, _CUT_SHARE * (high[2] - low[2])))
    views = [(view, None) for view in around(low, high, scene.turns or FOUR_CORNERS, size)]
    if scene.turns is not None:  # one picture from where the camera was
        direction = np.median(xyz, axis=0)
        views = [(look_at((0, 0, 0), direction, 0.75 * size[1], "from the camera", size), None), *views]
    return [*views, (from_above(low, high, size), cut)]


# Frames ---------------------------------------------------------------------------------------------------------


def _image_section(scene: LookedAtScene, pictures: _Pictures) -> Section:
    """A SUN RGB-D image with its boxes drawn into it."""
    shot = scene.view
    assert shot is not None
    camera = shot.camera
    section = Section("Image, with the boxes")
    nothing = np.full((camera.height, camera.width), np.inf, dtype=np.float32)
    view = Viewpoint("image", shot.T_world_cam, camera.fx, camera.height, camera.width)
    seen = SeenPoints(view, nothing, np.full(nothing.shape, -1), nothing)
    colors = palette_colors(np.array([o.semantic for o in scene.objects], dtype=np.int64), scene.class_colors)
    names = [o.label for o in scene.objects]
    pictures.add(section, "image", "image", shot.image)
    pictures.add(section, "image_boxes", "boxes", draw_boxes(shot.image, seen, scene.boxes, colors, names))
    return section


def _frames_section(scene: LookedAtScene, pictures: _Pictures, count: int) -> Section:
    source = scene.source
    assert source is not None
    section = Section("Frames")
    chosen = np.unique(np.linspace(0, len(source) - 1, min(count, len(source))).round().astype(int)).tolist()
    for i in tqdm(chosen, desc="frames", unit="frame", disable=None, leave=False):
        if (frame := decoded(scene, i)) is None:
            continue
        number = source.frame_number(i)
        picture = side_by_side(*zip(*_frame_pictures(scene, frame, number), strict=True))
        pictures.add(section, f"frame_{number:06d}", f"frame {number}", picture)
    return section


def _frame_pictures(scene: LookedAtScene, frame: Frame, number: int) -> Iterator[tuple[np.ndarray, str]]:
    """Colour, depth and whatever labels there are of ``frame``, each with its heading."""
    known = has_reading(frame.depth)
    far = float(np.ceil(np.percentile(frame.depth[known], 99))) if known.any() else 1.0
    depth = ramp_colors(1 - frame.depth / far)
    depth[~known] = 0
    yield _sized(frame.color), "colour"
    yield _sized(depth), f"depth, bright is near, {far:g} m is dark; {known.mean():.0%} known"
    if scene.frame_labels is None:
        return
    nyu40 = scene.frame_labels.nyu40(number)
    if nyu40 is not None:
        index = SCANNET20.index_of_id(nyu40).astype(np.int64)
        index[(index == IGNORE) & (nyu40 > 0)] = len(SCANNET20)
        yield _sized(palette_colors(index, scene.class_colors), exact=True), "classes"
    instance = scene.frame_labels.instance(number)
    if instance is not None:
        most = max(len(scene.objects), int(instance.max()))
        yield _sized(palette_colors(instance - 1, distinct_colors(most)), exact=True), "instances"


def _sized(image: np.ndarray, exact: bool = False) -> np.ndarray:
    height = max(1, round(image.shape[0] * _FRAME_WIDTH / image.shape[1]))
    method = Image.Resampling.NEAREST if exact else Image.Resampling.LANCZOS
    return np.asarray(Image.fromarray(image).resize((_FRAME_WIDTH, height), method))


def print_scene(scene: LookedAtScene, out: str | Path) -> None:
    """Facts, classes and what is missing on stdout; where the page lies on stderr."""
    for key, value in facts(scene):
        print(f"{key:16}{value}")
    for name, points, share, instances in class_table(scene).rows:
        print(f"  {name:18}{points:>10} points{share:>8}{instances:>5} instances")
    for note in scene.notes:
        print(f"note: {note}")
    print(f"page: {Path(out) / PAGE}", file=sys.stderr)
