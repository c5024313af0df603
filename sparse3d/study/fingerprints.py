"""What determines a job besides its seeds: the text of its config, and the data it reads."""

from __future__ import annotations

import hashlib
import json
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
    """16 hexadecimal digits of a data root: its lists of scenes, its manifest's counts, the names in it; not its place.

    Of a single file (a recording): its name and size.

    Raises:
        InputError: there is no such folder or file.
    """
    folder = Path(root)
    found = hashlib.sha256()
    if folder.is_file():
        found.update(f"{folder.name}\0{folder.stat().st_size}".encode())
        return found.hexdigest()[:16]
    if not folder.is_dir():
        raise InputError(f"data root {root} does not exist; tools/prepare.py writes one")
    for path in sorted((folder / "splits").glob("*.txt")):
        found.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    listed = folder / "scenes" if (folder / "scenes").is_dir() else folder
    found.update("\0".join(sorted(path.name for path in listed.iterdir())).encode())
    manifest = folder / "manifest.json"
    if manifest.is_file():
        totals = dict(json.loads(manifest.read_text(encoding="utf-8")).get("totals", {}))
        for name in ("seconds", "bytes"):  # on another kind of CPU the same rooms are some bytes longer or shorter
            totals.pop(name, None)
        found.update(json.dumps(totals, sort_keys=True).encode())
    return found.hexdigest()[:16]
