"""Mutes and maintenance in a partition: what they concern, how many there may be, and that they leave nothing."""

import pytest

from detector.core.commands import AddWindow, AnyCommand, EndWindow
from detector.core.emissions import CommandDone
from detector.core.windows import FOREVER, Window
from tests.core.company import Company
from tests.core.test_lineage import RAW, chain, company, told
from tests.core.world import HOUR, MINUTE, event

LOAD = "job:ns/load"


def window(name: str, match: str, lasts: float = HOUR, reason: str = "", at: float = 0.0) -> AddWindow:
    of = Window(id=name, match=match, start=at, end=at + lasts, reason=reason)
    return AddWindow(id=f"add {name}", by="alice", window=of)


def answers(made: Company, *commands: AnyCommand) -> list[CommandDone]:
    before = len(made.said)
    for command in commands:
        made.command(command)
    return [e.data for e in made.said[before:] if isinstance(e.data, CommandDone)]


def asked_at_once(made: Company) -> set[str]:
    """Which entities have a turn at the next tick, whatever else they wait for."""
    return {key for shard in made.shards for key, at in shard.partition.due.items() if at == 0.0}


def test_a_window_asks_those_that_it_is_for_and_no_others() -> None:
    made = company()
    chain(made)
    made.command(window("all the jobs", "job:*", FOREVER))
    made.tick(made.now + 5)
    made.settle()
    made.command(window("raw", RAW, FOREVER))
    assert asked_at_once(made) == {RAW}
    made.tick(made.now + 5)
    made.command(EndWindow(id="e", by="alice", window="raw"))

    assert asked_at_once(made) == {RAW}


@pytest.mark.slow
def test_windows_that_are_too_large_together_are_refused() -> None:
    made = company()
    reason = "x" * 2_000
    found = answers(made, *(window(str(n), "job:*", FOREVER, reason) for n in range(600)))

    assert [one.done for one in found[:100]] == [True] * 100
    assert found[-1].done is False
    assert "too large" in found[-1].effect


@pytest.mark.parametrize("state", ["FAIL", "ABORT"])
def test_what_went_wrong_in_maintenance_does_not_count_when_it_is_over(state: str) -> None:
    made = company()
    chain(made)
    made.command(window("w", LOAD, 10 * MINUTE, at=made.now))
    made.tell(event("START", made.now, "in maintenance"))
    made.tell(event(state, made.now, "in maintenance"))  # type: ignore[arg-type]
    made.wait(20 * MINUTE)
    made.tell(event("START", made.now, "after"))
    made.tell(event("ABORT", made.now, "after"))
    made.settle()

    assert LOAD not in made.open()  # one warning is not enough


def test_what_is_repaired_in_maintenance_is_good_again_at_once() -> None:
    made = company()
    chain(made)
    told(made, "load", "", "raw", good=False)
    made.settle()
    made.command(window("w", "*", at=made.now))
    assert RAW in made.open()
    told(made, "load", "", "raw")
    made.settle()

    assert made.open() == set()
