"""Memory of the large tensors that the kernels write: blocks go from layer to layer and step to step, see memory.cpp.

A fresh block is untouched pages, which the system must find and clear one by one. For a Res16UNet34C on a 2-core
virtual machine that was a fifth of a training step at 100,000 voxels. ``SPARSE3D_KEEP_MEMORY=0`` leaves all memory to
the usual allocators.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor
from torch.utils.dlpack import from_dlpack

from sparse3d.sparse.native import library

_LEAST_BYTES = 1 << 20  # smaller blocks stay in the allocator's heap anyway

_new_capsule = ctypes.pythonapi.PyCapsule_New
_new_capsule.restype = ctypes.py_object
_new_capsule.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


def empty_rows(rows: int, columns: int) -> Tensor:
    """An uninitialised tensor (rows, columns), float32 on the CPU."""
    if rows * columns * 4 >= _LEAST_BYTES:
        managed = library.load().sparse3d_pool_rows(rows, columns)
        if managed:
            return from_dlpack(_new_capsule(managed, b"dltensor", None))
    return torch.empty(rows, columns, dtype=torch.float32, device="cpu")  # whatever torch's defaults are set to


def pool_bytes() -> tuple[int, int, int]:
    """Bytes of kept memory that tensors and scratch hold, that wait for the next ones, and the most that were held."""
    kernel = library.load()
    return kernel.sparse3d_pool_used(), kernel.sparse3d_pool_kept(), kernel.sparse3d_pool_most()
