"""What a study consists of: jobs (one process each), keyed by what determines them, and the cells they answer."""

from __future__ import annotations

import hashlib
import json
import shlex
import sys
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from sparse3d.errors import InputError

FORMAT = 1  # raised when jobs of an older sparse3d may no longer be taken for done
MEASURES = 2  # the same of fine-tunings and probes alone, where their figures come to mean something else
KINDS = ("pretrain", "finetune", "probe", "matching", "cost")
JOBS, RUN, OUTPUT = "jobs", "run", "figures.json"
TEACHER = "teacher"  # the folder of its features: the study's pre-trainings see the same images


@dataclass(frozen=True)
class Recipe:
    """A config before seeds and paths: gin files, and bindings over them."""

    files: tuple[str, ...]
    bindings: tuple[str, ...] = ()


@dataclass(frozen=True)
class Job:
    """One process. Two jobs with the same key would give the same figures, so one of them is run.

    Attributes:
        kind: one of :data:`KINDS`.
        key: 16 hexadecimal digits, of everything that determines the job's figures.
        title: what a person reads; of the first cell that wants it.
        recipe: the config; empty for ``matching``, which takes it from the checkpoint.
        given: bindings that differ from cell to cell: seeds, shares.
        roots: macros and paths of data: they are in the command, and in the key by what lies there.
        arguments: further ones of the command.
        parent: key of the pre-training whose checkpoint it starts from, or None.
        steps: optimiser steps, 0 where there are none.
        seconds: how long it may take, a guess.
        order: earlier is run first, as far as parents allow.
    """

    kind: str
    key: str
    title: str
    recipe: Recipe
    given: tuple[str, ...] = ()
    roots: tuple[tuple[str, str], ...] = ()
    arguments: tuple[str, ...] = ()
    parent: str | None = None
    steps: int = 0
    seconds: float = 0.0
    order: tuple[int, ...] = field(default=(), compare=False)

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{self.kind}-{self.key}"

    def folder(self, out: Path) -> Path:
        """Where it writes, below the study's folder."""
        return out / JOBS / self.name

    def command(self, out: Path, resume: bool = False) -> list[str]:
        """The command line that does it, and that repeats it."""
        folder = self.folder(out)
        checkpoint = None if self.parent is None else str(checkpoint_of(out, self.parent))
        if self.kind == "matching":
            assert checkpoint is not None
            return [*_tool("evaluate"), checkpoint, *self.arguments, "--json"]
        # First, so that the study's own bindings may name another place.
        bindings = [f"PretrainTask.teacher_cache = {str(out / TEACHER)!r}"] if self.kind == "pretrain" else []
        bindings += [*self.recipe.bindings, *self.given]
        bindings += [f"{name} = {value!r}" for name, value in self.roots]
        if checkpoint is not None:
            bindings.append(f"init.checkpoint = {checkpoint!r}")
        command = [*_tool("probe" if self.kind == "probe" else "train")]
        if self.kind == "cost":
            command = [sys.executable, "-m", "sparse3d.study.costs"]
        command += [*self.recipe.files, *(word for text in bindings for word in ("--set", text))]
        command += ["--out", str(folder / (RUN if self.kind in ("pretrain", "finetune") else OUTPUT))]
        return [*command, *self.arguments, *(("--resume",) if resume else ())]


@dataclass(frozen=True)
class Cell:
    """One figure of the table: where it stands, and where it is found.

    Attributes:
        row, task: names.
        share: of the labelled rooms, None where the task has no labels.
        label_set: which rooms; None as above.
        seed: of the pre-training; fine-tuning draws from it too, so that cells of two rows pair.
        job: key of the job.
        figure: the score's name among the job's figures.
        section: the group of the job's figures to look in, "" for all of them.
        reference: the figure of a random network that the same job measured, which is then what rows without a
            pre-training have there.
        borrowed: the job is another row's, which measured this one along the way.
    """

    row: str
    task: str
    share: float | None
    label_set: int | None
    seed: int
    job: str
    figure: str
    section: str = ""
    reference: str | None = None
    borrowed: bool = False

    @property
    def place(self) -> tuple[str, float | None]:
        """Task and share: the column of the table."""
        return self.task, self.share

    @property
    def pair(self) -> tuple[int | None, int]:
        """What cells of two rows must have in common to be compared."""
        return self.label_set, self.seed


@dataclass
class Plan:
    """Jobs by key, in the order they are run, and the cells."""

    jobs: dict[str, Job]
    cells: list[Cell]
    costs: dict[str, str]  # row -> key of the job that counts its parts
    notes: list[str]  # what was left out, and why

    def for_rows(self, rows: Iterable[str]) -> list[Job]:
        """The jobs that these rows need, pre-trainings included, in order."""
        wanted = set(rows)
        keys = {cell.job for cell in self.cells if cell.row in wanted and not cell.borrowed}
        keys |= {key for row, key in self.costs.items() if row in wanted}
        keys |= {parent for key in keys if (parent := self.jobs[key].parent) is not None}
        return [job for key, job in self.jobs.items() if key in keys]

    def figures_wanted(self) -> dict[str, set[tuple[str, str]]]:
        """By the job's key: the (section, figure)s that cells will look for."""
        found: dict[str, set[tuple[str, str]]] = {}
        for cell in self.cells:
            named = {cell.figure} | ({cell.reference} if cell.reference else set())
            found.setdefault(cell.job, set()).update((cell.section, figure) for figure in named)
        return found


def key_of(**parts: object) -> str:
    """16 hexadecimal digits of what determines a job; parts must be JSON."""
    text = json.dumps({"format": FORMAT, **parts}, sort_keys=True)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:16]


def checkpoint_of(out: Path, key: str) -> Path:
    """The checkpoint that a pre-training leaves."""
    return out / JOBS / f"pretrain-{key}" / RUN / "checkpoints" / "last.pt"


def shown_command(command: list[str]) -> str:
    """A command as one types it here: the interpreter and what lies below this folder without their full paths."""
    here = f"{Path.cwd()}/"
    return shlex.join(["python" if word == sys.executable else word.removeprefix(here) for word in command])


def _tool(name: str) -> list[str]:
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "tools", package.parent / "tools"):
        if (path := folder / f"{name}.py").is_file():
            return [sys.executable, str(path)]
    raise InputError(f"tools/{name}.py is not beside sparse3d: install it anew")
