"""ModelNet10 and ModelNet40: the original meshes (OFF) or the points that PointNet++ sampled of them, with normals."""

from __future__ import annotations

from pathlib import Path

import gin

from sparse3d.checks import at_least, one_of
from sparse3d.data.scannet.split_lists import read_split
from sparse3d.data.shapes.off import read_off
from sparse3d.data.shapes.source import UPS, Shape, WholeShapes, check_names, upright
from sparse3d.data.shapes.surface import SAMPLED, sample_surface
from sparse3d.data.shapes.text_points import read_rows
from sparse3d.errors import InputError

SPLITS = ("train", "test")
VARIANTS = ("modelnet40", "modelnet10")


@gin.configurable
class ModelNetShapes(WholeShapes):
    """Shapes of ModelNet, of one class each, without colours.

    Two layouts are known: ``<class>/train/<class>_0001.off`` of the original (``ModelNet10``, ``ModelNet40``), whose
    surfaces points are sampled from, by area; and ``<class>/<class>_0001.txt`` with the lists
    ``modelnet40_train.txt`` and ``modelnet40_shape_names.txt`` (``modelnet40_normal_resampled``), whose rows are taken.

    Args:
        root: the folder that holds the classes' folders.
        split: ``train`` or ``test``.
        variant: which lists of the resampled form: ``modelnet40`` or ``modelnet10``.
        sampled: points sampled from a mesh; always the same of one mesh.
        up: the axis that points up; None takes z for meshes and y for the resampled points, as they are published.

    Raises:
        InputError: neither layout, a class without shapes of the split, or a listed shape that is not there.
    """

    def __init__(
        self,
        root: str = gin.REQUIRED,
        split: str = "train",
        variant: str = "modelnet40",
        sampled: int = SAMPLED,
        up: str | None = None,
    ) -> None:
        one_of("ModelNetShapes.split", split, SPLITS)
        one_of("ModelNetShapes.variant", variant, VARIANTS)
        one_of("ModelNetShapes.up", up, (None, *UPS))
        at_least("ModelNetShapes.sampled", sampled, 1)
        folder = Path(root)
        self.sampled = sampled
        self.from_meshes = not (folder / f"{variant}_{split}.txt").is_file()
        self.up = up or ("z" if self.from_meshes else "y")
        self._shapes = _meshes(folder, split, variant) if self.from_meshes else _listed(folder, split, variant)
        self._classes = tuple(dict.fromkeys(kind for kind, _ in self._shapes))
        self._names = [f"{kind}/{path.stem}" for kind, path in self._shapes]
        check_names(self._names, str(folder))

    def idle_options(self) -> dict[str, str]:
        """Options without effect beside the others, and why."""
        if self.from_meshes:
            return {"variant": "the root holds meshes, which have no lists"}
        return {"sampled": "the root holds points, which are taken as they are"}

    def load(self, index: int) -> Shape:
        kind, path = self._shapes[index]
        if self.from_meshes:
            xyz = sample_surface(*read_off(path), self.sampled, path)
        else:
            xyz = read_rows(path, columns=6, delimiter=",")[:, :3]
        return Shape(self._names[index], upright(xyz, self.up), None, self._classes.index(kind), file=str(path))


def _meshes(folder: Path, split: str, variant: str) -> list[tuple[str, Path]]:
    """(class, file) of a split of the original layout, by class and name."""
    kinds = sorted({path.parent.name for other in SPLITS for path in folder.glob(f"[!.]*/{other}") if path.is_dir()})
    if not kinds:
        raise InputError(
            f"{folder}: holds neither {variant}_{split}.txt nor <class>/{split}/*.off: name the folder that ModelNet's "
            "classes lie in"
        )
    found = []
    for kind in kinds:
        files = sorted(p for p in (folder / kind / split).glob("[!.]*") if p.suffix.lower() == ".off")
        if not files:
            raise InputError(
                f"{folder / kind / split}: holds no .off file: fetch it, or remove the class from {folder}"
            )
        found += [(kind, path) for path in files]
    return found


def _listed(folder: Path, split: str, variant: str) -> list[tuple[str, Path]]:
    """(class, file) of a split of the resampled layout, by class, then in the list's order."""
    path = folder / f"{variant}_{split}.txt"
    kinds, names = read_split(folder / f"{variant}_shape_names.txt"), read_split(path)
    found = [(name.rpartition("_")[0], folder / name.rpartition("_")[0] / f"{name}.txt") for name in names]
    for kind, file in found:
        if kind not in kinds:
            raise InputError(f"{path}: {file.stem} is of none of the {len(kinds)} classes of {variant}_shape_names.txt")
    if missing := [file for _, file in found if not file.is_file()]:
        raise InputError(f"{path}: {len(missing)} of {len(found)} shapes are not there; first: {missing[0]}")
    if empty := [kind for kind in kinds if kind not in {kind for kind, _ in found}]:
        raise InputError(f"{path}: names no shape of class {empty[0]!r}")
    return sorted(found, key=lambda entry: kinds.index(entry[0]))
