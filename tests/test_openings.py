"""What the report makes of moves and of feedback: openings, whether they were right, and what they cost."""

from typing import Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.core.breaker import Mode, State
from detector.core.emissions import BreakerChange, Emission
from detector.core.events import Record
from detector.core.policies.window import Window
from detector.core.rules import Rules, Settings
from detector.openings import Fact, Feedback, Figures, Line, Moved, counts, fold, read, sentence
from detector.sinks import cloudevents
from tests.core.world import DAY, HOUR, JOB, MINUTE, MONDAY, ready

CLOSED, OPEN, HALF_OPEN, UNKNOWN = State.CLOSED, State.OPEN, State.HALF_OPEN, State.UNKNOWN
Step = tuple[State, float] | tuple[State, float, str]


def moves(first: State, *steps: Step, mode: Mode = "shadow", entity: str = "job:a/b") -> list[Fact]:
    """A breaker that begins in `first` and goes on to (state, hours, cause)."""
    found: list[Fact] = []
    for state, hours, *cause in steps:
        why = str(cause[0]) if cause else None
        found.append(
            Moved(at=HOUR * hours, entity=entity, mode=mode, from_state=first, to_state=state, cause=why),
        )
        first = state
    return found


def said(verdict: str, episode: str | None = "e1", entity: str = "job:a/b") -> Feedback:
    return Feedback(at=0.0, entity=entity, verdict=verdict, episode=episode)  # type: ignore[arg-type]


def shadow(facts: list[Fact]) -> Figures:
    return fold(facts, 0.0, 100 * HOUR).total.shadow


ONCE = moves(CLOSED, (OPEN, 1, "e1"), (HALF_OPEN, 2, "e1"), (CLOSED, 3))


@pytest.mark.parametrize(
    ("facts", "opened", "going_on", "hours"),
    [
        pytest.param([], 0, 0, 0, id="nothing happened"),
        pytest.param(ONCE, 1, 0, 2, id="from opening to closing"),
        pytest.param(moves(CLOSED, (OPEN, 90)), 1, 1, 10, id="what goes on counts until now"),
        pytest.param(moves(CLOSED, (OPEN, 90), (HALF_OPEN, 91)), 1, 1, 10, id="half-open is not closed"),
        pytest.param(
            moves(CLOSED, (OPEN, 1), (HALF_OPEN, 2), (OPEN, 2), (HALF_OPEN, 4), (CLOSED, 5)), 1, 0, 4,
            id="a probe that fails is part of the opening",
        ),
        pytest.param(
            moves(CLOSED, (OPEN, 1), (HALF_OPEN, 2), (CLOSED, 2), (OPEN, 7), (HALF_OPEN, 8), (CLOSED, 8)), 2, 0, 2,
            id="two openings add up",
        ),
        pytest.param(moves(CLOSED, (OPEN, 1), (UNKNOWN, 4)), 1, 0, 3, id="unknown ends an opening"),
        pytest.param(
            moves(CLOSED, (UNKNOWN, 1), (HALF_OPEN, 5), (CLOSED, 6)), 0, 0, 0, id="unknown and back is no opening"
        ),
        pytest.param(moves(UNKNOWN, (HALF_OPEN, 5), (OPEN, 5)), 1, 1, 95, id="from unknown to open is one"),
        pytest.param(moves(HALF_OPEN, (CLOSED, 5)), 0, 0, 0, id="what opened before and closes says nothing"),
        pytest.param(
            moves(OPEN, (HALF_OPEN, 5), (OPEN, 5), (HALF_OPEN, 7), (CLOSED, 7)), 0, 0, 2,
            id="of what opened before only the time counts since it was seen",
        ),
        pytest.param(
            [*moves(CLOSED, (OPEN, 1)), *moves(OPEN, (HALF_OPEN, 3), mode="off")], 1, 0, 2,
            id="a breaker that is switched off is open no more",
        ),
        pytest.param(moves(CLOSED, (OPEN, 1), mode="off"), 0, 0, 0, id="one that is off does not open"),
        pytest.param(moves(CLOSED, (OPEN, 5), (HALF_OPEN, 4), (CLOSED, 4)), 1, 0, 0, id="times that run back"),
    ],
)  # fmt: skip
def test_an_opening_lasts_until_the_breaker_closes(facts: list[Fact], opened: int, going_on: int, hours: float) -> None:
    figures = shadow(facts)

    assert (figures.opened, figures.going_on, figures.lost / HOUR) == (opened, going_on, hours)


@pytest.mark.parametrize(
    ("feedback", "column"),
    [
        pytest.param([], "not_judged", id="nobody said anything"),
        pytest.param([said("confirmed")], "confirmed", id="confirmed"),
        pytest.param([said("false_positive")], "false", id="false"),
        pytest.param([said("expected_once")], "expected", id="expected this time"),
        pytest.param([said("new_normal")], "expected", id="the new normal"),
        pytest.param([said("false_positive"), said("confirmed")], "confirmed", id="the last word counts"),
        pytest.param([said("confirmed", "e2")], "not_judged", id="of another episode"),
        pytest.param([said("confirmed", entity="job:c/d")], "not_judged", id="of another entity"),
        pytest.param([said("missed")], "not_judged", id="what was missed is no word on what was found"),
    ],
)
def test_an_opening_is_judged_by_what_was_said_of_its_cause(feedback: list[Fact], column: str) -> None:
    figures = shadow([*ONCE, *feedback])

    columns = ("confirmed", "false", "expected", "not_judged")
    assert {name: getattr(figures, name) for name in columns} == {name: int(name == column) for name in columns}


def test_feedback_may_come_before_the_opening_and_on_the_cause_of_a_later_probe() -> None:
    opening = moves(CLOSED, (OPEN, 1, "e1"), (HALF_OPEN, 2), (OPEN, 2, "e2"))

    assert shadow([said("confirmed", "e2"), *opening]).confirmed == 1


def test_modes_are_told_apart_and_entities_that_opened_most_come_first() -> None:
    twice = moves(CLOSED, (OPEN, 1), (CLOSED, 2), (OPEN, 3), (CLOSED, 4), mode="enforce", entity="job:z/z")
    nothing = moves(CLOSED, (UNKNOWN, 1), entity="job:q/q")

    found = fold([*ONCE, *twice, *nothing, said("missed", None, "job:m/m"), said("missed", None, "job:m/m")], 0, HOUR)

    assert [(line.entity, line.shadow.opened, line.enforce.opened, line.missed) for line in found.entities] == [
        ("job:z/z", 0, 2, 0),
        ("job:a/b", 1, 0, 0),
        ("job:m/m", 0, 0, 2),
    ]
    assert (found.total.shadow.opened, found.total.enforce.opened, found.total.missed) == (1, 2, 2)


facts = st.lists(
    st.one_of(
        st.builds(
            Moved,
            at=st.floats(0, 1e5),
            entity=st.sampled_from(["job:a/a", "job:b/b"]),
            mode=st.sampled_from(["shadow", "enforce", "off"]),
            from_state=st.sampled_from(list(State)),
            to_state=st.sampled_from(list(State)),
            cause=st.sampled_from([None, "e1", "e2"]),
        ),
        st.builds(
            Feedback,
            at=st.floats(0, 1e5),
            entity=st.sampled_from(["job:a/a", "job:b/b"]),
            verdict=st.sampled_from(["confirmed", "false_positive", "expected_once", "new_normal", "missed"]),
            episode=st.sampled_from([None, "e1", "e2"]),
        ),
    ),
    max_size=30,
)


@given(facts)
def test_whatever_was_said_every_opening_is_in_one_column_and_no_time_is_negative(given_: list[Fact]) -> None:
    report = fold(given_, 0.0, 1e5)

    for line in (*report.entities, report.total):
        for f in (line.shadow, line.enforce):
            assert f.opened == f.confirmed + f.false + f.expected + f.not_judged
            assert f.lost >= 0
    assert report.total.shadow.opened == sum(line.shadow.opened for line in report.entities)


# ---------------------------------------------------------------- what the control topic says


def changed(**data: object) -> dict[str, Any]:
    full = {"entity": JOB, "from": "closed", "to": "open", "mode": "shadow", "cause": "e1", "summary": "so", **data}
    return {"type": "io.detector.breaker.state_changed.v1", "data": full}


def applied(**data: object) -> dict[str, Any]:
    full = {
        "command": "feedback",
        "entity": JOB,
        "episode": "e1",
        "verdict": "confirmed",
        "by": "ada",
        "done": True,
        **data,
    }
    return {"type": "io.detector.command.done.v1", "data": full}


def test_events_of_the_control_topic_are_facts() -> None:
    moved = Moved(at=5.0, entity=JOB, mode="shadow", from_state=CLOSED, to_state=OPEN, cause="e1")

    assert read(changed(), 5.0) == moved
    assert read(applied(), 5.0) == Feedback(at=5.0, entity=JOB, verdict="confirmed", episode="e1")
    assert read(applied(verdict="missed", episode=None), 5.0) == Feedback(at=5.0, entity=JOB, verdict="missed")


@pytest.mark.parametrize(
    "event",
    [
        pytest.param({"type": "io.detector.anomaly.started.v1", "data": changed()["data"]}, id="of another type"),
        pytest.param(changed(to="ajar"), id="a state that a newer release has"),
        pytest.param(changed(mode=7), id="a mode that is none"),
        pytest.param(applied(command="mute"), id="another command"),
        pytest.param(applied(verdict="perhaps"), id="a verdict that a newer release has"),
        pytest.param(applied(entity=None), id="of nobody"),
        pytest.param({"type": "io.detector.command.done.v1", "data": ["feedback"]}, id="no table"),
        pytest.param({"type": "io.detector.breaker.state_changed.v1", "data": None}, id="no data"),
        pytest.param({}, id="nothing"),
    ],
)
def test_what_is_no_fact_is_left_out(event: dict[str, Any]) -> None:
    assert read(event, 5.0) is None


def fact_of(emission: Emission) -> Fact | None:
    """What the report reads of it on the topic."""
    send = cloudevents.encode(emission, "/detector", Names)
    event = cloudevents.decode(Record(send.topic, 0, 0, 0.0, send.key, send.value, send.headers))
    return read(event, emission.time)


class Names:
    control, breakers, incidents, runs, log = "control", "breakers", "incidents", "runs", "log"


def test_the_moves_that_the_core_makes_are_what_the_report_counts() -> None:
    world = ready(Rules(Settings(mode="shadow", policy=Window(), late=None, wait=2 * HOUR)))
    for hour, state in ((0, "FAIL"), (3, "FAIL"), (8, "COMPLETE")):
        world.ticks(MONDAY + (hour - 1) * HOUR, MONDAY + hour * HOUR, 30 * MINUTE)
        world.run(MONDAY + hour * HOUR, state=state)  # type: ignore[arg-type]
    said = [fact for emission in world.said if (fact := fact_of(emission))]
    causes = [e.data.cause for e in world.said if isinstance(e.data, BreakerChange) and e.data.cause]

    found = fold([*said, Feedback(at=0.0, entity=JOB, verdict="confirmed", episode=causes[0])], MONDAY, MONDAY + DAY)

    line = next(line for line in found.entities if line.entity == JOB)
    assert (line.shadow.opened, line.shadow.confirmed, line.shadow.going_on) == (1, 1, 0)
    assert 8 * HOUR <= line.shadow.lost + 2 * MINUTE <= 8 * HOUR + 3 * MINUTE


# ---------------------------------------------------------------- words

Where = Literal["shadow", "enforce"]


@pytest.mark.parametrize(
    ("mode", "figures", "days", "expected"),
    [
        (
            "shadow",
            Figures(opened=3, confirmed=2, false=1, lost=4 * HOUR),
            30,
            "would have opened 3 times in 30 days, 2 confirmed, 1 false, 4 h of freshness lost",
        ),
        ("shadow", Figures(), 30, "would never have opened in 30 days"),
        ("enforce", Figures(), 30, "never opened in 30 days"),
        ("shadow", Figures(opened=1, not_judged=1, going_on=1, lost=5 * MINUTE), 1,
         "would have opened once in 1 d, 1 not judged, 1 going on, 5 min of freshness lost"),
        ("enforce", Figures(opened=2, expected=2), 7, "opened twice in 7 days, 2 expected"),
    ],
    ids=["as people want to know it", "would never", "never", "once", "twice"],
)  # fmt: skip
def test_the_sentence_on_a_mode(mode: Where, figures: Figures, days: float, expected: str) -> None:
    assert sentence(mode, figures, days * DAY) == expected


def test_a_cell_says_how_many_and_what_of_them() -> None:
    assert counts(Figures()) == ""
    assert counts(Figures(opened=3, confirmed=2, false=1)) == "3: 2 confirmed, 1 false"
    assert counts(Figures(lost=60.0)) == "0"


def test_a_report_is_json_with_the_names_of_the_documentation() -> None:
    line = msgspec.to_builtins(Line(entity="job:a/b"))

    assert list(line) == ["entity", "shadow", "enforce", "missed"]
    assert list(line["shadow"]) == ["opened", "confirmed", "false", "expected", "not_judged", "going_on", "lost"]
