"""Which code computed a run's numbers."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import torch

import sparse3d
from sparse3d import versions


@pytest.fixture(autouse=True)
def asked_anew() -> None:
    versions.commit.cache_clear()
    versions.versions.cache_clear()


def test_versions_are_those_of_what_is_installed() -> None:
    found = versions.versions()
    assert found["torch"] == torch.__version__ and found["sparse3d"] == sparse3d.__version__
    assert "numpy" in found and all(found.values())


def test_the_commit_of_a_clone_whose_path_holds_blanks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clone = tmp_path / "my own clone"
    clone.mkdir()
    git = ["git", "-C", str(clone), "-c", "user.name=me", "-c", "user.email=me@here"]
    for command in (["init", "-q"], ["commit", "-q", "--allow-empty", "-m", "first"]):
        subprocess.run([*git, *command], check=True)
    monkeypatch.setattr(versions, "__file__", str(clone / "sparse3d" / "versions.py"))
    assert re.fullmatch("[0-9a-f]{12}", versions.commit())


def test_outside_of_a_clone_it_is_the_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(versions, "__file__", str(tmp_path / "sparse3d" / "versions.py"))
    assert versions.commit() == f"version {sparse3d.__version__}"
