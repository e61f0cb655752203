"""Recovery plans as the control topic tells them: the newest version of each, and in words. Pure."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from detector.core.messages import Redo
from detector.core.recovery import RecoveryPlan
from detector.core.text import moment

PLAN = "io.detector.recovery.plan.v1"
WHY = {
    "failed": "it failed",
    "missed": "it never began",
    "bad": "it read or wrote what was bad",
    "blocked": "it was held back",
}


def fold(events: Iterable[Mapping[str, Any]]) -> list[RecoveryPlan]:
    """The newest version of each plan, the newest plan first. What a newer release wrote otherwise is left out."""
    found: dict[str, RecoveryPlan] = {}
    for event in events:
        try:
            plan = msgspec.convert(event.get("data"), RecoveryPlan)
        except msgspec.ValidationError:
            continue
        if event.get("type") == PLAN and (plan.plan not in found or found[plan.plan].version < plan.version):
            found[plan.plan] = plan
    return sorted(found.values(), key=lambda plan: (-plan.opened, plan.plan))


def about(plan: RecoveryPlan, text: str) -> bool:
    """Whether a plan is meant by an entity that it is of, or by the beginning of its id or of its incident's."""
    if text.startswith(("job:", "dataset:")):
        return text in (plan.root, *(step.job for step in plan.steps))
    return plan.plan.startswith(text) or (plan.incident or "").startswith(text)


def counts(plan: RecoveryPlan) -> tuple[int, int]:
    """How many of its runs are done, and how many there are."""
    runs = [redo for step in plan.steps for redo in step.runs]
    return sum(redo.done_by is not None for redo in runs), len(runs)


def lines(plan: RecoveryPlan) -> Iterator[str]:
    """A plan for people: the steps in the order in which they must be done."""
    done, of = counts(plan)
    yield f"{plan.state}, {done} of {of} runs done: plan {plan.plan}"
    yield plan.summary
    if plan.incident is not None:
        yield f"  of incident {plan.incident}"
    if plan.last_good_run is not None:
        version = f", version {plan.last_good_version}" if plan.last_good_version else ""
        yield f"  {plan.root} was last good with run {plan.last_good_run}{version}"
    for number, step in enumerate(plan.steps, start=1):
        after = f", after {', '.join(step.after)}" if step.after else ""
        yield f"  {number}. {step.job}{after}"
        yield from (f"       {_redo(redo)}" for redo in step.runs)


def _redo(redo: Redo) -> str:
    mark = "done" if redo.done_by is not None else "todo"
    of = f"for {moment(redo.nominal_time)}" if redo.nominal_time is not None else ""
    run = f"run {redo.run_id}" if redo.run_id else ""
    by = f", by run {redo.done_by}" if redo.done_by and redo.done_by != redo.run_id else ""
    what = ", ".join(part for part in (of, run) if part) or "a run"
    return f"{mark}  {what}: {WHY[redo.why]}{by}"
