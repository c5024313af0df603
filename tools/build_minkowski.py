"""Install MinkowskiEngine into the running environment, from the cached wheel or by building it (once, 6 minutes).

example:
  python tools/build_minkowski.py              # goes on without it when it cannot be built, and says so in one line
  python tools/build_minkowski.py --required   # exit code 1 instead
  python tools/build_minkowski.py --where      # only print the wheel's folder
"""

from __future__ import annotations

import sys

from sparse3d.cli import run_tool, tool_parser
from sparse3d.installation import minkowski_wheel


def main() -> None:
    """The command's entry; ends the process with its exit code."""
    run_tool(_main)


def _main() -> int:
    parser = tool_parser(__doc__)
    parser.add_argument("--required", action="store_true", help="fail when MinkowskiEngine cannot be had")
    parser.add_argument("--where", action="store_true", help="print the folder of wheel and build log, and stop")
    args = parser.parse_args()
    try:
        if args.where:
            print(minkowski_wheel.wheel_folder(minkowski_wheel.WheelKey.here()))
            return 0
        print(minkowski_wheel.ensure())
    except minkowski_wheel.BuildImpossible as error:
        print(error.one_line(), file=sys.stderr)
        return 1 if args.required or args.where else 0
    return 0


if __name__ == "__main__":
    main()
