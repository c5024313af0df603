"""What the stored results of MinkowskiEngine are results of: one list of cases that either side can run.

Every number that goes in is a small multiple of 1/8, made without a random generator of torch: whatever only adds and
multiplies is then exact in float32 and float64, in any order of summation.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sparse3d import sparse
from sparse3d.sparse.coordinates import pack

CHANNELS = 3
Arrays = dict[str, np.ndarray]


class Ours:
    """Our layers and operations, on one backend."""

    def __init__(self, backend: str) -> None:
        self.backend = backend

    def layer(self, kind: str, *channels: int, **options: Any) -> nn.Module:
        layer = getattr(sparse, kind)(*channels, **options)
        assert isinstance(layer, nn.Module)
        return layer

    def tensor(self, coords: Tensor, feats: Tensor, stride: int = 1) -> Any:
        return sparse.SparseTensor.from_coords(coords, feats, backend=self.backend, tensor_stride=stride)

    def read(self, x: Any) -> tuple[Tensor, Tensor]:
        return x.coords, x.feats

    def prune(self, x: Any, keep: Tensor) -> Any:
        return sparse.Pruning()(x, keep)

    def concatenate(self, *tensors: Any) -> Any:
        return sparse.concatenate(*tensors)

    def pool_clouds(self, x: Any, mode: str) -> Tensor:
        return sparse.global_pool(x, mode)

    def broadcast(self, x: Any, kind: str) -> Any:
        return getattr(sparse, f"Broadcast{kind}")()(x, sparse.global_pool(x))

    def interpolate(self, x: Any, points: Tensor) -> Tensor:
        return sparse.interpolate(x, points)

    def voxelize(self, points: Tensor, feats: Tensor, reduction: str, stride: int) -> Any:
        return sparse.TensorField(feats, points).sparse(reduction, tensor_stride=stride, backend=self.backend)

    def there_and_back(self, points: Tensor, feats: Tensor, layers: nn.Module) -> Tensor:
        points_field = sparse.TensorField(feats, points)
        return sparse.slice(layers(points_field.sparse("average", backend=self.backend)), points_field)


_MODES = {"first": "RANDOM_SUBSAMPLE", "average": "UNWEIGHTED_AVERAGE", "sum": "UNWEIGHTED_SUM", "max": "MAX_POOL"}


class Theirs:
    """The same of MinkowskiEngine."""

    def __init__(self, engine: ModuleType) -> None:
        self.engine: Any = engine

    def layer(self, kind: str, *channels: int, **options: Any) -> nn.Module:
        normalises = kind.endswith("Norm")
        options |= {} if normalises else {"dimension": 3}
        options = {name: list(value) if isinstance(value, tuple) else value for name, value in options.items()}
        layer = getattr(self.engine, f"Minkowski{kind}")(*channels, **options)
        assert isinstance(layer, nn.Module)
        return layer

    def tensor(self, coords: Tensor, feats: Tensor, stride: int = 1) -> Any:
        return self.engine.SparseTensor(feats, coordinates=coords, tensor_stride=stride)

    def read(self, x: Any) -> tuple[Tensor, Tensor]:
        return x.C, x.F

    def prune(self, x: Any, keep: Tensor) -> Any:
        return self.engine.MinkowskiPruning()(x, keep)

    def concatenate(self, *tensors: Any) -> Any:
        return self.engine.cat(*tensors)

    def pool_clouds(self, x: Any, mode: str) -> Tensor:
        kind = {"average": "Avg", "sum": "Sum", "max": "Max"}[mode]
        pooled = getattr(self.engine, f"MinkowskiGlobal{kind}Pooling")()(x)
        return pooled.F[pooled.C[:, 0].argsort()]

    def broadcast(self, x: Any, kind: str) -> Any:
        pooled = self.engine.MinkowskiGlobalAvgPooling()(x)
        return getattr(self.engine, f"MinkowskiBroadcast{kind}")()(x, pooled)

    def interpolate(self, x: Any, points: Tensor) -> Tensor:
        return self.engine.MinkowskiInterpolation()(x, points)

    def voxelize(self, points: Tensor, feats: Tensor, reduction: str, stride: int) -> Any:
        if reduction == "splat":  # in float32 alone, exact for these points
            splat = self.engine.TensorField(feats.float(), coordinates=points.float()).splat()
            return _AsFloat64(splat.C, splat.F.double())
        mode = getattr(self.engine.SparseTensorQuantizationMode, _MODES[reduction])
        return self.engine.TensorField(feats, coordinates=points.float(), quantization_mode=mode).sparse(stride)

    def there_and_back(self, points: Tensor, feats: Tensor, layers: nn.Module) -> Tensor:
        points_field = self.engine.TensorField(feats, coordinates=points.float())
        return layers(points_field.sparse()).slice(points_field).F


@dataclass(frozen=True)
class _AsFloat64:
    C: Tensor
    F: Tensor


@dataclass(frozen=True)
class Inputs:
    """What all cases start from."""

    coords: Tensor  # (N, 4) int32
    feats: Tensor  # (N, 3)
    points: Tensor  # (M, 4), multiples of 1/8
    point_feats: Tensor  # (M, 3)

    @classmethod
    def make(cls) -> Inputs:
        """60 voxels of two clouds around zero, 40 points, some of them in one voxel."""
        rng = np.random.default_rng(0)
        cells = rng.choice(2 * 8**3, 60, replace=False)
        coords = np.stack([cells // 8**3, *(cells // 8**axis % 8 - 4 for axis in range(3))], axis=1)
        points = np.concatenate([rng.integers(0, 2, (40, 1)), rng.integers(-24, 24, (40, 3)) / 8], axis=1)
        feats, point_feats = (rng.integers(-16, 17, (rows, CHANNELS)) / 8 for rows in (60, 40))
        return cls(*map(torch.from_numpy, (coords.astype(np.int32), feats, points, point_feats)))


Run = Callable[[Any, nn.ModuleList, Inputs, Tensor], Any]
Build = Callable[[Any], list[nn.Module]]


@dataclass(frozen=True)
class Case:
    """Layers, and how a result comes from them; ``run`` gets the side, the layers, the inputs and the features."""

    build: Build = lambda side: []
    run: Run = lambda side, layers, inputs, feats: nn.Sequential(*layers)(side.tensor(inputs.coords, feats))
    of_points: bool = False  # the features are the points'
    tolerance: float = 1e-12  # of the largest, in float64
    changes: Callable[[Tensor], Tensor] = field(default=lambda feats: feats)  # to the features before all else


def convolution(*channels: int, **options: Any) -> Case:
    return Case(lambda side: [side.layer("Convolution", *channels, **options)])


def down_and_up(up: str, **options: Any) -> Case:
    return Case(lambda side: [side.layer("Convolution", 3, 2, **options), side.layer(up, 2, 2, **options)])


def _made_coarse(side: Any, layers: nn.ModuleList, inputs: Inputs, feats: Tensor) -> Any:
    """A tensor that was made at stride 2 goes up: there are no fine voxels to go to."""
    coords = inputs.coords * torch.tensor([1, 2, 2, 2], dtype=torch.int32)
    return layers[0](side.tensor(coords, feats, stride=2))


def distinct(feats: Tensor) -> Tensor:
    """Values that differ, half of them negative: of equal ones theirs takes any."""
    return ((torch.arange(feats.numel()) * 37 % feats.numel() - feats.numel() // 2) / 8 + 1 / 16).view(feats.shape)


def distinct_positive(feats: Tensor) -> Tensor:
    """The same, positive: the maximum of points is right in theirs for such."""
    return distinct(feats) + feats.numel() // 16 + 1


def pooling(*layers: tuple[str, int | tuple[int, ...], int | tuple[int, ...]]) -> Case:
    return Case(
        lambda side: [side.layer(kind, kernel_size=size, stride=stride) for kind, size, stride in layers],
        changes=distinct,
    )


def _even(side: Any, x: Any, axis: int = 1) -> Tensor:
    """Voxels of every second layer, by coordinate: rows are in another order on the other side."""
    return side.read(x)[0][:, axis] % 4 < 2


def _pruned(side: Any, layers: nn.ModuleList, inputs: Inputs, feats: Tensor) -> Any:
    x = layers[0](side.tensor(inputs.coords, feats))
    return layers[1](side.prune(x, _even(side, x)))


def _united(side: Any, layers: nn.ModuleList, inputs: Inputs, feats: Tensor) -> Any:
    x = side.tensor(inputs.coords, feats)
    return side.prune(x, _even(side, x, 1)) + side.prune(x, _even(side, x, 2))


def _skip(side: Any, layers: nn.ModuleList, inputs: Inputs, feats: Tensor) -> Any:
    x = side.tensor(inputs.coords, feats)
    return layers[2](side.concatenate(layers[1](layers[0](x)), x))


def pooled_clouds(mode: str) -> Case:
    def run(side: Any, layers: nn.ModuleList, inputs: Inputs, feats: Tensor) -> Tensor:
        return side.pool_clouds(side.tensor(inputs.coords, feats), mode)

    return Case(run=run, changes=distinct)


def broadcast(kind: str) -> Case:
    return Case(run=lambda side, layers, inputs, feats: side.broadcast(side.tensor(inputs.coords, feats), kind))


def interpolated(stride: int | tuple[int, ...]) -> Case:
    def run(side: Any, layers: nn.ModuleList, inputs: Inputs, feats: Tensor) -> Tensor:
        return side.interpolate(layers[0](side.tensor(inputs.coords, feats)), inputs.points.to(feats.dtype))

    return Case(lambda side: [side.layer("Convolution", 3, 2, kernel_size=2, stride=stride)], run)


def voxelized(reduction: str, stride: int = 1, **options: Any) -> Case:
    def run(side: Any, layers: nn.ModuleList, inputs: Inputs, feats: Tensor) -> Any:
        return side.voxelize(inputs.points, feats, reduction, stride)

    return Case(run=run, of_points=True, **options)


CASES: dict[str, Case] = {
    "3^3 with bias": convolution(3, 4, kernel_size=3, bias=True),
    "5^3": convolution(3, 1, kernel_size=5),
    "3^3 dilated": convolution(3, 2, kernel_size=3, dilation=2),
    "2^3 stride 2": convolution(3, 4, kernel_size=2, stride=2),
    "3^3 stride 3": convolution(3, 2, kernel_size=3, stride=3),
    "4^3 stride 4": convolution(3, 1, kernel_size=4, stride=4),
    "1^3 with bias": convolution(3, 4, kernel_size=1, bias=True),
    "1^3 stride 2": convolution(3, 4, kernel_size=1, stride=2),
    "axes of their own": convolution(3, 2, kernel_size=(3, 1, 2), stride=(1, 2, 3), dilation=(2, 1, 1), bias=True),
    "2^3 down and up": down_and_up("ConvolutionTranspose", kernel_size=2, stride=2),
    "3^3 down and up": down_and_up("ConvolutionTranspose", kernel_size=3, stride=2),
    "2^3 down and generated": down_and_up("GenerativeConvolutionTranspose", kernel_size=2, stride=2),
    "generated": Case(lambda side: [side.layer("GenerativeConvolutionTranspose", 3, 2, kernel_size=2, stride=1)]),
    "up where nothing is": Case(
        lambda side: [side.layer("ConvolutionTranspose", 3, 1, kernel_size=3, stride=2)], _made_coarse
    ),
    "skip connection": Case(
        lambda side: [
            side.layer("Convolution", 3, 4, kernel_size=2, stride=2),
            side.layer("ConvolutionTranspose", 4, 2, kernel_size=2, stride=2),
            side.layer("Convolution", 5, 2, kernel_size=1),
        ],
        _skip,
    ),
    "pruned": Case(
        lambda side: [
            side.layer("Convolution", 3, 2, kernel_size=2, stride=2),
            side.layer("Convolution", 2, 2, kernel_size=3),
        ],
        _pruned,
    ),
    "united": Case(run=_united),
    "sum of 2^3": pooling(("SumPooling", 2, 2)),
    "average of 2^3": pooling(("AvgPooling", 2, 2)),
    "maximum of 2^3": pooling(("MaxPooling", 2, 2)),
    "average of 3^3 stride 2": pooling(("AvgPooling", 3, 2)),
    "maximum of 3^3": pooling(("MaxPooling", 3, 1)),
    "average of 3 x 1 x 2": pooling(("AvgPooling", (3, 1, 2), (1, 2, 2))),
    "sum down, copied up": pooling(("SumPooling", 2, 2), ("PoolingTranspose", 2, 2)),
    "sum down, spread up": pooling(("SumPooling", 2, 2), ("PoolingTranspose", 3, 2)),
    "mean of clouds": pooled_clouds("average"),
    "sum of clouds": pooled_clouds("sum"),
    "maximum of clouds": pooled_clouds("max"),
    "broadcast addition": broadcast("Addition"),
    "broadcast multiplication": broadcast("Multiplication"),
    "broadcast concatenation": broadcast("Concatenation"),
    "batch norm": Case(lambda side: [side.layer("BatchNorm", 3)]),
    "instance norm": Case(lambda side: [side.layer("InstanceNorm", 3)]),
    "interpolated": interpolated(1),
    "interpolated at stride 2": interpolated(2),
    "interpolated with axes of their own": interpolated((3, 1, 2)),
    "first point": voxelized("first"),
    "sum of points": voxelized("sum"),
    "sum of points at stride 2": voxelized("sum", 2),
    "average of points": voxelized("average", tolerance=1e-6),  # theirs divides in float32
    "maximum of points": voxelized("max", changes=distinct_positive),
    "splat": voxelized("splat"),
    "points there and back": Case(
        lambda side: [
            side.layer("Convolution", 3, 2, kernel_size=3, stride=2),
            side.layer("ConvolutionTranspose", 2, 2, kernel_size=3, stride=2),
        ],
        lambda side, layers, inputs, feats: side.there_and_back(inputs.points, feats, nn.Sequential(*layers)),
        of_points=True,
        tolerance=1e-6,
    ),
}


def parameters_of(name: str, layers: nn.ModuleList) -> Arrays:
    """Values for all parameters, multiples of 1/8, the same for one name of a case ever after."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return {key: rng.integers(-8, 9, value.shape) / 8 for key, value in sorted(layers.named_parameters())}


def layers_of(
    name: str, side: Ours | Theirs, parameters: Mapping[str, np.ndarray], dtype: torch.dtype
) -> nn.ModuleList:
    """The layers of a case with these parameters."""
    layers = nn.ModuleList(CASES[name].build(side)).to(dtype)
    state = {key: torch.from_numpy(np.asarray(value)).to(dtype) for key, value in parameters.items()}
    missing = layers.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys and all("running" in key or "num_" in key for key in missing.missing_keys)
    return layers


def results_of(name: str, side: Ours | Theirs, layers: nn.ModuleList, inputs: Inputs, dtype: torch.dtype) -> Arrays:
    """Output rows by coordinate, their coordinates, and every gradient for a fixed cotangent."""
    case = CASES[name]
    feats = case.changes(inputs.point_feats if case.of_points else inputs.feats).to(dtype).requires_grad_()
    result = case.run(side, layers, inputs, feats)
    found: dict[str, Tensor] = {}
    if isinstance(result, Tensor):
        out = result
    else:
        coords, rows = side.read(result)
        order = pack(coords).argsort()
        out, found["coords"] = rows[order], coords[order]
    place = torch.arange(out.numel()).view(out.shape)
    cotangent = ((place * 7) % 11 - 5).to(dtype) / 4
    wanted = {"feats": feats, **dict(sorted(layers.named_parameters()))}
    gradients = torch.autograd.grad(out, list(wanted.values()), cotangent)
    found |= {"out": out.detach(), **{f"grad.{key}": value for key, value in zip(wanted, gradients, strict=True)}}
    return {key: value.numpy() for key, value in found.items()}
