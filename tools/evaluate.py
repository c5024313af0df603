"""Matching recall of a pre-trained checkpoint on frames it was not trained on.

example:
  python tools/evaluate.py runs/redkitchen/checkpoints/last.pt --data ../redkitchen --split val
  python tools/evaluate.py runs/redkitchen/checkpoints/last.pt --data ../livingroom --json

For true correspondences between overlapping frames, the nearest neighbour in feature space must lie within 10 cm
of the truth. Each frame is encoded alone; "aligned" leaves both clouds in the world frame, "rotated" turns each by a
yaw of its own. Beside the checkpoint stand voxel colour and the same network untrained. With a teacher: how well its
features are predicted, and the same for shuffled views.
"""

from __future__ import annotations

import json

from tqdm import tqdm

from sparse3d.cli import run_tool, tool_parser
from sparse3d.data.matching_pairs import PROTOCOLS
from sparse3d.evaluation import evaluate_matching

ROWS = ("colour", "random", "pretrained")


def main() -> None:
    """The command's entry; ends the process with its exit code."""
    run_tool(_main)


def _main() -> None:
    parser = tool_parser(__doc__)
    parser.add_argument("checkpoint", help="a checkpoint of a pre-training run")
    parser.add_argument("--data", help="folder of RGB-D frames; by default the one that was trained on")
    split_help = "frames as the config splits them; by default val, or all of a folder that was not trained on"
    parser.add_argument("--split", choices=("val", "train", "all"), help=split_help)
    parser.add_argument("--pairs", type=int, help="frame pairs, evenly spaced over those that qualify; by default 100")
    parser.add_argument("--format", help="of the frames, by default as in the config")
    parser.add_argument("--first", type=int, help="first frame number")
    parser.add_argument("--last", type=int, help="last frame number")
    parser.add_argument("--on-fault", choices=("error", "drop"), help="what to do about a broken frame")
    parser.add_argument("--device", default="cpu", help="where the network runs: auto, cpu, cuda or cuda:N")
    parser.add_argument("--set", dest="bindings", action="append", default=[], metavar="BINDING", help="a gin binding")
    parser.add_argument("--json", action="store_true", help="print one JSON object last")
    arguments = parser.parse_args()
    named = {name: getattr(arguments, name) for name in ("format", "first", "last", "on_fault")}
    figures = evaluate_matching(
        arguments.checkpoint,
        data=arguments.data,
        split=arguments.split,
        pairs=arguments.pairs,
        frames={name: value for name, value in named.items() if value is not None},
        device=arguments.device,
        bindings=tuple(arguments.bindings),
        progress=lambda indices: iter(tqdm(list(indices), desc="pairs", unit="pair", disable=None)),
    )
    if arguments.json:
        print(json.dumps({"checkpoint": arguments.checkpoint, "data": arguments.data, **figures}))
        return
    measured = f"{figures['pairs']} pairs of {figures['frames']} frames (split: {figures['split']})"
    print(f"matching recall at 10 cm over {measured}")
    print(f"{'':12}" + "".join(f"{protocol:>10}" for protocol in PROTOCOLS))
    for row in ROWS:
        print(f"{row:12}" + "".join(f"{figures[f'recall_{protocol}_{row}']:10.3f}" for protocol in PROTOCOLS))
    if "teacher_cosine" in figures:
        shuffled = figures["teacher_cosine_shuffled"]
        print(f"cosine with the teacher {figures['teacher_cosine']:.3f}, shuffled {shuffled:.3f}")


if __name__ == "__main__":
    main()
