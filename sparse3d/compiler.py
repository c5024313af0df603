"""The C++ compiler of what is built here: the engine's kernels, and MinkowskiEngine."""

from __future__ import annotations

import os
import shlex
import shutil

NAMES = ("g++", "c++", "clang++")


class NoCompilerError(RuntimeError):
    """There is no compiler: why in one line, and the ``remedy``."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(reason)
        self.remedy = remedy


def compiler_command() -> list[str]:
    """The compiler by its full path, with the arguments that ``CXX`` gives it (``ccache g++``).

    Without ``CXX``, or where that is empty, it is the first of the usual names on the path.

    Raises:
        NoCompilerError: there is none, or not the one that ``CXX`` names: another in its place would go unnoticed.
    """
    named = os.environ.get("CXX", "").strip()
    if not named:
        found = next(filter(None, map(shutil.which, NAMES)), None)
        if found is None:
            reason = f"no C++ compiler ({', '.join(NAMES)} or $CXX) is on the PATH"
            raise NoCompilerError(reason, "install g++ 9 or newer (Debian: `apt-get install g++`)")
        return [found]
    remedy = "let CXX name a C++17 compiler such as g++, or unset it"
    try:
        program, *arguments = shlex.split(named)
    except ValueError as error:
        raise NoCompilerError(f"CXX = {named!r} is no command: {error}", remedy) from error
    found = shutil.which(program)
    if found is None:
        raise NoCompilerError(f"no C++ compiler: CXX = {named!r}, and there is no {program!r} to run", remedy)
    return [found, *arguments]
