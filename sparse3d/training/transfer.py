"""Starting from a pre-trained SR-UNet: what is loaded, what stays frozen, and which layers learn slower.

One place for every task: it knows a network only by the names of its tensors, those of MinkowskiEngine's Res16UNet
(``conv0p1s1``, ``block3``, ``convtr4p16s2``, ...) under any prefix.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import gin
from torch import nn

from sparse3d.errors import InputError
from sparse3d.training.given_weights import GivenWeights, read_weights, voxel_size_note
from sparse3d.training.weights import COUNTER, WeightReport, load_weights

PARTS = ("encoder", "all")
FROZEN = ("none", "encoder", "all")
STEM = "conv0p1s1.kernel"  # every SR-UNet has it, and only once
HEAD = 9  # stage of everything that is no part of the backbone: heads, and the backbone's own `final`
LAST_ENCODER_STAGE = 4


@gin.configurable("init", module="sparse3d")
@dataclass(frozen=True)
class InitSettings:
    """What a network starts from; gin binds it as ``init``, for every task.

    Args:
        checkpoint: a checkpoint of sparse3d (of any task), or a file that torch saved with a Res16UNet's state dict;
            None starts from random weights.
        parts: ``encoder`` (stem and the four stages down) or ``all`` (encoder and decoder, and ``final`` where its
            shape fits).
        min_fraction: of the asked parts' parameter values, the least share that the checkpoint must fill.
        freeze: ``none``, ``encoder``, or ``all`` of the backbone but ``final`` (a linear probe, where the head is
            linear); frozen batch normalisation keeps its statistics.
        lr_scale: the learning rate of the asked parts, as a multiple of ``train.lr``; what of them the checkpoint does
            not fill learns at the full rate.
        lr_decay: the learning rate falls by this factor with every stage from the head down; 1 = equal rates.

    Raises:
        InputError: a value out of its range, named as gin names it.
    """

    checkpoint: str | None = None
    parts: str = "encoder"
    min_fraction: float = 0.9
    freeze: str = "none"
    lr_scale: float = 1.0
    lr_decay: float = 1.0

    def __post_init__(self) -> None:
        self._require("parts", f"one of {', '.join(PARTS)}", self.parts in PARTS)
        self._require("freeze", f"one of {', '.join(FROZEN)}", self.freeze in FROZEN)
        self._require("min_fraction", "in [0, 1]", 0 <= self.min_fraction <= 1)
        self._require("lr_scale", "positive (init.freeze holds parts fast)", self.lr_scale > 0)
        self._require("lr_decay", "in (0, 1]", 0 < self.lr_decay <= 1)
        loads = self.checkpoint is not None or self.lr_scale == 1
        self._require("lr_scale", "1 where no init.checkpoint is loaded", loads)

    def _require(self, name: str, wanted: str, holds: bool) -> None:
        if not holds:
            raise InputError(f"init.{name} = {getattr(self, name)!r}: must be {wanted}")

    def idle_options(self) -> dict[str, str]:
        """Options without effect beside the others, and why; ``freeze`` holds a random network fast, too."""
        options = ("parts", "min_fraction", "lr_scale") if self.checkpoint is None else ()
        return dict.fromkeys(options, "init.checkpoint is None")

    @property
    def last_asked(self) -> int:
        """The last stage of the asked parts."""
        return HEAD - 1 if self.parts == "all" else LAST_ENCODER_STAGE

    @property
    def is_plain(self) -> bool:
        """Whether a network starts at random and learns at one rate."""
        return self.checkpoint is None and self.freeze == "none" and self.lr_decay == 1


@dataclass
class Transfer:
    """How a network starts and learns: what :func:`prepare_transfer` decided."""

    lr_scales: dict[str, float] = field(default_factory=dict)  # by parameter name, where not 1
    frozen: list[nn.Module] = field(default_factory=list)  # kept in eval mode
    unfilled: list[str] = field(default_factory=list)  # tensors of the asked parts that were not given
    report: WeightReport | None = None
    lines: list[str] = field(default_factory=list)  # for the user, and the run's folder

    def hold_frozen(self) -> None:
        """Puts frozen modules into eval mode; call it after ``model.train()``."""
        for module in self.frozen:
            module.eval()


def prepare_transfer(
    model: nn.Module,
    settings: InitSettings,
    load: bool = True,
    config_text: str = "",
    unfilled: Iterable[str] = (),
) -> Transfer:
    """Loads weights into ``model``, freezes parts, and says at which rates the others learn.

    Args:
        model: a network with an SR-UNet in it, on the CPU or elsewhere.
        settings: the options.
        load: False leaves the weights (a resumed run brings its own).
        config_text: the run's config; where the checkpoint's has voxels of another size, a line says so.
        unfilled: without ``load``, what :attr:`Transfer.unfilled` was when the run began.

    Raises:
        InputError: no SR-UNet in the network, an unreadable checkpoint, too little that fits, or a part that would be
            frozen at random values.
    """
    transfer = Transfer(unfilled=list(unfilled))
    if settings.is_plain:
        return transfer
    prefix = backbone_prefix(model.state_dict(), "the configured network")
    if settings.checkpoint is not None and load:
        given = read_weights(settings.checkpoint)
        transfer.report = load_parts(model, prefix, settings, given)
        transfer.unfilled = _unfilled(model, prefix, settings, transfer.report)
        transfer.lines += describe(transfer.report) + _warning(transfer.unfilled)
        transfer.lines += voxel_size_note(given.config_text, config_text)
    if settings.freeze != "none":
        last = HEAD - 1 if settings.freeze == "all" else LAST_ENCODER_STAGE
        if transfer.report is not None:
            own = [name for name in model.state_dict() if stage_of(name, prefix) <= last]
            demand_loaded(transfer.report, own, f"init.freeze = {settings.freeze!r} would hold it at random values")
        transfer.frozen = _freeze(model, prefix, last)
        count = sum(p.numel() for p in model.parameters() if not p.requires_grad)
        transfer.lines.append(f"frozen: {settings.freeze} of the backbone, {count} parameters")
    transfer.lr_scales = _lr_scales(model, prefix, settings, transfer.unfilled)
    if transfer.lr_scales:
        low, high = min(transfer.lr_scales.values()), max(transfer.lr_scales.values())
        transfer.lines.append(f"learning rates: {low:.3g} to {high:.3g} of train.lr in the backbone, 1 elsewhere")
    return transfer


def stage_of(name: str, prefix: str = "") -> int:
    """The stage of a tensor: 0 stem, 1 to 4 down, 5 to 8 up, :data:`HEAD` for all that is no part of the backbone."""
    if not name.startswith(prefix):
        return HEAD
    module = name[len(prefix) :].split(".", 1)[0]
    if match := re.fullmatch(r"(?:conv(\d)p\d+s\d|bn(\d)|block(\d))", module):
        return int(next(number for number in match.groups() if number is not None))
    if match := re.fullmatch(r"(?:convtr(\d)p\d+s\d|bntr(\d))", module):
        return int(next(number for number in match.groups() if number is not None)) + 1
    return HEAD


def is_encoder(name: str, prefix: str = "") -> bool:
    """Whether a tensor belongs to the stem or a stage down."""
    return stage_of(name, prefix) <= LAST_ENCODER_STAGE


def backbone_prefix(tensors: Mapping[str, Any], where: str) -> str:
    """What stands before an SR-UNet's names. Raises InputError where there is none, or more than one."""
    found = [name[: -len(STEM)] for name in tensors if name == STEM or name.endswith(f".{STEM}")]
    if len(found) != 1:
        held = "no SR-UNet" if not found else f"{len(found)} SR-UNets ({', '.join(found[:3])})"
        raise InputError(f"{where} holds {held}: one tensor named {STEM} is looked for, under any prefix")
    return found[0]


def load_parts(model: nn.Module, prefix: str, settings: InitSettings, weights: GivenWeights) -> WeightReport:
    """Copies the asked parts of ``init.checkpoint`` into the SR-UNet under ``prefix``; see :class:`InitSettings`."""
    if settings.parts == "all" and not _has_decoder(model.state_dict(), prefix):
        raise InputError("init.parts = 'all', but the configured network has no decoder: take init.parts = 'encoder'")
    given = weights.tensors
    theirs = backbone_prefix(given, f"init.checkpoint {settings.checkpoint}")
    if settings.parts == "all" and not _has_decoder(given, theirs):
        raise InputError(
            f"init.parts = 'all', but init.checkpoint {settings.checkpoint} has no decoder: a pre-training has one "
            "where a loss reads it (PretrainTask.kt_readout or mv_readout). Take init.parts = 'encoder'"
        )
    last = settings.last_asked
    renamed, ignored = {}, []
    for name, value in given.items():
        stage, is_final = stage_of(name, theirs), name.startswith(f"{theirs}final.")
        if stage <= last or (settings.parts == "all" and is_final):
            renamed[prefix + name[len(theirs) :]] = value
        else:
            ignored.append(name)
    for name, value in renamed.items():
        if value.is_floating_point() and not bool(value.isfinite().all()):
            raise InputError(f"init.checkpoint {settings.checkpoint}: {name} holds values that are not finite")
    source = f"{settings.checkpoint} ({settings.parts})"
    own = [name for name in model.state_dict() if stage_of(name, prefix) <= last]
    stem, theirs_stem = model.state_dict()[prefix + STEM], given[theirs + STEM]
    if theirs_stem.shape != stem.shape:
        raise InputError(
            f"init.checkpoint {source}: its first layer {STEM} is {tuple(theirs_stem.shape)}, the network's "
            f"{tuple(stem.shape)}: behind a random one nothing that is loaded would mean anything. Configure the "
            "network as the checkpoint's"
        )
    report = load_weights(model, renamed, source, settings.min_fraction, wanted=own)
    report.unexpected += ignored
    return report


def _has_decoder(tensors: Iterable[str], prefix: str) -> bool:
    return any(LAST_ENCODER_STAGE < stage_of(name, prefix) < HEAD for name in tensors)


def describe(report: WeightReport) -> list[str]:
    """The report as lines: a summary, then every tensor that was not loaded, by kind."""
    lines = [f"init: {report}"]
    for kind, names in (("missing", report.missing), ("of another shape", report.mismatched)):
        lines += [f"init: {kind}: {name}" for name in names]
    return lines


def demand_loaded(report: WeightReport, names: Iterable[str], else_: str) -> None:
    """Raises InputError where one of the tensors ``names`` was not loaded; ``else_`` says what would come of it."""
    loaded = set(report.matched)
    left = [name for name in names if name not in loaded and not name.endswith(COUNTER)]
    if left:
        why = next((text for text in report.mismatched if text.startswith(f"{left[0]}:")), f"{left[0]} is missing")
        raise InputError(
            f"init.checkpoint {report.source} does not fill {len(left)} tensors of the network, first {why}: {else_}; "
            "configure the network as the checkpoint's"
        )


def _freeze(model: nn.Module, prefix: str, last: int) -> list[nn.Module]:
    frozen = []
    for name, module in model.named_modules():
        parent, _, _ = name.rpartition(".")
        if stage_of(name, prefix) <= last and stage_of(parent, prefix) > last:
            module.requires_grad_(False)
            frozen.append(module)
    return frozen


def _unfilled(model: nn.Module, prefix: str, settings: InitSettings, report: WeightReport) -> list[str]:
    asked = (name for name in model.state_dict() if stage_of(name, prefix) <= settings.last_asked)
    return sorted(name for name in set(asked) - set(report.matched) if not name.endswith(COUNTER))


def _warning(unfilled: list[str]) -> list[str]:
    if not unfilled:
        return []
    names = ", ".join(unfilled[:3]) + ", ..." * (len(unfilled) > 3)
    return [f"init: warning: {len(unfilled)} tensors start as in a new network, at the full rate: {names}"]


def _lr_scales(model: nn.Module, prefix: str, settings: InitSettings, unfilled: Iterable[str]) -> dict[str, float]:
    last, at_random = -1 if settings.checkpoint is None else settings.last_asked, set(unfilled)
    scales = {}
    head = HEAD if _has_decoder(model.state_dict(), prefix) else LAST_ENCODER_STAGE + 1
    for name, parameter in model.named_parameters():
        stage = stage_of(name, prefix)
        is_loaded = stage <= last and name not in at_random
        scale = settings.lr_decay ** max(0, head - stage) * (settings.lr_scale if is_loaded else 1.0)
        if scale != 1 and parameter.requires_grad:
            scales[name] = scale
    return scales
