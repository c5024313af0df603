"""Measures the sparse engine beside MinkowskiEngine, and where the time of a pre-training step goes.

example:
  python tools/bench.py engine --voxels 20000,100000
  python tools/bench.py engine --backends native --beside mm --voxels 20000 --only-times
  python tools/bench.py engine --cloud scan.ply --voxel-size 0.02 --json

A train step is new coordinates, kernel maps, forward and backward pass. Every variant runs in a process of its own, in
rounds over all of them. Run it on a machine that does nothing else; it says when that is not so.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from sparse3d.benchmark.engine import EngineOptions, as_json, measure_engine
from sparse3d.benchmark.machine import machine, machine_lines
from sparse3d.benchmark.report import engine_report
from sparse3d.cli import run_tool, tool_parser
from sparse3d.errors import InputError


def main() -> None:
    """The command's entry; ends the process with its exit code."""
    run_tool(_main)


def _main() -> None:
    parser = tool_parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    _add_engine(commands.add_parser("engine", help="backends beside MinkowskiEngine and the bare matrix products"))
    arguments = parser.parse_args()
    arguments.run(arguments)


def _add_engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--voxels", default="20000,100000", help="sizes of the rooms (default: %(default)s)")
    parser.add_argument("--backends", help="of native, torch, minkowski; by default all that are there")
    parser.add_argument("--beside", help="of minkowskiengine, minkowskiengine-passive, mm; the same, '' for none")
    parser.add_argument("--network", default="Res16UNet34C", help="an SRUNet spec or layer:CHANNELS (%(default)s)")
    parser.add_argument("--threads", type=int, help="by default one a core")
    parser.add_argument("--rounds", type=int, default=5, help="of measuring (default: %(default)s)")
    parser.add_argument("--cloud", type=Path, help="a .ply to measure on in place of rooms")
    parser.add_argument("--voxel-size", type=float, default=0.05, help="of --cloud, metres (default: %(default)s)")
    parser.add_argument("--only-times", action="store_true", help="leave out memory and parts, which take longer")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    parser.set_defaults(run=_engine)


def _engine(a: argparse.Namespace) -> None:
    options = EngineOptions(
        tuple(_whole(text) for text in a.voxels.split(",")), _names(a.backends), _names(a.beside), a.network,
        a.threads, a.rounds, a.cloud, a.voxel_size, a.only_times,
    )  # fmt: skip
    found = machine()
    print("\n".join(machine_lines(found)))
    records = measure_engine(options, lambda text: print(text, file=sys.stderr))
    print("\n" + "\n\n".join(engine_report(record) for record in records))
    if a.json:
        print(as_json(found, records))


def _names(text: str | None) -> list[str] | None:
    return None if text is None else [name for name in text.split(",") if name]


def _whole(text: str) -> int:
    if not text.strip().isdigit():
        raise InputError(f"--voxels: {text!r} is no number of voxels; write for example 20000,100000")
    return int(text)


if __name__ == "__main__":
    main()
