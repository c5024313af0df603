"""Looks at RGB-D recordings before training on them: what is usable, what overlaps, do poses and depth agree.

example:
  python tools/inspect_pairs.py recordings/kitchen --out runs/kitchen
  python tools/inspect_pairs.py scans --out runs/scans --step 10 --on-fault drop --json

Writes report.html (one page, pictures included) and report.json into --out, and prints a table.
"""

from __future__ import annotations

from sparse3d.cli import UP_HELP, parse_size, run_tool, tool_parser
from sparse3d.inspection.pairs import PairOptions
from sparse3d.inspection.pairs_page import inspect_folder, print_report


def main() -> None:
    """The command's entry; ends the process with its exit code."""
    run_tool(_main)


def _main() -> None:
    parser = tool_parser(__doc__)
    parser.add_argument("folder", help="a recording, or a folder of recordings")
    parser.add_argument("--out", required=True, help="folder for report.html and report.json")
    parser.add_argument("--format", default="auto", help="the recordings' format (default: recognised)")
    parser.add_argument("--size", default="320x240", help="size that frames are brought to (default: %(default)s)")
    parser.add_argument("--up", default="auto", help=UP_HELP)
    parser.add_argument("--first", type=int, help="lowest frame number")
    parser.add_argument("--last", type=int, help="highest frame number")
    parser.add_argument("--step", type=int, default=1, help="take every so many frames")
    parser.add_argument("--pairs", type=int, default=30, help="pairs measured a scene (default: %(default)s)")
    parser.add_argument("--overlap", type=float, nargs=2, default=(0.3, 0.9), metavar=("LOW", "HIGH"), help="of a pair")
    fault_help = "about a broken frame (default: %(default)s)"
    parser.add_argument("--on-fault", default="drop", choices=("drop", "error"), help=fault_help)
    parser.add_argument("--json", action="store_true", help="print the report as one JSON object")
    a = parser.parse_args()
    report = inspect_folder(
        a.folder,
        a.out,
        PairOptions(pairs=a.pairs, overlap=tuple(a.overlap)),
        format=a.format,
        size=parse_size(a.size),
        up=a.up,
        first=a.first,
        last=a.last,
        step=a.step,
        on_fault=a.on_fault,
    )
    print_report(report, a.out, a.json)


if __name__ == "__main__":
    main()
