"""Names of configurables and parameters, and the nearest one to what was typed."""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Sequence
from typing import Any


def nearest(typed: str, known: Sequence[str], mark: str = "") -> str:
    """``"; the nearest is X"``, or nothing where there is no name to give."""
    folded = {name.lower(): name for name in known}
    found = difflib.get_close_matches(typed.lower(), folded, n=1, cutoff=0.0)
    return f"; the nearest is {mark}{folded[found[0]]}" if found else ""


def registered_name(selector: str) -> str:
    """The short form that one writes in a file: the last part of a full selector."""
    return selector.rsplit(".", 1)[-1]


def parameter_names(configurable: Any) -> list[str] | None:
    """Parameters that can be bound; None if it takes any (``**kwargs``)."""
    if inspect.isclass(configurable) and inspect.unwrap(configurable.__init__) is object.__init__:
        return []  # gin wraps object's constructor, which then seems to take anything
    parameters = inspect.signature(configurable).parameters.values()
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters):
        return None
    return [p.name for p in parameters if p.kind is not inspect.Parameter.VAR_POSITIONAL]


def in_words(message: str) -> str:
    """A message of gin's or of a constructor's on one line, without gin's trail of callers."""
    return " ".join(message.split("\n  In ", 1)[0].split())
