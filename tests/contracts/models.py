"""What every model of one series promises, as checks that are run on each entry of `MODELS`."""

import math
from collections.abc import Callable, Iterator
from contextlib import suppress
from random import Random

from detector.core.models import Model

Make = Callable[[], Model]
STREAMS: dict[str, list[float]] = {
    "about 1,000": [1_000 + Random(1).gauss(0, 20) for _ in range(60)],
    "noise": [Random(2).uniform(0, 1e6) for _ in range(60)],
    "always the same": [7.0] * 60,
    "always zero": [0.0] * 60,
    "growing": [float(2**n) for n in range(60)],
    "a level shift": [100.0] * 30 + [10_000.0] * 30,
    "tiny": [5e-324, 1e-300, 0.0] * 20,
    "huge": [1e300, 1.7e308, 1e307] * 20,
}
PROBES = (0.0, 1.0, 50.0, 1_000.0, 1e6, 1.7e308)
STRANGE = (math.nan, math.inf, -math.inf, -1.0, -0.0)
MOST_BYTES = 1_024


def learned(make: Make, values: list[float]) -> Model:
    """A model that has seen these values."""
    model = make()
    for x in values:
        model.learn_one(x)
    return model


def future(model: Model, values: list[float]) -> list[tuple[float, tuple[float, float, float], bytes]]:
    """What a model says before each of these values, and what it becomes by learning them."""
    said = []
    for x in values:
        said.append((model.score_one(x), model.bounds(), model.snapshot()))
        model.learn_one(x)
    return said


def check_scoring_learns_nothing(make: Make) -> None:
    for values in STREAMS.values():
        model = learned(make, values)
        before = model.snapshot()
        for x in (*PROBES, *STRANGE):
            model.score_one(x)
            model.bounds()
        assert model.snapshot() == before, "scoring or asking for the band changed the state"


def check_a_snapshot_restores_the_same_future(make: Make) -> None:
    for values in STREAMS.values():
        for seen in (0, 1, 7, 30):
            model, restored = learned(make, values[:seen]), make()
            restored.restore(model.snapshot())
            assert restored.samples == model.samples, "the restored model has seen another number of values"
            assert future(restored, values[seen:]) == future(model, values[seen:]), "the restored model differs"


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
    for _ in range(20):
        model.learn_one(random.uniform(0, 1e9))
    size = len(model.snapshot())
    for _ in range(2_000):
        model.learn_one(random.uniform(0, 1e9))
    assert len(model.snapshot()) <= max(size, 64), "the state grows with what was seen"
    assert len(model.snapshot()) <= MOST_BYTES, f"the state has more than {MOST_BYTES} bytes"


def check_it_works_before_any_learning(make: Make) -> None:
    model = make()
    assert model.samples == 0, "a new model has seen something"
    for x in PROBES:
        assert model.score_one(x) == 0, "a new model finds something"
    lower, expected, upper = model.bounds()
    assert (lower, upper) == (0.0, math.inf), "the band of a new model is not wide open"
    assert math.isfinite(expected), "a new model expects no number"


def check_what_is_no_measurement_is_tolerated(make: Make) -> None:
    for values in STREAMS.values():
        model = learned(make, values)
        before, samples = model.snapshot(), model.samples
        for x in (math.nan, math.inf, -math.inf, -1.0):
            assert model.score_one(x) == 0, f"{x} has a score"
            model.learn_one(x)
        assert (model.snapshot(), model.samples) == (before, samples), "something that is no number was learned"


def check_it_is_deterministic(make: Make) -> None:
    for values in STREAMS.values():
        assert future(make(), values) == future(make(), values), "two models differ on one stream"


def check_scores_and_bands_are_numbers(make: Make) -> None:
    for values in STREAMS.values():
        model = make()
        for x in values:
            for probe in PROBES:
                assert 0 <= model.score_one(probe) < 1, "a score is not in [0, 1)"
            lower, expected, upper = model.bounds()
            assert math.isfinite(lower), "the lower bound is no number"
            assert math.isfinite(expected), "the expected value is no number"
            assert 0 <= lower <= expected <= upper, "the band does not contain what is expected"
            model.learn_one(x)


def check_the_band_is_where_the_score_is_a_half(make: Make) -> None:
    for values in STREAMS.values():
        model = learned(make, values)
        lower, expected, upper = model.bounds()
        assert model.score_one(expected) < 0.05, "what is expected has a score"
        if 0 < upper < 1e300:
            assert model.score_one(upper * 1.01 + 1e-9) > 0.5 > model.score_one(upper * 0.99), (
                "the upper bound is not it"
            )
        if lower > 1e-3:
            assert model.score_one(lower * 0.99) > 0.5 > model.score_one(lower * 1.01), "the lower bound is not it"


def check_it_finds_what_is_far_away(make: Make) -> None:
    model = learned(make, STREAMS["about 1,000"])
    assert model.score_one(1_000) < 0.5, "what is usual is found"
    for x in (0.0, 10.0, 100_000.0):
        assert model.score_one(x) > 0.5, f"{x} after a thousand or so is not found"


def check_a_rebased_model_takes_the_new_normal_at_once(make: Make) -> None:
    model = learned(make, [100.0] * 30)
    model.rebase([10_000.0, 10_100.0, 9_900.0])
    assert model.score_one(10_000) < 0.5, "the new normal is found after it was taken"
    assert model.score_one(100) > 0.5, "the old normal still is"
    lower, _, upper = model.bounds()
    assert lower < 10_000 < upper < math.inf, "the band is not around the new normal"


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
