"""What determines a job besides its seeds: the text of its config, and the data it reads."""

from __future__ import annotations

import hashlib
import json
import os
import re
from functools import cache
from pathlib import Path

import torch

from sparse3d import config, run
from sparse3d.errors import InputError
from sparse3d.study.jobs import Recipe
from sparse3d.tasks.pretrain import PretrainTask
from sparse3d.training.config_text import written
from sparse3d.training.settings import TrainSettings

# How a run is watched and fed, which changes none of its figures.
IMMATERIAL = (
    "train.workers", "train.prefetch", "train.worker_start", "train.tensorboard", "train.log_every", "train.keep",
    "train.checkpoint_every", "train.picture_every", "PretrainTask.teacher_cache", "PretrainTask.cache_items",
    "ViewSets.cache_frames", "LabelledScenes.cache_bytes",
)  # fmt: skip
# gin puts a long value on lines of its own, indented.
_IMMATERIAL = re.compile(rf"^({'|'.join(map(re.escape, IMMATERIAL))}) = .*\n(?:[ \t]+.*\n)*", re.MULTILINE)


@cache
def config_of(recipe: Recipe, macros: tuple[str, ...] = ("DATA_ROOT",)) -> str:
    """The recipe's whole config, defaults of its gin files included, without paths of data.

    The global gin config is replaced.

    Raises:
        InputError: a file or binding that is wrong; so a study's mistakes are found before its first job.
    """
    _load(recipe, macros)
    with config.configured_calls():
        TrainSettings()  # its values are checked, too
    return _IMMATERIAL.sub("", config.config_text())


def steps_of(config_text: str) -> int:
    """``train.steps`` of a config."""
    return int(written(config_text, "train.steps") or 0)


@cache
def leaves_decoder(recipe: Recipe, macros: tuple[str, ...] = ("DATA_ROOT",)) -> bool:
    """Whether a pre-training's checkpoint has a decoder; tasks other than ``PretrainTask`` count as leaving one.

    The global gin config is replaced.

    Raises:
        InputError: a binding that the task refuses.
    """
    _load(recipe, macros)
    with config.configured_calls(), torch.device("meta"):  # no weights are wanted
        task = run.build_task()
        return task.build_encoder().decodes if isinstance(task, PretrainTask) else True


def _load(recipe: Recipe, macros: tuple[str, ...]) -> None:
    config.load_config(recipe.files, (*recipe.bindings, *(f"{name} = ''" for name in macros)))


@cache
def data_of(root: str) -> str:
    """16 hexadecimal digits of a data root, wherever it lies.

    Of a folder that ``tools/prepare.py`` wrote: its lists of scenes, what its manifest counts, and how each scene was
    prepared. Of recordings: the names and sizes of their files.

    Raises:
        InputError: there is no such folder or file.
    """
    path = Path(root)
    if not path.exists():
        raise InputError(f"data root {root} does not exist; tools/prepare.py writes one")
    parts = _prepared_parts(path) if (path / "manifest.json").is_file() else _file_parts(path)
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]


def _prepared_parts(folder: Path) -> dict[str, object]:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    # On another kind of CPU the same rooms are some bytes longer or shorter.
    totals = {name: v for name, v in manifest.get("totals", {}).items() if name not in ("seconds", "bytes")}
    scenes = {name: scene.get("options") for name, scene in manifest.get("scenes", {}).items()}
    lists = {path.name: path.read_text(encoding="utf-8") for path in (folder / "splits").glob("*.txt")}
    return {"totals": totals, "scenes": scenes, "splits": lists}


def _file_parts(path: Path) -> dict[str, int]:
    if path.is_file():
        return {path.name: path.stat().st_size}
    # Scenes are often links to where they really lie.
    folders = os.walk(path, followlinks=True)
    files = [Path(folder, name) for folder, _, names in folders for name in names]
    return {str(file.relative_to(path)): file.stat().st_size for file in files if file.is_file()}
