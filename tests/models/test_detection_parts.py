"""Parts of the detection heads: farthest points, groups, turned boxes as numbers, candidates, decoder levels."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sparse3d.errors import InputError
from sparse3d.models.detection.box_coding import encode_turn, sizes_and_yaw
from sparse3d.models.detection.candidates import boxes_by_item
from sparse3d.models.detection.decoder_levels import (
    check_strides,
    decoder_levels,
    first_children,
    freeze_below,
    level_channels,
)
from sparse3d.models.detection.point_groups import ball_groups, dense_rows, farthest_points, gathered
from sparse3d.models.resunet import SRUNet
from sparse3d.sparse import SparseTensor


def farthest_by_loops(xyz: np.ndarray, count: int) -> list[int]:
    taken = [0]
    while len(taken) < count:
        apart = [min(((p - xyz[t]) ** 2).sum() for t in taken) for p in xyz]
        taken.append(int(np.argmax(apart)))
    return taken


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 12))
def test_farthest_points_are_those_of_a_loop(seed: int, batch: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 30, batch)
    xyz, valid = torch.zeros(batch, 30, 3), torch.zeros(batch, 30, dtype=torch.bool)
    for b, size in enumerate(sizes):
        xyz[b, :size] = torch.from_numpy(rng.integers(-8, 9, (size, 3)).astype(np.float32))  # ties are exact
        valid[b, :size] = True
    taken = farthest_points(xyz, valid, count)
    for b, size in enumerate(sizes):
        assert taken[b].tolist() == farthest_by_loops(xyz[b, :size].numpy(), count)


def test_a_cloud_with_fewer_points_than_asked_gives_all_of_them_again_and_again() -> None:
    taken = farthest_points(torch.rand(1, 3, 3), torch.ones(1, 3, dtype=torch.bool), 7)[0]
    assert set(taken[:3].tolist()) == {0, 1, 2} and set(taken.tolist()) == {0, 1, 2}


def test_farthest_points_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="without any point"):
        farthest_points(torch.zeros(1, 0, 3), torch.zeros(1, 0, dtype=torch.bool), 3)


def test_dense_rows_hold_every_row_once_by_cloud() -> None:
    item = torch.tensor([2, 0, 2, 0, 0])
    assert dense_rows(item, 4).tolist() == [[1, 3, 4], [-1, -1, -1], [0, 2, -1], [-1, -1, -1]]


def test_a_group_holds_the_nearest_within_the_radius_and_fills_up_with_the_nearest() -> None:
    points = torch.tensor([[[0.0, 0, 0], [0.1, 0, 0], [0.25, 0, 0], [5, 0, 0]]])
    groups = ball_groups(torch.tensor([[[0.0, 0, 0], [9, 0, 0]]]), points, 0.3, 4)
    assert groups.tolist() == [[[0, 1, 2, 0], [3, 3, 3, 3]]]
    assert gathered(points, groups).shape == (1, 2, 4, 3)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0.1, 4), st.floats(0.1, 4), st.floats(0.1, 3), st.floats(-7, 7)), min_size=1, max_size=5
    )
)
def test_a_turned_box_comes_back_as_the_same_box(rows: list[tuple[float, float, float, float]]) -> None:
    table = torch.tensor(rows, dtype=torch.float64)
    total, turn = encode_turn(table[:, :3], table[:, 3])
    size, yaw = sizes_and_yaw(torch.stack([total, torch.ones_like(total), table[:, 2]], dim=1), turn)
    length, width = table[:, 0], table[:, 1]
    assert torch.allclose(size[:, 0], torch.maximum(length, width)) and torch.allclose(size[:, 2], table[:, 2])
    assert torch.allclose(size[:, 1], torch.minimum(length, width))
    # The longer edge lies as it did, up to half a turn; a square has no direction.
    true_yaw = table[:, 3] + (width > length) * math.pi / 2
    apart = torch.sin(yaw - true_yaw).abs()
    assert bool((apart < 1e-5)[(length / width).log().abs() > 1e-3].all())


def test_boxes_that_are_the_same_have_the_same_numbers() -> None:
    size, yaw = torch.tensor([[2.0, 1.0, 1.0]]), torch.tensor([0.3])
    total, turn = encode_turn(size, yaw)
    for other_size, other_yaw in ((size[:, [1, 0, 2]], yaw + math.pi / 2), (size, yaw + math.pi)):
        other_total, other_turn = encode_turn(other_size, other_yaw)
        assert torch.allclose(other_total, total) and torch.allclose(other_turn, turn, atol=1e-6)


def test_candidates_are_the_best_pairs_of_place_and_class() -> None:
    table = torch.tensor([[float(k), 0, 0, 1, 1, 1, 0] for k in range(4)])
    table[3, 4] = torch.nan
    scores = torch.tensor([[0.9, 0.3], [0.1, 0.5], [0.2, 0.01], [0.99, 0.99]])
    first, second, third = boxes_by_item(table, scores, torch.tensor([0, 0, 2, 0]), 3, 0.05, 3)
    assert first.center[:, 0].tolist() == [0, 1, 0] and first.label.tolist() == [0, 1, 1]  # the broken box is out
    assert len(second) == 0 and second.score is not None
    assert third.label.tolist() == [0] and third.center[:, 0].tolist() == [2]


def small_input(seed: int = 0) -> SparseTensor:
    rng = np.random.default_rng(seed)
    coords = np.unique(rng.integers(0, 24, (600, 3)), axis=0)
    coords = np.concatenate([np.zeros((len(coords), 1)), coords], axis=1).astype(np.int32)
    return SparseTensor.from_coords(torch.from_numpy(coords), torch.rand(len(coords), 3))


def test_what_a_hook_keeps_of_a_decoder_level_is_not_written_over() -> None:
    torch.manual_seed(0)
    net, kept = SRUNet(spec="SRUNet14-CPU", stem_kernel_size=3).eval(), []
    net.convtr4p16s2.register_forward_hook(lambda module, inputs, output: kept.append(output.feats))
    coords = torch.cat([torch.zeros(200, 1), torch.randint(0, 20, (200, 3))], dim=1).int().unique(dim=0)
    with torch.no_grad():
        decoder_levels(net, SparseTensor.from_coords(coords, torch.randn(len(coords), 3)), 4)
    assert float(kept[0].min()) < 0, "normalised and without negatives: written over"


def test_decoder_levels_are_the_networks_own() -> None:
    torch.manual_seed(0)
    net = SRUNet(spec="SRUNet14-CPU").eval()
    x = small_input()
    with torch.no_grad():
        levels = decoder_levels(net, x, 1)
        assert torch.equal(levels[1].feats, net(x).feats)
        assert sorted(levels) == [1, 2, 4, 8, 16]
        assert sorted(decoder_levels(net, x, 4)) == [4, 8, 16]
    for stride, level in levels.items():
        assert level.tensor_stride == (stride,) * 3 and level.feats.shape[1] == level_channels(net, stride)


def test_what_is_not_used_is_not_trained() -> None:
    net = SRUNet(spec="SRUNet14-CPU")
    freeze_below(net, 4)
    out = decoder_levels(net, small_input(), 4)[4]
    out.feats.sum().backward()
    for name, parameter in net.named_parameters():
        assert parameter.requires_grad == (parameter.grad is not None), name


@pytest.mark.parametrize("strides", [(), (3,), (4, 4), (8, 4), (2, 8), (16, 32)])
def test_strides_that_make_no_pyramid_are_refused(strides: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match="each twice the one before"):
        check_strides(strides, "SparseHead.strides")


@pytest.mark.parametrize("stride", [1, 2, 4])
def test_the_first_children_are_the_first_rows_that_lie_in_a_voxel(stride: int) -> None:
    rng = np.random.default_rng(stride)
    cells = np.unique(rng.integers(-9, 10, (400, 3)), axis=0)
    rng.shuffle(cells)
    coords = torch.from_numpy(np.concatenate([np.arange(len(cells))[:, None] % 2, cells], axis=1)).int()
    x = SparseTensor.from_coords(coords, torch.zeros(len(coords), 1), 2)
    key = x.manager.strided(x.key, (stride,) * 3) if stride > 1 else x.key
    level = x.at(key, torch.zeros(len(x.manager.coordinates(key)), 1))
    floors = coords.clone()
    floors[:, 1:] = torch.div(coords[:, 1:], stride, rounding_mode="floor") * stride
    rows = first_children(level, x).tolist()
    for row, voxel in zip(rows, level.coords.tolist(), strict=True):
        assert row == min(k for k, floor in enumerate(floors.tolist()) if floor == voxel)
