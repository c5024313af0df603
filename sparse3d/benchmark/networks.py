"""The networks that are measured, by name: an SR-UNet's specification, or ``layer:C`` for one 3^3 convolution."""

from __future__ import annotations

from torch import nn

from sparse3d.errors import InputError
from sparse3d.models.resunet import SPECS, SRUNet
from sparse3d.sparse import Convolution

OUT_CHANNELS = 20
_LAYER = "layer:"


def layer_width(name: str) -> int | None:
    """Channels of a single layer; None for an SR-UNet.

    Raises:
        InputError: for a name that is neither.
    """
    if name in SPECS:
        return None
    width = name.removeprefix(_LAYER)
    if not name.startswith(_LAYER) or not width.isdigit() or int(width) == 0:
        raise InputError(f"--network {name!r} is unknown: choose {_LAYER}CHANNELS or one of {', '.join(SPECS)}")
    return int(width)


def in_channels(name: str) -> int:
    """Channels of the input features."""
    return layer_width(name) or 3


def our_network(name: str) -> nn.Module:
    """The network in this package's layers, with random weights."""
    width = layer_width(name)
    return SRUNet(3, name, OUT_CHANNELS) if width is None else Convolution(width, width, 3)
