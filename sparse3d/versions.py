"""Versions of what decides a run's numbers."""

from __future__ import annotations

import os
import platform
import subprocess
from contextlib import suppress
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import sparse3d


@cache
def commit() -> str:
    """The commit of the clone that runs, with ``+`` where files differ from it; else the package's version."""
    folder = Path(__file__).resolve().parents[1]
    git = ["git", "-C", str(folder)]
    try:
        top = subprocess.run([*git, "rev-parse", "--show-toplevel", "HEAD"], capture_output=True, text=True, check=True)
        root, name = top.stdout.splitlines()  # the path may hold blanks
        if os.path.realpath(root) != str(folder):  # installed somewhere inside another repository
            raise FileNotFoundError(root)
        changed = subprocess.run([*git, "status", "--porcelain", "-uno"], capture_output=True, text=True, check=True)
    except (OSError, ValueError, subprocess.CalledProcessError):
        return f"version {sparse3d.__version__}"
    return name[:12] + ("+" if changed.stdout.strip() else "")


@cache
def versions() -> dict[str, str]:
    """This package's version and commit, Python's, and those of the packages that compute; only what is installed."""
    found = {"sparse3d": sparse3d.__version__, "commit": commit(), "python": platform.python_version()}
    for package in ("torch", "numpy", "MinkowskiEngine"):
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found
