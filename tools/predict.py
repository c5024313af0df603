"""Finds the classes of a scan's points, or the boxes of its objects, with a trained network.

example:
  python tools/predict.py scan.ply --checkpoint runs/classes/checkpoints/best.pt --out found
  python tools/predict.py prepared/scenes/room0003_00 --checkpoint runs/boxes/checkpoints/best.pt --out found

The scan: a .ply with colours (points or a mesh), an .npz with xyz and rgb, a .txt with lines x y z r g b, or the folder
of a scene that tools/prepare.py wrote or that ScanNet ships. Metres, z up. A segmentation writes NAME_labels.ply, .txt
and .png, a detection NAME_boxes.ply, .json and .png; beside them NAME_labels_classes.tsv or NAME_boxes_classes.tsv says
what the classes are.
"""

from __future__ import annotations

import json

from sparse3d.cli import run_tool, tool_parser
from sparse3d.prediction.predict_scan import predict_scan


def main() -> None:
    """The command's entry; ends the process with its exit code."""
    run_tool(_main)


def _main() -> None:
    parser = tool_parser(__doc__)
    parser.add_argument("scan", help="a .ply, .npz or .txt file, or the folder of a scene")
    parser.add_argument("--checkpoint", required=True, help="of a segmentation or a detection")
    parser.add_argument("--out", required=True, help="folder to write into")
    parser.add_argument("--min-score", type=float, help="detection: boxes with less are left out; by default 0.2")
    parser.add_argument("--tta", action="store_true", help="segmentation: average over eight turned and mirrored views")
    parser.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N (default: %(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of a line a file")
    arguments = parser.parse_args()
    report = predict_scan(
        arguments.scan,
        arguments.checkpoint,
        arguments.out,
        min_score=arguments.min_score,
        device=arguments.device,
        tta=arguments.tta,
        on_file=lambda what, path: None if arguments.json else print(f"{path}: {what}"),
    )
    if arguments.json:
        print(json.dumps(report))
        return
    unit = "points" if report["task"] == "segmentation" else "boxes"
    found = ", ".join(f"{name} {count}" for name, count in report["found"].items()) or "none"
    print(f"{report['points']} points; {unit}: {found}")


if __name__ == "__main__":
    main()
