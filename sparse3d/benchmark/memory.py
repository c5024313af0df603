"""Peak memory of this process, net of what it held before."""

from __future__ import annotations

from pathlib import Path

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """Counts from its making on; on systems without ``/proc`` nothing is known."""

    def __init__(self) -> None:
        self._before = _field("VmRSS")
        if self._before is not None and _CLEAR.exists():
            _CLEAR.write_text("5")  # the mark of the highest use so far, which the imports left, starts anew

    def megabytes(self) -> float | None:
        """The peak since then, 10^6 bytes."""
        peak = _field("VmHWM")
        return None if peak is None or self._before is None else (peak - self._before) / 1e6


def _field(name: str) -> int | None:
    if not _STATUS.exists():
        return None
    line = next((text for text in _STATUS.read_text().splitlines() if text.startswith(name + ":")), None)
    return None if line is None else int(line.split()[1]) * 1024
