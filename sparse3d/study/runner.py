"""Jobs as processes of their own, so that one that fails or is killed takes nothing with it."""

from __future__ import annotations

import os
import signal
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from sparse3d.study.jobs import Job


class Running(Protocol):
    """A job that has been started."""

    def poll(self) -> int | None:
        """Its exit code, None while it runs."""
        ...

    @property
    def cpu_seconds(self) -> float:
        """Of processor time, its own children's included; known once it has ended."""
        ...

    def stop(self) -> None:
        """Asks it to end soon: a training finishes its step and writes a checkpoint."""
        ...


class Runner(Protocol):
    """Starts jobs."""

    def start(self, job: Job, command: list[str], log: Path) -> Running:
        """Starts ``command``; what it says is added to ``log``."""
        ...


class _Process:
    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.process = process
        self.cpu_seconds = 0.0

    def poll(self) -> int | None:
        if self.process.returncode is None:
            # Not Popen.poll: it throws away what the process used, which says more than the clock on a shared machine.
            found, status, usage = os.wait4(self.process.pid, os.WNOHANG)
            if found:
                self.process.returncode = os.waitstatus_to_exitcode(status)
                self.cpu_seconds = usage.ru_utime + usage.ru_stime
        return self.process.returncode

    def stop(self) -> None:
        if self.poll() is None:
            os.kill(self.process.pid, signal.SIGTERM)


@dataclass(frozen=True)
class ProcessRunner:
    """Starts processes with ``threads`` threads each, which hold the study's lock as long as they live."""

    threads: int
    lock: int | None = None

    def start(self, job: Job, command: list[str], log: Path) -> _Process:
        """See :class:`Runner`. Standard output and error go to the log one after the other, as they come."""
        count = str(self.threads)
        environment = os.environ | {"OMP_NUM_THREADS": count, "MKL_NUM_THREADS": count, "OPENBLAS_NUM_THREADS": count}
        with log.open("ab") as file:
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment,
                # A Ctrl-C in the terminal is for the study alone, which passes it on once.
                start_new_session=True,
                pass_fds=() if self.lock is None else (self.lock,),
            )
        return _Process(process)
