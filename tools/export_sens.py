"""Writes any readable recording as a ScanNet .sens file (v4).

example:
  python tools/export_sens.py my_recording my_recording.sens
  python tools/export_sens.py my_recording scene.sens --size 640x480 --color png

Frames keep their poses with z turned up, as the readers give them out, and are numbered anew from 0.
"""

from __future__ import annotations

from pathlib import Path

from sparse3d.cli import UP_HELP, parse_size, run_tool, tool_parser
from sparse3d.data.readers import open_frames
from sparse3d.data.sens_writer import write_sens


def main() -> None:
    """The command's entry; ends the process with its exit code."""
    run_tool(_main)


def _main() -> None:
    parser = tool_parser(__doc__)
    parser.add_argument("frames", help="folder of one recording, in any format that is read")
    parser.add_argument("sens", type=Path, help="the file to write; replaced only when it is complete")
    parser.add_argument("--format", default="auto", help="of the recording, when it is not recognised")
    parser.add_argument("--up", default="auto", help=UP_HELP)
    parser.add_argument("--size", help="WIDTHxHEIGHT of the frames written; by default the depth's")
    parser.add_argument(
        "--on-fault", choices=("error", "drop"), default="error", help="what to do about a broken frame"
    )
    parser.add_argument("--color", choices=("jpeg", "png", "raw"), default="jpeg", help="compression of the colour")
    parser.add_argument("--depth", choices=("zlib", "raw"), default="zlib", help="compression of the depth")
    arguments = parser.parse_args()
    size = None if arguments.size is None else parse_size(arguments.size)
    drop = arguments.on_fault == "drop"
    source = open_frames(
        arguments.frames,
        format=arguments.format,
        size=size,
        up=arguments.up,
        on_fault=arguments.on_fault,
        check_images=drop,  # else an image that cannot be decoded would end the export in its midst
    )
    written = write_sens(
        source,
        arguments.sens,
        color_compression=arguments.color,
        depth_compression=arguments.depth,
    )
    megabytes = arguments.sens.stat().st_size / 1e6
    print(f"{arguments.sens}: {written} frames, {megabytes:.1f} MB; {source.manifest.summary()}")


if __name__ == "__main__":
    main()
