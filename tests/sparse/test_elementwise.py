"""Activations, dropout and linear layers: torch's on the features, MinkowskiEngine's by parameter names."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparse3d import sparse
from sparse3d.sparse import Dropout, Linear, PReLU, ReLU, SparseTensor

pytestmark = pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")

Coords = Callable[..., Tensor]
LAYERS: dict[str, tuple[Any, ...]] = {
    "ReLU": (),
    "LeakyReLU": (0.2,),
    "PReLU": (3,),
    "ELU": (0.7,),
    "CELU": (0.7,),
    "SELU": (),
    "GELU": (),
    "SiLU": (),
    "Sigmoid": (),
    "Tanh": (),
    "Softplus": (2.0, 1.0),
    "Dropout": (0.4,),
    "Linear": (3, 5),
}
every_layer = pytest.mark.parametrize("name", LAYERS)


def make(owner: Any, name: str, prefix: str = "") -> nn.Module:
    torch.manual_seed(0)
    layer: nn.Module = getattr(owner, prefix + name)(*LAYERS[name])
    return layer


def run(layer: nn.Module, tensor: Any, feats: Tensor, read: Callable[[Any], Tensor]) -> list[Tensor]:
    """Output and all gradients; the seed is dropout's."""
    torch.manual_seed(1)
    out = read(layer(tensor))
    return [out.detach(), *torch.autograd.grad((out * out.detach().cos()).sum(), [feats, *layer.parameters()])]


@every_layer
def test_layers_equal_those_of_minkowski_engine(
    minkowski: ModuleType, random_coords: Coords, name: str, backend: str
) -> None:
    coords, feats = random_coords(60), 2 * torch.randn(60, 3)
    ours, theirs = make(sparse, name), make(minkowski, name, "Minkowski")
    theirs.load_state_dict(ours.state_dict(), strict=True)
    x, y = feats.clone().requires_grad_(), feats.clone().requires_grad_()
    mine = SparseTensor.from_coords(coords, x, backend=backend)
    assert ours(mine).key == mine.key
    found = run(ours, mine, x, lambda t: t.feats)
    expected = run(theirs, minkowski.SparseTensor(y, coordinates=coords), y, lambda t: t.F)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


@every_layer
def test_layers_equal_torchs_on_the_features(random_coords: Coords, name: str) -> None:
    feats = 2 * torch.randn(60, 3, requires_grad=True)
    ours, theirs = make(sparse, name), make(nn, name)
    tensor = SparseTensor.from_coords(random_coords(60), feats)
    pairs = zip(run(ours, tensor, feats, lambda t: t.feats), run(theirs, feats, feats, lambda t: t), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "Dropout"])
def test_gradients_pass_gradcheck(random_coords: Coords, name: str, backend: str) -> None:
    coords, layer = random_coords(8), make(sparse, name).double()
    feats = torch.randn(8, 3, dtype=torch.float64, requires_grad=True)

    def apply(feats: Tensor, *_: Tensor) -> Tensor:
        out: Tensor = layer(SparseTensor.from_coords(coords, feats, backend=backend)).feats
        return out

    assert torch.autograd.gradcheck(apply, (feats, *layer.parameters()))


def test_parameters_have_the_names_of_minkowski_engine() -> None:
    assert list(PReLU(3).state_dict()) == ["module.weight"]
    assert list(Linear(3, 4).state_dict()) == ["linear.weight", "linear.bias"]
    assert list(Linear(3, 4, bias=False).state_dict()) == ["linear.weight"]
    assert not ReLU().state_dict()


def test_dropout_drops_in_training_only(random_coords: Coords) -> None:
    x = SparseTensor.from_coords(random_coords(200), torch.ones(200, 3))
    dropout = Dropout(0.5)
    assert set(dropout(x).feats.unique().tolist()) == {0.0, 2.0}
    assert torch.equal(dropout.eval()(x).feats, x.feats)
    assert torch.equal(x.feats, torch.ones(200, 3))


def test_the_input_is_left_alone(random_coords: Coords) -> None:
    feats = torch.randn(60, 3)
    x = SparseTensor.from_coords(random_coords(60), feats.clone())
    for name in LAYERS:
        make(sparse, name)(x)
    assert torch.equal(x.feats, feats)


@every_layer
def test_layers_run_under_autocast(random_coords: Coords, name: str) -> None:
    feats, layer = torch.randn(60, 3, requires_grad=True), make(sparse, name)
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(SparseTensor.from_coords(random_coords(60), feats)).feats
    out.float().sum().backward()
    assert feats.grad is not None and bool(feats.grad.isfinite().all())
