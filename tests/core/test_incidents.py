"""One cause is one incident, one call, one end; what is muted or in maintenance calls nobody."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.core.commands import Acknowledge, AddWindow, EndWindow, Feedback
from detector.core.emissions import CommandDone
from detector.core.events import Assertion, Dataset, RunEvent
from detector.core.incidents import (
    ENDED,
    TOGETHER,
    Around,
    Entry,
    Incident,
    IncidentFinding,
    Past,
    Seen,
    is_cause_of,
    is_upstream,
    kind_of,
    like,
    nearness,
    noted,
    root_of,
    severity_of,
)
from detector.core.messages import BOARD, FindingTold
from detector.core.rules import Rules, Settings
from detector.core.windows import Recurrence, Window
from tests.core.company import Company
from tests.core.test_lineage import QUIET, chain, company, told
from tests.core.world import DAY, HOUR, MINUTE, MONDAY, World

NOW = 1_000_000.0


def found(entity: str, **change: object) -> IncidentFinding:
    values = {"check": "rows", "episode": entity, "severity": "critical", "since": NOW, "summary": "few rows", **change}
    return IncidentFinding(entity=entity, **values)  # type: ignore[arg-type]


def of(entity: str, **change: object) -> FindingTold:
    return FindingTold(entity, "started", "e", "rows", 2, NOW, "few rows", **change)  # type: ignore[arg-type]


def made_of(finding: IncidentFinding, **change: object) -> Incident:
    values = {"version": 0, "state": "open", "severity": "info", "root": finding.entity, "opened": NOW, "updated": NOW}
    return Incident(id="i", findings=[finding], **{**values, **change})  # type: ignore[arg-type]


CHAIN = Seen(
    {
        "job:a": Around((), ("dataset:x",)),
        "dataset:x": Around(("job:a",), ("job:b",)),
        "job:b": Around(("dataset:x",), ("dataset:y",), "job:dag"),
        "dataset:y": Around(("job:b",), ()),
        "job:dag": Around((), ()),
        "dataset:far": Around((), ()),
    },
    {"dataset:far": {"dataset:x": ("dataset:x", "job:n")}},
)


# ---------------------------------------------------------------- which belong together

names = st.sampled_from(["a", "b", "c", "d", "x"])
some = st.lists(names, max_size=2, unique=True).map(tuple)


@given(
    st.dictionaries(names, st.builds(Around, some, some, st.none() | names)),
    st.dictionaries(names, st.dictionaries(names, st.just(()))),
)
def test_the_root_is_one_that_no_other_is_upstream_of(
    around: dict[str, Around], held_by: dict[str, dict[str, tuple[str, ...]]]
) -> None:
    seen, entities = Seen(around, held_by), ["a", "b", "c", "d"]
    tops = [one for one in entities if not any(is_upstream(o, one, seen) for o in entities if o != one)]

    assert root_of(map(found, entities), seen).entity == min(tops or entities)


@pytest.mark.parametrize(
    ("there", "new", "together"),
    [
        pytest.param(found("dataset:x"), of("dataset:x"), True, id="the same entity"),
        pytest.param(found("job:a"), of("dataset:x"), True, id="a job and what it writes"),
        pytest.param(found("dataset:x"), of("job:b"), True, id="a dataset and who reads it"),
        pytest.param(found("job:b"), of("dataset:x"), True, id="the cause may be found last"),
        pytest.param(found("dataset:x"), of("dataset:y"), True, id="the job between found nothing"),
        pytest.param(found("job:a"), of("job:b"), True, id="the dataset between found nothing"),
        pytest.param(found("dataset:x"), of("dataset:far"), True, id="one holds the other"),
        pytest.param(found("job:b"), of("job:dag"), True, id="a task and the job that it is a part of"),
        pytest.param(found("job:a"), of("dataset:y"), False, id="three hops away, and nobody is held"),
        pytest.param(found("dataset:x"), of("dataset:other"), False, id="nothing in common"),
        pytest.param(found("dataset:x", run_id="r"), of("dataset:other", run_id="r"), True, id="of one run"),
        pytest.param(found("dataset:x", run_id="r"), of("dataset:other", run_id="s"), False, id="of two runs"),
        pytest.param(found("dataset:x", ended=NOW - ENDED + 1), of("job:b"), True, id="it has just ended"),
        pytest.param(found("dataset:x", ended=NOW - ENDED - 1), of("job:b"), False, id="it ended a while ago"),
        pytest.param(found("dataset:x", since=NOW - TOGETHER - 1), of("job:b"), False, id="it has been so for days"),
        pytest.param(found("dataset:x", since=NOW - TOGETHER - 1), of("dataset:x"), True, id="but for the same one"),
    ],
)
def test_findings_of_one_cause_belong_together(there: IncidentFinding, new: FindingTold, together: bool) -> None:
    incident = made_of(there)
    near = nearness(incident, new, CHAIN, NOW, ()) > 0

    assert (near or is_cause_of(new, incident, CHAIN, NOW)) is together


def test_what_stops_for_days_is_still_the_cause_of_what_is_found_below() -> None:
    old = made_of(found("dataset:x", since=NOW - 9 * DAY))

    assert nearness(old, of("job:b"), CHAIN, NOW, ("dataset:x",))


def test_what_is_found_below_two_causes_does_not_make_one_of_them() -> None:
    made = company()
    told(made, "left", "", "a")
    told(made, "right", "", "b")
    told(made, "join", "a b", "c")
    made.settle()
    told(made, "left", "", "a", good=False)
    told(made, "right", "", "b", good=False)
    made.settle()
    made.tell(RunEvent("ns", "join", "j9", "FAIL", made.now, error="nothing to read"))
    made.wait(MINUTE, every=5)

    assert sorted(i.root for i in made.incidents("opened")) == ["dataset:db/a", "dataset:db/b"]


@pytest.mark.parametrize(
    ("entities", "root"),
    [
        pytest.param(["dataset:y", "job:b", "dataset:x"], "dataset:x", id="the one that no other is upstream of"),
        pytest.param(["dataset:far", "dataset:x"], "dataset:x", id="who holds the other"),
        pytest.param(["job:dag", "job:b"], "job:b", id="the task, not what it is a part of"),
        pytest.param(["dataset:p", "dataset:o"], "dataset:o", id="of two that have nothing in common the first"),
    ],
)
def test_the_root_is_what_is_furthest_up(entities: list[str], root: str) -> None:
    assert root_of([found(entity) for entity in entities], CHAIN).entity == root


def test_of_a_cycle_the_first_that_was_found_is_the_root() -> None:
    seen = Seen({"job:a": Around(("dataset:x",), ("dataset:x",)), "dataset:x": Around(("job:a",), ("job:a",))}, {})

    assert root_of([found("dataset:x", since=NOW + 1), found("job:a")], seen).entity == "job:a"


@pytest.mark.parametrize(
    ("incident", "severity"),
    [
        pytest.param(made_of(found("a", severity="warning")), "warning", id="a warning"),
        pytest.param(
            made_of(found("a", severity="warning"), affected=[str(n) for n in range(10)]),
            "critical",
            id="a warning that hits many",
        ),
        pytest.param(made_of(found("a", severity="warning"), tags=["Tier1"]), "critical", id="what matters"),
        pytest.param(made_of(found("a", severity="info"), tags=["tier1"]), "info", id="only told"),
        pytest.param(made_of(found("a")), "critical", id="critical"),
    ],
)
def test_severity_comes_from_what_was_found_and_who_is_hit(incident: Incident, severity: str) -> None:
    assert severity_of(incident) == severity


@pytest.mark.parametrize(
    ("check", "kind"),
    [("rows", "rows"), ("null_share(amount):load", "null_share"), ("profile_rows:load", "profile_rows"), ("", "")],
)
def test_a_check_is_of_a_rule(check: str, kind: str) -> None:
    assert kind_of(check) == kind


def test_the_last_three_incidents_that_were_alike_are_told() -> None:
    def past(number: int, root: str = "dataset:x", check: str = "rows") -> Past:
        return Past(id=str(number), root=root, checks=[check], title="t", opened=0.0, resolved=float(number))

    incident = made_of(found("dataset:x"))
    history = [*(past(n) for n in range(5)), past(8, root="dataset:y"), past(9, check="schema")]

    assert [one.id for one in like(incident, history)] == ["4", "3", "2"]


def test_of_a_long_timeline_the_beginning_and_the_end_are_kept() -> None:
    timeline: list[Entry] = []
    for number in range(250):
        timeline = noted(timeline, float(number), str(number))

    assert len(timeline) == 100
    assert [entry.text for entry in (timeline[0], timeline[19], timeline[20], timeline[-1])] == [
        "0",
        "19",
        "170",
        "249",
    ]


# ---------------------------------------------------------------- from the first finding to the end


def bad(made: Company) -> None:
    told(made, "load", "", "raw", good=False)


def test_a_bad_load_is_one_incident_and_one_call_and_ends_by_itself() -> None:
    made = company()
    chain(made)
    bad(made)
    made.wait(MINUTE, every=5)
    told(made, "load", "", "raw")
    made.wait(MINUTE, every=5)

    (opened,), (resolved,) = made.incidents("opened"), made.incidents("resolved")
    assert (opened.root, opened.severity, opened.pages) == ("dataset:db/raw", "critical", True)
    assert opened.affected == sorted(made_below())
    assert (resolved.id, resolved.state, resolved.pages) == (opened.id, "resolved", False)
    assert sum(i.pages for phase in ("opened", "updated", "reopened") for i in made.incidents(phase)) == 1


def made_below() -> set[str]:
    return {"job:ns/clean", "dataset:db/orders", "job:ns/join", "dataset:db/facts", "job:ns/report"}


def test_nobody_is_called_before_the_cause_had_time_to_be_found() -> None:
    made = company()
    chain(made)
    made.tell(RunEvent("ns", "join", "j9", "FAIL", made.now, error="no table"))
    made.settle()
    made.tick(made.now + 5)
    assert made.incidents("opened") == []
    bad(made)
    made.wait(MINUTE, every=5)

    (opened,) = made.incidents("opened")
    assert opened.root == "dataset:db/raw"
    assert {f.entity for f in opened.findings} >= {"job:ns/join", "dataset:db/raw"}


def test_two_causes_are_two_incidents() -> None:
    made = company()
    chain(made)
    bad(made)
    made.tell(RunEvent("ns", "audit", "a9", "FAIL", made.now, error="no disk"))
    made.wait(MINUTE, every=5)

    assert sorted(i.root for i in made.incidents("opened")) == ["dataset:db/raw", "job:ns/audit"]


def test_two_incidents_that_turn_out_to_be_one_say_so() -> None:
    made = company()
    chain(made)
    made.tell(RunEvent("ns", "join", "j9", "FAIL", made.now, error="no table"))
    made.wait(MINUTE, every=5)
    bad(made)
    made.wait(MINUTE, every=5)
    first, *later = made.incidents("opened")

    assert [i.id for i in later if i.id != first.id] == [i.id for i in made.incidents("merged")]
    assert len(made.board.open) == 1


def test_what_comes_back_within_a_day_is_the_same_incident() -> None:
    made = company()
    chain(made)
    for _ in range(2):
        bad(made)
        made.wait(MINUTE, every=5)
        told(made, "load", "", "raw")
        made.wait(2 * HOUR)

    (opened,), (again,) = made.incidents("opened"), made.incidents("reopened")
    assert (again.id, again.reopened, again.pages) == (opened.id, 1, True)


def test_what_comes_back_later_is_another_one_that_was_seen_before() -> None:
    made = company()
    chain(made)
    for _ in range(2):
        bad(made)
        made.wait(MINUTE, every=5)
        told(made, "load", "", "raw")
        made.wait(2 * DAY, every=10 * MINUTE)
    first, second = made.incidents("opened")

    assert [past.id for past in second.seen_before] == [first.id]


def test_a_warning_that_becomes_critical_calls_again() -> None:
    made = company(Rules(Settings(late=None, hanging=None, mode="off")))
    chain(made)
    made.tell(RunEvent("ns", "clean", "c8", "ABORT", made.now))
    made.wait(MINUTE, every=5)
    made.tell(RunEvent("ns", "clean", "c9", "FAIL", made.now, error="no"))
    made.wait(MINUTE, every=5)
    told_ = [*made.incidents("opened"), *made.incidents("updated")]

    assert [(i.severity, i.pages) for i in told_ if i.pages] == [("warning", True), ("critical", True)]


def test_who_has_been_called_is_not_called_again_for_more_of_the_same() -> None:
    made = company()
    chain(made)
    bad(made)
    made.wait(MINUTE, every=5)
    made.tell(RunEvent("ns", "join", "j9", "FAIL", made.now, error="refused"))
    made.wait(MINUTE, every=5)

    assert [i.pages for i in made.incidents("updated")] == [False]


# ---------------------------------------------------------------- people


def mute(match: str, until: float, kind: str = "mute") -> AddWindow:
    window = Window(id="w1", kind=kind, match=match, start=0.0, end=until, reason="known", owner="alice")  # type: ignore[arg-type]
    return AddWindow(id="c1", by="alice", window=window)


def test_what_is_muted_calls_nobody_until_the_mute_is_over() -> None:
    made = company()
    chain(made)
    made.command(mute("dataset:*", made.now + HOUR))
    bad(made)
    made.wait(50 * MINUTE)
    (opened,) = made.incidents("opened")
    assert (opened.pages, opened.quiet) == (False, "mute by alice: known")
    made.wait(15 * MINUTE)

    assert [i.pages for i in made.incidents("updated") if i.pages] == [True]


def test_a_mute_that_is_ended_early_calls_at_once() -> None:
    made = company()
    chain(made)
    made.command(mute("dataset:*", made.now + DAY))
    bad(made)
    made.wait(MINUTE, every=5)
    made.command(EndWindow(id="c2", by="bob", window="w1"))
    made.wait(MINUTE, every=5)

    assert [i.pages for i in made.incidents("updated") if i.pages] == [True]


def test_in_maintenance_nothing_stops_and_nobody_is_called() -> None:
    made = company()
    chain(made)
    made.command(mute("dataset:db/raw", made.now + HOUR, kind="maintenance"))
    bad(made)
    made.wait(MINUTE, every=5)

    assert made.open() == set()
    assert [i.pages for i in made.incidents("opened")] == [False]


BERLIN = ZoneInfo("Europe/Berlin")
CHANGE = datetime(2026, 3, 29, tzinfo=UTC).timestamp()  # the night in which the clock goes from 02:00 to 03:00


@pytest.mark.parametrize(
    ("minutes", "stops"),
    [
        pytest.param(-1, True, id="before it begins, at 01:59 in winter"),
        pytest.param(1, False, id="at 03:01 in summer"),
        pytest.param(59, False, id="at 03:59"),
        pytest.param(61, True, id="at 04:01 it is over, after an hour"),
    ],
)
def test_maintenance_goes_by_the_clock_on_the_wall_in_the_night_of_the_change(minutes: int, stops: bool) -> None:
    rules = Rules(QUIET, zones={"Europe/Berlin": BERLIN})
    made = Company(CHANGE, rules=rules)
    chain(made)
    nightly = Recurrence(at="02:00", lasts=2 * HOUR)
    window = Window(id="w", match="dataset:*", start=0.0, recurrence=nightly, zone="Europe/Berlin", reason="vacuum")
    made.command(AddWindow(id="c", by="alice", window=window))
    made.wait(HOUR + minutes * MINUTE)
    bad(made)
    made.settle()

    assert ("dataset:db/raw" in made.open()) is stops


def test_in_maintenance_nothing_is_late_and_after_it_is() -> None:
    made = Company(MONDAY, rules=Rules(Settings(hanging=None)))
    for _ in range(8):
        told(made, "load", "", "raw")
        made.wait(HOUR)
    told(made, "load", "", "raw")
    made.command(mute("job:*", made.now + 3 * HOUR, kind="maintenance"))
    made.wait(3 * HOUR)
    assert made.entities()["job:ns/load"].judgement.episodes == {}
    made.wait(10 * MINUTE)

    assert list(made.entities()["job:ns/load"].judgement.episodes) == ["late"]


def test_who_looks_after_an_incident_is_told_with_it() -> None:
    made = company()
    chain(made)
    bad(made)
    made.wait(MINUTE, every=5)
    (opened,) = made.incidents("opened")
    made.command(Acknowledge(id="a1", by="carol", incident=opened.id))
    made.command(Acknowledge(id="a2", by="carol", incident="none"))
    made.wait(MINUTE, every=5)
    answers = [e.data.done for e in made.said if isinstance(e.data, CommandDone)]

    assert made.incidents("updated")[-1].acknowledged_by == "carol"
    assert answers == [True, False]


def test_a_verdict_on_an_incident_reaches_each_finding_and_is_remembered() -> None:
    made = company()
    chain(made)
    bad(made)
    made.wait(MINUTE, every=5)
    (opened,) = made.incidents("opened")
    command = Feedback(id="f1", by="dave", incident=opened.id, verdict="expected_once", comment="migration")
    made.command(command)
    made.command(command)
    made.wait(MINUTE, every=5)

    (resolved,) = made.incidents("resolved")
    assert (resolved.verdict, resolved.verdict_by) == ("expected_once", "dave")
    assert made.open() == set()
    assert made.board.precision["assertion"].expected_once == 1
    assert made.board.past[-1].verdict == "expected_once"


def test_who_looks_after_an_entity_and_its_tags_are_in_the_incident() -> None:
    rules = Rules(QUIET, overrides=(("dataset:*", {"owner": "team shop", "tags": ("tier1",)}),))
    made = Company(MONDAY, rules=rules)
    chain(made)
    bad(made)
    made.wait(MINUTE, every=5)
    (opened,) = made.incidents("opened")

    assert (opened.owner, opened.tags) == ("team shop", ["tier1"])


def test_an_incident_says_what_to_do() -> None:
    made = company()
    for version in range(2):
        checks = (Assertion("sane", version == 0),)
        raw = Dataset("db", "raw", rows=9.0, version=str(version), assertions=checks)
        made.tell(RunEvent("ns", "load", f"v{version}", "COMPLETE", made.now, outputs=(raw,)))
        made.wait(MINUTE, every=5)
    (opened,) = made.incidents("opened")

    assert opened.last_good_version == "0"
    assert any("version 0" in step for step in opened.what_to_do)
    assert any(opened.id in step for step in opened.what_to_do)


def test_what_comes_and_goes_calls_once_an_hour_and_not_each_time() -> None:
    made = company()
    chain(made)
    for _ in range(12):
        bad(made)
        made.wait(5 * MINUTE)
        told(made, "load", "", "raw")
        made.wait(5 * MINUTE)
    calls = [i for phase in ("opened", "updated", "reopened") for i in made.incidents(phase) if i.pages]

    assert len(calls) == 2
    assert len(made.incidents("reopened")) >= 10


def test_what_is_back_and_stays_calls_when_its_rest_is_over() -> None:
    made = company()
    chain(made)
    bad(made)
    made.wait(5 * MINUTE)
    told(made, "load", "", "raw")
    made.wait(5 * MINUTE)
    bad(made)
    made.wait(40 * MINUTE)
    assert sum(i.pages for i in made.incidents("reopened")) == 0
    made.wait(20 * MINUTE)

    assert sum(i.pages for i in made.incidents("updated")) == 1


def test_what_is_found_before_the_first_tick_is_told_soon_after_it_whatever_the_time_of_its_record() -> None:
    world = World()
    world.put(BOARD, of("dataset:db/raw"), MONDAY + DAY)
    world.ticks(MONDAY, MONDAY + MINUTE, every=5)

    assert [e.type for e in world.said if "incident.opened" in e.type] == ["io.detector.incident.opened.v1"]
