"""What a pre-trained network sees in fixed validation pairs: its features in colours, its matches, its errors."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparse3d.data.map_cells import map_cells
from sparse3d.data.matching_pairs import MatchingPair, MatchingPairs
from sparse3d.data.view_sets import match_frames
from sparse3d.data.voxel_clouds import batch_clouds
from sparse3d.geometry import invert_rigid, project_points, transform_points
from sparse3d.geometry.projection import unproject_pixels
from sparse3d.metrics.matching import unit_rows
from sparse3d.models.pretrain_net import PretrainNet
from sparse3d.tasks.pretrain_evaluation import unwrapped
from sparse3d.types import Frame
from sparse3d.visualize.colors import ColorSpace, dimmed
from sparse3d.visualize.layout import caption, resized, side_by_side, stacked
from sparse3d.visualize.maps import error_heat_map, feature_map_picture
from sparse3d.visualize.matches import draw_matches, spread_choice

if TYPE_CHECKING:
    from sparse3d.tasks.pretrain import PretrainTask

MaskedMap = tuple[np.ndarray, np.ndarray | None]  # features (C, h, w) and where there are any (h, w), None: everywhere

TILE = 320  # pixels, width of one picture among many
MATCHES = "rotated"  # the protocol of the matches: a network that reads off positions cannot shine in it
TOLERANCE = 0.1  # metres, of a right match
MAX_ERROR = 1.0  # metres, end of the heat map's scale
CELL = 4  # pixels between two places of the heat map


@torch.no_grad()
def validation_pictures(
    task: PretrainTask, model: nn.Module, pairs: MatchingPairs, device: torch.device
) -> Iterator[tuple[str, np.ndarray]]:
    """Tags and pictures (H, W, 3) uint8 of the first and the middle validation pair.

    ``features``: of each view RGB, the projected 3D features, and where there is a teacher its features at every tap
    above what the student predicts of them, in PCA colours that mean the same in both views and in both rows.
    ``matches`` and ``match_error``: nearest neighbours in feature space under the rotated protocol against the truth.
    """
    net = unwrapped(model).eval()
    for index in sorted({0, len(pairs) // 2}):
        pair = pairs[index]
        name = f"pair{index}"
        yield f"{name}/features", feature_picture(task, net, pair, device)
        found = find_matches(net, pair, device)
        yield f"{name}/matches", match_picture(pair, found)
        yield f"{name}/match_error", error_picture(pair, found)


# Features -----------------------------------------------------------------------------------------------------


def feature_picture(task: PretrainTask, net: PretrainNet, pair: MatchingPair, device: torch.device) -> np.ndarray:
    """Both views' features, one view below the other."""
    views = pair.views["aligned"]
    projected, taps = [], []
    for view in views:
        batch = batch_clouds([view.cloud])[0].to(device)
        cells = map_cells(view.pixel2voxel[None, None], net.map_stride, len(batch.coords)).to(device)
        seen = net.project(net.encode(batch).taught, batch, cells)
        projected.append((_unit(seen.maps[0, 0]), seen.mask[0, 0].cpu().numpy()))
        taps.append([(_unit(p[0]), m[0].cpu().numpy()) for p, m in net.predict_teacher(seen) or []])
    columns = [[resized(f.color, *_tile_size(f)) for f in pair.frames]]
    lower = [_pictures(projected, pair, ColorSpace.fit(_known_rows(projected)))]
    labels, lower_labels = [f"{f.name}: colour" for f in pair.frames], ["3D features, projected"]
    if task.kt_weight > 0 and net.student is not None:
        images = torch.from_numpy(np.stack([f.color for f in pair.frames])).to(device)
        for level, target in enumerate(task.teacher_targets(images, update_mean=False)):
            teacher = [(_unit(t), None) for t in target]
            predicted = [view_taps[level] for view_taps in taps]
            space = ColorSpace.fit(_known_rows(teacher))
            columns.append(_pictures(teacher, pair, space))
            lower.append(_pictures(predicted, pair, space))
            labels_of_tap = f"stride {task.teacher.strides[level]}"
            lower_labels.append(f"predicted, {labels_of_tap}")
            labels.append(f"teacher, {labels_of_tap}")
    return _view_blocks(columns, lower, labels, lower_labels, len(pair.frames))


def _view_blocks(
    upper: list[list[np.ndarray]], lower: list[list[np.ndarray]], labels: list[str], lower_labels: list[str], views: int
) -> np.ndarray:
    """A block of two rows a view; without a teacher a row a view."""
    blocks = []
    for view in range(views):
        names = [labels[view], *labels[views:]]
        above, below = [column[view] for column in upper], [column[view] for column in lower]
        if len(upper) == 1:
            blocks.append(side_by_side(above + below, names + lower_labels))
        else:
            blocks += [side_by_side(above, names), side_by_side(below, lower_labels)]
    return stacked(blocks)


def _unit(maps: Tensor) -> np.ndarray:
    """(C, h, w) with unit length along C, as features are compared; float32 on the CPU."""
    return F.normalize(maps.detach().float(), dim=0, eps=1e-6).cpu().numpy()


def _known_rows(maps: Sequence[MaskedMap]) -> np.ndarray:
    rows = []
    for values, mask in maps:
        flat = values.reshape(len(values), -1).T
        rows.append(flat if mask is None else flat[mask.ravel()])
    return np.concatenate(rows)


def _pictures(maps: Sequence[MaskedMap], pair: MatchingPair, space: ColorSpace) -> list[np.ndarray]:
    return [
        feature_map_picture(values, mask, _tile_size(frame), space)
        for (values, mask), frame in zip(maps, pair.frames, strict=True)
    ]


def _tile_size(frame: Frame) -> tuple[int, int]:
    return round(frame.camera.height * TILE / frame.camera.width), TILE


# Matches --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FoundMatches:
    """Where the features lead from pixels of the first view, on a grid, into the second."""

    pixels: np.ndarray  # (M, 2) int64 in the first view
    true_pixels: np.ndarray  # (M, 2) int64 in the second view
    predicted_voxel: np.ndarray  # (M,) int64 of the second view
    error: np.ndarray  # (M,) metres between the predicted voxel and the true point


def find_matches(net: PretrainNet, pair: MatchingPair, device: torch.device) -> FoundMatches:
    """Nearest neighbours in feature space of the true correspondences on a grid, as the matching recall takes them."""
    first, second = pair.views[MATCHES]
    batch = batch_clouds([first.cloud, second.cloud])[0].to(device)
    feats = unit_rows(net.encode(batch).compared)
    source, target = feats.split([len(first.cloud.coords), len(second.cloud.coords)])
    pixels, true_pixels = _grid_matches(pair)
    query = torch.from_numpy(first.pixel2voxel[pixels[:, 0], pixels[:, 1]]).to(device)
    if len(query) == 0:  # also where the second view has no voxel to be the nearest
        return FoundMatches(pixels, true_pixels, np.zeros(0, dtype=np.int64), np.zeros(0))
    nearest = torch.cdist(source[query], target).argmin(dim=1).cpu().numpy()
    error = np.linalg.norm(second.cloud.xyz[nearest] - _world_points(pair.frames[1], true_pixels), axis=1)
    return FoundMatches(pixels, true_pixels, nearest, error)


def _grid_matches(pair: MatchingPair) -> tuple[np.ndarray, np.ndarray]:
    """All true correspondences from every :data:`CELL`-th row and column; the pair's own are too few for a heat map."""
    # Readings without a voxel were beyond the pair's range; such pixels have no feature either.
    first, second = pair.views[MATCHES]
    pixels, targets = match_frames(*pair.frames, max_depth=np.inf)
    known = first.pixel2voxel[pixels[:, 0], pixels[:, 1]] >= 0
    known &= second.pixel2voxel[targets[:, 0], targets[:, 1]] >= 0
    known &= (pixels % CELL == 0).all(axis=1)
    return pixels[known], targets[known]


def _world_points(frame: Frame, pixels: np.ndarray) -> np.ndarray:
    z = frame.depth[pixels[:, 0], pixels[:, 1]]
    return transform_points(frame.T_world_cam, unproject_pixels(pixels, z, frame.camera))


def voxel_pixels(frame: Frame, pixel2voxel: np.ndarray, xyz: np.ndarray, voxels: np.ndarray) -> np.ndarray:
    """A pixel (M, 2) of each of ``voxels`` (M,): of those that saw the voxel, the nearest to its centre's image.

    Args:
        frame: the view.
        pixel2voxel: (H, W) int64 of the view.
        xyz: (V, 3) the voxels' places in the world.
        voxels: (M,) int64, each seen by a pixel of the view.
    """
    centers, _ = project_points(transform_points(invert_rigid(frame.T_world_cam), xyz[voxels]), frame.camera)
    chosen = np.empty((len(voxels), 2), dtype=np.int64)
    for row, (voxel, center) in enumerate(zip(voxels, centers, strict=True)):
        pixels = np.argwhere(pixel2voxel == voxel)
        chosen[row] = pixels[((pixels - center) ** 2).sum(axis=1).argmin()]
    return chosen


def match_picture(pair: MatchingPair, found: FoundMatches, count: int = 40) -> np.ndarray:
    """Predicted matches drawn across both images, with what was found in the caption."""
    chosen = spread_choice(found.pixels, count)
    second = pair.views[MATCHES][1]
    predicted = voxel_pixels(pair.frames[1], second.pixel2voxel, second.cloud.xyz, found.predicted_voxel[chosen])
    correct = found.error[chosen] < TOLERANCE
    first, second_frame = pair.frames
    picture = draw_matches(
        first.color,
        second_frame.color,
        found.pixels[chosen],
        found.true_pixels[chosen],
        predicted,
        correct,
        count,
        scale=2 * TILE / first.camera.width,
    )
    found_text = f"{int(correct.sum())} of {len(chosen)} within {TOLERANCE * 100:g} cm (green)"
    names = f"{first.name} to {second_frame.name}, both clouds turned at random"
    return caption(picture, f"{names}: {found_text}; the others red, blue rings where the truth lies")


def error_picture(pair: MatchingPair, found: FoundMatches) -> np.ndarray:
    """The matching error over the first image, beside the image itself."""
    frame = pair.frames[0]
    scale = max(1, round(2 * TILE / frame.camera.width))  # whole, so that the squares of the grid stay seamless
    color = resized(frame.color, frame.camera.height * scale, frame.camera.width * scale)
    heat = error_heat_map(dimmed(color), found.pixels * scale, found.error, MAX_ERROR, CELL * scale)
    right = f"{np.mean(found.error < TOLERANCE):.0%} within {TOLERANCE * 100:g} cm" if len(found.error) else "no match"
    return side_by_side([color, heat], [f"{frame.name}: colour", f"matching error to {pair.frames[1].name}: {right}"])
