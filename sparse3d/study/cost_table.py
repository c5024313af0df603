"""What a pre-training costs: parameters and operations of its parts, seconds, and the data's preparation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sparse3d.study.jobs import Plan
from sparse3d.study.options import Study
from sparse3d.study.store import Store
from sparse3d.study.tables import markdown

PARTS = ("backbone", "readouts", "student", "teacher", "correspondence", "losses")


def cost_table(study: Study, plan: Plan, store: Store) -> str:
    """The Markdown of all that is known by now; "" for nothing."""
    rows = []
    for row in study.rows:
        key = plan.costs.get(row.name)
        counted = store.done(plan.jobs[key]) if key is not None else None
        times = _pretraining(row.name, plan, store)
        if counted is None and times[0] is None:
            continue
        parts = counted["figures"]["parts"] if counted else {}
        rows.append([row.title, *(_part_text(parts.get(part)) for part in PARTS), *map(_number, times)])
    head = ["", *PARTS, "seconds a step", "seconds in all", "processor seconds"]
    lines = [markdown(head, rows)] if rows else []
    if rows:
        lines.append(
            "Parts: parameters in thousands, and forward operations of one training batch in GFLOP (a multiplication "
            "and an addition are two; sparse convolutions by the pairs of voxels that they really join). A step also "
            "runs backward through all but the teacher, about twice the forward operations. Normalisation, "
            "pooling and comparisons are not counted."
        )
    prepared = [text for root in dict.fromkeys((study.data, study.pretrain_data)) if (text := preparation_text(root))]
    return "\n\n".join(lines + prepared)


def preparation_text(root: str) -> str:
    """Seconds and bytes of a root that tools/prepare.py wrote, by its manifest; "" where there is none."""
    path = Path(root) / "manifest.json"
    if not path.is_file():
        return ""
    totals: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")).get("totals", {})
    if not {"scenes", "frames", "seconds", "bytes"} <= totals.keys():
        return ""
    return (
        f"Preparation of {Path(root).name}: {totals['scenes']} scenes, {totals['frames']} frames in "
        f"{totals['seconds']:.0f} s, {totals['bytes'] / 1e6:.0f} MB."
    )


def _pretraining(row: str, plan: Plan, store: Store) -> list[float | None]:
    """Median seconds a step, seconds and processor seconds of a run: means over the row's pre-trainings done."""
    keys = {plan.jobs[cell.job].parent for cell in plan.cells if cell.row == row and not cell.borrowed} - {None}
    found = [done for key in sorted(str(key) for key in keys) if (done := store.done(plan.jobs[key])) is not None]
    names = ("seconds_per_step", "seconds", "cpu_seconds")
    return [sum(done[name] for done in found) / len(found) if found else None for name in names]


def _part_text(part: dict[str, float] | None) -> str:
    return "-" if part is None else f"{part['parameters'] / 1e3:,.0f} / {part['flops'] / 1e9:.3g}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3g}" if value < 100 else f"{value:,.0f}"
