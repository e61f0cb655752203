"""The company at work: what its jobs do when breakers are open, and what each kind of fault looks like from outside."""

from collections.abc import Callable

import pytest

from detector.core.breaker import State
from detector.core.events import RunEvent
from detector.demo.company import BY_KEY, DAY, HOUR, entity_of, history
from detector.demo.faults import KINDS, Kind
from detector.demo.simulation import Happening, Held, Injected, Sent, Simulation

BEGIN = 1_772_496_000.0  # Tuesday 3 March 2026, 00:00 UTC
STAGE, FACTS, WALL = "job:spark/stage_orders", "job:dbt/fct_orders", "job:airflow/warehouse_wall.refresh"


def closed(_: str) -> State:
    return State.CLOSED


def only(**states: State) -> Callable[[str], State]:
    by_entity = {entity_of(name.replace("__", ".")): state for name, state in states.items()}
    return lambda entity: by_entity.get(entity, State.CLOSED)


def sent(happenings: list[Happening]) -> list[RunEvent]:
    return [happening.event for happening in happenings if isinstance(happening, Sent)]


def starts(happenings: list[Happening]) -> set[str]:
    return {f"job:{e.namespace}/{e.name}" for e in sent(happenings) if e.state == "START"}


def test_without_faults_the_company_does_what_its_plan_says() -> None:
    simulation = Simulation(7, BEGIN, last_fault=BEGIN)
    planned = [event for event in history(7, BEGIN, BEGIN + DAY) if event.event_time <= BEGIN + DAY]

    assert planned == sent(simulation.advance(BEGIN + DAY, closed))


def test_small_steps_and_one_big_step_tell_the_same_story() -> None:
    one, many = Simulation(7, BEGIN), Simulation(7, BEGIN)
    steps = [happening for step in range(1, 601) for happening in many.advance(BEGIN + step * 60, closed)]

    assert sent(one.advance(BEGIN + 600 * 60, closed)) == sent(steps)


def test_an_open_breaker_stops_the_readers_of_a_dataset_and_those_behind_them_and_nobody_else() -> None:
    simulation = Simulation(7, BEGIN, last_fault=BEGIN)
    happenings = simulation.advance(BEGIN + 0.99 * HOUR, only(raw__orders=State.OPEN))
    held = {happening.job.key: happening.directly for happening in happenings if isinstance(happening, Held)}

    assert held == {
        STAGE: True,
        FACTS: False,
        "job:dbt/stock_alerts": False,
        "job:airflow/live_sales.refresh": False,
    }
    assert starts(happenings).isdisjoint(held)
    assert "job:spark/stage_payments" in starts(happenings)


def test_readers_wait_for_the_outcome_of_a_probe() -> None:
    simulation = Simulation(7, BEGIN, last_fault=BEGIN)

    assert STAGE not in starts(simulation.advance(BEGIN + 0.5 * HOUR, only(raw__orders=State.HALF_OPEN)))


def test_a_job_that_waits_goes_on_when_the_breaker_closes() -> None:
    simulation = Simulation(7, BEGIN, last_fault=BEGIN)
    simulation.advance(BEGIN + 25 * 60, only(raw__orders=State.OPEN))

    assert STAGE in starts(simulation.advance(BEGIN + 30 * 60, closed))


@pytest.mark.parametrize(("state", "goes"), [(State.OPEN, False), (State.HALF_OPEN, True), (State.UNKNOWN, True)])
def test_a_job_asks_its_own_breaker_and_is_the_probe_itself(state: State, goes: bool) -> None:
    simulation = Simulation(7, BEGIN, last_fault=BEGIN)
    happenings = simulation.advance(BEGIN + HOUR, lambda entity: state if entity == WALL else State.CLOSED)

    assert goes == (WALL in starts(happenings))


def faulted_run(kind: Kind) -> tuple[list[RunEvent], float]:
    """The events of the first run with this kind of fault, and when it was injected."""
    simulation = Simulation(7, BEGIN)
    happenings = simulation.advance(BEGIN + 18 * HOUR, closed)
    fault = next(h.fault for h in happenings if isinstance(h, Injected) and h.fault.kind == kind)
    events = [e for e in sent(happenings) if (e.name, e.nominal_time) == (fault.job.name, fault.slot)]
    assert fault.injected_at is not None
    return events, fault.injected_at


@pytest.mark.parametrize(
    ("kind", "states"),
    [
        ("failed_run", ["START", "FAIL"]),
        ("late", []),
        ("hanging_run", ["START", "ABORT"]),
        ("slow_run", ["START", "COMPLETE"]),
        ("short_load", ["START", "COMPLETE"]),
        ("zero_rows", ["START", "COMPLETE"]),
        ("double_load", ["START", "COMPLETE"]),
        ("retries", ["START", "FAIL", "START", "FAIL", "START", "COMPLETE"]),
    ],
)
def test_each_kind_of_fault_has_its_events(kind: Kind, states: list[str]) -> None:
    events, _ = faulted_run(kind)
    by_run = [e.state for e in events if e.run_id == events[0].run_id]

    assert states == by_run


def test_a_fault_counts_from_when_it_can_be_seen() -> None:
    at_the_start = {kind: faulted_run(kind) for kind in ("hanging_run", "slow_run")}
    at_the_end = {kind: faulted_run(kind) for kind in ("failed_run", "short_load", "zero_rows", "double_load")}

    assert all(events[0].event_time == injected for events, injected in at_the_start.values())
    assert all(events[1].event_time == injected for events, injected in at_the_end.values())


def test_bad_input_makes_bad_output_when_nobody_is_held_back() -> None:
    simulation = Simulation(7, BEGIN)
    happenings = simulation.advance(BEGIN + 18 * HOUR, closed)
    zero = [
        h for h in happenings if isinstance(h, Injected) and h.fault.kind == "zero_rows" and h.fault.job.hour is None
    ]
    readers = [job for job in BY_KEY.values() if zero[0].fault.job.writes[0].dataset in job.reads and job.hour is None]
    after = [
        event
        for event in sent(happenings)
        if event.name == readers[0].name and event.state == "COMPLETE" and event.event_time > zero[0].at
    ]

    assert [dataset.rows for dataset in after[0].outputs] == [0.0]


def test_every_kind_of_fault_comes_before_one_comes_again_and_none_after_the_last() -> None:
    last = BEGIN + 24 * HOUR
    simulation = Simulation(7, BEGIN, last_fault=last)
    happenings = simulation.advance(BEGIN + 48 * HOUR, closed)
    injected = [happening for happening in happenings if isinstance(happening, Injected)]

    assert {fault.fault.kind for fault in injected} == set(KINDS)
    assert max(fault.fault.slot for fault in injected) <= last
    assert len(injected) >= 20
