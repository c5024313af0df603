"""Operations of a pre-training's parts against counts by hand."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from sparse3d.models.resunet import SRUNet
from sparse3d.sparse import Convolution, ConvolutionTranspose, SparseTensor
from sparse3d.study.costs import count_costs, counted_convolutions, dense_flops


def line_of(count: int) -> SparseTensor:
    """Voxels in a row along x."""
    coords = torch.zeros(count, 4, dtype=torch.int32)
    coords[:, 1] = torch.arange(count)
    return SparseTensor.from_coords(coords, torch.rand(count, 3))


def test_a_convolution_counts_the_pairs_it_joins() -> None:
    x = line_of(10)
    for layer, pairs in (
        (Convolution(3, 5, 3), 10 + 2 * 9),  # itself, and a neighbour on each side
        (Convolution(3, 5, 1), 10),
        (Convolution(3, 5, 2, stride=2), 10),
    ):
        with counted_convolutions(torch.nn.Sequential(layer)) as found:
            out = layer(x)
        assert found == [2 * pairs * 3 * 5]
    up = ConvolutionTranspose(5, 4, 2, stride=2)
    with counted_convolutions(torch.nn.Sequential(up)) as found:
        up(out)
    assert found == [2 * 10 * 5 * 4]


def test_hooks_go_and_every_layer_is_met() -> None:
    net = SRUNet(3, "SRUNet14-CPU").eval()
    with counted_convolutions(net) as found:
        net(line_of(20))
    layers = sum(isinstance(m, (Convolution, ConvolutionTranspose)) for m in net.modules())
    assert len(found) == layers and all(count > 0 for count in found)
    net(line_of(20))
    assert len(found) == layers


def test_dense_operations_are_torchs_count() -> None:
    conv = torch.nn.Conv2d(3, 8, 3, padding=1, bias=False)
    assert dense_flops(lambda: conv(torch.rand(2, 3, 10, 12))) == 2 * 2 * 10 * 12 * 3 * 8 * 9


@pytest.mark.parametrize("form", ["Matching", "InfoNce"])
def test_the_parts_of_a_pre_training(form: str, room_folder: Path) -> None:
    given = [f"DATA_ROOT = {str(room_folder)!r}", "train/FrameFolder.last = None", "FrameFolder.size = (64, 48)"]
    given += [f"PretrainTask.consistency = @{form}Consistency", "VOXEL_SIZE = 0.2", "val/FrameFolder.first = None"]
    found = count_costs(["pretrain/redkitchen.gin"], given)
    parts = found["parts"]
    assert set(parts) == {"backbone", "readouts", "student", "teacher", "correspondence", "losses"}
    assert parts["backbone"]["parameters"] == 846_664 and parts["teacher"]["parameters"] == 2_958_848  # no decoder
    assert parts["readouts"]["parameters"] == 2 * (264 + 1) * 128
    assert parts["readouts"]["flops"] >= 2 * 2 * found["voxels"] * 24 * 128, "the finest level's alone are so many"
    assert all(part["flops"] > 0 for part in parts.values()) and parts["losses"]["parameters"] == 0
    assert found["items"] == 2 and found["views"] == 2 and found["voxels"] > 0


def test_the_matching_loss_counts_the_cells_it_compares_with(room_folder: Path) -> None:
    given = [f"DATA_ROOT = {str(room_folder)!r}", "train/FrameFolder.last = None", "FrameFolder.size = (64, 48)"]
    given += ["VOXEL_SIZE = 0.2", "val/FrameFolder.first = None", "PretrainTask.max_queries = 4"]
    parts = [
        count_costs(["pretrain/redkitchen.gin"], [*given, f"MatchingConsistency.max_keys = {keys}"])["parts"]
        for keys in (1, 6, None)
    ]
    flops = [part["losses"]["flops"] for part in parts]
    assert flops[0] * (6 + 4) == flops[1] * (1 + 4) and flops[2] > flops[1]
