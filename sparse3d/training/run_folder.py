"""The folder of one run: what lies where, and when a run may write into it."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

import gin

from sparse3d.errors import InputError
from sparse3d.training.checkpoint import remove_leftovers
from sparse3d.versions import versions
from sparse3d.whole_files import write_durable_text

CHECKPOINTS = "checkpoints"
LAST = "last.pt"
BEST = "best.pt"


def checkpoint_to_resume(out: Path, resume: bool) -> Path | None:
    """The checkpoint to go on from, or None to start at step 0.

    Raises:
        InputError: a new run would mix with an old one's files, or there is no run to resume.
    """
    is_empty = not out.exists() or (out.is_dir() and not any(out.iterdir()))
    if out.exists() and not out.is_dir():
        raise InputError(f"--out {out} is a file; name a folder")
    if not resume:
        if not is_empty:
            raise InputError(f"--out {out} is not empty; go on with --resume, or name another folder")
        return None
    last = out / CHECKPOINTS / LAST
    if last.is_file():
        return last
    if (out / "config.gin").is_file():  # a run that ended before its first checkpoint
        return None
    raise InputError(f"--resume: {out} holds no run ({CHECKPOINTS}/{LAST} is missing); leave --resume out to start one")


def prepare_folder(out: Path) -> None:
    """Makes the folder and clears what a killed process left half written; InputError where it cannot be made."""
    try:
        (out / CHECKPOINTS).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {out}: cannot be made a folder ({error.strerror}); name another one") from error
    for folder in (out, out / CHECKPOINTS):
        remove_leftovers(folder)


def write_run_files(out: Path, config_text: str) -> None:
    """``config.gin`` and ``command.txt`` (a line more for each resumption)."""
    write_durable_text(out / "config.gin", config_text)
    command = out / "command.txt"
    before = command.read_text(encoding="utf-8") if command.is_file() else ""
    write_durable_text(command, before + shlex.join([Path(sys.executable).name, *sys.argv]) + "\n")


def write_versions(out: Path, notes: Sequence[str]) -> None:
    """``versions.json``: versions, and ``notes`` on what computes."""
    write_durable_text(out / "versions.json", json.dumps({**versions(), "notes": list(notes)}, indent=2) + "\n")


def write_init_report(out: Path, lines: Sequence[str]) -> None:
    """``init.txt``: what the network started from; none where it started at random. A resumed run keeps the first."""
    path = out / "init.txt"
    if lines and not path.is_file():
        write_durable_text(path, "".join(f"{line}\n" for line in lines))


def write_data_account(out: Path, texts: Sequence[tuple[str, str]]) -> None:
    """``data.txt``: what was kept of the data and what was not, as the task tells it."""
    if texts:
        write_durable_text(out / "data.txt", "\n\n".join(f"{name}\n{text}" for name, text in texts) + "\n")


def write_operative_config(out: Path) -> None:
    """``operative_config.gin``: every parameter that was used until now, defaults included."""
    write_durable_text(out / "operative_config.gin", gin.operative_config_str(max_line_length=120))
