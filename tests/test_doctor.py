"""The doctor: what it reports, when it calls for help, and that its self-test can tell right from wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from sparse3d.installation import doctor, selftest
from sparse3d.sparse import Convolution, minkowski_import, native, resolve
from sparse3d.tools import doctor as tool

ROOT = Path(__file__).resolve().parents[1]
GOOD = selftest.SelfTest("torch", "cpu", True, 12.0, "")
BAD = selftest.SelfTest("minkowski", "cpu", False, 0.0, "MinkowskiEngine is not installed")

NO_KERNEL = selftest.SelfTest("native", "cpu", False, 0.0, "no C++ compiler")


@pytest.fixture
def with_tests(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let the doctor find these self-test results."""

    def put(*tests: selftest.SelfTest) -> None:
        found = {test.backend: test for test in (NO_KERNEL, *tests)}
        monkeypatch.setattr(selftest, "run_isolated", found.__getitem__)

    return put


def test_json_of_the_real_tool_says_versions_backend_and_tests() -> None:
    done = subprocess.run([sys.executable, "tools/doctor.py", "--json"], cwd=ROOT, capture_output=True, text=True)
    report = json.loads(done.stdout)
    assert done.returncode == 0 and report["usable"] is True, done.stdout + done.stderr
    assert report["versions"]["torch"] == torch.__version__
    assert {"python", "cuda", "compiler", "minkowski_engine", "blas"} <= set(report["versions"])
    tests = {test["backend"]: test for test in report["selftests"]}
    assert tests["torch"]["usable"] and tests["torch"]["milliseconds"] > 0
    assert tests["minkowski"]["usable"] == minkowski_import.available()


def test_the_backend_named_is_the_one_that_auto_takes(with_tests: Callable[..., None]) -> None:
    with_tests(GOOD, BAD)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    name, reason = resolve(device)
    diagnosis = doctor.diagnose()
    assert diagnosis.backend == name and reason in diagnosis.reason


def test_a_backend_that_cannot_be_had_is_told_and_not_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a wrong SPARSE3D_BACKEND, for which one asks the doctor."""
    monkeypatch.setattr("sparse3d.sparse.backend._configured", "no-such-backend")
    name, reason = doctor.chosen_backend()
    assert name == "" and "no-such-backend" in reason and "native" in reason


def exit_code() -> object:
    with pytest.raises(SystemExit) as ended:
        tool.main()
    return ended.value.code


@pytest.mark.parametrize("flag", [[], ["--json"]])
def test_exit_code_is_1_exactly_when_nothing_is_usable(
    flag: list[str], with_tests: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["doctor.py", *flag])
    with_tests(GOOD, BAD)
    assert exit_code() == 0
    with_tests(replace(GOOD, backend="minkowski"), replace(BAD, backend="torch"))
    assert exit_code() == 0
    with_tests(replace(BAD, backend="torch"), BAD)
    assert exit_code() == 1


def test_missing_minkowski_comes_with_its_cost_and_the_command(with_tests: Callable[..., None]) -> None:
    with_tests(GOOD, BAD)
    [missing] = [m for m in doctor.diagnose().missing if "Minkowski" in m.what]
    assert "make minkowski" in missing.remedy and missing.costs
    with_tests(GOOD, replace(GOOD, backend="minkowski"))
    assert not [m for m in doctor.diagnose().missing if "Minkowski" in m.what]


def test_a_missing_compiled_kernel_comes_with_its_cost_and_the_command(with_tests: Callable[..., None]) -> None:
    with_tests(GOOD, BAD)
    [missing] = [m for m in doctor.diagnose().missing if "native" in m.what]
    assert "CXX" in missing.remedy or "g++" in missing.remedy
    assert NO_KERNEL.error in missing.costs and "times as long" in missing.costs
    with_tests(GOOD, BAD, replace(GOOD, backend="native"))
    assert not [m for m in doctor.diagnose().missing if "native" in m.what]


def test_without_a_compiler_the_remedy_begins_with_one(
    with_tests: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with_tests(GOOD, BAD)
    monkeypatch.setenv("PATH", str(tmp_path))
    for named, remedy in (("", "install g++"), ("no-such-compiler", "let CXX name")):
        monkeypatch.setenv("CXX", named)
        diagnosis = doctor.diagnose()
        [wheel] = [m for m in diagnosis.missing if "Minkowski" in m.what]
        [kernel] = [m for m in diagnosis.missing if "native" in m.what]
        assert wheel.remedy.split(", then")[0] == kernel.remedy and kernel.remedy.startswith(remedy)
        assert diagnosis.versions["compiler"].startswith("none: ") and named in diagnosis.versions["compiler"]


def test_a_compiler_that_does_not_start_is_told_and_not_raised(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cxx").write_bytes(b"\x7fno program")
    (tmp_path / "cxx").chmod(0o755)
    monkeypatch.setenv("CXX", str(tmp_path / "cxx"))
    assert "does not start" in doctor.versions()["compiler"]


def test_a_package_that_is_not_installed_is_named_with_the_exact_command(
    with_tests: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    with_tests(GOOD, BAD)
    monkeypatch.setattr(doctor, "REQUIRED", (*doctor.REQUIRED, "no-such-package"))
    [missing] = [m for m in doctor.diagnose().missing if m.what == "no-such-package"]
    assert missing.remedy == f"{sys.executable} -m pip install no-such-package"


def test_text_and_json_tell_the_same(with_tests: Callable[..., None]) -> None:
    with_tests(GOOD, BAD)
    diagnosis = doctor.diagnose()
    text, data = diagnosis.as_text(), json.loads(diagnosis.as_json())
    for value in [*data["versions"].values(), data["backend"], data["reason"], BAD.error]:
        assert value in text
    for missing in data["missing"]:
        assert missing["remedy"] in text


@pytest.mark.parametrize("backend", doctor.BACKENDS)
def test_selftest_passes_where_the_backend_is_available(backend: str) -> None:
    if backend == "minkowski" and not minkowski_import.available():
        pytest.skip(minkowski_import.why_not())
    if backend == "native" and not native.available():
        pytest.skip(native.why_not())
    result = selftest.run(backend)
    assert result.usable and result.error == "" and result.milliseconds > 0


def test_selftest_notices_a_wrong_convolution(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Convolution.forward
    monkeypatch.setattr(Convolution, "forward", lambda self, x: (y := right(self, x)).with_feats(y.feats * 1.001))
    wrong = selftest.run("torch")
    assert not wrong.usable and "wrong values" in wrong.error


def test_a_crash_of_a_backend_is_a_result_and_not_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    crash = [sys.executable, "-c", "import os; os.abort()"]
    real = subprocess.run
    monkeypatch.setattr(selftest.subprocess, "run", lambda command, **options: real(crash, **options))
    result = selftest.run_isolated("minkowski")
    assert not result.usable and result.error


def test_an_unknown_backend_is_reported_and_not_raised() -> None:
    result = selftest.run("no-such-backend")
    assert not result.usable and result.error
