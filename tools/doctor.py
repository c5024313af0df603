"""What is installed, which sparse backend will compute and why, whether it works, and how to mend what is missing.

    python tools/doctor.py          # for people
    python tools/doctor.py --json   # for scripts

The exit code is 1 when no backend is usable.
"""

from __future__ import annotations

import argparse
import sys

from sparse3d.installation.doctor import diagnose


def main() -> int:
    """Parse the command line, diagnose; the exit code."""
    parser = argparse.ArgumentParser(description="check this installation of sparse3d")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    args = parser.parse_args()
    diagnosis = diagnose()
    print(diagnosis.as_json() if args.json else diagnosis.as_text())
    return 0 if diagnosis.usable else 1


if __name__ == "__main__":
    sys.exit(main())
