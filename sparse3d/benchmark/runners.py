"""What a worker process runs: one network on one cloud, by one engine."""

from __future__ import annotations

import gc
import time
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sparse3d.benchmark.minkowski_network import minkowski_network
from sparse3d.benchmark.networks import in_channels, layer_width, our_network
from sparse3d.benchmark.products import Products, convolution_shapes
from sparse3d.sparse import Convolution, SparseTensor, configure, minkowski_import

Times = dict[str, float]  # forward, backward, inference: seconds


class Runner(ABC):
    """An engine. ``load`` comes first, then ``prepare`` for every network and cloud."""

    @abstractmethod
    def load(self) -> None:
        """Loads the libraries, and lets them set themselves up on a handful of voxels."""

    @abstractmethod
    def prepare(self, network: str, coords: np.ndarray, state: dict[str, Tensor]) -> None:
        """Takes the network ``state`` and the cloud (V, 3) int32."""

    @abstractmethod
    def train_step(self) -> Times:
        """New coordinates, forward and backward."""

    @abstractmethod
    def inference(self) -> Times:
        """New coordinates and forward, in evaluation and without gradients."""

    def output(self) -> Tensor | None:
        """Runs a train step; the network's output (V, C) to be compared between engines, None if there is none."""
        self.train_step()
        return None


class NetworkRunner(Runner):
    """What our engines and MinkowskiEngine have in common."""

    name: str
    network: nn.Module
    coords: Tensor  # (V, 4) int32
    feats: Tensor  # (V, C) float32

    @abstractmethod
    def build(self, network: str) -> nn.Module:
        """The network ``network`` with any weights."""

    @abstractmethod
    def tensor(self, coords: Tensor, feats: Tensor) -> Any:
        """A sparse tensor over new coordinates."""

    @abstractmethod
    def again(self, x: Any) -> Any:
        """A sparse tensor over the coordinates of ``x``, its kernel maps included."""

    @abstractmethod
    def features(self, x: Any) -> Tensor:
        """The features (V, C) of a sparse tensor."""

    def load(self) -> None:
        self._take("layer:8", np.array([[0, 0, 0], [0, 0, 1]], dtype=np.int32), self.build("layer:8"))
        self.train_step()

    def prepare(self, network: str, coords: np.ndarray, state: dict[str, Tensor]) -> None:
        built = self.build(network)
        built.load_state_dict(state, strict=True)
        self._take(network, coords, built)

    def _take(self, name: str, coords: np.ndarray, network: nn.Module) -> None:
        self.name, self.network = name, network
        self.coords = torch.from_numpy(np.insert(coords, 0, 0, axis=1))
        generator = torch.Generator().manual_seed(0)
        # A layer inside a network hands a gradient on, the first one of a network does not.
        inside = layer_width(name) is not None
        self.feats = torch.rand(len(coords), in_channels(name), generator=generator).requires_grad_(inside)

    def train_step(self) -> Times:
        return self._train_step()[0]

    def output(self) -> Tensor | None:
        return self._train_step()[1]

    def _train_step(self) -> tuple[Times, Tensor]:
        self.network.train()
        gc.collect()
        started = time.perf_counter()
        out = self.features(self.network(self.tensor(self.coords, self.feats)))
        forward = time.perf_counter()
        out.square().mean().backward()
        done = time.perf_counter()
        self.forget_gradients()
        return {"forward": forward - started, "backward": done - forward}, out.detach()

    def inference(self) -> Times:
        self.network.eval()
        gc.collect()
        with torch.no_grad():
            started = time.perf_counter()
            self.network(self.tensor(self.coords, self.feats))
            return {"inference": time.perf_counter() - started}

    def forget_gradients(self) -> None:
        """So that the next backward pass writes its gradients and does not add."""
        self.network.zero_grad(set_to_none=True)
        self.feats.grad = None


class OurRunner(NetworkRunner):
    """This package's layers over one of its backends."""

    def __init__(self, backend: str, products: str = "float32") -> None:
        self.backend = configure(backend, products)

    def build(self, network: str) -> nn.Module:
        return our_network(network)

    def tensor(self, coords: Tensor, feats: Tensor) -> SparseTensor:
        return SparseTensor.from_coords(coords, feats, backend=self.backend)

    def again(self, x: SparseTensor) -> SparseTensor:
        return x.with_feats(self.feats)

    def features(self, x: SparseTensor) -> Tensor:
        return x.feats


class MinkowskiRunner(NetworkRunner):
    """MinkowskiEngine itself."""

    def build(self, network: str) -> nn.Module:
        return minkowski_network(network)

    def tensor(self, coords: Tensor, feats: Tensor) -> Any:
        return minkowski_import.load().SparseTensor(feats, coordinates=coords)

    def again(self, x: Any) -> Any:
        same = {"coordinate_map_key": x.coordinate_map_key, "coordinate_manager": x.coordinate_manager}
        return minkowski_import.load().SparseTensor(self.feats, **same)

    def features(self, x: Any) -> Tensor:
        return x.F


class ProductsRunner(Runner):
    """The bound; its "inference" is the forward pass once more."""

    products: Products

    def load(self) -> None:
        self.prepare("layer:8", np.zeros((1, 3), dtype=np.int32), {})
        self.train_step()

    def prepare(self, network: str, coords: np.ndarray, state: dict[str, Tensor]) -> None:
        built = our_network(network)
        self.products = Products(convolution_shapes(built, coords, input_gradient=isinstance(built, Convolution)))

    def train_step(self) -> Times:
        return {"forward": self.products.forward(), "backward": self.products.backward()}

    def inference(self) -> Times:
        return {"inference": self.products.forward()}


def make_runner(engine: str) -> Runner:
    """The runner of a variant's ``engine``."""
    if engine == "mm":
        return ProductsRunner()
    if engine == "minkowskiengine":
        return MinkowskiRunner()
    return OurRunner("native", "bfloat16") if engine == "native-bfloat16" else OurRunner(engine)
