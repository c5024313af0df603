"""Sparse tensors and layers with MinkowskiEngine's meaning, over interchangeable backends."""

from sparse3d.sparse.backend import BACKENDS, configure, resolve
from sparse3d.sparse.broadcast import Broadcast, BroadcastAddition, BroadcastConcatenation, BroadcastMultiplication
from sparse3d.sparse.conv_norm import conv_norm
from sparse3d.sparse.convolution import Convolution, ConvolutionTranspose, GenerativeConvolutionTranspose
from sparse3d.sparse.elementwise import (
    CELU,
    ELU,
    GELU,
    SELU,
    Dropout,
    LeakyReLU,
    Linear,
    PReLU,
    ReLU,
    Sigmoid,
    SiLU,
    Softplus,
    Tanh,
)
from sparse3d.sparse.field import TensorField, slice
from sparse3d.sparse.interpolation import Interpolation, interpolate
from sparse3d.sparse.normalization import BatchNorm, InstanceNorm
from sparse3d.sparse.pooling import (
    AvgPooling,
    GlobalAvgPooling,
    GlobalMaxPooling,
    GlobalSumPooling,
    MaxPooling,
    PoolingTranspose,
    SumPooling,
    global_pool,
)
from sparse3d.sparse.pruning import Pruning
from sparse3d.sparse.tensor import SparseTensor, concatenate

__all__ = [
    "BACKENDS",
    "CELU",
    "ELU",
    "GELU",
    "SELU",
    "AvgPooling",
    "BatchNorm",
    "Broadcast",
    "BroadcastAddition",
    "BroadcastConcatenation",
    "BroadcastMultiplication",
    "Convolution",
    "ConvolutionTranspose",
    "Dropout",
    "GenerativeConvolutionTranspose",
    "GlobalAvgPooling",
    "GlobalMaxPooling",
    "GlobalSumPooling",
    "InstanceNorm",
    "Interpolation",
    "LeakyReLU",
    "Linear",
    "MaxPooling",
    "PReLU",
    "Pruning",
    "PoolingTranspose",
    "ReLU",
    "SiLU",
    "Sigmoid",
    "Softplus",
    "SparseTensor",
    "SumPooling",
    "Tanh",
    "TensorField",
    "concatenate",
    "configure",
    "conv_norm",
    "global_pool",
    "interpolate",
    "resolve",
    "slice",
]
