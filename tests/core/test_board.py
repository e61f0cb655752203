"""The board of incidents, told by hand: what ends, also after long and with many."""

from detector.core.board import KEEP_RULES
from detector.core.events import RunEvent
from detector.core.incidents import KEEP_FINDINGS, KEEP_TIMELINE
from detector.core.messages import (
    BOARD,
    BoardMessage,
    BreakerTold,
    FindingTold,
    HoldTold,
    Redo,
    RedoneTold,
    RunsTold,
    VerdictTold,
)
from detector.core.partition import partition_of
from tests.core.company import Company
from tests.core.test_lineage import company
from tests.core.world import DAY, HOUR, MINUTE

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


def test_an_incident_with_too_many_findings_ends_with_its_root_and_no_sooner() -> None:
    made = company()
    names = [f"e{n}" for n in range(KEEP_FINDINGS + 1)]
    hear(made, began(ROOT, "rows", made.now, down=(JOB,)), held(made))
    hear(made, *(began(JOB, name, made.now, up=(ROOT,)) for name in names))
    hear(made, *(ended(JOB, name, made.now) for name in names), held(made, yes=False))
    made.wait(MINUTE)
    assert [len(incident.findings) for incident in made.board.open.values()] == [KEEP_FINDINGS]
    hear(made, ended(ROOT, "rows", made.now))
    made.wait(MINUTE)

    assert made.board.open == {}


def test_what_had_many_findings_before_it_became_one_is_bounded_like_any_other() -> None:
    made = company()
    for n in range(4):
        hear(made, *(began(f"job:ns/{n}", f"e{n}/{m}", made.now) for m in range(KEEP_FINDINGS // 3)))
    hear(made, began(ROOT, "rows", made.now, down=tuple(f"job:ns/{n}" for n in range(4))))
    (incident,) = made.board.open.values()

    assert len(incident.findings) == KEEP_FINDINGS
    assert len(incident.timeline) == KEEP_TIMELINE


def test_rules_are_counted_however_producers_name_their_metrics_but_not_without_end() -> None:
    made = company()
    hear(made, *(began(ROOT, "rows", made.now) for _ in range(2)))
    hear(made, *(VerdictTold(ROOT, f"metric_{n}", "", "confirmed", "alice", made.now) for n in range(2 * KEEP_RULES)))

    assert len(made.board.precision) == KEEP_RULES
    assert f"metric_{2 * KEEP_RULES - 1}" in made.board.precision


def test_of_two_plans_of_one_root_each_ends_when_its_own_runs_were_redone() -> None:
    made = company()
    hear(made, stops(made, yes=False))
    for job in ("job:ns/a", "job:ns/b"):  # the second is told when the plan was made already
        hear(made, RunsTold(ROOT, job, made.now, (ROOT,), (), (Redo(why="bad", run_id="bad"),)))
        made.wait(MINUTE)
    assert len(made.board.plans) == 2
    for job in ("job:ns/a", "job:ns/b"):
        hear(made, RedoneTold(ROOT, job, made.now, "good", (0,)))

    assert made.board.plans == {}


def test_a_producer_whose_clock_is_years_ahead_makes_no_finding_that_is_news_for_years() -> None:
    made = company()
    made.tell(RunEvent("ns", "load", "r1", "FAIL", made.now + 3_650 * DAY))
    made.settle()
    (incident,) = made.board.open.values()

    assert incident.opened <= made.now + made.rules.ahead
