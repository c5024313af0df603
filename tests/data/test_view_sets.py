"""View sets: items are functions of (index, seed); index maps and matches are true whatever the augmentation."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from synthetic_room import CAMERA, OTHER_CAMERA, room_frame, write_room

from sparse3d.data.augment import (
    Augmentation,
    ColorDrop,
    ColorJitter,
    RandomFlip,
    RandomScale,
    RandomShift,
    RandomTilt,
    RandomYaw,
)
from sparse3d.data.clouds import Masking, frame_points, voxelize_frames
from sparse3d.data.view_sets import FrameFolder, ViewItem, ViewSets, collate_views
from sparse3d.errors import InputError
from sparse3d.geometry import transform_points
from sparse3d.geometry.projection import depth_edges, unproject_pixels
from sparse3d.training.loader import BatchLoader
from sparse3d.training.sampler import StreamSampler
from sparse3d.types import Frame, ViewBatch

ALL: list[Augmentation] = [
    RandomYaw(),
    RandomTilt(),
    RandomFlip(),
    RandomScale(),
    RandomShift(),
    ColorJitter(),
    ColorDrop(0.5),
]


def folder_of(root: Path) -> FrameFolder:
    return FrameFolder(str(root), size=(64, 48), up="z")


@pytest.fixture(scope="module")
def sets(room_folder: Path) -> ViewSets:
    return ViewSets(folder_of(room_folder), voxel_size=0.1, cloud="both", augmentations=ALL, mask_ratio=0.3)


def variant(sets: ViewSets, **changes: object) -> ViewSets:
    """The same frames and overlaps with other options (opening them again would cost more than the test)."""
    changed = object.__new__(ViewSets)
    changed.__dict__.update(sets.__dict__)
    changed.__dict__.update(changes)
    return changed


def same(a: ViewItem, b: ViewItem) -> bool:
    parts = []
    for item in (a, b):
        clouds = [*(item.views or []), *([item.shared] if item.shared else [])]
        arrays = [array for cloud, pixels in clouds for array in (cloud.coords, cloud.feats, cloud.masked, pixels)]
        parts.append([item.images, *arrays, *(pixels for match in item.matches for pixels in match[2:])])
    return len(parts[0]) == len(parts[1]) and all(np.array_equal(x, y) for x, y in zip(*parts, strict=True))


def world(frame: Frame, pixels: np.ndarray) -> np.ndarray:
    z = frame.depth[pixels[:, 0], pixels[:, 1]]
    return transform_points(frame.T_world_cam, unproject_pixels(pixels, z, frame.camera))


def test_an_item_is_a_function_of_index_and_seed(sets: ViewSets) -> None:
    """Pitfall: a generator made in ``__init__`` is copied to every worker; two workers must differ, one seed repeat."""
    first = sets[(1, 11)]
    sets[(2, 5)]
    np.random.seed(4)
    assert same(first, sets[(1, 11)])
    assert not same(first, sets[(1, 12)]) and not same(first, sets[(2, 11)])


def test_a_copy_for_a_worker_gives_the_same_items_and_takes_no_frame_along(sets: ViewSets) -> None:
    item = sets[(1, 11)]
    copied = pickle.loads(pickle.dumps(sets))
    assert len(pickle.dumps(sets._frames)) < 200
    assert same(item, copied[(1, 11)]) and same(item, copied[(1, 11)])


def test_the_stream_does_not_depend_on_the_number_of_workers(sets: ViewSets) -> None:
    """Pitfall: workers that draw the same numbers, or an order that depends on who was quicker."""

    def stream(workers: int) -> list[ViewBatch]:
        collate = partial(collate_views, map_stride=4)
        loader = BatchLoader(sets, collate, StreamSampler(len(sets), 2, seed=3), workers=workers)
        try:
            return [next(loader) for _ in range(3)]
        finally:
            loader.close()

    for alone, with_workers in zip(stream(0), stream(2), strict=True):
        assert alone.names == with_workers.names and alone.views is not None and with_workers.views is not None
        assert torch.equal(alone.views.coords, with_workers.views.coords)
        assert torch.equal(alone.matches.target_pixel, with_workers.matches.target_pixel)


@pytest.mark.parametrize("augment", [*ALL, None], ids=lambda a: type(a).__name__)
@pytest.mark.parametrize("together", [True, False], ids=["shared", "per view"])
def test_every_pixel_finds_the_voxel_of_its_own_point(
    room_frames: list[Frame], augment: Augmentation | None, together: bool
) -> None:
    """Pitfall: a flipped image with unflipped pixel indices. The voxel's world place is the mean of its pixels'."""
    frames = room_frames[:2] if together else room_frames[:1]
    points = [frame_points(f) for f in frames]
    cloud, pixel2voxel = voxelize_frames(points, 0.1, [augment] if augment else [], None, np.random.default_rng(2))
    pixels = [np.argwhere(view >= 0) for view in pixel2voxel]
    places = np.concatenate([world(f, p) for f, p in zip(frames, pixels, strict=True)])
    rows = np.concatenate([view[p[:, 0], p[:, 1]] for view, p in zip(pixel2voxel, pixels, strict=True)])
    assert set(rows.tolist()) == set(range(len(cloud.coords)))
    for voxel in range(0, len(cloud.coords), 37):
        np.testing.assert_allclose(places[rows == voxel].mean(axis=0), cloud.xyz[voxel], atol=1e-4)
    spread = np.linalg.norm(places - cloud.xyz[rows], axis=1).max()
    assert spread < 0.1 * np.sqrt(3) * 1.12  # within one voxel, of the cloud scaled by at most 1 / 0.9


def test_matches_stay_true_under_every_augmentation(sets: ViewSets, room_frames: list[Frame]) -> None:
    """Pitfall: correspondences that augmentation makes false. Both pixels show one place, in both directions."""
    by_name = {f.name.split("-")[1].split(".")[0]: f for f in room_frames}
    for seed in range(4):
        item = sets[(seed, seed)]
        assert [match[:2] for match in item.matches] == [(0, 1), (1, 0)]
        frames = [by_name[name.split("-")[1].split(".")[0]] for name in item.names]
        for source, target, source_pixels, target_pixels in item.matches:
            apart = np.linalg.norm(world(frames[source], source_pixels) - world(frames[target], target_pixels), axis=1)
            assert len(apart) > 100 and np.quantile(apart, 0.99) < 0.12  # a pixel covers 8 cm at 4 m
            assert item.views is not None and item.shared is not None
            for view, pixels in ((source, source_pixels), (target, target_pixels)):
                assert (item.views[view][1][pixels[:, 0], pixels[:, 1]] >= 0).all()
                assert (item.shared[1][view][pixels[:, 0], pixels[:, 1]] >= 0).all()


def test_no_match_of_an_item_lies_on_a_depth_edge(sets: ViewSets, room_frames: list[Frame]) -> None:
    """Trap: flying pixels, readings between the two sides of an edge, belong to no surface."""
    for a, b in ((0, 1), (1, 2), (2, 4)):
        frames = [replace(room_frames[k], depth=room_frames[k].depth.copy()) for k in (a, b)]
        before = frames[0].depth[10:30, 20:40]
        before[before > 0] = 0.6  # something stands there
        edges = [depth_edges(np.where(frame.depth <= sets.max_depth, frame.depth, 0)) for frame in frames]
        assert min(mask.sum() for mask in edges) > 0
        item = variant(sets, max_matches=10**6).make_item(frames, np.random.default_rng(0))
        for i, j, source, target in item.matches:
            assert not edges[i][source[:, 0], source[:, 1]].any() and not edges[j][target[:, 0], target[:, 1]].any()
    assert any(len(match[2]) for match in item.matches)


def test_matches_do_not_depend_on_augmentation_or_masking(sets: ViewSets, room_frames: list[Frame]) -> None:
    plain = variant(sets, augmentations=[], masking=Masking())
    augmented, still = (s.make_item(room_frames[:2], np.random.default_rng(0)) for s in (sets, plain))
    for a, b in zip(augmented.matches, still.matches, strict=True):
        np.testing.assert_array_equal(a[2], b[2])
        np.testing.assert_array_equal(a[3], b[3])


def test_two_cameras_match_and_project_each_with_its_own_intrinsics(sets: ViewSets) -> None:
    """Pitfall: one intrinsic matrix for all scenes."""
    frames = [room_frame(1, camera=CAMERA), room_frame(3, camera=OTHER_CAMERA)]
    item = sets.make_item(frames, np.random.default_rng(0))
    for source, target, source_pixels, target_pixels in item.matches:
        apart = world(frames[source], source_pixels) - world(frames[target], target_pixels)
        assert len(apart) > 100 and np.quantile(np.linalg.norm(apart, axis=1), 0.99) < 0.12
    assert collate_views([item], 4).images.shape == (1, 2, 48, 64, 3)


def test_removed_voxels_leave_their_pixels_without_a_voxel(room_frames: list[Frame]) -> None:
    points = [frame_points(f) for f in room_frames[:2]]
    hidden, kept_map = voxelize_frames(points, 0.1, [], Masking(0.5, 0.3), np.random.default_rng(1))
    cloud, pixel2voxel = voxelize_frames(points, 0.1, [], Masking(0.5, 0.3, remove=True), np.random.default_rng(1))
    assert 0.3 < hidden.masked.mean() < 0.7
    np.testing.assert_array_equal(cloud.coords, hidden.coords[~hidden.masked])
    assert not cloud.masked.any()
    gone = (kept_map >= 0) & hidden.masked[kept_map]
    assert (pixel2voxel[gone] == -1).all() and (pixel2voxel[(kept_map >= 0) & ~gone] >= 0).all()
    stays = pixel2voxel >= 0
    np.testing.assert_array_equal(cloud.xyz[pixel2voxel[stays]], hidden.xyz[kept_map[stays]])


def test_a_cloud_never_loses_its_last_voxel(room_frames: list[Frame]) -> None:
    points = [frame_points(room_frames[0])]
    cloud, pixel2voxel = voxelize_frames(points, 0.1, [], Masking(1.0, 9.0, remove=True), np.random.default_rng(0))
    assert len(cloud.coords) and not cloud.masked.any() and (pixel2voxel >= 0).any()


@pytest.mark.parametrize("cloud", ["shared", "per_view", "both"])
def test_a_batch_holds_the_clouds_that_were_asked_for(sets: ViewSets, cloud: str) -> None:
    """Pitfall: voxels of two batch items merged."""
    chosen = variant(sets, cloud=cloud)
    batch = collate_views([chosen[(0, 1)], chosen[(1, 2)], chosen[(0, 1)]], 4)
    assert (batch.views is not None) == (cloud != "shared") == (batch.view_cells is not None)
    assert (batch.shared is not None) == (cloud != "per_view") == (batch.shared_cells is not None)
    for voxels, cells in ((batch.views, batch.view_cells), (batch.shared, batch.shared_cells)):
        if voxels is None or cells is None:
            continue
        assert cells.mask.shape == (3, 2, 12, 16)
        assert len(torch.unique(voxels.coords, dim=0)) == len(voxels.coords)
        shown = torch.zeros(cells.mask.numel(), len(voxels.coords))
        for cell, entries in enumerate(torch.tensor_split(cells.by_cell.column, cells.by_cell.start[1:])):
            shown[cell, entries] = 1
        for b in range(3):
            for v in range(2):
                rows = shown.unflatten(0, cells.mask.shape)[b, v].flatten(0, 1).any(dim=0)
                owner = b if voxels is batch.shared else b * 2 + v
                assert rows.any() and (voxels.coords[rows, 0] == owner).all()


def test_matches_of_a_batch_are_the_items(sets: ViewSets) -> None:
    items = [sets[(k, k)] for k in range(3)]
    matches = collate_views(items, 4).matches
    for b, item in enumerate(items):
        for source, target, source_pixels, target_pixels in item.matches:
            rows = (matches.item == b) & (matches.source_view == source) & (matches.target_view == target)
            np.testing.assert_array_equal(matches.source_pixel[rows], source_pixels)
            np.testing.assert_array_equal(matches.target_pixel[rows], target_pixels)


def test_three_views_have_all_six_directions_and_overlap_the_first(sets: ViewSets) -> None:
    three = variant(sets, num_views=3)
    for seed in range(5):
        item = three[(seed, seed)]
        assert len(set(item.names)) == 3 and item.images.shape[0] == 3
        assert sorted(match[:2] for match in item.matches) == [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]
    assert collate_views([three[(0, 0)]], 4).shared_cells.mask.shape == (1, 3, 12, 16)  # type: ignore[union-attr]


def test_too_few_neighbours_repeat_the_given_frames(sets: ViewSets) -> None:
    lonely = variant(sets, num_views=4, overlaps=[np.zeros((6, 6), np.float32)])
    assert len(set(lonely[(0, 0)].names)) == 2 and len(lonely[(0, 0)].names) == 4


@pytest.mark.parametrize("kept", [0, 1])
def test_how_many_frames_are_kept_changes_no_item_and_no_frame_is_matched_with_itself(
    room_folder: Path, kept: int
) -> None:
    few, many = (
        variant(
            ViewSets(folder_of(room_folder), voxel_size=0.1, views=4, cache_frames=number),
            overlaps=[np.zeros((6, 6), np.float32)],
        )
        for number in (kept, 400)
    )
    item = few[(0, 3)]
    assert same(item, many[(0, 3)]) and len(set(item.names)) == 2
    assert item.matches and all(item.names[i] != item.names[j] for i, j, _, _ in item.matches)


def test_a_pair_without_matches_is_counted_and_nothing_is_made_up(sets: ViewSets) -> None:
    """Pitfall: a pair without matches: infinite loop, fake match, or division by zero."""
    blind = replace(room_frame(1), depth=np.zeros((48, 64), np.float32))
    item = sets.make_item([room_frame(0), blind], np.random.default_rng(0))
    batch = collate_views([item, sets[(0, 0)], item], 4)
    assert batch.pairs_without_matches == 2
    assert set(batch.matches.item.tolist()) == {1}
    assert collate_views([item], 4).matches.source_pixel.shape == (0, 2)


def test_matches_are_capped_by_a_draw_not_by_their_order(sets: ViewSets, room_frames: list[Frame]) -> None:
    few = variant(sets, max_matches=50)
    draws = [few.make_item(room_frames[:2], np.random.default_rng(seed)).matches[0][2] for seed in range(2)]
    assert all(len(d) == 50 for d in draws) and not np.array_equal(*draws)
    assert all(np.ptp(d[:, 0]) > 24 for d in draws)  # from all over the image


def test_pairs_overlap_within_the_bounds_and_scenes_do_not_mix(tmp_path: Path) -> None:
    """Two scenes with two cameras: every pair stays in its scene."""
    write_room(tmp_path / "a", [room_frame(k) for k in (0, 2, 5)])
    write_room(tmp_path / "b", [room_frame(k, camera=OTHER_CAMERA) for k in (0, 3)])
    sets = ViewSets(folder_of(tmp_path), voxel_size=0.1, overlap=(0.2, 0.9))
    assert {scene for scene, _, _ in sets.pairs.tolist()} == {0, 1}
    for scene, i, j in sets.pairs.tolist():
        assert 0.2 <= sets.overlaps[scene][i, j] <= 0.9 and i < j < len(sets.sources[scene])


def test_each_scene_gives_its_own_frames_also_from_memory(tmp_path: Path) -> None:
    for k, name in enumerate("ab"):
        frames = [replace(room_frame(i), color=np.full((48, 64, 3), 50 + 100 * k, np.uint8)) for i in range(3)]
        write_room(tmp_path / name, frames)
    sets = ViewSets(folder_of(tmp_path), voxel_size=0.1)
    for index, (scene, _, _) in enumerate(sets.pairs.tolist()):
        assert (sets[(index, 0)].images == 50 + 100 * scene).all()


def test_images_stand_in_the_order_of_views_and_items(sets: ViewSets, room_frames: list[Frame]) -> None:
    items = [sets.make_item(room_frames[k : k + 2], np.random.default_rng(0)) for k in (0, 2)]
    images = collate_views(items, 4).images
    for place, frame in enumerate(room_frames[:4]):
        np.testing.assert_array_equal(images[place // 2, place % 2].numpy(), frame.color)


def test_every_cloud_is_augmented_and_masked_by_draws_of_its_own(sets: ViewSets, room_frames: list[Frame]) -> None:
    item = sets.make_item([room_frames[0], room_frames[0]], np.random.default_rng(5))
    assert item.views is not None and item.shared is not None
    (first, _), (second, _) = item.views
    assert first.coords.shape != second.coords.shape or not np.array_equal(first.coords, second.coords)
    for cloud in (first, second, item.shared[0]):
        assert 0.1 < cloud.masked.mean() < 0.5  # mask_ratio = 0.3, in blocks
    plain = variant(sets, augmentations=[], masking=Masking(0.0, 0.2, False))
    item = plain.make_item([room_frames[0], room_frames[0]], np.random.default_rng(5))
    assert item.views is not None and np.array_equal(item.views[0][0].coords, item.views[1][0].coords)
    assert not item.views[0][0].masked.any()


def test_the_range_bounds_points_and_matches_of_an_item(sets: ViewSets, room_frames: list[Frame]) -> None:
    near = variant(sets, max_depth=2.0)
    item = near.make_item(room_frames[:2], np.random.default_rng(0))
    assert item.views is not None and item.matches
    for frame, (_, pixel2voxel) in zip(room_frames[:2], item.views, strict=True):
        assert not ((frame.depth > 2.0) & (pixel2voxel >= 0)).any() and (frame.depth > 2.0).any()
    for i, j, source, target in item.matches:
        for view, pixels in ((i, source), (j, target)):
            assert (room_frames[view].depth[pixels[:, 0], pixels[:, 1]] <= 2.0).all()


def test_either_frame_of_a_pair_may_come_first(sets: ViewSets) -> None:
    assert len({sets[(0, seed)].names for seed in range(12)}) == 2


def test_further_views_are_drawn_among_those_that_overlap_the_first(sets: ViewSets) -> None:
    """Of six frames the first overlaps with three others as asked; the second's neighbours are others."""
    overlap = np.zeros((6, 6), np.float32)
    for i, j in ((0, 1), (0, 2), (0, 3), (1, 4), (1, 5)):
        overlap[i, j] = overlap[j, i] = 0.5
    drawn = variant(sets, num_views=3, overlaps=[np.ones((6, 6), np.float32), overlap], _bounds=(0.3, 0.9))
    chosen = [drawn._more_views(1, 0, 1, np.random.default_rng(seed)) for seed in range(20)]
    assert {tuple(views) for views in chosen} == {(2,), (3,)}
    both = [variant(drawn, num_views=4)._more_views(1, 0, 1, np.random.default_rng(seed)) for seed in range(20)]
    assert {tuple(views) for views in both} == {(2, 3), (3, 2)}  # never a given one, and in any order


def test_a_recording_too_short_for_the_part_is_left_out_and_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    write_room(tmp_path / "all" / "long", [room_frame(k) for k in range(6)])
    write_room(tmp_path / "all" / "short", [room_frame(k) for k in range(2)])
    folder = FrameFolder(str(tmp_path / "all"), size=(64, 48), up="z", part=(0.8, 1.0))
    assert [(scene.scene, len(scene)) for scene in folder.open()] == [("long", 1)]
    (said,) = caplog.messages
    assert "no frame of 1 of 2 scenes, which are left out: short (2 frames)" in said
    with pytest.raises(InputError, match=r"part = \(0.8, 1.0\) is no frame of short \(2 frames\)"):
        FrameFolder(str(tmp_path / "all" / "short"), size=(64, 48), up="z", part=(0.8, 1.0)).open()


def test_the_parts_of_a_recording_share_no_frame_and_leave_none_out(room_folder: Path) -> None:
    def numbers(part: tuple[float, float]) -> list[int]:
        (scene,) = FrameFolder(str(room_folder), size=(64, 48), up="z", part=part).open()
        return [scene.frame_number(k) for k in range(len(scene))]

    whole, first, second = numbers((0.0, 1.0)), numbers((0.0, 0.6)), numbers((0.6, 1.0))
    assert first + second == whole and len(first) == round(0.6 * len(whole))


def test_masked_blocks_are_as_long_as_asked_in_metres() -> None:
    """Neighbours in a block share their fate: with blocks of 60 cm far more often than with single voxels."""
    points = [frame_points(room_frame(0))]

    def alike(block: float) -> float:
        cloud, _ = voxelize_frames(points, 0.1, [], Masking(0.5, block), np.random.default_rng(0))
        row = {tuple(c): m for c, m in zip(cloud.coords.tolist(), cloud.masked.tolist(), strict=True)}
        pairs = [(m, row[x + 1, y, z]) for (x, y, z), m in row.items() if (x + 1, y, z) in row]
        return float(np.mean([a == b for a, b in pairs]))

    assert abs(alike(0.0) - 0.5) < 0.1 and 0.6 < alike(0.2) < 0.85 and alike(0.6) > 0.85


def test_recoloured_points_enter_in_their_new_colours() -> None:
    def invert(xyz: np.ndarray, rgb: np.ndarray, _: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        return xyz, 1 - rgb

    points = [frame_points(room_frame(0))]
    plain, inverted = (voxelize_frames(points, 0.1, a, None, np.random.default_rng(0))[0] for a in ([], [invert]))
    np.testing.assert_allclose(inverted.feats, -plain.feats, atol=1e-6)


def wrong_options() -> Sequence[tuple[dict[str, object], str]]:
    return [
        ({"cloud": "apart"}, "ViewSets.cloud"),
        ({"views": 1}, "ViewSets.views"),
        ({"voxel_size": 0.0}, "ViewSets.voxel_size"),
        ({"mask_ratio": 1.5}, "ViewSets.mask_ratio"),
        ({"max_matches": 0}, "max_matches = 0: must be"),
        ({"cache_frames": -1}, "cache_frames = -1: must be at least 0"),
        ({"overlap": (0.999, 1.0)}, "widen ViewSets.overlap"),
    ]


@pytest.mark.parametrize(("options", "named"), wrong_options())
def test_wrong_options_are_named(room_folder: Path, options: dict[str, object], named: str) -> None:
    with pytest.raises(InputError, match=named):
        ViewSets(folder_of(room_folder), **options)  # type: ignore[arg-type]


def test_a_range_that_takes_no_reading_is_refused(room_folder: Path) -> None:
    """Trap: a wrong unit of depth leaves clouds without a point, and a training of them runs through with loss 0."""
    with pytest.raises(InputError, match=r"nearest reading is at \d.* m, and ViewSets.max_depth = 0.05 m.*depth_scale"):
        ViewSets(folder_of(room_folder), max_depth=0.05)
