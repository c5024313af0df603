"""Evaluation pairs: nothing random but what a fixed seed draws, and everything in the world frame."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from synthetic_room import room_frame

from sparse3d.data.matching_pairs import PROTOCOLS, EncodedView, MatchingPair, MatchingPairs
from sparse3d.data.view_sets import FrameFolder
from sparse3d.errors import InputError
from sparse3d.geometry import transform_points, unproject_depth


@pytest.fixture(scope="module")
def pairs(room_folder: Path) -> MatchingPairs:
    return MatchingPairs(FrameFolder(str(room_folder), size=(64, 48), up="z"), voxel_size=0.1, max_pairs=4, matches=200)


def arrays(pair: MatchingPair) -> list[np.ndarray]:
    views = [view for protocol in PROTOCOLS for view in pair.views[protocol]]
    clouds = [array for view in views for array in (view.cloud.coords, view.cloud.feats, view.cloud.xyz)]
    return [*clouds, *(view.pixel2voxel for view in views), pair.source_pixels, pair.target_pixels, pair.true_xyz]


def test_two_passes_are_identical_in_any_order(pairs: MatchingPairs) -> None:
    """Pitfall: augmentation, or a running generator, left on in validation."""
    first = [arrays(pairs[k]) for k in range(len(pairs))]
    second = [arrays(pairs[k]) for k in reversed(range(len(pairs)))][::-1]
    for a, b in zip(first, second, strict=True):
        for x, y in zip(a, b, strict=True):
            np.testing.assert_array_equal(x, y)


def test_pairs_are_few_and_spread_over_all(pairs: MatchingPairs) -> None:
    assert len(pairs) == 4 and len(set(pairs.pairs)) == 4
    assert pairs.pairs[0][1] == 0 and pairs.pairs[-1][2] == 5


def test_rotated_views_differ_in_voxels_and_keep_their_place_in_the_world(pairs: MatchingPairs) -> None:
    pair = pairs[0]
    for aligned, rotated in zip(pair.views["aligned"], pair.views["rotated"], strict=True):
        assert not np.array_equal(aligned.cloud.coords, rotated.cloud.coords)
        seen = aligned.pixel2voxel >= 0
        np.testing.assert_array_equal(seen, rotated.pixel2voxel >= 0)
        places = [view.cloud.xyz[view.pixel2voxel[seen]] for view in (aligned, rotated)]
        assert np.linalg.norm(places[0] - places[1], axis=1).max() < 0.2 * np.sqrt(3)
        assert np.abs(rotated.cloud.coords[:, 2].min() - aligned.cloud.coords[:, 2].min()) <= 1  # about the up axis
    turns = [view.cloud.coords for view in pair.views["rotated"]]
    assert not np.array_equal(*(t[: min(map(len, turns))] for t in turns))


def test_the_true_place_is_near_the_voxels_of_both_pixels(pairs: MatchingPairs) -> None:
    for k in range(len(pairs)):
        pair = pairs[k]
        assert 0 < len(pair.source_pixels) <= 200
        for protocol in PROTOCOLS:
            for view, pixels in zip(pair.views[protocol], (pair.source_pixels, pair.target_pixels), strict=True):
                rows = view.pixel2voxel[pixels[:, 0], pixels[:, 1]]
                assert (rows >= 0).all()
                apart = np.linalg.norm(view.cloud.xyz[rows] - pair.true_xyz, axis=1)
                assert np.quantile(apart, 0.98) < 0.2


def test_nothing_is_masked_or_recoloured(pairs: MatchingPairs) -> None:
    pair = pairs[0]
    for frame, view in zip(pair.frames, pair.views["rotated"], strict=True):
        seen = view.pixel2voxel >= 0
        assert not view.cloud.masked.any()
        np.testing.assert_allclose(view.cloud.feats.min() >= -0.5, True)
        single = np.bincount(view.pixel2voxel[seen], minlength=len(view.cloud.coords)) == 1
        rows = view.pixel2voxel[seen]
        own = single[rows]
        np.testing.assert_allclose(view.cloud.feats[rows[own]], frame.color[seen][own] / 255 - 0.5, atol=1e-6)


def test_frames_without_a_common_surface_make_an_empty_pair(pairs: MatchingPairs) -> None:
    """Pitfall: a pair without matches."""
    blind = replace(room_frame(1), depth=np.zeros((48, 64), np.float32))
    other = object.__new__(MatchingPairs)
    other.__dict__.update(pairs.__dict__, sources=[[room_frame(0), blind]], pairs=[(0, 0, 1)])
    pair = other[0]
    assert pair.source_pixels.shape == pair.target_pixels.shape == (0, 2) and pair.true_xyz.shape == (0, 3)


def test_no_qualifying_pair_and_wrong_numbers_are_input_errors(room_folder: Path) -> None:
    frames = FrameFolder(str(room_folder), size=(64, 48), up="z")
    with pytest.raises(
        InputError, match=r"nothing to measure on \(their overlaps are 0\.\d+ to .*Widen MatchingPairs.overlap"
    ):
        MatchingPairs(frames, overlap=(0.9999, 1.0))
    with pytest.raises(InputError, match="max_pairs = 0"):
        MatchingPairs(frames, max_pairs=0)


def angle_of(view: EncodedView) -> float:
    """By which a view's cloud was turned about z: the rotation that best takes its world places to its voxels."""
    a, b = view.cloud.xyz[:, :2], (view.cloud.coords[:, :2] + 0.5) * 0.1
    a, b = a - a.mean(0), b - b.mean(0)
    return float(np.arctan2((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum(), (a * b).sum()))


@pytest.fixture(scope="module")
def frames(room_folder: Path) -> FrameFolder:
    return FrameFolder(str(room_folder), size=(64, 48), up="z")


def test_the_rotated_protocol_turns_the_two_views_against_each_other(frames: FrameFolder) -> None:
    """Under one turn of both it would be the aligned protocol again."""
    pairs = MatchingPairs(frames, voxel_size=0.1, max_pairs=6, matches=20)
    turns = [[angle_of(view) for view in pairs[k].views["rotated"]] for k in range(len(pairs))]
    apart = [abs((a - b + np.pi) % (2 * np.pi) - np.pi) for a, b in turns]
    assert min(apart) > 1e-3 and max(apart) > 0.5
    assert all(abs(angle_of(view)) < 0.05 for k in range(len(pairs)) for view in pairs[k].views["aligned"])
    other = MatchingPairs(frames, voxel_size=0.1, max_pairs=6, matches=20, seed=1)
    assert angle_of(other[0].views["rotated"][0]) != pytest.approx(turns[0][0], abs=1e-3)
    assert not np.array_equal(other[0].source_pixels, pairs[0].source_pixels)


def test_readings_beyond_the_range_are_measured_by_nothing(frames: FrameFolder) -> None:
    pairs = MatchingPairs(frames, voxel_size=0.1, max_pairs=3, max_depth=2.0)
    for k in range(len(pairs)):
        pair = pairs[k]
        for frame, pixels in zip(pair.frames, (pair.source_pixels, pair.target_pixels), strict=True):
            assert len(pixels) and frame.depth[pixels[:, 0], pixels[:, 1]].max() <= 2.0


def test_few_pairs_are_spread_evenly_over_all(frames: FrameFolder) -> None:
    every = MatchingPairs(frames, voxel_size=0.1, max_pairs=1000).pairs
    three = MatchingPairs(frames, voxel_size=0.1, max_pairs=3).pairs
    assert len(every) >= 7 and [three[0], three[-1]] == [every[0], every[-1]]
    assert abs(every.index(three[1]) - (len(every) - 1) / 2) <= 1


def test_the_true_place_is_the_target_pixels_own_reading(frames: FrameFolder) -> None:
    pair = MatchingPairs(frames, voxel_size=0.1, max_pairs=1)[0]
    xyz, pixels = unproject_depth(pair.frames[1].depth, pair.frames[1].camera)
    image = np.full((48, 64, 3), np.nan)
    image[pixels[:, 0], pixels[:, 1]] = transform_points(pair.frames[1].T_world_cam, xyz.astype(np.float64))
    np.testing.assert_allclose(pair.true_xyz, image[pair.target_pixels[:, 0], pair.target_pixels[:, 1]], atol=1e-5)
