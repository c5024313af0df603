"""Numpy's BLAS must not wake threads: they spin on the cores that others compute on.

Of data workers training/test_loader.py asks the same.
"""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from blas import numpys_openblas

from sparse3d.preparation import runner

# By what numpy was built with, not by what the package finds: that might find nothing.
_BLAS = np.show_config(mode="dicts")["Build Dependencies"]["blas"]["name"]  # type: ignore[index, call-overload]
pytestmark = pytest.mark.skipif("scipy-openblas" not in _BLAS, reason=f"numpy computes with {_BLAS} here")


def _report(found: Any) -> None:
    runner._begin_worker()
    found.put([library.num_threads for library in numpys_openblas()])


def test_preparing_workers_multiply_on_one_thread() -> None:
    context = multiprocessing.get_context("spawn")
    found = context.Queue()
    worker = context.Process(target=_report, args=(found,))
    worker.start()
    assert set(found.get(timeout=60)) == {1}
    worker.join()


def test_tools_multiply_on_one_thread_and_leave_torch_alone() -> None:
    code = """
import numpy, torch
from threadpoolctl import threadpool_info
from sparse3d.cli import run_tool
before = torch.get_num_threads(), [i["num_threads"] for i in threadpool_info() if i["internal_api"] != "openblas"]
def main():
    after = torch.get_num_threads(), [i["num_threads"] for i in threadpool_info() if i["internal_api"] != "openblas"]
    print(before == after, set(i["num_threads"] for i in threadpool_info() if "numpy.libs" in i["filepath"]))
run_tool(main)
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=120)
    assert found.stdout.split("\n")[0] == "True {1}", found.stdout + found.stderr
