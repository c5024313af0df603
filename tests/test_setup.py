"""Set-up: pins, the cached MinkowskiEngine wheel, life without a compiler, CI's script, what the wheel ships."""

from __future__ import annotations

import ast
import dataclasses
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import sparse3d
from sparse3d.config_paths import packaged_gin_dir
from sparse3d.installation import doctor, environment, minkowski_wheel
from sparse3d.installation.minkowski_wheel import BuildImpossible, WheelKey
from sparse3d.sparse import minkowski_import
from sparse3d.tools import build_minkowski

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, an environment that remembers no MinkowskiEngine, and none that loads."""
    monkeypatch.setenv("SPARSE3D_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(minkowski_wheel, "installed_key_file", lambda: tmp_path / "key.txt")
    monkeypatch.setattr(minkowski_wheel, "works_here", lambda: False)
    monkeypatch.setattr(minkowski_wheel, "devices_to_try", lambda: ["cpu"])
    return tmp_path / "cache"


# --- pins and metadata ---


def pins(python: str) -> dict[str, str]:
    """Name -> version of the lock file under one Python."""
    lines = [line.split("#")[0].strip() for line in (ROOT / "requirements.lock").read_text().splitlines()]
    wanted = [Requirement(line) for line in lines if line]
    wanted = [r for r in wanted if r.marker is None or r.marker.evaluate({"python_version": python})]
    for requirement in wanted:
        assert [s.operator for s in requirement.specifier] == ["=="], f"{requirement} is not pinned"
    names = [r.name.lower() for r in wanted]
    assert len(names) == len(set(names)), "a package is pinned twice"
    return {r.name.lower(): next(iter(r.specifier)).version for r in wanted}


@pytest.mark.parametrize("python", ["3.10", "3.11", "3.13"])
def test_every_dependency_is_pinned_within_the_bounds_of_the_package(project: dict[str, Any], python: str) -> None:
    locked = pins(python)
    optional = project["project"]["optional-dependencies"]
    for text in [*project["project"]["dependencies"], *optional["minkowski"], *optional["dev"], *optional["teachers"]]:
        requirement = Requirement(text)
        assert requirement.specifier, f"{text} has no bound"
        assert requirement.specifier.contains(locked[requirement.name.lower()]), text


def test_installed_torch_is_the_pinned_one() -> None:
    import torch

    assert torch.__version__.split("+")[0] == pins("3.11")["torch"]


def test_citation_names_the_released_version() -> None:
    assert f"version: {sparse3d.__version__}\n" in (ROOT / "CITATION.cff").read_text()


def test_every_console_script_leads_to_a_main_that_takes_nothing(project: dict[str, Any]) -> None:
    for script, target in project["project"]["scripts"].items():
        module, function = target.split(":")
        path = ROOT / "tools" / f"{module.rsplit('.', 1)[1]}.py"
        assert path.is_file(), f"{script} leads to {path}, which is not there"
        found = [n for n in ast.parse(path.read_text()).body if isinstance(n, ast.FunctionDef) and n.name == function]
        required = len(found[0].args.args) - len(found[0].args.defaults) if found else 1
        assert found and required == 0, f"{path} has no {function}() to call"


# --- the key and the cache ---


def test_key_differs_when_anything_that_the_wheel_depends_on_does() -> None:
    key = WheelKey.here("cpu")
    assert key == WheelKey.here("cpu") and str(key) == str(WheelKey.here("cpu"))
    others = [dataclasses.replace(key, **{f.name: "other"}) for f in dataclasses.fields(key)]
    assert len({str(k) for k in [key, *others]}) == len(others) + 1
    assert "/" not in str(key)


def test_cache_lies_where_the_user_says_else_in_the_cache_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SPARSE3D_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert minkowski_wheel.cache_root() == tmp_path / ".cache" / "sparse3d"
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert minkowski_wheel.cache_root() == tmp_path / "xdg" / "sparse3d"
    monkeypatch.setenv("SPARSE3D_CACHE", str(tmp_path / "own"))
    assert minkowski_wheel.cache_root() == tmp_path / "own"


def fake_pip(returncode: int) -> Any:
    """Stands for the build's ``pip wheel``: leaves a wheel where asked to, or fails with half of one."""

    def run(command: list[str], **options: Any) -> subprocess.CompletedProcess[str]:
        options["stdout"].write("compiling\n")
        out = Path(command[command.index("-w") + 1])
        out.mkdir()
        (out / ("MinkowskiEngine.whl" if returncode == 0 else "MinkowskiEngine.part")).write_text("wheel")
        return subprocess.CompletedProcess(command, returncode)

    return run


needs_build_tools = pytest.mark.skipif(minkowski_wheel.compiler() is None, reason="needs a C++ compiler")


@needs_build_tools
def test_a_built_wheel_is_found_again_and_leaves_nothing_else(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minkowski_wheel.subprocess, "run", fake_pip(0))
    key = WheelKey.here()
    assert minkowski_wheel.cached_wheel(key) is None
    wheel = minkowski_wheel.build(key)
    assert minkowski_wheel.cached_wheel(key) == wheel and wheel.is_relative_to(cache)
    assert sorted(p.name for p in wheel.parent.iterdir()) == ["MinkowskiEngine.whl", "build.log"]
    assert minkowski_wheel.cached_wheel(dataclasses.replace(key, torch="1.0")) is None


@needs_build_tools
def test_a_failed_build_leaves_no_wheel_and_names_its_log(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minkowski_wheel.subprocess, "run", fake_pip(1))
    with pytest.raises(BuildImpossible) as caught:
        minkowski_wheel.build(WheelKey.here())
    line = caught.value.one_line()
    log = minkowski_wheel.wheel_folder(WheelKey.here()) / "build.log"
    assert str(log) in line and "\n" not in line and log.read_text() == "compiling\n"
    assert [p.name for p in log.parent.iterdir()] == ["build.log"]


def test_two_set_ups_at_once_build_once(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[Path] = []
    installed: list[Path] = []

    def slow_build(key: WheelKey) -> Path:
        time.sleep(0.1)
        folder = minkowski_wheel.wheel_folder(key)
        folder.mkdir(parents=True)
        (folder / "MinkowskiEngine.whl").write_text("wheel")
        built.append(folder)
        return folder / "MinkowskiEngine.whl"

    monkeypatch.setattr(minkowski_wheel, "build", slow_build)
    monkeypatch.setattr(minkowski_wheel, "install", installed.append)
    monkeypatch.setattr(minkowski_wheel, "works_here", lambda: bool(installed))
    threads = [threading.Thread(target=minkowski_wheel.ensure) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(built) == 1 and len(installed) == 1


def test_a_wheel_that_does_not_load_is_not_kept(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = minkowski_wheel.wheel_folder(WheelKey.here())
    folder.mkdir(parents=True)
    (folder / "MinkowskiEngine.whl").write_text("built against another torch")
    monkeypatch.setattr(minkowski_wheel, "install", lambda wheel: None)
    with pytest.raises(BuildImpossible, match="does not load"):
        minkowski_wheel.ensure()
    assert minkowski_wheel.cached_wheel(WheelKey.here()) is None


def test_a_failing_cuda_build_falls_back_to_the_cpu(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def build(key: WheelKey) -> Path:
        if key.device == "cuda":
            raise BuildImpossible("its cuda build failed", "mend it")
        return cache / "MinkowskiEngine.whl"

    installed: list[Path] = []
    monkeypatch.setattr(minkowski_wheel, "devices_to_try", lambda: ["cuda", "cpu"])
    monkeypatch.setattr(minkowski_wheel, "build", build)
    monkeypatch.setattr(minkowski_wheel, "install", installed.append)
    monkeypatch.setattr(minkowski_wheel, "works_here", lambda: bool(installed))
    assert "(cpu)" in minkowski_wheel.ensure()
    assert installed == [cache / "MinkowskiEngine.whl"]


# --- no compiler ---


@pytest.mark.parametrize(("arguments", "code"), [([], 0), (["--required"], 1)])
def test_without_a_compiler_set_up_goes_on_and_says_in_one_line_what_that_costs(
    arguments: list[str],
    code: int,
    cache: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setattr(sys, "argv", ["build_minkowski.py", *arguments])
    assert build_minkowski.main() == code
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    for part in ("no C++ compiler", "portable torch backend", "g++", "make minkowski"):
        assert part in said


# --- the environment ---


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


def test_a_cache_that_cannot_be_written_leaves_minkowski_out_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPARSE3D_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(minkowski_wheel.BuildImpossible) as caught:
        minkowski_wheel.ensure()
    assert "SPARSE3D_CACHE" in caught.value.one_line() and "\n" not in caught.value.one_line()


def test_the_doctor_knows_every_dependency(project: dict[str, Any]) -> None:
    names = {re.split(r"[<>=]", line)[0] for line in project["project"]["dependencies"]}
    assert names == set(doctor.REQUIRED)


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


# --- CI ---


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


# --- MinkowskiEngine's door ---


def test_minkowski_is_there_where_it_is_demanded() -> None:
    if os.environ.get("SPARSE3D_REQUIRE_MINKOWSKI", "") in ("", "0"):
        pytest.skip("not demanded here")
    assert minkowski_import.available(), minkowski_import.why_not()


def test_the_reason_is_given_exactly_when_minkowski_is_not_available() -> None:
    assert minkowski_import.available() == (minkowski_import.why_not() == "")
    if not minkowski_import.available():
        with pytest.raises(ImportError, match="make minkowski"):
            minkowski_import.load()


def test_loading_minkowski_leaves_the_interpreter_as_it_was() -> None:
    if not minkowski_import.available():
        pytest.skip(minkowski_import.why_not())
    code = (
        "import collections, sys, warnings; warnings.simplefilter('error')\n"
        "from sparse3d.sparse import minkowski_import as door\n"
        "before = list(sys.path), set(vars(collections))\n"
        "assert door.load().__version__ == door.VERSION\n"
        "assert before == (sys.path, set(vars(collections)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


# --- what is shipped ---


@pytest.fixture(scope="module")
def built_wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this clone, built from a copy so that nothing stale from ``build/`` gets in."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for folder in ("sparse3d", "gin", "tools", "data_splits"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, source)
    command = [sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", str(out), "."]
    done = subprocess.run(command, cwd=source, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return next(out.glob("sparse3d-*.whl"))


def test_wheel_ships_every_gin_file_module_and_tool(built_wheel: Path) -> None:
    names = set(zipfile.ZipFile(built_wheel).namelist())
    gin_files = {f"sparse3d/configs/{p.relative_to(ROOT / 'gin')}" for p in (ROOT / "gin").rglob("*.gin")}
    modules = {str(p.relative_to(ROOT)) for p in (ROOT / "sparse3d").rglob("*.py")}
    tools = {f"sparse3d/tools/{p.name}" for p in (ROOT / "tools").glob("*.py")}
    assert gin_files and gin_files | modules | tools | {"sparse3d/py.typed"} <= names
    assert {n.split("/")[0] for n in names} == {"sparse3d", f"sparse3d-{sparse3d.__version__}.dist-info"}


def test_gin_files_and_tools_are_found_in_an_installed_wheel(built_wheel: Path, tmp_path: Path) -> None:
    zipfile.ZipFile(built_wheel).extractall(tmp_path)
    code = (
        "from sparse3d.config_paths import packaged_gin_dir\n"
        "import sparse3d.tools.doctor as doctor\n"
        "print(packaged_gin_dir(), doctor.__file__, callable(doctor.main))"
    )
    env = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    places = done.stdout.split()
    assert places == [str(tmp_path / "sparse3d/configs"), str(tmp_path / "sparse3d/tools/doctor.py"), "True"]


def test_gin_files_are_found_in_a_clone() -> None:
    assert any(packaged_gin_dir().rglob("*.gin"))
