"""What a config's text binds, read without loading it: that of a checkpoint, or of a job."""

from __future__ import annotations

import ast
import re


def written(config_text: str, name: str) -> str | None:
    """What a parameter or macro is bound to, as it is written, macros followed; None where it is not bound."""
    # gin puts a long value on lines of its own, and a long text in pieces.
    found = re.search(rf"^{re.escape(name)} = (.*(?:\n[ \t]+.*)*)", config_text, re.MULTILINE)
    value = found and re.sub(r"\\\n", "", found[1]).strip()
    return written(config_text, value[1:]) if value and value.startswith("%") else value


def written_text(config_text: str, name: str) -> str | None:
    """The text that a parameter or macro is bound to; None where it is not bound, or not to a text."""
    try:
        value = ast.literal_eval(f"({written(config_text, name) or None})")
    except (ValueError, SyntaxError):
        return None
    return value if isinstance(value, str) else None
