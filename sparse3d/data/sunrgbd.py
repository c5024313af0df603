"""SUN RGB-D frames in VoteNet's layout: a coloured point cloud, its image and boxes turned about the up axis.

::

    ROOT/depth/000001.mat   ``instance`` (N, 6): x, y, z in metres, r, g, b in [0, 1]
         image/000001.jpg
         calib/000001.txt   a line Rt, a line K, both 3 x 3 column by column
         label/, label_v1/  a line an object, of the second and the first version of the annotation
         train_data_idx.txt, val_data_idx.txt

The points are upright: x right, y forward, z up, the camera at the origin. A label line is the class, the 2D box (x, y,
width, height), the centroid (3), half of width, length and height, and the direction (2) in which the length lies.
VoteNet keeps the *negative* of that direction's angle; here ``yaw`` is counter-clockwise seen from above.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import loadmat
from scipy.io.matlab import MatReadError

from sparse3d.checks import one_of
from sparse3d.errors import InputError
from sparse3d.types import Boxes, Camera

CLASSES = (
    "bed", "table", "sofa", "chair", "toilet", "desk", "dresser", "night_stand", "bookshelf", "bathtub",
)  # fmt: skip
COLORS = (
    (255, 187, 120), (255, 152, 150), (140, 86, 75), (188, 189, 34), (44, 160, 44), (247, 130, 190), (31, 119, 180),
    (23, 190, 207), (148, 103, 189), (227, 119, 194),
)  # fmt: skip
LABELS = {"v1": "label_v1", "v2": "label"}  # folders
PARTS = {"depth": ".mat", "image": ".jpg", "calib": ".txt"}
_FROM_UPRIGHT = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])  # x right, y forward, z up -> x right, y down, z forward


@dataclass(frozen=True)
class SunRgbdObject:
    """One labelled object."""

    label: str  # as annotated; about a thousand names
    box2d: tuple[float, float, float, float]  # x, y, width, height, pixels
    center: tuple[float, float, float]  # metres
    size: tuple[float, float, float]  # metres, full: length along its own x, width along y, height
    yaw: float  # radians, counter-clockwise from x


@dataclass(frozen=True, eq=False)
class SunRgbdFrame:
    """N points and the B boxes of the ten classes."""

    name: str
    xyz: np.ndarray  # (N, 3) float32, metres, upright
    rgb: np.ndarray  # (N, 3) float32 in [0, 1]
    boxes: Boxes  # labels are indices of CLASSES
    objects: tuple[SunRgbdObject, ...] = ()  # all that are labelled, those of other classes too
    other_labels: dict[str, int] = field(default_factory=dict)  # outside the ten classes -> objects


@dataclass(frozen=True, eq=False)
class SunRgbdView:
    """The image that a frame's points come from."""

    image: np.ndarray  # (H, W, 3) uint8
    camera: Camera
    T_world_cam: np.ndarray  # (4, 4) float64, into the upright frame of the points


def sunrgbd_root(folder: str | Path) -> Path | None:
    """``folder`` itself or its ``sunrgbd_trainval``, whichever holds ``depth/*.mat``; None for neither."""
    folder = Path(folder)
    places = (folder, folder / "sunrgbd_trainval")
    return next((place for place in places if any((place / "depth").glob("[!.]*.mat"))), None)


def sunrgbd_frames(root: str | Path, split: str | None = None) -> list[str]:
    """The names ("000001") of the frames in ``root``, rising; of ``split`` ("train", "val") as its list says.

    Raises InputError where the list is missing or names a frame that is not there, or there is no frame.
    """
    root = Path(root)
    there = sorted(path.stem for path in (root / "depth").glob("[!.]*.mat"))
    if not there:
        raise InputError(f"{root}: holds no depth/*.mat: name the folder of depth, image, calib and label")
    if split is None:
        return there
    path = root / f"{split}_data_idx.txt"
    try:
        names = [f"{int(line):06d}" for line in path.read_text(encoding="ascii").split()]
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read as a list of frame numbers, one a line ({error})") from error
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{path}: names frame {twice} more than once: remove the doubles")
    if missing := sorted(set(names) - set(there)):
        raise InputError(f"{path}: names {len(missing)} frames that are not there; first: depth/{missing[0]}.mat")
    return names


def read_sunrgbd_frame(root: str | Path, name: str, labels: str = "v2") -> SunRgbdFrame:
    """The points and boxes of frame ``name``.

    Args:
        root: the folder of depth, image, calib and label.
        name: as :func:`sunrgbd_frames` gives it.
        labels: version of the annotation, "v1" or "v2".

    Raises:
        InputError: a missing or damaged file, or a label line that is not as described above.
    """
    one_of("labels", labels, LABELS)
    root = Path(root)
    points = _read_cloud(root / "depth" / f"{name}.mat")
    objects = read_labels(root / LABELS[labels] / f"{name}.txt")
    others: dict[str, int] = {}
    for o in objects:
        if o.label not in CLASSES:
            others[o.label] = others.get(o.label, 0) + 1
    return SunRgbdFrame(
        name=name,
        xyz=points[:, :3].copy(),
        rgb=points[:, 3:].copy(),
        boxes=boxes_of(objects),
        objects=tuple(objects),
        other_labels=others,
    )


def boxes_of(objects: Sequence[SunRgbdObject]) -> Boxes:
    """The boxes of the objects that are of the ten classes."""
    known = [o for o in objects if o.label in CLASSES]
    return Boxes(
        center=np.array([o.center for o in known]),
        size=np.array([o.size for o in known]),
        yaw=np.array([o.yaw for o in known]),
        label=np.array([CLASSES.index(o.label) for o in known]),
    )


def read_sunrgbd_view(root: str | Path, name: str) -> SunRgbdView:
    """The image of frame ``name`` with its camera. Raises InputError for files that are missing or damaged."""
    root = Path(root)
    path = root / "image" / f"{name}.jpg"
    try:
        with Image.open(path) as file:
            image = np.asarray(file.convert("RGB"))
    except (OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{path}: the image cannot be read ({error})") from error
    Rt, K = _read_calibration(root / "calib" / f"{name}.txt")
    T = np.eye(4)
    T[:3, :3] = Rt @ _FROM_UPRIGHT.T
    # Pixels are counted from 1 there.
    K[:2, 2] -= 1
    try:
        camera = Camera.from_matrix(K, image.shape[1], image.shape[0])
    except ValueError as error:
        raise InputError(f"{root / 'calib' / f'{name}.txt'}: its second line is no K: {error}") from error
    return SunRgbdView(image, camera, T)


def read_labels(path: str | Path) -> list[SunRgbdObject]:
    """The objects of a label file; none where it is empty, as some are. InputError names file and line."""
    path = Path(path)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: the labels cannot be read ({error})") from error
    return [_object(path, row, line) for row, line in enumerate(lines, start=1) if line.strip()]


def _object(path: Path, row: int, line: str) -> SunRgbdObject:
    label, *words = line.split()
    try:
        values = [float(word) for word in words]
    except ValueError as error:
        raise InputError(f"{path}: line {row}: {error}") from error
    if len(values) != 12 or not np.isfinite(values).all():
        raise InputError(f"{path}: line {row} has {len(values)} numbers: 12 finite ones are needed after the class")
    # A few half sizes are negative in the original: a length all the same.
    width, length, height = (2 * abs(v) for v in values[7:10])
    yaw = float(np.arctan2(values[11], values[10]))
    x, y, w, h = values[:4]
    return SunRgbdObject(label, (x, y, w, h), (values[4], values[5], values[6]), (length, width, height), yaw)


def _read_cloud(path: Path) -> np.ndarray:
    try:
        content = loadmat(path)
    except (OSError, ValueError, TypeError, KeyError, EOFError, NotImplementedError, zlib.error, MatReadError) as error:
        raise InputError(f"{path}: cannot be read as a MATLAB file ({str(error).splitlines()[0]})") from error
    points = content.get("instance")
    if not isinstance(points, np.ndarray) or points.ndim != 2 or points.shape[1] != 6:
        raise InputError(f"{path}: holds no array 'instance' of points x 6 (x y z r g b)")
    points = points.astype(np.float32)
    if not np.isfinite(points).all():
        raise InputError(f"{path}: {int((~np.isfinite(points).all(axis=1)).sum())} points are not finite")
    if len(points) and (points[:, 3:].min() < 0 or points[:, 3:].max() > 1):
        raise InputError(f"{path}: its colours are not within 0 and 1")
    return points


def _read_calibration(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Rt (3, 3), camera with z up to upright world, and K (3, 3)."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        matrices = [np.array([float(word) for word in line.split()]) for line in lines[:2]]
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: the calibration cannot be read ({error})") from error
    if len(matrices) != 2 or any(m.size != 9 or not np.isfinite(m).all() for m in matrices):
        raise InputError(f"{path}: two lines of nine numbers are needed, Rt and K")
    Rt, K = (m.reshape(3, 3, order="F") for m in matrices)
    return Rt, K
