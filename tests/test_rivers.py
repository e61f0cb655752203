"""The models of Detector in River's hands: its own checks, and what an estimator of River's is used for."""

import copy
import pickle
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from river import checks, compose, stats
from river.checks import common

from detector.errors import ConfigError
from detector.rivers import PipelineAnomalyDetector

DAY = 86_400.0
MODELS: dict[str, Callable[[], PipelineAnomalyDetector]] = {
    "the default": PipelineAnomalyDetector,
    "a band": lambda: PipelineAnomalyDetector(model="band"),
    "a wide band": lambda: PipelineAnomalyDetector(model="band", parameters={"width": 8.0}),
    "hourly": lambda: PipelineAnomalyDetector(every=3_600.0),
}
# River has no stream for detectors with a target, so that these of its checks are run on one of ours.
ON_A_STREAM = (
    common.check_learn_one,
    common.check_clone_is_independent,
    common.check_no_state_aliasing_with_input,
    common.check_bounded_memory_growth,
)
every_model = pytest.mark.parametrize("make", [pytest.param(make, id=name) for name, make in MODELS.items()])


class Stream:
    """Rows of one load a day, each with its time and another feature."""

    def __iter__(self) -> Iterator[tuple[dict[str, float], float]]:
        random = Random(5)
        for day in range(300):
            yield {"at": day * DAY, "files": 3.0}, 1_000 + random.gauss(0, 20)


def learned(make: Callable[[], PipelineAnomalyDetector]) -> PipelineAnomalyDetector:
    detector = make()
    for x, y in Stream():
        detector.learn_one(x, y)
    return detector


def scores(detector: PipelineAnomalyDetector) -> list[float]:
    return [detector.score_one({"at": 300 * DAY}, y) for y in (0.0, 400.0, 1_000.0, 1_100.0, 9_000.0)]


@every_model
def test_it_passes_the_checks_of_river(make: Callable[[], PipelineAnomalyDetector]) -> None:
    done = [check(make().clone()) for check in checks.yield_checks(make())]

    assert len(done) >= 14
    checks.check_estimator(make())


@pytest.mark.slow
@every_model
@pytest.mark.parametrize("check", ON_A_STREAM, ids=lambda check: check.__name__)
def test_it_passes_those_that_need_a_stream(make: Callable[[], PipelineAnomalyDetector], check: Any) -> None:
    check(make(), Stream())


@every_model
def test_scoring_learns_nothing(make: Callable[[], PipelineAnomalyDetector]) -> None:
    detector = learned(make)
    before = pickle.dumps(detector)
    scores(detector)

    assert pickle.dumps(detector) == before


@every_model
@pytest.mark.parametrize("again", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))], ids=["copy", "pickle"])
def test_a_copy_has_learned_the_same_and_goes_its_own_way(
    make: Callable[[], PipelineAnomalyDetector], again: Callable[[Any], Any]
) -> None:
    detector = learned(make)
    other = again(detector)
    before = scores(detector)

    assert scores(other) == before
    for day in range(300, 320):
        other.learn_one({"at": day * DAY}, 9_000.0)
    assert scores(detector) == before
    assert scores(other) != before


@every_model
def test_a_clone_has_the_parameters_and_has_learned_nothing(make: Callable[[], PipelineAnomalyDetector]) -> None:
    detector = learned(make)
    clone = detector.clone()

    assert (clone.model, clone.every, clone.parameters) == (detector.model, detector.every, detector.parameters)
    assert set(scores(clone)) == {0.0}


@every_model
def test_it_finds_what_is_unusual(make: Callable[[], PipelineAnomalyDetector]) -> None:
    nothing, less, usual, _, nine = scores(learned(make))

    assert usual < 0.5 <= min(nothing, less, nine)


def test_without_a_time_values_come_at_their_pace() -> None:
    timed, counted = PipelineAnomalyDetector(), PipelineAnomalyDetector(every=DAY)
    for day, (_, y) in enumerate(Stream()):
        timed.learn_one({"at": day * DAY}, y)
        counted.learn_one({}, y)

    assert [counted.score_one({}, y) for y in (0.0, 1_000.0)] == [
        timed.score_one({"at": 300 * DAY}, y) for y in (0.0, 1_000.0)
    ]


def test_it_stands_at_the_end_of_a_pipeline() -> None:
    """River's pipeline has no target to score, so that a feature is judged."""
    pipeline = compose.Select("at", "rows") | PipelineAnomalyDetector(model="band", on="rows")
    mean = stats.Mean()
    for x, y in Stream():
        mean.update(pipeline.score_one({**x, "rows": y}))
        pipeline.learn_one({**x, "rows": y})

    assert mean.get() < 0.2
    assert pipeline.score_one({"at": 300 * DAY, "files": 3.0, "rows": 20.0}) > 0.5


def test_a_value_that_is_missing_is_passed_over() -> None:
    detector = PipelineAnomalyDetector(model="band", on="rows")
    for x, y in Stream():
        detector.learn_one({**x, "rows": y})
    before = pickle.dumps(detector._model.snapshot())
    detector.learn_one({"at": 300 * DAY})

    assert detector.score_one({"at": 300 * DAY}) == 0
    assert pickle.dumps(detector._model.snapshot()) == before


def test_a_model_that_there_is_not_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"model.kind: unknown value 'bnad', did you mean band\?"):
        PipelineAnomalyDetector(model="bnad")
