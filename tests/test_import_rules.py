"""Who may import whom: the table of docs/architecture.md, held on the syntax tree of every file."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "sparse3d"
FILES = sorted(PACKAGE.rglob("*.py"))
TABLE = ROOT / "docs" / "architecture.md"


def rules() -> dict[str, set[str]]:
    """Folder -> the parts that it may import besides itself, from the table; other packages' names are left out."""
    rows = re.findall(r"^\| `sparse3d/(\w+)/` \|[^|]*\| ([^|]*) \|$", TABLE.read_text(), re.MULTILINE)
    parts = {p.stem for p in PACKAGE.iterdir()}
    named = {folder: re.sub(r"\(.*?\)", "", cell).replace(" ", "").split(",") for folder, cell in rows}
    return {folder: {part for part in cell if part.split(".")[0] in parts} for folder, cell in named.items()}


MAY_IMPORT = rules()
# For everybody (`config_names` knows near names).
FOR_ALL = {
    "blas_threads",
    "checks",
    "errors",
    "config_names",
    "cpu_model",
    "cache_folder",
    "compiler",
    "progress",
    "versions",
    "whole_files",
    "",
}


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), filename=str(path))


def imported(path: Path) -> Iterator[tuple[int, str]]:
    """(line, dotted module) of every import in a file, also of those inside functions; relative ones resolved."""
    package = path.relative_to(ROOT).parent.parts
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = ".".join(package[: len(package) - node.level + 1]) if node.level else ""
            module = ".".join(filter(None, [base, node.module or ""]))
            # `from sparse3d import x` names the part x; `from sparse3d.x import y` names x already.
            if module == "sparse3d":
                yield from ((node.lineno, f"sparse3d.{alias.name}") for alias in node.names)
            else:
                yield node.lineno, module


def calls(path: Path) -> Iterator[tuple[int, str]]:
    """(line, last name of what is called) of every call in a file."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            yield node.lineno, node.func.attr


def test_the_walk_sees_every_form_of_import(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = "import a.b\nfrom c import d\nfrom sparse3d import e\ndef f():\n    from ..geometry import g\n"
    path = tmp_path / "sparse3d" / "data" / "x.py"
    path.parent.mkdir(parents=True)
    path.write_text(source)
    monkeypatch.setattr(sys.modules[__name__], "ROOT", tmp_path)
    assert [module for _, module in imported(path)] == ["a.b", "c", "sparse3d.e", "sparse3d.geometry"]


def test_every_folder_of_the_package_has_a_rule() -> None:
    assert {p.name for p in PACKAGE.iterdir() if (p / "__init__.py").exists()} == set(MAY_IMPORT)


@pytest.mark.parametrize("folder", sorted(MAY_IMPORT))
def test_a_folder_imports_what_its_rule_allows_and_needs_all_of_it(folder: str) -> None:
    allowed = {folder} | FOR_ALL | MAY_IMPORT[folder]
    broken, unused = [], set(MAY_IMPORT[folder])
    for path in sorted((PACKAGE / folder).rglob("*.py")):
        for line, module in imported(path):
            parts = module.split(".")
            if parts[0] != "sparse3d" or (len(parts) == 2 and parts[1] == "__version__"):
                continue
            part = parts[1] if len(parts) > 1 else ""
            unused -= {part, ".".join(parts[1:])}
            if part not in allowed and ".".join(parts[1:]) not in allowed:
                broken.append(f"{path.relative_to(ROOT)}:{line} imports {module}")
    assert broken == []
    assert unused == set(), f"docs/architecture.md allows {folder} what it does not import"


def test_only_one_module_imports_minkowski() -> None:
    door = PACKAGE / "sparse" / "minkowski_import.py"
    places = [f"{p.relative_to(ROOT)}:{line}" for p in FILES for line, m in imported(p) if m.startswith("Minkowski")]
    dynamic = [p for p in FILES if p != door and 'import_module("MinkowskiEngine")' in p.read_text()]
    assert places == [] and dynamic == []
    assert "MinkowskiEngine" in door.read_text()


@pytest.mark.parametrize("module", ["sparse3d", "sparse3d.sparse", "sparse3d.installation.doctor"])
def test_importing_loads_nothing_heavy_that_is_not_needed(module: str) -> None:
    heavy = ("MinkowskiEngine", "sklearn", "tensorboard")
    code = f"import sys, {module}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_set_up_needs_nothing_but_the_standard_library() -> None:
    code = "import sys; from sparse3d.installation import environment, minkowski_wheel; print('torch' in sys.modules)"
    # -S: no site-packages, as before the environment exists.
    done = subprocess.run([sys.executable, "-S", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


def test_nothing_moves_to_a_device_by_name_or_traces_anomalies() -> None:
    forbidden = {"cuda": ".cuda()", "set_detect_anomaly": "set_detect_anomaly"}
    files = [*FILES, *sorted((ROOT / "tools").glob("*.py"))]
    found = [(p.relative_to(ROOT), line, name) for p in files for line, name in calls(p)]
    assert [f"{path}:{line} {forbidden[name]}" for path, line, name in found if name in forbidden] == []


def test_importing_everything_leaves_anomaly_detection_off() -> None:
    """It makes training several times slower; the name can be hidden in many ways, the state cannot."""
    code = "import torch; from sparse3d import config; config.import_all(); print(torch.is_anomaly_enabled())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_the_data_classes_of_all_parts_import_none_of_them() -> None:
    allowed = {"types": {"numpy", "torch", "sparse3d.errors"}, "detection_types": {"torch"}}
    allowed |= {"errors": set(), "checks": {"sparse3d.errors"}}
    for name, others in allowed.items():
        found = {module for _, module in imported(PACKAGE / f"{name}.py")}
        known = sys.stdlib_module_names | {"__future__"}
        assert {m for m in found if m.split(".")[0] not in known and m.split(".")[0] not in others} <= others, name


def test_nothing_touches_the_module_search_path_except_to_put_it_back() -> None:
    allowed = {PACKAGE / "sparse" / "minkowski_import.py"}
    files = [p for p in [*FILES, *sorted((ROOT / "tools").glob("*.py"))] if p not in allowed]
    assert [str(p.relative_to(ROOT)) for p in files if "sys.path" in p.read_text()] == []


def test_tools_are_argument_parsing_and_one_call() -> None:
    long = {p.name: n for p in (ROOT / "tools").glob("*.py") if (n := len(p.read_text().splitlines())) > 80}
    assert long == {}


def test_there_is_no_bare_except() -> None:
    bare = [
        f"{p.relative_to(ROOT)}:{node.lineno}"
        for p in FILES
        for node in ast.walk(tree(p))
        if isinstance(node, ast.ExceptHandler) and node.type is None
    ]
    assert bare == []
