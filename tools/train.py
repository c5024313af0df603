"""Trains what a gin file describes.

example:
  python tools/train.py gin/pretrain/redkitchen.gin --set 'DATA_ROOT="../data/redkitchen"' --out runs/redkitchen
  python tools/train.py gin/pretrain/redkitchen.gin --set 'DATA_ROOT="../data/redkitchen"' --out runs/redkitchen --resume
  torchrun --nproc-per-node 2 tools/train.py gin/pretrain/scannet.gin --set 'DATA_ROOT="scans"' --out runs/scannet

Ctrl-C or SIGTERM finishes the step, writes a checkpoint and exits with 130 or 143; --resume goes on from there.
Every option of the loop stands with its default in gin/base/training.gin.
"""

from __future__ import annotations

from sparse3d import run
from sparse3d.cli import run_tool, tool_parser


def main() -> int:
    parser = tool_parser(__doc__)
    parser.add_argument("config", nargs="+", help="gin file, as given or below the packaged gin folder; later ones override")
    parser.add_argument("--out", required=True, help="folder of the run: checkpoints, TensorBoard, metrics.jsonl, config")
    parser.add_argument(
        "--set", dest="bindings", action="append", default=[], metavar="BINDING", help="a gin binding: --set 'train.steps=100'"
    )
    parser.add_argument("--resume", action="store_true", help="go on from the last checkpoint in --out")
    arguments = parser.parse_args()
    run.start(arguments.config, arguments.bindings, arguments.out, arguments.resume)
    return 0


if __name__ == "__main__":
    run_tool(main)
