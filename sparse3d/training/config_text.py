"""What a config's text binds, read without loading it: that of a checkpoint, or of a job."""

from __future__ import annotations

import re


def written(config_text: str, name: str) -> str | None:
    """What a parameter or macro is bound to, as it is written, macros followed; None where it is not bound."""
    # gin puts a long value on a line of its own.
    found = re.search(rf"^{re.escape(name)} = (?:\\\n\s+)?(.+)$", config_text, re.MULTILINE)
    value = found and found[1].strip()
    return written(config_text, value[1:]) if value and value.startswith("%") else value
