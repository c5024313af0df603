"""What ``tools/probe.py`` does: read the config, load the weights, measure, write the figures."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from pathlib import Path

from sparse3d import config
from sparse3d.errors import InputError
from sparse3d.probing.probe import FeatureProbe
from sparse3d.sparse import configure
from sparse3d.training.distribution import choose_device
from sparse3d.training.run_folder import CHECKPOINTS
from sparse3d.training.transfer import InitSettings, demand_loaded, is_encoder, prepare_transfer
from sparse3d.whole_files import write_durable_text


def run_probe(
    files: Sequence[str],
    bindings: Sequence[str],
    out: str | Path | None = None,
    device: str = "auto",
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """The figures by method and features, and what was loaded, in lines.

    Args:
        files, bindings: a config that binds :class:`FeatureProbe`.
        out: a JSON file for the figures; the config goes beside it, as ``config.gin``. None writes nothing.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.

    Raises:
        InputError: a mistake in the config, the checkpoint or the scenes, or an ``out`` that cannot be written.
    """
    where = choose_device(device, option="--device")
    if out is not None:
        _check_output(Path(out), files)
    config.load_config(files, bindings)
    text = config.config_text()
    with config.configured_calls():
        configure()
        probe, init = FeatureProbe(), InitSettings()
        if "decoder" in probe.features and init.checkpoint is not None and init.parts != "all":
            raise InputError(
                f"FeatureProbe.features asks for the decoder, and init.parts = {init.parts!r} leaves it random: "
                "take init.parts = 'all'"
            )
        if init.freeze != "none" or init.lr_scale != 1 or init.lr_decay != 1:
            raise InputError("init.freeze, lr_scale and lr_decay are for training, and a probe trains no network")
        backbone = probe.build_backbone()
        transfer = prepare_transfer(backbone, init, config_text=text)
        if transfer.report is not None:
            own = [name for name in backbone.state_dict() if "decoder" in probe.features or is_encoder(name)]
            demand_loaded(transfer.report, own, "its features would be in part those of random weights")
        config.check_all_used(config.PROBE_ROOTS)
        figures = probe.measure(backbone, where)
    if out is not None:
        write_durable_text(Path(out), json.dumps(figures, indent=1) + "\n")
        write_durable_text(Path(out).parent / "config.gin", text)
    return figures, transfer.lines


def _check_output(out: Path, files: Sequence[str]) -> None:
    """Before hours of work: whether the figures can be written, and overwrite nothing but a probe's."""
    config_file = out.parent / "config.gin"
    if any(Path(file).exists() and config_file.exists() and Path(file).samefile(config_file) for file in files):
        raise InputError(f"--out {out}: its config would be written over {config_file}, which was given: name another")
    if out.is_dir():
        raise InputError(f"--out {out} is a folder: name a file, as in {out / 'probe.json'}")
    if (out.parent / CHECKPOINTS).is_dir():
        raise InputError(
            f"--out {out} lies in a training run's folder, whose config.gin it would replace: name another"
        )
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--out {out}: its folder cannot be made ({error.strerror})") from error
    if not os.access(out.parent, os.W_OK):
        raise InputError(f"--out {out}: its folder cannot be written to")
