"""Makes furnished rooms and scans of them, in ScanNet's own format.

example:
  python tools/make_rooms.py rooms --scenes 80 --frames 100 --seed 0 --workers 2
  python tools/make_rooms.py exact --scenes 4 --frames 30 --size 320x240 --no-noise

Finished rooms are kept: a broken run goes on where it ended, and more --scenes extend a set.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from sparse3d.cli import parse_size, run_tool, tool_parser
from sparse3d.rooms.make_rooms import VAL_EVERY, RoomsOptions, make_rooms
from sparse3d.rooms.piece import ROOM_KINDS
from sparse3d.rooms.recording import RecordingOptions
from sparse3d.rooms.rooms_summary import summary_table


def main() -> None:
    """The command's entry; ends the process with its exit code."""
    run_tool(_main)


def _main() -> None:
    parser = tool_parser(__doc__)
    parser.add_argument("folder", type=Path, metavar="DST", help="where scans/, splits/ and the label table go")
    parser.add_argument("--scenes", type=int, default=80, help="number of rooms (default 80: 60 to train, 20 for val)")
    parser.add_argument(
        "--val-every", type=int, default=VAL_EVERY, help="every so-many-th room is for validation (default 4)"
    )
    parser.add_argument("--frames", type=int, default=100, help="RGB-D frames a room (default 100)")
    parser.add_argument("--seed", type=int, default=0, help="the same seed gives the same bytes")
    parser.add_argument("--assets", help="folder of OBJ furniture with its catalogue, mixed with the parametric pieces")
    parser.add_argument("--workers", type=int, default=1, help="processes; the bytes do not depend on them")
    parser.add_argument("--size", default="640x480", help="WIDTHxHEIGHT of the frames (default 640x480)")
    parser.add_argument(
        "--spacing", type=float, default=0.02, help="metres between vertices of the mesh (default 0.02)"
    )
    parser.add_argument("--kind", choices=ROOM_KINDS, help="rooms of one kind only")
    parser.add_argument("--no-noise", action="store_true", help="exact colour, depth and mesh")
    parser.add_argument("--no-shadows", action="store_true", help="quicker, flat light")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON")
    arguments = parser.parse_args()
    recording = RecordingOptions(
        frames=arguments.frames,
        size=parse_size(arguments.size),
        spacing=arguments.spacing,
        noise=not arguments.no_noise,
        shadows=not arguments.no_shadows,
    )
    options = RoomsOptions(arguments.seed, arguments.kind, arguments.assets, recording, arguments.val_every)
    made = make_rooms(
        arguments.folder, arguments.scenes, options, workers=arguments.workers, progress=sys.stderr.isatty()
    )
    print(json.dumps(made.as_json(), indent=1) if arguments.json else summary_table(made))


if __name__ == "__main__":
    main()
