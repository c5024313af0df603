"""What tests of all folders share: the recordings, one thread, and a small room."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from synthetic_room import room_frame, write_room

from sparse3d.sparse import backend
from sparse3d.types import Frame


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real recordings; tests that ask for it are skipped where there is none."""
    named = os.environ.get("SPARSE3D_SHARED_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no recordings at {folder}: set SPARSE3D_SHARED_DATA to the folder that holds redkitchen/")
    return folder


@pytest.fixture(scope="session", autouse=True)
def interruptible() -> Iterator[None]:
    """A shell without job control starts what runs in the background deaf to SIGINT, and tools inherit that."""
    before = signal.getsignal(signal.SIGINT)
    if before == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> Iterator[None]:
    """Small tensors are slower on many threads, and sums come in one order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", autouse=True)
def engine_as_it_was() -> Iterator[None]:
    """Trainings set the engine for the whole process; the next file's tests must not compute as they did."""
    before = backend._configured, backend._products
    yield
    backend._configured, backend._products = before


@pytest.fixture(scope="session")
def room_frames() -> list[Frame]:
    """Six overlapping frames of the room, with holes."""
    return [room_frame(k, holes=0.03) for k in range(6)]


@pytest.fixture(scope="session")
def room_folder(tmp_path_factory: pytest.TempPathFactory, room_frames: list[Frame]) -> Path:
    """The same frames as a recording on disk."""
    return write_room(tmp_path_factory.mktemp("recordings") / "room", room_frames)


@pytest.fixture
def free_port() -> int:

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
