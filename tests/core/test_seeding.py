"""An entity that is given a history: it judges its first run by it, and nothing is said of what is past."""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import time
from random import Random
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from detector.core.emissions import Emission, Seeded
from detector.core.events import Dataset, Event, Field, RunEvent, RunState, Seed, Statistics, decode
from detector.core.judge import model_of
from detector.core.pipeline import StepFailed
from detector.core.rules import Rules, Settings
from detector.core.schedule import Deadline, Lateness, Schedule
from detector.core.state import NEVER
from detector.core.turn import Place, Turn
from detector.seed import Summary, learn, matching
from tests.core.world import (
    DAY,
    HOUR,
    JOB,
    MINUTE,
    MONDAY,
    TABLE,
    World,
    anomalies,
    breakers,
    changes,
    profile,
    ready,
    started,
)

NOW = MONDAY  # when the history is learned
THREE = 3 * HOUR


def run(at: float, rows: float, state: RunState = "COMPLETE", run_id: str = "") -> list[Event]:
    """A whole run of a job: ten minutes, and what it wrote."""
    name = run_id or f"run-{at:.0f}"
    written = (Dataset("db", "orders", rows=rows),)
    return [
        RunEvent("ns", "load", name, "START", at),
        RunEvent("ns", "load", name, state, at + 10 * MINUTE, outputs=written),
    ]


def nightly(days: int, until: float = NOW, seed: int = 5) -> Iterator[list[Event]]:
    """Runs at three o'clock of so many days before, with about 10,000 rows."""
    random = Random(seed)
    for ago in range(days, 0, -1):
        yield run(until - ago * DAY + THREE, round(random.gauss(10_000, 150)))


def seeds(events: Iterable[Event], rules: Rules | None = None) -> dict[str, Seed]:
    """What each entity learns from a history."""
    found: dict[str, Seed] = {}
    history = sorted(events, key=lambda event: event.event_time)
    for send in learn(history, rules or Rules(), "log", matching([]), Summary()):
        body = decode(send.value or b"").body
        assert isinstance(body, Seed)
        found[(send.key or b"").decode()] = body
    return found


def give(world: World, events: Iterable[Event], at: float = NOW) -> list[Emission]:
    """Let the world learn a history."""
    return [said for key, body in seeds(events, world.rules).items() for said in world.put(key, body, at)]


def flat(runs: Iterable[list[Event]]) -> list[Event]:
    return [event for events in runs for event in events]


def seeded(said: Iterable[Emission]) -> dict[str, Seeded]:
    return {e.data.entity: e.data for e in said if isinstance(e.data, Seeded)}


def tell(world: World, events: Iterable[Event]) -> list[Emission]:
    return [said for event in events for said in world.tell(event)]


# ---------------------------------------------------------------- it judges


def test_the_first_run_is_judged_as_if_the_history_had_been_watched() -> None:
    history = flat(nightly(60))
    world, watched = ready(at=NOW), World()
    give(world, history)
    tell(watched, history)

    short = run(NOW + THREE, 412)
    said, expected = tell(world, short), tell(watched, short)

    assert started(said) == started(expected) != []
    assert [a.summary for a in anomalies(said)] == [a.summary for a in anomalies(expected)]
    assert [(a.lower, a.upper, a.samples) for a in anomalies(said)] == [
        (a.lower, a.upper, a.samples) for a in anomalies(expected)
    ]
    assert ("closed", "open") in changes(said)


def test_a_first_run_as_usual_is_not_told() -> None:
    world = ready(at=NOW)
    give(world, flat(nightly(60)))

    assert anomalies(tell(world, run(NOW + THREE, 10_050))) == []


def test_columns_and_schema_are_compared_with_the_history() -> None:
    def loaded(at: float, nulls: float, columns: tuple[Field, ...]) -> Event:
        random = Random(int(at))
        numbers = np.array([10_000.0, nulls, random.gauss(50, 1)], "<f8")
        measured = Statistics(("amount",), ("count", "null_count", "mean"), numbers.tobytes())
        return profile(at, 10_000.0, statistics=measured, schema=columns)

    known = (Field("amount", "DOUBLE"), Field("id", "BIGINT"))
    world = ready(at=NOW)
    give(world, [loaded(NOW - ago * DAY, 100.0 + ago % 7, known) for ago in range(40, 0, -1)])

    said = world.tell(loaded(NOW + HOUR, 4_000.0, known[:1]))

    assert sorted(started(said)) == ["columns", "schema"]


# ---------------------------------------------------------------- nothing is said of the past


def test_a_history_full_of_faults_says_nothing() -> None:
    history = [
        *flat(nightly(40, until=NOW - 3 * DAY)),
        *run(NOW - 3 * DAY + THREE, 3.0),
        *run(NOW - 2 * DAY + THREE, 10_000.0, "FAIL"),
        *run(NOW - DAY + THREE, 0.0),
        RunEvent("ns", "load", "never-ends", "START", NOW - HOUR),
    ]
    world = ready(at=NOW)

    said = give(world, history)
    said += world.ticks(NOW + MINUTE, NOW + 40 * DAY, every=HOUR)

    assert anomalies(said) == []
    assert changes(said) == []
    assert {value.state for value in breakers(said)} == {"closed"}
    assert seeded(said).keys() == {JOB, TABLE}


def test_a_deadline_that_a_run_of_the_history_has_kept_is_not_missed() -> None:
    deadline = Deadline(time(3, 30), ZoneInfo("UTC"))
    rules = Rules(Settings(late=None), overrides=(("job:*", {"deadline": deadline}),))
    world = ready(rules, at=NOW)
    give(world, flat(nightly(20)))

    kept = world.ticks(NOW + MINUTE, NOW + THREE)
    missed = world.ticks(NOW + THREE + MINUTE, NOW + 4 * HOUR)

    assert anomalies(kept) == []
    assert started(missed) == ["deadline"]


def test_time_goes_on_as_if_nothing_had_come() -> None:
    world, other = ready(at=NOW), ready(at=NOW)
    give(world, flat(nightly(20)))

    assert (world.partition.clock, world.partition.grace_until) == (other.partition.clock, other.partition.grace_until)
    assert min(world.partition.due.values()) > NOW + 80 * DAY


def test_the_schedule_is_in_force_after_the_first_run_whatever_lay_between() -> None:
    world = ready(at=NOW)
    give(world, flat(nightly(30, until=NOW - 9 * DAY)))

    before = world.ticks(NOW + MINUTE, NOW + THREE)
    tell(world, run(NOW + THREE, 10_000))
    on_time = world.ticks(NOW + THREE + 11 * MINUTE, NOW + DAY + THREE + HOUR)
    late = world.ticks(NOW + DAY + THREE + HOUR + MINUTE, NOW + DAY + THREE + 2 * HOUR)

    assert started(before) == started(on_time) == []
    assert started(late) == ["late"]


def test_runs_that_come_again_are_no_new_runs() -> None:
    world, history = ready(at=NOW), flat(nightly(200))
    give(world, history)

    said = [emission for event in history for emission in world.tell(event, arrived=NOW)]

    assert anomalies(said) == []
    assert series(world, TABLE) == {"rows": 200}


def test_a_run_that_had_begun_in_the_history_ends_as_one_without_a_start() -> None:
    world, (start, end) = ready(at=NOW), run(NOW - 5 * MINUTE, 10_000)
    give(world, [*flat(nightly(30)), start])

    said = world.tell(end) + world.ticks(NOW + 6 * MINUTE, NOW + HOUR)

    assert anomalies(said) == []
    assert series(world, JOB) == {"duration": 30, "rows_out": 31}


# ---------------------------------------------------------------- who learns, and who knows better


def series(world: World, key: str) -> dict[str, int]:
    """How many values each series of an entity has seen."""
    place = Place("topic", 0, 0, NOW)
    turn = Turn(world.entities[key], world.rules.of(key), world.rules, place, NOW, NOW, [])
    return {metric: model_of(turn, metric).samples for metric in sorted(turn.entity.series)}


@pytest.mark.parametrize(
    ("lived", "taken"),
    [
        pytest.param(0, True, id="an entity that nobody knows learns it"),
        pytest.param(13, True, id="one that has seen little learns it"),
        pytest.param(14, False, id="one that has seen enough keeps what it knows"),
    ],
)
def test_who_has_seen_enough_keeps_what_it_knows(lived: int, taken: bool) -> None:
    world = World()
    tell(world, flat(nightly(lived)))
    before = anomalies(world.said)

    said = give(world, flat(nightly(60, until=NOW - lived * DAY)))

    assert {data.taken for data in seeded(said).values()} == {taken}
    assert seeded(said)[JOB].known == (60 if taken else 14)
    assert series(world, TABLE) == {"rows": 60 if taken else 14}
    assert anomalies(said) == before == []


@pytest.mark.parametrize("days", [5, 60])
def test_the_same_history_again_changes_nothing(days: int) -> None:
    world = ready(at=NOW)
    give(world, flat(nightly(days)))
    tell(world, run(NOW + THREE, 10_000))
    states = {key: (series(world, key), world.entities[key].runs) for key in (JOB, TABLE)}

    said = give(world, flat(nightly(days)), NOW + 4 * HOUR)

    assert [data.taken for data in seeded(said).values()] == [False, False]
    assert {key: (series(world, key), world.entities[key].runs) for key in (JOB, TABLE)} == states


def test_what_is_open_stays_open() -> None:
    world = ready(at=NOW)
    tell(world, run(NOW, 10_000, "FAIL"))
    tell(world, run(NOW + HOUR, 10_000, "FAIL"))
    tell(world, run(NOW + 2 * HOUR, 10_000)[:1])
    job = world.entities[JOB]
    before = job.judgement.breaker, dict(job.judgement.episodes), set(job.runs.open)

    said = give(world, flat(nightly(60)), NOW + 2 * HOUR)

    job = world.entities[JOB]
    assert (job.judgement.breaker, job.judgement.episodes, set(job.runs.open)) == before
    assert before[1].keys() == {"failed"}
    assert changes(said) == []


def test_states_that_are_written_and_read_between_any_two_records_become_the_same() -> None:
    worlds = [ready(at=NOW), ready(at=NOW, reload=True)]
    for world in worlds:
        tell(world, run(NOW - 2 * HOUR, 9_000))
        give(world, flat(nightly(60)))
        tell(world, run(NOW + THREE, 412))
        world.ticks(NOW + 4 * HOUR, NOW + 2 * DAY, every=HOUR)
    one, other = worlds

    assert (one.said, one.digest, one.snapshots()) == (other.said, other.digest, other.snapshots())
    assert one.partition.due == other.partition.due


def test_entities_that_learned_nothing_are_not_written() -> None:
    read = RunEvent("ns", "load", "r", "COMPLETE", NOW - DAY, inputs=(Dataset("db", "source"),))

    assert seeds([read]).keys() == {JOB}


def test_a_state_of_another_entity_is_refused() -> None:
    world = ready(at=NOW)
    foreign = seeds(flat(nightly(20)))[TABLE]

    with pytest.raises(StepFailed):
        world.put(JOB, foreign, NOW)


def test_settings_decide_what_is_learned() -> None:
    rules = Rules(replace(Settings(), metrics=frozenset({"duration"})))
    found = seeds(flat(nightly(20)), rules)
    world = World(rules)
    world.put(JOB, found[JOB], NOW)

    assert series(world, JOB) == {"duration": 20}


# ---------------------------------------------------------------- schedules


def test_a_time_in_which_nobody_looked_is_no_interval() -> None:
    rule, past, live = Lateness(), Schedule(), Schedule()
    for hour in range(10):
        past.add(NOW - 30 * DAY + hour * HOUR, 0.0, rule)

    live.precede(past)
    unarmed = live.late_at
    live.add(NOW, 0.0, rule)

    assert unarmed is None
    assert (live.expected, live.late_at) == (NOW + HOUR, NOW + HOUR + 5 * MINUTE)


def test_one_run_before_and_one_after_are_no_schedule() -> None:
    rule, past, live = Lateness(min_runs=2), Schedule(), Schedule()
    past.add(NOW - DAY, 0.0, rule)

    live.precede(past)
    live.add(NOW, 0.0, rule)

    assert (live.expected, live.late_at or NEVER) == (None, NEVER)
