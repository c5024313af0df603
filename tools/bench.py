"""Measures the sparse engine beside MinkowskiEngine, and where the time of a pre-training step goes.

example:
  python tools/bench.py engine --voxels 20000,100000
  python tools/bench.py engine --backends native --beside mm --voxels 20000 --only-times
  python tools/bench.py engine --cloud scan.ply --voxel-size 0.02 --json
  python tools/bench.py engine --sweep voxels --picture voxels.png
  python tools/bench.py pretrain --set 'DATA_ROOT="../redkitchen"' --steps 32 --skip 200

engine: a train step is new coordinates, kernel maps, forward and backward pass. Every variant runs in a process of its
own, in rounds over all of them. pretrain: real steps of a config, on its data. Run both on a machine that does nothing
else; they say when that is not so.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from sparse3d.benchmark.commands import engine_command, pretrain_command
from sparse3d.cli import run_tool, tool_parser


def main() -> None:
    """The command's entry; ends the process with its exit code."""
    run_tool(_main)


def _main() -> None:
    parser = tool_parser(__doc__)
    commands = parser.add_subparsers(dest="command", required=True, metavar="engine|pretrain")
    _add_engine(commands.add_parser("engine", help="backends beside MinkowskiEngine and the bare matrix products"))
    _add_pretrain(commands.add_parser("pretrain", help="where the time of a pre-training step goes"))
    arguments = parser.parse_args()
    arguments.run(arguments)


def _add_engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--voxels", help="sizes of the rooms that it makes (default: 20000,100000)")
    parser.add_argument(
        "--backends", help="of native, torch, minkowski (default: all that are there, '' for none) and native-bfloat16"
    )
    parser.add_argument("--beside", help="of minkowskiengine, minkowskiengine-passive, mm; the same")
    parser.add_argument("--network", default="Res16UNet34C", help="an SRUNet spec or layer:CHANNELS (%(default)s)")
    parser.add_argument("--threads", type=int, help="by default one a core")
    parser.add_argument("--rounds", type=int, default=5, help="of measuring (default: %(default)s)")
    parser.add_argument("--cloud", type=Path, help="a .ply to measure on in place of rooms")
    parser.add_argument("--voxel-size", type=float, help="of --cloud, metres (default: 0.05)")
    parser.add_argument("--only-times", action="store_true", help="without memory and parts, as --sweep always is")
    parser.add_argument("--sweep", help="voxels, channels or threads: how a step's time grows")
    parser.add_argument("--values", help="of the sweep, in place of the usual ones")
    parser.add_argument("--picture", type=Path, help="PNG for the sweep's curves")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    parser.set_defaults(run=engine_command)


def _add_pretrain(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", nargs="?", default="pretrain/redkitchen.gin", help="gin file (default: %(default)s)")
    parser.add_argument("--set", dest="bindings", action="append", default=[], metavar="BINDING", help="a gin binding")
    parser.add_argument("--steps", type=int, default=16, help="timed, and as many profiled (default: %(default)s)")
    parser.add_argument("--skip", type=int, default=4, help="steps before, not measured (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    parser.set_defaults(run=pretrain_command)


if __name__ == "__main__":
    main()
