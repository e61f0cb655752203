"""What must be redone after something was bad: which runs, in which order, and how one sees that they were."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.core.commands import AbandonPlan, Feedback, SetOverride
from detector.core.emissions import Rollback
from detector.core.events import Assertion, Dataset, RunEvent
from detector.core.messages import Redo, RunsTold
from detector.core.recovery import RecoveryPlan, in_order, told_of
from detector.core.rules import Rules, Settings
from tests.core.company import Company
from tests.core.test_board import ROOT, hear, stops
from tests.core.test_lineage import chain, company, told
from tests.core.world import DAY, HOUR, MINUTE, MONDAY
from tests.strategies import examples

CHAIN = (("load", "", "raw"), ("clean", "raw", "orders"), ("join", "orders", "facts"))


def watched() -> Company:
    """Where schedules are learned, so that one knows what did not run."""
    return Company(MONDAY, rules=Rules(Settings(hanging=None)))


def run(made: Company, job: str, at: float, good: bool = True, state: str = "COMPLETE", nominal: float = 0.0) -> str:
    """A run of a job of the chain for its nominal time, at `at`."""
    inputs, outputs = next((i, o) for name, i, o in CHAIN if name == job)
    read = tuple(Dataset("db", name) for name in inputs.split())
    checks, version = (Assertion("sane", good),), f"v{at:.0f}"
    written = tuple(Dataset("db", name, rows=9.0, version=version, assertions=checks) for name in outputs.split())
    run_id = f"{job}@{at:.0f}"
    for kind in ("START", state):
        outs = written if kind != "START" else ()
        made.tell(
            RunEvent("ns", job, run_id, kind, at, inputs=read, outputs=outs, nominal_time=nominal or at)  # type: ignore[arg-type]
        )
    made.settle()
    return run_id


def days(made: Company, count: int) -> None:
    """So many days on which all goes well: at midnight, and an hour and two after."""
    for _ in range(count):
        for hours, (job, _, _) in enumerate(CHAIN):
            run(made, job, made.now, nominal=made.now - hours * HOUR)
            made.wait(HOUR)
        made.wait(21 * HOUR)


def plans(made: Company) -> list[RecoveryPlan]:
    return [data for e in made.said if isinstance(data := e.data, RecoveryPlan)]


def short(plan: RecoveryPlan) -> list[tuple[str, list[str], list[tuple[str, float | None]]]]:
    """The steps of a plan: job, after which, and (why, nominal time in hours since Monday)."""
    return [
        (
            step.job.removeprefix("job:ns/"),
            [name.removeprefix("job:ns/") for name in step.after],
            [(r.why, None if r.nominal_time is None else (r.nominal_time - MONDAY) / HOUR) for r in step.runs],
        )
        for step in plan.steps
    ]


def test_what_was_held_back_is_to_be_redone_after_what_was_bad() -> None:
    made = watched()
    days(made, 6)
    run(made, "load", made.now, good=False)
    made.wait(DAY)
    run(made, "load", made.now)
    made.wait(MINUTE, every=5)

    (plan,) = plans(made)
    bad = 6 * 24.0
    assert short(plan) == [
        ("load", [], [("bad", bad)]),
        ("clean", ["load"], [("blocked", bad)]),
        ("join", ["clean"], [("blocked", bad)]),
    ]
    assert plan.summary == "dataset:db/raw is good again: redo 3 runs of 3 jobs (1 bad, 2 blocked)"


def test_runs_that_read_what_was_bad_are_bad_and_those_that_failed_failed() -> None:
    made = watched()
    days(made, 6)
    made.tell(RunEvent("ns", "load", "late", "START", made.now, nominal_time=made.now))
    run(made, "clean", made.now + MINUTE, nominal=made.now)
    bad = Dataset("db", "raw", rows=9.0, assertions=(Assertion("sane", False),))
    made.tell(RunEvent("ns", "load", "late", "COMPLETE", made.now + 2 * MINUTE, outputs=(bad,)))
    made.wait(HOUR)
    run(made, "join", made.now, state="FAIL", nominal=made.now)
    run(made, "load", made.now + MINUTE)
    made.wait(5 * MINUTE)

    (plan,) = plans(made)
    assert [(job, [why for why, _ in runs]) for job, _, runs in short(plan)] == [
        ("load", ["bad"]),
        ("clean", ["bad"]),
        ("join", ["failed"]),
    ]


def test_a_plan_is_followed_run_by_run_to_its_end() -> None:
    made = watched()
    days(made, 6)
    nominal = made.now
    run(made, "load", made.now, good=False)
    made.wait(DAY)
    run(made, "load", made.now)
    made.wait(MINUTE, every=5)
    made.said.clear()
    again = [run(made, job, made.now + at, nominal=nominal) for at, (job, _, _) in enumerate(CHAIN)]
    run(made, "join", made.now + 9, nominal=nominal + DAY)

    steps = plans(made)
    assert [(p.version, p.state) for p in steps] == [(2, "open"), (3, "open"), (4, "done")]
    assert [r.done_by for step in steps[-1].steps for r in step.runs] == again
    assert steps[-1].summary == "dataset:db/raw: all of 3 runs of 3 jobs were redone"


@pytest.mark.slow
def test_a_run_for_another_time_redoes_nothing() -> None:
    made = watched()
    days(made, 6)
    run(made, "load", made.now, good=False)
    made.wait(DAY)
    run(made, "load", made.now)
    made.wait(MINUTE, every=5)
    made.said.clear()
    run(made, "clean", made.now)

    assert plans(made) == []


@pytest.mark.slow
def test_what_was_no_fault_is_not_redone_but_what_did_not_run_is() -> None:
    made = watched()
    days(made, 6)
    run(made, "load", made.now, good=False)
    made.wait(DAY)
    made.command(Feedback(id="f", by="alice", entity="dataset:db/raw", verdict="expected_once"))
    made.wait(MINUTE, every=5)

    (plan,) = plans(made)
    assert [(job, [why for why, _ in runs]) for job, _, runs in short(plan)] == [
        ("clean", ["blocked"]),
        ("join", ["blocked"]),
    ]


@pytest.mark.slow
def test_a_plan_can_be_given_up() -> None:
    made = watched()
    days(made, 6)
    run(made, "load", made.now, good=False)
    made.wait(DAY)
    run(made, "load", made.now)
    made.wait(MINUTE, every=5)
    (plan,) = plans(made)
    made.command(AbandonPlan(id="1", by="alice", plan=plan.plan))

    assert [p.state for p in plans(made)] == ["open", "abandoned"]


def test_where_nothing_is_to_be_redone_there_is_no_plan() -> None:
    made = watched()
    days(made, 6)
    made.tell(
        RunEvent("ns", "other", "o1", "COMPLETE", made.now, outputs=(Dataset("db", "aside", rows=1.0),)),
    )
    made.wait(MINUTE)

    assert plans(made) == []


def test_when_a_dataset_opens_the_last_good_version_is_named() -> None:
    made = watched()
    days(made, 2)
    good = made.breakers()["dataset:db/raw"].last_good
    run(made, "load", made.now, good=False)
    (rollback,) = [data for e in made.said if isinstance(data := e.data, Rollback)]

    assert good is not None
    assert (rollback.run_id, rollback.version) == (good.run_id, good.version)


# ---------------------------------------------------------------- the order


def test_what_nobody_had_redone_when_the_root_was_bad_again_is_in_the_next_plan_and_in_no_other() -> None:
    made = company()
    chain(made)
    for _ in range(2):
        told(made, "load", "", "raw", good=False)
        made.settle()
        told(made, "load", "", "raw")
        made.wait(MINUTE)

    (plan,) = made.board.plans.values()
    assert [step.job for step in plan.steps] == ["job:ns/load", "job:ns/clean", "job:ns/join", "job:ns/report"]
    assert [p.state for p in plans(made)][-2:] == ["abandoned", "open"]
    for run_of in (("load", "", "raw"), ("load", "", "raw"), ("clean", "raw", "orders"), ("join", "orders", "facts")):
        told(made, *run_of)
    told(made, "report", "facts", "")
    made.wait(MINUTE)
    assert made.board.plans == {}


def test_what_only_the_first_of_two_plans_has_stays_there() -> None:
    made = company()
    for jobs in (("job:ns/a", "job:ns/b"), ("job:ns/a",)):
        hear(made, stops(made, yes=False))
        hear(made, *(RunsTold(ROOT, job, made.now, (ROOT,), (), (Redo(why="bad", run_id="r"),)) for job in jobs))
        made.wait(MINUTE)

    assert [[step.job for step in plan.steps] for plan in made.board.plans.values()] == [["job:ns/b"], ["job:ns/a"]]


def runs_of(job: str, up: tuple[str, ...], down: tuple[str, ...], count: int = 1) -> RunsTold:
    return RunsTold("root", job, 0.0, up, down, tuple(Redo(why="bad", run_id=f"{job}{n}") for n in range(count)))


def test_who_waits_for_a_job_with_nothing_to_do_waits_for_those_before_it() -> None:
    told = {
        "a": runs_of("a", (), ("x",)),
        "b": runs_of("b", ("x",), ("y",), count=0),
        "c": runs_of("c", ("y",), ()),
    }

    assert [(step.job, step.after) for step in in_order(told)] == [("a", []), ("c", ["a"])]


def test_where_the_ways_to_a_job_multiply_its_plan_is_made_at_once() -> None:
    told = {"a": runs_of("a", (), ("0/0", "0/1", "0/2"))}
    for level in range(40):
        above = tuple(f"{level}/{n}" for n in range(3))
        for n in range(3):
            told[f"m{level:02}/{n}"] = runs_of(f"m{level:02}/{n}", above, (f"{level + 1}/{n}",), count=0)
    told["z"] = runs_of("z", ("40/0", "40/1", "40/2"), ())

    assert [(step.job, step.after) for step in in_order(told)] == [("a", []), ("z", ["a"])]


def test_a_long_chain_of_jobs_with_nothing_to_do_is_passed_over() -> None:
    told = {f"m{n:04}": runs_of(f"m{n:04}", (f"{n}",), (f"{n + 1}",), count=0) for n in range(3_000)}
    told |= {"a": runs_of("a", (), ("0",)), "z": runs_of("z", ("3000",), ())}

    assert [(step.job, step.after) for step in in_order(told)] == [("a", []), ("z", ["a"])]


def test_a_cycle_is_cut_and_every_job_is_in_the_plan_once() -> None:
    told = {"a": runs_of("a", ("y",), ("x",)), "b": runs_of("b", ("x",), ("y",))}

    assert [(step.job, step.after) for step in in_order(told)] == [("a", []), ("b", ["a"])]


names = st.integers(0, 9)
graphs = st.dictionaries(
    names.map("j{}".format),
    st.tuples(st.sets(names, max_size=3), st.sets(names, max_size=3), st.integers(0, 2)),
    max_size=10,
)


@given(graphs)
@examples(2)
def test_any_plan_has_each_job_once_and_after_what_it_waits_for(
    graph: dict[str, tuple[set[int], set[int], int]],
) -> None:
    told = {
        job: runs_of(job, tuple(f"d{n}" for n in sorted(up)), tuple(f"d{n}" for n in sorted(down)), count)
        for job, (up, down, count) in graph.items()
    }
    steps = in_order(told)
    order = [step.job for step in steps]

    assert sorted(order) == sorted(job for job, (_, _, count) in graph.items() if count)
    for place, step in enumerate(steps):
        assert set(step.after) <= set(order[:place])
    if _has_no_cycle(graph):
        for step in steps:
            before = {w for w, (_, down, count) in graph.items() if count and down & graph[step.job][0]} - {step.job}
            assert before <= set(step.after)


def _has_no_cycle(graph: dict[str, tuple[set[int], set[int], int]]) -> bool:
    left = dict(graph)
    while left:
        free = [j for j, (up, _, _) in left.items() if not any(up & down for o, (_, down, _) in left.items() if o != j)]
        if not free:
            return False
        for job in free:
            del left[job]
    return True


def test_a_plan_is_told_in_one_sentence() -> None:
    steps = in_order({"job:a": runs_of("job:a", (), (), 1)})

    assert told_of(steps, "dataset:x") == "dataset:x is good again: redo 1 run of 1 job (1 bad)"


@pytest.mark.slow
def test_a_plan_that_nobody_followed_for_a_month_is_given_up() -> None:
    made = watched()
    days(made, 6)
    run(made, "load", made.now, good=False)
    made.wait(DAY)
    run(made, "load", made.now)
    made.wait(MINUTE, every=5)
    made.wait(31 * DAY, every=HOUR)

    assert [p.state for p in plans(made)] == ["open", "abandoned"]


@pytest.mark.slow
def test_while_a_person_lets_all_go_on_nothing_is_to_be_redone_and_afterwards_all_of_it_is() -> None:
    made = watched()
    days(made, 6)
    run(made, "load", made.now, good=False)
    made.wait(HOUR)
    override = {"by": "alice", "entity": "dataset:db/raw", "comment": "look at it"}
    made.command(SetOverride(id="1", state="force_closed", until=made.now + 2 * DAY, **override))  # type: ignore[arg-type]
    made.wait(MINUTE, every=5)
    assert made.held() == set()
    assert plans(made) == []
    made.wait(DAY)
    run(made, "load", made.now)
    made.wait(MINUTE, every=5)

    (plan,) = plans(made)
    assert short(plan)[0][0] == "load"
