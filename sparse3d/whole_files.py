"""Files that appear whole or not at all: written beside their place under a temporary name, then renamed."""

from __future__ import annotations

import os
import secrets
import sys
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
    # Process ids alone repeat: machines and containers write into one folder.
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}")
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
    write_whole(path, lambda file: file.write(as_bytes(text)))


def write_durable(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """As :func:`write_whole`, and on the disk when it returns; for what hours of work hang on. Raises OSError."""
    with replacing(path) as temporary, temporary.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    _sync_folder(path.parent)


def write_durable_text(path: Path, text: str) -> None:
    """The same with ``text`` in UTF-8."""
    write_durable(path, lambda file: file.write(as_bytes(text)))


def _sync_folder(folder: Path) -> None:
    # A rename is on the disk only once its folder is; not every system lets a folder be opened.
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # of file systems that know no such thing; the file itself is on the disk
            os.fsync(descriptor)
    finally:
        os.close(descriptor)


def as_bytes(text: str) -> bytes:
    """``text`` in UTF-8; a byte of a file's name that is no text is written as an escape, as in ``\\udce9``."""
    return text.encode("utf-8", "backslashreplace")


@contextmanager
def held(path: Path, wait: bool = True) -> Iterator[bool]:
    """Keeps other processes out of a block by a lock file, which is gone afterwards; False where it is theirs.

    Args:
        path: the lock file; a killed process' file holds nobody up.
        wait: until the others are out; else the block runs with False at once.

    Raises:
        InputError: the lock file cannot be written.
    """
    if sys.platform == "win32":  # no such locks: nobody is kept out
        yield True
        return
    import fcntl

    while True:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("w")
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror or error}): name another folder") from error
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            file.close()
            yield False
            return
        except OSError:  # a file system without locks: nobody is kept out
            break
        if _is_same(file.fileno(), path):  # else it was removed by who held it: a new one counts
            break
        file.close()
    try:
        yield True
    finally:
        path.unlink(missing_ok=True)
        file.close()


def _is_same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False
