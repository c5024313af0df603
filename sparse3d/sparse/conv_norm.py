"""A convolution and the batch normalisation behind it as one call, in one pass where no gradient is wanted."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules import module as torch_module

from sparse3d.sparse.batch_norm import SynchronizedBatchNorm1d
from sparse3d.sparse.convolution import ConvolutionBase
from sparse3d.sparse.manager import Connection, Epilogue
from sparse3d.sparse.normalization import BatchNorm
from sparse3d.sparse.tensor import SparseTensor, concatenate


def conv_norm(
    x: SparseTensor,
    convolution: ConvolutionBase,
    norm: BatchNorm,
    *,
    relu: bool = False,
    residual: SparseTensor | None = None,
    over_residual: bool = False,
    beside: SparseTensor | None = None,
) -> SparseTensor:
    """``concatenate(norm(convolution(x), relu, residual), beside)``, the last only if there is one.

    In evaluation and without gradients the native backend finishes a tile of outputs while it is in the caches, and
    writes it where it belongs. Layers with hooks are always called, and their outputs kept; so are layers that have a
    forward pass of their own, by their class or put into one of them.

    Args:
        residual: on the voxels of the output.
        over_residual: the result may be written over it, as it has no other reader.
        beside: on the voxels of the output; its channels follow the result's.

    Raises:
        ValueError: as the layers do; a residual or a neighbour that lives on other voxels.
    """
    watched = is_watched(convolution, norm)
    if not watched and _known_beforehand(x, convolution, norm, residual):
        connection = convolution.connection(x)  # once: generating layers make new voxels by it
        out = _at_once(x, convolution, norm, connection, relu, residual, over_residual, beside)
        if out is not None:
            return out
        convolved = convolution.along(x, connection)
    else:
        convolved = convolution(x)
    del x  # of the two tensors beside the output one may go here
    out = norm(convolved, relu=relu, residual=residual, inplace=not watched)
    return out if beside is None else concatenate(out, beside)


def _known_beforehand(
    x: SparseTensor, convolution: ConvolutionBase, norm: BatchNorm, residual: SparseTensor | None
) -> bool:
    """Whether the norm does not depend on the convolution's output, and nobody wants to see or differentiate that."""
    if norm.bn.training or norm.bn.running_mean is None:
        return False
    if not torch.is_grad_enabled():
        return True
    tensors = (x.feats, convolution.kernel, convolution.bias, norm.bn.weight, norm.bn.bias)
    given = [t for t in (*tensors, None if residual is None else residual.feats) if t is not None]
    return not any(tensor.requires_grad for tensor in given)


def is_watched(convolution: ConvolutionBase, norm: BatchNorm, *around: nn.Module) -> bool:
    """Whether anybody may keep what one of the layers, or a module ``around`` them, is given or gives.

    That is somebody called before or behind it, or a layer whose forward pass is not that of this package.
    """
    usual = (
        (convolution, ConvolutionBase.forward),
        (norm, BatchNorm.forward),
        (norm.bn, SynchronizedBatchNorm1d.forward),
    )
    changed = any(type(layer).forward is not forward or "forward" in vars(layer) for layer, forward in usual)
    return changed or _has_hooks(convolution, norm, norm.bn, *around)


def _has_hooks(*modules: nn.Module) -> bool:
    own = any(module._forward_hooks or module._forward_pre_hooks for module in modules)
    return own or bool(torch_module._global_forward_hooks or torch_module._global_forward_pre_hooks)


def _at_once(
    x: SparseTensor,
    convolution: ConvolutionBase,
    norm: BatchNorm,
    connection: Connection,
    relu: bool,
    residual: SparseTensor | None,
    over_residual: bool,
    beside: SparseTensor | None,
) -> SparseTensor | None:
    """None where the backend has no such pass for these tensors."""
    for other in (residual, beside):
        if other is not None:
            x.check_same_voxels(other, connection.target)
    bn = norm.bn
    assert bn.running_mean is not None and bn.running_var is not None
    epilogue = Epilogue(
        bn.running_mean,
        bn.running_var,
        bn.weight,
        bn.bias,
        bn.eps,
        relu,
        None if residual is None else residual.feats,
        over_residual,
        None if beside is None else beside.feats,
    )
    feats = x.manager.convolve_norm(x.feats, convolution.kernel, convolution.bias, connection, epilogue)
    return None if feats is None else x.at(connection.target, feats)
