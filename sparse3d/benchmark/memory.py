"""Peak memory of this process, net of what it held before."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path

_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


class PeakMemory:
    """Counts from its making on; on systems without ``/proc`` nothing is known."""

    def __init__(self) -> None:
        self.forget()
        self._before = _field("VmRSS")

    def forget(self) -> None:
        """From here on the peak is looked for; memory that was freed before goes back to the system first.

        What a file of weights took while it was loaded would count otherwise, for some engines and not for others: it
        is used again by those that take their memory where Python does.
        """
        gc.collect()
        if hasattr(ctypes.CDLL(None), "malloc_trim"):  # of glibc
            ctypes.CDLL(None).malloc_trim(0)
        if _CLEAR.exists():
            _CLEAR.write_text("5")  # the mark of the highest use so far starts anew

    def megabytes(self) -> float | None:
        """The peak since then, 10^6 bytes."""
        peak = _field("VmHWM")
        return None if peak is None or self._before is None else (peak - self._before) / 1e6


def _field(name: str) -> int | None:
    if not _STATUS.exists():
        return None
    line = next((text for text in _STATUS.read_text().splitlines() if text.startswith(name + ":")), None)
    return None if line is None else int(line.split()[1]) * 1024
