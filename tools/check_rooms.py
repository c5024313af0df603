"""Measures made rooms: classes, labels and boxes against the truth, depth between frames, colour alone.

example:
  python tools/make_rooms.py rooms --scenes 80 --frames 30 --size 320x240
  python tools/prepare.py scannet rooms prepared
  python tools/check_rooms.py rooms prepared

Labels and boxes are read from the files as a reader of ScanNet does. Colour alone: a k-NN on the mean colour of 5 cm
voxels, of all train rooms, asked for the val rooms.
"""

from __future__ import annotations

import json
from pathlib import Path

from sparse3d.cli import run_tool, tool_parser
from sparse3d.rooms_check.report import check_rooms, describe


def main() -> None:
    """The command's entry; ends the process with its exit code."""
    run_tool(_main)


def _main() -> None:
    parser = tool_parser(__doc__)
    parser.add_argument("rooms", type=Path, help="folder that make_rooms wrote")
    parser.add_argument("prepared", type=Path, help="folder that prepare wrote of it")
    parser.add_argument("--no-color", action="store_true", help="leave the k-NN on colour out")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    arguments = parser.parse_args()
    report = check_rooms(arguments.rooms, arguments.prepared, color=not arguments.no_color)
    print(json.dumps(report.as_json()) if arguments.json else describe(report))


if __name__ == "__main__":
    main()
