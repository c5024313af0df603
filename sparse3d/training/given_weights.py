"""A pre-trained network's file: its tensors, and the config that made it where the file is one of ours."""

from __future__ import annotations

import pickle
import re
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from sparse3d.errors import InputError
from sparse3d.training.checkpoint import FORMAT, check_checkpoint
from sparse3d.training.config_text import written

KEYS = ("state_dict", "model_state_dict", "model", "model_state", "net", "weights")  # where others keep the tensors
_IN_METRES = re.compile(r"^(?:[\w./]+/)?ShapeGrid\.normalize = ['\"]none['\"]", re.MULTILINE)
_SIZES = re.compile(r"^((?:[\w./]+\.)?voxel_size) = ", re.MULTILINE)


class GivenWeights(NamedTuple):
    """Tensors by name; the config is empty where another code base wrote the file."""

    tensors: dict[str, Tensor]
    config_text: str = ""


def read_weights(path: str | Path) -> GivenWeights:
    """The tensors of a checkpoint, of sparse3d or of another code base.

    Raises:
        InputError: the file is missing, cannot be read as plain tensors, or holds none.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"init.checkpoint {path} does not exist")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, LookupError, TypeError, OSError, pickle.UnpicklingError) as error:
        reason = str(error).split("\n", 1)[0][:120]
        raise InputError(
            f"init.checkpoint {path} cannot be read as plain tensors ({reason}); if you trust the file, load it with "
            "torch.load(..., weights_only=False) and save its state dict alone"
        ) from error
    if isinstance(state, dict) and state.get("format") == FORMAT:
        check_checkpoint(state, path)
        return GivenWeights(state["model"], state["config"])
    while isinstance(state, dict):  # a tensor beside the state dict, such as the epoch's number, is not what is meant
        inner = next((state[key] for key in KEYS if isinstance(state.get(key), dict)), None)
        if inner is None:
            break
        state = inner
    tensors = _tensors(state)
    if not tensors:
        raise InputError(f"init.checkpoint {path} holds no state dict; known keys are {', '.join(KEYS)}")
    return GivenWeights(tensors)


def voxel_size_note(given: str, own: str) -> list[str]:
    """A line where two configs have voxels of different sizes: then a kernel sees another piece of the room.

    Args:
        given: the config of the weights; empty where it is not known, and then nothing is said.
        own: the config of the run that loads them.
    """
    if _has_own_unit(own) or _has_own_unit(given):
        return []
    theirs, ours = _voxel_sizes(given), _voxel_sizes(own)
    if not theirs or not ours or theirs & ours:
        return []
    sizes = (", ".join(f"{100 * size:g} cm" for size in sorted(found)) for found in (theirs, ours))
    return ["init: WARNING: trained on voxels of {}, loaded for voxels of {}".format(*sizes)]


def _has_own_unit(config_text: str) -> bool:
    """Whether voxels have no size in metres: those of shapes that are brought to the unit sphere."""
    return "ShapeGrid." in config_text and not _IN_METRES.search(config_text)


def _voxel_sizes(config_text: str) -> set[float]:
    """Metres that a config binds to any parameter ``voxel_size``, macros followed; what is no number is left out."""
    found = set()
    for name in _SIZES.findall(config_text):
        try:
            found.add(float(written(config_text, name) or ""))
        except ValueError:
            continue
    return found


def _tensors(state: Any) -> dict[str, Tensor]:
    return {k: v for k, v in state.items() if isinstance(v, Tensor)} if isinstance(state, dict) else {}
