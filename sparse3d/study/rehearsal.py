"""Building what each job of a study will build, before the first one is run: what only a constructor refuses."""

from __future__ import annotations

from collections.abc import Iterable

from sparse3d import config, run
from sparse3d.errors import InputError
from sparse3d.probing.probe import FeatureProbe
from sparse3d.study.jobs import Job
from sparse3d.training.transfer import InitSettings, prepare_transfer


def rehearse(jobs: Iterable[Job]) -> None:
    """Builds the task and the network of every different config once; no data but lists of scenes is read.

    The global gin config is replaced.

    Raises:
        InputError: an option that a job would refuse, with the job's title.
    """
    seen: set[tuple[object, ...]] = set()
    for job in jobs:
        config_of_it = (job.kind, job.recipe, job.roots, job.parent is None)
        if not job.recipe.files or config_of_it in seen:
            continue
        seen.add(config_of_it)
        try:
            _build(job)
        except InputError as error:
            raise InputError(f"{job.title}: {error}") from error


def _build(job: Job) -> None:
    bindings = [*job.recipe.bindings, *job.given, *(f"{name} = {value!r}" for name, value in job.roots)]
    if job.parent is not None:
        bindings.append("init.checkpoint = 'what its pre-training will leave'")
    config.load_config(job.recipe.files, bindings)
    with config.configured_calls():
        if job.kind == "probe":
            prepare_transfer(FeatureProbe().build_backbone(), InitSettings(), load=False)
            config.check_all_used(config.PROBE_ROOTS)
        else:
            task = run.build_task()
            prepare_transfer(task.build_model(), InitSettings(), load=False)
            run.check_config(task)
