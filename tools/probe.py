"""How well classes can be read from a network's frozen features: linear probe and k nearest neighbours.

example:
  python tools/probe.py gin/probe/rooms.gin --set 'DATA_ROOT="prepared"'
  python tools/probe.py gin/probe/rooms.gin --set 'DATA_ROOT="prepared"' \\
    --set 'init.checkpoint="runs/rooms/checkpoints/last.pt"' --set 'train/PreparedSplit.share=0.05' --out probe.json

The first one measures a network with random weights, which is what others are to be compared with.
Every option stands with its default in gin/base/probe.gin.
"""

from __future__ import annotations

import json

from sparse3d.cli import run_tool, tool_parser
from sparse3d.evaluation_report import task_text
from sparse3d.probing.command import run_probe


def main() -> None:
    """The command's entry; ends the process with its exit code."""
    run_tool(_main)


def _main() -> None:
    parser = tool_parser(__doc__)
    parser.add_argument("config", nargs="+", help="gin file; later ones override")
    parser.add_argument("--set", dest="bindings", action="append", default=[], metavar="BINDING", help="a gin binding")
    parser.add_argument("--out", metavar="FILE", help="write the figures as JSON, and config.gin beside them")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    options = parser.parse_args()
    figures, lines = run_probe(options.config, options.bindings, options.out, options.device)
    for line in lines:
        print(line)
    if options.json:
        print(json.dumps(figures))
        return
    for name, found in figures.items():
        print(f"{name}\n{task_text(found)}\n")


if __name__ == "__main__":
    main()
