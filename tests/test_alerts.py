"""What is told next of an incident, and in which words: as somebody reads it who was woken by it."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector import alert_text
from detector.alerts import Links, Match, Told, alert_of, decide, told_of
from detector.core.incidents import REST, Incident, IncidentFinding, Past, call_of
from detector.sinks import Action
from tests.fakes.alerting import incident, over

replace = msgspec.structs.replace


def told(**other: Any) -> Told:
    return replace(told_of("pager", incident(), 120.0), **{"taken": True, **other})


@pytest.mark.parametrize(
    ("now", "last", "expected"),
    [
        pytest.param(incident(), None, "trigger", id="people are called, and nobody was told"),
        pytest.param(incident(called=None), None, None, id="nobody is called"),
        pytest.param(incident(), told(), "update", id="it was told; only its text may be another"),
        pytest.param(incident(), told(taken=False), "trigger", id="it may have been told, or not"),
        pytest.param(incident(called_at=200.0), told(), "trigger", id="people are called again"),
        pytest.param(incident(), told(severity="warning"), "trigger", id="what joined it was worse"),
        pytest.param(incident(called=None), told(), "update", id="it was told, and is to be told anew later"),
        pytest.param(incident(acknowledged_by="ada"), told(), "acknowledge", id="somebody looks after it"),
        pytest.param(incident(acknowledged_by="ada"), told(acknowledged_by="ada"), "update", id="and still does"),
        pytest.param(incident(acknowledged_by="bob"), told(acknowledged_by="ada"), "acknowledge", id="somebody else"),
        pytest.param(over(incident()), told(), "resolve", id="it is over"),
        pytest.param(over(incident(), state="merged"), told(), "resolve", id="it is part of another"),
        pytest.param(None, told(), "resolve", id="it was taken off the topic"),
        pytest.param(over(incident()), told(taken=False), "resolve", id="it is over, and may have been told"),
        pytest.param(over(incident()), None, None, id="it is over, and was not told"),
        pytest.param(None, None, None, id="there is nothing"),
    ],
)
def test_what_is_told_next(now: Incident | None, last: Told | None, expected: Action | None) -> None:
    assert decide(now, last, Match()) == expected


@pytest.mark.parametrize(
    ("match", "expected"),
    [
        pytest.param(Match(), True, id="all"),
        pytest.param(Match(severity="critical"), False, id="not as bad"),
        pytest.param(Match(severity="warning"), True, id="as bad"),
        pytest.param(Match(entities=("job:shop/*",)), True, id="an entity"),
        pytest.param(Match(entities=("dataset:*", "job:other/*")), False, id="no entity"),
        pytest.param(Match(owner="team-*"), True, id="an owner"),
        pytest.param(Match(owner="alice"), False, id="another owner"),
        pytest.param(Match(tags=("pii", "finance")), True, id="a tag"),
        pytest.param(Match(tags=("pii",)), False, id="no tag"),
        pytest.param(Match(severity="warning", owner="team-*", tags=("pii",)), False, id="all must hold"),
    ],
)
def test_who_is_told_of_what(match: Match, expected: bool) -> None:
    one = incident(called="warning", owner="team-orders", tags=["finance"])

    assert match.matches(one) is expected


def test_what_is_over_is_told_to_who_was_told_whatever_matches_now() -> None:
    ended = over(incident(severity="warning", called="warning"))

    assert decide(ended, told(), Match(severity="critical", owner="nobody")) == "resolve"


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        pytest.param({}, 110.0, id="called"),
        pytest.param({"called": None}, None, id="not called"),
        pytest.param({"called_at": None}, 100.0, id="what joined it has called"),
        pytest.param({"rests_until": 110.0 + REST}, None, id="it rests after that call"),
        pytest.param(
            {"called_at": 150.0, "rests_until": 110.0 + REST}, 150.0, id="called while it rested: it got worse"
        ),
    ],
)
def test_when_people_were_called(other: dict[str, Any], expected: float | None) -> None:
    assert call_of(incident(**other)) == expected


def test_a_message_that_is_told_again_has_the_id_that_it_had_and_another_one_has_another() -> None:
    links = Links()
    ids = [
        alert_of("trigger", told(), incident(), links, 1.0).id,
        alert_of("trigger", told(), incident(version=9, title="worse"), links, 2.0).id,
        alert_of("trigger", told(called_at=200.0), incident(), links, 1.0).id,
        alert_of("acknowledge", told(), incident(acknowledged_by="ada"), links, 1.0).id,
        alert_of("acknowledge", told(), incident(acknowledged_by="bob"), links, 1.0).id,
        alert_of("resolve", told(), over(incident()), links, 1.0).id,
        alert_of("resolve", told(), None, links, 1.0).id,
    ]

    assert ids[0] == ids[1]
    assert ids[5] == ids[6]
    assert len(set(ids)) == 5


def test_links_lead_to_the_incident_and_to_a_runbook_with_what_it_is_about() -> None:
    links = Links("https://detector.example.com/", "https://wiki/run?of={entity}&check={check}&who={owner}")
    alert = alert_of("trigger", told(), incident(), links, 1.0)

    assert alert.link == "https://detector.example.com/#/incidents/i1"
    assert alert.runbook == "https://wiki/run?of=job%3Ashop%2Fload&check=rows_out&who="


def test_what_was_taken_off_its_topic_is_told_by_what_was_kept() -> None:
    alert = alert_of("resolve", told(), None, Links(), 500.0)

    assert (alert.entity, alert.severity, alert.at) == ("job:shop/load", "critical", 500.0)
    assert alert.title == alert.text == "job:shop/load: rows out: 12 rows, 4 % of what is usual"


# ---------------------------------------------------------------- words


def large() -> Incident:
    """One with all that can be said."""
    first = incident()
    findings = [
        *first.findings,
        *(
            IncidentFinding(
                entity=f"dataset:warehouse/mart.table_{n}",
                check="rows",
                episode=f"e{n}",
                severity="warning",
                since=130.0,
                summary=f"rows: {n} rows",
            )
            for n in range(40)
        ),
    ]
    return replace(
        first,
        findings=findings,
        affected=[f"job:airflow/report_{n}" for n in range(40)],
        owner="team-orders",
        last_good_run="load-30",
        last_good_at=90.0,
        seen_before=[
            Past(
                id="i0", root=first.root, checks=["rows_out"], title="x", opened=1.0, resolved=2.0, verdict="new_normal"
            )
        ],
    )


def test_what_counts_most_comes_first() -> None:
    assert alert_text.paragraph(large()) == (
        "job:shop/load: rows out: 12 rows, 4 % of what is usual."
        " 40 jobs downstream wait: job:airflow/report_0, job:airflow/report_1, job:airflow/report_2 and 37 more."
        " Also wrong: dataset:warehouse/mart.table_0, dataset:warehouse/mart.table_1, dataset:warehouse/mart.table_2"
        " and 37 more."
        " Last good: run load-30, Thu 1 Jan 00:01:30 UTC."
        " Since Thu 1 Jan 00:01:40 UTC."
        " It belongs to team-orders."
        " It was like this on Thu 1 Jan 00:00:01 UTC, which was new normal."
        " What to do: detector incidents show i1"
    )


def test_the_sections_are_those_of_the_page() -> None:
    found = alert_text.sections(large(), 200.0)

    assert list(found) == [
        "What broke",
        "Why we think so",
        "Who is hit",
        "What to do",
        "Seen before",
    ]
    assert found["What broke"].startswith("job:shop/load, since Thu 1 Jan 00:01:40 UTC:\nrows out: 12 rows")
    assert "detector incidents ack i1" in found["What to do"]


@given(st.text(min_size=1, max_size=3_000), st.integers(0, 60), st.integers(10, 1_024))
def test_no_text_is_too_long(title: str, held: int, most: int) -> None:
    one = replace(large(), title=title, affected=[f"job:{'x' * 50}/{n}" for n in range(held)])

    assert 0 < len(alert_text.paragraph(one, most)) <= most
    assert len(alert_text.title(one)) <= alert_text.TITLE
    assert all(len(text) <= alert_text.SECTION for text in alert_text.sections(one, 200.0).values())
