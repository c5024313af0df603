"""MinkowskiEngine's wheel: its key and cache, life without a compiler or a cache, and the door it is imported by."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from sparse3d.installation import minkowski_wheel
from sparse3d.installation.minkowski_wheel import BuildImpossible, WheelKey
from sparse3d.sparse import minkowski_import
from sparse3d.tools import build_minkowski


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, an environment that remembers no MinkowskiEngine, and none that loads."""
    monkeypatch.setenv("SPARSE3D_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(minkowski_wheel, "installed_key_file", lambda: tmp_path / "key.txt")
    monkeypatch.setattr(minkowski_wheel, "works_here", lambda: False)
    monkeypatch.setattr(minkowski_wheel, "devices_to_try", lambda: ["cpu"])
    return tmp_path / "cache"


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


def may_build() -> bool:
    try:
        minkowski_wheel.check_buildable()
    except BuildImpossible:
        return False
    return True


needs_build_tools = pytest.mark.skipif(not may_build(), reason="needs a C++ compiler")


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
    with pytest.raises(SystemExit) as ended:
        build_minkowski.main()
    assert ended.value.code == code
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    for part in ("no C++ compiler", "portable torch backend", "g++", "make minkowski"):
        assert part in said


def test_a_cache_that_cannot_be_written_leaves_minkowski_out_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPARSE3D_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(BuildImpossible) as caught:
        minkowski_wheel.ensure()
    assert "SPARSE3D_CACHE" in caught.value.one_line() and "\n" not in caught.value.one_line()


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
