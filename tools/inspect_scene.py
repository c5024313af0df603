"""Shows one scene: its surface in colours, by class and by instance, boxes, the camera's path, frames, and tables.

example:
  python tools/inspect_scene.py rooms/scans/room0003_00 --out runs/room0003
  python tools/inspect_scene.py sunrgbd_trainval --frame 000002 --labels v1 --out runs/frame2

The scene is a ScanNet scan, a room of tools/make_rooms.py, a scene of tools/prepare.py, an S3DIS room (Area_N/room), a
SUN RGB-D folder (depth, image, calib, label), or any recording of frames. Writes PNG pictures and scene.html, one page
with the pictures included; what the scene lacks is said there.
"""

from __future__ import annotations

from sparse3d.cli import UP_HELP, parse_size, run_tool, tool_parser
from sparse3d.inspection.scene_page import inspect_scene, print_scene


def main() -> None:
    """The command's entry; ends the process with its exit code."""
    run_tool(_main)


def _main() -> None:
    parser = tool_parser(__doc__)
    parser.add_argument("scene", help="the scene's folder")
    parser.add_argument("--out", required=True, help="folder for scene.html and the pictures")
    parser.add_argument("--frames", type=int, default=6, help="frames shown (default: %(default)s)")
    parser.add_argument("--size", default="800x600", help="size of the views (default: %(default)s)")
    parser.add_argument("--frame", help="SUN RGB-D: the frame's name, as in 000001 (default: the first)")
    labels_help = "SUN RGB-D: version of the annotation (default: v2)"
    parser.add_argument("--labels", choices=("v1", "v2"), help=labels_help)
    parser.add_argument("--up", help=f"of a recording: {UP_HELP}")
    a = parser.parse_args()
    width, height = parse_size(a.size)
    scene = inspect_scene(a.scene, a.out, a.frames, (height, width), a.frame, a.labels, a.up)
    print_scene(scene, a.out)


if __name__ == "__main__":
    main()
