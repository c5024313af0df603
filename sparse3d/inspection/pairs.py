"""Looks at RGB-D recordings as pre-training would use them: frames kept, overlaps, and whether depth and poses agree.

Figures go into plain data classes, which become ``report.json``; :mod:`.pairs_page` makes the page of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sparse3d.data.clouds import FARTHEST
from sparse3d.data.readers import FrameSource
from sparse3d.data.view_sets import match_frames, scene_pairs
from sparse3d.errors import InputError
from sparse3d.geometry import estimate_up, inside_image, invert_rigid, project_points, transform_points, unproject_depth
from sparse3d.geometry.projection import has_reading, unproject_pixels
from sparse3d.progress import track
from sparse3d.types import Camera, Frame

SUSPICIOUS = 0.02  # median relative depth error; right poses give .002 (rendered) to .006 (Kinect), identity ones .06
TILTED = 10.0  # degrees between the surfaces' up and the z axis
SPARSE_DEPTH = 0.3  # share of a frame's pixels with a reading
LOOKED_AT = 20  # frames whose depth and points are looked at, evenly spaced
OVERLAP_EDGES = np.linspace(0, 1, 21)
_GRID = 4  # every so many rows and columns a pixel, in residuals
_FLIP = np.diag((1.0, -1.0, -1.0, 1.0))  # between cameras with y down, z forward and y up, z backward


@dataclass(frozen=True)
class PairOptions:
    """What counts as a pair, and how many are measured."""

    pairs: int = 30
    overlap: tuple[float, float] = (0.3, 0.9)
    max_depth: float = 5.0  # metres

    def __post_init__(self) -> None:
        if self.pairs < 1:
            raise InputError(f"--pairs {self.pairs}: must be at least 1")
        if not 0 <= self.overlap[0] < self.overlap[1] <= 1:
            raise InputError(f"--overlap {self.overlap[0]:g} {self.overlap[1]:g}: needs 0 <= LOW < HIGH <= 1")


@dataclass(frozen=True)
class PairFigures:
    """One measured pair. The residual is |z - D| / z of the first frame's readings moved into the second one."""

    first: str
    second: str
    indices: tuple[int, int]
    overlap: float
    residual_median: float | None  # None without a pixel that both see
    residual_p90: float | None
    pixels: int  # that the residual is made of
    matches: int  # true correspondences, as pre-training takes them


@dataclass
class SceneFigures:
    """One recording. Lengths in metres."""

    scene: str
    format: str
    path: str
    frames_kept: int
    frames_dropped: int
    dropped_by_reason: dict[str, int]
    dropped: list[dict[str, str]]  # name, reason, detail
    size: tuple[int, int]  # width, height
    camera: dict[str, float]
    assumed_camera: str | None  # where no file says the intrinsics
    frame_pairs: int  # all of them
    overlapping_pairs: int  # within the bounds
    overlap_edges: list[float]
    overlap_counts: list[int]
    frames_without_partner: list[str]
    pairs: list[PairFigures]
    residual_median: float | None  # of the pairs' medians
    explanation: str | None  # what would make suspicious residuals small
    tilt_degrees: float | None  # between the up direction of the surfaces and z
    height_edges: list[float]
    height_counts: list[int]
    camera_heights: tuple[float, float]
    farthest: float  # from the origin, of cameras and points along any axis
    extent: tuple[float, float, float]  # 1st to 99th percentile of the points along x, y, z
    path_length: float  # of the camera
    depth_share: float  # of the pixels that have a reading
    depth_percentiles: tuple[float, float, float]  # 1 %, 50 %, 99 % of the readings
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class InspectedScene:
    """A recording's figures, with what its pictures need."""

    figures: SceneFigures
    source: FrameSource
    overlap: np.ndarray  # (F, F)


def inspect_scene(
    source: FrameSource,
    options: PairOptions,
) -> InspectedScene:
    """Every figure of one opened recording."""
    chosen, overlap = scene_pairs(source, *options.overlap)
    measured = chosen if len(chosen) else _neighbours(source)
    picked = measured[_evenly(len(measured), options.pairs)]
    pairs = [
        measure_pair(source, int(i), int(j), float(overlap[i, j]), options.max_depth)
        for i, j in track(picked, source.scene, "pair")
    ]
    medians = [p.residual_median for p in pairs if p.residual_median is not None]
    above = overlap[np.triu_indices(len(source), k=1)]
    partners = np.zeros(len(source), dtype=bool)
    partners[chosen.ravel()] = True
    manifest = source.manifest
    figures = SceneFigures(
        scene=source.scene,
        format=source.format,
        path=str(source.path),
        frames_kept=manifest.kept,
        frames_dropped=len(manifest.dropped),
        dropped_by_reason=manifest.counts(),
        dropped=[{"name": d.name, "reason": d.reason, "detail": d.detail} for d in manifest.dropped],
        size=source.size,
        camera={key: float(getattr(source.camera(0), key)) for key in ("fx", "fy", "cx", "cy")},
        assumed_camera=manifest.assumed_camera,
        frame_pairs=len(above),
        overlapping_pairs=len(chosen),
        overlap_edges=OVERLAP_EDGES.tolist(),
        overlap_counts=np.histogram(above, OVERLAP_EDGES)[0].tolist(),
        frames_without_partner=[source.name(int(i)) for i in np.flatnonzero(~partners)],
        pairs=pairs,
        residual_median=float(np.median(medians)) if medians else None,
        explanation=None,
        **_surroundings(source, options.max_depth),
    )
    if figures.residual_median is not None and figures.residual_median > SUSPICIOUS:
        figures.explanation = explain_residuals(source)
    figures.warnings = _warnings(figures, options)
    return InspectedScene(figures, source, overlap)


# Residuals ----------------------------------------------------------------------------------------------------


def depth_residuals(
    depth_i: np.ndarray, camera_i: Camera, depth_j: np.ndarray, camera_j: Camera, T_j_i: np.ndarray
) -> np.ndarray:
    """Relative errors |z - D_j| / z (N,) of view i's readings moved into view j, where both have one.

    ``depth_*`` (H, W) metres, ``T_j_i`` (4, 4). Hidden surfaces are in it on purpose: leaving out what disagrees would
    leave nothing to see. The median bears them.
    """
    pixels = np.argwhere(has_reading(depth_i[::_GRID, ::_GRID])) * _GRID
    xyz = unproject_pixels(pixels, depth_i[pixels[:, 0], pixels[:, 1]], camera_i)
    moved, z = project_points(transform_points(T_j_i, xyz), camera_j)
    inside = inside_image(moved, z, camera_j)
    found = np.floor(moved[inside] + 0.5).astype(np.int64)
    reading, z = depth_j[found[:, 0], found[:, 1]], z[inside]
    known = has_reading(reading)
    return np.abs(z[known] - reading[known]) / z[known]


def measure_pair(source: FrameSource, i: int, j: int, overlap: float, max_depth: float) -> PairFigures:
    """Residual and number of true correspondences of frames ``i`` and ``j``."""
    first, second = _depth_frame(source, i), _depth_frame(source, j)
    T_j_i = invert_rigid(second.T_world_cam) @ first.T_world_cam
    errors = depth_residuals(first.depth, first.camera, second.depth, second.camera, T_j_i)
    median, p90 = np.percentile(errors, (50, 90)) if len(errors) else (None, None)
    return PairFigures(
        first=first.name,
        second=second.name,
        indices=(i, j),
        overlap=overlap,
        residual_median=None if median is None else float(median),
        residual_p90=None if p90 is None else float(p90),
        pixels=len(errors),
        matches=len(match_frames(first, second, max_depth)[0]),
    )


def explain_residuals(source: FrameSource) -> str | None:
    """Which usual mistake about poses or units, undone, brings neighbouring frames into agreement; None for none.

    Neighbours, because overlaps found with wrong poses say nothing.
    """
    T_native_zup = invert_rigid(source.T_zup_native)
    motions: dict[str, list[np.ndarray]] = {}
    for i, j in _neighbours(source):
        native_i, native_j = (T_native_zup @ source.pose(int(k)) for k in (i, j))
        depths = source.depth(int(i)), source.depth(int(j))
        camera = source.camera(int(i))
        for name, T_j_i in _hypotheses(native_i, native_j).items():
            motions.setdefault(name, []).append(depth_residuals(depths[0], camera, depths[1], camera, T_j_i))
    medians = {name: float(np.median(np.concatenate(errors))) for name, errors in motions.items() if _any(errors)}
    given = medians.pop("as given", float("inf"))
    best = min(medians, key=lambda name: medians[name], default=None)
    if best is None or medians[best] > SUSPICIOUS or medians[best] > given / 2:
        return None
    return f"{best}: the error between neighbouring frames falls from {given:.2%} to {medians[best]:.2%}"


def _hypotheses(T_world_i: np.ndarray, T_world_j: np.ndarray) -> dict[str, np.ndarray]:
    """The motion from i to j, as given and under each mistake undone."""
    T_j_i = invert_rigid(T_world_j) @ T_world_i
    tried = {
        "as given": T_j_i,
        "the poses seem to be world to camera": T_world_j @ invert_rigid(T_world_i),
        "the poses seem to be for cameras with y up and z backward": _FLIP @ T_j_i @ _FLIP,
    }
    for factor in (1000, 5, 4, 0.25, 0.2, 0.001):
        scaled = T_j_i.copy()
        scaled[:3, 3] /= factor
        tried[f"the depth scale seems wrong, readings times {factor:g} fit the poses"] = scaled
    return tried


def _neighbours(source: FrameSource) -> np.ndarray:
    """Up to :data:`LOOKED_AT` pairs (P, 2) of consecutive frames, evenly spaced."""
    starts = _evenly(len(source) - 1, LOOKED_AT)
    return np.stack([starts, starts + 1], axis=1)


def _evenly(count: int, wanted: int) -> np.ndarray:
    """At most ``wanted`` of the numbers below ``count``, evenly spaced, int64."""
    return np.unique(np.linspace(0, count - 1, min(wanted, count)).round().astype(np.int64))


def _any(arrays: Sequence[np.ndarray]) -> bool:
    return any(len(array) for array in arrays)


def _depth_frame(source: FrameSource, i: int) -> Frame:
    """Frame ``i`` with a black image: decoding colour would cost more than all else."""
    depth = source.depth(i)
    return Frame(source.name(i), source.camera(i), np.zeros((*depth.shape, 3), np.uint8), depth, source.pose(i))


# Surroundings -------------------------------------------------------------------------------------------------


def _surroundings(source: FrameSource, max_depth: float) -> dict[str, Any]:
    """Extent, heights, tilt and coverage, from :data:`LOOKED_AT` frames."""
    looked = _evenly(len(source), LOOKED_AT).tolist()
    depths, cameras, poses = zip(*((source.depth(i), source.camera(i), source.pose(i)) for i in looked), strict=True)
    clouds = []
    for depth, camera, pose in zip(depths, cameras, poses, strict=True):
        thinned = np.zeros_like(depth)
        thinned[::_GRID, ::_GRID] = np.where(depth <= max_depth, depth, 0)[::_GRID, ::_GRID]
        clouds.append(transform_points(pose, unproject_depth(thinned, camera)[0]))
    xyz = np.concatenate(clouds)
    readings = np.concatenate([d[has_reading(d)] for d in depths])
    places = np.stack([source.pose(i)[:3, 3] for i in range(len(source))])
    low, high = np.percentile(xyz, (1, 99), axis=0) if len(xyz) else (np.zeros(3), np.zeros(3))
    z = xyz[:, 2] if len(xyz) else np.zeros(1)
    counts, edges = np.histogram(z, bins=40, range=tuple(np.percentile(z, (0.2, 99.8)) + (-0.05, 0.05)))
    spread = np.percentile(readings, (1, 50, 99)) if len(readings) else np.zeros(3)
    return {
        "tilt_degrees": _tilt(depths, cameras, poses),
        "height_edges": edges.tolist(),
        "height_counts": counts.tolist(),
        "camera_heights": (float(places[:, 2].min()), float(places[:, 2].max())),
        "farthest": float(max(np.abs(places).max(), np.abs(xyz).max(initial=0))),
        "extent": tuple((high - low).tolist()),
        "path_length": float(np.linalg.norm(np.diff(places, axis=0), axis=1).sum()),
        "depth_share": len(readings) / sum(d.size for d in depths),
        "depth_percentiles": tuple(spread.tolist()),
    }


def _tilt(depths: Sequence[np.ndarray], cameras: Sequence[Camera], poses: Sequence[np.ndarray]) -> float | None:
    try:
        up = estimate_up(depths, cameras, poses)
    except ValueError:  # cameras that look everywhere say nothing about up
        return None
    return float(np.degrees(np.arccos(np.clip(up[2], -1, 1))))


# Warnings -------------------------------------------------------------------------------------------------------


def _warnings(f: SceneFigures, options: PairOptions) -> list[str]:
    """What a user should look into before training on this recording."""
    found = []
    low, high = options.overlap
    if f.overlapping_pairs == 0:
        found.append(f"no two frames overlap by {low:g} to {high:g}: nothing to train on (measured: neighbours)")
    elif len(f.frames_without_partner) > 0.2 * f.frames_kept:
        lonely = f"{len(f.frames_without_partner)} of {f.frames_kept} frames"
        found.append(f"{lonely} overlap no other frame by {low:g} to {high:g}: training never sees them")
    if f.residual_median is not None and f.residual_median > SUSPICIOUS:
        why = f.explanation or "check that poses are camera to world in metres, the depth scale and the intrinsics"
        found.append(f"depth and poses disagree, median relative error {f.residual_median:.2%}: {why}")
    if f.pairs and f.residual_median is None:
        found.append("in no measured pair do both frames see a common place: check poses and depth scale")
    if f.tilt_degrees is not None and f.tilt_degrees > TILTED:
        tilted = f"z seems not to point up: the floors are tilted by {f.tilt_degrees:.0f} degrees"
        found.append(f"{tilted}; name the axis, as in --up=-y")
    if f.farthest > FARTHEST:
        far = f"it lies {f.farthest:.6g} m from the origin, and training takes {FARTHEST:.0f} m at most"
        found.append(f"{far}: poses must be in metres, and a map's large offset be taken off them")
    if f.depth_share < SPARSE_DEPTH:
        found.append(f"only {f.depth_share:.0%} of the depth pixels have a reading")
    if f.assumed_camera is not None:
        assumed = f"no file says the camera's intrinsics, {f.assumed_camera} are assumed"
        found.append(f"{assumed}: put the depth camera's 3 x 3 matrix into camera-intrinsics.txt beside the frames")
    if f.frames_dropped > 0.1 * (f.frames_kept + f.frames_dropped):
        found.append(f"{f.frames_dropped} of {f.frames_kept + f.frames_dropped} frames are dropped: see the table")
    return found
