"""Readers of RGB-D recordings, one file a format, all giving the same :class:`~sparse3d.types.Frame`.

``open_frames(path)`` for one recording, ``open_scenes(path)`` for a folder of them. A new format is one new module
here with a subclass of :class:`FrameSource`; it is found by itself.
"""

from __future__ import annotations

from sparse3d.data.readers.base import FrameSource
from sparse3d.data.readers.manifest import REASONS, Dropped, Manifest
from sparse3d.data.readers.opening import known_formats, open_frames, open_scenes

__all__ = ["REASONS", "Dropped", "FrameSource", "Manifest", "known_formats", "open_frames", "open_scenes"]
