"""A record on which the step raises: it is set aside, the entity stays what it was, and nobody else notices."""

from copy import deepcopy

import pytest

from detector.core.emissions import Emission
from detector.core.events import Observation, RunEvent, RunState, Tick, observations
from detector.core.models.band import Band
from detector.core.pipeline import POISON_REST, StepFailed
from detector.core.rules import Rules, Settings
from tests.core.world import DAY, HOUR, JOB, MONDAY, World, breakers, event, quarantined, ready

POISON = 666.0


class Brittle(Band):
    """A model with a bug: there is one number that it does not stand."""

    def score_one(self, at: float, x: float) -> float:
        if x == POISON:
            raise ZeroDivisionError("a bug")
        return super().score_one(at, x)


def raises(world: World, body: Observation | None, at: float) -> list[Emission]:
    """A record that raises, first and again, as the checkpoint takes it: states thrown away, replayed, set aside."""
    entities, partition = deepcopy(world.entities), deepcopy(world.partition)
    key, body = (JOB, body) if body is not None else (None, Tick(at))
    with pytest.raises(StepFailed) as failed:
        world.put(key, body, at)
    world.entities, world.partition, world.offset = entities, partition, world.offset - 1
    return world.put(key, body, at, {failed.value.key: "ZeroDivisionError"})


def poison(world: World, at: float) -> list[Emission]:
    """The end of a run with the number that the model does not stand."""
    return raises(world, told(event("COMPLETE", at, f"poison-{at}", metrics={"cost": POISON})), at)


def told(of: RunEvent) -> Observation:
    return next(observations(of, of.event_time))[1]


def brittle() -> World:
    """A job that sends no STARTs, so that each end is judged at once."""
    world = ready(Rules(Settings(model=Brittle)))
    world.tell(event("COMPLETE", MONDAY, "r0"))
    world.said.clear()
    return world


def test_a_failing_step_names_the_entity_and_keeps_the_cause() -> None:
    world = brittle()
    with pytest.raises(StepFailed) as failed:
        world.tell(event("COMPLETE", MONDAY + HOUR, "r2", metrics={"cost": POISON}))

    assert failed.value.key == JOB
    assert isinstance(failed.value.__cause__, ZeroDivisionError)


def test_what_runs_out_of_memory_is_not_poison() -> None:
    class Hungry(Band):
        def score_one(self, at: float, x: float) -> float:
            raise MemoryError(at, x)

    world = ready(Rules(Settings(model=Hungry)))
    with pytest.raises(MemoryError):
        world.tell(event("COMPLETE", MONDAY, metrics={"cost": 1.0}))


def test_a_poisonous_record_is_said_once_and_leaves_the_runs_and_series_as_they_were() -> None:
    world = brittle()
    before = deepcopy(world.entities[JOB])
    said = quarantined(poison(world, MONDAY + HOUR))

    assert [(q.entity, q.offset, q.error, q.failures) for q in said] == [
        (JOB, world.offset - 1, "ZeroDivisionError", 1)
    ]
    assert world.entities[JOB].runs == before.runs
    assert world.entities[JOB].series == before.series


def test_what_an_entity_waits_for_survives_a_poisonous_record() -> None:
    world = brittle()
    world.tell(event("FAIL", MONDAY + 60))
    due = world.partition.due[JOB]
    poison(world, MONDAY + 130)

    assert world.partition.due[JOB] == due
    assert [value.state for value in breakers(world.tick(MONDAY + HOUR))] == ["half_open"]


def test_three_poisonous_records_in_a_row_make_the_signal_unknown_once() -> None:
    world = brittle()
    for number in range(5):
        poison(world, MONDAY + HOUR + number)

    assert [value.state for value in breakers(world.said)] == ["unknown"]
    assert [q.failures for q in quarantined(world.said)] == [1, 2, 3, 4, 5]


def test_a_good_record_between_begins_the_count_anew() -> None:
    world = brittle()
    for number in range(2):
        poison(world, MONDAY + HOUR + number)
    world.tell(event("COMPLETE", MONDAY + 2 * HOUR))
    for number in range(2):
        poison(world, MONDAY + 3 * HOUR + number)

    assert breakers(world.said) == []


def test_a_tick_between_poisonous_records_is_no_good_record() -> None:
    world = brittle()
    world.tell(event("FAIL", MONDAY + 60, "r2"))
    world.said.clear()
    poison(world, MONDAY + 100)
    poison(world, MONDAY + 101)
    world.tick(MONDAY + HOUR)  # the breaker admits a probe: the entity has a turn
    poison(world, MONDAY + 2 * HOUR)

    assert [value.state for value in breakers(world.said)] == ["half_open", "unknown"]


@pytest.mark.parametrize(("state", "expected"), [("COMPLETE", "closed"), ("FAIL", "open")])
def test_the_next_run_that_can_be_judged_ends_the_unknown(state: RunState, expected: str) -> None:
    world = brittle()
    for number in range(3):
        poison(world, MONDAY + HOUR + number)
    world.tell(event(state, MONDAY + 2 * HOUR))

    assert [value.state for value in breakers(world.said)][-1] == expected
    assert world.entities[JOB].judgement.poisoned == 0


def test_a_breaker_that_is_off_does_not_become_unknown() -> None:
    world = ready(Rules(Settings(model=Brittle, mode="off")))
    world.tell(event("COMPLETE", MONDAY))
    world.said.clear()
    for number in range(5):
        poison(world, MONDAY + HOUR + number)

    assert breakers(world.said) == []


def test_an_entity_of_which_the_first_record_is_poison_is_kept_and_can_be_forgotten() -> None:
    world = ready(Rules(Settings(model=Brittle)))
    poison(world, MONDAY)

    assert world.partition.due[JOB] == MONDAY + POISON_REST
    world.tick(MONDAY + HOUR)

    assert world.partition.due[JOB] == MONDAY + 91 * DAY


def test_an_entity_that_fails_on_a_tick_has_a_rest_and_then_goes_on() -> None:
    world = ready(Rules(Settings(model=Brittle)))
    world.run(MONDAY)
    world.tell(event("COMPLETE", MONDAY + 100, "waits for its start", metrics={"cost": POISON}))
    said = raises(world, None, MONDAY + 120)

    assert [q.failures for q in quarantined(said)] == [1]
    assert world.partition.due[JOB] == MONDAY + 120 + POISON_REST
    assert quarantined(world.ticks(MONDAY + 125, MONDAY + 3 * HOUR)) == []
    assert world.entities[JOB].judgement.poisoned == 1
    world.run(MONDAY + 4 * HOUR)

    assert world.entities[JOB].judgement.poisoned == 0
