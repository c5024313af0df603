"""What a pre-training reads from the backbone: the encoder's levels, each voxel's by what holds it, or the decoder."""

from __future__ import annotations

import pytest
import torch

from sparse3d.errors import InputError
from sparse3d.models.pretrain_net import PretrainNet
from sparse3d.models.readout import READOUTS, Readout
from sparse3d.models.resunet import SRUNet
from sparse3d.sparse import SparseTensor
from sparse3d.types import VoxelBatch

ENCODER = ("conv0p1s1", "bn0", *(f"{name}{k}" for k in (1, 2, 3, 4) for name in ("conv", "bn", "block")))


@pytest.fixture
def backbone() -> SRUNet:
    torch.manual_seed(0)
    return SRUNet(spec="SRUNet14-CPU", stem_kernel_size=3)


def cloud(seed: int = 0, voxels: int = 400) -> SparseTensor:
    generator = torch.Generator().manual_seed(seed)
    xyz = torch.unique(torch.randint(-12, 12, (voxels, 3), generator=generator), dim=0)
    coords = torch.cat([torch.arange(len(xyz))[:, None] % 2, xyz], dim=1).int()
    return SparseTensor.from_coords(coords, torch.randn(len(xyz), 3, generator=generator), 2)


def test_the_encoders_levels_are_summed_each_from_the_voxel_that_holds_the_fine_one(backbone: SRUNet) -> None:
    readout, x = Readout(backbone.eval(), "encoder"), cloud()
    found = readout(backbone.encode(x), None)
    expected = torch.zeros_like(found)
    for level, linear in zip(backbone.encode(x), readout.levels, strict=True):
        mapped = linear(level.feats)
        row_of = {tuple(place): row for row, place in enumerate(level.coords.tolist())}
        step = level.tensor_stride[0] if isinstance(level.tensor_stride, tuple) else level.tensor_stride
        holders = [(b, *(c // step * step for c in place)) for b, *place in x.coords.tolist()]
        expected += mapped[[row_of[place] for place in holders]]
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def test_both_is_the_sum_and_the_decoder_alone_has_no_weights_of_its_own(backbone: SRUNet) -> None:
    backbone.eval()
    width = backbone.out_channels
    both, encoder, decoder = (Readout(backbone, kind, channels=width) for kind in ("both", "encoder", "decoder"))
    both.load_state_dict(encoder.state_dict())
    x = cloud()
    levels, output = backbone.encode(x), backbone(x).feats
    torch.testing.assert_close(decoder(levels, output), output)
    total = encoder(levels, None) + output
    torch.testing.assert_close(both(levels, output), total, rtol=1e-5, atol=1e-5)
    assert not decoder.state_dict(), "the output as it is"
    assert sum("bias" in name for name in encoder.state_dict()) == 1


@pytest.mark.parametrize("kt_readout", READOUTS)
@pytest.mark.parametrize("mv_readout", READOUTS)
@pytest.mark.parametrize("of", ["taught", "compared"])
def test_a_loss_reaches_what_it_reads_and_nothing_else(
    backbone: SRUNet, kt_readout: str, mv_readout: str, of: str
) -> None:
    everything = {name for name, _ in backbone.named_parameters()}
    readouts = {"taught": Readout(backbone, kt_readout), "compared": Readout(backbone, mv_readout)}
    net = PretrainNet(backbone, 4, kt_readout=readouts["taught"], mv_readout=readouts["compared"])
    x = cloud()
    voxels = VoxelBatch(coords=x.coords, feats=x.feats, xyz=x.coords[:, 1:].float(), batch_size=2)
    getattr(net.encode(voxels), of).square().mean().backward()
    reached = {name for name, p in backbone.named_parameters() if p.grad is not None and p.grad.abs().sum() > 0}
    encoder = {name for name in everything if name.startswith(ENCODER)}
    kind = kt_readout if of == "taught" else mv_readout
    assert encoder and reached == (encoder if kind == "encoder" else everything)
    for name, readout in readouts.items():
        assert all((p.grad is not None) == (name == of) for p in readout.parameters())
    held = {name for name, _ in backbone.named_parameters()}
    assert held == (encoder if {kt_readout, mv_readout} == {"encoder"} else everything), "no decoder without a loss"


def test_another_readout_is_refused(backbone: SRUNet) -> None:
    with pytest.raises(ValueError, match="'skip' is none of decoder, encoder, both"):
        Readout(backbone, "skip")
    with pytest.raises(InputError, match="Readout.channels = 0"):
        Readout(backbone, "encoder", channels=0)
