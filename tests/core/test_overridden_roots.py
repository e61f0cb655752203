"""A table that a person has declared bad is so since then, and not since ever; each word of it has its own epoch."""

from detector.core.commands import Commanded, SetOverride
from detector.core.events import Dataset, RunEvent
from detector.core.messages import Hold, Release, RunsTold
from tests.core.world import HOUR, MINUTE, MONDAY, TABLE, World, ready


def read_hourly(world: World, times: int) -> float:
    """Somebody reads the table, once an hour. Returns the time after the last."""
    for number in range(times):
        at = MONDAY + number * HOUR
        world.ticks(at, at)
        world.tell(RunEvent("ns", "report", f"r{number}", "START", at))
        world.tell(RunEvent("ns", "report", f"r{number}", "COMPLETE", at + 60, inputs=(Dataset("db", "orders"),)))
    return MONDAY + times * HOUR


def override(world: World, id_: str, state: str, at: float) -> None:
    command = SetOverride(id=id_, by="alice", entity=TABLE, state=state, until=at + HOUR)  # type: ignore[arg-type]
    world.put(TABLE, Commanded(command), at)


def test_what_was_read_before_somebody_opened_a_healthy_breaker_need_not_be_redone() -> None:
    world = ready()
    at = read_hourly(world, 4)
    world.ticks(at, at)
    override(world, "1", "force_open", at)
    override(world, "2", "none", at + MINUTE)
    (hold,) = [message.data for message in world.messages if isinstance(message.data, Hold)]
    told = [message.data for message in world.messages if isinstance(message.data, RunsTold)]

    assert hold.since == at
    assert [runs.runs for runs in told] == [()]


def test_each_word_of_a_root_has_a_higher_epoch_that_is_published_with_it() -> None:
    world = ready()
    at = read_hourly(world, 1)
    world.ticks(at, at)
    for number in range(3):
        override(world, f"open{number}", "force_open", at)
        override(world, f"none{number}", "none", at)
    words = [message.data for message in world.messages if isinstance(message.data, Hold | Release)]
    epochs = [word.epoch for word in words if word.path == (TABLE,)]
    published = [e.data.epoch for e in world.said if e.topic == "breakers" and e.key == TABLE]  # type: ignore[union-attr]

    assert epochs == sorted(set(epochs))
    assert len(epochs) == 6
    assert published[-6:] == epochs
