"""``make setup``: when an environment is made, kept or made anew; and CI's script."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sparse3d.installation import environment

ROOT = Path(__file__).resolve().parents[2]


def clone(tmp_path: Path) -> Path:
    for name in environment.DEFINING_FILES:
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


def test_environment_key_follows_its_defining_files_and_the_place_of_the_clone(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    a, b = clone(tmp_path / "a"), clone(tmp_path / "b")
    before = environment.environment_key(a)
    assert before == environment.environment_key(a) != environment.environment_key(b)
    (a / "requirements.lock").write_text((a / "requirements.lock").read_text() + "six==1.17.0\n")
    assert environment.environment_key(a) != before


def test_set_up_is_done_once_and_again_when_a_pin_changes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, calls = clone(tmp_path), []
    monkeypatch.delenv("SPARSE3D_REQUIRE_MINKOWSKI", raising=False)
    monkeypatch.setattr(environment, "install_packages", lambda root, venv: calls.append("packages"))
    monkeypatch.setattr(environment, "install_minkowski", lambda root, venv, required: calls.append("minkowski") or 0)
    for _ in range(2):
        assert environment.set_up(root, root / ".venv") == 0
    assert calls == ["packages", "minkowski"]
    (root / "requirements.lock").write_text("pip==26.3\n")
    environment.set_up(root, root / ".venv")
    assert calls == ["packages", "minkowski"] * 2


def fake_venv(venv: Path, code: str) -> None:
    """An environment whose Python is a script."""
    (venv / "bin").mkdir(parents=True)
    (venv / "bin" / "python").write_text(f"#!/bin/sh\n{code}\n")
    (venv / "bin" / "python").chmod(0o755)


@pytest.mark.parametrize(
    ("code", "any_python", "kept"),
    [
        (f"echo {sys.version_info[0]} {sys.version_info[1]}", False, True),
        ("echo 3 99", False, False),
        ("echo 3 99", True, True),
        ("echo No module named pip >&2; exit 1", True, False),
        ("echo No module named pip >&2; exit 1", False, False),
    ],
)
def test_an_environment_of_another_python_or_a_broken_one_is_made_anew(
    code: str, any_python: bool, kept: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, there = clone(tmp_path), []
    fake_venv(root / ".venv", code)
    monkeypatch.delenv("SPARSE3D_REQUIRE_MINKOWSKI", raising=False)
    monkeypatch.setattr(
        environment, "install_packages", lambda root, venv: there.append(environment.interpreter(venv).exists())
    )
    monkeypatch.setattr(environment, "install_minkowski", lambda root, venv, required: 0)
    for _ in range(2):
        assert environment.set_up(root, root / ".venv", any_python) == 0
    assert there == [kept]


def test_a_set_up_that_fails_half_way_leaves_no_older_stamp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pins 2 fail half-way and one goes back to pins 1: what is installed is neither."""
    root, calls = clone(tmp_path), []
    pins = (root / "requirements.lock").read_text()

    def install(root: Path, venv: Path) -> None:
        calls.append((root / "requirements.lock").read_text())
        if calls[-1] != pins:
            raise subprocess.CalledProcessError(1, ["pip", "install"])

    monkeypatch.delenv("SPARSE3D_REQUIRE_MINKOWSKI", raising=False)
    monkeypatch.setattr(environment, "install_packages", install)
    monkeypatch.setattr(environment, "install_minkowski", lambda root, venv, required: 0)
    codes = []
    for text in (pins, "pip==26.3\n", pins):
        (root / "requirements.lock").write_text(text)
        codes.append(environment.set_up(root, root / ".venv"))
    assert codes == [0, 1, 0] and calls == [pins, "pip==26.3\n", pins]


def test_set_up_that_demands_minkowski_fails_without_it_and_tries_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, codes = clone(tmp_path), iter([1, 0, 0])
    monkeypatch.setattr(environment, "install_packages", lambda root, venv: None)
    monkeypatch.setattr(environment, "install_minkowski", lambda root, venv, required: next(codes))
    monkeypatch.setenv("SPARSE3D_REQUIRE_MINKOWSKI", "1")
    assert [environment.set_up(root, root / ".venv") for _ in range(3)] == [1, 0, 0]


def test_a_failing_step_of_set_up_is_one_line_and_no_stamp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(root: Path, venv: Path) -> None:
        raise subprocess.CalledProcessError(1, ["pip", "install"])

    root = clone(tmp_path)
    monkeypatch.setattr(environment, "install_packages", fail)
    assert environment.set_up(root, root / ".venv") == 1
    assert "pip install" in capsys.readouterr().err
    assert not list((root / ".venv").glob(".setup-*"))


@pytest.mark.parametrize(("closing", "code"), [("3 passed in 1.02s", 0), ("1 failed, 2 passed in 70.21s (0:01:10)", 2)])
def test_ci_demands_minkowski_runs_make_test_and_ends_with_the_closing_line(
    closing: str, code: int, tmp_path: Path
) -> None:
    fake = tmp_path / "make"
    trailer = "" if code == 0 else "echo 'make: *** [Makefile:1: test] Error 1' >&2\n"
    fake.write_text(
        f"#!/bin/sh\necho \"$@ with $SPARSE3D_REQUIRE_MINKOWSKI\"\necho '{closing}'\n{trailer}exit {code}\n"
    )
    fake.chmod(0o755)
    env = os.environ | {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}
    env.pop("SPARSE3D_REQUIRE_MINKOWSKI", None)
    done = subprocess.run(["bash", str(ROOT / ".ci" / "run")], env=env, capture_output=True, text=True)
    lines = done.stdout.splitlines()
    assert done.returncode == code and lines[0] == "test with 1" and lines[-1] == closing
