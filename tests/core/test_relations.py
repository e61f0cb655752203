"""What no single series shows: what is found, what must not be, who is named, and that the state is plain bytes."""

import math
import re
from collections.abc import Iterable, Iterator
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from bench.detection import together as streams
from detector.core.emissions import Anomaly, Emission
from detector.core.judge import Finding, judge, observe
from detector.core.models.relations import MAX_METRICS, MAX_RELATIONS, Relations
from detector.core.models.together import FEWEST, MAX_CROWDS, Together, spread
from detector.core.rules import Rules, Settings
from detector.core.state import Entity, dump, load
from detector.core.together import CHECK, judge_together
from detector.core.turn import Place, Turn
from tests.core.test_state import sections, written
from tests.core.world import DAY, HOUR, MONDAY, anomalies

Load = dict[str, float]


class Table:
    """An entity that is fed loads by hand; with `reload` its state is written and read before each."""

    def __init__(self, settings: Settings | None = None, reload: bool = False, step: float = DAY) -> None:
        self.settings, self.reload, self.step = settings or Settings(), reload, step
        self.entity, self.count = Entity("dataset:db/orders"), 0
        self.said: list[Emission] = []

    def see(self, *loads: Load) -> list[Anomaly]:
        """Judge these loads. Returns what was said of them."""
        said: list[Emission] = []
        for values in loads:
            turn = self._turn(said)
            judge(turn, values)
            turn.tell(f"r{self.count}")
        self.said += said
        return anomalies(said)

    def profile(self, values: Load) -> tuple[dict[str, Finding], list[Anomaly]]:
        """Judge the columns of a load. Returns what is unusual alone, and what was said of all together."""
        said: list[Emission] = []
        turn, names = self._turn(said), list(values)
        judged = observe(turn, names, np.array(list(values.values())))
        judge_together(turn, judged.load, judged.findings, values, "load")
        turn.tell(f"r{self.count}")
        return judged.findings, [anomaly for anomaly in anomalies(said) if anomaly.check == CHECK]

    def _turn(self, said: list[Emission]) -> Turn:
        if self.reload:
            self.entity = load(dump(self.entity))
        self.count += 1
        at = MONDAY + self.count * self.step
        return Turn(self.entity, self.settings, Rules(), Place("t", 0, self.count, at), at, at, said)

    def fits(self, values: Load) -> list[tuple[tuple[float, float, float], tuple[float, float, float]]]:
        """What would fit these values, if they were the next load."""
        relations = Relations()
        assert self.entity.watch is not None
        relations.restore(self.entity.watch.relations.snapshot())
        return [pair.fits for pair in relations.judge(MONDAY + (self.count + 1) * self.step, values)]


def loads(count: int, seed: int = 1, noise: float = 0.01) -> Iterator[Load]:
    """Loads that differ by a fifth from one to the next, in rows read and written and in bytes, which go together."""
    random = Random(seed)
    for _ in range(count):
        size = random.gauss(0, 0.2)
        usual = {"rows_in": 100_000.0, "rows_out": 99_000.0, "bytes_out": 5e6}
        yield {metric: float(round(x * math.exp(size + random.gauss(0, noise)))) for metric, x in usual.items()}


def changed(values: Load, **factors: float) -> Load:
    return {metric: x * factors.get(metric, 1.0) for metric, x in values.items()}


def only(values: Load, *metrics: str) -> Load:
    return {metric: values[metric] for metric in metrics}


def learned(count: int = 60, seed: int = 1, reload: bool = False) -> Table:
    table = Table(reload=reload)
    assert table.see(*loads(count, seed)) == []
    return table


USUAL: Load = {"rows_in": 101_000.0, "rows_out": 100_000.0, "bytes_out": 5_050_000.0}


# ---------------------------------------------------------------- what parts


def test_a_third_fewer_rows_than_were_read_is_found_although_loads_differ_by_as_much_every_day() -> None:
    table = Table()
    assert table.see(*(only(values, "rows_in", "rows_out") for values in loads(60))) == []

    (said,) = table.see({"rows_in": 101_000.0, "rows_out": 70_100.0})

    assert (said.check, said.severity, said.phase) == (CHECK, "warning", "started")
    assert re.fullmatch(
        r"rows out and rows in do not go together any more: rows out 70,100, where 8\d,\d{3} to 11\d,\d{3} fit rows in"
        r" 101,000 \(51 runs seen\)",
        said.summary,
    )
    assert (said.observed, said.direction, said.unit, said.samples) == (70_100, "low", "rows", 51)
    assert said.lower is not None
    assert said.upper is not None
    assert 84_000 < said.lower < 100_000 < said.upper < 120_000
    assert Table().see(*({"rows_out": values["rows_out"]} for values in loads(60)), {"rows_out": 70_100.0}) == []


@pytest.mark.parametrize(
    ("factors", "guilty"),
    [
        pytest.param({"rows_out": 0.7}, {"rows_out"}, id="less of one"),
        pytest.param({"rows_in": 1.35}, {"rows_in"}, id="more of another"),
        pytest.param({"bytes_out": 1.4}, {"bytes_out"}, id="larger rows"),
        pytest.param({"rows_out": 0.7, "bytes_out": 0.7}, {"rows_in", "rows_out", "bytes_out"}, id="a group"),
    ],
)
def test_who_left_the_others_has_the_largest_share_and_shares_add_up(
    factors: dict[str, float], guilty: set[str]
) -> None:
    for seed in range(1, 6):
        (said,) = learned(seed=seed).see(changed(USUAL, **factors))
        shares = [(contributor.metric, contributor.share or 0.0) for contributor in said.contributors]

        assert {metric for metric, _ in shares} == USUAL.keys()
        assert math.fsum(share for _, share in shares) == pytest.approx(1, abs=1e-5)
        assert shares == sorted(shares, key=lambda one: -one[1])
        assert shares[0][0] in guilty
        assert len(guilty) > 1 or shares[0][1] > 0.8
        assert {contributor.severity for contributor in said.contributors} == {"info"}


def test_what_falls_when_the_other_rises_goes_together_too() -> None:
    random = Random(3)
    table, values = Table(), []
    for _ in range(60):
        size = random.gauss(0, 0.2)
        values.append({"speed": 5_000 * math.exp(-size), "duration": 600 * math.exp(size + random.gauss(0, 0.01))})
    assert table.see(*values) == []

    said = table.see({"speed": 5_000, "duration": 400})

    assert found_in(said) == [(CHECK, "started")]
    assert table.see({"speed": 4_000, "duration": 750})[0].phase == "ended"


def test_a_part_of_a_cost_that_does_not_grow_is_no_fault_of_large_loads() -> None:
    random = Random(5)
    table = Table()
    for _ in range(100):
        size = random.gauss(0, 0.25)
        table.see({"rows": 1e5 * math.exp(size), "duration": 900 * math.exp(0.5 * size + random.gauss(0, 0.02))})

    assert anomalies(table.said) == []
    assert table.see({"rows": 2e5, "duration": 900 * 2**0.5}) == []
    assert found_in(table.see({"rows": 2e5, "duration": 900})) == [(CHECK, "started")]


def test_a_shift_of_all_together_parts_nobody() -> None:
    table = learned()
    for factor in (1.4, 0.8, 1.8):
        said = table.see(*(changed(values, rows_in=factor, rows_out=factor, bytes_out=factor) for values in loads(30)))

        assert CHECK not in {anomaly.check for anomaly in said}


def test_where_one_series_is_unusual_alone_that_is_told_and_nothing_else() -> None:
    said = learned().see(changed(USUAL, rows_out=0.01))

    assert {anomaly.check for anomaly in said} == {"rows_out"}


def test_values_that_are_missing_neither_alarm_nor_hide_the_others() -> None:
    random, table = Random(2), Table()
    for values in loads(150):
        del values[random.choice(list(values))]
        table.see(values)

    assert anomalies(table.said) == []
    assert found_in(table.see(changed(USUAL, rows_out=0.7))) == [(CHECK, "started")]


@pytest.mark.parametrize(("seen", "expected"), [(20, []), (26, [(CHECK, "started")])])
def test_it_speaks_from_about_the_twentieth_run_on(seen: int, expected: list[tuple[str, str]]) -> None:
    assert found_in(learned(seen).see(changed(USUAL, rows_out=0.6))) == expected


# ---------------------------------------------------------------- what is learned


def test_one_odd_run_does_not_widen_what_fits() -> None:
    odd, calm = learned(), learned()
    odd.see(changed(USUAL, rows_out=0.7))
    calm.see(USUAL)
    width = [[math.log(upper / lower) for (lower, _, upper), _ in table.fits(USUAL)] for table in (odd, calm)]

    assert width[0] == pytest.approx(width[1], rel=0.03)
    assert found_in(odd.see(changed(USUAL, rows_out=0.7))) == [(CHECK, "updated")]
    assert found_in(odd.see(USUAL)) == [(CHECK, "ended")]


def test_a_new_relation_that_stays_is_said_once_and_then_silent() -> None:
    table = learned()
    fewer = [changed(values, rows_out=0.7) for values in loads(60, seed=2)]

    said = [anomaly for anomaly in table.see(*fewer) if anomaly.check == CHECK]

    assert [anomaly.phase for anomaly in said] == ["started", "updated", "updated", "ended"]
    assert "the new normal" in said[-1].summary
    assert found_in(table.see(changed(USUAL, rows_out=0.7 * 0.7)))[0][0] in (CHECK, "rows_out")


def test_the_order_of_metrics_does_not_matter() -> None:
    tables = Table(), Table()
    for values in [*loads(60), changed(USUAL, rows_out=0.7)]:
        tables[0].see(values)
        tables[1].see(dict(reversed(values.items())))

    assert tables[0].said == tables[1].said != []
    assert snapshot(tables[0]) == snapshot(tables[1])


def test_a_state_that_was_written_and_read_goes_on_bit_for_bit() -> None:
    tables = Table(), Table(reload=True)
    for number, values in enumerate(loads(120)):
        for table in tables:
            table.see(changed(values, rows_out=0.7) if number % 40 == 39 else values)

    assert tables[0].said == tables[1].said != []
    assert dump(tables[0].entity) == dump(tables[1].entity)


def test_a_relation_that_is_gone_is_given_up() -> None:
    random = Random(4)
    together = learned(60)
    assert together.fits(USUAL)
    for values in loads(200, seed=3):
        together.see({**values, "rows_out": 99_000 * math.exp(random.gauss(0, 0.2))})

    assert related(together) == [("rows_in", "bytes_out")] or related(together) == [("bytes_out", "rows_in")]
    assert found_in(anomalies(together.said))[-1][1] == "ended"  # what was told of a pair is over when it is none


# ---------------------------------------------------------------- a crowd


def columns(random: Random, of: int = 600) -> Load:
    """Means of columns that a busy day moves, some up and some down, some more than others."""
    busy = random.gauss(0, 1)
    return {
        f"mean(c{n})": 100.0 * (n + 1) * math.exp(0.1 * (random.gauss(0, 1) + busy * math.sin(n))) for n in range(of)
    }


def test_a_tenth_of_all_columns_a_little_off_is_found_and_the_columns_are_named() -> None:
    random, table = Random(6), Table()
    for _ in range(60):
        assert table.profile(columns(random))[1] == []
    values, off = columns(random), {f"mean(c{n})" for n in range(0, 600, 10)}
    for metric in off:
        values[metric] = 100.0 * (int(metric[6:-1]) + 1) * math.exp(0.35)

    alone, (said,) = table.profile(values)

    assert alone == {}
    assert (said.check, said.severity) == (CHECK, "warning")
    assert "of 600 series are a little off, and none by enough to be unusual alone: mean(c" in said.summary
    assert len(said.contributors) == 20
    assert sum(contributor.metric in off for contributor in said.contributors) >= 16
    assert (said.observed or 0.0) > (said.upper or math.inf)


def test_what_moves_all_columns_is_no_crowd_that_left_the_others() -> None:
    random = Random(7)
    calm = [random.gauss(0, 1) for _ in range(600)]

    assert spread([3 * z for z in calm]) == pytest.approx(spread(calm))
    assert spread([*calm[:540], *[3.0] * 60]) > 1.3 * spread(calm)
    assert spread([*calm[:599], 1e9]) == pytest.approx(spread(calm), rel=0.01)


def test_crowds_are_few_and_of_many() -> None:
    together = Together()

    assert together.judge_crowd("load", 0.0, np.array([1.0] * (FEWEST - 1) + [0.0] * 100)) is None
    read = [together.judge_crowd(f"grain {n}", 0.0, np.ones(FEWEST)) for n in range(MAX_CROWDS + 3)]
    assert [one is not None for one in read] == [True] * MAX_CROWDS + [False] * 3


# ---------------------------------------------------------------- how often it is right


def test_on_streams_that_go_together_it_finds_what_single_series_do_not_and_is_rarely_wrong() -> None:
    figures = streams.measured(streams.shipped, streams.generate, [7], 30, best=False)

    assert figures["false per 1,000"] <= 0.4  # of some 9,000 loads
    assert figures["found: apart"] >= 0.2 >= 2 * figures["alone: apart"]
    assert figures["found: group"] >= 0.25 >= 2 * figures["alone: group"]
    assert figures["found: loose"] >= 0.55 > figures["alone: loose"]


def test_half_space_trees_find_next_to_nothing_of_it() -> None:
    figures = streams.measured(streams.half_space_trees, streams.generate, [7], 10, best=True)

    assert figures["found: apart"] <= 0.1
    assert figures["found: group"] <= 0.1


# ---------------------------------------------------------------- settings and state


def test_it_can_be_switched_off_and_what_was_open_is_over() -> None:
    table = learned()
    table.see(changed(USUAL, rows_out=0.7))
    table.settings = Settings(together=False)

    assert found_in(table.see(changed(USUAL, rows_out=0.7))) == [(CHECK, "ended")]
    assert table.see(changed(USUAL, rows_out=0.7)) == []


@pytest.mark.parametrize("stored", [b"", b"\x01", b"\x07abc", b"\x01\x93\xa0\x80\x90", b"\x01\x93\xc4\x00\x80\x90"])
def test_bytes_that_are_no_snapshot_are_refused_and_the_entity_begins_anew(stored: bytes) -> None:
    with pytest.raises(ValueError):
        Together().restore(stored)
    table = learned(5)
    table.entity.watch, table.entity.together = None, stored

    table.see(USUAL)
    assert snapshot(table)[:1] == b"\x01"


def test_a_state_that_an_older_release_wrote_has_no_such_section() -> None:
    older = written([section for section in sections() if section[0] != CHECK])

    assert load(older).together == b""
    assert load(dump(learned(5).entity)).together != b""


def test_the_state_does_not_grow() -> None:
    relations, random = Relations(), Random(8)
    for number in range(800):
        size = random.gauss(0, 0.3)
        relations.judge(number * HOUR, {f"m{n}": math.exp(size + random.gauss(0, 0.02)) for n in range(40)})
        if number == 400:  # all hours of a weekend were seen
            before = len(relations.snapshot())

    assert len(relations.names) == MAX_METRICS
    assert len(relations.judge(0.0, dict.fromkeys(relations.names, 1.0))) == MAX_RELATIONS
    assert len(relations.snapshot()) <= before + 100
    assert before < 7_000
    assert len(learned().entity.watch.snapshot()) < 1_000  # type: ignore[union-attr]


VALUES = st.dictionaries(st.sampled_from("abcd"), st.floats() | st.sampled_from([0.0, -1.0, 1e300, 5e-324, 1.0, 2.0]))


@given(st.lists(VALUES, max_size=60))
@examples(max_examples=150, deadline=None)
def test_any_numbers_can_be_judged_and_the_state_can_be_read_back(runs: list[Load]) -> None:
    relations = Relations()
    for number, values in enumerate(runs):
        for pair in relations.judge(number * DAY, values):
            assert 0 <= pair.reading.score <= 1
            assert all(lower <= expected <= upper for lower, expected, upper in pair.fits)
    again = Relations()
    again.restore(relations.snapshot())

    assert again.snapshot() == relations.snapshot()


# ---------------------------------------------------------------- helpers


def found_in(said: Iterable[Anomaly]) -> list[tuple[str, str]]:
    return [(anomaly.check, anomaly.phase) for anomaly in said]


def snapshot(table: Table) -> bytes:
    assert table.entity.watch is not None
    return table.entity.watch.snapshot()


def related(table: Table) -> list[tuple[str, str]]:
    if table.entity.watch is None:
        return []
    return table.entity.watch.relations.pairs
