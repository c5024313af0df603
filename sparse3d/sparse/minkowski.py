"""The MinkowskiEngine backend: its convolution functions under our coordinates, layers and parameters.

Only MinkowskiEngine's convolutions are called, which is where the time goes. Coordinate sets are ours and inserted into
its manager, so rows come in one order on every backend; what is not a convolution is computed by the code that all
backends share.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from sparse3d.sparse import minkowski_import
from sparse3d.sparse.coordinates import Triple
from sparse3d.sparse.manager import Connection, CoordinateKey, CoordinateManager


@dataclass(frozen=True)
class _EngineSet:
    """A coordinate set inside MinkowskiEngine. On a GPU it numbers rows as its hash table does."""

    key: Any
    our_rows: Tensor | None  # (N,) int64: our row of each of its rows; None = the same

    def to_engine(self, feats: Tensor) -> Tensor:
        return feats if self.our_rows is None else feats[self.our_rows]

    def from_engine(self, feats: Tensor) -> Tensor:
        return feats if self.our_rows is None else torch.empty_like(feats).index_copy(0, self.our_rows, feats)


class MinkowskiCoordinateManager(CoordinateManager):
    """Kernel maps and products are MinkowskiEngine's; its memory is freed with this object.

    Raises:
        ImportError: where MinkowskiEngine does not load.
        ValueError: for coordinates out of range or given twice.
    """

    backend = "minkowski"

    def __init__(self, coords: Tensor, stride: Triple = (1, 1, 1), products: str = "float32") -> None:
        engine = minkowski_import.load()
        super().__init__(coords, stride, products)
        map_type = engine.CoordinateMapType.CUDA if coords.is_cuda else engine.CoordinateMapType.CPU
        self._engine = engine
        self._manager = engine.CoordinateManager(D=3, coordinate_map_type=map_type)
        self._inside: dict[CoordinateKey, _EngineSet] = {}

    def product(self, feats: Tensor, kernel: Tensor, connection: Connection) -> Tensor:
        source, target, region, transposed = connection
        if min(len(self.coordinates(source)), len(self.coordinates(target)), *kernel.shape) == 0:
            # MinkowskiEngine has no empty maps: its kernel map of none is a dangling reference.
            return super().product(feats, kernel, connection)
        inputs, outputs = self._inserted(source), self._inserted(target)
        coarse, fine = (source, target) if transposed else (target, source)
        stride = tuple(c // f for c, f in zip(coarse.stride, fine.stride, strict=True))
        engine = self._engine
        function = engine.MinkowskiConvolutionTransposeFunction if transposed else engine.MinkowskiConvolutionFunction
        common = torch.promote_types(feats.dtype, kernel.dtype)  # autocast leaves features in half types behind
        wide = torch.promote_types(common, torch.float32)  # in which a half type is summed
        with torch.autocast(feats.device.type, enabled=False):
            out = function.apply(
                inputs.to_engine(feats.to(wide)).contiguous(),
                kernel.to(wide).contiguous(),
                _kernel_generator(region.size, stride, region.dilation),
                _default_mode(),
                inputs.key,
                outputs.key,
                self._manager,
            )
        return outputs.from_engine(out).to(common)

    def _inserted(self, key: CoordinateKey) -> _EngineSet:
        if key not in self._inside:
            coords = self.coordinates(key).coords
            name, (rows, _) = self._manager.insert_and_map(
                coords.to(torch.int32).contiguous(), list(key.stride), f"{key.branch}"
            )
            rows = rows.to(coords.device, torch.int64)
            in_order = torch.equal(rows, torch.arange(len(rows), device=rows.device))
            self._inside[key] = _EngineSet(name, None if in_order else rows)
        return self._inside[key]


@cache
def _default_mode() -> Any:
    # Only the extension itself has this name; it is loaded with the engine.
    return importlib.import_module("MinkowskiEngineBackend._C").ConvolutionMode.DEFAULT


@cache
def _kernel_generator(size: Triple, stride: tuple[int, ...], dilation: Triple) -> Any:
    generator = minkowski_import.load().KernelGenerator
    return generator(kernel_size=list(size), stride=list(stride), dilation=list(dilation), dimension=3)
