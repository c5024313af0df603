"""View sets for pre-training: frames of one scene that overlap, as clouds with true correspondences."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, islice
from typing import Any
from weakref import WeakKeyDictionary

import gin
import numpy as np
import torch
from torch.utils.data import Dataset

from sparse3d.checks import at_least, not_negative, one_of, positive, require
from sparse3d.data.augment import Augmentation
from sparse3d.data.clouds import FramePoints, Masking, frame_points, voxelize_frames
from sparse3d.data.map_cells import map_cells
from sparse3d.data.overlaps import frame_overlaps
from sparse3d.data.prepared import prepared_scenes
from sparse3d.data.readers import FrameSource, open_frames, open_scenes
from sparse3d.data.readers.manifest import assumed_cameras, left_out, some_of
from sparse3d.data.voxel_clouds import VoxelCloud, batch_clouds
from sparse3d.errors import InputError
from sparse3d.geometry import match_pixels, select_pairs, usable_pixels
from sparse3d.types import Frame, MapCells, Matches, ViewBatch, VoxelBatch

_log = logging.getLogger("sparse3d")

CLOUDS = ("shared", "per_view", "both")
SAMPLED_FRAMES = 5  # of a scene, looked at before the first step


@gin.configurable
class FrameFolder:
    """Where RGB-D frames come from; see :func:`sparse3d.data.readers.open_frames` for the meaning of the options.

    Args:
        root: a folder (or ``.sens`` file) of one scene, or a folder of scenes.
        split: only the scenes of this list (a name in ``splits/``, or a file) of a root that tools/prepare.py wrote.
        size: (width, height) that frames are brought to.
        first, last: frame numbers to keep, both inclusive; None for no bound.
        step: keep every ``step``-th frame.
        on_fault: ``"error"`` or ``"drop"``: what to do about a broken frame.
        check_images: decode every image when opening, so that an unreadable one is found then; None: where broken
            frames are dropped.
        part: the stretch of every recording to keep, as shares of its frames: (0.0, 0.8) is all but the last fifth.
    """

    def __init__(
        self,
        root: str = gin.REQUIRED,
        format: str = "auto",
        size: tuple[int, int] = (320, 240),
        up: str = "auto",
        first: int | None = None,
        last: int | None = None,
        step: int = 1,
        on_fault: str = "error",
        part: tuple[float, float] = (0.0, 1.0),
        check_images: bool | None = None,
        split: str | None = None,
    ) -> None:
        if not 0 <= part[0] < part[1] <= 1:
            raise InputError(f"FrameFolder.part = {part}: two shares of a recording, rising from 0 to 1, are needed")
        self.root, self.part, self.split = root, part, split
        self.options: dict[str, Any] = dict(
            format=format, size=tuple(size), up=up, first=first, last=last, step=step, on_fault=on_fault
        )
        self.options["check_images"] = on_fault == "drop" if check_images is None else check_images

    def open(self) -> list[FrameSource]:
        """The scenes, each a sequence of frames.

        Raises:
            InputError: nothing usable there.
        """
        scenes = self._of_split(self.split) if self.split else open_scenes(self.root, **self.options)
        if tuple(self.part) != (0.0, 1.0):
            scenes = self._parts_of(scenes)
        if dropped := left_out(scene.manifest for scene in scenes):
            _log.warning("%s: %s", self.root, dropped)
        if assumed := assumed_cameras(scene.manifest for scene in scenes):
            _log.warning("%s: %s; another camera's belong into camera-intrinsics.txt there", self.root, assumed)
        return scenes

    def _of_split(self, split: str) -> list[FrameSource]:
        listed = prepared_scenes(self.root, split)
        scenes = [scene for scene in listed if scene.has_frames]
        if not scenes:
            raise InputError(f"{self.root}: no scene of the split {split!r} has frames: prepare it from .sens files")
        without = [scene.name for scene in listed if not scene.has_frames]
        if without:
            _log.warning(
                "%s: %d of %d scenes of the split %r have no frames and are left out: %s",
                self.root, len(without), len(listed), split, some_of(without),
            )  # fmt: skip
        return [scene.frames(**self.options) for scene in scenes]

    def _parts_of(self, scenes: list[FrameSource]) -> list[FrameSource]:
        """The configured stretch of every scene; those too short to have one are left out, and named."""
        found, short = [], []
        for scene in scenes:
            start, end = (round(share * len(scene)) for share in self.part)
            if start == end:
                short.append(f"{scene.scene} ({len(scene)} frames)")
                continue
            numbers = {"first": scene.frame_number(start), "last": scene.frame_number(end - 1)}
            found.append(open_frames(scene.path, **(self.options | {"format": scene.format} | numbers)))
        if not found:
            raise InputError(f"{self.root}: FrameFolder.part = {self.part} is no frame of {some_of(short)}")
        if short:
            _log.warning(
                "%s: FrameFolder.part = %s is no frame of %d of %d scenes, which are left out: %s",
                self.root, self.part, len(short), len(scenes), some_of(short),
            )  # fmt: skip
        return found


def warn_of_pairless(root: str, sources: Sequence[FrameSource], pairs: Sequence[np.ndarray]) -> None:
    """Says which scenes have no two frames that overlap as asked, and so take no part."""
    without = [source.scene for source, found in zip(sources, pairs, strict=True) if not len(found)]
    if without:
        _log.warning(
            "%s: %d of %d scenes have no two frames that overlap as asked, and take no part: %s",
            root, len(without), len(sources), some_of(without),
        )  # fmt: skip


def scene_pairs(
    source: FrameSource, low: float, high: float, voxel_size: float = 0.05
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of frames whose overlap lies in [low, high]; overlaps stored beside the recording are used when fresh.

    Returns:
        pairs (P, 2) int64 with i < j, and the symmetric overlap matrix (F, F) float32.
    """
    overlap = frame_overlaps(source, voxel_size)
    return select_pairs(overlap, low, high), overlap


@dataclass(frozen=True)
class ViewItem:
    """One view set, still in numpy."""

    names: tuple[str, ...]
    images: np.ndarray  # (V, H, W, 3) uint8
    matches: list[tuple[int, int, np.ndarray, np.ndarray]]  # view i, view j, pixels in i, pixels in j (both (M, 2))
    views: list[tuple[VoxelCloud, np.ndarray]] | None  # a view's cloud and pixel2voxel (H, W)
    shared: tuple[VoxelCloud, np.ndarray] | None  # the union's cloud and pixel2voxel (V, H, W)


@gin.configurable
class ViewSets(Dataset):
    """Sets of ``views`` overlapping frames; an item is drawn by ``(index, seed)`` and by nothing else.

    Args:
        frames: where the frames come from.
        voxel_size: metres.
        views: frames an item. Two are a pair with the right overlap; more are drawn among the frames that overlap the
            first one.
        cloud: ``"shared"`` (one cloud of all views), ``"per_view"`` (each view's cloud alone) or ``"both"``.
        overlap: bounds on the overlap of two frames.
        augmentations: of every cloud, drawn independently for each.
        mask_ratio, mask_block, mask_remove: see :class:`~sparse3d.data.clouds.Masking`.
        max_depth: readings beyond are left out, metres.
        max_matches: true correspondences kept a pair and direction, drawn at random.
        cache_frames: decoded frames kept in memory by each worker; 0 keeps none.

    Raises:
        InputError: an option out of its range, or no pair of frames overlaps within the bounds.
    """

    def __init__(
        self,
        frames: FrameFolder = gin.REQUIRED,
        voxel_size: float = 0.05,
        views: int = 2,
        cloud: str = "per_view",
        overlap: tuple[float, float] = (0.3, 0.9),
        augmentations: Sequence[Augmentation] = (),
        mask_ratio: float = 0.0,
        mask_block: float = 0.2,
        mask_remove: bool = False,
        max_depth: float = 5.0,
        max_matches: int = 2048,
        cache_frames: int = 400,
    ) -> None:
        one_of("ViewSets.cloud", cloud, CLOUDS)
        at_least("ViewSets.views", views, 2)
        positive("ViewSets.voxel_size", voxel_size, "metres")
        require(0 <= mask_ratio < 1, "ViewSets.mask_ratio", mask_ratio, "in [0, 1), as a share of the voxels")
        at_least("ViewSets.max_matches", max_matches, 1)
        at_least("ViewSets.cache_frames", cache_frames, 0)
        positive("ViewSets.max_depth", max_depth, "metres")
        not_negative("ViewSets.mask_block", mask_block, "metres")
        self.voxel_size, self.num_views, self.cloud = voxel_size, views, cloud
        self.augmentations = list(augmentations)
        self.masking = Masking(mask_ratio, mask_block, mask_remove)
        self.max_depth, self.max_matches = max_depth, max_matches
        self.sources = frames.open()
        self.overlaps: list[np.ndarray] = []
        self._bounds = overlap
        pairs, found_pairs = [], []
        for scene, source in enumerate(self.sources):
            found, matrix = scene_pairs(source, *overlap)
            self.overlaps.append(matrix)
            found_pairs.append(found)
            pairs.append(np.concatenate([np.full((len(found), 1), scene), found], axis=1))
        self.pairs = np.concatenate(pairs) if pairs else np.zeros((0, 3), dtype=np.int64)  # (P, 3): scene, i, j
        if len(self.pairs) == 0:
            raise InputError(
                f"{frames.root}: no two frames overlap by {overlap[0]} to {overlap[1]} "
                f"({sum(len(s) for s in self.sources)} frames in {len(self.sources)} scenes): "
                "widen ViewSets.overlap, or check that the poses are camera-to-world in metres"
            )
        warn_of_pairless(frames.root, self.sources, found_pairs)
        self._frames = _FrameCache(cache_frames)
        self._demand_readings(frames.root)

    def _demand_readings(self, root: str) -> None:
        """Raises InputError where some frames of every scene have no reading within the range."""
        nearest = np.inf
        for scene, source in enumerate(self.sources):
            for i in np.unique(np.linspace(0, len(source) - 1, min(len(source), SAMPLED_FRAMES)).astype(int)):
                depth = self._frames.get(self.sources, scene, int(i)).depth
                nearest = min(nearest, float(depth[depth > 0].min(initial=np.inf)))
                if nearest <= self.max_depth:
                    return
        found = "without any reading" if nearest == np.inf else f"whose nearest reading is at {nearest:.3g} m"
        raise InputError(
            f"{root}: holds frames {found}, and ViewSets.max_depth = {self.max_depth:g} m takes none of them: check "
            "the unit of the depth images (FrameFolder.depth_scale, units a metre)"
        )

    def idle_options(self) -> dict[str, str]:
        """Options without effect beside the others, and why."""
        options = ("mask_block", "mask_remove") if self.masking.ratio == 0 else ()
        return dict.fromkeys(options, "ViewSets.mask_ratio is 0")

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, key: tuple[int, int]) -> ViewItem:
        index, seed = key
        rng = np.random.default_rng(seed)
        scene, first, second = (int(v) for v in self.pairs[index])
        if rng.random() < 0.5:
            first, second = second, first
        chosen = [first, second, *self._more_views(scene, first, second, rng)]
        frames = [self._frames.get(self.sources, scene, i) for i in chosen]
        return self.make_item(frames, rng)

    def make_item(self, frames: Sequence[Frame], rng: np.random.Generator) -> ViewItem:
        """The item of given frames of one scene; augmentation, masking and the choice of matches drawn from ``rng``."""
        points = [frame_points(frame, self.max_depth) for frame in frames]
        matches = []
        for i in range(len(frames)):
            for j in range(i + 1, len(frames)):
                if frames[i].name == frames[j].name:
                    continue  # repeated for want of others: its matches with itself would be no task
                matches += self._matches(i, j, frames, rng)
        views = shared = None
        if self.cloud != "shared":
            views = [self._voxelize([p], rng) for p in points]
            views = [(cloud, pixel2voxel[0]) for cloud, pixel2voxel in views]
        if self.cloud != "per_view":
            shared = self._voxelize(points, rng)
        images = np.stack([f.color for f in frames])
        return ViewItem(tuple(f.name for f in frames), images, matches, views, shared)

    def _voxelize(self, points: list[FramePoints], rng: np.random.Generator) -> tuple[VoxelCloud, np.ndarray]:
        return voxelize_frames(points, self.voxel_size, self.augmentations, self.masking, rng)

    def _more_views(self, scene: int, first: int, second: int, rng: np.random.Generator) -> list[int]:
        """Further frames that overlap ``first`` within the bounds; where there are too few, the given two repeat."""
        missing = self.num_views - 2
        if missing == 0:
            return []
        low, high = self._bounds
        row = self.overlaps[scene][first]
        candidates = np.flatnonzero((row >= low) & (row <= high))
        candidates = candidates[(candidates != first) & (candidates != second)]
        chosen = rng.permutation(candidates)[:missing].tolist()
        return chosen + list(islice(cycle((first, second)), missing - len(chosen)))

    def _matches(
        self, i: int, j: int, frames: Sequence[Frame], rng: np.random.Generator
    ) -> list[tuple[int, int, np.ndarray, np.ndarray]]:
        """True correspondences of the pair in both directions, each a sample of its own."""
        found = match_frames(frames[i], frames[j], self.max_depth)
        directions = []
        for source, target, (pixels_source, pixels_target) in ((i, j, found), (j, i, found[::-1])):
            keep = rng.permutation(len(pixels_source))[: self.max_matches]
            directions.append((source, target, pixels_source[keep], pixels_target[keep]))
        return directions


# Which pixels of a frame can be matched, by the depth that is looked at: training matches a frame dozens of times.
_usable: WeakKeyDictionary[Frame, dict[float, np.ndarray]] = WeakKeyDictionary()


def match_frames(a: Frame, b: Frame, max_depth: float) -> tuple[np.ndarray, np.ndarray]:
    """Mutual true correspondences (M, 2), (M, 2) of two frames, with readings beyond ``max_depth`` left out."""
    (depth_a, usable_a), (depth_b, usable_b) = (_matchable(frame, max_depth) for frame in (a, b))
    return match_pixels(depth_a, a.camera, a.T_world_cam, depth_b, b.camera, b.T_world_cam, usable=(usable_a, usable_b))


def _matchable(frame: Frame, max_depth: float) -> tuple[np.ndarray, np.ndarray]:
    """The readings that are looked at, metres, and the pixels of them that can be matched, both (H, W)."""
    depth = np.where(frame.depth <= max_depth, frame.depth, 0)
    known = _usable.setdefault(frame, {})
    if max_depth not in known:
        known[max_depth] = usable_pixels(depth)
    return depth, known[max_depth]


def collate_views(items: Sequence[ViewItem], map_stride: int) -> ViewBatch:
    """B view items, all with V views of one image size, as one batch for maps of ``map_stride`` pixels a cell.

    Raises:
        InputError: the image size is not a multiple of ``map_stride``.
    """
    views, view_cells = _batch_views(items, map_stride)
    shared, shared_cells = _batch_shared(items, map_stride)
    return ViewBatch(
        images=torch.from_numpy(np.stack([item.images for item in items])),
        matches=_batch_matches(items),
        views=views,
        view_cells=view_cells,
        shared=shared,
        shared_cells=shared_cells,
        names=[item.names for item in items],
        pairs_without_matches=sum(len(m[2]) == 0 for item in items for m in item.matches) // 2,
    )


def _batch_views(items: Sequence[ViewItem], map_stride: int) -> tuple[VoxelBatch | None, MapCells | None]:
    if items[0].views is None:
        return None, None
    flat = [view for item in items for view in item.views or ()]
    batch, starts = batch_clouds([cloud for cloud, _ in flat])
    pixels = np.stack([_moved(pixel2voxel, start) for (_, pixel2voxel), start in zip(flat, starts, strict=True)])
    return batch, map_cells(pixels.reshape(len(items), -1, *pixels.shape[1:]), map_stride, len(batch.coords))


def _batch_shared(items: Sequence[ViewItem], map_stride: int) -> tuple[VoxelBatch | None, MapCells | None]:
    flat = [item.shared for item in items if item.shared is not None]
    if not flat:
        return None, None
    batch, starts = batch_clouds([cloud for cloud, _ in flat])
    pixels = np.stack([_moved(pixel2voxel, start) for (_, pixel2voxel), start in zip(flat, starts, strict=True)])
    return batch, map_cells(pixels, map_stride, len(batch.coords))


def _moved(pixel2voxel: np.ndarray, start: int) -> np.ndarray:
    return np.where(pixel2voxel >= 0, pixel2voxel + start, -1)


def _batch_matches(items: Sequence[ViewItem]) -> Matches:
    rows = [(b, *match) for b, item in enumerate(items) for match in item.matches]
    sizes = [len(row[3]) for row in rows]

    def spread(column: int) -> torch.Tensor:
        return torch.from_numpy(np.repeat(np.array([row[column] for row in rows], dtype=np.int64), sizes))

    def pixels(column: int) -> torch.Tensor:
        return torch.from_numpy(np.concatenate([row[column] for row in rows]).astype(np.int64).reshape(-1, 2))

    return Matches(
        item=spread(0), source_view=spread(1), source_pixel=pixels(3), target_view=spread(2), target_pixel=pixels(4)
    )


class _FrameCache:
    """The most recently used decoded frames, one cache a process."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._frames: OrderedDict[tuple[int, int], Frame] = OrderedDict()

    def get(self, sources: Sequence[FrameSource], scene: int, index: int) -> Frame:
        key = (scene, index)
        if key in self._frames:
            self._frames.move_to_end(key)
            return self._frames[key]
        frame = sources[scene][index]
        self._frames[key] = frame
        while len(self._frames) > self._capacity:
            self._frames.popitem(last=False)
        return frame

    def __getstate__(self) -> dict[str, object]:
        # Workers start with an empty cache: a pickled one would be copied to each of them.
        return {"_capacity": self._capacity, "_frames": OrderedDict()}
