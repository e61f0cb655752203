"""Which runs of a recovery plan may be asked for now: a plan in, runs out. Nothing here asks or remembers."""

from collections.abc import Iterable, Iterator
from fnmatch import fnmatchcase
from typing import Final, NamedTuple

from detector.core.messages import Redo
from detector.core.recovery import PlanStep, RecoveryPlan

TYPE: Final = "io.detector.recovery.plan.v1"


class Ask(NamedTuple):
    """One run that an executor may be asked to redo, for one plan."""

    plan: str
    job: str
    run: Redo


def done(step: PlanStep) -> bool:
    """Whether each run of the step was seen to be redone."""
    return all(run.done_by is not None for run in step.runs)


def ready(plan: RecoveryPlan) -> list[Ask]:
    """The runs that wait for nothing, in the order of the plan.

    A job that a step must come after and that has no step has nothing to redo. Of steps that wait for each other, which
    no plan should have, none is ever ready.
    """
    return [Ask(plan.plan, step.job, run) for step in _free(plan) for run in step.runs if run.done_by is None]


def waiting(plan: RecoveryPlan) -> list[PlanStep]:
    """The steps that must wait for others, in the order of the plan."""
    free = [step.job for step in _free(plan)]
    return [step for step in plan.steps if step.job not in free and not done(step)]


def _free(plan: RecoveryPlan) -> Iterator[PlanStep]:
    if plan.state != "open":
        return
    undone = {step.job for step in plan.steps if not done(step)}
    # A step with nothing to redo, or that somebody has redone too early, hands on what it waits for.
    while more := {step.job for step in plan.steps if step.job not in undone and not undone.isdisjoint(step.after)}:
        undone |= more
    for step in plan.steps:
        if undone.isdisjoint(step.after):
            yield step


def namespace_and_name(job: str) -> tuple[str, str]:
    """The namespace and the name of `job:<namespace>/<name>`. A namespace may have slashes, Airflow's names have none.

    Raises `ValueError` for what is no job.
    """
    kind, _, rest = job.partition(":")
    namespace, slash, name = rest.rpartition("/")
    if kind != "job" or not slash or not name:
        raise ValueError(f"{job} is no job")
    return namespace, name


def in_namespaces(job: str, globs: Iterable[str]) -> bool:
    """Whether the namespace of the job matches one of the globs."""
    try:
        namespace, _ = namespace_and_name(job)
    except ValueError:
        return False
    return any(fnmatchcase(namespace, glob) for glob in globs)
