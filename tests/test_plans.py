"""Which runs of a plan may be asked for: never a step before those that it comes after, and all in the end."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.core.messages import Redo
from detector.core.recovery import PlanStep, RecoveryPlan
from detector.plans import done, in_namespaces, namespace_and_name, ready, waiting
from tests.strategies import recovery_plans


def plan(*steps: PlanStep, state: str = "open") -> RecoveryPlan:
    return RecoveryPlan(
        plan="p1",
        version=1,
        root="dataset:db/raw",
        incident=None,
        state=state,  # type: ignore[arg-type]
        opened=0.0,
        steps=list(steps),
        summary="",
    )


def step(job: str, *after: str, done_by: str | None = None, runs: int = 1) -> PlanStep:
    redos = [Redo(why="missed", nominal_time=60.0 * at, done_by=done_by) for at in range(runs)]
    return PlanStep(job=job, after=list(after), runs=redos)


@pytest.mark.parametrize(
    ("given", "jobs", "waits"),
    [
        pytest.param(plan(step("a"), step("b", "a")), ["a"], ["b"], id="a step waits for the one before"),
        pytest.param(plan(step("a", done_by="r"), step("b", "a")), ["b"], [], id="what is done is waited for no more"),
        pytest.param(plan(step("a", runs=2), step("b")), ["a", "a", "b"], [], id="runs in the order of the plan"),
        pytest.param(plan(step("a", runs=0), step("b", "a")), ["b"], [], id="a step without runs is done"),
        pytest.param(
            plan(step("a"), step("b", "a", runs=0), step("c", "b")), ["a"], ["c"], id="over a step without runs, too"
        ),
        pytest.param(
            plan(step("a"), step("b", "a", done_by="r"), step("c", "b")), ["a"], ["c"], id="what was done too early"
        ),
        pytest.param(plan(step("b", "a")), ["b"], [], id="who has no step has nothing to redo"),
        pytest.param(plan(step("a", "b"), step("b", "a")), [], ["a", "b"], id="steps in a circle are never ready"),
        pytest.param(plan(step("a"), state="done"), [], ["a"], id="a plan that is done asks for nothing"),
        pytest.param(plan(step("a"), state="abandoned"), [], ["a"], id="nor does one that was given up"),
    ],
)
def test_what_may_be_asked_for(given: RecoveryPlan, jobs: list[str], waits: list[str]) -> None:
    assert [ask.job for ask in ready(given)] == jobs
    assert [step.job for step in waiting(given)] == waits


@given(recovery_plans(), st.data())
def test_in_any_order_of_endings_each_run_is_ready_once_and_after_all_that_it_waits_for(
    given: RecoveryPlan, data: st.DataObject
) -> None:
    asked: list[tuple[str, Redo]] = []
    going: list[tuple[str, Redo]] = []
    before = ancestors(given)
    while not all(map(done, given.steps)):
        finished = {one.job for one in given.steps if done(one)}
        fresh = [(ask.job, ask.run) for ask in ready(given) if (ask.job, ask.run) not in asked]
        for job, _ in fresh:
            assert before[job] <= finished
        asked += fresh
        going += fresh
        assert going, "something is undone, and nothing goes on: the plan would stand still"
        given = seen(given, *going.pop(data.draw(st.integers(0, len(going) - 1))))

    runs = [(one.job, msgspec.structs.replace(run, done_by=None)) for one in given.steps for run in one.runs]
    assert sorted(asked, key=repr) == sorted(runs, key=repr)
    assert (ready(given), waiting(given)) == ([], [])


def ancestors(plan: RecoveryPlan) -> dict[str, set[str]]:
    """All that a step comes after, over any number of steps between."""
    found: dict[str, set[str]] = {}
    for one in plan.steps:
        found[one.job] = set(one.after).union(*(found[job] for job in one.after))
    return found


def seen(plan: RecoveryPlan, job: str, run: Redo) -> RecoveryPlan:
    """The next version of the plan, after a run was seen to be redone."""
    replace = msgspec.structs.replace
    steps = [
        replace(
            step, runs=[replace(one, done_by="seen") if (step.job, one) == (job, run) else one for one in step.runs]
        )
        for step in plan.steps
    ]
    return replace(plan, version=plan.version + 1, steps=steps)


@pytest.mark.parametrize(
    ("job", "parts"),
    [
        ("job:airflow/orders.load", ("airflow", "orders.load")),
        ("job:airflow://prod/eu/orders", ("airflow://prod/eu", "orders")),
    ],
)
def test_the_name_of_a_job_is_what_follows_the_last_slash(job: str, parts: tuple[str, str]) -> None:
    assert namespace_and_name(job) == parts


@pytest.mark.parametrize("key", ["dataset:db/orders", "job:orders", "job:airflow/", "orders", ""])
def test_what_is_no_job_has_no_name_and_is_nobodys(key: str) -> None:
    with pytest.raises(ValueError, match="is no job"):
        namespace_and_name(key)

    assert not in_namespaces(key, ["*"])


@pytest.mark.parametrize(
    ("globs", "ours"), [(["airflow"], True), (["dbt", "air*"], True), (["dbt"], False), ([], False), (["*"], True)]
)
def test_a_job_is_that_of_an_executor_by_its_namespace(globs: list[str], ours: bool) -> None:
    assert in_namespaces("job:airflow/orders.load", globs) is ours
