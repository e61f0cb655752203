"""Dense telemetry: what the judge finds in a seasonal stream, and that its state is bounded and exact."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from detector.core.models.baseline import Baseline
from detector.core.models.dense import Dense
from detector.core.models.reading import Reading

STEP = 300.0
DAY = 288
START, END = 10 * DAY, 10 * DAY + 48


def seasonal(days: int = 14, seed: int = 1) -> list[float]:
    rows = np.arange(days * DAY)
    noise = np.random.default_rng(seed).normal(0.0, 1.0, len(rows))
    return (50 + 20 * np.sin(2 * math.pi * rows / DAY) + noise).tolist()


def judged(values: list[float], dense: Dense | None = None) -> list[Reading]:
    dense = dense or Dense()
    return [dense.judge_one(STEP * row, value) for row, value in enumerate(values)]


def alerts(values: list[float]) -> list[int]:
    return [row for row, reading in enumerate(judged(values)) if reading.alert and row >= 3 * DAY]


def spike(values: list[float]) -> list[float]:
    return [*values[:START], 150.0, *values[START + 1 :]]


def level_shift(values: list[float]) -> list[float]:
    return [*values[:START], *(value + 40 for value in values[START:])]


def missing_hill(values: list[float]) -> list[float]:
    return [*values[:START], *(values[START + DAY // 2 + row] for row in range(DAY // 2)), *values[START + DAY // 2 :]]


@pytest.mark.parametrize("fault", [spike, level_shift, missing_hill])
def test_a_fault_in_a_seasonal_stream_is_found_soon(fault: Callable[[list[float]], list[float]]) -> None:
    first = [row for row in alerts(fault(seasonal())) if row >= START]

    assert first
    assert first[0] < START + DAY // 4


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_clean_seasonal_stream_is_nearly_silent(seed: int) -> None:
    assert len(alerts(seasonal(seed=seed))) <= 3


def test_an_outage_of_hours_is_told_at_its_start_and_not_for_each_row() -> None:
    values = seasonal()
    values[START:END] = [0.0] * (END - START)

    assert len([row for row in alerts(values) if START <= row < END]) <= 2
    assert START in alerts(values)


def test_a_spike_is_told_with_its_cause_and_outside_the_band() -> None:
    reading = judged(spike(seasonal()))[START]

    assert reading.alert
    assert reading.cause == "range"
    assert reading.upper < 150.0


def test_a_restored_judge_reads_the_future_as_the_one_that_was_not() -> None:
    values = spike(seasonal())
    dense = Dense()
    judged(values[: START - 7], dense)
    restored = Dense()

    restored.restore(dense.snapshot())

    rest = values[START - 7 :]
    assert judged(rest, restored) == judged(rest, dense)
    assert restored.snapshot() == dense.snapshot()


def test_a_snapshot_does_not_grow() -> None:
    dense = Dense()
    judged(seasonal(), dense)

    assert len(dense.snapshot()) == len(Dense().snapshot()) < 200_000


@pytest.mark.parametrize("damage", [b"", b"\x01", b"\xff" + Dense().snapshot()[1:]], ids=["empty", "short", "newer"])
def test_other_bytes_are_refused(damage: bytes) -> None:
    with pytest.raises(ValueError):
        Dense().restore(damage)


def test_a_value_that_is_not_finite_is_not_learned() -> None:
    dense = Dense()
    judged(seasonal(days=1), dense)
    before = dense.snapshot()

    readings = [dense.judge_one(0.0, value) for value in (math.nan, math.inf, -math.inf)]

    assert [reading.score for reading in readings] == [0.0, 0.0, 0.0]
    assert dense.snapshot() == before


def test_scoring_learns_nothing_and_is_what_judging_says() -> None:
    dense = Dense()
    judged(seasonal(days=5), dense)

    score = dense.score_one(STEP * 5 * DAY, 150.0)

    assert dense.judge_one(STEP * 5 * DAY, 150.0).score == score


# ---------------------------------------------------------------- from the baseline to a dense stream


def test_a_dense_stream_is_judged_as_one_from_its_first_value_on() -> None:
    values = spike(seasonal())
    baseline, dense = Baseline(dense_below=900.0), Dense()
    told = [baseline.judge_one(STEP * row, value) for row, value in enumerate(values)]

    assert told[16:] == judged(values, dense)[16:]
    assert baseline.samples == dense.samples == len(values)
    assert baseline.bounds() == dense.bounds()


@pytest.mark.parametrize("settings", [{}, {"dense_below": 200.0}], ids=["not asked for", "not often enough"])
def test_who_does_not_ask_for_it_has_no_dense_stream(settings: dict[str, float]) -> None:
    values = seasonal(2)
    one, other = Baseline(**settings), Baseline()  # type: ignore[arg-type]

    assert [one.judge_one(STEP * row, x) for row, x in enumerate(values)] == [
        other.judge_one(STEP * row, x) for row, x in enumerate(values)
    ]
    assert one.snapshot() == other.snapshot()


@pytest.mark.parametrize("seen", [1, 15, 16, 17, 600])
def test_a_stream_that_is_restored_before_and_after_it_is_decided_reads_the_same_future(seen: int) -> None:
    values = seasonal(3)
    one, other = Baseline(dense_below=900.0), Baseline(dense_below=900.0)
    for row, value in enumerate(values[:seen]):
        one.judge_one(STEP * row, value)
    other.restore(one.snapshot())

    rest = list(enumerate(values))[seen:]
    assert [one.judge_one(STEP * row, x) for row, x in rest] == [other.judge_one(STEP * row, x) for row, x in rest]
    assert one.snapshot() == other.snapshot()


def test_the_state_of_a_dense_stream_is_refused_where_there_are_to_be_none() -> None:
    stream = Baseline(dense_below=900.0)
    for row, value in enumerate(seasonal(1)):
        stream.judge_one(STEP * row, value)

    with pytest.raises(ValueError, match="not a snapshot of a baseline"):
        Baseline().restore(stream.snapshot())
