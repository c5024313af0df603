"""The pre-trained network: which cloud and which readout each loss sees, and what a masked voxel enters with."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from synthetic_room import room_frame

from sparse3d.data.augment import RandomShift
from sparse3d.data.clouds import Masking
from sparse3d.data.view_sets import ViewSets, collate_views
from sparse3d.models.correspondence import MatchingHead, RegressionHead
from sparse3d.models.pretrain_net import PretrainNet
from sparse3d.models.projection import project_features
from sparse3d.models.readout import Readout
from sparse3d.models.resunet import SPECS, ResUNetSpec, SRUNet
from sparse3d.models.student import Student2D
from sparse3d.types import ViewBatch, VoxelBatch

SPECS["tiny-net"] = ResUNetSpec((8,) * 8, (1,) * 8, stem=8)


@pytest.fixture(scope="module")
def batch() -> ViewBatch:
    """Two pairs of frames, as separate clouds and as a shared one; a part of the voxels is masked."""
    sets = object.__new__(ViewSets)
    sets.__dict__.update(
        cloud="both", voxel_size=0.12, max_depth=5.0, max_matches=100, augmentations=[RandomShift()],
        masking=Masking(0.3, 0.24, False),
    )  # fmt: skip
    frames = [room_frame(k) for k in range(4)]
    items = [sets.make_item(pair, np.random.default_rng(k)) for k, pair in enumerate((frames[:2], frames[2:]))]
    return collate_views(items, 4)


def net_of(kt: str = "encoder", mv: str = "encoder", **heads: Any) -> PretrainNet:
    torch.manual_seed(0)
    backbone = SRUNet(spec="tiny-net", stem_kernel_size=3)
    readouts = Readout(backbone, kt, channels=6), Readout(backbone, mv, channels=6)
    return PretrainNet(backbone, 4, kt_readout=readouts[0], mv_readout=readouts[1], **heads).eval()


def clouds(batch: ViewBatch) -> tuple[VoxelBatch, VoxelBatch]:
    assert batch.views is not None and batch.shared is not None
    return batch.views, batch.shared


@torch.no_grad()
def test_views_are_compared_alone_and_the_shared_cloud_is_taught(batch: ViewBatch) -> None:
    net, (views, shared) = net_of(), clouds(batch)
    output = net(batch)
    assert batch.view_cells is not None and batch.shared_cells is not None
    for found, wanted, cells in (
        (output.compared.maps, net.encode(views).compared, batch.view_cells),
        (output.taught.maps, net.encode(shared).taught, batch.shared_cells),
    ):
        torch.testing.assert_close(found, project_features(wanted, cells), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(output.compared.xyz, project_features(views.xyz, batch.view_cells))
    assert torch.equal(output.taught.mask, batch.shared_cells.mask)


@torch.no_grad()
@pytest.mark.parametrize(("kt", "mv"), [("encoder", "encoder"), ("encoder", "decoder"), ("decoder", "encoder")])
def test_each_side_has_its_own_readout_where_there_is_one_cloud(batch: ViewBatch, kt: str, mv: str) -> None:
    net, (views, _) = net_of(kt, mv), clouds(batch)
    output = net(replace(batch, shared=None, shared_cells=None))
    feats = net.encode(views)
    assert batch.view_cells is not None and not torch.equal(feats.taught[:, :6], feats.compared[:, :6])
    torch.testing.assert_close(output.taught.maps, project_features(feats.taught, batch.view_cells))
    torch.testing.assert_close(output.compared.maps, project_features(feats.compared, batch.view_cells))


@torch.no_grad()
def test_masked_voxels_enter_with_the_token_and_the_others_with_their_colour(batch: ViewBatch) -> None:
    net, (views, _) = net_of(), clouds(batch)
    assert views.masked is not None and 0 < int(views.masked.sum()) < len(views.masked)
    net.mask_token.copy_(torch.tensor([5.0, 6.0, 7.0]))
    expected = torch.where(views.masked[:, None], net.mask_token, views.feats)
    by_hand = net.encode(replace(views, feats=expected, masked=None)).taught
    torch.testing.assert_close(net.encode(views).taught, by_hand)
    hidden = replace(views, feats=torch.where(views.masked[:, None], torch.rand(3), views.feats))
    assert torch.equal(net.encode(hidden).taught, net.encode(views).taught)  # what is masked is not seen


@torch.no_grad()
def test_the_student_sees_the_taught_maps_and_the_head_the_compared_ones_in_order(batch: ViewBatch) -> None:
    torch.manual_seed(1)
    student = Student2D(6, (4,), (8,), 4)
    for head in (MatchingHead(6, 5), RegressionHead(6, 8)):
        net = net_of(head=head, student=student)
        output = net(batch)
        maps, mask = output.compared.maps, output.compared.mask
        if isinstance(head, MatchingHead):
            torch.testing.assert_close(output.answer.rows, head.unit_rows(maps.movedim(2, -1)))
            assert float(output.answer.scale) == float(head.scale)
        else:
            assert set(output.answer) == {(0, 1), (1, 0)}
            for (i, j), found in output.answer.items():
                torch.testing.assert_close(found, head.located(maps[:, i], mask[:, i], maps[:, j], mask[:, j]))
        told = output.predictions[0]
        wanted = student(output.taught.maps.flatten(0, 1), output.taught.mask.flatten(0, 1))[0]
        assert torch.equal(told[1], wanted[1])
        torch.testing.assert_close(told[0], wanted[0])
