"""The VoteNet head on voxel features: seeds vote for the middles of objects, and groups of votes propose boxes.

Source: Qi, Litany, He, Guibas, "Deep Hough Voting for 3D Object Detection in Point Clouds" (ICCV 2019), with the
SR-UNet in place of PointNet++, as PointContrast (Xie et al., ECCV 2020) compares pre-trainings.
"""

from __future__ import annotations

from math import pi

import gin
import torch
from torch import Tensor, nn

from sparse3d.checks import at_least, in_range, positive
from sparse3d.detection_types import VotePredictions
from sparse3d.models.detection.candidates import boxes_by_item
from sparse3d.models.detection.decoder_levels import (
    check_strides,
    decoder_levels,
    first_children,
    freeze_below,
    level_channels,
)
from sparse3d.models.detection.detection_net import DetectionHead
from sparse3d.models.detection.point_groups import ball_groups, dense_rows, farthest_points, gathered
from sparse3d.models.resunet import SRUNet
from sparse3d.sparse import SparseTensor
from sparse3d.sparse.batch_norm import SynchronizedBatchNorm1d
from sparse3d.types import Boxes

SHORTEST = 0.01  # metres: a predicted edge is at least so long


class SharedMlp(nn.Module):
    """Linear layers with batch normalisation and ReLU over the last axis of (..., C); ``last`` adds a plain layer."""

    def __init__(self, widths: list[int], last: int | None, momentum: float) -> None:
        super().__init__()
        pairs = list(zip(widths, widths[1:], strict=False))
        self.layers = nn.ModuleList(nn.Linear(a, b, bias=False) for a, b in pairs)
        self.norms = nn.ModuleList(SynchronizedBatchNorm1d(b, momentum=momentum) for _, b in pairs)
        self.last = None if last is None else nn.Linear(widths[-1], last)

    def forward(self, x: Tensor) -> Tensor:
        shape, x = x.shape, x.reshape(-1, x.shape[-1])
        for layer, norm in zip(self.layers, self.norms, strict=True):
            x = norm(layer(x), relu=True)
        x = x if self.last is None else self.last(x)
        return x.reshape(*shape[:-1], x.shape[-1])


@gin.configurable
class VoteNetHead(DetectionHead):
    """Seeds, votes, groups and proposals.

    Args:
        backbone: whose features of the input's voxels are read.
        classes: how many.
        seeds: voxels of each cloud that vote, chosen by farthest point sampling.
        stride: of the decoder's level whose features the seeds have: 1 reads the network to its end, as published; at 2
            one voxel of every eight may be a seed, and the decoder's last, dearest stage is not run (nor trained).
        proposals: groups of each cloud, around votes chosen likewise.
        radius: of a group, metres.
        group: votes a group.
        hidden: width of the proposals' layers.
        heading_bins: directions; 1 for boxes along the axes.
        bn_momentum: of the batch normalisations.
        score: candidates below are no boxes.
        most_boxes: candidates of one cloud, the best, before doubles are dropped: a large object alone has hundreds.
    """

    def __init__(
        self,
        backbone: SRUNet,
        classes: int,
        seeds: int = 1024,
        proposals: int = 256,
        radius: float = 0.3,
        group: int = 16,
        stride: int = 1,
        hidden: int = 128,
        heading_bins: int = 1,
        bn_momentum: float = 0.1,
        score: float = 0.02,
        most_boxes: int = 2000,
    ) -> None:
        super().__init__()
        counts = {"seeds": seeds, "proposals": proposals, "group": group, "most_boxes": most_boxes}
        for option, count in (counts | {"heading_bins": heading_bins}).items():
            at_least(f"VoteNetHead.{option}", count, 1)
        positive("VoteNetHead.radius", radius, "metres")
        in_range("VoteNetHead.score", score, 0, 1)
        at_least("VoteNetHead.hidden", hidden, 1)
        in_range("VoteNetHead.bn_momentum", bn_momentum, 0, 1)
        self.seeds, self.proposals, self.radius, self.group = seeds, proposals, radius, group
        self.bins, self.score, self.most_boxes, self.classes = heading_bins, score, most_boxes, classes
        (self.stride,) = check_strides((stride,), "VoteNetHead.stride")
        width = backbone.out_channels if stride == 1 else level_channels(backbone, stride)
        if stride > 1:
            freeze_below(backbone, stride)
        self.vote = SharedMlp([width, width, width], 3 + width, bn_momentum)
        self.pool = SharedMlp([width + 3, hidden, hidden, hidden], None, bn_momentum)
        self.propose = SharedMlp(
            [hidden, hidden, hidden], 2 + 3 + 2 * heading_bins + 4 * classes + classes, bn_momentum
        )
        # A seed votes for where it is, and a proposal for the middle of its group, until they know better.
        for last, first, count in ((self.vote.last, 0, 3), (self.propose.last, 2, 3)):
            assert last is not None
            nn.init.zeros_(last.weight[first : first + count])
            nn.init.zeros_(last.bias[first : first + count])
        # Means of the training set, given once (see `set_mean_sizes`) and kept in checkpoints.
        self.mean_sizes: Tensor
        self.sizes_known: Tensor
        self.register_buffer("mean_sizes", torch.ones(classes, 3))
        self.register_buffer("sizes_known", torch.zeros((), dtype=torch.bool))

    @property
    def needs_mean_sizes(self) -> bool:
        """Until they were given once; from then on they go with the network."""
        return not bool(self.sizes_known)

    def set_mean_sizes(self, sizes: Tensor) -> None:
        """Mean edges (C, 3) of each class's boxes, metres, all positive."""
        self.mean_sizes.copy_(sizes)
        self.sizes_known.fill_(True)

    def forward(self, backbone: SRUNet, x: SparseTensor, xyz: Tensor) -> VotePredictions:
        """Votes and proposals; ``xyz`` (V, 3) metres is where the voxels' points lie."""
        features = backbone(x) if self.stride == 1 else decoder_levels(backbone, x, self.stride)[self.stride]
        voxel = first_children(features, x)  # of the input, that stands for a voxel of the level
        rows = dense_rows(features.batch_index, x.batch_size)
        places = gathered(xyz[voxel][None].float(), rows.clamp(min=0).reshape(1, -1)).reshape(*rows.shape, 3)
        chosen = rows.gather(1, farthest_points(places, rows >= 0, self.seeds)).clamp(min=0)
        seed_row, seed_features = voxel[chosen], features.feats[chosen]
        seed_xyz = xyz[seed_row].float()
        told = self.vote(seed_features)
        vote_xyz = seed_xyz + told[..., :3].float()
        votes = nn.functional.normalize(seed_features + told[..., 3:], dim=2, eps=1e-6)
        taken = farthest_points(vote_xyz.detach(), torch.ones_like(seed_row, dtype=torch.bool), self.proposals)
        middle = gathered(vote_xyz, taken)
        members = ball_groups(middle.detach(), vote_xyz.detach(), self.radius, self.group)
        away = (gathered(vote_xyz, members) - middle[:, :, None]) / self.radius
        pooled = self.pool(torch.cat([away.to(votes), gathered(votes, members)], dim=3)).amax(dim=2)
        return self._predictions(self.propose(pooled).float(), seed_row, seed_xyz, vote_xyz, middle)

    def _predictions(
        self, told: Tensor, seed_row: Tensor, seed_xyz: Tensor, vote_xyz: Tensor, middle: Tensor
    ) -> VotePredictions:
        bins, classes = self.bins, self.classes
        parts = told.split([2, 3, bins, bins, classes, 3 * classes, classes], dim=2)
        objectness, offset, heading, heading_rest, size, size_rest, names = parts
        return VotePredictions(
            seed_row=seed_row,
            seed_xyz=seed_xyz,
            vote_xyz=vote_xyz,
            proposal_xyz=middle,
            center=middle + offset,
            objectness=objectness,
            classes=names,
            heading=heading,
            heading_rest=heading_rest,
            size=size,
            size_rest=size_rest.reshape(*size_rest.shape[:2], classes, 3),
            mean_sizes=self.mean_sizes,
        )

    def detect(self, output: VotePredictions, batch_size: int) -> list[Boxes]:
        """The candidates of each cloud, the best first: every proposal stands for every class, as in VoteNet."""
        table = torch.cat([output.center, decoded_sizes(output), decoded_yaw(output)[..., None]], dim=2).flatten(0, 1)
        scores = output.objectness.softmax(dim=2)[..., 1:] * output.classes.softmax(dim=2)
        item = torch.arange(batch_size, device=table.device).repeat_interleave(output.center.shape[1])
        return boxes_by_item(table, scores.flatten(0, 1), item, batch_size, self.score, self.most_boxes)


def decoded_sizes(output: VotePredictions) -> Tensor:
    """Edges (B, P, 3), metres: the best bin's mean with its rest."""
    best = output.size.argmax(dim=2)
    rest = output.size_rest.gather(2, best[..., None, None].expand(-1, -1, 1, 3)).squeeze(2)
    return (output.mean_sizes[best] * (1 + rest)).clamp(min=SHORTEST)


def decoded_yaw(output: VotePredictions) -> Tensor:
    """Radians (B, P): the best bin's middle with its rest; 0 where there is one bin."""
    bins = output.heading.shape[2]
    if bins == 1:
        return output.center.new_zeros(output.center.shape[:2])
    best = output.heading.argmax(dim=2)
    rest = output.heading_rest.gather(2, best[..., None]).squeeze(2)
    return best * (2 * pi / bins) + rest * (pi / bins)
