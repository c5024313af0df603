"""Measures and pictures of pre-trained features on fixed frame pairs."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from sparse3d.data.map_cells import map_cells
from sparse3d.data.matching_pairs import PROTOCOLS, MatchingPair, MatchingPairs
from sparse3d.data.voxel_clouds import VoxelCloud, batch_clouds
from sparse3d.metrics.matching import MatchingRecall, matching_recall, unit_rows
from sparse3d.models.pretrain_net import PretrainNet
from sparse3d.progress import track
from sparse3d.types import VoxelBatch

if TYPE_CHECKING:
    from sparse3d.tasks.pretrain import PretrainTask

Encoder = Callable[[VoxelBatch], Tensor]  # voxels -> features (V, C), compared by Euclidean distance


def color_features(voxels: VoxelBatch) -> Tensor:
    """The voxels' mean colour: the baseline that needs no network."""
    return voxels.feats


def network_features(net: PretrainNet) -> Encoder:
    """What views are compared by, rows of unit length; nothing of the heads behind it."""
    return lambda voxels: unit_rows(net.encode(voxels).compared)


def unwrapped(model: nn.Module) -> PretrainNet:
    """The network inside a wrapper for several processes."""
    inner = getattr(model, "module", model)
    assert isinstance(inner, PretrainNet)
    return inner


@torch.no_grad()
def recalls_by_encoder(
    encoders: dict[str, Encoder], pairs: MatchingPairs, device: torch.device
) -> dict[str, MatchingRecall]:
    """Matching recall of several encoders on the same pairs, keys ``<protocol>_<encoder>``."""
    recalls = {f"{protocol}_{name}": MatchingRecall.empty() for protocol in PROTOCOLS for name in encoders}
    for index in track(range(len(pairs)), "matching", "pair"):
        pair = pairs[index]
        if len(pair.source_pixels) == 0:  # overlapping voxels, but no surface that both views see
            for recall in recalls.values():
                recall.update(torch.zeros(0, dtype=torch.bool))
            continue
        for protocol in PROTOCOLS:
            views = pair.views[protocol]
            batch = _batched([v.cloud for v in views], device)
            for name, encode in encoders.items():
                source, target = encode(batch).split([len(v.cloud.coords) for v in views])
                recalls[f"{protocol}_{name}"].update(pair_hits(pair, protocol, source, target))
    return recalls


def pair_hits(pair: MatchingPair, protocol: str, source: Tensor, target: Tensor) -> Tensor:
    """Which of the pair's correspondences the features (V, C) of its two views find, (M,) bool."""
    first, second = pair.views[protocol]
    query = torch.from_numpy(first.pixel2voxel[pair.source_pixels[:, 0], pair.source_pixels[:, 1]])
    target_xyz = torch.from_numpy(second.cloud.xyz)
    return matching_recall(source.cpu(), target.cpu(), target_xyz, query, torch.from_numpy(pair.true_xyz))


def matching_recalls(model: nn.Module, pairs: MatchingPairs, device: torch.device) -> dict[str, float]:
    """Recall by protocol of the network's features."""
    net = unwrapped(model).eval()
    found = recalls_by_encoder({"net": network_features(net)}, pairs, device)
    return {protocol: found[f"{protocol}_net"].compute() for protocol in PROTOCOLS}


def _batched(clouds: list[VoxelCloud], device: torch.device) -> VoxelBatch:
    batch: VoxelBatch = batch_clouds(clouds)[0].to(device)
    return batch


@torch.no_grad()
def teacher_agreement(
    task: PretrainTask, model: nn.Module, pairs: MatchingPairs, device: torch.device
) -> dict[str, float]:
    """Cosine of predicted and teacher features, averaged over taps and views.

    ``teacher_cosine`` compares a view's prediction with the teacher on that view, ``teacher_cosine_shuffled`` with the
    teacher on the view half the set further: what agreement needs no knowledge of the view.
    """
    net = unwrapped(model).eval()
    assert net.student is not None
    predictions: list[list[Tensor]] = []
    targets: list[list[Tensor]] = []
    masks: list[list[Tensor]] = []
    seen: set[tuple[int, int]] = set()  # (scene, frame): names repeat from scene to scene
    for index in track(range(len(pairs)), "agreement with the teacher", "pair"):
        pair, (scene, *numbers) = pairs[index], pairs.pairs[index]
        for number, frame, view in zip(numbers, pair.frames, pair.views["aligned"], strict=True):
            if (scene, number) in seen:
                continue
            seen.add((scene, number))
            voxels = _batched([view.cloud], device)
            cells = map_cells(view.pixel2voxel[None, None], net.map_stride, len(voxels.coords)).to(device)
            projected = net.project(net.encode(voxels).taught, voxels, cells)
            taps = net.predict_teacher(projected) or []
            predictions.append([p.cpu() for p, _ in taps])
            masks.append([m.cpu() for _, m in taps])
            image = torch.tensor(frame.color)[None].to(device)
            targets.append([t.cpu() for t in task.teacher_targets(image, update_mean=False)])
    shift = max(1, len(targets) // 2)
    shuffled = targets[shift:] + targets[:shift]
    return {
        "teacher_cosine": _mean_cosine(predictions, targets, masks),
        "teacher_cosine_shuffled": _mean_cosine(predictions, shuffled, masks),
    }


def _mean_cosine(predictions: list[list[Tensor]], targets: list[list[Tensor]], masks: list[list[Tensor]]) -> float:
    values = []
    for predicted, target, mask in zip(predictions, targets, masks, strict=True):
        for p, t, m in zip(predicted, target, mask, strict=True):
            if m.any():
                values.append(float(torch.cosine_similarity(p, t, dim=1)[m].mean()))
    return sum(values) / max(1, len(values))
