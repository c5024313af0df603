"""Figures of a checkpoint, from the checkpoint alone.

example:
  python tools/evaluate.py runs/redkitchen/checkpoints/last.pt --data ../redkitchen --split val
  python tools/evaluate.py runs/redkitchen/checkpoints/last.pt --data ../livingroom --json
  python tools/evaluate.py runs/classes/checkpoints/best.pt --set SegmentationTask.tta=True
  python tools/evaluate.py runs/scannet/checkpoints/best.pt --split test --submission to_upload \\
    --set 'val/PreparedSplit.labelled = False'

A pre-training is measured by matching recall on frames; every other task by its own validation figures.
For true correspondences between overlapping frames, the nearest neighbour in feature space must lie within 10 cm
of the truth. Each frame is encoded alone; "aligned" leaves both clouds in the world frame, "rotated" turns each by a
yaw of its own. Beside the checkpoint stand voxel colour and the same network untrained. With a teacher: how well its
features are predicted, and the same for shuffled views.
"""

from __future__ import annotations

from sparse3d.cli import run_tool, tool_parser
from sparse3d.evaluation import evaluate
from sparse3d.evaluation_report import as_json, figures_text


def main() -> None:
    """The command's entry; ends the process with its exit code."""
    run_tool(_main)


def _main() -> None:
    parser = tool_parser(__doc__)
    parser.add_argument("checkpoint", help="a checkpoint of a training run")
    parser.add_argument("--data", help="the data root; by default the one that was trained on")
    split_help = "pre-training: val, train or all of the frames; other tasks: a list of scenes (default: the config's)"
    parser.add_argument("--split", help=split_help)
    parser.add_argument("--submission", metavar="DIR", help="write predictions in the benchmark's form")
    parser.add_argument("--pairs", type=int, help="frame pairs, evenly spaced over those that qualify; by default 100")
    parser.add_argument("--format", help="of the frames, by default as in the config")
    parser.add_argument("--first", type=int, help="first frame number")
    parser.add_argument("--last", type=int, help="last frame number")
    parser.add_argument("--on-fault", choices=("error", "drop"), help="about a broken frame (default: the config's)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--set", dest="bindings", action="append", default=[], metavar="BINDING", help="a gin binding")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    arguments = parser.parse_args()
    named = {name: getattr(arguments, name) for name in ("format", "first", "last", "on_fault")}
    figures = evaluate(
        arguments.checkpoint,
        data=arguments.data,
        split=arguments.split,
        pairs=arguments.pairs,
        frames={name: value for name, value in named.items() if value is not None},
        submission=arguments.submission,
        device=arguments.device,
        bindings=tuple(arguments.bindings),
    )
    if arguments.json:
        print(as_json({"checkpoint": arguments.checkpoint, "data": arguments.data, **figures}))
    else:
        print(figures_text(figures))


if __name__ == "__main__":
    main()
