"""What all command line tools share: how they end, and how their help looks."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from sparse3d.blas_threads import keep_numpy_to_one_thread
from sparse3d.config_names import in_words
from sparse3d.errors import InputError


def tool_parser(docstring: str | None) -> argparse.ArgumentParser:
    """A parser whose help is the tool's module docstring as it is written, example included."""
    text = (docstring or "").strip()
    return argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )


def run_tool(main: Callable[[], int | None]) -> None:
    """Runs ``main`` and exits: with its code, 2 and one line for an :class:`InputError`, 130 for Ctrl-C.

    Any other exception leaves with its traceback and exit code 1: it is a defect of ours.
    """
    keep_numpy_to_one_thread()
    try:
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
    sys.exit(code or 0)


def parse_size(text: str) -> tuple[int, int]:
    """(width, height) of a text such as ``320x240``. Raises InputError for any other text."""
    width, _, height = text.lower().partition("x")
    if not (width.isdecimal() and height.isdecimal() and int(width) and int(height)):
        raise InputError(f"--size {text} is no size; write for example 320x240")
    return int(width), int(height)
