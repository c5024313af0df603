"""Files that appear whole or not at all: written beside their place under a temporary name, then renamed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from sparse3d.errors import InputError

SUFFIX = ".partial"  # what the temporary names end in; they begin with a dot


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """The name of a file to be written; it takes ``path``'s place at the end, and is gone after an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}{SUFFIX}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        with suppress(OSError):  # renamed, or never there
            temporary.unlink()


def write_whole(
    path: Path, write: Callable[[BinaryIO], object], remedy: str = "free space, or name another folder"
) -> None:
    """Call ``write`` with a file that takes ``path``'s place when all is written.

    Raises InputError, with what can be done about it, when the file cannot be written.
    """
    try:
        with replacing(path) as temporary, temporary.open("wb") as file:
            write(file)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}): {remedy}") from error


def write_whole_text(path: Path, text: str) -> None:
    """The same with ``text`` in UTF-8; line ends stay as they are."""
    write_whole(path, lambda file: file.write(text.encode("utf-8")))
