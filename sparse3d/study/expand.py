"""From a study's options to its plan: every job once, and the cells that wait for it."""

from __future__ import annotations

from dataclasses import replace

from sparse3d.errors import InputError
from sparse3d.study.fingerprints import config_of, data_of, leaves_decoder, steps_of
from sparse3d.study.jobs import MEASURES, Cell, Job, Plan, Recipe, key_of
from sparse3d.study.options import Study, StudyFinetune, StudyMatching, StudyProbe, StudyRow, StudyTask

_PRETRAIN = ("train.tensorboard = False", "train.picture_every = 0")
_FINETUNE = (*_PRETRAIN, "train.best_metric = None")
PROTOCOLS = ("rotated", "aligned")


def expand(study: Study, most: int | None = None) -> Plan:
    """The plan of a study.

    Args:
        study: its options.
        most: at most so many label sets and seeds.

    Raises:
        InputError: a config that is wrong, or data that is not there.
    """
    builder = _Builder(study, most)
    for number, row in enumerate(study.rows):
        for place, task in enumerate(study.tasks):
            if row.does(task.name):
                builder.add(row, number, task, place)
        if study.costs and row.pretrain is not None:
            builder.add_cost(row, number)
    builder.share_random_recall()
    builder.check_places()
    builder.note_lonely_cells()
    jobs = dict(sorted(builder.jobs.items(), key=lambda entry: entry[1].order))
    return Plan(jobs, builder.cells, builder.costs, builder.notes)


class _Builder:
    def __init__(self, study: Study, most: int | None) -> None:
        self.study, self.most = study, most
        self.jobs: dict[str, Job] = {}
        self.cells: list[Cell] = []
        self.costs: dict[str, str] = {}
        self.notes: list[str] = []

    def add(self, row: StudyRow, number: int, task: StudyTask, place: int) -> None:
        """The cells of a row and task, with their jobs."""
        if isinstance(task, StudyMatching):
            self._add_matching(row, number, task, place)
            return
        if row.shares is not None and not set(row.shares) & set(task.shares):
            self.notes.append(f"{row.name} has no share in common with {task.name}, and so no cell there")
        for k, share in enumerate(task.shares):
            if row.shares is not None and share not in row.shares:
                continue
            for label_set, seed in self.study.replicates(task.label_sets[k], row, self.most):
                order = (label_set, seed, place, k, number, 1)
                if isinstance(task, StudyFinetune):
                    job = self._finetune(row, task, k, label_set, seed, order)
                    self.cells.append(Cell(row.name, task.name, share, label_set, seed, job.key, task.figure))
                    continue
                job = self._probe(row, task, k, label_set, seed, order)
                self.cells += [
                    Cell(row.name, kind, share, label_set, seed, job.key, "miou_point", kind) for kind in task.kinds
                ]

    def add_cost(self, row: StudyRow, number: int) -> None:
        """The job that counts what the parts of a row's pre-training cost."""
        assert row.pretrain is not None
        text = config_of(row.pretrain)
        key = key_of(kind="cost", config=text, data=data_of(self.study.pretrain_data))
        roots = (("DATA_ROOT", self.study.pretrain_data),)
        job = Job("cost", key, f"cost of {row.name}", row.pretrain, roots=roots, seconds=15.0, order=(1 << 30, number))
        self.costs[row.name] = self._once(job).key

    def share_random_recall(self) -> None:
        """Rows without a pre-training show the random network that the first row's measurement brought along.

        Differences are not taken from it, but from the one that each row's own measurement brings: it has the row's
        size of voxels and its readouts.
        """
        by_name = {row.name: row for row in self.study.rows}
        made = [cell for cell in self.cells if cell.figure.endswith("_pretrained")]
        for row in self.study.rows:
            seen: set[tuple[str, int]] = set()
            for cell in made if row.pretrain is None else ():
                same = by_name[cell.row].network == row.network and (cell.task, cell.seed) not in seen
                if same and row.does(cell.task.rpartition("_")[0]):
                    seen.add((cell.task, cell.seed))
                    assert cell.reference is not None
                    self.cells.append(replace(cell, row=row.name, figure=cell.reference, reference=None, borrowed=True))

    def check_places(self) -> None:
        """Raises InputError where two tasks answer the same place of the table."""
        seen: set[tuple[object, ...]] = set()
        for cell in self.cells:
            place = (cell.row, cell.place, cell.pair)
            if place in seen:
                raise InputError(
                    f"Study.tasks: two of them give {cell.task} of row {cell.row}; a study has one StudyProbe for each "
                    "kind of features and method, so put the other one into a study of its own"
                )
            seen.add(place)

    def note_lonely_cells(self) -> None:
        """Says which cells cannot be compared, because their baseline has none with the same label set and seed."""
        there = {(cell.row, cell.place, cell.pair) for cell in self.cells}
        for row in self.study.rows:
            against = self.study.baseline_of(row)
            mine = [cell for cell in self.cells if cell.row == row.name]
            if self.study.row(against).pretrain is None:
                mine = [cell for cell in mine if cell.reference is None]  # they bring their own random network
            lonely = sum((against, cell.place, cell.pair) not in there for cell in mine)
            if lonely:
                self.notes.append(f"{lonely} of {len(mine)} cells of {row.name} have no partner in {against}")

    def _once(self, job: Job) -> Job:
        known = self.jobs.get(job.key)
        if known is None or job.order < known.order:
            self.jobs[job.key] = job if known is None else replace(known, order=job.order)
        return self.jobs[job.key]

    def _pretrain(self, row: StudyRow, seed: int, order: tuple[int, ...]) -> Job | None:
        if row.pretrain is None:
            return None
        recipe = Recipe(row.pretrain.files, (*_PRETRAIN, *row.pretrain.bindings))
        text, given = config_of(recipe), (f"train.seed = {seed}",)
        root = self.study.pretrain_data
        key = key_of(kind="pretrain", config=text, given=given, data=data_of(root))
        steps = steps_of(text)
        return self._once(
            Job(
                "pretrain",
                key,
                f"pretrain {row.name}, seed {seed}",
                recipe,
                given,
                roots=(("DATA_ROOT", root),),
                steps=steps,
                seconds=steps * row.seconds_per_step,
                order=(*order[:-1], 0),
            )
        )

    def _finetune(
        self, row: StudyRow, task: StudyFinetune, k: int, label_set: int, seed: int, order: tuple[int, ...]
    ) -> Job:
        parent = self._pretrain(row, seed, order)
        if parent is not None and row.parts == "all":
            _check_decoder(parent, f"{row.name}/StudyRow.parts = 'all'")
        steps = max(1, round(task.steps[k] * row.step_factor))
        every = -(-steps // task.evaluations)
        own = (f"train.steps = {steps}", f"train.eval_every = {every}")
        recipe = Recipe(task.files, (*_FINETUNE, *task.bindings, *row.network, *row.finetune, *own))
        # Every cell of a column and (label set, seed) has the same rooms, order of rooms and start of the head.
        given = (*_rooms(task.shares[k], label_set), f"train.seed = {1000 * seed + label_set}")
        given += (f"init.parts = {row.parts!r}",) if parent is not None else ()
        title = f"{task.name} {row.name}, {task.shares[k]:.3g} of the rooms, set {label_set}, seed {seed}"
        seconds = steps * task.seconds_per_step + task.overhead
        return self._labelled("finetune", title, recipe, given, parent, steps, seconds, order)

    def _probe(self, row: StudyRow, task: StudyProbe, k: int, label_set: int, seed: int, order: tuple[int, ...]) -> Job:
        parent = self._pretrain(row, seed, order)
        if parent is not None and "decoder" in task.features:
            _check_decoder(parent, f"{task.name}/StudyProbe.features = {task.features!r} (row {row.name})")
        own = (f"FeatureProbe.features = {task.features!r}", f"FeatureProbe.methods = {task.methods!r}")
        recipe = Recipe(task.files, (*task.bindings, *row.network, *own))
        given = (*_rooms(task.shares[k], label_set), f"FeatureProbe.seed = {label_set}")
        # A pre-trained network does not depend on where it started once it is loaded.
        parts = "all" if "decoder" in task.features else "encoder"
        given += (f"init.parts = {parts!r}",) if parent is not None else (f"FeatureProbe.network_seed = {seed}",)
        title = f"{task.name} {row.name}, {task.shares[k]:.3g} of the rooms, set {label_set}, seed {seed}"
        return self._labelled("probe", title, recipe, given, parent, 0, task.seconds, order)

    def _labelled(
        self,
        kind: str,
        title: str,
        recipe: Recipe,
        given: tuple[str, ...],
        parent: Job | None,
        steps: int,
        seconds: float,
        order: tuple[int, ...],
    ) -> Job:
        root, above = self.study.data, None if parent is None else parent.key
        key = key_of(
            kind=kind, config=config_of(recipe), given=given, data=data_of(root), parent=above, measures=MEASURES
        )
        roots = (("DATA_ROOT", root),)
        return self._once(
            Job(kind, key, title, recipe, given, roots, parent=above, steps=steps, seconds=seconds, order=order)
        )

    def _add_matching(self, row: StudyRow, number: int, task: StudyMatching, place: int) -> None:
        if task.folder is None:
            note = f"{task.name} was left out: {task.name}/StudyMatching.folder names no frames"
            self.notes += [] if note in self.notes else [note]
            return
        if row.pretrain is None:
            return
        for seed in range(min(self.study.seeds, row.seeds or self.study.seeds, self.most or self.study.seeds)):
            order = (0, seed, place, 0, number, 1)
            parent = self._pretrain(row, seed, order)
            assert parent is not None
            key = key_of(kind="matching", parent=parent.key, options=task.arguments, data=data_of(task.folder))
            title = f"{task.name} {row.name}, seed {seed}"
            arguments = ("--data", task.folder, *task.arguments)
            job = Job(
                "matching", key, title, Recipe(()), arguments=arguments, parent=parent.key, seconds=task.seconds,
                order=order,
            )  # fmt: skip
            self._once(job)
            for protocol in PROTOCOLS:
                name, recall = f"{task.name}_{protocol}", f"recall_{protocol}"
                figure, reference = f"{recall}_pretrained", f"{recall}_random"
                self.cells.append(Cell(row.name, name, None, None, seed, key, figure, reference=reference))


def _rooms(share: float, label_set: int) -> tuple[str, ...]:
    """Bindings for a label set: with one ``label_set`` the rooms of a smaller share are among a larger one's."""
    return f"train/PreparedSplit.share = {share}", f"train/PreparedSplit.share_seed = {label_set}"


def _check_decoder(pretrain: Job, asked: str) -> None:
    try:
        there = leaves_decoder(pretrain.recipe)
    except InputError as error:
        raise InputError(f"{pretrain.title}: {error}") from error
    if not there:
        raise InputError(
            f"{asked} asks for the decoder, and no loss of its pre-training reads one, so that none is kept: bind "
            "PretrainTask.kt_readout or mv_readout to 'decoder' in the row, or leave the task out of StudyRow.tasks"
        )
