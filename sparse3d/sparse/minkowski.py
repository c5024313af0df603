"""The MinkowskiEngine backend: its coordinate maps and convolution functions under our layers and parameters.

Only MinkowskiEngine's functional layer is called, so a network's modules, parameters and state dict do not depend on
the backend. What its convolutions mean (kernel order, strided coordinates, transposed maps) is what this package means.
"""

from __future__ import annotations

import importlib
from functools import cache
from typing import Any

import torch
from torch import Tensor

from sparse3d.sparse import minkowski_import
from sparse3d.sparse.coordinates import check_range
from sparse3d.sparse.manager import CoordinateManager, TorchCoordinateManager


class MinkowskiCoordinateManager(CoordinateManager):
    """Coordinate maps and kernel maps live in MinkowskiEngine, and are freed with this object.

    Rows of stride 1 are the caller's; rows of a coarser stride come in the order of MinkowskiEngine's hash table.

    Raises:
        ImportError: where MinkowskiEngine does not load.
        ValueError: for coordinates out of range or given twice.
    """

    backend = "minkowski"

    def __init__(self, coords: Tensor) -> None:
        engine = minkowski_import.load()
        check_range(coords)
        # MinkowskiEngine has no empty maps: its kernel map of none is a dangling reference.
        self._nowhere = TorchCoordinateManager(coords) if len(coords) == 0 else None
        if self._nowhere is not None:
            return
        map_type = engine.CoordinateMapType.CUDA if coords.is_cuda else engine.CoordinateMapType.CPU
        self._engine = engine
        self._manager = engine.CoordinateManager(D=3, coordinate_map_type=map_type)
        rows = coords.to(torch.int32).contiguous()
        key, (first, _) = self._manager.insert_and_map(rows, 1)
        if len(first) != len(coords):
            raise ValueError("two rows have the same voxel coordinates: voxelize the points first")
        self._keys: dict[int, Any] = {1: key}
        self._coords: dict[int, Tensor] = {1: rows}
        # On a GPU the engine numbers rows as its hash table does: ``_engine_rows[r]`` is the caller's row of its row r.
        first = first.to(coords.device, torch.int64)
        in_order = torch.equal(first, torch.arange(len(first), device=first.device))
        self._engine_rows = None if in_order else first

    def coords(self, stride: int) -> Tensor:
        if self._nowhere is not None:
            return self._nowhere.coords(stride)
        if stride not in self._coords:
            self._coords[stride] = self._manager.get_coordinates(self._keys[stride])
        return self._coords[stride]

    def convolve(
        self,
        feats: Tensor,
        kernel: Tensor,
        stride_in: int,
        kernel_size: int,
        stride: int,
        dilation: int,
        transposed: bool,
    ) -> tuple[Tensor, int]:
        if self._nowhere is not None:
            return self._nowhere.convolve(feats, kernel, stride_in, kernel_size, stride, dilation, transposed)
        if kernel.ndim == 2:
            return feats @ kernel, stride_in
        stride_out = self._output_stride(stride_in, stride, transposed)
        engine = self._engine
        function = engine.MinkowskiConvolutionTransposeFunction if transposed else engine.MinkowskiConvolutionFunction
        out = function.apply(
            self._to_engine(feats, stride_in).contiguous(),
            kernel.contiguous(),
            _kernel_generator(kernel_size, stride, dilation),
            _default_mode(),
            self._keys[stride_in],
            self._keys[stride_out],
            self._manager,
        )
        return self._from_engine(out, stride_out), stride_out

    def _output_stride(self, stride_in: int, stride: int, transposed: bool) -> int:
        """The tensor stride of the output, whose coordinate map exists from here on."""
        if not transposed:
            stride_out = stride_in * stride
            if stride_out not in self._keys:
                self._keys[stride_out] = self._manager.stride(self._keys[stride_in], stride)
            return stride_out
        stride_out = stride_in // stride
        if stride_out * stride != stride_in or stride_out not in self._keys:
            raise ValueError(
                f"no voxels of stride {stride_in}/{stride} to convolve back to: a transposed convolution "
                "needs the coordinates that a strided one started from"
            )
        return stride_out

    def _to_engine(self, feats: Tensor, stride: int) -> Tensor:
        return feats if stride != 1 or self._engine_rows is None else feats[self._engine_rows]

    def _from_engine(self, feats: Tensor, stride: int) -> Tensor:
        if stride != 1 or self._engine_rows is None:
            return feats
        return torch.empty_like(feats).index_copy(0, self._engine_rows, feats)


@cache
def _default_mode() -> Any:
    # Only the extension itself has this name; it is loaded with the engine.
    return importlib.import_module("MinkowskiEngineBackend._C").ConvolutionMode.DEFAULT


@cache
def _kernel_generator(kernel_size: int, stride: int, dilation: int) -> Any:
    generator = minkowski_import.load().KernelGenerator
    return generator(kernel_size=kernel_size, stride=stride, dilation=dilation, dimension=3)
