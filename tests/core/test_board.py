"""The board of incidents, told by hand: what ends, also after long and with many."""

from detector.core.incidents import KEEP_FINDINGS
from detector.core.messages import (
    BOARD,
    BoardMessage,
    BreakerTold,
    FindingTold,
    HoldTold,
)
from detector.core.partition import partition_of
from tests.core.company import Company
from tests.core.test_lineage import company
from tests.core.world import HOUR, MINUTE

ROOT, JOB = "dataset:db/raw", "job:ns/clean"


def hear(made: Company, *messages: BoardMessage) -> None:
    """The board hears these, one after the other."""
    for message in messages:
        made.put(BOARD, message, partition_of(BOARD, len(made.shards)))
    made.settle()


def began(entity: str, episode: str, at: float, **around: tuple[str, ...]) -> FindingTold:
    return FindingTold(entity, "started", episode, f"check of {episode}", 2, at, "it is unusual", **around)  # type: ignore[arg-type]


def ended(entity: str, episode: str, at: float) -> FindingTold:
    return FindingTold(entity, "ended", episode, f"check of {episode}", 0, at, "it is over")


def stops(made: Company, yes: bool = True, cause: str | None = None) -> BreakerTold:
    return BreakerTold(ROOT, yes, made.now, "because", "enforce", cause)


def held(made: Company, yes: bool = True) -> HoldTold:
    return HoldTold(JOB, ROOT, yes, made.now, (ROOT, JOB))


def test_what_is_found_where_the_breaker_still_stops_is_no_other_incident_however_long_ago_the_first_ended() -> None:
    made = company()
    hear(made, began(ROOT, "rows", made.now), stops(made, cause="rows"), held(made), ended(ROOT, "rows", made.now))
    made.wait(3 * HOUR, every=10 * MINUTE)
    hear(made, began(ROOT, "schema", made.now))
    made.wait(MINUTE)

    assert len(made.incidents("opened")) == 1
    hear(made, ended(ROOT, "schema", made.now), stops(made, yes=False), held(made, yes=False))
    made.wait(MINUTE)
    assert made.board.open == {}


def test_each_incident_that_a_root_is_in_ends_when_it_stops_nobody_any_more() -> None:
    made = company()
    hear(made, began(ROOT, "rows", made.now), began("job:ns/report", "failed", made.now, up=(ROOT,)))
    hear(made, ended(ROOT, "rows", made.now))
    made.wait(3 * HOUR, every=10 * MINUTE)
    hear(made, began(ROOT, "schema", made.now), stops(made, cause="schema"), ended("job:ns/report", "failed", made.now))
    made.wait(MINUTE)
    assert len(made.board.open) == 2
    hear(made, ended(ROOT, "schema", made.now), stops(made, yes=False))
    made.wait(MINUTE)

    assert made.board.open == {}


def test_an_incident_ends_whose_root_has_left_it_since_it_has_too_many_findings() -> None:
    made = company()
    hear(made, began(ROOT, "rows", made.now, down=(JOB,)), held(made))
    names = [f"e{n}" for n in range(KEEP_FINDINGS + 1)]
    hear(made, *(began(JOB, name, made.now, up=(ROOT,)) for name in names))
    hear(made, *(ended(JOB, name, made.now) for name in names), ended(ROOT, "rows", made.now), held(made, yes=False))
    made.wait(MINUTE)

    assert made.board.open == {}
