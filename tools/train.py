"""Trains what a gin file describes.

example:
  python tools/train.py gin/pretrain/redkitchen.gin --set 'DATA_ROOT="../redkitchen"' --out runs/redkitchen
  python tools/train.py gin/pretrain/redkitchen.gin --set 'DATA_ROOT="../redkitchen"' --out runs/redkitchen --resume
  torchrun --nproc-per-node 2 tools/train.py gin/pretrain/scannet.gin --set 'DATA_ROOT="scans"' --out runs/scannet

Ctrl-C or SIGTERM finishes the step, writes a checkpoint and exits with 130 or 143; --resume goes on from there.
Every option of the loop stands with its default in gin/base/training.gin.
"""

from __future__ import annotations

from sparse3d import run
from sparse3d.cli import run_tool, tool_parser


def main() -> None:
    """The command's entry; ends the process with its exit code."""
    run_tool(_main)


def _main() -> None:
    parser = tool_parser(__doc__)
    parser.add_argument(
        "config", nargs="+", help="gin file, as given or below the packaged folder; later ones override"
    )
    parser.add_argument("--out", required=True, help="folder of the run: checkpoints, figures, TensorBoard, config")
    parser.add_argument("--set", dest="bindings", action="append", default=[], metavar="BINDING", help="a gin binding")
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    arguments = parser.parse_args()
    run.start(arguments.config, arguments.bindings, arguments.out, arguments.resume)


if __name__ == "__main__":
    main()
