"""Frozen features probed: what is linear is found, what is random is not, and levels are put where they belong."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import gin
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from prepared_rooms import write_prepared

from sparse3d import config
from sparse3d.data.scannet.classes import ClassList
from sparse3d.data.scene_sources import LabelledScene
from sparse3d.data.voxel_clouds import voxelize_scene
from sparse3d.errors import InputError
from sparse3d.models.resunet import SPECS, ResUNetSpec, SRUNet
from sparse3d.probing.command import run_probe
from sparse3d.probing.features import scene_features
from sparse3d.probing.linear import fit_linear
from sparse3d.probing.neighbours import NeighbourClassifier
from sparse3d.probing.probe import FeatureProbe
from sparse3d.types import IGNORE, Boxes

CPU = torch.device("cpu")
SMALL = ["VOXEL_SIZE = 0.2", "FeatureProbe.points = 300", "FeatureProbe.knn_points = 200", "SRUNet.spec = 'tiny'"]


@pytest.fixture(autouse=True)
def tiny_network() -> Iterator[None]:
    SPECS["tiny"] = ResUNetSpec((8,) * 8, (1,) * 8, stem=8)
    yield
    gin.clear_config()
    del SPECS["tiny"]


class Clouds:
    """Scenes of random points; the label is a function of the colour, or of nothing."""

    classes = box_classes = ClassList("made", "index", ("a", "b", "c"), (0, 1, 2))

    def __init__(self, count: int, seed: int, by_color: bool = True) -> None:
        self.names = [f"cloud{seed}_{k}" for k in range(count)]
        self.seed, self.by_color = seed, by_color

    def load(self, index: int) -> LabelledScene:
        rng = np.random.default_rng([self.seed, index])
        # One point a voxel, or the mean colour would mix what labels tell apart.
        cells = np.unique(rng.integers(0, 12, (900, 3)), axis=0)
        xyz = (cells * 0.1 + 0.05).astype(np.float32)
        rgb = rng.random((len(xyz), 3)).astype(np.float32)
        score = rgb @ np.array([[2, -1, 0], [-1, 2, -1], [0, -1, 2]], dtype=np.float32)
        labels = score.argmax(axis=1) if self.by_color else rng.integers(0, 3, len(xyz))
        labels = np.where(rng.random(len(xyz)) < 0.1, IGNORE, labels).astype(np.int64)
        nothing = np.full(len(xyz), -1, dtype=np.int64)
        return LabelledScene(self.names[index], xyz, rgb, labels, nothing, Boxes.empty())


def passing_colors() -> SRUNet:
    """A network whose first level is the colour itself, at three of its channels; all else is constant."""
    net = SRUNet(3, "tiny", stem_kernel_size=3)
    with torch.no_grad():
        for name, value in net.named_parameters():
            if name.endswith("kernel"):
                value.zero_()
        net.conv0p1s1.kernel[13, :, :3] = torch.eye(3)  # the middle of 27 slots
        net.bn0.bn.bias.fill_(2.0)  # the ReLU cuts nothing off
    return net


def probe_of(by_color: bool, **options: object) -> FeatureProbe:
    defaults = dict(voxel_size=0.1, features=("encoder",), points=600, l2=1e-6, k=15)
    train, val = Clouds(12, 1, by_color), Clouds(4, 2, by_color)
    return FeatureProbe(lambda: train, lambda: val, **(defaults | options))  # type: ignore[arg-type]


def test_what_is_linear_in_the_features_is_recovered() -> None:
    figures = probe_of(by_color=True).measure(passing_colors(), CPU)
    assert figures["linear_encoder"]["miou_point"] > 0.98
    assert figures["linear_encoder"]["train_points"] > 4000


def test_labels_that_nothing_tells_of_stay_at_chance() -> None:
    figures = probe_of(by_color=False, l2=0.1).measure(passing_colors(), CPU)
    for found in figures.values():  # a third of the points is right: IoU 1 / 5
        assert 0.27 < found["overall_accuracy_point"] < 0.4 and found["miou_point"] < 0.26


def test_the_same_seed_gives_the_same_figures_and_the_network_stays_as_it_is() -> None:
    net = passing_colors()
    before = {name: value.clone() for name, value in net.state_dict().items()}
    first, again = (probe_of(True).measure(net, CPU) for _ in range(2))
    assert first == again != probe_of(True, seed=1).measure(net, CPU)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_separable_classes_are_fitted_exactly_and_absent_ones_are_never_said() -> None:
    rng = torch.Generator().manual_seed(0)
    feats = torch.randn(500, 6, generator=rng) * torch.tensor([1, 50, 0.01, 1, 1, 0.0]) + 7
    truth = torch.randn(6, 3, generator=rng)
    labels = ((feats - feats.mean(0)) / feats.std(0).clamp_min(1e-6) @ truth).argmax(dim=1)
    labels = torch.where(labels == 2, 3, labels)
    found = fit_linear(feats, labels, classes=5, l2=1e-7, iterations=500)
    guessed = (feats @ found.weight + found.bias).argmax(dim=1)
    assert (guessed == labels).float().mean() > 0.995
    elsewhere = torch.randn(2000, 6, generator=rng) * 1000
    assert set((elsewhere @ found.weight + found.bias).argmax(dim=1).tolist()) <= {0, 1, 3}


def test_scale_and_shift_of_a_feature_change_nothing() -> None:
    rng = torch.Generator().manual_seed(0)
    feats, labels = torch.randn(300, 4, generator=rng), torch.randint(0, 3, (300,), generator=rng)
    moved = feats * torch.tensor([0.1, 20.0, 3.0, 1.0]) - 5
    for fit in (
        lambda x: (x @ (c := fit_linear(x, labels, 3)).weight + c.bias).argmax(dim=1),
        lambda x: NeighbourClassifier.of(x, labels, 3, k=5).predict(x),
    ):
        assert (fit(feats) == fit(moved)).float().mean() > 0.99
        assert torch.equal(fit(feats), fit(feats * 1e-8)), "deep features of an untrained network are that small"


def test_neighbours_by_brute_force() -> None:
    rng = torch.Generator().manual_seed(3)
    bank, labels = torch.randn(60, 5, generator=rng), torch.randint(0, 4, (60,), generator=rng)
    query = torch.randn(30, 5, generator=rng)
    found = NeighbourClassifier.of(bank, labels, 4, k=7).predict(query)
    mean, std = bank.mean(0), bank.std(0, correction=0)
    for q, answer in zip(query, found, strict=True):
        cosine = torch.cosine_similarity((q - mean)[None] / std, (bank - mean) / std)
        votes = torch.zeros(4)
        for row in cosine.argsort(descending=True)[:7]:
            votes[labels[row]] += torch.exp((cosine[row] - 1) / 0.07)
        assert int(votes.argmax()) == int(answer)
    assert NeighbourClassifier.of(bank, labels, 4, k=1).predict(bank).equal(labels)


def test_levels_are_carried_to_the_voxels_they_contain() -> None:
    """A level's feature at a fine voxel is that of the coarse voxel over it, also at negative coordinates."""
    rng = np.random.default_rng(0)
    xyz = (rng.random((400, 3)) * 3 - 1.5).astype(np.float32)
    scene = voxelize_scene(xyz, rng.random((400, 3)).astype(np.float32), 0.1)
    net = SRUNet(3, "tiny").eval()
    found = scene_features(net, scene, ("encoder", "decoder"), CPU)
    levels = found["encoder"]
    assert levels.channels == sum(net.encoder_channels) and found["decoder"].channels == net.out_channels
    for stride, rows in zip((1, 2, 4, 8, 16), levels.rows, strict=True):
        groups = {}
        for voxel, row in zip(scene.coords // stride, rows.tolist(), strict=True):
            assert groups.setdefault(tuple(voxel.tolist()), row) == row
        assert len(set(groups.values())) == len(groups) == int(rows.max()) + 1
    weight, bias = torch.randn(levels.channels, 3), torch.randn(3)
    expected = levels.at(torch.arange(len(scene.coords))) @ weight + bias
    assert torch.allclose(levels.linear(weight, bias), expected, atol=1e-4)


def test_the_linear_probe_is_at_the_lowest_point_of_what_it_is_said_to_minimise() -> None:
    """Cross-entropy of standardised features and half l2 times the squared weights; the bias is free."""
    random = torch.Generator().manual_seed(0)
    feats = torch.randn(300, 5, generator=random, dtype=torch.float64) * torch.tensor([1.0, 30, 0.1, 2, 1]) + 4
    labels = torch.randint(0, 3, (300,), generator=random)
    labels[:200] = 0  # so that the bias is far from zero
    found = fit_linear(feats.float(), labels, classes=3, l2=0.05, iterations=500)
    scale = feats.std(dim=0, correction=0)
    weight = (found.weight.double() * scale[:, None]).requires_grad_()
    bias = (found.bias.double() + feats.mean(dim=0) @ found.weight.double()).requires_grad_()
    x = (feats - feats.mean(dim=0)) / scale
    loss = F.cross_entropy(x @ weight + bias, labels) + 0.5 * 0.05 * weight.square().sum()
    loss.backward()
    assert weight.grad is not None and bias.grad is not None and float(bias.detach().abs().max()) > 0.3
    assert float(weight.grad.abs().max()) < 1e-4 and float(bias.grad.abs().max()) < 1e-4


def test_the_tool_measures_random_weights_and_a_checkpoint(tmp_path: Path) -> None:
    root = write_prepared(tmp_path / "rooms", train=3, val=1)
    given = [
        f"DATA_ROOT = {str(root)!r}",
        *SMALL,
        "FeatureProbe.features = ['encoder', 'decoder']",
        "init.parts = 'all'",
    ]
    random, lines = run_probe(["probe/rooms.gin"], given, tmp_path / "random.json")
    assert json.loads((tmp_path / "random.json").read_text()) == random and lines == []
    assert set(random) == {f"{m}_{f}" for m in ("linear", "knn") for f in ("encoder", "decoder")}
    assert random["linear_encoder"]["miou_point"] > 0.4  # its things differ in height and colour
    other, _ = run_probe(["probe/rooms.gin"], [*given, "FeatureProbe.network_seed = 1"])
    assert other != random

    config.load_config(["probe/rooms.gin"], [*given, "FeatureProbe.network_seed = 1"])
    torch.save(FeatureProbe().build_backbone().state_dict(), tmp_path / "weights.pt")
    loaded, lines = run_probe(["probe/rooms.gin"], [*given, f"init.checkpoint = {str(tmp_path / 'weights.pt')!r}"])
    assert loaded == other and "100%" in lines[0]
    assert (tmp_path / "config.gin").read_text().count("FeatureProbe.points = 300") == 1

    state = FeatureProbe().build_backbone().state_dict()
    del state["bn0.bn.running_mean"]
    torch.save(state, tmp_path / "part.pt")
    with pytest.raises(InputError, match=r"first bn0.bn.running_mean is missing: its features would be in part"):
        run_probe(["probe/rooms.gin"], [*given, f"init.checkpoint = {str(tmp_path / 'part.pt')!r}"])


def test_a_decoder_that_is_not_loaded_is_not_probed(tmp_path: Path) -> None:
    given = [f"DATA_ROOT = {str(write_prepared(tmp_path / 'rooms'))!r}", *SMALL, "FeatureProbe.features = ['decoder']"]
    with pytest.raises(InputError, match="leaves it random: take init.parts = 'all'"):
        run_probe(["probe/rooms.gin"], [*given, "init.checkpoint = 'some.pt'"])


def test_where_figures_cannot_be_written_is_said_before_they_are_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = [f"DATA_ROOT = {str(write_prepared(tmp_path / 'rooms'))!r}", *SMALL]
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "file").write_text("")

    def never(*_: object) -> None:
        raise AssertionError("measured")

    monkeypatch.setattr(FeatureProbe, "measure", never)

    for out, message in (
        (tmp_path / "run", "is a folder: name a file"),
        (tmp_path / "run" / "probe.json", "lies in a training run's folder"),
        (tmp_path / "file" / "probe.json", "cannot be made"),
    ):
        with pytest.raises(InputError, match=message):
            run_probe(["probe/rooms.gin"], given, out)
    own = tmp_path / "config.gin"
    own.write_text('include "probe/rooms.gin"  # and what took a morning to find\n')
    with pytest.raises(InputError, match="written over .*config.gin, which was given"):
        run_probe([str(own)], given, tmp_path / "probe.json")
    assert "a morning" in own.read_text()


@pytest.mark.parametrize(
    ("binding", "message"),
    [
        ("FeatureProbe.features = ['head']", "choose of encoder, decoder"),
        ("FeatureProbe.k = 0", "at least 1"),
        ("VOXEL_SIZE = 0.0", "must be positive"),
        ("train/PreparedSplit.split = 'test'", "test"),
        ("FeatureProbe.wieght = 1", "no parameter"),
        ("init.freeze = 'all'", "a probe trains no network"),
        ("train.lr = 1.0", "nothing in this run uses train.lr"),
        ("PreparedSplit.share = 0.5", "reaches only a part of the run"),
    ],
)
def test_mistakes_are_one_line(binding: str, message: str, tmp_path: Path) -> None:
    root = write_prepared(tmp_path / "rooms")
    with pytest.raises(InputError, match=message):
        run_probe(["probe/rooms.gin"], [f"DATA_ROOT = {str(root)!r}", *SMALL, binding])
