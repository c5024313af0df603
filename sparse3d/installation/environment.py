"""``make setup``: a virtual environment with the pinned packages, this package, and MinkowskiEngine if it can be had.

Runs under any Python >= 3.10 with nothing installed: ``python3 -m sparse3d.installation.environment`` at the root.
A stamp inside the environment, keyed by a hash of what defines it, makes the second call immediate.
"""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

DEFINING_FILES = ("requirements.lock", "pyproject.toml", "setup.py")
OLDEST_PYTHON = (3, 10)


Version = tuple[int, int]


def environment_key(root: Path, python: Version = sys.version_info[:2]) -> str:
    """A hash of the pins, the package's metadata, where the clone lies and which Python the environment has."""
    digest = hashlib.sha256(f"{root.resolve()}\n{python}\n".encode())
    for name in DEFINING_FILES:
        digest.update(name.encode() + b"\0" + (root / name).read_bytes())
    return digest.hexdigest()[:16]


def interpreter(venv: Path) -> Path:
    """The Python of a virtual environment."""
    return venv / "bin" / "python"


def version_of(venv: Path) -> Version | None:
    """The version of a virtual environment's Python; None where it does not run, or has no pip."""
    command = [str(interpreter(venv)), "-c", "import pip, sys; print(*sys.version_info[:2])"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        major, minor = done.stdout.split()
        return int(major), int(minor)
    except (OSError, ValueError):
        return None


def take_away(venv: Path) -> None:
    """Removes an environment, but for the lock and the log, which are open."""
    for part in ("bin", "lib", "include", "share"):
        shutil.rmtree(venv / part, ignore_errors=True)
    for part in ("lib64", "pyvenv.cfg"):
        (venv / part).unlink(missing_ok=True)
    forget(venv)


def forget(venv: Path) -> None:
    """Removes the stamps: whatever happens next, the environment is not what they say."""
    for stamp in venv.glob(".setup-*"):
        stamp.unlink()


@contextmanager
def one_at_a_time(venv: Path) -> Iterator[None]:
    """Two set-ups of one environment queue; the lock dies with its process."""
    venv.mkdir(parents=True, exist_ok=True)
    with (venv / ".setup.lock").open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def install_packages(root: Path, venv: Path) -> None:
    """Create ``venv``, then install the pins and this package into it (editable)."""
    pins = root / "requirements.lock"
    # pip first and alone: the pinned one understands the options of the steps that follow.
    pinned_pip = next(line for line in pins.read_text().splitlines() if line.startswith("pip=="))
    pip = [str(interpreter(venv)), "-m", "pip", "install", "--disable-pip-version-check"]
    log = venv / "setup.log"
    print(f"installing the pinned packages into {venv} (log: {log})", flush=True)
    with log.open("w") as output:
        if not interpreter(venv).exists():
            _run([sys.executable, "-m", "venv", str(venv)], output)
        _run([*pip, pinned_pip], output)
        _run([*pip, "-r", str(pins)], output)
        _run([*pip, "--no-deps", "--no-build-isolation", "-e", str(root)], output)
        _run(
            [str(interpreter(venv)), "-m", "sparse3d.sparse.native"], output
        )  # or on first use; no compiler is no fault


def _run(command: list[str], output: IO[str]) -> None:
    subprocess.run(command, check=True, stdout=output, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)


def install_minkowski(root: Path, venv: Path, required: bool) -> int:
    """MinkowskiEngine through its tool; its exit code, which is 0 unless it is ``required`` and cannot be had."""
    command = [str(interpreter(venv)), str(root / "tools" / "build_minkowski.py")]
    return subprocess.run([*command, "--required"] if required else command).returncode


def set_up(root: Path, venv: Path, any_python: bool = False) -> int:
    """Bring ``venv`` to the state that ``root`` defines; 0 when it is usable.

    An environment whose Python is broken, or not this one, is made anew; with ``any_python`` one that works is kept,
    whatever its version. ``SPARSE3D_REQUIRE_MINKOWSKI=1`` makes a missing MinkowskiEngine a failure.
    """
    required = os.environ.get("SPARSE3D_REQUIRE_MINKOWSKI", "") not in ("", "0")
    with one_at_a_time(venv):
        python = sys.version_info[:2]
        if os.path.lexists(interpreter(venv)):
            found = version_of(venv)
            if found is not None and any_python:
                python = found
            elif found != python:
                print(f"{venv}: its Python {'does not work' if found is None else 'is another'}: made anew", flush=True)
                take_away(venv)
        stamp = venv / f".setup-{environment_key(root, python)}"
        fresh = stamp.exists()
        if not fresh:
            forget(venv)
            try:
                install_packages(root, venv)
            except subprocess.CalledProcessError as error:
                print(f"set-up failed at `{' '.join(error.cmd)}`; the reason is at the end of its log", file=sys.stderr)
                return 1
        code = install_minkowski(root, venv, required) if required or not fresh else 0
        if code == 0:
            stamp.touch()
    return code


def main() -> int:
    """Parse the command line and set up; the exit code."""
    parser = argparse.ArgumentParser(description="create the development environment")
    parser.add_argument("--root", type=Path, default=Path.cwd(), help="the clone (default: here)")
    parser.add_argument("--venv", type=Path, default=Path(".venv"), help="the environment's folder (default: .venv)")
    parser.add_argument("--any-python", action="store_true", help="keep a working environment of another Python")
    args = parser.parse_args()
    if sys.version_info < OLDEST_PYTHON:
        found = sys.version.split()[0]
        print(f"sparse3d needs Python >= 3.10, this is {found}: make setup PYTHON=python3.11", file=sys.stderr)
        return 1
    return set_up(args.root, args.root / args.venv, args.any_python)


if __name__ == "__main__":
    sys.exit(main())
