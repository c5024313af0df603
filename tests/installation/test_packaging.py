"""Pins and metadata, what the wheel ships, and that it is found where it is installed."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

import sparse3d
from sparse3d.config_paths import packaged_gin_dir
from sparse3d.installation import doctor

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


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
    for text in [*project["project"]["dependencies"], *(text for extra in optional.values() for text in extra)]:
        requirement = Requirement(text)
        assert requirement.specifier, f"{text} has no bound"
        assert requirement.specifier.contains(locked[requirement.name.lower()]), text


def test_no_torch_is_admitted_that_the_compiled_norm_cannot_train_with(project: dict[str, Any]) -> None:
    """It tells autograd of two tensors at once that were written to, which 2.4 refuses."""
    [torch] = [r for r in map(Requirement, project["project"]["dependencies"]) if r.name == "torch"]
    assert not torch.specifier.contains("2.4.1") and torch.specifier.contains("2.5.0")


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


def test_the_doctor_knows_every_dependency(project: dict[str, Any]) -> None:
    names = {re.split(r"[<>=]", line)[0] for line in project["project"]["dependencies"]}
    assert names == set(doctor.REQUIRED)


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
