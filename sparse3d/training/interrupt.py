"""Ctrl-C and SIGTERM: the first asks the loop to finish its step, the second ends the process at once."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
import threading
import time
from types import FrameType
from typing import Any

ECHO_SECONDS = 0.5


class StopRequest:
    """A context in which the two signals set :attr:`signal_number` instead of ending the process."""

    def __init__(self) -> None:
        self.signal_number = 0
        self._previous: dict[int, Any] = {}
        self._received = 0.0

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():  # only there may handlers be set
            for number in (signal.SIGINT, signal.SIGTERM):
                self._previous[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous.clear()

    def __bool__(self) -> bool:
        return self.signal_number != 0

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        # A launcher passes on a signal that the terminal gave to the whole group: the same one, twice at once.
        if self.signal_number and time.monotonic() - self._received < ECHO_SECONDS:
            return
        if self.signal_number:
            for child in multiprocessing.active_children():
                child.kill()
            os._exit(128 + number)
        self.signal_number, self._received = number, time.monotonic()
        name = signal.Signals(number).name
        # os.write, because the handler may have interrupted a buffered write to the same stream.
        os.write(
            sys.__stderr__.fileno() if sys.__stderr__ else 2,
            f"\n{name}: finishing this step; again to exit at once\n".encode(),
        )
