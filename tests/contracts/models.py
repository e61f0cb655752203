"""What every model of one series promises, as checks that are run on each entry of `MODELS`."""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from random import Random

from detector.core.models import Model
from detector.core.models.reading import Reading

Make = Callable[[], Model]
MONDAY, DAY = 1_768_780_800.0, 86_400.0  # 19 January 2026, 00:00 UTC


def draws(seed: int, draw: Callable[[Random], float]) -> list[float]:
    """Sixty draws of one source of chance."""
    random = Random(seed)
    return [draw(random) for _ in range(60)]


STREAMS: dict[str, list[float]] = {
    "about 1,000": draws(1, lambda random: 1_000 + random.gauss(0, 20)),
    "noise": draws(2, lambda random: random.uniform(0, 1e6)),
    "always the same": [7.0] * 60,
    "always zero": [0.0] * 60,
    "often zero": [0.0, 0.0, 50.0] * 20,
    "shares": draws(4, lambda random: random.uniform(0.9, 0.95)),
    "growing": [float(2**n) for n in range(60)],
    "a level shift": [100.0] * 30 + [10_000.0] * 30,
    "tiny": [5e-324, 1e-300, 0.0] * 20,
    "huge": [1e300, 1.7e308, 1e307] * 20,
}
PROBES = (0.0, 1.0, 50.0, 1_000.0, 1e6, 1.7e308)
NO_NUMBERS = (math.nan, math.inf, -math.inf)
STRANGE = (*NO_NUMBERS, -1.0, -0.0)
NORMAL = STREAMS["about 1,000"]
MOST_BYTES = 1_024


def day(number: int) -> float:
    """The time of the value with this number: one comes each day."""
    return MONDAY + number * DAY


def read(model: Model, values: Sequence[float], since: int = 0) -> list[Reading]:
    """What a model says of these values, of which the first is the one with the number `since`."""
    return [model.judge_one(day(number), x) for number, x in enumerate(values, since)]


def learned(make: Make, values: Sequence[float]) -> Model:
    """A model that has seen these values."""
    model = make()
    read(model, values)
    return model


def future(model: Model, values: Sequence[float], since: int = 0) -> list[tuple[str, bytes]]:
    """What a model says of each of these values, and what it becomes by learning them, bit for bit."""
    said = []
    for number, x in enumerate(values, since):
        score, bounds = model.score_one(day(number), x), model.bounds()
        said.append((repr((score, bounds, model.judge_one(day(number), x))), model.snapshot()))
    return said


def episodes(readings: Sequence[Reading]) -> int:
    """How often an alert begins."""
    alerts = [reading.alert for reading in readings]
    return sum(alert and not before for before, alert in zip([False, *alerts], alerts, strict=False))


def check_scoring_learns_nothing(make: Make) -> None:
    for values in STREAMS.values():
        model = learned(make, values)
        before = model.snapshot()
        for x in (*PROBES, *STRANGE):
            model.score_one(day(len(values)), x)
            model.bounds()
        assert model.snapshot() == before, "scoring or asking for the band changed the state"


def check_it_scores_before_it_learns(make: Make) -> None:
    for values in STREAMS.values():
        for seen in (0, 1, 15, 40):
            for x in PROBES:
                model = learned(make, values[:seen])
                score = model.score_one(day(seen), x)
                reading = model.judge_one(day(seen), x)
                assert reading.cause == "new normal" or abs(reading.score - score) < 1e-6, "it says two scores"


def check_a_snapshot_restores_the_same_future(make: Make) -> None:
    for values in STREAMS.values():
        for seen in (0, 1, 7, 30, 31, 32):
            model, restored = learned(make, values[:seen]), make()
            restored.restore(model.snapshot())
            assert restored.samples == model.samples, "the restored model has seen another number of values"
            assert restored.snapshot() == model.snapshot(), "the restored model writes another snapshot"
            assert future(restored, values[seen:], seen) == future(model, values[seen:], seen), (
                "it reads another future"
            )


def check_a_snapshot_says_its_format_and_refuses_what_is_none(make: Make) -> None:
    snapshot = learned(make, [1.0] * 10).snapshot()
    assert snapshot, "the snapshot is empty"
    assert snapshot[0] > 0, "the first byte must be the format, from 1 on"
    for wrong in (b"", b"\0", snapshot[:-1], snapshot + b"\0", bytes((255,)) + snapshot[1:]):
        refused = False
        try:
            make().restore(wrong)
        except ValueError:
            refused = True
        assert refused, f"restored from {wrong!r}"


def check_the_state_is_bounded(make: Make) -> None:
    model, random = make(), Random(3)
    size = MOST_BYTES
    for number in range(2_000):
        model.judge_one(MONDAY + number * 3_600, random.choice((0.0, 0.5, 1e3, 1e3, 1e3, random.uniform(0, 1e9))))
        assert len(model.snapshot()) <= MOST_BYTES, f"the state has more than {MOST_BYTES} bytes"
        size = len(model.snapshot()) if number == 1_000 else size  # each hour and weekday was seen
    assert len(model.snapshot()) <= 1.1 * size, "the state grows with what was seen"


def check_it_works_before_any_learning(make: Make) -> None:
    model = make()
    assert model.samples == 0, "a new model has seen something"
    for x in PROBES:
        assert model.score_one(MONDAY, x) == 0, "a new model finds something"
    lower, expected, upper = model.bounds()
    assert lower <= 0, "the band of a new model has a lower end"
    assert upper == math.inf, "the band of a new model has an upper end"
    assert math.isfinite(expected), "a new model expects no number"


def check_what_is_no_number_is_tolerated(make: Make) -> None:
    for values in STREAMS.values():
        model = learned(make, values)
        before, samples = model.snapshot(), model.samples
        for x in NO_NUMBERS:
            assert model.score_one(day(60), x) == 0, f"{x} has a score"
            reading = model.judge_one(day(60), x)
            assert (reading.score, reading.alert) == (0, False), f"{x} is found"
        assert (model.snapshot(), model.samples) == (before, samples), "something that is no number was learned"


def check_it_is_deterministic(make: Make) -> None:
    for values in STREAMS.values():
        assert future(make(), values) == future(make(), values), "two models differ on one stream"


def check_scores_and_bands_are_numbers(make: Make) -> None:
    for values in STREAMS.values():
        model = make()
        for number, x in enumerate(values):
            for probe in PROBES:
                assert 0 <= model.score_one(day(number), probe) <= 1, "a score is not in [0, 1]"
            _in_order(*model.bounds())
            reading = model.judge_one(day(number), x)
            assert 0 <= reading.score <= 1, "a score is not in [0, 1]"
            _in_order(reading.lower, reading.expected, reading.upper)


def _in_order(lower: float, expected: float, upper: float) -> None:
    assert math.isfinite(expected), "the expected value is no number"
    assert lower <= expected <= upper, "the band does not contain what is expected"


def check_an_alert_is_a_score_of_a_half(make: Make) -> None:
    for values in (*STREAMS.values(), [*NORMAL, 0.0, 1e9, *NORMAL, *[1e5] * 9, 7.0]):
        for reading in read(make(), values):
            assert reading.alert == (reading.score >= 0.5), "the score and the alert differ"
            assert reading.cause or not reading.alert, "an alert has no cause"


def check_the_band_of_a_reading_is_where_one_value_is_an_outlier(make: Make) -> None:
    """What is told for another reason may be within the band, so what lies inside need only be no outlier."""
    for name in ("about 1,000", "always the same", "shares"):
        model = learned(make, STREAMS[name])
        _, lower, expected, upper = _band(model)
        assert model.score_one(day(60), expected) < 0.5, "what is expected is found"
        snapshot = model.snapshot()
        for x, outside in ((upper * 1.01 + 1e-9, True), (upper * 0.99, False), (lower * 0.99, True)):
            if not (name == "shares" and x > 1):
                model.restore(snapshot)
                assert (model.judge_one(day(60), x).cause == "outlier") is outside, f"{x} and the band differ"


def _band(model: Model) -> tuple[Model, float, float, float]:
    """The band that the next reading will have; the model is left as it was."""
    snapshot = model.snapshot()
    reading = model.judge_one(day(60), model.bounds()[1])
    model.restore(snapshot)
    return model, reading.lower, reading.expected, reading.upper


def check_it_finds_what_is_far_away(make: Make) -> None:
    model = learned(make, NORMAL)
    assert model.score_one(day(60), 1_000) < 0.5, "what is usual is found"
    for x in (0.0, 10.0, 100_000.0):
        assert model.score_one(day(60), x) > 0.5, f"{x} after a thousand or so is not found"
    for size in (1e-9, 1e3, 1e12):
        model = learned(make, [x * size for x in NORMAL])
        if size >= 1:
            assert model.score_one(day(60), 100 * 1_000 * size) > 0.5, f"a hundred times {size} is not found"


def check_one_spike_leaves_the_band_as_it_was(make: Make) -> None:
    model = learned(make, NORMAL)
    before = model.bounds()
    assert model.judge_one(day(60), 100_000.0).alert, "a spike is not found"
    for one, other in zip(before, model.bounds(), strict=True):
        assert abs(one - other) <= 0.002 * one, "a spike moves the band"
    assert not any(reading.alert for reading in read(model, NORMAL[:10], 61)), "what is usual is found after a spike"


def check_a_new_normal_is_told_once_and_then_silent(make: Make) -> None:
    for level in (0.2, 3.0, 100.0):
        model = learned(make, NORMAL)
        shifted = read(model, [x * level for x in NORMAL[:6]], 60)
        lower, expected, upper = model.bounds()
        assert lower < 1_000 * level < upper < math.inf, "the band is not around the new normal"
        assert abs(expected / level - 1_000) < 100, "something else than the new normal is expected"
        shifted += read(model, [x * level for x in NORMAL[6:40]], 66)
        assert shifted[0].alert, f"{level} times the usual is not found"
        assert episodes(shifted) == 1, f"{level} times the usual is more than one episode"
        assert not any(reading.alert for reading in shifted[5:]), f"{level} times the usual is never accepted"


CHECKS = [check for name, check in sorted(globals().items()) if name.startswith("check_")]


def failures(make: Make) -> list[str]:
    """The names of the checks that a model does not pass."""
    return list(_failures(make))


def _failures(make: Make) -> Iterator[str]:
    for check in CHECKS:
        passed = False
        with suppress(AssertionError, ArithmeticError, ValueError):
            check(make)
            passed = True
        if not passed:
            yield check.__name__
