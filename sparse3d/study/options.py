"""The options of a study, as gin binds them; ``gin/base/study.gin`` explains each.

Rows and tasks are named by their scope: ``mvnet/StudyRow.bindings = [...]`` is the row ``mvnet``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import gin

from sparse3d.checks import at_least, one_of, positive, require
from sparse3d.errors import InputError
from sparse3d.probing.features import KINDS as FEATURES
from sparse3d.probing.probe import METHODS  # its module makes FeatureProbe known to gin, too
from sparse3d.study.jobs import Recipe
from sparse3d.training.transfer import PARTS

PAIRINGS = ("all", "alternate")


def _named(kind: str, name: str | None) -> str:
    found = name or gin.current_scope_str()
    if not found:
        raise InputError(f"{kind}: write it with a scope, as in @mine/{kind}(), which names it")
    return found


@gin.configurable
class StudyRow:
    """A pre-training (or none) and how it is carried over.

    Args:
        title: what the table shows; None takes the name.
        files: gin files of the pre-training; none for a start from random weights.
        common: bindings over them that all rows share (bind it without a scope).
        bindings: this row's own.
        network: bindings of the network: given to pre-training, fine-tuning and probes alike.
        finetune: bindings of the fine-tuning.
        parts: what fine-tuning takes over, ``encoder`` or ``all``.
        tasks: names of the tasks to do; None does all.
        shares: of the labelled scenes, of those that a task has; None takes all.
        label_sets: at most so many label sets; None: as many as the task says.
        seeds: at most so many seeds of the pre-training; None: as many as the study has.
        step_factor: fine-tuning has so many times the task's steps.
        baseline: the row that its differences are taken from; None takes the study's.
        seconds_per_step: of the pre-training, for the estimate before any was run.
        color: in figures, ``#rrggbb``; None takes one by the row's place. Rows of one colour differ in dashes.
        name: instead of the scope.

    Raises:
        InputError: an option out of its range.
    """

    def __init__(
        self,
        title: str | None = None,
        files: Sequence[str] = (),
        common: Sequence[str] = (),
        bindings: Sequence[str] = (),
        network: Sequence[str] = (),
        finetune: Sequence[str] = (),
        parts: str = "encoder",
        tasks: Sequence[str] | None = None,
        shares: Sequence[float] | None = None,
        label_sets: int | None = None,
        seeds: int | None = None,
        step_factor: float = 1.0,
        baseline: str | None = None,
        seconds_per_step: float = 0.6,
        color: str | None = None,
        name: str | None = None,
    ) -> None:
        self.name = _named("StudyRow", name)
        if color is not None and not re.fullmatch("#[0-9A-Fa-f]{6}", color):
            raise InputError(f"{self.name}/StudyRow.color = {color!r}: must be like '#0072B2'")
        self.title = title or self.name
        one_of(f"{self.name}/StudyRow.parts", parts, PARTS)
        positive(f"{self.name}/StudyRow.step_factor", step_factor)
        at_least(f"{self.name}/StudyRow.label_sets", label_sets, 1)
        at_least(f"{self.name}/StudyRow.seeds", seeds, 1)
        if bindings and not files:
            raise InputError(f"{self.name}/StudyRow.bindings are of a pre-training, but its files are none")
        self.files, self.network, self.finetune = tuple(files), tuple(network), tuple(finetune)
        self.pretrain = Recipe(self.files, (*common, *network, *bindings)) if files else None
        self.parts, self.tasks, self.shares = parts, tasks, shares
        self.label_sets, self.seeds, self.step_factor = label_sets, seeds, step_factor
        self.baseline, self.seconds_per_step, self.color = baseline, seconds_per_step, color

    def does(self, task: str) -> bool:
        """Whether the row has a task."""
        return self.tasks is None or task in self.tasks


class _Labelled:
    """What tasks with labels share: shares and label sets."""

    def __init__(self, name: str, shares: Sequence[float], label_sets: int | Sequence[int]) -> None:
        self.name = name
        self.shares = tuple(shares)
        sets = (label_sets,) * len(self.shares) if isinstance(label_sets, int) else tuple(label_sets)
        if len(sets) != len(self.shares) or min(sets, default=1) < 1:
            raise InputError(f"{name}: label_sets = {label_sets!r}: one number of at least 1, or one for each share")
        if not self.shares or not all(0 < share <= 1 for share in self.shares) or len(set(shares)) < len(self.shares):
            raise InputError(f"{name}: shares = {tuple(shares)}: different numbers in (0, 1] are needed")
        self.label_sets = sets


@gin.configurable
class StudyFinetune(_Labelled):
    """Fine-tuning, measured by the last evaluation of the run (the best one would be chosen by the validation scenes).

    Args:
        files: gin files.
        bindings: over them.
        shares: of the labelled scenes.
        label_sets: how often each share is drawn: one number, or one a share.
        steps: of the optimiser: one number, or one a share.
        evaluations: points of the training curve.
        figure: the score's name among the validation figures.
        title: what the table shows; None takes the name.
        seconds_per_step, overhead: for the estimate before any was run.
        name: instead of the scope.

    Raises:
        InputError: an option out of its range.
    """

    def __init__(
        self,
        files: Sequence[str] = gin.REQUIRED,
        bindings: Sequence[str] = (),
        shares: Sequence[float] = (0.05, 0.1, 1.0),
        label_sets: int | Sequence[int] = 5,
        steps: int | Sequence[int] = 1000,
        evaluations: int = 5,
        figure: str = "miou_point",
        title: str | None = None,
        seconds_per_step: float = 1.0,
        overhead: float = 30.0,
        name: str | None = None,
    ) -> None:
        super().__init__(_named("StudyFinetune", name), shares, label_sets)
        self.steps = (steps,) * len(self.shares) if isinstance(steps, int) else tuple(steps)
        right = len(self.steps) == len(self.shares) and min(self.steps) >= 1
        require(right, f"{self.name}/StudyFinetune.steps", steps, "at least 1: one number, or one a share")
        at_least(f"{self.name}/StudyFinetune.evaluations", evaluations, 1)
        self.files, self.bindings, self.evaluations, self.figure = tuple(files), tuple(bindings), evaluations, figure
        self.title = title or self.name
        self.seconds_per_step, self.overhead = seconds_per_step, overhead


@gin.configurable
class StudyProbe(_Labelled):
    """Linear probe and k-NN of frozen features; each (method, features) is a task of its own, ``linear_encoder``, ...

    Args:
        files, bindings, shares, label_sets: as of :class:`StudyFinetune`.
        features: ``encoder``; ``decoder``, for rows whose pre-training has a loss that reads it.
        methods: ``linear``, ``knn``.
        seconds: for the estimate before any was run.
        name: instead of the scope.

    Raises:
        InputError: an option out of its range.
    """

    def __init__(
        self,
        files: Sequence[str] = ("probe/rooms.gin",),
        bindings: Sequence[str] = (),
        shares: Sequence[float] = (0.05, 0.1),
        label_sets: int | Sequence[int] = 5,
        features: Sequence[str] = ("encoder",),
        methods: Sequence[str] = METHODS,
        seconds: float = 40.0,
        name: str | None = None,
    ) -> None:
        super().__init__(_named("StudyProbe", name), shares, label_sets)
        for option, values, known in (("features", features, FEATURES), ("methods", methods, METHODS)):
            if not values or not set(values) <= set(known):
                raise InputError(f"{self.name}/StudyProbe.{option} = {tuple(values)}: choose of {', '.join(known)}")
        self.files, self.bindings, self.seconds = tuple(files), tuple(bindings), seconds
        self.features, self.methods = tuple(features), tuple(methods)

    @property
    def kinds(self) -> list[str]:
        """The tasks that one job answers."""
        return [f"{method}_{features}" for features in self.features for method in self.methods]


@gin.configurable
class StudyMatching:
    """Matching recall on real frames; two tasks, ``NAME_rotated`` and ``NAME_aligned``.

    Args:
        folder: of the frames; None leaves the task out, and the table says so.
        first, last: frame numbers to measure on, both inclusive; None for no bound.
        pairs: of frames.
        seconds: for the estimate before any was run.
        name: instead of the scope.

    Raises:
        InputError: no pair, or a last frame before the first.
    """

    def __init__(
        self,
        folder: str | None = None,
        first: int | None = None,
        last: int | None = None,
        pairs: int = 100,
        seconds: float = 60.0,
        name: str | None = None,
    ) -> None:
        self.name, self.folder, self.pairs, self.seconds = _named("StudyMatching", name), folder, pairs, seconds
        at_least(f"{self.name}/StudyMatching.pairs", pairs, 1)
        if first is not None and last is not None:
            require(first <= last, f"{self.name}/StudyMatching.first", first, f"at most StudyMatching.last = {last}")
        self.arguments: tuple[str, ...] = ("--pairs", str(pairs), "--split", "all")
        for option, value in (("--first", first), ("--last", last)):
            self.arguments += () if value is None else (option, str(value))


StudyTask = StudyFinetune | StudyProbe | StudyMatching


@gin.configurable
class Study:
    """The whole table.

    Args:
        rows, tasks: what is compared, and by what.
        data: the root of the prepared rooms.
        pretrain_data: of the pre-training; None takes ``data``.
        seeds: of the pre-training.
        pairing: ``all`` label sets with all seeds, or ``alternate``: label set k with seed k modulo ``seeds``.
        baselines: rows that the others are compared with; the first is the main table's.
        costs: count parameters and operations of every pre-training.
        keep_checkpoints: also of fine-tuned networks, which are many.
        resamples: of the bootstrap.
        title: of the report.

    Raises:
        InputError: rows or tasks of one name, or a name that is none.
    """

    def __init__(
        self,
        rows: Sequence[StudyRow] = gin.REQUIRED,
        tasks: Sequence[StudyTask] = gin.REQUIRED,
        data: str = gin.REQUIRED,
        pretrain_data: str | None = None,
        seeds: int = 2,
        pairing: str = "all",
        baselines: Sequence[str] = ("scratch",),
        costs: bool = True,
        keep_checkpoints: bool = False,
        resamples: int = 10_000,
        title: str = "Study",
    ) -> None:
        self.rows, self.tasks = list(rows), list(tasks)
        for what, names in (("rows", [r.name for r in self.rows]), ("tasks", [t.name for t in self.tasks])):
            if not names or len(set(names)) < len(names):
                raise InputError(f"Study.{what}: {', '.join(names) or 'none'}: different names are needed")
        one_of("Study.pairing", pairing, PAIRINGS)
        at_least("Study.seeds", seeds, 1)
        at_least("Study.resamples", resamples, 1)
        self.data, self.pretrain_data = data, pretrain_data or data
        self.seeds, self.pairing, self.baselines = seeds, pairing, tuple(baselines)
        self.costs, self.keep_checkpoints, self.resamples, self.title = costs, keep_checkpoints, resamples, title
        self._check_names()

    def row(self, name: str) -> StudyRow:
        """The row of a name. Raises InputError where there is none."""
        found = next((row for row in self.rows if row.name == name), None)
        if found is None:
            raise InputError(f"row {name!r} is none of the study's: {', '.join(r.name for r in self.rows)}")
        return found

    def task_title(self, name: str) -> str:
        """What the report calls a task."""
        return next((t.title for t in self.tasks if isinstance(t, StudyFinetune) and t.name == name), name)

    def baseline_of(self, row: StudyRow) -> str:
        """The name of the row that a row's differences are taken from; a baseline's own name for itself."""
        return row.baseline or self.baselines[0]

    def _check_names(self) -> None:
        if not self.baselines:
            raise InputError("Study.baselines is empty: name a row, such as 'scratch'")
        known = {task.name for task in self.tasks}
        for name in (*self.baselines, *(row.baseline for row in self.rows if row.baseline)):
            self.row(name)
        for row in self.rows:
            if missing := sorted(set(row.tasks or ()) - known):
                raise InputError(
                    f"{row.name}/StudyRow.tasks: {missing[0]!r} is no task; there are {', '.join(sorted(known))}"
                )

    def replicates(self, label_sets: int, row: StudyRow, most: int | None = None) -> list[tuple[int, int]]:
        """(label set, seed) of a row's cells in a column of ``label_sets``; ``most`` bounds both numbers.

        A row with fewer label sets or seeds has some of the others' cells, and no others, so that all of its pair.
        """
        seeds = min(row.seeds or self.seeds, most or self.seeds)
        if self.pairing == "alternate":
            cells = [(k, k % self.seeds) for k in range(min(label_sets, most or label_sets))]
            return [cell for cell in cells if cell[1] < seeds][: row.label_sets or label_sets]
        sets = min(label_sets, row.label_sets or label_sets, most or label_sets)
        return [(k, seed) for k in range(sets) for seed in range(min(seeds, self.seeds))]
