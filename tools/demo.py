"""Pre-trains a small sparse U-Net on a room that it makes itself, and shows what the network has learnt.

example:
  python tools/demo.py
  python tools/demo.py --steps 600 --out runs/longer --json

Two furnished rooms are scanned as ScanNet's are and prepared as ScanNet is; one is trained on with both losses, the
other, never seen, is measured on. Exit code 1 if the pre-trained network does not beat raw colour and the untrained
network.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from sparse3d.cli import run_tool, tool_parser
from sparse3d.demo import DemoOptions, report, run_demo


def main() -> None:
    """The command's entry; ends the process with its exit code."""
    run_tool(_main)


def _main() -> int:
    parser = tool_parser(__doc__)
    parser.add_argument("--out", default="runs/demo", help="folder; an earlier demo there is replaced (%(default)s)")
    parser.add_argument("--steps", type=int, help="training steps (default: as in gin/pretrain/demo.gin)")
    parser.add_argument("--seed", type=int, default=0, help="of the rooms and of the training")
    parser.add_argument("--set", dest="bindings", action="append", default=[], metavar="BINDING", help="a gin binding")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    arguments = parser.parse_args()
    result = run_demo(
        DemoOptions(Path(arguments.out), arguments.steps, arguments.seed, bindings=tuple(arguments.bindings))
    )
    print("\n" + report(result))
    if arguments.json:
        print(json.dumps(result.as_json()))
    if lost := result.lost_to():
        print(f"the pre-trained network does not beat {', '.join(lost)}: train longer (--steps)", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    main()
