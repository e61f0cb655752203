"""Overrides that end, one probe at a time, commands that are done once and always answered."""

from detector.core.commands import AnyCommand, Feedback, RequestProbe, SetOverride
from detector.core.emissions import CommandDone
from detector.core.rules import Rules, Settings
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

    assert answers(made, RequestProbe(id="2", by="bob", entity=RAW, lasts=60.0)) == [(True, "bob may run, once, until "
        + _moment(made.now + 60.0))]  # fmt: skip


def _moment(at: float) -> str:
    from detector.core.text import moment

    return moment(at)


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
