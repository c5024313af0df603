"""Starting from a pre-trained SR-UNet: what is loaded is exactly what was asked for, and frozen parts do not move."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from toy import ToyTask

from sparse3d.errors import InputError
from sparse3d.models.pretrain_net import PretrainNet
from sparse3d.models.readout import Readout
from sparse3d.models.resunet import SPECS, ResUNetSpec, SRUNet
from sparse3d.models.segmenter import Segmenter
from sparse3d.sparse import minkowski_import
from sparse3d.training.checkpoint import load_checkpoint, save_checkpoint
from sparse3d.training.loop import train
from sparse3d.training.optimizer import build_optimizer
from sparse3d.training.schedule import set_rate
from sparse3d.training.settings import TrainSettings
from sparse3d.training.transfer import HEAD, InitSettings, prepare_transfer, stage_of
from sparse3d.types import VoxelBatch

WIDTH = 8


@pytest.fixture(autouse=True)
def tiny_spec() -> Iterator[None]:
    SPECS["tiny-transfer"] = ResUNetSpec((WIDTH,) * 8, (1,) * 8, stem=WIDTH)
    yield
    del SPECS["tiny-transfer"]


def backbone(seed: int, **options: Any) -> SRUNet:
    torch.manual_seed(seed)
    net = SRUNet(spec="tiny-transfer", **{"stem_kernel_size": 3, **options})
    for buffer in net.buffers():  # as if it had been trained: statistics are not the initial ones
        if buffer.is_floating_point():
            buffer.uniform_(0.5, 1.5)
    return net


def segmenter(classes: int = 5) -> Segmenter:
    torch.manual_seed(99)
    return Segmenter(partial(SRUNet, spec="tiny-transfer", stem_kernel_size=3), classes)


def pretrained(path: Path, seed: int = 1, config: str = "") -> tuple[Path, SRUNet]:
    """A checkpoint of this package's pre-training, and the backbone in it."""
    net = PretrainNet(backbone(seed), map_stride=4)
    state = {"model": net.state_dict(), "optimizer": {}, "step": 1, "config": config, "processes": []}
    save_checkpoint(path / "pretrained.pt", state)
    return path / "pretrained.pt", net.backbone


def equal_stages(model: nn.Module, source: nn.Module) -> set[int]:
    """Stages whose tensors in ``model.backbone`` all equal the source's."""
    found: dict[int, bool] = {}
    theirs = source.state_dict()
    for name, value in model.state_dict().items():
        stage, own = stage_of(name, "backbone."), name.removeprefix("backbone.")
        if own in theirs and not own.startswith("final."):
            found[stage] = found.get(stage, True) and torch.equal(value, theirs[own])
    return {stage for stage, is_equal in found.items() if is_equal}


def test_every_tensor_of_an_srunet_has_a_stage_and_only_the_final_layer_is_a_head() -> None:
    names = list(segmenter().state_dict())
    stages = {name: stage_of(name, "backbone.") for name in names}
    assert set(stages.values()) == set(range(10))
    assert all((stage == HEAD) == name.startswith("backbone.final.") for name, stage in stages.items())
    assert stages["backbone.conv1p1s2.kernel"] == 1 and stages["backbone.block4.0.conv1.kernel"] == 4
    assert stages["backbone.convtr4p16s2.kernel"] == 5 and stages["backbone.bntr7.bn.weight"] == 8
    assert stage_of("head.block3.weight", "backbone.") == HEAD


@pytest.mark.parametrize(("parts", "loaded"), [("encoder", set(range(5))), ("all", set(range(9)))])
def test_a_pretraining_gives_the_parts_that_were_asked_for(parts: str, loaded: set[int], tmp_path: Path) -> None:
    checkpoint, source = pretrained(tmp_path)
    model = segmenter()
    transfer = prepare_transfer(model, InitSettings(str(checkpoint), parts))
    assert equal_stages(model, source) == loaded
    assert transfer.report is not None and transfer.report.fraction == 1.0 and not transfer.report.missing
    assert "mask_token" in transfer.report.unexpected
    assert not transfer.lr_scales and not transfer.frozen


@pytest.mark.parametrize("key", [None, "state_dict", "model", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module.", "model.net."])
def test_public_state_dicts_load_under_the_usual_keys_and_prefixes(
    key: str | None, prefix: str, tmp_path: Path
) -> None:
    source = backbone(3, out_channels=5)
    state = {prefix + name: value for name, value in source.state_dict().items()}
    torch.save(state if key is None else {"step": torch.tensor(3), key: state, "epoch": 7}, tmp_path / "public.pth")
    model = segmenter()
    prepare_transfer(model, InitSettings(str(tmp_path / "public.pth"), "all"))
    assert equal_stages(model, source) == set(range(9))
    assert torch.equal(model.backbone.final.kernel, source.final.kernel), "its head fits, so it is part of `all`"


def test_a_head_of_other_classes_is_left_and_reported(tmp_path: Path) -> None:
    torch.save(backbone(3, out_channels=7).state_dict(), tmp_path / "public.pth")
    model = segmenter(5)
    before = model.backbone.final.kernel.clone()
    transfer = prepare_transfer(model, InitSettings(str(tmp_path / "public.pth"), "all"))
    assert torch.equal(model.backbone.final.kernel, before)
    assert any("final.kernel: (8, 7) -> (8, 5)" in line for line in transfer.lines)
    assert transfer.report is not None and transfer.report.fraction == 1.0, "heads do not count"


def test_too_little_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    state = backbone(3).state_dict()
    torch.save({name: value for name, value in state.items() if not name.startswith("block")}, tmp_path / "thin.pth")
    model = segmenter()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(InputError, match=r"too little fits: .*thin\.pth.*at least 90%"):
        prepare_transfer(model, InitSettings(str(tmp_path / "thin.pth")))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    prepare_transfer(model, InitSettings(str(tmp_path / "thin.pth"), min_fraction=0.05))


def test_nothing_is_frozen_at_random_values(tmp_path: Path) -> None:
    bare = {name: value for name, value in backbone(3).state_dict().items() if "running_" not in name}
    torch.save(bare, tmp_path / "bare.pth")
    for freeze in ("encoder", "all"):
        with pytest.raises(InputError, match=rf"bare.pth.*running_mean is missing.*init.freeze = '{freeze}' would"):
            prepare_transfer(segmenter(), InitSettings(str(tmp_path / "bare.pth"), "all", 0.5, freeze))
    prepare_transfer(segmenter(), InitSettings(str(tmp_path / "bare.pth"), "all", 0.5))
    with pytest.raises(InputError, match="init.freeze = 'all'"):  # the decoder is not asked for
        prepare_transfer(segmenter(), InitSettings(str(pretrained(tmp_path)[0]), freeze="all"))
    prepare_transfer(segmenter(), InitSettings(str(pretrained(tmp_path)[0]), freeze="encoder"))


def test_norms_count_though_they_have_few_values(tmp_path: Path) -> None:
    """Trap: a file without any norm fills 99 % of the parameters' values, and a fifth of the tensors."""
    plain = {name: value for name, value in backbone(3).state_dict().items() if "kernel" in name or "final" in name}
    torch.save(plain, tmp_path / "plain.pth")
    with pytest.raises(InputError, match=r"too little fits: \d+ tensors \(\d\d% of the tensors, 9\d% of the param"):
        prepare_transfer(segmenter(), InitSettings(str(tmp_path / "plain.pth")))


def test_the_first_layer_must_fit(tmp_path: Path) -> None:
    """Trap: it is a few parameters of a hundred thousand, and all that the network sees."""
    torch.save(backbone(3, stem_kernel_size=5).state_dict(), tmp_path / "stem.pth")
    model = segmenter()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    for parts in ("encoder", "all"):
        with pytest.raises(
            InputError, match=r"stem.pth.*first layer conv0p1s1.kernel is \(125, .* the network's \(27, "
        ):
            prepare_transfer(model, InitSettings(str(tmp_path / "stem.pth"), parts, 0.0))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_pretraining_without_a_decoder_says_so_where_one_is_asked_for(tmp_path: Path) -> None:
    net = PretrainNet(source := backbone(1), map_stride=4, kt_readout=Readout(source, "encoder"))
    state = {"model": net.state_dict(), "optimizer": {}, "step": 1, "config": "", "processes": []}
    save_checkpoint(tmp_path / "pretrained.pt", state)
    with pytest.raises(InputError, match=r"pretrained\.pt has no decoder: .*Take init\.parts = 'encoder'"):
        prepare_transfer(segmenter(), InitSettings(str(tmp_path / "pretrained.pt"), "all"))
    prepare_transfer(model := segmenter(), InitSettings(str(tmp_path / "pretrained.pt")))
    assert equal_stages(model, source) == set(range(5))


@pytest.mark.parametrize(
    ("own", "warned"),
    [
        ("VOXEL_SIZE = 0.05\nLabelledScenes.voxel_size = %VOXEL_SIZE\n", True),
        ("SIZE = 0.080\nVOXEL_SIZE = %SIZE\nval/ScenePredictor.voxel_size = %VOXEL_SIZE\n", False),
        ("SegmentationTask.val = @PreparedSplit()\n", False),  # nothing is known
    ],
)
def test_voxels_of_another_size_are_warned_of(own: str, warned: bool, tmp_path: Path) -> None:
    """Trap: weights load at any size of voxel, and a kernel then sees another piece of the room."""
    file, _ = pretrained(tmp_path, config="VOXEL_SIZE = 0.08\nViewSets.voxel_size = %VOXEL_SIZE\n")
    lines = prepare_transfer(segmenter(), InitSettings(str(file)), config_text=own).lines
    expected = ["init: WARNING: trained on voxels of 8 cm, loaded for voxels of 5 cm"] if warned else []
    assert [line for line in lines if "WARNING" in line] == expected


def test_files_that_hold_no_network_say_so(tmp_path: Path) -> None:
    cases: dict[str, tuple[Any, str]] = {
        "other.pth": ({"layer.weight": torch.zeros(3)}, "holds no SR-UNet"),
        "empty.pth": ({"epoch": 3}, "holds no state dict"),
        "two.pth": ({f"{k}.conv0p1s1.kernel": torch.zeros(3) for k in "ab"}, "holds 2 SR-UNets"),
        "pickled.pth": ({"args": re.compile("x"), "state_dict": {}}, "weights_only=False"),
    }
    for name, (content, said) in cases.items():
        torch.save(content, tmp_path / name)
        with pytest.raises(InputError, match=f"{name}.*{said}"):
            prepare_transfer(segmenter(), InitSettings(str(tmp_path / name)))
    with pytest.raises(InputError, match="does not exist"):
        prepare_transfer(segmenter(), InitSettings(str(tmp_path / "nowhere.pth")))
    broken = backbone(3).state_dict()
    broken["block2.0.conv1.kernel"][0] = float("nan")
    torch.save(broken, tmp_path / "nan.pth")
    with pytest.raises(InputError, match=r"block2\.0\.conv1\.kernel holds values that are not finite"):
        prepare_transfer(segmenter(), InitSettings(str(tmp_path / "nan.pth")))
    with pytest.raises(InputError, match="configured network holds no SR-UNet"):
        prepare_transfer(nn.Linear(2, 2), InitSettings(freeze="all"))


def voxels(count: int = 60) -> VoxelBatch:
    grid = torch.unique(torch.randint(0, 12, (count, 3), generator=torch.Generator().manual_seed(0)), dim=0)
    coords = torch.cat([torch.zeros(len(grid), 1), grid], dim=1).int()
    return VoxelBatch(coords, torch.rand(len(grid), 3), grid.float(), 1)


@pytest.mark.parametrize(("freeze", "moving"), [("encoder", {5, 6, 7, 8, HEAD}), ("all", {HEAD})])
def test_frozen_stages_and_their_statistics_stay_bit_for_bit(freeze: str, moving: set[int]) -> None:
    model = segmenter()
    transfer = prepare_transfer(model, InitSettings(freeze=freeze))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = build_optimizer(model, "adamw", 0.1, 0.1, (0.9, 0.99), 0.9, transfer.lr_scales)
    for _ in range(2):
        model.train()
        transfer.hold_frozen()
        optimizer.zero_grad()
        model(voxels()).square().mean().backward()
        optimizer.step()
    moved = {stage_of(n, "backbone.") for n, value in model.state_dict().items() if not torch.equal(value, before[n])}
    assert moved == moving


def test_rates_fall_by_stage_and_loaded_parts_have_their_own(tmp_path: Path) -> None:
    checkpoint, _ = pretrained(tmp_path)
    model = segmenter()
    settings = InitSettings(str(checkpoint), "encoder", lr_scale=0.1, lr_decay=0.5)
    transfer = prepare_transfer(model, settings)
    optimizer = build_optimizer(model, "adamw", 0.01, 0.1, (0.9, 0.99), 0.9, transfer.lr_scales)
    set_rate(optimizer, 0.02)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in model.named_parameters():
        stage = stage_of(name, "backbone.")
        expected = 0.02 * 0.5 ** (HEAD - stage) * (0.1 if stage <= 4 else 1)
        assert rates[id(parameter)] == pytest.approx(expected), name
    assert len(rates) == len(list(model.parameters()))
    decayed = {id(p) for group in optimizer.param_groups if group["weight_decay"] for p in group["params"]}
    assert decayed == {id(p) for n, p in model.named_parameters() if n.endswith("kernel")}


def test_a_whole_network_that_is_loaded_learns_slower_as_a_whole_but_for_its_head(tmp_path: Path) -> None:
    checkpoint, _ = pretrained(tmp_path)
    model = segmenter()
    slower = prepare_transfer(model, InitSettings(str(checkpoint), "all", lr_scale=0.1)).lr_scales
    assert slower == {n: 0.1 for n, _ in model.named_parameters() if stage_of(n, "backbone.") < HEAD}


@pytest.mark.parametrize("parts", ["encoder", "all"])
def test_what_was_not_loaded_learns_at_the_full_rate_and_is_named(parts: str, tmp_path: Path) -> None:
    state = backbone(3).state_dict()
    state["conv1p1s2.kernel"] = state["conv1p1s2.kernel"][:3]
    torch.save(state, tmp_path / "other.pth")
    settings = InitSettings(str(tmp_path / "other.pth"), parts, lr_scale=0.1, lr_decay=0.5)
    begun = prepare_transfer(model := segmenter(), settings)
    first = "backbone.conv1p1s2.kernel"
    assert begun.unfilled == [first]
    assert any("warning" in line and line.endswith(f"full rate: {first}") for line in begun.lines)
    assert begun.lr_scales[first] == 0.5 ** (HEAD - 1)
    others = [n for n, _ in model.named_parameters() if stage_of(n, "backbone.") <= 4 and n != first]
    assert all(begun.lr_scales[n] == 0.1 * 0.5 ** (HEAD - stage_of(n, "backbone.")) for n in others)
    resumed = prepare_transfer(segmenter(), settings, load=False, unfilled=begun.unfilled)
    assert resumed.lr_scales == begun.lr_scales and resumed.unfilled == begun.unfilled


def test_rates_may_fall_by_stage_in_a_network_that_starts_at_random() -> None:
    model = segmenter()
    rates = prepare_transfer(model, InitSettings(lr_decay=0.5)).lr_scales
    for name, _ in model.named_parameters():
        stage = stage_of(name, "backbone.")
        assert rates.get(name, 1.0) == 0.5 ** (HEAD - stage), name


def test_without_init_nothing_is_touched() -> None:
    model = nn.Linear(2, 2)  # not even an SR-UNet is asked for
    transfer = prepare_transfer(model, InitSettings())
    assert not transfer.lr_scales and not transfer.frozen and not transfer.lines and transfer.report is None


def test_a_resumed_run_does_not_need_the_file() -> None:
    transfer = prepare_transfer(segmenter(), InitSettings("gone.pt", freeze="encoder", lr_scale=0.5), load=False)
    assert transfer.frozen and transfer.report is None


class TwoKernels(nn.Module):
    """A stem and a layer down, by their names."""

    def __init__(self, out_channels: int = 2) -> None:
        super().__init__()
        self.conv0p1s1, self.conv1p1s2 = nn.Module(), nn.Module()
        self.conv0p1s1.kernel = nn.Parameter(torch.randn(6, 8))
        self.conv1p1s2.kernel = nn.Parameter(torch.randn(8, out_channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.conv0p1s1.kernel @ self.conv1p1s2.kernel


class TwoKernelTask(ToyTask):
    def build_model(self) -> nn.Module:
        return TwoKernels()


def test_a_resumed_run_keeps_the_rates_it_began_with(tmp_path: Path) -> None:
    torch.save(TwoKernels(out_channels=3).state_dict(), tmp_path / "narrow.pth")
    init = InitSettings(str(tmp_path / "narrow.pth"), min_fraction=0.2, lr_scale=0.5)
    for steps in (3, 5):
        settings = TrainSettings(steps=steps, device="cpu", tensorboard=False)
        train(TwoKernelTask(), tmp_path / "run", steps == 5, settings, init=init)
        groups = load_checkpoint(tmp_path / "run" / "checkpoints" / "last.pt")["optimizer"]["param_groups"]
        assert [group.get("lr_scale", 1.0) for group in groups] == [0.5, 1.0]


@pytest.mark.parametrize(
    "options",
    [
        {"parts": "decoder"},
        {"freeze": "head"},
        {"min_fraction": 1.5},
        {"lr_scale": 0.0},
        {"lr_decay": 1.2},
        {"lr_scale": 0.3},
    ],
    ids=str,
)
def test_an_option_out_of_range_names_itself(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=rf"init\.{next(iter(options))} = "):
        InitSettings(**options)


def test_weights_that_minkowskiengine_wrote_load_and_give_the_same_features(tmp_path: Path) -> None:
    try:
        minkowski_import.load()
    except ImportError:
        pytest.skip("needs MinkowskiEngine")
    from sparse3d.benchmark.minkowski_network import minkowski_network

    torch.manual_seed(5)
    written = minkowski_network("SRUNet14-CPU")
    torch.save({"state_dict": {f"module.{k}": v for k, v in written.state_dict().items()}}, tmp_path / "theirs.pth")
    model = Segmenter(partial(SRUNet, spec="SRUNet14-CPU"), 5)
    transfer = prepare_transfer(model, InitSettings(str(tmp_path / "theirs.pth"), "all", min_fraction=1.0))
    assert transfer.report is not None and transfer.report.fraction == 1.0
    assert equal_stages(model, written) == set(range(9))
