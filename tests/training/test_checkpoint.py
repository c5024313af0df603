"""Checkpoints: whole or absent, complete, and read without running code."""

from __future__ import annotations

import errno
import io
import multiprocessing
import os
import pickle
import random
import signal
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from states import differences
from torch import nn

from sparse3d.errors import InputError
from sparse3d.training.checkpoint import (
    _save,
    duplicate,
    load_checkpoint,
    load_same_network,
    remove_leftovers,
    remove_old_steps,
    save_checkpoint,
)
from sparse3d.training.random_state import (
    preserved_random_state,
    random_state,
    seed_everything,
    set_random_state,
)
from sparse3d.whole_files import write_durable

MINIMAL = {"model": {"w": torch.arange(3)}, "optimizer": {}, "step": 4, "config": "a = 1", "processes": []}


def draws() -> tuple[float, float, float, float]:
    return random.random(), float(np.random.normal()), float(torch.rand(())), float(np.random.rand())


def test_random_states_survive_a_checkpoint(tmp_path: Path) -> None:
    seed_everything(3)
    np.random.normal()  # leaves a second Gaussian waiting, which is part of the state
    save_checkpoint(tmp_path / "last.pt", {**MINIMAL, "processes": [random_state()]})
    expected = [draws() for _ in range(3)]
    set_random_state(load_checkpoint(tmp_path / "last.pt")["processes"][0])
    assert [draws() for _ in range(3)] == expected


def test_a_preserved_state_goes_on_as_if_nothing_was_drawn() -> None:
    seed_everything(3)
    expected = draws()
    seed_everything(3)
    with preserved_random_state():
        draws()
    assert draws() == expected


def test_a_checkpoint_comes_back_equal(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "c" / "last.pt", MINIMAL)
    loaded = load_checkpoint(tmp_path / "c" / "last.pt")
    assert differences({key: loaded[key] for key in MINIMAL}, MINIMAL) == []
    assert loaded["versions"]["torch"] == torch.__version__
    assert [path.name for path in (tmp_path / "c").iterdir()] == ["last.pt"]


def test_every_truncation_is_an_input_error_that_names_the_file(tmp_path: Path) -> None:
    whole = tmp_path / "whole.pt"
    save_checkpoint(whole, MINIMAL)
    data = whole.read_bytes()
    cut = tmp_path / "cut.pt"
    for length in (0, 1, 10, len(data) // 4, len(data) // 2, len(data) - 30, len(data) - 1):
        cut.write_bytes(data[:length])
        with pytest.raises(InputError, match="cut.pt cannot be read") as caught:
            load_checkpoint(cut)
        assert "\n" not in str(caught.value)


def test_foreign_files_are_input_errors(tmp_path: Path) -> None:
    path = tmp_path / "x.pt"
    with pytest.raises(InputError, match="does not exist"):
        load_checkpoint(path)
    torch.save({"state_dict": {}}, path)
    with pytest.raises(InputError, match="not a checkpoint of sparse3d"):
        load_checkpoint(path)
    path.write_text("step: 3\n")
    with pytest.raises(InputError, match="cannot be read"):
        load_checkpoint(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a", "b")
    with pytest.raises(InputError, match="cannot be read"):
        load_checkpoint(path)
    path.write_bytes(pickle.dumps(Path("x")))  # a pickle that would run code is not run
    with pytest.raises(InputError, match="cannot be read"):
        load_checkpoint(path)
    save_checkpoint(path, {"model": {}})
    with pytest.raises(InputError, match="lacks optimizer"):
        load_checkpoint(path)
    torch.save({"format": "sparse3d-checkpoint", "version": 99}, path)
    with pytest.raises(InputError, match="update sparse3d"):
        load_checkpoint(path)


def test_a_network_of_other_names_or_shapes_is_refused_by_name() -> None:
    model = nn.Linear(3, 2)
    with pytest.raises(InputError, match=r"weight is \(2, 4\) in the checkpoint, \(2, 3\) as configured"):
        load_same_network(model, nn.Linear(4, 2).state_dict(), "last.pt")
    with pytest.raises(InputError, match="bias is only in the configured network"):
        load_same_network(model, nn.Linear(3, 2, bias=False).state_dict(), "last.pt")
    with pytest.raises(InputError, match="0.weight is only in the checkpoint"):
        load_same_network(model, nn.Sequential(nn.Linear(3, 2)).state_dict(), "last.pt")


def write_half_and_die(path: Path) -> None:
    def write(file: object) -> None:
        file.write(b"x" * 1000)  # type: ignore[attr-defined]
        file.flush()  # type: ignore[attr-defined]
        os.kill(os.getpid(), signal.SIGKILL)

    write_durable(path, write)


def test_a_kill_in_the_middle_of_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    save_checkpoint(path, MINIMAL)
    before = path.read_bytes()
    child = multiprocessing.get_context("fork").Process(target=write_half_and_die, args=(path,))
    child.start()
    child.join()
    assert child.exitcode == -signal.SIGKILL and path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 2
    remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_while_writing_leaves_nothing_behind(tmp_path: Path) -> None:
    def fail(file: object) -> None:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        write_durable(tmp_path / "last.pt", fail)
    assert list(tmp_path.iterdir()) == []


def test_a_second_name_keeps_its_content_when_the_first_is_written_again(tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "last.pt", MINIMAL)
    duplicate(tmp_path / "last.pt", tmp_path / "best.pt")
    save_checkpoint(tmp_path / "last.pt", {**MINIMAL, "step": 5})
    assert load_checkpoint(tmp_path / "best.pt")["step"] == 4


def test_only_the_newest_steps_are_kept(tmp_path: Path) -> None:
    for step in (5, 100, 20):
        (tmp_path / f"step-{step:07d}.pt").touch()
    (tmp_path / "step-by-step.pt").touch()
    remove_old_steps(tmp_path, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-0000020.pt", "step-0000100.pt", "step-by-step.pt"]


def test_a_full_disk_is_what_the_system_said_and_names_the_file(tmp_path: Path) -> None:
    """torch's writer makes a RuntimeError of it, which would be a traceback."""

    class Full(io.BytesIO):
        def write(self, data: object) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left on device") as caught:
        _save({"model": torch.zeros(10)}, Full(), tmp_path / "last.pt")
    assert caught.value.errno == errno.ENOSPC and caught.value.filename == str(tmp_path / "last.pt")
