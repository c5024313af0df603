"""A recording larger than memory may be: preparing 3 GB stays below 1.5 GB.

It writes 3 GB, so it runs where ``SPARSE3D_LARGE_TESTS`` names a folder to write into; by hand::

    python tests/preparation/test_prepare_memory.py FOLDER
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sparse3d.data.prepared import PreparedScene
from sparse3d.data.sens_writer import SensWriter
from sparse3d.types import Camera

BYTES = 3 * 10**9
LIMIT = 1.5e9
COLOR = Camera(1170.0, 1170.0, 647.5, 483.5, 1296, 968)  # ScanNet's sizes
DEPTH = Camera(577.9, 577.9, 319.5, 239.5, 640, 480)
NAME = "scene0000_00"


def write_large(folder: Path, size: int = BYTES) -> Path:
    """A ``.sens`` of ``size`` bytes below ``folder``: raw depth and as many frames of noise as it takes."""
    rng = np.random.default_rng(0)
    color = rng.integers(0, 256, (COLOR.height, COLOR.width, 3), dtype=np.uint8)
    path = folder / NAME / f"{NAME}.sens"
    with SensWriter(path, COLOR, DEPTH, color_compression="jpeg", depth_compression="raw", jpeg_quality=95) as writer:
        payload = writer._encode_color(color)
        writer._encode_color = lambda _: payload  # type: ignore[method-assign] # one image is coded once, not 2,000 times
        per_frame = len(payload) + 2 * DEPTH.width * DEPTH.height
        for k in range(size // per_frame + 1):
            pose = np.eye(4)
            pose[:3, 3] = 0.002 * k, 0, 0
            wall = np.full((DEPTH.height, DEPTH.width), 2.0 + 0.0005 * k, np.float32)
            writer.write(color, wall, pose)
    return path


def measure(folder: Path) -> tuple[int, int, int]:
    """Bytes of the source, peak bytes in memory of a process that prepares it, and frames kept."""
    source = folder / "source"
    path = write_large(source)
    tool = ["-m", "sparse3d.tools.prepare", "scannet", str(source), str(folder / "out"), "--frame-skip", "25"]
    subprocess.run([sys.executable, *tool], check=True)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    scene = PreparedScene(folder / "out" / "scenes" / NAME)
    return path.stat().st_size, peak, len(scene.frames())


@pytest.mark.skipif("SPARSE3D_LARGE_TESTS" not in os.environ, reason="writes 3 GB: SPARSE3D_LARGE_TESTS names a folder")
def test_three_gigabytes_are_prepared_in_half_of_that() -> None:
    size, peak, frames = measure(Path(os.environ["SPARSE3D_LARGE_TESTS"]))
    assert size >= BYTES and frames > 10 and peak < LIMIT


if __name__ == "__main__":
    source_bytes, peak_bytes, kept = measure(Path(sys.argv[1]))
    print(f"source {source_bytes / 1e9:.2f} GB, peak {peak_bytes / 1e9:.2f} GB in memory, {kept} frames")
