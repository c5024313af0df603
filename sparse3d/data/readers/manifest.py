"""What was kept of a recording, what was left out, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

REASONS = {
    "invalid_pose": "the pose is no finite rigid motion (-inf, NaN, zeros, scaled, sheared), or lies beyond all maps",
    "missing_color": "no colour image",
    "missing_depth": "no depth image",
    "missing_pose": "no pose",
    "unpaired": "no partner of the same moment (formats that pair images by time)",
    "unreadable_color": "the colour image cannot be decoded",
    "unreadable_depth": "the depth image cannot be decoded, or is not 16 bit",
    "size_mismatch": "an image is of another size than the recording's others",
    "empty_depth": "the depth image has no reading (found with check_images only)",
    "truncated": "the file ends within the frame",
}
"""Every reason code for leaving a frame out, with its meaning."""


@dataclass(frozen=True)
class Dropped:
    """One frame left out: its name, the reason's code (a key of :data:`REASONS`) and which file or value it was."""

    name: str
    reason: str
    detail: str

    def __post_init__(self) -> None:
        if self.reason not in REASONS:
            raise ValueError(f"unknown reason {self.reason!r}; known: {', '.join(REASONS)}")


@dataclass
class Manifest:
    """The account of one opened recording: every selected frame is either counted as kept or listed as dropped."""

    scene: str
    kept: int = 0
    dropped: list[Dropped] = field(default_factory=list)
    assumed_camera: str | None = None  # the intrinsics, where no file says them and the format's own were taken

    def counts(self) -> dict[str, int]:
        """How many frames were dropped for each reason, the most frequent first."""
        return dict(Counter(d.reason for d in self.dropped).most_common())

    def summary(self) -> str:
        """One line: how many frames were kept, how many dropped and why, and the intrinsics where they are assumed."""
        why = describe(self.counts())
        line = f"{self.scene}: {self.kept} frames kept, {len(self.dropped)} dropped" + (f" ({why})" if why else "")
        return line if self.assumed_camera is None else f"{line}; intrinsics assumed: {self.assumed_camera}"

    def listing(self) -> str:
        """The summary, and a line for each frame that was dropped: name, reason, and which file or value it was."""
        return "\n".join([self.summary(), *(f"  {d.name}: {d.reason}: {d.detail}" for d in self.dropped)])


def left_out(manifests: Iterable[Manifest]) -> str | None:
    """One line for many recordings: how many frames of how many were dropped and why; None where all were kept."""
    every = list(manifests)
    counts = sum((Counter(m.counts()) for m in every), Counter[str]())
    if not counts:
        return None
    frames, scenes = sum(m.kept + len(m.dropped) for m in every), sum(bool(m.dropped) for m in every)
    why = describe(dict(counts.most_common()))
    return f"{counts.total()} of {frames} frames, in {scenes} of {len(every)} scenes, are left out ({why})"


def assumed_cameras(manifests: Iterable[Manifest]) -> str | None:
    """One line for many recordings: which intrinsics were assumed, of how many; None where files say them all."""
    every = list(manifests)
    assumed = Counter(m.assumed_camera for m in every if m.assumed_camera is not None)
    if not assumed:
        return None
    which = some_of(list(assumed))
    return f"{assumed.total()} of {len(every)} scenes have no file with the camera's intrinsics; assumed: {which}"


def some_of(names: Sequence[str], most: int = 4) -> str:
    """The first names, and dots where there are more."""
    return ", ".join(names[:most]) + ", ..." * (len(names) > most)


def describe(counts: dict[str, int]) -> str:
    """``{"invalid_pose": 2}`` as the text "invalid_pose 2"."""
    return ", ".join(f"{reason} {number}" for reason, number in counts.items())
