"""Sentences that a person judges by: each cause has its own, the numbers are those of the event, and all are short."""

import math
import re
from collections.abc import Callable
from random import Random
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.core import sentences
from detector.core.emissions import Anomaly, Emission
from detector.core.judge import Finding, judge
from detector.core.models import dense, kernel
from detector.core.rules import Rules, Settings
from detector.core.sentences import LONGEST
from detector.core.state import Entity, dump, load
from detector.core.text import unit_of
from detector.core.turn import Place, Turn
from tests.core.world import DAY, HOUR, JOB, MINUTE, MONDAY, TABLE, anomalies, checked, event, ready

TUESDAY_AT_3 = MONDAY + DAY + 3 * HOUR


def finding(
    observed: float = 412.0,
    lower: float = 9_400.0,
    upper: float = 11_800.0,
    cause: str = "outlier",
    metric: str = "rows",
    **facts: Any,
) -> Finding:
    """A load that is far too small, on a Tuesday at three."""
    expected = facts.pop("expected", 10_550.0)
    side: Literal["low", "high"] = "low" if observed < expected else "high"
    facts = {"score": 0.9, "direction": side, "samples": 56, "at": TUESDAY_AT_3, "wall": TUESDAY_AT_3, **facts}
    return Finding(metric, 2, observed, expected, lower, upper, cause=cause, **facts)


# ---------------------------------------------------------------- each cause has its own


@pytest.mark.parametrize(
    ("found", "last", "expected"),
    [
        pytest.param(
            finding(), [], "rows: 412 rows, 4 % of what is usual; expected 9,400 to 11,800 (56 runs seen)", id="outlier"
        ),
        pytest.param(
            finding(season=kernel.WEEKDAY | kernel.HOUR),
            [],
            "rows: 412 rows, 4 % of what is usual; expected 9,400 to 11,800 on a Tuesday around 03:00 UTC"
            " (56 runs seen)",
            id="outlier of a season",
        ),
        pytest.param(
            finding(season=kernel.TURN),
            [],
            "rows: 412 rows, 4 % of what is usual; expected 9,400 to 11,800 at the turn of the month (56 runs seen)",
            id="outlier at the turn of the month",
        ),
        pytest.param(
            finding(0.0, 1_254.0, 80_194.7, samples=10),
            [],
            "rows: 0 rows; expected 1,254 to 80,194 (10 runs seen: still warming up)",
            id="nothing at all, so early that only the absurd is told",
        ),
        pytest.param(
            finding(842.0, 200.0, 600.0, metric="duration", expected=240.0),
            [],
            "duration: 14 min 2 s, 3.5 times what is usual; expected 3 min 20 s to 10 min (56 runs seen)",
            id="a slow run",
        ),
        pytest.param(
            finding(842.0, 100.0, 1_000.0, "several outliers", "duration", expected=600.0),
            [810.0, 842.0],
            "duration: 14 min 2 s, 40 % more than usual; the last two or three runs together are too high, though one"
            " alone may be 1 min 40 s to 16 min 40 s (56 runs seen)",
            id="several outliers",
        ),
        pytest.param(
            finding(9_212.0, 8_900.0, 10_400.0, "drift", "rows_out", expected=9_600.0),
            [9_980.0, 9_900.0, 9_910.0, 9_700.0, 9_500.0, 9_400.0, 9_300.0, 9_250.0, 9_212.0],
            "rows out: 9,212 rows; drifting down for some time, from about 9,910 to 9,250 in the last 9 runs, though"
            " one alone may be 8,900 to 10,400 (56 runs seen)",
            id="drift",
        ),
        pytest.param(
            finding(9_212.0, 8_900.0, 10_400.0, "drift", expected=9_600.0, season=kernel.WEEKDAY),
            [9_980.0, 9_900.0, 9_910.0, 3_000.0, 3_100.0, 9_400.0, 9_300.0, 9_250.0, 9_212.0],
            "rows: 9,212 rows; drifting down for some time, from about 9,940 to 9,231 in the last 9 runs, though one"
            " alone may be 8,900 to 10,400 on a Tuesday (56 runs seen)",
            id="drift of what has weekends, a week apart",
        ),
        pytest.param(
            finding(9_212.0, 8_900.0, 10_400.0, "drift", expected=10_600.0, season=kernel.HOUR),
            [9_980.0, 9_900.0, 9_910.0, 3_000.0, 3_100.0, 9_400.0, 9_300.0, 9_250.0, 9_212.0],
            "rows: 9,212 rows, 13 % less than usual; drifting down for some time, though one alone may be 8,900 to"
            " 10,400 around 03:00 UTC (56 runs seen)",
            id="drift of what has hours: the last values say little",
        ),
        pytest.param(
            finding(9_212.0, 8_900.0, 10_400.0, "drift", expected=9_300.0, season=kernel.HOUR),
            [9_980.0, 9_900.0, 9_212.0],
            "rows: 9,212 rows, 1 % less than usual; drifting for some time, though one alone may be 8,900 to 10,400"
            " around 03:00 UTC (56 runs seen)",
            id="drift that nothing tells the direction of",
        ),
        pytest.param(
            finding(9_212.0, 8_900.0, 10_400.0, "noise", expected=9_300.0),
            [9_980.0, 9_212.0, 9_212.0, 9_212.0],
            "rows: 9,212 rows, 1 % less than usual, and the same for the 3rd run in a row, though one alone may be"
            " 8,900 to 10,400 (56 runs seen)",
            id="what stays does not vary, whatever the model found",
        ),
        pytest.param(
            finding(0.0, 78.3, 393.0, "noise", expected=220.0),
            [2_180.0, 205.0, 0.0],
            "rows: 0 rows; expected 79 to 393 (56 runs seen)",
            id="noise that ends in an outlier is one",
        ),
        pytest.param(
            finding(10_900.0, 8_900.0, 11_400.0, "drift", expected=10_000.0),
            [10_800.0, 10_850.0, 10_870.0, 10_900.0, 10_850.0, 10_900.0],
            "rows: 10,900 rows, 9 % more than usual; drifting up for some time, though one alone may be 8,900 to 11,400"
            " (56 runs seen)",
            id="drift that the last values do not show",
        ),
        pytest.param(
            finding(cause="drift"),
            [10_000.0] * 8 + [412.0],
            "rows: 412 rows, 4 % of what is usual; expected 9,400 to 11,800 (56 runs seen)",
            id="a drift that ends in an outlier is one",
        ),
        pytest.param(
            finding(700.0, 300.0, 900.0, "noise", "duration", expected=500.0),
            [420.0, 610.0, 380.0, 700.0],
            "duration: 11 min 40 s; varies more than it used to, 6 min 20 s to 11 min 40 s in the last 4 runs, though"
            " one alone may be 5 min to 15 min (56 runs seen)",
            id="noise",
        ),
        pytest.param(
            finding(12_345.0, 9_000.0, 15_000.0, "repeated value"),
            [11_000.0, 12_345.0, 12_345.0, 12_345.0, 12_345.0],
            "rows: 12,345 rows, the same for the 4th run in a row, which is most unlikely here (56 runs seen)",
            id="repeated value",
        ),
        pytest.param(
            finding(0.0, 0.0, math.inf, "only zeros", expected=math.nan),
            [0.0] * 9,
            "rows: 0 rows for at least the 9th run in a row; 0 is common here, but hardly ever for so long"
            " (56 runs seen)",
            id="only zeros",
        ),
        pytest.param(
            finding(5_000.0, -math.inf, math.inf, "first large value", expected=0.0),
            [0.0] * 8 + [5_000.0],
            "rows: 5,000 rows, after 0 in each of the last 8 runs (56 runs seen)",
            id="first large value after zeros",
        ),
        pytest.param(
            finding(5_000.0, -math.inf, math.inf, "first large value", expected=0.0),
            [0.0, 3.0, 0.0, 5_000.0],
            "rows: 5,000 rows, far more than anything seen of late (56 runs seen)",
            id="first large value",
        ),
        pytest.param(
            finding(1.7, 0.0, 1.0, "out of range", "error_rate", expected=0.04),
            [0.04, 1.7],
            "error rate: 1.7, where values lie between 0 and 1 (56 runs seen)",
            id="out of range",
        ),
        pytest.param(
            finding(5_000.0, -math.inf, math.inf, "outlier", expected=998.0),
            [],
            "rows: 5,000 rows, 5 times what is usual; usual is about 998 rows (56 runs seen)",
            id="a model without a band",
        ),
        pytest.param(
            finding(5_000.0, -math.inf, math.inf, "drift", expected=998.0),
            [],
            "rows: 5,000 rows; the level has moved, usual is about 998 rows (56 runs seen)",
            id="a drift detector",
        ),
        pytest.param(
            finding(200.0, 44.0, 73.5, "range", "cpu", expected=55.0),
            [],
            "cpu: 200, beyond all that was seen before; expected 44 to 73.5 (56 values seen)",
            id="range of telemetry",
        ),
        pytest.param(
            finding(51.0, 44.0, 73.5, "quiet", "cpu", expected=55.0),
            [],
            "cpu: 51; the last 100 values move less than ever before (56 values seen)",
            id="quiet telemetry",
        ),
        pytest.param(
            finding(cause="a word of another model"),
            [],
            "rows: 412 rows, 4 % of what is usual; a word of another model; expected 9,400 to 11,800 (56 runs seen)",
            id="a cause that nobody knows",
        ),
    ],
)
def test_a_value_is_told_by_its_cause(found: Finding, last: list[float], expected: str) -> None:
    assert sentences.of_value(found, last or [found.observed], unit_of(found.metric)) == expected


def test_every_cause_of_the_models_has_a_sentence_of_its_own() -> None:
    causes = {*kernel.CAUSES, *dense._CAUSES} - {"", kernel.CAUSES[kernel.NEW_NORMAL]}
    found = [finding(10_000.0, cause=cause) for cause in causes]
    told = {sentences.of_value(one, [9_000.0, 9_500.0, 10_000.0], "rows") for one in found}

    assert len(told) == len(causes)
    assert not any(f"; {cause};" in sentence for cause in causes for sentence in told)


def watch(values: list[float]) -> list[Anomaly]:
    """What the default model says of these values, one a day, in events."""
    entity, said = Entity(TABLE), list[Emission]()
    for number, value in enumerate(values, 1):
        at = MONDAY + number * DAY
        turn = Turn(entity, Settings(), Rules(), Place("t", 0, number, at), at, at, said)
        judge(turn, {"rows": value})
        turn.tell(f"r{number}")
    return anomalies(said)


def rows(random: Random, count: int, level: float = 10_000.0, spread: float = 0.03) -> list[float]:
    return [float(round(level * (1 + random.gauss(0, spread)))) for _ in range(count)]


@pytest.mark.parametrize(
    ("cause", "make", "told"),
    [
        ("outlier", lambda r: [*rows(r, 60), 412.0], r"412 rows, 4 % of what is usual; expected [\d,]+ to [\d,]+ \("),
        (
            "several outliers",
            lambda r: rows(r, 80, spread=0.12) + [10_000 * (1.5 + r.random() * 0.1) for _ in range(3)],
            r"[4-7]\d % more than usual; the last two or three runs together are too high, though one alone",
        ),
        (
            "drift",
            lambda r: rows(r, 60) + [float(round(x * 0.98**n)) for n, x in enumerate(rows(r, 40))],
            r"drifting down for some time(, from about [\d,]+ to [\d,]+ in the last 9 runs)?, though one alone may be",
        ),
        (
            "noise",
            lambda r: rows(r, 80) + rows(r, 60, spread=0.12),
            r"varies more than it used to, [\d,]+ to [\d,]+ in the last 9 runs, though one alone may be",
        ),
        ("repeated value", lambda r: rows(r, 60) + [10_007.0] * 8, r"10,007 rows, the same for the \dth run in a row"),
        (
            "only zeros",
            lambda r: [x * (r.random() < 0.6) for x in rows(r, 100)] + [0.0] * 20,
            "0 rows for at least the 9th run in a row",
        ),
        ("first large value", lambda _: [0.0] * 30 + [5_000.0], "5,000 rows, after 0 in each of the last 8 runs"),
        ("out of range", lambda r: [r.random() * 0.1 for _ in range(40)] + [1.7], "where values lie between 0 and 1"),
    ],
)
def test_the_default_model_tells_each_cause(cause: str, make: Callable[[Random], list[float]], told: str) -> None:
    stories = [watch(make(Random(seed))) for seed in range(12)]
    found = [event for events in stories for event in events if event.cause == cause and event.phase == "started"]

    assert len(found) >= 2
    assert all(re.search(told, event.summary) for event in found), [event.summary for event in found]


# ---------------------------------------------------------------- the numbers

UNITS = {"s": 1.0, "min": 60.0, "h": HOUR, "d": DAY, "ms": 0.001, "kB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12, "B": 1.0}
NUMBER = r"-?[\d,]+(?:\.\d+)?(?:e[+-]\d+)?"
QUANTITY = rf"{NUMBER}(?: (?:{'|'.join(UNITS)})\b)?(?: {NUMBER} (?:min|s|h)\b)?"
BAND = re.compile(rf"(?:expected|may be) ((?:just above )?{QUANTITY}) to ((?:just below )?{QUANTITY})")


def quantity(text: str) -> float:
    """The number that a text tells: `4 min 10 s`, `1.2 GB`, `9,400`."""
    parts = re.findall(rf"({NUMBER})(?: ({'|'.join(UNITS)})\b)?", text)
    return sum(float(number.replace(",", "")) * UNITS.get(unit, 1.0) for number, unit in parts)


def near(told: str, number: float, metric: str) -> bool:
    """Whether a text tells this number: to a hundredth, and rows, of which there are whole ones, to one."""
    return quantity(told) == pytest.approx(number, rel=0.03, abs=1.0 if metric == "rows" else 0.05)


AMOUNT = st.one_of(st.integers(0, 10**7).map(float), st.floats(0.001, 1e7))
METRICS = ["rows", "duration", "bytes_out", "cost"]
CAUSES = sorted({*kernel.CAUSES, *dense._CAUSES} - {""})


@st.composite
def findings(draw: st.DrawFn) -> Finding:
    lower, expected, upper = sorted(draw(st.tuples(AMOUNT, AMOUNT, AMOUNT)))
    observed = draw(st.one_of(AMOUNT, st.sampled_from([lower, upper]), st.just(math.nextafter(upper, math.inf))))
    facts = {"season": draw(st.integers(0, 7)), "samples": draw(st.integers(0, 10**6))}
    return finding(
        observed,
        lower,
        upper,
        draw(st.sampled_from(CAUSES)),
        draw(st.sampled_from(METRICS)),
        expected=expected,
        **facts,
    )


@given(findings(), st.lists(AMOUNT, max_size=8))
def test_the_numbers_of_a_sentence_are_those_of_the_event_and_it_is_short(found: Finding, before: list[float]) -> None:
    told = sentences.of_value(found, [*before, found.observed], unit_of(found.metric))
    observed = re.match(rf".*?: ({QUANTITY})", told)

    assert len(told) <= LONGEST
    assert observed
    assert near(observed[1], found.observed, found.metric)
    for low, high in BAND.findall(told):
        assert near(low, found.lower, found.metric)
        assert near(high, found.upper, found.metric)
        inside = quantity(low) <= quantity(observed[1]) <= quantity(high) and "just" not in low + high
        if found.observed < found.lower or found.observed > found.upper:
            assert "one alone" not in told
            assert not inside
    if times := re.search(rf"({NUMBER}) times what", told):
        assert quantity(times[1]) == pytest.approx(found.observed / found.expected, rel=0.05)
    percent = 100 * found.observed / max(found.expected, 5e-324)
    if "less than 1 % of what" in told:
        assert percent < 1
    elif share := re.search(r"(\d+) % (of what|less|more)", told):
        sign = {"less": -1, "more": 1, "of what": 0}[share[2]]
        assert abs((100 + sign * int(share[1]) if sign else int(share[1])) - percent) <= 0.5 + 1e-6


@pytest.mark.parametrize(
    ("observed", "expected", "told"),
    [
        (412, 10_550, "4 % of what is usual"),
        (3, 10_550, "less than 1 % of what is usual"),
        (6_000, 10_000, "40 % less than usual"),
        (10_010, 10_000, ""),
        (19_900, 10_000, "99 % more than usual"),
        (20_000, 10_000, "2 times what is usual"),
        (99_960, 10_000, "10 times what is usual"),
        (5e7, 10_000, "5,000 times what is usual"),
        (1e15, 10, ""),
        (0, 10_000, ""),
        (5, 0, ""),
        (-5, 10, ""),
        (5, math.nan, ""),
    ],
)
def test_how_far_off_a_value_is_in_words(observed: float, expected: float, told: str) -> None:
    assert sentences.how_far(observed, expected) == told


# ---------------------------------------------------------------- what stands at its end


@pytest.mark.parametrize(
    ("found", "outside", "told"),
    [
        pytest.param(finding(), (0, MONDAY), "never below the band before", id="never"),
        pytest.param(finding(20_000.0), (MONDAY, 0), "never above the band before", id="never so high"),
        pytest.param(
            finding(), (MONDAY - 20 * DAY, 0), "first fall below the band since 30 December 2025", id="last year"
        ),
        pytest.param(
            finding(20_000.0), (0, MONDAY - 9 * DAY), "first rise above the band since 10 January", id="a day"
        ),
        pytest.param(
            finding(), (MONDAY + 59, 0), "last below the band on Mon 19 Jan 00:00 UTC", id="not long ago: the time"
        ),
        pytest.param(finding(), (TUESDAY_AT_3 + 60, 0), "", id="an event that comes late is no first"),
        pytest.param(finding(10_000.0), (0, 0), "", id="a value within its band"),
        pytest.param(finding(samples=10), (0, 0), "", id="the band of a young series is too wide to speak of"),
        pytest.param(finding(cause="range"), (0, 0), "", id="what is telemetry is not judged by a band"),
    ],
)
def test_when_it_was_last_so_is_told_where_it_is_news(found: Finding, outside: tuple[int, int], told: str) -> None:
    assert sentences.since_when(found, outside) == told


def test_a_series_remembers_when_it_was_last_outside_through_its_bytes() -> None:
    random = Random(3)
    entity, said = Entity(TABLE), list[Emission]()
    for n, x in enumerate([*rows(random, 56), 412.0, *rows(random, 30), 400.0, 9_990.0, 30_000.0]):
        at = MONDAY + n * DAY
        turn = Turn(entity, Settings(), Rules(), Place("t", 0, n, at), at, at, said)
        judge(turn, {"rows": x})
        turn.tell(f"r{n}")
        entity = load(dump(entity))
    begun = [event.summary for event in anomalies(said) if event.phase == "started"]

    assert "; never below the band before" in begun[0]
    assert "; first fall below the band since 16 March" in begun[1]
    assert "; never above the band before" in begun[2]


@pytest.mark.parametrize(
    ("before", "now", "told"),
    [
        ("a1b2", "c3d4", "the code changed since the last good run: a1b2 to c3d4"),
        ("ab" * 20, "cd" * 20, "the code changed since the last good run: abababa to cdcdcdc"),
        ("release-" + "x" * 40, "release-" + "x" * 41, "the code changed since the last good run"),
        ("a1b2", "a1b2", ""),
        (None, "c3d4", ""),
        ("a1b2", None, ""),
    ],
)
def test_another_version_of_the_code_is_told_where_both_are_known(
    before: str | None, now: str | None, told: str
) -> None:
    assert sentences.code_changed(before, now) == told


def test_a_run_that_fails_with_new_code_says_so_with_both_versions() -> None:
    world = ready()
    for n, (version, state) in enumerate([("a1b2", "COMPLETE"), ("c3d4", "FAIL"), ("c3d4", "FAIL")]):
        at = MONDAY + n * HOUR
        world.tell(event("START", at, f"r{n}"))
        world.tell(event(state, at + MINUTE, f"r{n}", code_version=version, error="boom"))  # type: ignore[arg-type]
    first, second = anomalies(world.said)

    assert first.summary == "run r1 failed: boom; the code changed since the last good run: a1b2 to c3d4"
    assert (first.previous_code_version, first.code_version, first.previous_good_run) == ("a1b2", "c3d4", "r0")
    assert second.summary == "run r2 failed: boom; the 2nd time in 1 h"


def test_the_version_stands_in_the_event_of_a_number_too() -> None:
    world = ready()
    for n, x in enumerate([*rows(Random(1), 40), 412.0]):
        at = MONDAY + n * DAY
        told: dict[str, Any] = {"metrics": {"rows_read": x}, "code_version": "v2" if n == 40 else "v1"}
        world.tell(event("START", at, f"r{n}"))
        world.tell(event("COMPLETE", at + MINUTE, f"r{n}", **told))
    (found,) = [event for event in anomalies(world.said) if event.check == "rows_read"]

    assert (found.previous_code_version, found.code_version) == ("v1", "v2")
    assert "; the code changed since the last good run: v1 to v2" in found.summary


@pytest.mark.parametrize(
    ("key", "neighbours", "told"),
    [
        (TABLE, [], ""),
        (TABLE, ["job:airflow/bi.refresh"], "downstream: 1 job (bi.refresh)"),
        (
            JOB,
            ["dataset:postgres://db:5432/shop.orders", "dataset:s3://lake/raw/customers"],
            "downstream: 2 datasets (shop.orders, customers)",
        ),
        (TABLE, [f"job:airflow/j{n}" for n in range(7)], "downstream: 7 jobs (j0, j1, j2, ...)"),
        (TABLE, [f"job:airflow/j{n}" for n in range(1_000)], "downstream: 1000 or more jobs (j0, j1, j2, ...)"),
    ],
)
def test_who_is_next_is_told_by_number_and_name(key: str, neighbours: list[str], told: str) -> None:
    assert sentences.who_is_next(key, neighbours) == told


def test_what_stands_at_the_end_is_left_out_where_there_is_no_room() -> None:
    assert sentences.with_notes("x" * 290, ["y" * 20, "", "short"]) == f"{'x' * 290}; short"


def test_a_sentence_with_all_that_can_be_said_is_short() -> None:
    world = ready()
    name = "a_very_long_name_of_a_metric_" * 30
    for n, x in enumerate([*rows(Random(1), 40), 412.0]):
        told: dict[str, Any] = {"metrics": {name: x}, "code_version": f"{n // 40}-" + "v" * 900}
        world.tell(event("COMPLETE", MONDAY + n * DAY, f"r{n}", **told))
    found = [event for event in anomalies(world.said) if event.check == name]

    assert [len(event.summary) <= LONGEST for event in found] == [True]


# ---------------------------------------------------------------- of an episode


def test_an_episode_tells_how_it_begins_goes_on_and_ends() -> None:
    random = Random(4)
    said = watch([*rows(random, 60), *rows(random, 3, 4_100.0), *rows(random, 1)])

    assert [re.sub(r"[\d,]{5,}|4\d(?= %)", "N", event.summary) for event in said] == [
        "rows: N rows, N % of what is usual; expected N to N (60 runs seen); never below the band before",
        "rows: N rows, N % of what is usual; expected N to N (61 runs seen); the 2nd time in 1 d",
        "rows: N rows, N % of what is usual; expected N to N (62 runs seen); the 3rd time in 2 d",
        "rows: back to normal with N rows, after 3 d (seen 3 times)",
    ]


def test_a_new_normal_says_what_was_before_and_its_numbers_are_in_the_event() -> None:
    random = Random(4)
    last = watch([*rows(random, 60), *rows(random, 4, 4_100.0)])[-1]
    told = re.fullmatch(
        r"rows: ([\d,]+) rows is the new normal, about ([\d,]+) rows was usual before, after 3 d \(seen 3 times\)",
        last.summary,
    )

    assert told
    assert (last.phase, last.cause, last.severity) == ("ended", "new normal", "info")
    assert (quantity(told[1]), quantity(told[2])) == pytest.approx((last.observed, last.expected), abs=0.5)
    assert last.expected == pytest.approx(10_000, rel=0.05)


def test_the_end_of_a_drift_does_not_claim_that_all_is_as_before() -> None:
    random = Random(5)
    falling = [float(round(x * 0.98**n)) for n, x in enumerate(rows(random, 60))]
    said = watch(rows(random, 60) + falling)
    after = said[[event.cause for event in said].index("drift") + 1]

    assert after.phase == "ended"
    assert re.search(r"[\d,]+ rows is within what is expected by now \(the change is told once\)", after.summary)


def test_a_check_that_is_no_number_tells_how_often_and_how_long() -> None:
    world = ready()
    for n in range(3):
        world.tell(checked(MONDAY + n * HOUR, success=n == 2))

    assert [event.summary for event in anomalies(world.said)] == [
        "1 of 1 checks failed: not_null",
        "1 of 1 checks failed: not_null; the 2nd time in 1 h",
        "assertion: all checks pass, after 2 h (seen 2 times)",
    ]


# ---------------------------------------------------------------- what the event has


def test_the_evidence_of_a_value_is_in_its_event() -> None:
    random = Random(6)
    week = [x * (0.3 if n % 7 >= 5 else 1) for n, x in enumerate(rows(random, 72), 1)]
    begun = watch([*map(round, week), 3_000.0])[-1]

    assert (begun.cause, begun.seasons, begun.samples, begun.warming_up) == ("outlier", ["weekday"], 72, False)
    assert "on a Thursday" in begun.summary


@pytest.mark.parametrize(("seen", "warming_up"), [(9, True), (13, True), (14, False), (60, False)])
def test_a_verdict_on_little_is_marked(seen: int, warming_up: bool) -> None:
    (found,) = watch([*rows(Random(1), seen), 1e9])

    assert (found.samples, found.warming_up) == (seen, warming_up)
    assert ("still warming up" in found.summary) is warming_up


def test_too_many_zeros_are_too_little_and_nothing_is_invented_of_what_was_expected() -> None:
    random = Random(2)
    found = watch([x * (random.random() < 0.6) for x in rows(random, 100)] + [0.0] * 20)
    zeros = [event for event in found if event.cause == "only zeros"]

    assert zeros
    assert {(event.direction, event.expected) for event in zeros} == {("low", None)}


@pytest.mark.parametrize(("rate", "side"), [(0.985, "low"), (1.015, "high")])
def test_the_direction_of_a_drift_is_where_it_goes(rate: float, side: str) -> None:
    """What is expected follows a drift, and one value in forty lies beyond it."""
    told = []
    for seed in range(40):
        random = Random(seed)
        values = [x * rate ** max(0, n - 60) for n, x in enumerate(rows(random, 130))]
        told += [event.direction for event in watch(list(map(float, map(round, values)))) if event.cause == "drift"]

    assert len(told) > 40
    assert set(told) == {side}
