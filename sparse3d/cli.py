"""What all command line tools share: how they end, and how their help looks."""

from __future__ import annotations

import argparse
import io
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType

from sparse3d.config_names import in_words
from sparse3d.errors import REMEDIES, InputError
from sparse3d.progress import bars_shown

LARGEST_SIDE = 4096  # pixels; a slip of the keys must not take all memory
UP_HELP = "axis of the recorded world that points up, written --up=-y; or estimate (default: auto)"


def tool_parser(docstring: str | None) -> argparse.ArgumentParser:
    """A parser whose help is the tool's module docstring as it is written, example included."""
    text = (docstring or "").strip()
    return argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )


def run_tool(main: Callable[[], int | None]) -> None:
    """Runs ``main`` and exits: with its code, 2 and one line for an :class:`InputError`, 130 for Ctrl-C.

    What the system refuses (rights, space, names) is one line and 2, too; SIGTERM is 143. Any other exception leaves
    with its traceback and exit code 1: it is a defect of ours.
    """
    with suppress(ImportError):  # the tools of set-up run where nothing is installed yet
        from sparse3d.blas_threads import keep_numpy_to_one_thread

        keep_numpy_to_one_thread()
    if isinstance(sys.stdout, io.TextIOWrapper):  # names of files need not be text; stderr shows them by itself
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with _ended_by_sigterm(), bars_shown():
            code = main()
    except InputError as error:
        print(f"error: {in_words(str(error))}", file=sys.stderr)
        code = 2
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        code = 130
    except BrokenPipeError:  # the reader of our output (head, less) has gone
        sys.stderr.close()
        code = 141
    except OSError as error:
        if error.errno not in REMEDIES:
            raise
        where = "" if error.filename is None else f"{error.filename}: "
        print(f"error: {where}{in_words(str(error.strerror))}: {REMEDIES[error.errno]}", file=sys.stderr)
        code = 2
    sys.exit(code or 0)


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """SIGTERM unwinds as Ctrl-C does, so that what is half written goes; a second one ends at once.

    A training and a study set handlers of their own meanwhile, and give this one back.
    """

    def end(_number: int, _frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        raise SystemExit(128 + signal.SIGTERM)

    ours = threading.current_thread() is threading.main_thread()  # only there may handlers be set
    if not ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def parse_size(text: str) -> tuple[int, int]:
    """(width, height) of a text such as ``320x240``. Raises InputError for any other text, and for sides too long."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise InputError(f"--size {text} is no size; write for example 320x240")
    if max(int(width), int(height)) > LARGEST_SIDE:
        raise InputError(f"--size {text}: sides of more than {LARGEST_SIDE} pixels are no images; name a smaller one")
    return int(width), int(height)
