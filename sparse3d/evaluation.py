"""Evaluates a checkpoint from the checkpoint alone: network and options come from the config inside it."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import gin
import torch
from torch import nn

from sparse3d import config, run
from sparse3d.data.matching_pairs import MatchingPairs
from sparse3d.data.view_sets import FrameFolder
from sparse3d.errors import InputError
from sparse3d.models.pretrain_net import PretrainNet
from sparse3d.sparse import configure
from sparse3d.tasks.pretrain import PretrainTask
from sparse3d.tasks.pretrain_evaluation import (
    color_features,
    network_features,
    recalls_by_encoder,
    teacher_agreement,
)
from sparse3d.training.checkpoint import load_checkpoint, load_same_network
from sparse3d.training.config_text import written_text
from sparse3d.training.distribution import choose_device
from sparse3d.training.random_state import seed_everything
from sparse3d.training.settings import TrainSettings

_log = logging.getLogger("sparse3d")

FRAME_SPLITS = ("val", "train", "all")


def task_name(checkpoint: str | Path) -> str:
    """The job that a checkpoint was trained for: ``pretrain``, ``segmentation``, ...

    Raises:
        InputError: the file is no checkpoint.
    """
    return str(load_checkpoint(checkpoint)["task_name"])


def load_task(
    checkpoint: str | Path, bindings: tuple[str, ...] = (), device: torch.device | None = None
) -> tuple[Any, nn.Module]:
    """The task of a checkpoint and its trained network in eval mode, from the checkpoint alone.

    Args:
        checkpoint: of any task.
        bindings: gin bindings over its config.
        device: where both go; None is the CPU.

    Raises:
        InputError: the file is no checkpoint, or a binding does not fit its config.
    """
    where = device or torch.device("cpu")
    state = load_checkpoint(checkpoint)
    config.load_config_text(state["config"], bindings, source=f"{checkpoint}'s config")
    with config.configured_calls():
        configure()
        seed_everything(TrainSettings().seed)
        task = run.build_task()
        model = task.build_model()
    task.load_state_dict(state["task"])  # first: it names other classes, where the network would have another size
    load_same_network(model, state["model"], checkpoint)
    task.to(where)
    return task, model.to(where).eval()


def evaluate_task(
    checkpoint: str | Path,
    data: str | None = None,
    split: str | None = None,
    submission: str | None = None,
    device: str = "auto",
    bindings: tuple[str, ...] = (),
) -> dict[str, float | int | str]:
    """The validation figures of a checkpoint of any task: what its training run would log.

    Args:
        checkpoint: written by a training run.
        data: the data root; None takes the checkpoint's own.
        split: what to measure on, for configs with the macro ``VAL_SPLIT``; None takes the checkpoint's own.
        submission: a folder for predictions in the benchmark's form, for tasks that can write such.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        bindings: gin bindings over the checkpoint's config.

    Raises:
        InputError: a bad checkpoint, data that cannot be used, or nothing to measure on.
    """
    where = choose_device(device, option="--device")
    given = [f"{name} = {value!r}" for name, value in (("DATA_ROOT", data), ("VAL_SPLIT", split)) if value is not None]
    _refuse_training_options(bindings)
    task, model = load_task(checkpoint, (*bindings, *given), where)
    config.check_all_used(config.EVALUATION_ROOTS)
    with config.configured_calls(), torch.no_grad():
        if submission is None:
            figures = dict(task.evaluate(model, where))
        else:
            figures = task.write_submission(model, where, submission)
    if not figures and submission is None:
        raise InputError(f"checkpoint {checkpoint}: its config names no labelled scenes or shapes to measure on")
    return {"task": task.name, **figures}


def evaluate(
    checkpoint: str | Path,
    data: str | None = None,
    split: str | None = None,
    pairs: int | None = None,
    frames: dict[str, Any] | None = None,
    submission: str | None = None,
    device: str = "auto",
    bindings: tuple[str, ...] = (),
) -> dict[str, float | int | str]:
    """:func:`evaluate_matching` for a pre-training, :func:`evaluate_task` for any other task.

    Raises:
        InputError: also for an option that the checkpoint's task has no use for.
    """
    if task_name(checkpoint) != PretrainTask.name:
        if pairs is not None or frames:
            raise InputError("--pairs and the options of frames are for checkpoints of a pre-training; leave them out")
        return evaluate_task(checkpoint, data, split, submission, device, bindings)
    if submission is not None:
        raise InputError("--submission is for segmentation; a pre-training labels no points")
    if split not in (None, *FRAME_SPLITS):
        raise InputError(f"--split {split}: frames of a pre-training are split into {', '.join(FRAME_SPLITS)}")
    return evaluate_matching(checkpoint, data, split, pairs, frames, device, bindings)


def load_pretrained(
    checkpoint: str | Path, bindings: tuple[str, ...] = ()
) -> tuple[PretrainTask, PretrainNet, PretrainNet]:
    """The task of a pre-training checkpoint, its trained network, and the same network as it was at the start.

    Raises:
        InputError: the file is no checkpoint, or not one of a pre-training.
    """
    state = load_checkpoint(checkpoint)
    if state["task_name"] != PretrainTask.name:
        raise InputError(f"checkpoint {checkpoint} is of task {state['task_name']!r}, not of a pre-training")
    config.load_config_text(state["config"], bindings, source=f"{checkpoint}'s config")
    with config.configured_calls():
        configure()
        seed_everything(TrainSettings().seed)
        task = run.build_task()
        untrained, trained = task.build_model(), task.build_model()
    load_same_network(trained, state["model"], checkpoint)
    task.load_state_dict(state["task"])
    return task, trained.eval(), untrained.eval()


def evaluate_matching(
    checkpoint: str | Path,
    data: str | None = None,
    split: str | None = None,
    pairs: int | None = None,
    frames: dict[str, Any] | None = None,
    device: str = "auto",
    bindings: tuple[str, ...] = (),
) -> dict[str, float | int | str]:
    """Matching recall of the checkpoint's network, beside colour and the untrained network, on frame pairs.

    Args:
        checkpoint: written by a pre-training run.
        data: folder of frames; None takes the checkpoint's own.
        split: ``"val"`` or ``"train"``: the config's choice of frames under that scope; ``"all"``: every frame; None:
            see :func:`default_split`.
        pairs: frame pairs, evenly spaced over all that overlap enough; None: 100, or what ``bindings`` say.
        frames: options of :class:`FrameFolder` that override the config's (``first``, ``last``, ``format``, ...).
        device: where the networks run: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Returns:
        ``recall_<protocol>_<colour|random|pretrained>``, ``pairs`` (those measured), ``pairs_without_matches``,
        ``frames``, ``frames_dropped`` (those that could not be used), ``split``, and with a teacher
        ``teacher_cosine`` and ``teacher_cosine_shuffled``.

    Raises:
        InputError: a bad checkpoint, or no pairs to measure on.
    """
    where = choose_device(device, option="--device")
    split = split or default_split(checkpoint, data)
    _refuse_training_options(bindings)
    _check_scopes(split, bindings)
    root = tuple(bindings) if data is None else (*bindings, f"DATA_ROOT = {str(data)!r}")
    task, trained, untrained = load_pretrained(checkpoint, root)
    task.to(where)
    options = dict(frames or {}) | ({} if data is None else {"root": data})
    with config.configured_calls(), gin.config_scope(None if split == "all" else split):
        folder = FrameFolder(**options)
    if tuple(folder.part) != (0.0, 1.0) and {"first", "last"} & set(frames or {}):
        raise InputError(
            f"--first and --last choose frames, and so does the split {split!r} of this checkpoint (FrameFolder.part = "
            f"{tuple(folder.part)}), of what they leave: frames that were trained on would be measured. Leave them "
            "out, or take --split all"
        )
    if pairs is None and not any(text.replace(" ", "").startswith("MatchingPairs.max_pairs=") for text in bindings):
        pairs = 100  # the config's number is for a glance while training
    with config.configured_calls():
        chosen = MatchingPairs(frames=folder) if pairs is None else MatchingPairs(frames=folder, max_pairs=pairs)
    config.check_all_used(config.EVALUATION_ROOTS)
    figures = measure_matching(task, trained.to(where), untrained.to(where), chosen, where)
    return {"split": split, **figures}


def _refuse_training_options(bindings: Sequence[str]) -> None:
    """``train.*`` of the checkpoint's config is no longer asked, but for the seed of the untrained network."""
    for text in bindings:
        name = text.partition("=")[0].strip()
        if name.startswith("train.") and name != "train.seed":
            raise InputError(f"--set '{text}' has no effect: it is of a training, and an evaluation trains nothing")


def _check_scopes(split: str, bindings: Sequence[str]) -> None:
    """A binding of frames that are not opened would be ignored."""
    for text in bindings:
        scope = re.match(r"\s*(\w+)/FrameFolder\.", text)
        if scope is not None and scope[1] != split:
            raise InputError(
                f"--set '{text}' has no effect with --split {split}: bind FrameFolder, or take --split {scope[1]}"
            )


def default_split(checkpoint: str | Path, data: str | None) -> str:
    """``"val"`` for the frames that the checkpoint was trained on, ``"all"`` for any other folder.

    A split by frame numbers means nothing in another recording. A relative root is looked for below the folder that the
    training ran in, and below today's, as runs are copied to other machines.
    """
    state = load_checkpoint(checkpoint)
    trained_on = written_text(state["config"], "DATA_ROOT")
    if data is None or trained_on is None:
        return "val"
    measured = Path(data).resolve()
    if any(Path(folder, trained_on).resolve() == measured for folder in ("", state.get("working_folder", ""))):
        return "val"
    if measured.name == Path(trained_on).name:
        _log.warning(
            "%s was trained on %s: if these are the same frames, those it learnt from are measured, too; --split val "
            "takes the held-out ones alone", checkpoint, trained_on,
        )  # fmt: skip
    return "all"


def measure_matching(
    task: PretrainTask,
    trained: nn.Module,
    untrained: nn.Module,
    pairs: MatchingPairs,
    device: torch.device,
) -> dict[str, float | int | str]:
    """The figures of :func:`evaluate_matching` for networks at hand."""
    assert isinstance(trained, PretrainNet) and isinstance(untrained, PretrainNet)
    encoders = {
        "colour": color_features,
        "random": network_features(untrained.eval()),
        "pretrained": network_features(trained.eval()),
    }
    recalls = recalls_by_encoder(encoders, pairs, device)
    without = next(iter(recalls.values())).without_matches
    if without == len(pairs):
        raise InputError(
            f"none of the {len(pairs)} pairs of frames has a pixel that both surely see: there is nothing to measure. "
            "tools/inspect_pairs.py shows why: poses, depth noise, or a wrong depth scale"
        )
    figures: dict[str, float | int | str] = {f"recall_{key}": recall.compute() for key, recall in recalls.items()}
    if task.kt_weight > 0:
        figures |= teacher_agreement(task, trained, pairs, device)
    dropped = sum(len(source.manifest.dropped) for source in pairs.sources)
    frames = sum(len(source) for source in pairs.sources)
    return {
        **figures,
        "pairs": len(pairs) - without,
        "pairs_without_matches": without,
        "frames": frames,
        "frames_dropped": dropped,
    }
