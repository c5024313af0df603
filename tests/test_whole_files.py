"""Files that appear whole or not at all."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from sparse3d.errors import InputError
from sparse3d.whole_files import held, replacing, write_whole, write_whole_text


def test_until_all_is_written_readers_see_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    write_whole_text(path, "old\n")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old\n" and temporary.parent == path.parent
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    write_whole_text(path, "old")
    with pytest.raises(ZeroDivisionError):
        write_whole(path, lambda file: file.write(b"half") / 0)  # type: ignore[operator]
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_folders_on_the_way_are_made_and_bytes_stay_as_they_are(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "names.txt"
    write_whole_text(path, "Stühle\r\n")
    assert path.read_bytes() == "Stühle\r\n".encode()


def test_a_name_that_is_no_text_is_an_escape_that_json_reads_back(tmp_path: Path) -> None:
    write_whole_text(tmp_path / "a.json", json.dumps("caf\udce9 ü", ensure_ascii=False))
    assert "caf\\udce9 ü" in (tmp_path / "a.json").read_text(encoding="utf-8")
    assert json.loads((tmp_path / "a.json").read_bytes()) == "caf\udce9 ü"


def test_a_file_that_cannot_be_written_is_named_with_a_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"file/list\.txt: cannot be written .*: move it"):
        write_whole(tmp_path / "file" / "list.txt", lambda file: file.write(b""), remedy="move it")


def test_processes_of_one_number_do_not_share_a_temporary_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In containers process ids repeat, and the folder may be one."""
    monkeypatch.setattr("os.getpid", lambda: 7)
    path = tmp_path / "list.txt"
    with replacing(path) as ours:
        ours.write_text("ours")
        write_whole_text(path, "theirs")
        assert path.read_text() == "theirs" and ours.read_text() == "ours"
    assert path.read_text() == "ours"


def test_a_held_lock_keeps_others_out_until_the_end_and_leaves_nothing(tmp_path: Path) -> None:
    lock, entered = tmp_path / "below" / ".scene.lock", threading.Event()
    order: list[str] = []

    def other() -> None:
        entered.set()
        with held(lock) as ours:
            order.append(f"other {ours}")

    with held(lock) as ours, held(lock, wait=False) as again:
        assert ours and not again
        thread = threading.Thread(target=other)
        thread.start()
        entered.wait()
        time.sleep(0.1)
        order.append("first")
    thread.join()
    assert order == ["first", "other True"] and list(lock.parent.iterdir()) == []
    lock.write_text("")  # as a killed process leaves it
    with held(lock, wait=False) as ours:
        assert ours
