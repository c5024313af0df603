"""The page, the JSON report and the table of :mod:`sparse3d.inspection.pairs`."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from sparse3d.data.readers import REASONS, open_scenes
from sparse3d.data.view_sets import match_frames
from sparse3d.errors import InputError
from sparse3d.inspection.pairs import InspectedScene, PairOptions, SceneFigures, inspect_scene
from sparse3d.visualize.charts import histogram_picture
from sparse3d.visualize.maps import overlap_matrix_picture
from sparse3d.visualize.matches import draw_matches
from sparse3d.visualize.page import Section, Table, page
from sparse3d.whole_files import write_whole_text

PAGE, REPORT = "report.html", "report.json"
LISTED = 40  # dropped frames and pairs written out on the page
WIDTH = 640  # pixels of one image of a drawn pair
_HEADER = ("scene", "kept", "dropped", "pairs", "residual", "matches a pair", "warnings")


def inspect_folder(folder: str | Path, out: str | Path, options: PairOptions, **reading: Any) -> dict[str, Any]:
    """Inspect every recording at or below ``folder``; write the page and the report into ``out``.

    Args:
        folder: as :func:`sparse3d.data.readers.open_scenes` takes it.
        out: folder for ``report.html`` and ``report.json``; made when it is not there.
        options: what counts as a pair.
        reading: options of the readers.

    Returns:
        The report as it is in ``report.json``.

    Raises:
        InputError: nothing usable in ``folder``, or ``out`` cannot be written.
    """
    out = Path(out)
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {out}: cannot be made a folder ({error.strerror})") from error
    # Every image is decoded once: a frame that cannot be is to be named here, not in the middle of a training.
    sources = open_scenes(folder, check_images=True, **reading)
    scenes, sections = [], []
    for source in sources:
        inspected = inspect_scene(source, options)
        scenes.append(inspected.figures)
        sections.append(_section(inspected, options))
    settings = {**asdict(options), **{key: value for key, value in reading.items() if value is not None}}
    report = {
        "folder": str(folder),
        "settings": settings,
        "frames_kept": sum(s.frames_kept for s in scenes),
        "frames_dropped": sum(s.frames_dropped for s in scenes),
        "overlapping_pairs": sum(s.overlapping_pairs for s in scenes),
        "warnings": sum(len(s.warnings) for s in scenes),
        "scenes": [asdict(s) for s in scenes],
    }
    text = page(f"Frame pairs of {folder}", _introduction(options), _summary(scenes), sections)
    write_whole_text(out / PAGE, text)
    write_whole_text(out / REPORT, json.dumps(report, indent=1) + "\n")
    return report


def terminal_table(report: dict[str, Any]) -> str:
    """The report in a few lines: a row a scene, then the warnings."""
    rows = [_HEADER] + [_row(s) for s in report["scenes"]]
    widths = [max(len(row[k]) for row in rows) for k in range(len(_HEADER))]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells[1:]]))
    for scene in report["scenes"]:
        if scene["dropped_by_reason"]:
            lines.append(f"{scene['scene']}: dropped " + _reasons(scene["dropped_by_reason"]))
        lines += [f"warning: {scene['scene']}: {warning}" for warning in scene["warnings"]]
    return "\n".join(lines)


def _introduction(options: PairOptions) -> str:
    low, high = options.overlap
    return (
        f"A pair is two frames that overlap by {low:g} to {high:g}. A pair's residual is the median of |z - D| / z: "
        "how far the first frame's readings, moved by the poses, lie from the second one's. Right poses, units and "
        "intrinsics give well under 1 %."
    )


def _row(scene: dict[str, Any]) -> tuple[str, ...]:
    matches = [pair["matches"] for pair in scene["pairs"]]
    return (
        scene["scene"],
        str(scene["frames_kept"]),
        str(scene["frames_dropped"]),
        str(scene["overlapping_pairs"]),
        _percent(scene["residual_median"]),
        f"{np.median(matches):.0f}" if matches else "-",
        str(len(scene["warnings"])),
    )


def _summary(scenes: list[SceneFigures]) -> Table:
    return Table("Scenes", _HEADER, [_row(asdict(s)) for s in scenes])


def _section(scene: InspectedScene, options: PairOptions) -> Section:
    f = scene.figures
    section = Section(f.scene, f.warnings, [_facts(f), *_dropped_tables(f)])
    names = [str(scene.source.frame_number(i)) for i in range(len(scene.source))]
    section.add_picture("Overlap of all frames, by frame number", overlap_matrix_picture(scene.overlap, names))
    overlaps = histogram_picture(np.array(f.overlap_counts), np.array(f.overlap_edges), marked=options.overlap)
    section.add_picture(f"Overlap of {f.frame_pairs:,} frame pairs; dark: taken", overlaps)
    medians = np.array([p.residual_median for p in f.pairs if p.residual_median is not None]) * 100
    if len(medians):
        counts, edges = np.histogram(medians, bins=20, range=(0, max(1.0, float(medians.max()))))
        section.add_picture(f"Residuals of {len(medians)} pairs", histogram_picture(counts, edges, "%"))
    heights = histogram_picture(np.array(f.height_counts), np.array(f.height_edges), "m")
    section.add_picture("Points by height; floors and tables stand out if z is up", heights)
    for caption, picture in _drawn_pairs(scene, options):
        section.add_picture(caption, picture, photograph=True)
    section.tables = [*section.tables, _pair_table(f)]
    return section


def _facts(f: SceneFigures) -> Table:
    low, middle, high = f.depth_percentiles
    x, y, z = f.extent
    tilt = "unknown" if f.tilt_degrees is None else f"floors and tables are tilted by {f.tilt_degrees:.1f} degrees"
    rows = [
        ("recording", f"{f.path} ({f.format})"),
        ("frames", f"{f.frames_kept} kept, {f.frames_dropped} dropped; {f.size[0]} x {f.size[1]} pixels"),
        ("camera", ", ".join(f"{key} {value:.1f}" for key, value in f.camera.items())),
        ("pairs", f"{f.overlapping_pairs:,} of {f.frame_pairs:,}; {len(f.frames_without_partner)} frames in none"),
        ("residual", f"{_percent(f.residual_median)}, median over {len(f.pairs)} pairs"),
        ("depth", f"readings in {f.depth_share:.0%} of the pixels; {low:.2f} to {high:.2f} m, median {middle:.2f} m"),
        ("extent", f"{x:.1f} x {y:.1f} x {z:.1f} m; the camera moved {f.path_length:.1f} m"),
        ("camera height", f"{f.camera_heights[0]:.2f} to {f.camera_heights[1]:.2f} m"),
        ("up", tilt),
    ]
    return Table("Facts", ("", ""), rows)


def _dropped_tables(f: SceneFigures) -> list[Table]:
    if not f.dropped:
        return []
    counts = [(reason, str(number), REASONS[reason]) for reason, number in f.dropped_by_reason.items()]
    shown = [(d["name"], d["reason"], d["detail"]) for d in f.dropped[:LISTED]]
    more = len(f.dropped) - len(shown)
    title = "Dropped frames" + (f" (the first {LISTED}; {more} more are in {REPORT})" if more > 0 else "")
    return [
        Table("Why frames were dropped", ("reason", "frames", "meaning"), counts),
        Table(title, ("frame", "reason", "detail"), shown),
    ]


def _pair_table(f: SceneFigures) -> Table:
    rows = [
        (p.first, p.second, f"{p.overlap:.2f}", _percent(p.residual_median), _percent(p.residual_p90), str(p.matches))
        for p in f.pairs[:LISTED]
    ]
    return Table("Measured pairs", ("first", "second", "overlap", "residual", "90 %", "matches"), rows)


def _drawn_pairs(scene: InspectedScene, options: PairOptions) -> list[tuple[str, np.ndarray]]:
    """Correspondences of the pairs with the least, the median and the largest residual."""
    known = [pair for pair in scene.figures.pairs if pair.residual_median is not None]
    pairs = sorted(known, key=lambda pair: pair.residual_median or 0)
    chosen = [pairs[k] for k in sorted({0, len(pairs) // 2, len(pairs) - 1})] if pairs else []
    drawn = []
    for pair in chosen:
        a, b = (scene.source[i] for i in pair.indices)
        pixels_a, pixels_b = match_frames(a, b, options.max_depth)
        picture = draw_matches(a.color, b.color, pixels_a, pixels_b, scale=WIDTH / a.camera.width)
        figures = f"overlap {pair.overlap:.2f}, residual {_percent(pair.residual_median)}, {pair.matches} matches"
        drawn.append((f"{pair.first} to {pair.second}: {figures}", picture))
    return drawn


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{value:.2%}"


def _reasons(counts: dict[str, int]) -> str:
    return ", ".join(f"{number} {reason}" for reason, number in counts.items())


def print_report(report: dict[str, Any], out: str | Path, as_json: bool) -> None:
    """The report on stdout: one JSON object, or the table and where the page lies."""
    if as_json:
        print(json.dumps(report))
    else:
        print(terminal_table(report))
        print(f"page: {Path(out) / PAGE}", file=sys.stderr)
