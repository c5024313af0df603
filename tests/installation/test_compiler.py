"""Which C++ compiler is taken: the one that CXX names, with its arguments, and no other in its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparse3d.compiler import NAMES, NoCompilerError, compiler_command
from sparse3d.installation import minkowski_wheel
from sparse3d.sparse.native import NativeUnavailableError, library


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A path with two programs on it and nothing else."""
    for name in ("clang++", "wrap"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    return tmp_path


def test_without_a_name_it_is_the_first_of_the_usual_ones(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert compiler_command() == [str(programs / "clang++")]
    monkeypatch.setenv("CXX", " ")
    assert compiler_command() == [str(programs / "clang++")]
    (programs / NAMES[0]).symlink_to(programs / "wrap")
    assert compiler_command() == [str(programs / NAMES[0])]


def test_a_name_may_have_arguments(programs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "wrap 'my g++' -m64")
    assert compiler_command() == [str(programs / "wrap"), "my g++", "-m64"]


@pytest.mark.parametrize("named", ["no-such-compiler", "no-such-wrapper g++", "'g++"])
def test_one_that_is_not_there_is_named_by_all_who_ask(
    named: str, programs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody takes another: the one that was asked for would go unnoticed."""
    monkeypatch.setenv("CXX", named)
    for ask, error in (
        (compiler_command, NoCompilerError),
        (minkowski_wheel.check_buildable, minkowski_wheel.BuildImpossible),
        (lambda: library.build("portable"), NativeUnavailableError),
    ):
        with pytest.raises(error) as caught:
            ask()
        assert "CXX" in str(caught.value) and repr(named) in str(caught.value) and "\n" not in str(caught.value)
