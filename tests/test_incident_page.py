"""The page of an incident, made of what the core says of a real fault."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.core.emissions import Anomaly, BreakerValue, Contributor
from detector.core.events import Dataset, RunEvent
from detector.core.incidents import Incident, IncidentFinding, Past
from detector.core.recovery import RecoveryPlan
from detector.core.rules import Rules
from detector.incident_page import WIDTH, in_order, page, seen_of
from tests.core.world import DAY, HOUR, MINUTE, MONDAY, World, anomalies, breakers, ready
from tests.test_docs import parse, words
from tests.test_view import value

RAW, CLEAN = Dataset("warehouse", "raw.orders"), Dataset("warehouse", "orders")


def run(
    world: World, job: str, at: float, reads: tuple[Dataset, ...], writes: tuple[Dataset, ...], **facts: Any
) -> None:
    """A run of five minutes, with ticks after it. The last of a day is called by its hour, too."""
    hour = int(at % DAY // HOUR)
    id_ = f"{job}-{int((at - MONDAY) // DAY) + 31}{f'-{hour}' if hour > 5 else ''}"
    hours = {"load": 3, "clean": 4, "report": 5}
    facts |= {"nominal_time": at // DAY * DAY + hours[job] * HOUR}
    world.tell(RunEvent("airflow", job, id_, "START", at, **facts))
    ended = RunEvent("airflow", job, id_, "COMPLETE", at + 5 * MINUTE, inputs=reads, outputs=writes, **facts)
    world.tell(ended)
    world.ticks(at + 6 * MINUTE, at + 12 * MINUTE, 2 * MINUTE)


def day(world: World, number: int, rows: float, hold: bool = False, version: str = "") -> None:
    """The nightly chain: load writes raw.orders, clean makes orders of it, report reads those."""
    at = MONDAY + number * DAY + 3 * HOUR
    loaded = Dataset("warehouse", "raw.orders", rows=rows, version=version or None)
    run(world, "load", at, (), (loaded,), code_version="b7e6aa4" if hold else "9f1c2d4")
    if not hold:
        run(world, "clean", at + HOUR, (RAW,), (CLEAN,))
        run(world, "report", at + 2 * HOUR, (CLEAN,), ())


def spoiled() -> World:
    """Thirty good nights, and one in which most rows are missing."""
    world = ready(Rules(), MONDAY - 31 * DAY)
    for number in range(-30, 0):
        day(world, number, 10_000 + 150 * (number * 7 % 11 - 5), version=f"v{number + 31}")
    day(world, 0, 412, hold=True, version="v31")
    return world


@pytest.fixture(scope="module")
def night() -> World:
    return spoiled()


def incidents(world: World) -> list[Incident]:
    return [e.data for e in world.said if e.topic == "incidents" and isinstance(e.data, Incident)]


def known(world: World) -> dict[str, BreakerValue]:
    return {value.entity: value for value in breakers(world.said)}


NIGHT = MONDAY + 3 * HOUR + 40 * MINUTE


def told(
    incident: Incident, known: dict[str, BreakerValue], now: float = NIGHT, evidence: dict[str, Anomaly] | None = None
) -> list[str]:
    return [line.text for line in page(incident, known, now, evidence or {})]


def evidence(world: World) -> dict[str, Anomaly]:
    return {said.episode: said for said in anomalies(world.said) if said.phase != "ended"}


def test_four_questions_are_answered_in_this_order(night: World) -> None:
    lines = page(incidents(night)[-1], known(night), NIGHT)

    headings = [line.text for line in lines if line.style == "heading"]
    assert headings[:4] == ["What broke", "Why we think so", "Who is hit", "What to do"]


def test_the_commands_can_be_typed_as_they_stand(night: World) -> None:
    lines = page(incidents(night)[-1], known(night), NIGHT)

    typed = [line.text.strip() for line in lines if line.style == "command"]
    assert len(typed) >= 6
    for command in typed:
        parse(words(command)[1:])


def test_no_line_of_text_is_wider_than_a_screen(night: World) -> None:
    lines = page(incidents(night)[-1], known(night), NIGHT)

    assert max(len(line.text) for line in lines if line.style != "command") <= WIDTH


def test_what_lets_others_go_on_is_the_breaker_that_holds_them(night: World) -> None:
    lines = told(incidents(night)[-1], known(night))

    assert incidents(night)[-1].root == "job:airflow/load"
    assert [line.split()[3] for line in lines if "--force-closed" in line] == ["dataset:warehouse/raw.orders"]


def test_programs_are_told_the_same(night: World) -> None:
    [step] = [step for step in incidents(night)[-1].what_to_do if "--force-closed" in step]

    assert "detector breaker override dataset:warehouse/raw.orders --force-closed" in step


def test_without_the_view_only_the_ways_are_missing(night: World) -> None:
    lines = told(incidents(night)[-1], {})

    assert "    job:airflow/report" in lines
    assert [line.split()[3] for line in lines if "--force-closed" in line] == ["dataset:warehouse/raw.orders"]


@given(st.permutations(range(3)))
def test_findings_are_told_from_upstream_to_downstream(order: list[int]) -> None:
    chain = ["job:a/load", "dataset:a/raw", "job:a/clean"]
    up: dict[str, list[str]] = {chain[0]: [], chain[1]: [chain[0]], chain[2]: [chain[1]]}
    breakers = {key: value(entity=key, up=up[key]) for key in chain}
    findings = [
        IncidentFinding(entity=chain[at], check="rows", episode="e", severity="critical", since=float(-at), summary="s")
        for at in order
    ]

    assert [one.entity for one in in_order(findings, seen_of(breakers))] == chain


def test_of_a_cycle_nothing_is_lost() -> None:
    breakers = {key: value(entity=key, up=[other], down=[other]) for key, other in (("job:a/x", "job:a/y"),)}
    findings = [
        IncidentFinding(entity=key, check="rows", episode="e", severity="info", since=0.0, summary="s")
        for key in ("job:a/y", "job:a/x")
    ]

    assert [one.entity for one in in_order(findings, seen_of(breakers))] == ["job:a/x", "job:a/y"]


def test_of_many_series_the_first_are_named(night: World) -> None:
    incident = incidents(night)[-1]
    series = [
        Contributor(metric=f"null_share(c{at})", severity="warning", observed=0.5, expected=0.01) for at in range(7)
    ]
    said = evidence(night)[incident.findings[0].episode]
    columns = {said.episode: msgspec.structs.replace(said, contributors=series, last_values=None)}

    text = " ".join(line.strip() for line in told(incident, known(night), evidence=columns))

    assert "most of it: null_share(c0) 0.5 (usually 0.01), null_share(c1) 0.5 (usually 0.01)," in text
    assert "null_share(c4) 0.5 (usually 0.01), and 2 more" in text


# ---------------------------------------------------------------- once it is over


def mended() -> World:
    """The same night; in the morning it is loaded again, well, and the first of the others goes on."""
    world = spoiled()
    world.ticks(MONDAY + 4 * HOUR, MONDAY + 6 * HOUR, 5 * MINUTE)
    run(
        world, "load", MONDAY + 6 * HOUR, (), (Dataset("warehouse", "raw.orders", rows=10_000),), code_version="9f1c2d4"
    )
    run(world, "clean", MONDAY + 6 * HOUR + 15 * MINUTE, (RAW,), (CLEAN,))
    world.ticks(MONDAY + 6 * HOUR + 30 * MINUTE, MONDAY + 7 * HOUR, 5 * MINUTE)
    return world


@pytest.fixture(scope="module")
def morning() -> World:
    return mended()


def test_once_it_is_over_the_page_says_what_must_be_redone(morning: World) -> None:
    incident = next(one for one in reversed(incidents(morning)) if one.root == "job:airflow/load")

    lines = told(incident, known(morning))

    assert lines[0].startswith("CRITICAL, over after ")
    assert "  Nobody is held any more." in lines
    assert f"       detector recover plan {incident.plan}" in lines
    assert f"       detector feedback --incident {incident.id} confirmed" in lines


def test_the_run_that_mended_it_need_not_be_redone(morning: World) -> None:
    first = next(emission.data for emission in morning.said if isinstance(emission.data, RecoveryPlan))

    assert [(step.job, [redo.done_by for redo in step.runs]) for step in first.steps] == [
        ("job:airflow/load", ["load-31-6"]),
        ("job:airflow/clean", [None]),
        ("job:airflow/report", [None]),
    ]


def test_where_the_run_that_mended_it_is_all_there_is_no_plan() -> None:
    world = ready(Rules(), MONDAY - 31 * DAY)
    for number in range(-30, 1):
        rows = 412 if number == 0 else 10_000 + 150 * (number * 7 % 11 - 5)
        written = (Dataset("warehouse", "raw.orders", rows=rows),)
        run(world, "load", MONDAY + number * DAY + 3 * HOUR, (), written)
    world.ticks(MONDAY + 4 * HOUR, MONDAY + 6 * HOUR, 5 * MINUTE)

    run(world, "load", MONDAY + 6 * HOUR, (), (Dataset("warehouse", "raw.orders", rows=10_000),))
    world.ticks(MONDAY + 6 * HOUR + 20 * MINUTE, MONDAY + 7 * HOUR, 5 * MINUTE)

    assert incidents(world)[-1].state == "resolved"
    assert [emission for emission in world.said if isinstance(emission.data, RecoveryPlan)] == []


def test_what_was_like_it_before_is_told_with_how_it_ended(night: World) -> None:
    past = Past(
        id="p", root="job:airflow/load", checks=["rows_out"], title="rows out: 99", opened=MONDAY - 20 * DAY,
        resolved=MONDAY - 20 * DAY + 2 * HOUR, verdict="expected_once", by="ada",
    )  # fmt: skip
    incident = msgspec.structs.replace(incidents(night)[-1], seen_before=[past])

    lines = told(incident, known(night))

    assert "  Tue 30 Dec 00:00 UTC, for 2 h: rows out: 99 (ada: expected once)" in lines


def test_one_that_was_merged_leads_to_the_other(night: World) -> None:
    incident = msgspec.structs.replace(incidents(night)[-1], state="merged", merged_into="ab12")

    assert "       detector incidents show ab12" in told(incident, known(night))
