"""Sparse tensors and layers with MinkowskiEngine's meaning, over interchangeable backends."""

from sparse3d.sparse.backend import BACKENDS, configure, resolve
from sparse3d.sparse.convolution import Convolution, ConvolutionTranspose, GenerativeConvolutionTranspose
from sparse3d.sparse.modules import BatchNorm, ReLU, global_pool
from sparse3d.sparse.tensor import SparseTensor, concatenate

__all__ = [
    "BACKENDS",
    "BatchNorm",
    "Convolution",
    "ConvolutionTranspose",
    "GenerativeConvolutionTranspose",
    "ReLU",
    "SparseTensor",
    "concatenate",
    "configure",
    "global_pool",
    "resolve",
]
