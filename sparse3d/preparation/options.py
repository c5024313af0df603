"""What a preparation is asked to do."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from sparse3d.errors import InputError

VOXEL_SIZE = 0.05  # of the stored overlaps, metres: what pre-training asks for
VIDEO_SKIP = 25  # ScanNet films 30 frames a second; every 25th is what the field trains on
LARGEST_SIDE = 4096  # pixels; a slip of the keys must not take all memory in every scene
FEW_FRAMES = 250  # recordings of no more are no video, and kept whole


@dataclass(frozen=True)
class PrepareOptions:
    """Options that change what is written; a scene written with others is prepared again.

    Args:
        size: (width, height) of the frames.
        frame_skip: every ``frame_skip``-th recorded frame is taken, the first one first; None: see :meth:`step`.
        jpeg_quality: of the colour images.
    """

    size: tuple[int, int] = (320, 240)
    frame_skip: int | None = None
    jpeg_quality: int = 90

    def __post_init__(self) -> None:
        if min(self.size) < 1:
            raise InputError(f"--size {self.size[0]}x{self.size[1]}: both sides must be positive")
        if max(self.size) > LARGEST_SIDE:
            raise InputError(f"--size {self.size[0]}x{self.size[1]}: sides of more than {LARGEST_SIDE} are no frames")
        if self.frame_skip is not None and self.frame_skip < 1:
            raise InputError(f"--frame-skip {self.frame_skip}: must be at least 1 (every frame)")
        if not 1 <= self.jpeg_quality <= 100:
            raise InputError(f"jpeg_quality = {self.jpeg_quality}: must lie in 1 to 100")

    def step(self, recorded: int) -> int:
        """``frame_skip``, or without one what fits so many recorded frames: 25 for a video, 1 when it is short."""
        if self.frame_skip is not None:
            return self.frame_skip
        return VIDEO_SKIP if recorded > FEW_FRAMES else 1

    def to_record(self) -> dict[str, Any]:
        """The options as JSON has them."""
        return asdict(self) | {"size": list(self.size), "voxel_size": VOXEL_SIZE}
