"""What is installed, which sparse backend will compute and why, whether it works, and how to mend what is missing.

example:
  python tools/doctor.py          # for people
  python tools/doctor.py --json   # for scripts

The exit code is 1 when no backend is usable.
"""

from __future__ import annotations

from sparse3d.cli import run_tool, tool_parser
from sparse3d.installation.doctor import diagnose


def main() -> None:
    """The command's entry; ends the process with its exit code."""
    run_tool(_main)


def _main() -> int:
    parser = tool_parser(__doc__)
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    diagnosis = diagnose()
    print(diagnosis.as_json() if args.json else diagnosis.as_text())
    return 0 if diagnosis.usable else 1


if __name__ == "__main__":
    main()
