"""The network that is pre-trained: backbone, mask token, 2D student and correspondence head; no losses."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.profiler import record_function

from sparse3d.models.projection import ProjectedViews, project_features
from sparse3d.models.readout import Readout
from sparse3d.models.resunet import SRUNet
from sparse3d.models.student import Student2D
from sparse3d.sparse import SparseTensor
from sparse3d.types import MapCells, ViewBatch, VoxelBatch


@dataclass
class PretrainOutput:
    """What the losses need; the parts that the configuration leaves out are None."""

    taught: ProjectedViews  # what the student reads: from the shared cloud where there is one
    compared: ProjectedViews  # what views are compared by: from separate clouds where there are such
    predictions: list[tuple[Tensor, Tensor]] | None  # a tap: (B * V, C_l, h_l, w_l) and mask (B * V, h_l, w_l)
    answer: Any  # the consistency head's, to what is compared


@dataclass
class VoxelFeatures:
    """Features (V, C) of every voxel; one and the same where the network has one readout."""

    taught: Tensor  # what the student learns from
    compared: Tensor  # what views are compared by


class PretrainNet(nn.Module):
    """Encodes every cloud of a batch in one pass, projects, and applies the heads that are there.

    Args:
        backbone: the network to pre-train.
        map_stride: pixels a cell of the projected maps.
        student: the 2D student, or None without knowledge transfer.
        head: of the consistency loss, called with the compared :class:`ProjectedViews`; None without that loss.
        in_channels: of the voxels' features.
        kt_readout: what the student reads from the backbone; None: its output.
        mv_readout: what the consistency loss reads; None: what the student reads. Where neither reads the decoder it
            is dropped from the backbone.

    Attributes:
        decodes: whether a readout reads the decoder.
    """

    def __init__(
        self,
        backbone: SRUNet,
        map_stride: int,
        student: Student2D | None = None,
        head: nn.Module | None = None,
        in_channels: int = 3,
        kt_readout: Readout | None = None,
        mv_readout: Readout | None = None,
    ) -> None:
        super().__init__()
        self.backbone, self.student = backbone, student
        self.kt_readout = kt_readout if kt_readout is not None else Readout(backbone)
        self.mv_readout = mv_readout if mv_readout is not None else self.kt_readout
        self.decodes = any(readout.kind != "encoder" for readout in (self.kt_readout, self.mv_readout))
        if not self.decodes:
            # What is not trained is not saved either, so that nobody starts from it.
            backbone.drop_decoder()
        self.head = head
        self.map_stride = map_stride
        self.mask_token = nn.Parameter(torch.zeros(in_channels))

    def encode(self, voxels: VoxelBatch) -> VoxelFeatures:
        """Features of every voxel, by the readouts; masked voxels enter with the learned token."""
        feats = voxels.feats
        if voxels.masked is not None:
            feats = torch.where(voxels.masked[:, None], self.mask_token, feats)
        with record_function("sparse3d.backbone"):
            levels = self.backbone.encode(SparseTensor.from_coords(voxels.coords, feats, voxels.batch_size))
            decoded = self.backbone.finish(self.backbone.decode(levels)).feats if self.decodes else None
        taught = self.kt_readout(levels, decoded)
        one = self.mv_readout is self.kt_readout
        return VoxelFeatures(taught, taught if one else self.mv_readout(levels, decoded))

    def forward(self, batch: ViewBatch) -> PretrainOutput:
        clouds = [cloud for cloud in (batch.views, batch.shared) if cloud is not None]
        cells = [cells for cells in (batch.view_cells, batch.shared_cells) if cells is not None]
        feats = self.encode(_joined(clouds))
        # Views come first, the shared cloud last; each is all there is where there is one cloud only.
        sizes = [len(cloud.coords) for cloud in clouds]
        compared = self.project(feats.compared.split(sizes)[0], clouds[0], cells[0])
        taught = compared
        if len(clouds) > 1:
            taught = self.project(feats.taught.split(sizes)[-1], clouds[-1], cells[-1])
        elif feats.taught is not feats.compared:
            taught = replace(compared, maps=project_features(feats.taught.float(), cells[0]))
        return PretrainOutput(
            taught=taught,
            compared=compared,
            predictions=self.predict_teacher(taught),
            answer=self.head(compared) if self.head is not None else None,
        )

    def project(self, feats: Tensor, cloud: VoxelBatch, cells: MapCells) -> ProjectedViews:
        """Voxel features (V, C) onto the maps' grid, ``cells`` (B, V, h, w)."""
        return ProjectedViews(project_features(feats.float(), cells), cells.mask, project_features(cloud.xyz, cells))

    def predict_teacher(self, views: ProjectedViews) -> list[tuple[Tensor, Tensor]] | None:
        """The student's prediction and mask for every tap, views flattened; None without a student."""
        if self.student is None:
            return None
        return self.student(views.maps.flatten(0, 1), views.mask.flatten(0, 1))


def _joined(clouds: list[VoxelBatch]) -> VoxelBatch:
    """Voxel batches as one, the second's clouds behind the first's."""
    if len(clouds) == 1:
        return clouds[0]
    coords, offset = [], 0
    for cloud in clouds:
        moved = cloud.coords.clone()
        moved[:, 0] += offset
        coords.append(moved)
        offset += cloud.batch_size
    masked = [
        torch.zeros(len(c.coords), dtype=torch.bool, device=c.coords.device) if c.masked is None else c.masked
        for c in clouds
    ]
    return VoxelBatch(
        coords=torch.cat(coords),
        feats=torch.cat([c.feats for c in clouds]),
        xyz=torch.cat([c.xyz for c in clouds]),
        batch_size=offset,
        masked=torch.cat(masked),
    )
