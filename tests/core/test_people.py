"""Overrides that end, one probe at a time, commands that are done once and always answered."""

import pytest

from detector.core.commands import AnyCommand, Feedback, RequestProbe, SetOverride, Verdict
from detector.core.emissions import Anomaly, CommandDone
from detector.core.events import Dataset, RunEvent
from detector.core.rules import Rules, Settings
from detector.core.text import moment
from tests.core.company import Company
from tests.core.test_lineage import RAW, chain, company, told
from tests.core.world import DAY, HOUR, MINUTE

LONG = Rules(Settings(late=None, hanging=None, wait=7 * DAY, max_wait=8 * DAY))


def answers(made: Company, *commands: AnyCommand) -> list[tuple[bool, str]]:
    before = len(made.said)
    for command in commands:
        made.command(command)
    return [(d.done, d.effect) for e in made.said[before:] if isinstance(d := e.data, CommandDone)]


def test_an_override_that_ends_while_the_detector_is_away_is_over_when_it_is_back() -> None:
    made = company(LONG)
    chain(made)
    told(made, "load", "", "raw", good=False)
    made.settle()
    answers(made, SetOverride(id="1", by="alice", entity=RAW, state="force_closed", until=made.now + HOUR))
    assert made.breakers()[RAW].state == "closed"
    made.tick(made.now + 5 * HOUR)

    assert made.breakers()[RAW].state == "open"
    assert made.breakers()[RAW].override is None


def test_an_override_needs_an_end_that_is_to_come() -> None:
    made = company()
    chain(made)
    found = answers(
        made,
        SetOverride(id="1", by="a", entity=RAW, state="force_open"),
        SetOverride(id="2", by="a", entity=RAW, state="force_open", until=made.now - 1),
        SetOverride(id="3", by="a", entity=RAW, state="force_open", until=made.now + 91 * DAY),
        SetOverride(id="4", by="a", entity=RAW, state="none"),
        SetOverride(id="5", by="a", entity=RAW, state="force_open", until=made.now + DAY),
    )

    assert [done for done, _ in found] == [False, False, False, False, True]


def test_a_command_that_comes_twice_is_done_once() -> None:
    made = company()
    chain(made)
    command = SetOverride(id="1", by="alice", entity=RAW, state="force_open", until=made.now + HOUR)
    take_back = SetOverride(id="2", by="alice", entity=RAW, state="none")

    assert len(answers(made, command, take_back, command)) == 2
    assert made.breakers()[RAW].state == "closed"


def half_open() -> Company:
    made = company()
    chain(made)
    told(made, "load", "", "raw", good=False)
    made.wait(11 * MINUTE)
    assert made.breakers()[RAW].state == "half_open"
    return made


def test_of_those_who_ask_to_probe_the_first_may() -> None:
    made = half_open()
    found = answers(
        made,
        RequestProbe(id="1", by="airflow", entity=RAW, lasts=600.0),
        RequestProbe(id="2", by="bob", entity=RAW, lasts=600.0),
        RequestProbe(id="3", by="airflow", entity=RAW, lasts=900.0),
    )

    assert [done for done, _ in found] == [True, False, True]
    probe = made.breakers()[RAW].probe
    assert probe is not None
    assert probe.holder == "airflow"


def test_a_probe_that_is_not_judged_in_time_makes_room_for_another() -> None:
    made = half_open()
    answers(made, RequestProbe(id="1", by="airflow", entity=RAW, lasts=60.0))
    made.wait(2 * MINUTE)

    ((done, effect),) = answers(made, RequestProbe(id="2", by="bob", entity=RAW, lasts=60.0))
    assert done
    assert effect == f"bob may run, once, until {moment(made.now + 60.0)}"


def test_nobody_probes_what_is_open() -> None:
    made = company(LONG)
    chain(made)
    told(made, "load", "", "raw", good=False)
    ((done, effect),) = answers(made, RequestProbe(id="1", by="bob", entity=RAW, lasts=60.0))

    assert not done
    assert effect.startswith("the breaker is open")


def test_the_first_run_that_begins_probes_when_nobody_has_asked() -> None:
    made = half_open()
    told(made, "load", "", "raw", good=False)
    made.settle()

    assert made.breakers()[RAW].state == "open"
    made.wait(25 * MINUTE)
    told(made, "load", "", "raw")
    assert made.breakers()[RAW].state == "closed"


def test_feedback_on_nothing_says_what_is_missing() -> None:
    made = company()
    chain(made)

    assert answers(made, Feedback(id="1", by="bob", entity=RAW, verdict="confirmed")) == [
        (False, "no anomaly goes on: name the one that is meant with `check`")
    ]


def test_what_was_no_fault_does_not_stop_anybody() -> None:
    made = company(LONG)
    chain(made)
    told(made, "load", "", "raw", good=False)
    made.settle()
    ((done, _),) = answers(made, Feedback(id="1", by="bob", entity=RAW, verdict="false_positive"))
    made.settle()

    assert done
    assert made.open() == set()


# ---------------------------------------------------------------- what is said is taken to heart


def learned(rows: float = 1_000.0) -> Company:
    """A table of which twenty daily loads were seen, of about so many rows; then one with a fifth of them."""
    made = company(LONG)
    for day in range(20):
        loaded(made, rows + 10.0 * (day % 3))
        made.wait(DAY, every=6 * HOUR)
    loaded(made, rows / 5)
    return made


def loaded(made: Company, rows: float) -> None:
    made.tell(RunEvent("ns", "load", f"r{made.now}", "COMPLETE", made.now, outputs=(Dataset("db", "raw", rows=rows),)))
    made.settle()


def is_told(made: Company, rows: float) -> bool:
    """Whether one more load of so many rows is told of the table, as an anomaly that begins or goes on."""
    made.wait(DAY, every=6 * HOUR)
    before = len(made.said)
    loaded(made, rows)
    told_ = [e.data for e in made.said[before:] if isinstance(e.data, Anomaly) and e.data.entity == RAW]
    return any(anomaly.phase != "ended" for anomaly in told_)


@pytest.mark.parametrize(
    ("verdict", "the_same", "as_before"),
    [
        pytest.param("confirmed", True, False, id="confirmed: it is told again"),
        pytest.param("expected_once", True, False, id="expected once: nothing was learned of it"),
        pytest.param("new_normal", False, True, id="new normal: it is usual, and what was usual is not"),
        pytest.param("false_positive", False, False, id="false positive: both are fine"),
    ],
)
def test_a_verdict_changes_what_is_told_next(verdict: Verdict, the_same: bool, as_before: bool) -> None:
    made = learned()
    ((done, effect),) = answers(made, Feedback(id="1", by="bob", entity=RAW, verdict=verdict, check="rows"))

    assert done
    assert effect
    assert is_told(made, 200.0) is the_same
    if the_same:
        loaded(made, 1_000.0)
    assert is_told(made, 1_000.0) is as_before


def test_what_was_missed_is_told_next_time() -> None:
    made = company(LONG)
    for day in range(20):
        loaded(made, 1_000.0 + 30.0 * (day % 3))
        made.wait(DAY, every=6 * HOUR)
    assert not is_told(made, 900.0)
    answers(made, Feedback(id="1", by="bob", entity=RAW, verdict="missed", metric="rows"))
    for _ in range(3):
        assert not is_told(made, 1_020.0)

    assert is_told(made, 900.0)


@pytest.mark.parametrize("verdict", ["expected_once", "new_normal", "false_positive"])
def test_what_was_no_fault_lets_those_go_on_who_waited(verdict: Verdict) -> None:
    made = learned()
    told(made, "clean", "raw", "orders", rows=None)
    made.settle()
    assert "job:ns/clean" in made.held()
    answers(made, Feedback(id="1", by="bob", entity=RAW, verdict=verdict, check="rows"))
    made.settle()

    assert made.held() == set()


def test_a_verdict_on_an_incident_reaches_an_entity_without_a_namespace() -> None:
    made = company()
    made.tell(RunEvent("", "load", "r1", "FAIL", made.now))
    made.wait(MINUTE)
    (incident,) = made.board.open
    answers(made, Feedback(id="1", by="alice", verdict="expected_once", incident=incident))
    made.wait(MINUTE)

    assert made.board.open == {}
