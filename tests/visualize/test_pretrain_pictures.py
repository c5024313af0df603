"""Pictures of a validation pair: there for every form of the task, repeatable, and true to the matching recall."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sparse3d.data.clouds import frame_points, voxelize_frames
from sparse3d.data.matching_pairs import PROTOCOLS, EncodedView, MatchingPair
from sparse3d.data.view_sets import match_frames
from sparse3d.geometry import transform_points
from sparse3d.models.pretrain_net import PretrainNet, VoxelFeatures
from sparse3d.models.resunet import SRUNet
from sparse3d.models.student import Student2D
from sparse3d.tasks.pretrain_pictures import TOLERANCE, find_matches, validation_pictures, voxel_pixels
from sparse3d.types import Camera, Frame, VoxelBatch

CAMERA = Camera(fx=40.0, fy=36.0, cx=31.5, cy=23.5, width=64, height=48)
CPU = torch.device("cpu")


def wall_frame(shift: float, name: str) -> Frame:
    """A textured wall 2 m ahead, the camera ``shift`` metres to the right."""
    rng = np.random.default_rng(0)
    pose = np.array([(1, 0, 0, shift), (0, 0, 1, 0), (0, -1, 0, 1), (0, 0, 0, 1)], dtype=np.float64)
    color = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    depth = np.full((48, 64), 2.0, np.float32)
    depth[:5, :9] = 0
    return Frame(name, CAMERA, color, depth, pose)


def wall_pair(shift: float = 0.3, far: Sequence[int] = ()) -> MatchingPair:
    """``far``: views whose every reading is beyond the range that is looked at."""
    frames = (wall_frame(0.0, "a"), wall_frame(shift, "b"))
    for view in far:
        frames[view].depth[:] = 9.0
    pixels, targets = match_frames(*frames, 5.0)
    views = {}
    for protocol in PROTOCOLS:
        first, second = ((c, p[0]) for c, p in (voxelize_frames([frame_points(f)], 0.05) for f in frames))
        views[protocol] = (EncodedView(*first), EncodedView(*second))
    return MatchingPair(frames, views, pixels, targets, np.zeros((len(pixels), 3), np.float32))


def network(student: bool) -> PretrainNet:
    torch.manual_seed(0)
    backbone = SRUNet(spec="SRUNet14-CPU")
    taught = Student2D(backbone.out_channels, (5,), (16,), 4, hidden=8) if student else None
    return PretrainNet(backbone, 4, taught)


def task_with_teacher() -> SimpleNamespace:
    torch.manual_seed(1)
    return SimpleNamespace(
        kt_weight=1.0,
        teacher=SimpleNamespace(strides=(16,)),
        teacher_targets=lambda images, update_mean: [torch.randn(len(images), 5, 3, 4)],
    )


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("a task without knowledge transfer has no teacher to ask")


def test_a_task_with_a_teacher_shows_features_matches_and_errors_of_two_pairs() -> None:
    pictures = dict(validation_pictures(task_with_teacher(), network(True), [wall_pair(), wall_pair(0.4)], CPU))
    assert set(pictures) == {f"pair{k}/{what}" for k in (0, 1) for what in ("features", "matches", "match_error")}
    for picture in pictures.values():
        assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3


def test_a_task_without_teacher_and_heads_never_asks_for_one() -> None:
    task = SimpleNamespace(kt_weight=0.0, teacher_targets=refuse)
    pictures = dict(validation_pictures(task, network(False), [wall_pair()], CPU))
    assert set(pictures) == {"pair0/features", "pair0/matches", "pair0/match_error"}


def test_a_pair_without_a_true_match_has_pictures_all_the_same() -> None:
    pair = wall_pair(shift=50.0)
    assert len(pair.source_pixels) == 0
    assert len(dict(validation_pictures(task_with_teacher(), network(True), [pair], CPU))) == 3


@pytest.mark.parametrize("far", [[0], [1], [0, 1]])
@pytest.mark.parametrize("teacher", [True, False])
def test_a_pair_with_a_view_without_voxels_has_pictures_all_the_same(far: list[int], teacher: bool) -> None:
    task = task_with_teacher() if teacher else SimpleNamespace(kt_weight=0.0)
    pair = wall_pair(far=far)
    assert all(len(pair.views["aligned"][view].cloud.coords) == 0 for view in far)
    assert len(dict(validation_pictures(task, network(teacher), [pair], CPU))) == 3
    assert len(find_matches(network(teacher), pair, CPU).pixels) == 0


def test_pictures_are_the_same_every_time_and_leave_the_network_as_it_was() -> None:
    net, pair = network(False), wall_pair()
    task = SimpleNamespace(kt_weight=0.0)
    before = {name: value.clone() for name, value in net.state_dict().items()}
    once, again = (dict(validation_pictures(task, net, [pair], CPU)) for _ in range(2))
    for name in once:
        np.testing.assert_array_equal(once[name], again[name])
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_features_that_are_places_find_every_match() -> None:
    pair = wall_pair(shift=0.0)
    net = SimpleNamespace(encode=_places)
    found = find_matches(net, pair, CPU)
    assert len(found.pixels) > 50 and (found.pixels % 4 == 0).all()
    assert (found.error < TOLERANCE).all()


def _places(batch: VoxelBatch) -> VoxelFeatures:
    # Unit rows keep directions alone, so the places are seen from a point before the wall.
    places = batch.xyz - torch.tensor([0.0, 0.0, 1.0])
    return VoxelFeatures(taught=torch.zeros_like(places), compared=places)


def test_the_pixel_of_a_voxel_is_one_that_saw_it_and_lies_at_its_centre() -> None:
    pair = wall_pair()
    frame, view = pair.frames[1], pair.views["aligned"][1]
    voxels = np.unique(view.pixel2voxel[view.pixel2voxel >= 0])[::7]
    pixels = voxel_pixels(frame, view.pixel2voxel, view.cloud.xyz, voxels)
    np.testing.assert_array_equal(view.pixel2voxel[pixels[:, 0], pixels[:, 1]], voxels)
    depth = frame.depth[pixels[:, 0], pixels[:, 1]].astype(np.float64)
    seen = np.stack([(pixels[:, 1] - 31.5) / 40 * depth, (pixels[:, 0] - 23.5) / 36 * depth, depth], axis=1)
    distance = np.linalg.norm(transform_points(frame.T_world_cam, seen) - view.cloud.xyz[voxels], axis=1)
    assert distance.max() < 0.05


def test_the_teachers_colours_are_the_predictions() -> None:
    """A student that says exactly what the teacher says gets the same picture as the teacher."""
    from sparse3d.tasks.pretrain_pictures import feature_picture

    net, pair = network(True), wall_pair()
    target = torch.randn(2, 5, 3, 4)
    task = task_with_teacher()
    task.teacher_targets = lambda images, update_mean: [target]
    views = iter(target)
    net.predict_teacher = lambda projected: [(next(views)[None], torch.ones(1, 3, 4, dtype=torch.bool))]
    picture = feature_picture(task, net, pair, CPU)
    assert picture.shape[1] == 2 * 320 + 6
    tile, captioned = 240, (picture.shape[0] - 3 * 6) // 4
    teacher, predicted = (picture[row * (captioned + 6) + captioned - tile :][:tile, -320:] for row in (0, 1))
    np.testing.assert_array_equal(teacher, predicted)
