"""Prepares scans for training: frames made small, overlaps, meshes with labels, boxes, and an account of it all.

example:
  python tools/prepare.py scannet rooms prepared --plan
  python tools/prepare.py scannet rooms prepared --workers 2
  python tools/prepare.py scannet /data/ScanNet prepared --shard 0/4

SRC holds ScanNet's layout (scans/<scene>/<scene>.sens, _vh_clean_2.ply, ...) as ScanNet's own scans and furnished
rooms have it, with whatever parts are there. A scene appears in DST/scenes when it is complete; a further run goes
on with what is missing. Under torchrun every process takes its share, as with --shard.

Exit code 3: some scenes were left out as broken; each is named with its reason.
"""

from __future__ import annotations

import json
from pathlib import Path

from sparse3d.cli import parse_size, run_tool, tool_parser
from sparse3d.errors import InputError
from sparse3d.preparation.options import PrepareOptions
from sparse3d.preparation.plan import describe_plan, make_plan
from sparse3d.preparation.runner import Job, as_json, exit_code, parse_shard, prepare, report


def main() -> None:
    """The command's entry; ends the process with its exit code."""
    run_tool(_main)


def _main() -> int:
    parser = tool_parser(__doc__)
    parser.add_argument("layout", choices=("scannet",), help="how the source is laid out")
    parser.add_argument("source", type=Path, metavar="SRC", help="folder with the scenes, or with scans/")
    parser.add_argument("destination", type=Path, metavar="DST", help="folder to write into")
    parser.add_argument("--plan", action="store_true", help="say what would be done, and write nothing")
    parser.add_argument("--workers", type=int, default=1, help="processes (default: %(default)s)")
    parser.add_argument("--frame-skip", type=int, help="take every N-th frame (default: 25; all of up to 250 frames)")
    parser.add_argument("--size", default="320x240", help="of the frames (default: %(default)s)")
    parser.add_argument(
        "--splits", type=Path, help="folder of split lists (default: the set's own, else those of sparse3d)"
    )
    parser.add_argument("--shard", help="i/n: prepare every n-th scene, from the i-th (default: torchrun's, or all)")
    parser.add_argument("--json", action="store_true", help="print JSON instead of lines")
    arguments = parser.parse_args()
    if arguments.workers < 1:
        raise InputError(f"--workers {arguments.workers}: must be at least 1")
    options = PrepareOptions(parse_size(arguments.size), arguments.frame_skip)
    shard = parse_shard(arguments.shard)
    job = Job(arguments.source, arguments.destination, options, arguments.splits, shard)
    if arguments.plan:
        plan = make_plan(job)
        print(json.dumps(plan.as_json(), indent=1) if arguments.json else describe_plan(plan, arguments.workers))
        return plan.exit_code()
    outcomes = prepare(job, arguments.workers)
    print(json.dumps(as_json(outcomes), indent=1) if arguments.json else report(outcomes, job))
    return exit_code(outcomes)


if __name__ == "__main__":
    main()
