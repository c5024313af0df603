"""How two lists of classes differ, for messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def difference(theirs: Sequence[Any], ours: Sequence[Any]) -> str:
    """The first difference of two lists that are not equal: their lengths, or a place: class 3 is 'bed', not 'sofa'."""
    if len(theirs) != len(ours):
        odd = [entry for entry in (*theirs, *ours) if (entry in theirs) != (entry in ours)]
        return f"{len(theirs)}, not {len(ours)}" + (f" ({odd[0]!r} is on one side alone)" if odd else "")
    k = next(k for k, (a, b) in enumerate(zip(theirs, ours, strict=True)) if a != b)
    return f"class {k} is {theirs[k]!r}, not {ours[k]!r}"
