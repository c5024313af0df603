"""The other end of a worker process."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from types import TracebackType
from typing import Any

from sparse3d.benchmark.variants import Variant, worker_environment


class WorkerProcess:
    """A worker, started; ended when the ``with`` block is left."""

    def __init__(self, variant: Variant, threads: int) -> None:
        self.variant = variant
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 -- closed with the worker
        self._process = subprocess.Popen(
            [sys.executable, "-m", "sparse3d.benchmark.worker", variant.engine, variant.waiting, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            env=worker_environment(variant, threads),
            text=True,
        )

    def ask(self, do: str, **request: Any) -> Any:
        """The answer to a request of :class:`sparse3d.benchmark.service.Service`.

        Raises:
            RuntimeError: the worker could not, or has ended.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do, **request}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            code = self._process.wait()
            raise RuntimeError(f"the process of {self.variant.title!r} ended, exit code {code}: {self._said()}")
        reply = json.loads(line)
        if "error" in reply:
            raise RuntimeError(f"{self.variant.title}: {reply['error']}")
        return reply["answer"]

    def _said(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().strip().splitlines()
        return lines[-1] if lines else "it said nothing"

    def __enter__(self) -> WorkerProcess:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None and self._process.stdout is not None
        if kind is not None:
            self._process.kill()
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()
        self._errors.close()
