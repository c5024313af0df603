"""SR-UNet: the table of specifications, the order of rows, and what its encoder hands out."""

from __future__ import annotations

import weakref

import pytest
import torch
from torch import Tensor

from sparse3d.errors import InputError
from sparse3d.models.resunet import SPECS, SRUNet
from sparse3d.sparse import SparseTensor


def make_coords(count: int = 300, batch_size: int = 2, extent: int = 12) -> Tensor:
    """Different voxels around zero in random order, thick enough to have neighbours."""
    generator = torch.Generator().manual_seed(0)
    xyz = torch.randint(-extent, extent, (2 * count, 3), generator=generator)
    xyz[:, 2] = (xyz[:, 0] + xyz[:, 1]) // 2 + xyz[:, 2] % 2  # a thick slanted sheet
    item = torch.randint(0, batch_size, (2 * count, 1), generator=generator)
    coords = torch.unique(torch.cat([item, xyz], dim=1), dim=0)
    return coords[torch.randperm(len(coords), generator=generator)[:count]].to(torch.int32)


def make_net(out_channels: int | None = None, spec: str = "SRUNet14-CPU") -> SRUNet:
    torch.manual_seed(0)
    return SRUNet(3, spec, out_channels).double()


def make_input(coords: Tensor, feats: Tensor | None = None) -> SparseTensor:
    if feats is None:
        feats = torch.rand(len(coords), 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    return SparseTensor.from_coords(coords, feats, batch_size=2, backend="torch")


@pytest.mark.parametrize("name", SPECS)
def test_shapes_of_the_parameters_are_those_of_the_spec(name: str) -> None:
    spec = SPECS[name]
    with torch.device("meta"):
        net = SRUNet(3, name, 20)
    shapes = {n: tuple(p.shape) for n, p in net.named_parameters()}
    planes, stem = spec.planes, spec.stem
    expected = {"conv0p1s1.kernel": (125, 3, stem), "conv1p1s2.kernel": (8, stem, stem)}
    expected |= {f"conv{i + 1}p{2**i}s2.kernel": (8, planes[i - 1], planes[i - 1]) for i in (1, 2, 3)}
    expected |= {f"convtr{i}p{2 ** (8 - i)}s2.kernel": (8, planes[i - 1], planes[i]) for i in (4, 5, 6, 7)}
    skips = (planes[2], planes[1], planes[0], stem)
    expected |= {f"block{5 + i}.0.conv1.kernel": (27, planes[4 + i] + skips[i], planes[4 + i]) for i in range(4)}
    expected |= {f"block{i + 1}.{spec.layers[i] - 1}.conv2.kernel": (27, planes[i], planes[i]) for i in range(8)}
    expected |= {"final.kernel": (planes[7], 20), "final.bias": (1, 20), "bntr7.bn.weight": (planes[7],)}
    assert {n: shapes.get(n) for n in expected} == expected
    assert [len(net.get_submodule(f"block{i + 1}")) for i in range(8)] == list(spec.layers)  # type: ignore[arg-type]
    assert net.encoder_channels == (stem, *planes[:4]) and net.out_channels == 20


def test_only_the_public_names_are_there() -> None:
    """A strict load of public weights needs every name to be one of theirs."""
    with torch.device("meta"):
        net = SRUNet(3, "Res16UNet14A", 20)
    stages = {"conv0p1s1", "conv1p1s2", "conv2p2s2", "conv3p4s2", "conv4p8s2", "final"}
    stages |= {"convtr4p16s2", "convtr5p8s2", "convtr6p4s2", "convtr7p2s2"}
    stages |= {f"block{i}" for i in range(1, 9)} | {f"bn{i}" for i in range(5)} | {f"bntr{i}" for i in range(4, 8)}
    assert {name.split(".")[0] for name in net.state_dict()} == stages
    assert {n.split(".", 2)[2] for n in net.state_dict() if n.startswith("block1.0.")} >= {
        "conv1.kernel",
        "norm1.bn.weight",
        "norm1.bn.running_mean",
        "conv2.kernel",
        "norm2.bn.bias",
    }
    assert "block2.0.downsample.0.kernel" in net.state_dict() and "block2.0.downsample.1.bn.weight" in net.state_dict()


def test_an_unknown_spec_is_an_error_that_lists_the_known_ones() -> None:
    with pytest.raises(InputError, match=r"Res16UNet34X.*Res16UNet34C"):
        SRUNet(3, "Res16UNet34X")


def test_without_final_the_last_stage_is_the_output() -> None:
    net = make_net().eval()
    out = net(make_input(make_coords()))
    assert net.out_channels == 64 and out.feats.shape == (300, 64) and (out.feats >= 0).all()


def test_evaluation_does_not_depend_on_the_order_of_rows() -> None:
    coords, net = make_coords(), make_net(6)
    feats = torch.rand(300, 3, dtype=torch.float64)
    net(make_input(coords, feats))  # running statistics other than those of the start
    net.eval()
    out = net(make_input(coords, feats))
    for seed in range(2):
        shuffle = torch.randperm(300, generator=torch.Generator().manual_seed(seed))
        shuffled = net(make_input(coords[shuffle], feats[shuffle]))
        assert torch.equal(shuffled.coords, coords[shuffle])
        assert torch.allclose(shuffled.feats, out.feats[shuffle], rtol=1e-10, atol=1e-12)


def test_evaluation_of_one_cloud_does_not_see_the_other() -> None:
    coords, net = make_coords(), make_net(6).eval()
    feats = torch.rand(300, 3, dtype=torch.float64)
    together = net(make_input(coords, feats)).feats
    for item in range(2):
        rows = coords[:, 0] == item
        assert torch.allclose(net(make_input(coords[rows], feats[rows])).feats, together[rows], rtol=1e-10, atol=1e-12)


def test_evaluation_follows_a_shift_by_the_coarsest_stride_and_no_smaller_one() -> None:
    """Why training shifts clouds by random voxels: the network only knows its own phase."""
    coords, net = make_coords(), make_net(6).eval()
    out = net(make_input(coords)).feats
    shifted = [net(make_input(coords + torch.tensor([0, s, -s, 2 * s], dtype=torch.int32))).feats for s in (16, 1)]
    assert torch.allclose(shifted[0], out, rtol=1e-10, atol=1e-12)
    assert not torch.allclose(shifted[1], out, rtol=1e-3)


def test_encode_gives_five_levels_on_the_floors_of_the_voxels() -> None:
    coords, net = make_coords(), make_net().eval()
    levels = net.encode(make_input(coords))
    assert [level.tensor_stride[0] for level in levels] == [1, 2, 4, 8, 16]
    assert tuple(level.feats.shape[1] for level in levels) == net.encoder_channels
    for level in levels:
        stride = level.tensor_stride[0]
        floors = {(c[0], *(v // stride * stride for v in c[1:])) for c in coords.tolist()}
        assert {tuple(c) for c in level.coords.tolist()} == floors and len(level.feats) == len(floors)
    assert torch.equal(net.decode(levels).feats, net(make_input(coords)).feats)


def test_every_parameter_gets_a_finite_gradient_also_from_black_voxels() -> None:
    coords, net = make_coords(), make_net(6)
    feats = torch.rand(300, 3, dtype=torch.float64)
    feats[:150] = 0
    net(make_input(coords, feats)).feats.square().sum().backward()
    grads = {name: p.grad for name, p in net.named_parameters()}
    assert [n for n, g in grads.items() if g is None or not g.isfinite().all() or not g.any()] == []


@pytest.mark.parametrize("count", [0, 1])
def test_a_cloud_of_hardly_a_voxel_can_be_evaluated(count: int) -> None:
    out = make_net(6).eval()(make_input(make_coords()[:count]))
    assert out.feats.shape == (count, 6) and out.feats.isfinite().all()


def test_training_on_one_voxel_is_a_clear_error() -> None:
    with pytest.raises(ValueError, match="more than 1 value"):
        make_net(6)(make_input(make_coords()[:1]))


def test_maps_do_not_pile_up_over_steps() -> None:
    """Memory stays flat: the manager of every step is gone when the next one starts."""
    net, managers = make_net(6), []
    for step in range(3):
        coords = make_coords(200) + torch.tensor([0, step, 0, 0], dtype=torch.int32)
        x = make_input(coords)
        managers.append(weakref.ref(x.manager))
        loss = net(x).feats.square().mean()
        del x
        loss.backward()
        del loss
        assert [m() for m in managers] == [None] * (step + 1)


@pytest.mark.parametrize("kernel_size", [3, 5])
def test_without_gradients_a_map_of_the_stem_alone_is_let_go(kernel_size: int) -> None:
    torch.manual_seed(0)
    net = SRUNet(3, "SRUNet14-CPU", 6, kernel_size).double().eval()
    x = make_input(make_coords())
    expected = net(x).feats
    stem = (x.key, x.key, net.conv0p1s1.region)
    assert stem in x.manager._maps
    with torch.no_grad():
        assert torch.equal(net(x).feats, expected)
        assert (stem in x.manager._maps) == (kernel_size == 3)
        assert torch.equal(net(x).feats, expected)
