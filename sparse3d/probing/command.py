"""What ``tools/probe.py`` does: read the config, load the weights, measure, write the figures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from sparse3d import config
from sparse3d.errors import InputError
from sparse3d.probing.probe import FeatureProbe, Progress
from sparse3d.sparse import configure
from sparse3d.training.distribution import choose_device
from sparse3d.training.run_folder import write_text
from sparse3d.training.transfer import InitSettings, prepare_transfer


def run_probe(
    files: Sequence[str],
    bindings: Sequence[str],
    out: str | Path | None = None,
    device: str = "cpu",
    progress: Progress = lambda indices, _: iter(indices),
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """The figures by method and features, and what was loaded, in lines.

    Args:
        files, bindings: a config that binds :class:`FeatureProbe`.
        out: a JSON file for the figures; the config goes beside it, as ``config.gin``. None writes nothing.
        device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``.
        progress: wraps the scenes' indices.

    Raises:
        InputError: a mistake in the config, the checkpoint or the scenes.
    """
    where = choose_device(device, option="--device")
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
        backbone = probe.build_backbone()
        transfer = prepare_transfer(backbone, init, config_text=text)
        config.check_all_used()
        figures = probe.measure(backbone, where, progress)
    if out is not None:
        write_text(Path(out), json.dumps(figures, indent=1) + "\n")
        write_text(Path(out).parent / "config.gin", text)
    return figures, transfer.lines
