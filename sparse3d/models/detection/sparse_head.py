"""The anchor-free head: every voxel of a few coarse levels says what object it belongs to, and that object's box.

In the line of FCAF3D (Rukhovich, Vorontsova, Konushin, ECCV 2022) and TR3D (same authors, ICIP 2023): voxels are made
where an object's middle may lie empty, the best of them are kept, and there are no anchors and no votes.
"""

from __future__ import annotations

from collections.abc import Sequence

import gin
import torch
from torch import Tensor, nn

from sparse3d.checks import at_least, in_range, positive, require
from sparse3d.detection_types import CellPredictions
from sparse3d.models.detection.box_coding import sizes_and_yaw
from sparse3d.models.detection.candidates import boxes_by_item
from sparse3d.models.detection.decoder_levels import (
    COARSEST,
    STRIDES,
    check_strides,
    decoder_levels,
    freeze_below,
    level_channels,
)
from sparse3d.models.detection.detection_net import DetectionHead
from sparse3d.models.resunet import SRUNet
from sparse3d.sparse import BatchNorm, Convolution, GenerativeConvolutionTranspose, Pruning, SparseTensor
from sparse3d.types import Boxes

LONGEST = 4.0  # exponent of a size: e^4 cells, so that a wild start gives no infinity


@gin.configurable
class SparseHead(DetectionHead):
    """Class scores and one box a cell, on levels of the decoder that are widened by made voxels.

    Args:
        backbone: whose levels are read.
        classes: how many.
        voxel_size: metres, of the input.
        strides: of the levels that boxes are found on, from fine to coarse, each twice the one before.
        hidden: channels.
        oriented: boxes turned about z.
        most_voxels: of one level and batch; where more are made, those that the coarser level thinks least of go.
        bn_momentum: of the batch normalisations.
        prior: score of every class at the start.
        score: candidates below are no boxes.
        most_boxes: candidates of one cloud, the best, before doubles are dropped: a large object alone has hundreds.
    """

    def __init__(
        self,
        backbone: SRUNet,
        classes: int,
        voxel_size: float = 0.05,
        strides: Sequence[int] = (4, 8),
        hidden: int = 64,
        oriented: bool = False,
        most_voxels: int = 100_000,
        bn_momentum: float = 0.1,
        prior: float = 0.01,
        score: float = 0.02,
        most_boxes: int = 2000,
    ) -> None:
        super().__init__()
        self.strides = check_strides(strides, "SparseHead.strides")
        positive("SparseHead.voxel_size", voxel_size, "metres")
        require(0 < prior < 1, "SparseHead.prior", prior, "in (0, 1)")
        at_least("SparseHead.most_voxels", most_voxels, 8)
        at_least("SparseHead.most_boxes", most_boxes, 1)
        in_range("SparseHead.score", score, 0, 1)
        at_least("SparseHead.hidden", hidden, 1)
        in_range("SparseHead.bn_momentum", bn_momentum, 0, 1)
        self.voxel_size, self.oriented, self.most_voxels = voxel_size, oriented, most_voxels
        self.score, self.most_boxes = score, most_boxes
        freeze_below(backbone, self.strides[0])
        made = [s for s in STRIDES[:-1] if s >= self.strides[0]]
        self.lateral = nn.ModuleDict(
            {str(s): Convolution(level_channels(backbone, s), hidden, 1) for s in (*made, COARSEST)}
        )
        self.lateral_norm = nn.ModuleDict({str(s): BatchNorm(hidden, momentum=bn_momentum) for s in (*made, COARSEST)})
        self.up = nn.ModuleDict({str(s): GenerativeConvolutionTranspose(hidden, hidden, 2, stride=2) for s in made})
        self.mix = nn.ModuleDict({str(s): Convolution(hidden, hidden, 3) for s in made})
        self.mix_norm = nn.ModuleDict({str(s): BatchNorm(hidden, momentum=bn_momentum) for s in made})
        self.tower = nn.ModuleDict({str(s): Convolution(hidden, hidden, 3) for s in self.strides})
        self.tower_norm = nn.ModuleDict({str(s): BatchNorm(hidden, momentum=bn_momentum) for s in self.strides})
        self.classify = nn.Linear(hidden, classes)
        self.regress = nn.Linear(hidden, 8 if oriented else 6)
        self.prune = Pruning()
        nn.init.normal_(self.classify.weight, std=0.01)
        nn.init.constant_(self.classify.bias, -float(torch.log(torch.tensor((1 - prior) / prior))))
        nn.init.normal_(self.regress.weight, std=0.01)
        nn.init.zeros_(self.regress.bias)

    def forward(self, backbone: SRUNet, x: SparseTensor, xyz: Tensor) -> CellPredictions:
        """What every cell says; ``xyz`` is not needed, as boxes are told from the cells' middles."""
        levels = decoder_levels(backbone, x, self.strides[0])
        parts: list[tuple[int, SparseTensor, Tensor]] = []
        out = self._lateral(levels[COARSEST], COARSEST)
        for stride in (s for s in STRIDES[::-1] if s >= self.strides[0]):
            name = str(stride)
            if stride < COARSEST:
                joined = self._lateral(levels[stride], stride) + self.up[name](out)
                out = self.mix_norm[name](self.mix[name](joined), relu=True)
            logits = None
            if stride in self.strides:
                found = self.tower_norm[name](self.tower[name](out), relu=True)
                logits = self.classify(found.feats)
                parts.append((stride, found, logits))
            if stride > self.strides[0]:
                out = self._pruned(out, logits)
        return self._predictions(parts[::-1])

    def detect(self, output: CellPredictions, batch_size: int) -> list[Boxes]:
        """The candidates of each cloud, the best first: a cell may stand for several classes."""
        size, yaw = sizes_and_yaw(output.size, output.turn)
        table = torch.cat([output.center, size, yaw[:, None]], dim=1)
        return boxes_by_item(table, output.logits.sigmoid(), output.item, batch_size, self.score, self.most_boxes)

    def _lateral(self, x: SparseTensor, stride: int) -> SparseTensor:
        narrowed: SparseTensor = self.lateral_norm[str(stride)](self.lateral[str(stride)](x), relu=True)
        return narrowed

    def _pruned(self, out: SparseTensor, logits: Tensor | None) -> SparseTensor:
        """At most an eighth of ``most_voxels``, as each makes eight."""
        most = self.most_voxels // 8
        if len(out) <= most:
            return out
        worth = out.feats.detach().norm(dim=1) if logits is None else logits.detach().amax(dim=1)
        keep = torch.zeros(len(out), dtype=torch.bool, device=worth.device)
        keep[worth.argsort(descending=True, stable=True)[:most]] = True
        pruned: SparseTensor = self.prune(out, keep)
        return pruned

    def _predictions(self, parts: list[tuple[int, SparseTensor, Tensor]]) -> CellPredictions:
        cells = tuple(stride * self.voxel_size for stride, _, _ in parts)
        points, items, levels, centers, sizes, turns = [], [], [], [], [], []
        for level, ((stride, found, _), cell) in enumerate(zip(parts, cells, strict=True)):
            point = (found.coords[:, 1:].to(found.feats.dtype) + stride / 2) * self.voxel_size
            told = self.regress(found.feats)
            edges = told[:, 3:6].clamp(-LONGEST, LONGEST).exp() * (2 * cell)
            points.append(point)
            items.append(found.batch_index)
            levels.append(torch.full_like(items[-1], level))
            centers.append(point + told[:, :3] * cell)
            sizes.append(edges)
            turns.append(told[:, 6:])
        return CellPredictions(
            point=torch.cat(points),
            item=torch.cat(items),
            level=torch.cat(levels),
            cells=cells,
            logits=torch.cat([logits for _, _, logits in parts]).float(),
            center=torch.cat(centers).float(),
            size=torch.cat(sizes).float(),
            turn=torch.cat(turns).float() if self.oriented else None,
        )
