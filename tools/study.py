"""Runs a table of pre-trainings, tasks, shares of labelled rooms and seeds, and says what pre-training brings.

example:
  python tools/study.py gin/study/rooms_small.gin --set 'DATA_ROOT="prepared"' --out studies/small --plan
  python tools/study.py gin/study/rooms_small.gin --set 'DATA_ROOT="prepared"' --out studies/small --jobs 2
  python tools/study.py gin/study/rooms_small.gin --set 'DATA_ROOT="prepared"' --out studies/small --jobs 2 --resume
  python tools/study.py gin/study/rooms.gin --set 'DATA_ROOT="prepared"' --out studies/full --only scratch --only mvnet
  python tools/study.py gin/study/rooms.gin --set 'DATA_ROOT="prepared"' --out studies/full --take elsewhere/jobs.jsonl

Every job is a process of its own, the same as tools/train.py, tools/probe.py or tools/evaluate.py. One that is done is
never run again, also when the table grows; one that fails is named, and the others go on. Ctrl-C or SIGTERM lets
jobs finish their step; --resume goes on. --take counts what another machine did. What it writes: docs/study.md.
"""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

from sparse3d.cli import run_tool, tool_parser
from sparse3d.errors import InputError
from sparse3d.study.command import Request, plan_text, read_study, run_study


def main() -> None:
    """The command's entry; ends the process with its exit code."""
    run_tool(_main)


def _main() -> int:
    parser = tool_parser(__doc__)
    parser.add_argument("config", nargs="+", help="gin file of a study; later ones override")
    parser.add_argument("--out", required=True, type=Path, help="folder of the study: jobs, results, table, figures")
    parser.add_argument("--set", dest="bindings", action="append", default=[], metavar="BINDING", help="a gin binding")
    parser.add_argument("--seeds", type=int, metavar="N", help="at most so many label sets, and pre-training seeds")
    parser.add_argument("--only", action="append", default=[], metavar="ROW", help="run this row; may be repeated")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="jobs at a time (default: 1)")
    parser.add_argument("--threads", type=int, metavar="N", help="of each job (default: the cores, shared)")
    parser.add_argument("--resume", action="store_true", help="go on with the study in --out")
    parser.add_argument(
        "--take", action="append", default=[], type=Path, metavar="PATH",
        help="jobs done elsewhere: another folder of this study, or its jobs.jsonl; may be repeated",
    )  # fmt: skip
    parser.add_argument("--plan", action="store_true", help="print the jobs and how long they may take; run nothing")
    parser.add_argument("--report-only", action="store_true", help="write table and figures anew; run nothing")
    options = parser.parse_args()
    for name in ("seeds", "jobs", "threads"):
        value = getattr(options, name)
        if value is not None and value < 1:
            raise InputError(f"--{name} {value}: must be at least 1")
    if options.plan and options.take:
        raise InputError("--plan writes nothing, so it takes nothing: --report-only with --take first, then --plan")
    study, text = read_study(options.config, options.bindings)
    request = Request(**{field.name: getattr(options, field.name) for field in fields(Request)})
    if options.plan:
        print(plan_text(study, request))
        return 0
    return run_study(study, text, request)


if __name__ == "__main__":
    main()
