"""The candidates that a head hands to non-maximum suppression."""

from __future__ import annotations

import numpy as np
import torch

from sparse3d.detection_types import VotePredictions
from sparse3d.models.detection.votenet_head import VoteNetHead
from sparse3d.models.resunet import SRUNet
from sparse3d.tasks.detection_evaluation import cleaned
from sparse3d.types import Boxes

PROPOSALS, CLASSES = 1024, 3


def crowded() -> VotePredictions:
    """All proposals but the last stand on one large object; the last, a little less sure, on a small one elsewhere."""
    center = torch.zeros(1, PROPOSALS, 3)
    center[0, -1] = torch.tensor([3.0, 0.0, 0.0])
    objectness = torch.tensor([0.0, 8.0]).repeat(1, PROPOSALS, 1)
    objectness[0, -1, 1] = 4.0
    return VotePredictions(
        seed_row=torch.zeros(1, PROPOSALS, dtype=torch.int64),
        seed_xyz=center,
        vote_xyz=center,
        proposal_xyz=center,
        center=center,
        objectness=objectness,
        classes=torch.tensor([9.0, 0.0, 0.0]).repeat(1, PROPOSALS, 1),
        heading=torch.zeros(1, PROPOSALS, 1),
        heading_rest=torch.zeros(1, PROPOSALS, 1),
        size=torch.zeros(1, PROPOSALS, CLASSES),
        size_rest=torch.zeros(1, PROPOSALS, CLASSES, 3),
        mean_sizes=torch.ones(CLASSES, 3),
    )


def test_a_large_object_with_many_proposals_does_not_crowd_out_a_small_one() -> None:
    backbone = SRUNet(3, spec="SRUNet14-CPU", out_channels=16)
    head = VoteNetHead(backbone, CLASSES, proposals=PROPOSALS)
    (found,) = head.detect(crowded(), 1)
    points = np.array([[0.0, 0.0, 0.0], [3.0, 0.0, 0.0]]).repeat(5, axis=0)
    boxes = cleaned(found, points, min_points=5, nms_iou=0.25)
    assert sorted(boxes.center[boxes.label == 0][:, 0].round(3)) == [0.0, 3.0]


def test_an_empty_box_does_not_drive_out_one_that_holds_points() -> None:
    """VoteNet's protocol: boxes without points go first, doubles after them."""
    points = np.tile([[0.4, 0.0, 0.0]], (9, 1))
    empty, full = [-0.2, 0.0, 0.0], [0.2, 0.0, 0.0]  # of 1 m, and .43 of them in common
    boxes = Boxes(
        center=np.array([empty, full]),
        size=np.ones((2, 3)),
        yaw=np.zeros(2),
        label=np.zeros(2, dtype=np.int64),
        score=np.array([0.9, 0.5]),
    )
    (left,) = cleaned(boxes, points, min_points=5, nms_iou=0.25).center
    np.testing.assert_allclose(left, full)
