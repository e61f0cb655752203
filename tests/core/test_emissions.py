"""What is said has ids that no other emission has and every replay has again, and a digest that tells replays apart."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from detector.core.breaker import Breaker, State
from detector.core.emissions import (
    Anomaly,
    BreakerValue,
    Emission,
    Heartbeat,
    digest,
    emission_id,
)
from tests.core.world import DAY, HOUR, MONDAY, World, anomalies, breakers, checked, ready


def busy(reload: bool = False) -> World:
    """A day in which most things happen."""
    world = ready(reload=reload)
    for number in range(24):
        at = MONDAY + number * HOUR
        world.tick(at)
        for name in ("a", "b"):
            state = "FAIL" if (number + len(name)) % 7 == 0 else "COMPLETE"
            world.run(at, state=state, rows=3 if number == 20 else 1_000, name=name)  # type: ignore[arg-type]
        world.tell(checked(at + 100, success=number % 5 != 0))
    world.ticks(MONDAY + DAY, MONDAY + DAY + 6 * HOUR)
    return world


def test_no_two_emissions_have_one_id_and_every_replay_has_the_same() -> None:
    one, other = busy(), busy()

    assert len({emission.id for emission in one.said}) == len(one.said) > 100
    assert one.said == other.said


@given(st.text(max_size=5), st.integers(0, 99), st.integers(0, 2**40), st.integers(0, 99))
def test_an_id_stands_for_one_place_in_one_log(topic: str, partition: int, offset: int, ordinal: int) -> None:
    found = emission_id(topic, partition, offset, ordinal)
    others = {
        emission_id(topic + "x", partition, offset, ordinal),
        emission_id(topic, partition + 1, offset, ordinal),
        emission_id(topic, partition, offset + 1, ordinal),
        emission_id(topic, partition, offset, ordinal + 1),
    }

    assert len(found) == 32
    assert found not in others


def test_an_episode_has_the_id_of_the_event_that_began_it() -> None:
    world = busy()
    begun = {e.id: e.data for e in world.said if isinstance(e.data, Anomaly) and e.data.phase == "started"}

    assert all(id_ == anomaly.episode for id_, anomaly in begun.items())
    assert {a.episode for a in anomalies(world.said)} == set(begun)


def test_every_episode_that_is_updated_or_ended_is_open() -> None:
    open_: set[str] = set()
    for anomaly in anomalies(busy().said):
        if anomaly.phase == "started":
            assert anomaly.episode not in open_
            open_.add(anomaly.episode)
        else:
            assert anomaly.episode in open_
        if anomaly.phase == "ended":
            open_.remove(anomaly.episode)


def test_the_breakers_record_names_the_episodes_that_go_on() -> None:
    world = busy()
    last: dict[str, BreakerValue] = {value.entity: value for value in breakers(world.said)}

    for key, value in last.items():
        episodes = world.entities[key].judgement.episodes
        assert set(value.episodes) == set(episodes)
        assert value.breaker() == world.entities[key].judgement.breaker


def test_a_breaker_is_published_once_a_turn_and_after_its_changes() -> None:
    world = ready()
    world.run(MONDAY, state="FAIL")
    world.tick(MONDAY + 60)
    said = world.run(MONDAY + 100)
    kinds = [type(e.data).__name__ for e in said]

    assert kinds == ["Anomaly", "BreakerChange", "BreakerChange", "BreakerValue"]


def test_a_published_value_gives_back_the_breaker() -> None:
    breaker = Breaker(State.OPEN, 1.0, 2.0, 3, "why", "cause", 4, True)
    value = BreakerValue(
        entity="job:a/b", mode="enforce", on_unknown="allow", partition=0, **msgspec.structs.asdict(breaker)
    )

    assert value.breaker() == breaker
    assert msgspec.json.decode(msgspec.json.encode(value), type=BreakerValue).breaker() == breaker


# ---------------------------------------------------------------- the digest

beats = st.builds(
    lambda id_, key, at, clock: Emission(id_, "control", key, "t", at, Heartbeat(partition=0, clock=clock)),
    st.text(max_size=3),
    st.text(max_size=3),
    st.floats(0, 9),
    st.floats(0, 9),
)


@given(st.lists(beats, max_size=4), st.lists(beats, max_size=4))
def test_the_digest_differs_if_and_only_if_what_was_said_differs(one: list[Emission], other: list[Emission]) -> None:
    assert (digest(b"", one) == digest(b"", other)) == (one == other)


def test_the_digest_goes_on_from_what_was_said_before() -> None:
    beat = Emission("1", "control", "k", "t", 1.0, None)

    assert digest(b"", []) == b""
    assert digest(digest(b"", [beat]), []) == digest(b"", [beat])
    assert digest(digest(b"", [beat]), [beat]) != digest(b"", [beat])
    assert len(digest(b"", [beat])) == 16


def test_the_digest_knows_every_field() -> None:
    world = busy()
    before = digest(b"", world.said)
    for number, emission in enumerate(world.said[:40]):
        changed = [*world.said]
        changed[number] = msgspec.structs.replace(emission, time=emission.time + 1)

        assert digest(b"", changed) != before
