"""How every tool ends: codes, one line for what a user can mend, and nothing half written after a signal."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sparse3d.cli import run_tool
from sparse3d.errors import REMEDIES, InputError

ROOT = Path(__file__).resolve().parents[1]


def exit_code(error: BaseException | None) -> Any:
    def main() -> None:
        if error is not None:
            raise error

    with pytest.raises(SystemExit) as caught:
        run_tool(main)
    return caught.value.code


def test_tools_end_with_their_code_and_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(None) == 0
    assert exit_code(KeyboardInterrupt()) == 130
    assert exit_code(InputError("x.gin: bad\n  In call to configurable 'f'")) == 2
    assert capsys.readouterr().err.endswith("error: x.gin: bad\n")
    assert exit_code(SystemExit(143)) == 143


def test_a_defect_keeps_its_traceback() -> None:
    def main() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_tool(main)
    with pytest.raises(IsADirectoryError):  # the system's, and nothing that a user could do about
        exit_code(IsADirectoryError(errno.EISDIR, "Is a directory", "x"))


@pytest.mark.parametrize("number", sorted(REMEDIES), ids=errno.errorcode.get)
def test_what_the_system_refuses_is_one_line_with_a_remedy(number: int, capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_code(OSError(number, os.strerror(number), "some/file")) == 2
    said = capsys.readouterr().err
    assert said == f"error: some/file: {os.strerror(number)}: {REMEDIES[number]}\n"
    assert exit_code(OSError(number, os.strerror(number))) == 2  # of an open file, whose name nobody knows
    assert capsys.readouterr().err == said.replace("some/file: ", "")


def test_a_name_too_long_to_be_looked_for_is_one_line_of_the_tool() -> None:
    tool = [sys.executable, "-m", "sparse3d.tools.inspect_scene", "n" * 300, "--out", "x"]
    done = subprocess.run(tool, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and done.stderr.startswith("error: ") and done.stderr.count("\n") == 1, done.stderr


def test_a_name_that_is_no_text_can_be_printed() -> None:
    code = "from sparse3d.cli import run_tool; run_tool(lambda: print('caf\\udce9'))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, env=os.environ | {"PYTHONIOENCODING": "utf-8"}
    )
    assert (done.returncode, done.stdout) == (0, b"caf\\udce9\n"), done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="sends a POSIX signal")
def test_sigterm_leaves_nothing_half_written(tmp_path: Path) -> None:
    code = """
import sys, time
from pathlib import Path
from sparse3d.cli import run_tool
from sparse3d.whole_files import replacing
def main():
    with replacing(Path(sys.argv[1]) / "list.txt") as temporary:
        temporary.write_text("half")
        time.sleep(60)
run_tool(main)
"""
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.02)
    process.terminate()
    _, errors = process.communicate(timeout=30)
    assert (process.returncode, errors) == (128 + signal.SIGTERM, "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("tool", sorted(path.name for path in (ROOT / "tools").glob("[!_]*.py")))
def test_the_help_of_every_tool_has_an_example(tool: str) -> None:
    done = subprocess.run([sys.executable, str(ROOT / "tools" / tool), "--help"], capture_output=True, text=True)
    assert done.returncode == 0 and "example:" in done.stdout and f"tools/{tool}" in done.stdout, done.stderr


def test_the_tools_of_set_up_need_the_standard_library_alone(tmp_path: Path) -> None:
    for tool in ("build_minkowski", "doctor"):
        command = [sys.executable, "-S", str(ROOT / "tools" / f"{tool}.py"), "--help"]  # -S: without site-packages
        done = subprocess.run(command, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)})
        assert done.returncode == 0 and "example:" in done.stdout, done.stderr


def test_the_handler_of_a_signal_is_given_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    exit_code(None)
    assert signal.getsignal(signal.SIGTERM) == before
