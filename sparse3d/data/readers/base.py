"""The contract of every reader: a sequence of RGB-D frames of one scene, decoded on demand.

A reader lists the frames of its format and reads one image or pose of them. Everything else lives here and is the
same for all: which frames are selected, which are faulty and what becomes of them, the up axis, and colour and depth
brought to one size.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from sparse3d.data.readers.alignment import cameras_disagree, sample_color
from sparse3d.data.readers.manifest import Dropped, Manifest, describe
from sparse3d.errors import InputError
from sparse3d.geometry import estimate_up, is_rigid, resize_color, resize_depth, up_to_z
from sparse3d.types import Camera, Frame

Size = tuple[int, int]  # (width, height)
AXES = {sign + axis: (-1.0 if sign else 1.0) * np.eye(3)["xyz".index(axis)] for axis in "xyz" for sign in ("", "-")}
GRAVITY_FRAMES = 20
FARTHEST_POSE = 1e8  # metres; maps reach 1e7, and what is far beyond is no number that was meant
NAME_UP = 'name the axis, as in up="-y" (of a tool: --up=-y)'
WORDS = {"color": "colour image", "depth": "depth image", "pose": "pose"}


@dataclass(frozen=True)
class ReadOptions:
    """How a recording is opened; see :func:`sparse3d.data.readers.open_frames`."""

    size: Size | None = None
    up: str = "auto"
    first: int | None = None
    last: int | None = None
    step: int = 1
    on_fault: Literal["error", "drop"] = "error"
    check_images: bool = False
    depth_scale: float | None = None

    def __post_init__(self) -> None:
        if self.on_fault not in ("error", "drop"):
            raise InputError(f'on_fault={self.on_fault!r}: must be "error" or "drop"')
        if self.up not in ("auto", "estimate", *AXES):
            raise InputError(f"up={self.up!r}: must be auto, estimate or one of {', '.join(AXES)}")
        if self.step < 1:
            raise InputError(f"step={self.step}: must be at least 1")
        if self.size is not None and (len(self.size) != 2 or min(self.size) < 1):
            raise InputError(f"size={self.size}: must be (width, height), both positive")
        if self.depth_scale is not None and not (np.isfinite(self.depth_scale) and self.depth_scale > 0):
            raise InputError(f"depth_scale={self.depth_scale}: must be positive (depth units a metre)")


@dataclass(slots=True)
class Entry:
    """A frame as listed: where its parts lie. None for a part says that it is not there."""

    number: int
    name: str
    color: Any  # the reader's own: a path, or a place in a file
    depth: Any
    pose: Any
    fault: Dropped | None = None  # found while listing


class FrameSource(ABC):
    """The frames of one scene, decoded on demand. Picklable; holds no open file.

    A subclass names its ``format``, recognises it, lists entries and reads their parts. Putting it in a module of this
    package is all that is needed for :func:`~sparse3d.data.readers.open_frames` to know it.
    """

    format: ClassVar[str]
    looks_for: ClassVar[str]  # the files that make this format, for error messages
    pose_file: ClassVar[str] = ""  # the file with all poses, in formats that have one
    z_up: ClassVar[bool] = False  # the format's world has gravity along -z
    expected_faults: ClassVar[frozenset[str]] = frozenset()  # reasons that are normal here and never an error

    def __init__(self, path: Path, options: ReadOptions | None = None) -> None:
        """Scan ``path``. Raises InputError for faults (see ``on_fault``) and when no frame is usable."""
        self.path = Path(path)
        self.options = options or ReadOptions()
        self.scene = self.path.stem if self.path.is_file() else self.path.name or self.path.resolve().name
        self.manifest = Manifest(self.scene)
        listed = self._list()
        if not listed:
            raise InputError(f"{self.path}: no frame of format {self.format}; looked for {self.looks_for}")
        usable = self._drop_faulty(self._select(listed))
        self._color_camera, self._depth_camera = self._cameras(self._color_size, self._depth_size)
        if self.options.check_images:
            usable = [(e, p) for e, p in usable if not self._dropped(self._decoding_fault(e))]
        self._settle_faults(len(usable))
        self._entries = [entry for entry, _ in usable]
        self.T_zup_native = self._upright(listed)
        self._poses = self.T_zup_native @ np.stack([pose for _, pose in usable])
        width, height = self.options.size or self._depth_size
        self.size: Size = (width, height)
        self._camera = self._depth_camera.scaled(*self.size)
        self._sample = cameras_disagree(self._color_camera, self._depth_camera)

    # What a format has to say -----------------------------------------------------------------------------

    @classmethod
    @abstractmethod
    def recognise(cls, path: Path) -> bool:
        """Whether ``path`` (a file or a folder) is a recording of this format, by names alone."""

    @classmethod
    def scenes_in(cls, path: Path) -> list[Path]:
        """The recordings right at ``path``: itself when recognised (a format with a file a scene may hold many)."""
        return [path] if cls.recognise(path) else []

    @abstractmethod
    def _list(self) -> list[Entry]:
        """Every frame of the recording, usable or not, in the order of their numbers."""

    @abstractmethod
    def _sizes(self, entry: Entry) -> tuple[Size, Size] | Dropped:
        """Colour and depth size of a frame, from headers alone."""

    @abstractmethod
    def _cameras(self, color_size: Size, depth_size: Size) -> tuple[Camera, Camera]:
        """The colour and the depth camera."""

    @abstractmethod
    def _read_pose(self, entry: Entry) -> np.ndarray:
        """The pose as recorded, (4, 4) float64 camera to world, possibly invalid; InputError if unparsable."""

    @abstractmethod
    def _read_color(self, entry: Entry) -> np.ndarray:
        """The colour image (H, W, 3) uint8; InputError if it cannot be decoded."""

    @abstractmethod
    def _read_depth(self, entry: Entry) -> np.ndarray:
        """The depth image (H, W) float32 metres, 0 = none; InputError if it cannot be decoded."""

    def _where(self, entry: Entry, part: str) -> str:
        """The file, and the place in it, of a part ("color", "depth", "pose") of a frame, for messages."""
        value = getattr(entry, part)
        if isinstance(value, str):
            return value
        return f"{self.path / self.pose_file if part == 'pose' else self.path}: frame {entry.name}"

    # The sequence -------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._entries)

    def __iter__(self) -> Iterator[Frame]:
        return (self[i] for i in range(len(self)))

    def name(self, i: int) -> str:
        """The frame's name, unique within the scene."""
        return self._entries[i].name

    def frame_number(self, i: int) -> int:
        """The number in the frame's file name (splits go by it), whatever was selected or dropped."""
        return self._entries[i].number

    def pose(self, i: int) -> np.ndarray:
        """``T_world_cam`` (4, 4) float64, camera to a world whose z axis points up, metres."""
        return self._poses[i].copy()

    def camera(self, i: int) -> Camera:
        """The camera of frame ``i`` as given out, that is, at ``size``."""
        self._entries[i]  # an index out of range is an IndexError here as elsewhere
        return self._camera

    def depth(self, i: int) -> np.ndarray:
        """The depth alone, (H, W) float32 metres at ``size``: half the price of the whole frame."""
        depth = self._checked_depth(self._entries[i])
        return resize_depth(depth, self.size[1], self.size[0])

    def __getitem__(self, i: int) -> Frame:
        """Frame ``i``, colour and depth at ``size``. InputError names the file when it cannot be decoded."""
        entry = self._entries[i]
        depth = self.depth(i)
        color = self._read_color(entry)
        width, height = self.size
        if self._sample:
            color, seen = sample_color(color, self._color_camera, self._camera)
            depth = np.where(seen, depth, np.float32(0))
        else:
            color = resize_color(color, height, width)
        return Frame(entry.name, self._camera, color, depth, self.pose(i))

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.path}: {len(self)} frames, {self.size[0]} x {self.size[1]}>"

    # Selection and faults -----------------------------------------------------------------------------------

    def _select(self, listed: list[Entry]) -> list[Entry]:
        """The entries within ``first`` and ``last``, every ``step``-th frame of them.

        What has no partner is no frame and is not counted in steps; it stays, for the manifest.
        """
        first, last = self.options.first, self.options.last
        low, high = -np.inf if first is None else first, np.inf if last is None else last
        within = [entry for entry in listed if low <= entry.number <= high]
        chosen: list[Entry] = []
        frames = 0
        for entry in within:
            is_frame = entry.fault is None or entry.fault.reason != "unpaired"
            if not is_frame or frames % self.options.step == 0:
                chosen.append(entry)
            frames += is_frame
        if not chosen:
            wanted = f"first={first}, last={last}"
            numbers = f"{listed[0].number} to {listed[-1].number}"
            raise InputError(f"{self.path}: no frame within {wanted}: the recording's are numbered {numbers}")
        return chosen

    def _drop_faulty(self, chosen: list[Entry]) -> list[tuple[Entry, np.ndarray]]:
        """The usable entries with their native poses; the others go into the manifest."""
        sized: list[tuple[Entry, np.ndarray, tuple[Size, Size]]] = []
        for entry in chosen:
            fault = entry.fault or self._missing_part(entry)
            if fault is None:
                pose = self._valid_pose(entry)
                sizes = pose if isinstance(pose, Dropped) else self._sizes(entry)
                if isinstance(sizes, Dropped):
                    fault = sizes
                else:
                    sized.append((entry, pose, sizes))
            self._dropped(fault)
        if not sized:
            self._settle_faults(0)
        common = Counter(sizes for _, _, sizes in sized).most_common(1)[0][0]
        self._color_size, self._depth_size = common
        usable = []
        for entry, pose, sizes in sized:
            if not self._dropped(self._size_fault(entry, sizes, common)):
                usable.append((entry, pose))
        return usable

    def _missing_part(self, entry: Entry) -> Dropped | None:
        for part in WORDS:
            if getattr(entry, part) is None:
                there = next((p for p in ("color", "depth", "pose") if isinstance(getattr(entry, p), str)), part)
                detail = f"{self._where(entry, there)}: its {WORDS[part]} is missing"
                return Dropped(entry.name, f"missing_{part}", detail)
        return None

    def _valid_pose(self, entry: Entry) -> Any:
        """The native pose (4, 4), or why there is none."""
        try:
            pose = self._read_pose(entry)
        except InputError as error:
            return Dropped(entry.name, "invalid_pose", str(error))
        far = np.abs(pose[:3, 3]).max()
        if np.isfinite(pose).all() and is_rigid(pose) and far <= FARTHEST_POSE:
            return pose
        what = "is not finite" if not np.isfinite(pose).all() else "is all zeros" if not pose.any() else "is not rigid"
        if np.isfinite(far) and far > FARTHEST_POSE:
            what = f"lies {far:.3g} m from the origin, beyond all maps: poses must be in metres"
        return Dropped(entry.name, "invalid_pose", f"{self._where(entry, 'pose')}: the pose {what}")

    def _size_fault(self, entry: Entry, sizes: tuple[Size, Size], common: tuple[Size, Size]) -> Dropped | None:
        for part, (width, height), (w, h) in zip(("color", "depth"), sizes, common, strict=True):
            if (width, height) != (w, h):
                detail = f"{self._where(entry, part)}: is {width} x {height}, the others are {w} x {h}"
                return Dropped(entry.name, "size_mismatch", detail)
        return None

    def _decoding_fault(self, entry: Entry) -> Dropped | None:
        for part, read in (("color", self._read_color), ("depth", self._checked_depth)):
            try:
                image = read(entry)
            except InputError as error:
                return Dropped(entry.name, f"unreadable_{part}", str(error))
        if not image.any():
            return Dropped(entry.name, "empty_depth", f"{self._where(entry, 'depth')}: no reading in the whole image")
        return None

    def _checked_depth(self, entry: Entry) -> np.ndarray:
        depth = self._read_depth(entry)
        if depth.shape != (self._depth_camera.height, self._depth_camera.width):
            size = f"{depth.shape[1]} x {depth.shape[0]}"
            raise InputError(f"{self._where(entry, 'depth')}: depth is {size}, other than its header says")
        return depth

    def _dropped(self, fault: Dropped | None) -> bool:
        if fault is not None:
            self.manifest.dropped.append(fault)
        return fault is not None

    def _settle_faults(self, kept: int) -> None:
        """Raise InputError where ``on_fault`` asks for it, or when nothing is left."""
        self.manifest.kept = kept
        dropped, counts = self.manifest.dropped, describe(self.manifest.counts())
        if kept == 0:
            raise InputError(
                f"{self.path}: no usable frame of format {self.format}, {len(dropped)} dropped ({counts}); first: "
                f"{dropped[0].detail}; looked for {self.looks_for}"
            )
        faults = [d for d in dropped if d.reason not in self.expected_faults]
        if faults and self.options.on_fault == "error":
            raise InputError(
                f"{faults[0].detail}; {len(dropped)} of {kept + len(dropped)} frames are faulty ({counts}): "
                'mend them, or leave them out with on_fault="drop"'
            )

    # The up axis --------------------------------------------------------------------------------------------

    def _upright(self, listed: list[Entry]) -> np.ndarray:
        """The rotation (4, 4) from the recorded world to one with z up."""
        up = self.options.up
        if up in AXES:
            return up_to_z(AXES[up])
        if up == "auto" and self.z_up:
            return np.eye(4)
        # All of the recording votes, not the selection: training and validation splits must share one world.
        parts = np.array_split(np.arange(len(listed)), min(GRAVITY_FRAMES, len(listed)))
        votes = [v for part in parts if (v := self._first_vote([listed[i] for i in part])) is not None]
        if not votes:
            raise InputError(f"{self.path}: no frame to estimate gravity from; {NAME_UP}")
        depths, poses = zip(*votes, strict=True)
        height, width = depths[0].shape
        camera = self._depth_camera.scaled(width, height)
        try:
            return up_to_z(estimate_up(list(depths), [camera] * len(depths), list(poses)))
        except ValueError as error:
            raise InputError(f"{self.path}: gravity not found ({error}); {NAME_UP}") from error

    def _first_vote(self, entries: list[Entry]) -> tuple[np.ndarray, np.ndarray] | None:
        """Quarter-size depth and pose of the first usable one of ``entries``."""
        for entry in entries:
            if entry.fault or self._missing_part(entry):
                continue
            pose = self._valid_pose(entry)
            try:
                depth = self._checked_depth(entry)
            except InputError:  # counted where the frame is selected; here only another one has to vote
                continue
            if not isinstance(pose, Dropped) and depth.any():
                return resize_depth(depth, -(-depth.shape[0] // 4), -(-depth.shape[1] // 4)), pose
        return None
