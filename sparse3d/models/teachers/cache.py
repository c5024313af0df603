"""Teacher features kept on disk and in memory, because training visits the same few hundred images again and again.

A frame's features are found by *what* they are features of: the teacher (its name says weights and taps), the
image's size, and the image's bytes. An augmented image is another image, so it can never be given, or leave behind,
the features of the original. Where the caller knows better, it passes keys of its own.

Features are kept in float16, and those just computed are rounded alike: a hit and a miss give the same bits. Each
image is computed alone, so its features do not depend on what else happened to be missing in the batch.
"""

from __future__ import annotations

import hashlib
import io
import logging
import os
import time
import uuid
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gin
import numpy as np
import torch
from torch import Tensor

from sparse3d.errors import InputError
from sparse3d.models.teachers.base import Teacher

logger = logging.getLogger(__name__)

Maps = list[np.ndarray]  # one (C, h, w) float16 array a tap
DAMAGED = (zipfile.BadZipFile, zlib.error, ValueError, KeyError, EOFError, RuntimeError)
TEMPORARY_PREFIX = ".partial-"
ABANDONED_AFTER = 3600.0  # seconds; an unfinished file older than this belongs to no living process


@dataclass
class CacheStatistics:
    """What a :class:`TeacherCache` did since it was made."""

    memory_hits: int = 0
    disk_hits: int = 0
    computed: int = 0
    damaged: int = 0  # files that could not be read; recomputed, and so part of ``computed``
    unwritten: int = 0  # computed, but not kept on disk: the limit was reached, or writing failed
    bytes_on_disk: int = 0  # of this teacher, as far as this process knows


@gin.configurable
class TeacherCache:
    """A teacher's features, computed once an image.

    Args:
        directory: of the files, made when missing; several teachers and several processes may share it. None keeps
            features in memory only.
        teacher: the frozen network; it computes what is missing, on the device of the images.
        max_bytes: limit of this teacher's files. When it is reached, nothing more is written (and this is logged
            once, and counted); nothing is thrown out, since training passes over its images in cycles, where
            replacing the oldest would replace everything just before it is needed.
        max_items: images held in memory, the least recently used goes first. 0 for none.

    Raises:
        InputError: ``directory`` cannot be made or read.
    """

    def __init__(
        self,
        directory: str | os.PathLike[str] | None,
        teacher: Teacher,
        max_bytes: int | None = None,
        max_items: int = 512,
    ) -> None:
        self.teacher = teacher
        self.max_bytes = max_bytes
        self.max_items = max_items
        self.statistics = CacheStatistics()
        self._memory: OrderedDict[str, Maps] = OrderedDict()
        self._warned = False
        self._folder: Path | None = None
        if directory is not None:
            self._folder = Path(directory) / _folder_name(teacher.name)
            try:
                self._folder.mkdir(parents=True, exist_ok=True)
                self.statistics.bytes_on_disk = _measure(self._folder)
            except OSError as error:
                raise InputError(
                    f"{directory}: the cache of teacher features cannot be used ({error.strerror}); "
                    "give a directory that can be written to, or None"
                ) from error

    def features(self, images: Tensor, keys: Sequence[str] | None = None) -> list[Tensor]:
        """The teacher's maps of ``images``, computing only those not known.

        Args:
            images: (N, H, W, 3) uint8.
            keys: N names that stand for the images' contents (the size is added); None takes their bytes.

        Returns:
            One (N, C_l, H_l, W_l) float32 map a tap, rounded to float16, on the device of ``images``.
        """
        if images.dtype != torch.uint8 or images.ndim != 4 or images.shape[-1] != 3 or len(images) == 0:
            raise ValueError(f"expected (N, H, W, 3) uint8 images, N > 0, got {tuple(images.shape)} {images.dtype}")
        if keys is not None and len(keys) != len(images):
            raise ValueError(f"{len(keys)} keys for {len(images)} images")
        size = f"{images.shape[1]}x{images.shape[2]}"
        contents = _bytes_of(images) if keys is None else [key.encode() for key in keys]
        found = [
            self._find(_digest(size, content, keys is None), image)
            for content, image in zip(contents, images, strict=True)
        ]
        # float16 crosses to the device, half the bytes
        return [torch.from_numpy(np.stack(level)).to(images.device).float() for level in zip(*found, strict=True)]

    def _find(self, digest: str, image: Tensor) -> Maps:
        maps = self._memory.get(digest)
        if maps is not None:
            self._memory.move_to_end(digest)
            self.statistics.memory_hits += 1
            return maps
        maps = self._read(digest)
        if maps is None:
            maps = self._compute(image)
            self._write(digest, maps)
        if self.max_items > 0:
            self._memory[digest] = maps
            while len(self._memory) > self.max_items:
                self._memory.popitem(last=False)
        return maps

    def _compute(self, image: Tensor) -> Maps:
        self.statistics.computed += 1
        levels = [level[0].half() for level in self.teacher(image[None])]
        for stride, level in zip(self.teacher.strides, levels, strict=True):
            if not bool(level.isfinite().all()):
                raise FloatingPointError(f"{self.teacher.name}: features of stride {stride} do not fit into float16")
        return [level.contiguous().cpu().numpy() for level in levels]

    def _read(self, digest: str) -> Maps | None:
        """The maps of a file, or None when there is none that can be used."""
        if self._folder is None:
            return None
        path = _path(self._folder, digest)
        try:
            with np.load(path, allow_pickle=False) as archive:  # a zip: every array carries its CRC
                maps = [archive[f"tap{index}"] for index in range(len(self.teacher.channels))]
            channels = tuple(level.shape[0] if level.ndim == 3 else None for level in maps)
            if channels != self.teacher.channels or any(level.dtype != np.float16 for level in maps):
                raise ValueError(f"holds maps of {channels} channels, expected {self.teacher.channels} in float16")
        except FileNotFoundError:
            return None
        except (OSError, *DAMAGED) as error:
            self.statistics.damaged += 1
            logger.warning("%s: unreadable file of teacher features, computed again (%s)", path, error)
            return None
        self.statistics.disk_hits += 1
        return maps

    def _write(self, digest: str, maps: Maps) -> None:
        """Keep ``maps`` on disk, if there is room; a file appears whole or not at all."""
        if self._folder is None:
            return
        content = _encode(maps)
        if self.max_bytes is not None and self.statistics.bytes_on_disk + len(content) > self.max_bytes:
            self._leave_unwritten(f"the limit of {self.max_bytes} bytes is reached")
            return
        path = _path(self._folder, digest)
        partial = path.with_name(f"{TEMPORARY_PREFIX}{uuid.uuid4().hex}")
        try:
            path.parent.mkdir(exist_ok=True)
            replaced = path.stat().st_size if path.exists() else 0
            try:
                partial.write_bytes(content)
                os.replace(partial, path)
            finally:
                partial.unlink(missing_ok=True)
        except OSError as error:  # a full disk must not end a training run that can go on without the cache
            self._leave_unwritten(f"writing failed: {error.strerror}")
            return
        self.statistics.bytes_on_disk += len(content) - replaced

    def _leave_unwritten(self, reason: str) -> None:
        self.statistics.unwritten += 1
        if not self._warned:
            logger.warning("%s: teacher features are no longer added to the cache, %s", self._folder, reason)
            self._warned = True


def _folder_name(teacher_name: str) -> str:
    """Readable, and different for every name: a hub model's name may hold slashes."""
    readable = "".join(c if c.isalnum() or c in "+-_." else "_" for c in teacher_name)[:60]
    return f"{readable}-{hashlib.sha256(teacher_name.encode()).hexdigest()[:12]}"


def _bytes_of(images: Tensor) -> list[bytes]:
    return [image.tobytes() for image in images.cpu().numpy()]


def _digest(size: str, content: bytes, of_image: bool) -> str:
    """A name for the features; keys and image bytes are kept apart, whatever a caller's key may look like."""
    return hashlib.sha256(f"{'image' if of_image else 'key'} {size} ".encode() + content).hexdigest()


def _encode(maps: Maps) -> bytes:
    buffer = io.BytesIO()
    arrays: dict[str, Any] = {f"tap{index}": level for index, level in enumerate(maps)}
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def _path(folder: Path, digest: str) -> Path:
    return folder / digest[:2] / f"{digest}.npz"


def _measure(folder: Path) -> int:
    """Bytes of the finished files; unfinished ones that a killed process left behind are removed."""
    total = 0
    for path in folder.glob("*/*"):
        try:
            status = path.stat()
            if not path.name.startswith(TEMPORARY_PREFIX):
                total += status.st_size
            elif time.time() - status.st_mtime > ABANDONED_AFTER:
                path.unlink()
        except FileNotFoundError:  # another process finished or removed it in the meantime
            continue
    return total
