"""How two lists of classes differ, for messages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def difference(theirs: Sequence[Any], ours: Sequence[Any]) -> str:
    """The first difference of two lists that are not equal: of lengths, or of a place: class 3 is 'bed', not 'sofa'."""
    if len(theirs) != len(ours):
        return f"{len(theirs)}, not {len(ours)}"
    k = next(k for k, (a, b) in enumerate(zip(theirs, ours, strict=True)) if a != b)
    return f"class {k} is {theirs[k]!r}, not {ours[k]!r}"
