"""The first signal is noted, the second ends the process."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time

import pytest

from sparse3d.training import interrupt
from sparse3d.training.interrupt import StopRequest


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_one_signal_is_noted_and_the_handlers_put_back(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with StopRequest() as stop:
        assert not stop
        os.kill(os.getpid(), number)
        assert stop and stop.signal_number == number
    assert signal.getsignal(number) is before


def test_an_echo_of_the_same_signal_does_not_count() -> None:
    with StopRequest() as stop:
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)
        assert stop.signal_number == signal.SIGINT


def impatient() -> None:
    interrupt.ECHO_SECONDS = 0.0
    with StopRequest():
        multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,), daemon=True).start()
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(60)


def test_the_second_signal_ends_the_process_at_once() -> None:
    child = multiprocessing.get_context("fork").Process(target=impatient)
    started = time.monotonic()
    child.start()
    child.join()
    assert child.exitcode == 128 + signal.SIGTERM
    assert time.monotonic() - started < 30
