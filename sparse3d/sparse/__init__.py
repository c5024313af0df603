"""Sparse tensors and layers with MinkowskiEngine's meaning, over interchangeable backends."""

from sparse3d.sparse.backend import BACKENDS, configure, resolve
from sparse3d.sparse.modules import BatchNorm, Convolution, ConvolutionTranspose, ReLU, global_pool
from sparse3d.sparse.tensor import SparseTensor, concatenate

__all__ = [
    "BACKENDS",
    "BatchNorm",
    "Convolution",
    "ConvolutionTranspose",
    "ReLU",
    "SparseTensor",
    "concatenate",
    "configure",
    "global_pool",
    "resolve",
]
