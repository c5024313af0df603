"""Finds the classes of a scan's points or the boxes of its objects, or the class or the parts of a single shape.

example:
  python tools/predict.py scan.ply --checkpoint runs/classes/checkpoints/best.pt --out found
  python tools/predict.py prepared/scenes/room0003_00 --checkpoint runs/boxes/checkpoints/best.pt --out found
  python tools/predict.py chair.off --checkpoint runs/modelnet/checkpoints/best.pt --out found
  python tools/predict.py lamp.txt --kind Lamp --up y --checkpoint runs/parts/checkpoints/best.pt --out found

The checkpoint says which. A scan: a .ply with colours (points or a mesh), an .npz with xyz and rgb, a .txt with lines
x y z r g b, or the folder of a scene that tools/prepare.py wrote or that ScanNet ships; metres, z up. A shape: a mesh
(.off, .obj, .stl, .ply), whose surface is sampled, or points (.ply, .npz, .txt with x y z first); where the network was
trained on shapes with colours, what a scan may be, but for folders. A segmentation writes NAME_labels.ply, .txt and
.png, a detection NAME_boxes.ply, .json and .png, a classification NAME_class.json and .png, a part segmentation
NAME_parts.ply, .txt and .png; a _classes.tsv beside labels, boxes or parts says what the numbers are.
"""

from __future__ import annotations

import json

from sparse3d.cli import run_tool, tool_parser
from sparse3d.prediction.predict_file import PredictOptions, predict_file, summary


def main() -> None:
    """The command's entry; ends the process with its exit code."""
    run_tool(_main)


def _main() -> None:
    parser = tool_parser(__doc__)
    parser.add_argument("scan", help="a .ply, .npz or .txt file, the folder of a scene, or the file of a single shape")
    parser.add_argument("--checkpoint", required=True, help="of any task but a pre-training")
    parser.add_argument("--out", required=True, help="folder to write into")
    parser.add_argument("--min-score", type=float, help="detection: boxes with less are left out; by default 0.2")
    parser.add_argument("--tta", action="store_true", help="segmentation: average over eight turned and mirrored views")
    parser.add_argument("--kind", help="parts: what the shape is, a class such as Chair")
    parser.add_argument("--up", help="shapes: the axis of the file that points up, x, y or z (by default z)")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a line a file")
    arguments = parser.parse_args()
    report = predict_file(
        arguments.scan,
        arguments.checkpoint,
        arguments.out,
        PredictOptions(arguments.min_score, arguments.tta, arguments.kind, arguments.up),
        arguments.device,
        lambda what, path: None if arguments.json else print(f"{path}: {what}"),
    )
    print(json.dumps(report) if arguments.json else summary(report))


if __name__ == "__main__":
    main()
