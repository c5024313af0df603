"""What the parts of a task say of their own options: those without effect beside others."""

from __future__ import annotations

from typing import Any, TypeVar

Part = TypeVar("Part")


class PartOptions:
    """Collects ``part.idle_options()``, {parameter: why it has no effect}, of parts as they are built."""

    def __init__(self) -> None:
        self._idle: dict[str, dict[str, str]] = {}  # by class; texts alone, as tasks are sent to data workers

    def note(self, part: Part) -> Part:
        """The part itself. An option is idle where it is so in every part of the class: gin binds them all at once."""
        report: Any = getattr(part, "idle_options", dict)
        name, idle = type(part).__name__, report()
        known = self._idle.setdefault(name, idle)
        self._idle[name] = {option: why for option, why in known.items() if option in idle}
        return part

    def idle(self) -> dict[str, dict[str, str]]:
        """Options without effect, by class."""
        return {name: dict(options) for name, options in self._idle.items()}
