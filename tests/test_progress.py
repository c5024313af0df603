"""Bars are drawn on a terminal, where a tool asks for them, and nothing else changes."""

from __future__ import annotations

import io

import pytest

from sparse3d.progress import bars_shown, track


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("shown", "terminal"), [(True, True), (True, False), (False, True)])
def test_items_come_in_order_and_a_bar_only_where_somebody_looks(
    shown: bool, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    err = Terminal() if terminal else io.StringIO()
    monkeypatch.setattr("sys.stderr", err)
    if shown:
        with bars_shown():
            assert list(track(range(3), "measuring", "scene")) == [0, 1, 2]
    else:
        assert list(track(range(3), "measuring", "scene")) == [0, 1, 2]
    assert ("measuring" in err.getvalue()) == (shown and terminal)


def test_bars_end_with_the_tool(monkeypatch: pytest.MonkeyPatch) -> None:
    err = Terminal()
    monkeypatch.setattr("sys.stderr", err)
    with bars_shown():
        pass
    list(track("ab", "measuring", "scene"))
    assert err.getvalue() == ""
