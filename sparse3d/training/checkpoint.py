"""Checkpoints: complete, written whole or not at all, and read with ``weights_only=True``."""

from __future__ import annotations

import io
import os
import pickle
import re
import shutil
import zipfile
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import nn

from sparse3d.errors import InputError
from sparse3d.versions import versions
from sparse3d.whole_files import SUFFIX, replacing, write_durable

FORMAT = "sparse3d-checkpoint"
VERSION = 1
KEYS = ("model", "optimizer", "step", "config", "processes")


def save_checkpoint(path: Path, state: dict[str, Any]) -> None:
    """Writes ``state`` with the format's mark and the versions; atomic. Raises OSError, of a full disk say."""
    marked = {"format": FORMAT, "version": VERSION, "versions": versions(), **state}
    write_durable(path, lambda file: _save(marked, file, path))


def _save(state: dict[str, Any], file: BinaryIO, path: Path) -> None:
    """torch.save, which makes a RuntimeError of what the system says."""
    refused: list[OSError] = []

    class Noting(io.RawIOBase):
        def write(self, data: Any) -> int:
            try:
                return file.write(data)
            except OSError as error:
                refused.append(error)
                raise

        def flush(self) -> None:
            file.flush()

    try:
        torch.save(state, Noting())  # type: ignore[arg-type]
    except (RuntimeError, OSError) as error:
        if not refused:
            raise
        raise OSError(refused[0].errno, refused[0].strerror, str(path)) from error


def duplicate(source: Path, target: Path) -> None:
    """Gives a checkpoint a second name, as a link where the file system can, else as a copy; atomic."""
    with replacing(target) as temporary:
        temporary.unlink(missing_ok=True)
        try:
            os.link(source, temporary)
        except OSError:
            shutil.copyfile(source, temporary)


def load_checkpoint(path: str | Path) -> dict[str, Any]:
    """Reads a checkpoint onto the CPU.

    Raises:
        InputError: the file is missing, truncated, not a checkpoint, or one of a newer format.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"checkpoint {path} does not exist; a run's lie in its folder checkpoints/")
    if not zipfile.is_zipfile(path):  # its directory stands at the end, so a cut file is none
        raise InputError(f"checkpoint {path} cannot be read: it is truncated, or not a checkpoint")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, ValueError, LookupError, TypeError, OSError, pickle.UnpicklingError) as error:
        reason = str(error).split("\n", 1)[0][:120]
        raise InputError(f"checkpoint {path} cannot be read (truncated, or not a checkpoint): {reason}") from error
    check_checkpoint(state, path)
    return state


def check_checkpoint(state: Any, path: str | Path) -> None:
    """Raises InputError where what ``path`` holds is no whole checkpoint of a known format."""
    if not isinstance(state, dict) or state.get("format") != FORMAT:
        raise InputError(f"{path} is not a checkpoint of sparse3d: it lacks the mark {FORMAT!r}")
    if state.get("version", 0) > VERSION:
        raise InputError(
            f"checkpoint {path} has format version {state['version']}, known is {VERSION}; update sparse3d"
        )
    missing = [key for key in KEYS if key not in state]
    if missing:
        raise InputError(f"checkpoint {path} lacks {', '.join(missing)}; it was not written by a training run")


def load_same_network(model: nn.Module, state: dict[str, torch.Tensor], source: str | Path) -> None:
    """Loads every tensor of ``state``; a network of other names or shapes is an InputError that names the first."""
    own = model.state_dict()
    differences = [f"{name} is only in the checkpoint" for name in state if name not in own]
    differences += [f"{name} is only in the configured network" for name in own if name not in state]
    differences += [
        f"{name} is {tuple(state[name].shape)} in the checkpoint, {tuple(own[name].shape)} as configured"
        for name in own
        if name in state and own[name].shape != state[name].shape
    ]
    if differences:
        raise InputError(
            f"checkpoint {source} is of another network: {differences[0]} ({len(differences)} differences of "
            f"{len(own)} tensors); use the config it was trained with, or another --out"
        )
    model.load_state_dict(state)


def remove_old_steps(folder: Path, keep: int) -> None:
    """Leaves the ``keep`` newest ``step-N.pt``."""
    found = [
        (int(match[1]), path)
        for path in folder.glob("step-*.pt")
        if (match := re.fullmatch(r"step-(\d+)\.pt", path.name))
    ]
    for _, path in sorted(found)[: max(0, len(found) - keep)]:
        path.unlink()


def remove_leftovers(folder: Path) -> None:
    """Removes temporary files of a process that was killed while it wrote."""
    for suffix in (SUFFIX, ".tmp"):  # the latter of earlier versions
        for path in folder.glob(f".*{suffix}"):
            if path.is_file():
                path.unlink()
