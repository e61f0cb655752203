"""What a verdict changes where it is no single value that was told: columns, sums, schedules, schemas, facts."""

import re
from functools import partial
from random import Random

import numpy as np
import pytest

from detector.core.commands import Verdict
from detector.core.jobs import due
from detector.core.judge import judge, observe
from detector.core.lessons import KEEP_TOLD, MAX_TAUGHT, Lessons, Told, listed
from detector.core.models.baseline import Baseline
from detector.core.models.estimator import Estimator
from detector.core.models.taught import MOST, Taught
from detector.core.pipeline import schedule
from detector.core.rules import Rules, Settings
from detector.core.state import Entity, dump, load
from detector.core.teaching import teach
from detector.core.turn import Place, Turn
from tests.core import test_schemas as schemas
from tests.core.test_late_and_hanging import LAST, LATE_AT, hourly
from tests.core.test_profiles import loaded, metrics
from tests.core.test_teaching import KINDS, Kind, Series, told
from tests.core.test_together import QUIET, run
from tests.core.world import DAY, HOUR, JOB, MINUTE, MONDAY, TABLE, World, anomalies, event, found, started


def say(
    world: World, key: str, verdict: Verdict, check: str, metric: str | None = None
) -> tuple[str, list[tuple[str, str]]]:
    """A verdict at the world's clock. Returns what changes, and what was told."""
    world.restart()
    entity, now = world.entities[key], world.partition.clock
    turn = Turn(entity, world.rules.of(key), world.rules, Place("t", 0, world.offset, now), now, now, [])
    said = teach(turn, verdict, entity.judgement.episodes.get(check), check, metric=metric)
    if key.startswith("job:"):
        schedule(world.partition, key, due(turn, 0.0))
    world.restart()
    return said, found(turn.emissions)


# ---------------------------------------------------------------- several series


def settled() -> tuple[World, Random]:
    """A table of which a month is known; its columns are judged each by itself."""
    world, rng = World(Rules(Settings(together=False))), Random(3)
    world.ticks(MONDAY - 10 * MINUTE, MONDAY)
    for day in range(QUIET):
        run(world, day, 1_000 + 10 * (day % 3), loaded(1_000 + 10 * (day % 3), rng))
    assert anomalies(world.said) == []
    return world, rng


def test_a_verdict_on_an_anomaly_of_several_metrics_holds_for_each() -> None:
    world, rng = settled()
    run(world, QUIET, 600, loaded(600, rng, nulls=0.1))
    said, ended = say(world, TABLE, "false_positive", "rows")
    again = [a for a in run(world, QUIET + 1, 600, loaded(600, rng, nulls=0.1)) if a.entity == TABLE]

    assert re.match(r"rows: the band is \d\.\d+ times as wide below from now on; ", said)
    assert "more in the same way" in said
    assert ended == [("rows", "ended")]
    assert again == []
    assert {"rows", "bytes", "null_share(amount0)"} <= world.entities[TABLE].lessons.series.keys()


def test_a_verdict_can_be_on_one_metric_of_several_only() -> None:
    world, rng = settled()
    run(world, QUIET, 600, loaded(600, rng, nulls=0.1))
    _, ended = say(world, TABLE, "false_positive", "rows", metric="bytes")

    assert list(world.entities[TABLE].lessons.series) == ["bytes"]
    assert ended == []
    assert world.entities[TABLE].judgement.episodes["rows"].checks == ["columns", "rows"]


def test_a_column_that_is_new_normal_is_silent_and_alarms_when_it_is_as_before() -> None:
    world, rng = settled()
    run(world, QUIET, 1_000, loaded(1_000, rng, nulls=0.6))
    said, ended = say(world, TABLE, "new_normal", "columns")
    same = run(world, QUIET + 1, 1_000, loaded(1_000, rng, nulls=0.6))
    back = run(world, QUIET + 2, 1_000, loaded(1_000, rng))

    assert "null_share(amount0): 0.6 is the new normal from now on" in said
    assert ended == [("columns", "ended")]
    assert same == []
    assert [(a.check, a.phase) for a in back if a.entity == TABLE] == [("columns", "started")]


def test_a_column_that_was_missed_is_told_though_few_rows_and_a_budget_would_excuse_it() -> None:
    world, rng = settled()
    assert run(world, QUIET, 1_000, loaded(1_000, rng, nulls=0.03)) == []
    said, _ = say(world, TABLE, "missed", "columns", metric="null_share(amount0)")
    again = [a for a in run(world, QUIET + 1, 1_000, loaded(1_000, rng, nulls=0.03)) if a.entity == TABLE]

    assert "null_share(amount0): the band is" in said
    assert [(a.check, a.phase) for a in again] == [("columns", "started")]
    assert "null_share(amount0)" in metrics(again[0])
    assert [one.taught for one in again[0].contributors if one.metric == "null_share(amount0)"] == [
        f"taught by feedback: {said.partition(': ')[2].removesuffix(' from now on')} (missed)"
    ]


def test_what_was_missed_is_the_farthest_of_the_last_load_unless_it_is_named() -> None:
    world, rng = settled()
    run(world, QUIET, 1_000, loaded(1_000, rng), of=8.9)
    said, _ = say(world, TABLE, "missed", "")

    assert said.startswith("bytes: the band is")
    assert said.endswith("times as wide above from now on")


def test_of_what_goes_together_the_last_can_be_the_new_normal() -> None:
    said, changed = [], {}
    verdicts: tuple[Verdict, ...] = ("expected_once", "new_normal")
    for verdict in verdicts:
        world, random = World(Rules(Settings())), Random(4)
        world.ticks(MONDAY - 10 * MINUTE, MONDAY)
        for day in range(60):
            read = round(1e6 * (1 + random.uniform(-0.4, 0.4)))
            world.tell(event("COMPLETE", MONDAY + day * DAY, f"r{day}", metrics={"a": read, "b": read * 0.9}))
        parted = {"a": 1e6, "b": 0.6e6}
        first = world.tell(event("COMPLETE", MONDAY + 60 * DAY, "r60", metrics=parted))
        assert started(first) == ["together"]
        told_of, _ = say(world, JOB, verdict, "together")
        said.append(told_of)
        changed[verdict] = started(world.tell(event("COMPLETE", MONDAY + 61 * DAY, "r61", metrics=parted)))

    assert changed == {"expected_once": ["together"], "new_normal": []}
    assert "new normal" in said[1]


def test_data_that_is_loaded_again_is_usual_where_people_say_so() -> None:
    world, rng = settled()
    statistics = loaded(1_000, rng)
    run(world, QUIET, 1_000, statistics)
    assert ("same_data", "started") in found(world.tell(event("START", MONDAY, "x")) + _again(world, statistics, 1))
    say(world, TABLE, "false_positive", "same_data")

    assert started(_again(world, statistics, 2)) == []


def _again(world: World, statistics, number: int):  # type: ignore[no-untyped-def]
    world.said.clear()
    run(world, QUIET + number, 1_000, statistics)
    return world.said


# ---------------------------------------------------------------- sums


def drifting(series: Series) -> str:
    """Let a series creep until that is told. Returns the cause."""
    for step in range(200):
        for one in anomalies(series.see(round(10_000 * 0.985**step + series.random.gauss(0, 60)), reload=False)):
            return one.cause or ""
    return ""


def varying(series: Series) -> str:
    """Let a series vary more until that is told."""
    for step in range(200):
        for one in anomalies(series.see(10_000 + (2_000 if step % 2 else -1_800) + step % 7, reload=False)):
            return one.cause or ""
    return ""


def stuck(series: Series) -> str:
    """The same value until that is told."""
    for _ in range(50):
        for one in anomalies(series.see(10_001.0, reload=False)):
            return one.cause or ""
    return ""


@pytest.mark.parametrize(
    ("happens", "cause"),
    [
        pytest.param(drifting, "drift", id="drift"),
        pytest.param(varying, "noise", id="noise"),
        pytest.param(stuck, "repeated value", id="repeats"),
    ],
)
def test_the_limit_of_a_sum_that_was_a_false_positive_is_twice_as_high(happens, cause: str) -> None:  # type: ignore[no-untyped-def]
    series = Series(KINDS["daily"])
    assert happens(series) == cause
    said, ended = series.say("false_positive")

    assert said == f"rows: the limit of {cause} is 2 times as high from now on"
    assert [one.phase for one in ended] == ["ended"]
    assert listed(series.entity.lessons) == [f"rows: the limit of {cause} is 2 times as high (false positive)"]


def test_a_value_may_repeat_longer_where_that_was_a_false_positive() -> None:
    taught, untaught = Series(KINDS["daily"]), Series(KINDS["daily"])
    repeats = []
    for series, verdict in ((untaught, "expected_once"), (taught, "false_positive")):
        stuck(series)
        series.say(verdict)  # type: ignore[arg-type]
        series.learn(1)
        repeats.append(next(place for place in range(50) if told(series.see(10_001.0))))

    assert repeats[1] >= repeats[0] + 2


def test_a_value_that_stays_can_be_the_new_normal() -> None:
    series = Series(KINDS["daily"])
    stuck(series)
    series.say("new_normal")

    assert not any(told(series.see(10_001.0)) for _ in range(20))


def test_no_factor_grows_beyond_its_bound_and_that_is_said() -> None:
    series = Series(KINDS["daily"])
    series.see(1.0)
    said, _ = series.say("false_positive")

    assert series.entity.lessons.series["rows"].low == MOST
    assert said.endswith("which is as far as it goes: the same value is not reached by it")
    assert told(series.see(1.0))


# ---------------------------------------------------------------- in words


def test_the_evidence_and_the_sentence_say_that_people_changed_the_band() -> None:
    series = Series(KINDS["daily"])
    series.see(6_000.0)
    said, _ = series.say("false_positive")
    (anomaly,) = anomalies(series.see(3_000.0))

    width = said.removeprefix("rows: ").removesuffix(" from now on")
    assert anomaly.taught == f"taught by feedback: {width} (false positive)"
    assert anomaly.summary.endswith(f"; {anomaly.taught}")
    assert anomaly.lower is not None
    assert anomaly.lower < 6_000


def test_an_anomaly_that_ended_a_while_ago_can_be_spoken_of() -> None:
    series = Series(KINDS["daily"])
    series.see(6_000.0)
    series.learn(10)
    assert series.entity.judgement.episodes == {}
    said, ended = series.say("false_positive")

    assert "times as wide below" in said
    assert ended == []
    assert not told(series.see(6_000.0))


def test_what_nobody_knows_of_any_more_changes_nothing() -> None:
    series = Series(KINDS["daily"])
    before = series.entity.series.store()
    said, _ = series.say("false_positive", "bytes")

    assert said == "bytes: noted; nothing is known any more of what was told, so nothing changes"
    assert series.entity.series.store() == before
    assert series.entity.lessons.counts == {"false_positive": 1}


def test_only_the_last_values_that_were_told_are_kept() -> None:
    lessons = Lessons()
    for number in range(100):
        lessons.remember(f"m{number % 50}", Told(1.0, 2.0, 1.5, 3.0, "outlier", float(number)))

    assert list(lessons.told) == [f"m{number}" for number in range(50 - KEEP_TOLD, 50)]


# ---------------------------------------------------------------- time, schemas, facts


def late_for(minutes: float, ended: bool, verdict: Verdict) -> tuple[World, str]:
    """An hourly job of which one run begins so late; a verdict on that; and runs on time again for two days."""
    world, begins = hourly(), LAST + HOUR + minutes * MINUTE
    world.ticks(LAST + HOUR, begins)
    said = "" if ended else say(world, JOB, verdict, "late")[0]
    if not ended:
        assert started(world.tick(begins + 1)) == []
    world.run(begins)
    said = say(world, JOB, verdict, "late")[0] if ended else said
    for hours in range(2, 48):
        world.ticks(LAST + (hours - 0.9) * HOUR, LAST + hours * HOUR, every=5 * MINUTE)
        world.run(LAST + hours * HOUR)
    return world, said


@pytest.mark.parametrize("ended", [False, True], ids=["while it is late", "when the run has come"])
def test_a_lateness_that_was_no_fault_is_silent_the_next_time_too(ended: bool) -> None:
    world, said = late_for(16, ended, "false_positive")
    due = LAST + 48 * HOUR

    assert said == "late: a run may begin 16 min 48 s after it is expected from now on"
    assert listed(world.entities[JOB].lessons) == [said.removesuffix(" from now on")]
    assert started(world.ticks(due - 50 * MINUTE, due + 16 * MINUTE)) == []
    assert started(world.ticks(due + 17 * MINUTE, due + 19 * MINUTE)) == ["late"]


def test_a_lateness_that_was_expected_once_teaches_nothing() -> None:
    world = hourly()
    world.ticks(LAST + HOUR, LATE_AT + 10 * MINUTE)
    said, ended = say(world, JOB, "expected_once", "late")

    assert (said, ended) == ("late: noted; the schedule is as it was", [("late", "ended")])
    assert started(world.ticks(LATE_AT + 11 * MINUTE, LATE_AT + 2 * HOUR)) == []
    assert world.entities[JOB].lessons.late == 0.0


def test_a_long_run_that_was_no_fault_does_not_hang_the_next_time() -> None:
    world = hourly(takes=10 * MINUTE)
    begins = LAST + HOUR
    world.tell(event("START", begins, "long"))
    assert started(world.ticks(begins, begins + 40 * MINUTE)) == ["hanging"]
    said, ended = say(world, JOB, "false_positive", "hanging")
    world.tell(event("COMPLETE", begins + 41 * MINUTE, "long"))
    world.tell(event("START", begins + HOUR, "long again"))

    assert said.startswith("hanging: the learned limit is ")
    assert ended == [("hanging", "ended")]
    assert started(world.ticks(begins + 42 * MINUTE, begins + HOUR + 39 * MINUTE)) == []
    assert started(world.ticks(begins + HOUR + 40 * MINUTE, begins + HOUR + 59 * MINUTE)) == ["hanging"]


def test_a_schema_that_was_expected_is_the_schema_at_once() -> None:
    world = World()
    world.ticks(MONDAY - 10 * MINUTE, MONDAY)
    for hour in range(3):
        schemas.write(world, hour, schemas.A)
    schemas.write(world, 3, schemas.B)
    said, ended = say(world, TABLE, "expected_once", "schema")

    assert (said, ended) == ("schema: this is the schema from now on", [("schema", "ended")])
    assert started(schemas.write(world, 4, schemas.B)) == []
    assert started(schemas.write(world, 5, schemas.A)) == ["schema"]


@pytest.mark.parametrize("verdict", ["false_positive", "missed"])
@pytest.mark.parametrize("check", ["failed", "aborted", "deadline", "assertion", "declared:not_null"])
def test_of_facts_nothing_is_learned(check: str, verdict: Verdict) -> None:
    series = Series(KINDS["daily"])
    before = dump(series.entity)
    said, _ = series.say(verdict, check)

    assert said.endswith(": noted; nothing is learned of what is a fact or was declared")
    assert series.entity.lessons == Lessons(counts={verdict: 1})
    series.entity.lessons = Lessons()
    assert dump(series.entity) == before


def test_an_entity_without_feedback_keeps_no_lessons() -> None:
    entity, random = Entity(JOB), Random(3)
    for day in range(40):
        at = MONDAY + day * DAY
        judge(Turn(entity, Settings(), Rules(), Place("t", 0, day, at), at, at, []), {"rows": random.gauss(100, 3)})

    assert load(dump(entity)).lessons == Lessons()
    assert entity.series.baseline("rows", Baseline()).samples == 40


# ---------------------------------------------------------------- where a model cannot do it


def test_of_a_detector_of_drift_only_a_false_positive_changes_something() -> None:
    said: dict[Verdict, str] = {}
    verdicts: tuple[Verdict, ...] = ("confirmed", "false_positive")
    for verdict in verdicts:
        series = Series(Kind(partial(Estimator, estimator="drift.PageHinkley"), DAY, 60, 0.0, 0.0, 0.0))
        assert any(told(series.see(12_000.0 + step)) for step in range(30))
        said[verdict] = series.say(verdict)[0]

    assert said["confirmed"].endswith("is learned already, since this estimator of River's learns all values")
    assert said["false_positive"] == "rows: the band is 1.05 times as wide above from now on"


def test_what_was_missed_of_a_dense_stream_is_of_its_band_and_of_columns_beside_it_too() -> None:
    series = Series(KINDS["dense"])
    for number in range(30):
        turn = series.turn()
        values = np.array([100.0 + number % 3 + (4 if number == 29 else 0)])
        observe(turn, ["mean(a)"], values)
        series.number += 1
    assert series.say("missed", "")[0].startswith("mean(a): the band is ")


def test_where_too_many_series_were_taught_nothing_changes_and_that_is_said() -> None:
    series = Series(KINDS["daily"])
    for number in range(MAX_TAUGHT):
        series.entity.lessons.take(f"m{number}", Taught(low=2.0))
    series.see(6_000.0)

    assert series.say("confirmed")[0].endswith("and the same value is told again")
    assert series.say("false_positive")[0].endswith("256 series of it were taught already, so nothing changes")
