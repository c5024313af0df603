"""A study's report, made anew from the jobs' results at any time: lines, tables, figures."""

from __future__ import annotations

from typing import Any

from sparse3d.study.cost_table import cost_table
from sparse3d.study.exchange import LINES, jobs_text
from sparse3d.study.figures import write_figures
from sparse3d.study.jobs import Plan
from sparse3d.study.options import Study
from sparse3d.study.results import Scores, as_lines, collect
from sparse3d.study.schedule import clock_text
from sparse3d.study.store import Store
from sparse3d.study.tables import csv_text, task_tables
from sparse3d.whole_files import write_durable_text

TABLE, FIGURES = "table.md", "figures"  # in a study's folder


def write_tables(study: Study, plan: Plan, store: Store) -> Scores:
    """``results.jsonl``, ``jobs.jsonl``, ``table.md`` and ``table.csv``, each written whole."""
    records = collect(plan, store)
    scores = Scores(study, records)
    write_durable_text(store.out / "results.jsonl", as_lines(records))
    write_durable_text(store.out / LINES, jobs_text(plan, store))
    write_durable_text(store.out / "table.csv", csv_text(scores))
    parts = [f"# {study.title}", _state(plan, store, records)]
    parts += [task_tables(study, scores)] if records else []
    costs = cost_table(study, plan, store)
    parts += ["### Cost", costs] if costs else []
    write_durable_text(store.out / TABLE, "\n\n".join(parts) + "\n")
    return scores


def write_report(study: Study, plan: Plan, store: Store) -> None:
    """:func:`write_tables`, and the figures."""
    write_figures(study, write_tables(study, plan, store), store.out / FIGURES)


def _state(plan: Plan, store: Store, records: list[dict[str, Any]]) -> str:
    done = [found for job in plan.jobs.values() if (found := store.done(job)) is not None]
    seconds, cpu = (sum(found[name] for found in done) for name in ("seconds", "cpu_seconds"))
    lines = [
        f"{len(records)} of {len(plan.cells)} cells, {len(done)} of {len(plan.jobs)} jobs done, "
        f"{clock_text(seconds)} of jobs' time, {clock_text(cpu)} of processor time."
    ]
    commits = sorted({found["commit"] for found in done})
    if commits:
        mixed = " (results of several commits stand side by side)" if len(commits) > 1 else ""
        lines.append(f"Commit: {', '.join(commits)}{mixed}. Every cell's command and config: results.jsonl.")
    cpus = sorted({found["cpu"] for found in done if found.get("cpu")})
    lines += [f"CPU: {', '.join(cpus)}."] if cpus else []
    empty = sum(record["score"] is None for record in records)
    lines += [f"{empty} cells have a score that is no number, and are left out."] if empty else []
    for key, why in store.failures(plan.jobs.values()).items():
        lines.append(f"Failed: {plan.jobs[key].title} ({plan.jobs[key].name}): {why}")
    if strangers := store.strangers(plan.jobs):
        lines.append(f"{strangers} job folders are of no cell of this table: they were made by another form of it.")
    return "  \n".join([*lines, *plan.notes])
