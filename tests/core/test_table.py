"""Series in arrays are judged and restored as each alone, bit for bit: whatever comes, is missing, or is configured."""

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any, ClassVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.core.commands import Verdict
from detector.core.events import Statistics
from detector.core.judge import MAX_SERIES, Judged, model_of, observe
from detector.core.models import Model, kernel, records
from detector.core.models.band import Band
from detector.core.models.baseline import Baseline
from detector.core.models.reading import Reading
from detector.core.models.taught import Taught
from detector.core.rules import Rules, Settings
from detector.core.state import Entity, dump, load
from detector.core.table import KEEP_LAST, SeriesTable, Stored
from detector.core.teaching import teach
from detector.core.turn import Place, Turn
from tests.core.test_profiles import amounts, table
from tests.core.world import DAY, HOUR, JOB, MONDAY, TABLE, World, event, profile, ready
from tests.strategies import examples


class Alone:
    """The baseline as any other model is: an object for each series, judged one after the other."""

    kind: ClassVar[str] = "alone"

    def __init__(self, **parameters: float) -> None:
        self._baseline = Baseline(**parameters)  # type: ignore[arg-type]

    @property
    def samples(self) -> int:
        return self._baseline.samples

    @property
    def taught(self) -> Taught:
        return self._baseline.taught

    @taught.setter
    def taught(self, taught: Taught) -> None:
        self._baseline.taught = taught

    def how_far(self, at: float, x: float) -> float:
        return self._baseline.how_far(at, x)

    def unlearn(self, at: float) -> None:
        self._baseline.unlearn(at)

    def excuse(self, at: float, cause: str) -> None:
        self._baseline.excuse(at, cause)

    def renew(self, at: float, x: float, cause: str) -> None:
        self._baseline.renew(at, x, cause)

    def judge_one(self, at: float, x: float) -> Reading:
        return self._baseline.judge_one(at, x)

    def score_one(self, at: float, x: float) -> float:
        return self._baseline.score_one(at, x)

    def bounds(self) -> tuple[float, float, float]:
        return self._baseline.bounds()

    def snapshot(self) -> bytes:
        return self._baseline.snapshot()

    def restore(self, snapshot: bytes) -> None:
        self._baseline.restore(snapshot)


Make = Callable[[], Model]
PAIRS: dict[str, tuple[Make, Make]] = {  # in arrays, and as objects
    "baseline": (Baseline, Alone),
    "other parameters": (partial(Baseline, budget=0.01, effect=0.3), partial(Alone, budget=0.01, effect=0.3)),
    "band": (Band, Band),
}
STREAMABLE = partial(Baseline, dense_below=7_200.0)


def under(world: World, model: Make) -> None:
    """Restart a world with another model in its configuration."""
    world.rules = Rules(replace(world.rules.default, model=model))
    world.restart()


def states(world: World) -> dict[str, dict[str, bytes]]:
    """What is learned of each series of each entity."""
    found = {}
    for key, entity in world.entities.items():
        turn = Turn(entity, world.rules.of(key), world.rules, Place("t", 0, 0, 0.0), 0.0, 0.0, [])
        found[key] = {metric: model_of(turn, metric).snapshot() for metric in sorted(entity.series)}
    return found


def statistics(random: Random, columns: list[str]) -> Statistics:
    """Some statistics of these columns; a few are far off, and a few are missing."""
    found = {column: amounts(1_000, random, factor=random.choice((1.0,) * 9 + (5.0,))) for column in columns}
    for column in found.values():
        for name in random.sample(sorted(column), random.randrange(3)):
            column[name] = random.choice((math.nan, 0.0, 1e300))
    return table(found)


PLENTY = 10_000.0  # the budget of an entity binds what is judged in one pass, and is no matter here

VERDICTS: tuple[Verdict, ...] = ("confirmed", "expected_once", "new_normal", "false_positive", "missed")


def say(world: World, verdict: Verdict, chosen: list[int]) -> list[str]:
    """A verdict on all anomalies that go on; what is missed is taught by hand, since nobody tells of it."""
    said = []
    for key, entity in world.entities.items():
        turn = Turn(entity, world.rules.of(key), world.rules, Place("t", 0, world.offset, 0.0), 0.0, 0.0, [])
        for check, episode in list(entity.judgement.episodes.items()):
            said.append(teach(turn, verdict, episode, check) if verdict != "missed" else "")
        for n in chosen if verdict == "missed" else ():
            metric = f"m{n}" if key == JOB else f"mean(c{n})"
            entity.lessons.take(metric, Taught(low=0.4, high=1.0 + n / 4, causes={"drift": 2.0, "only zeros": 2.0}))
    return said


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["run", "run", "profile", "profile", "profile", "restart", *VERDICTS, *PAIRS]),
        st.lists(st.integers(0, 7), max_size=8, unique=True),
    ),
    min_size=30,
    max_size=60,
)


@given(STEPS, st.integers(0, 2**32), st.sampled_from([HOUR, DAY]))
@examples(0.25)
def test_what_is_said_and_learned_is_that_of_one_object_for_each_series(
    steps: list[tuple[Any, list[int]]], seed: int, every: float
) -> None:
    arrays, objects, random = (
        ready(Rules(Settings(model=Baseline, budget=PLENTY))),
        ready(Rules(Settings(model=Alone, budget=PLENTY))),
        Random(seed),
    )
    at = MONDAY
    for what, chosen in steps:
        at += every * random.choice((1, 1, 1, 3))
        if what == "run":
            metrics = {f"m{n}": random.choice((0.0, 7.0, random.gauss(1_000, 20), 1e9)) for n in chosen}
            told = event("COMPLETE", at, f"r{at}", metrics=metrics)
            assert arrays.tell(told) == objects.tell(told)
        elif what == "profile":
            loaded = profile(at, 1_000.0, statistics=statistics(random, [f"c{n}" for n in chosen]))
            assert arrays.tell(loaded) == objects.tell(loaded)
        elif what in VERDICTS:
            assert say(arrays, what, chosen) == say(objects, what, chosen)
        elif what == "restart":
            arrays.restart()  # the other has no need to
        else:
            for world, model in zip((arrays, objects), PAIRS[what], strict=True):
                under(world, model)
    assert arrays.digest == objects.digest
    assert states(arrays) == states(objects)


def test_anomalies_are_among_what_was_compared() -> None:
    """Else the property above would compare silence with silence."""
    world, random = ready(), Random(5)
    for number in range(40):
        columns = [f"c{n}" for n in random.sample(range(8), 6)]
        world.tell(profile(MONDAY + number * DAY, 1_000.0, statistics=statistics(random, columns)))

    assert len([e for e in world.said if "anomaly" in e.type]) > 10
    assert len(world.entities[TABLE].series) > 60


def seen_by(entity: Entity, settings: Settings, number: int, values: dict[str, float]) -> Judged:
    at = MONDAY + number * HOUR
    turn = Turn(entity, settings, Rules(), Place("t", 0, number, at), at, at, [])
    return observe(turn, list(values), np.array(list(values.values())))


def test_series_that_may_become_dense_streams_are_objects_beside_the_columns_in_the_arrays() -> None:
    mixed, plain, random = Entity(TABLE), Entity(TABLE), Random(8)
    for number in range(40):
        values = {name: random.gauss(100, 3) for name in ("rows", "mean(a)", "mean(a:b):read", "null_share")}
        one, other = (
            seen_by(mixed, Settings(model=STREAMABLE), number, values),
            seen_by(plain, Settings(), number, values),
        )
        if number < 16:  # from then on they are dense streams, of another model
            assert sorted(zip(one.load.metrics, one.load.z, strict=True)) == sorted(
                zip(other.load.metrics, other.load.z, strict=True)
            )
        if number % 7 == 0:
            mixed = load(dump(mixed))

    assert len(mixed.series.store().models["rows"]) > 100_000
    assert mixed.series.store().models.keys() == {"rows", "null_share"}
    assert (
        mixed.series.baseline("mean(a)", Baseline()).snapshot()
        == plain.series.baseline("mean(a)", Baseline()).snapshot()
    )


def test_what_the_baseline_has_learned_stays_when_a_series_is_no_longer_packed_and_when_it_is_again() -> None:
    entity, random = Entity(TABLE), Random(9)
    for number, model in enumerate([Baseline] * 20 + [partial(Baseline, dense_below=1.0)] * 5 + [Baseline] * 5):
        entity = load(dump(entity))
        seen_by(entity, Settings(model=model, budget=PLENTY), number, {"rows": random.gauss(100, 3), "bytes": 5.0})

    assert entity.series.baseline("rows", Baseline()).samples == 30
    assert sorted(entity.series) == ["bytes", "rows"]


def test_the_z_of_every_judged_series_is_told_in_the_order_of_the_metrics() -> None:
    entity, random = Entity(TABLE), Random(10)
    for number in range(40):
        judged = seen_by(entity, Settings(), number, {name: random.gauss(100, 3) for name in ("a", "b", "c")})
    judged = seen_by(entity, Settings(), 40, {"c": math.nan, "b": 100.0, "a": 160.0})

    assert judged.load.metrics == ["b", "a"]
    assert abs(judged.load.z[0]) < 4 < judged.load.z[1]


def test_only_the_last_values_of_what_is_told_by_itself_are_kept() -> None:
    world, random = ready(), Random(11)
    for number in range(20):
        at = MONDAY + number * DAY
        world.tell(event("COMPLETE", at, f"r{number}", metrics={"cost": float(number)}))
        world.tell(profile(at, 1_000.0, statistics=statistics(random, ["a"])))

    assert world.entities[JOB].series.last == {"cost": [float(n) for n in range(20 - KEEP_LAST, 20)]}
    assert world.entities[TABLE].series.last.keys() == {"profile_rows:load"}


def test_columns_that_are_too_many_are_not_watched_and_those_that_are_go_on() -> None:
    entity = Entity(TABLE)
    for number in range(2):
        judged = seen_by(entity, Settings(), number, {f"m{n}": 1.0 for n in range(MAX_SERIES["dataset"] + 5)})

    assert len(entity.series) == len(judged.load.metrics) == MAX_SERIES["dataset"]
    assert entity.series.baseline("m0", Baseline()).samples == 2


# ---------------------------------------------------------------- the bytes


@given(st.lists(st.tuples(st.integers(0, 3), st.binary(min_size=1, max_size=40), st.integers(0, 400)), max_size=8))
def test_records_come_back_from_their_bytes_whatever_is_in_them(changes: list[tuple[int, bytes, int]]) -> None:
    heads, seasons = kernel.blank(4)
    for row, data, at in changes:
        for array in (heads, seasons):
            cells = array.view(np.uint8).reshape(4, -1)
            room = cells.shape[1]
            start = at % room
            cells[row, start : start + len(data)] = np.frombuffer(data, np.uint8)[: room - start]
    found = records.unpack(records.pack(heads, seasons), 4)

    assert [array.tobytes() for array in found] == [heads.tobytes(), seasons.tobytes()]


@pytest.mark.parametrize("damage", [lambda b: b[:-1], lambda b: b + b"\0\0\0\0", lambda b: b[:3], lambda b: b[:0]])
def test_bytes_that_are_no_records_are_refused(damage: Callable[[bytes], bytes]) -> None:
    packed = records.pack(*kernel.blank(2))

    with pytest.raises(ValueError, match="not the records of 2 series"):
        records.unpack(damage(packed), 2)


def test_a_series_that_has_seen_nothing_takes_next_to_nothing() -> None:
    assert len(records.pack(*kernel.blank(80))) < 80 * 5


@pytest.mark.parametrize(
    ("step", "values", "most"), [pytest.param(DAY, 60, 70, id="daily"), pytest.param(HOUR, 21 * 24, 160, id="hourly")]
)
def test_what_a_series_of_a_table_that_is_loaded_often_takes_is_small(step: float, values: int, most: int) -> None:
    count, parameters = 600, Baseline().parameters  # of 50 columns
    heads, seasons = kernel.blank(count)
    out, draw = np.empty((count, kernel.WIDTH)), np.random.default_rng(1)
    for number in range(values):
        x = 100 * draw.lognormal(0, 0.05, count)
        kernel.judge_many(heads, seasons, np.arange(count), MONDAY + number * step, x, parameters, kernel.UNTAUGHT, out)

    assert most / 2 < len(records.pack(heads, seasons)) / count < most


@pytest.mark.parametrize("names", [b"", b"\x00\x01", b"names"])
def test_names_that_are_corrupt_are_an_error_of_value(names: bytes) -> None:
    with pytest.raises(ValueError, match="corrupt"):
        SeriesTable.of(Stored(names, b"", {}, {}))
