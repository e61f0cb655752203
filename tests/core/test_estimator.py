"""River's own estimators in the place of the baseline: what they find, their names, and that state is the same."""

import io
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from river import anomaly

from detector.config import Model as Chosen
from detector.config import plugin
from detector.core.emissions import Emission
from detector.core.judge import judge, model_of
from detector.core.models import Model, river_bytes
from detector.core.models.band import Band
from detector.core.models.baseline import Baseline
from detector.core.models.estimator import Estimator
from detector.core.models.river_choice import SETTINGS
from detector.core.rules import Rules, Settings
from detector.core.state import Entity, dump, load
from detector.core.turn import Place, Turn
from detector.errors import ConfigError
from tests.contracts import models as contract

SNARIMAX: dict[str, Any] = {
    "predictive_model": "time_series.SNARIMAX",
    "predictive_model.p": 2,
    "predictive_model.d": 0,
    "predictive_model.q": 1,
    "scale": "standard",
}
SEASONAL: dict[str, Any] = {
    "predictive_model.seasonality": 7,
    "predictive_model.beta": 0.1,
    "predictive_model.gamma": 0.3,
}
MADE: Mapping[str, Callable[[], Estimator]] = {name: partial(Estimator, name) for name in SETTINGS} | {
    "a seeded KSWIN": partial(Estimator, "drift.KSWIN", seed=7),
    "a mean that forgets": partial(Estimator, "anomaly.StandardAbsoluteDeviation", sub_stat="stats.EWMean"),
    "a forecast with regressions": partial(Estimator, "anomaly.PredictiveAnomalyDetection", **SNARIMAX),
    "a forecast with a week": partial(Estimator, "anomaly.PredictiveAnomalyDetection", **SEASONAL),
    "a filter of trees": partial(Estimator, "anomaly.QuantileFilter", anomaly_detector="anomaly.HalfSpaceTrees"),
}
# One of each kind; the others are tried where there is time.
QUICK = {"anomaly.GaussianScorer", "anomaly.HalfSpaceTrees", "drift.ADWIN", "a seeded KSWIN", "a forecast with a week"}
every_estimator = pytest.mark.parametrize(
    "make",
    [pytest.param(make, id=name, marks=() if name in QUICK else pytest.mark.slow) for name, make in MADE.items()],
)


def stream(seed: int, count: int, level: float = 1_000.0) -> list[float]:
    random = Random(seed)
    return [level * (1 + random.gauss(0, 0.05)) for _ in range(count)]


def read(model: Estimator, values: list[float]) -> list[tuple[Any, ...]]:
    return [(model.score_one(0.0, x), *model.judge_one(0.0, x), model.snapshot()) for x in values]


# ---------------------------------------------------------------- state


@every_estimator
@pytest.mark.parametrize("seen", [*(pytest.param(few, marks=pytest.mark.slow) for few in (0, 1, 20)), 75])
def test_a_restored_estimator_reads_the_future_bit_for_bit(make: Callable[[], Estimator], seen: int) -> None:
    model, restored = make(), make()
    for x in stream(1, seen):
        model.judge_one(0.0, x)
    future = [*stream(2, 40), *stream(3, 40, 2_000.0), 1e300, 0.0, 7.0, 7.0, -3.0]

    restored.restore(model.snapshot())

    assert restored.samples == seen
    assert read(restored, future) == read(model, future)


@every_estimator
def test_a_restart_after_each_value_changes_nothing(make: Callable[[], Estimator]) -> None:
    values = [*stream(4, 50), *stream(5, 20, 3_000.0)]
    calm = make()
    undisturbed, disturbed, kept = [calm.judge_one(0.0, x) for x in values], [], make().snapshot()
    for x in values:
        model = make()
        model.restore(kept)
        disturbed.append(model.judge_one(0.0, x))
        kept = model.snapshot()

    assert disturbed == undisturbed
    assert kept == calm.snapshot()


@pytest.mark.slow
def test_another_process_says_the_same() -> None:
    """Chance, and the hashes of texts, differ from process to process unless somebody sees to it."""
    script = (
        "from tests.core.test_estimator import MADE, read, stream\n"
        "from hashlib import sha256\n"
        "print(sha256(repr([read(make(), stream(6, 45)) for make in MADE.values()]).encode()).hexdigest())"
    )
    root = Path(__file__).parents[2]

    said = {
        subprocess.run(
            [sys.executable, "-c", script],
            cwd=root,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
            timeout=120,
        ).stdout
        for seed in ("1", "2")
    }

    assert len(said) == 1


@every_estimator
def test_the_state_does_not_grow_for_ever(make: Callable[[], Estimator]) -> None:
    model, random = make(), Random(7)
    sizes = []
    for _ in range(6):
        for _ in range(120):
            model.judge_one(0.0, random.uniform(0, 1e6))
        sizes.append(len(model.snapshot()))

    assert sizes[-1] < 1.3 * sizes[1]
    assert sizes[-1] < 40_000


def test_what_another_estimator_has_left_is_refused() -> None:
    left = Estimator("drift.ADWIN").snapshot()

    for other in (
        Estimator("drift.PageHinkley"),
        Estimator("drift.ADWIN", delta=0.5),
        Estimator("drift.ADWIN", scale="none"),
    ):
        with pytest.raises(ValueError, match="a snapshot of"):
            other.restore(left)


class Watched:
    """A dataset whose rows are judged by what the rules name, with its state dumped and loaded."""

    def __init__(self) -> None:
        self.entity, self.count = Entity("dataset:db/orders"), 0

    def see(self, model: Callable[[], Model], *values: float) -> list[Emission]:
        said: list[Emission] = []
        for value in values:
            self.count += 1
            at = float(self.count)
            turn = Turn(self.entity, Settings(model=model), Rules(), Place("t", 0, self.count, at), at, at, said)
            judge(turn, {"rows": value})
            turn.tell(f"r{self.count}")
        self.entity = load(dump(self.entity))
        return [emission for emission in said if emission.topic == "control"]


def test_the_state_of_an_entity_carries_it() -> None:
    watched, make = Watched(), partial(Estimator, "anomaly.GaussianScorer")

    assert watched.see(make, *stream(17, 60)) == []
    (told,) = watched.see(make, 5_000.0)
    assert told.data.summary == "rows: 5,000 rows, 5 times what is usual; usual is about 998 rows (60 runs seen)"  # type: ignore[union-attr]


@pytest.mark.parametrize("other", [Band, Baseline, partial(Estimator, "drift.ADWIN", delta=0.5)])
def test_another_model_in_the_configuration_begins_anew(other: Callable[[], Model]) -> None:
    """And not with an error at each value: what the model before it has left is no state of its own."""
    river = partial(Estimator, "drift.ADWIN")
    for before, after in ((river, other), (other, river)):
        watched = Watched()
        watched.see(before, *stream(18, 30))
        watched.see(after, *stream(19, 5))

        turn = Turn(watched.entity, Settings(model=after), Rules(), Place("t", 0, 0, 0.0), 0.0, 0.0, [])
        assert model_of(turn, "rows").samples == 5
        assert list(watched.entity.series) == ["rows"]


# ---------------------------------------------------------------- what every model promises

MECHANICAL = (
    contract.check_scoring_learns_nothing,
    contract.check_it_scores_before_it_learns,
    contract.check_a_snapshot_restores_the_same_future,
    contract.check_a_snapshot_says_its_format_and_refuses_what_is_none,
    contract.check_it_works_before_any_learning,
    contract.check_what_is_no_number_is_tolerated,
    contract.check_it_is_deterministic,
    contract.check_an_alert_is_a_score_of_a_half,
)


@pytest.mark.parametrize("check", MECHANICAL, ids=lambda check: check.__name__)
@pytest.mark.parametrize(
    "name",
    [
        "anomaly.GaussianScorer",
        "drift.ADWIN",
        *(pytest.param(name, marks=pytest.mark.slow) for name in ("anomaly.OneClassSVM", "drift.PageHinkley")),
    ],
)
def test_estimators_keep_what_models_promise(name: str, check: Callable[[Any], None]) -> None:
    check(MADE[name])


# ---------------------------------------------------------------- what they find


@every_estimator
def test_a_level_jump_is_found_soon(make: Callable[[], Estimator]) -> None:
    model = make()
    for x in stream(8, 150):
        model.judge_one(0.0, x)
    after = [model.judge_one(0.0, x) for x in stream(9, 20, 2_000.0)]

    first = next(reading for reading in after if reading.alert)
    assert first.score >= 0.5
    assert first.cause in ("outlier", "drift")
    assert 900 < first.expected < 2_000


@every_estimator
def test_a_new_level_is_learned(make: Callable[[], Estimator]) -> None:
    model = make()
    for x in (*stream(10, 150), *stream(11, 150, 1_500.0)):
        model.judge_one(0.0, x)

    assert sum(model.judge_one(0.0, x).alert for x in stream(12, 60, 1_500.0)) <= 6


@pytest.mark.parametrize("name", [name for name in SETTINGS if name not in ("anomaly.LODA", "anomaly.QuantileFilter")])
def test_what_is_usual_is_seldom_told(name: str) -> None:
    told = 0
    for seed in range(20, 24):
        model = Estimator(name)
        told += sum(model.judge_one(0.0, x).alert for x in stream(seed, 250))

    assert told <= 8


@pytest.mark.parametrize("name", ["anomaly.GaussianScorer", "anomaly.ThresholdFilter", "anomaly.HalfSpaceTrees"])
def test_one_spike_leaves_an_estimator_as_it_was(name: str) -> None:
    model = Estimator(name)
    for x in stream(13, 80):
        model.judge_one(0.0, x)
    before = [model.score_one(0.0, x) for x in (900.0, 1_000.0, 1_300.0)]

    assert model.judge_one(0.0, 50_000.0).alert
    assert [model.score_one(0.0, x) for x in (900.0, 1_000.0, 1_300.0)] == before


def test_the_scores_are_those_of_river() -> None:
    theirs: Any = anomaly.GaussianScorer(window_size=None, grace_period=14)  # type: ignore[no-untyped-call]
    ours = Estimator("anomaly.GaussianScorer", threshold=1.0, window_size=None)
    for number, x in enumerate(stream(14, 60)):
        wanted = theirs.score_one({}, x) if number >= 14 else 0.0
        theirs.learn_one({}, x)

        assert ours.judge_one(0.0, x).score == pytest.approx(min(0.5 * wanted, 0.499999))


# ---------------------------------------------------------------- names and parameters


def refused(**given: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        plugin({"river": Estimator}, Chosen(kind="river", parameters=given), "detection.model")
    return str(caught.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        pytest.param({"estimator": "anomaly.Gausian"}, "'anomaly.Gausian' is none that can judge", id="no such class"),
        pytest.param({"estimator": "os.system"}, "is none that can judge a series; known: anomaly.", id="no River"),
        pytest.param({"estimator": "drift.binary.DDM"}, "takes only true and false", id="binary"),
        pytest.param({"estimator": "drift.DummyDriftDetector"}, "does not look at the values", id="dummy"),
        pytest.param({"estimator": "drift.DriftRetrainingClassifier"}, "is a classifier", id="classifier"),
        pytest.param({"window_siez": 5}, "window_siez: anomaly.GaussianScorer has no such parameter; it takes "
                     "window_size, grace_period", id="no such parameter"),
        pytest.param({"grace_period": "long"}, "grace_period: expected a whole number, got 'long'", id="type"),
        pytest.param({"window_size": "wide"}, "anomaly.GaussianScorer: ", id="type that River does not check"),
        pytest.param({"threshold": 1.5}, "threshold: scores of anomaly.GaussianScorer lie between", id="threshold"),
        pytest.param({"threshold": "high"}, "threshold: expected a number", id="threshold that is none"),
        pytest.param({"scale": "log"}, "scale: must be one of none, standard, minmax", id="scale"),
        pytest.param({"warmup": 0}, "warmup: must be a whole number from 1", id="warm-up"),
        pytest.param({"estimator": "drift.PageHinkley", "mode": "sideways"}, "Invalid 'mode'", id="refused by River"),
        pytest.param({"estimator": "drift.KSWIN", "window_size": 5}, "stat_size must be smaller", id="do not fit"),
        pytest.param({"estimator": "anomaly.StandardAbsoluteDeviation", "sub_stat": "stats.Cov"},
                     "River has no such estimator for this place", id="inside, of another kind"),
        pytest.param({"estimator": "anomaly.StandardAbsoluteDeviation", "sub_stat": "stats.base.os"},
                     "River has no such estimator for this place", id="inside, not public"),
        pytest.param({"estimator": "anomaly.QuantileFilter", "anomaly_detector": "drift.ADWIN"},
                     "anomaly_detector: 'drift.ADWIN' finds no anomalies", id="filter of drift"),
        pytest.param({"estimator": "anomaly.ThresholdFilter", "protect_anomaly_detector": False},
                     "this filter of River's never learns", id="filter that never learns"),
        pytest.param({"predictive_model.alpha": 0.2}, "predictive_model: names no estimator", id="of nothing"),
    ],
)  # fmt: skip
def test_what_river_does_not_take_is_refused_with_what_it_takes(given: dict[str, Any], said: str) -> None:
    message = refused(**given)

    assert message.startswith("detection.model")
    assert said in message


def test_parameters_reach_what_stands_inside() -> None:
    given: dict[str, Any] = {**SEASONAL, "predictive_model.alpha": 0.7}
    model = Estimator("anomaly.PredictiveAnomalyDetection", **given)

    assert model._made.predictive_model.alpha == 0.7
    assert model._made.predictive_model.seasonality == 7


def test_the_threshold_of_a_drift_detector_is_rivers_own() -> None:
    assert Estimator("drift.PageHinkley", threshold=12.0)._made.threshold == 12.0
    assert Estimator("drift.PageHinkley")._made.threshold == 8.0
    assert "threshold: drift.ADWIN has no such parameter" in refused(estimator="drift.ADWIN", threshold=0.5)


def test_chance_is_seeded_and_the_seed_can_be_chosen() -> None:
    def said(**seed: int) -> list[Any]:
        model = Estimator("anomaly.HalfSpaceTrees", **seed)  # type: ignore[arg-type]
        return [model.judge_one(0.0, x) for x in stream(15, 60)]

    assert said() == said() == said(seed=1)
    assert said() != said(seed=2)


# ---------------------------------------------------------------- bytes that are no friend's


class Evil:
    """Becomes a call of whatever it is told when it is read."""

    def __init__(self, call: Any, *arguments: Any) -> None:
        self.call, self.arguments = call, arguments

    def __reduce__(self) -> Any:
        return self.call, self.arguments


def named(module: str, name: str) -> bytes:
    """A pickle that looks a name up and calls it with a text."""
    text = b"\x80\x04" + b"".join(b"\x8c" + bytes((len(w),)) + w for w in (module.encode(), name.encode()))
    return text + b"\x93\x8c\x04true\x85R."


def owned(name: str) -> bytes:
    """A pickle that asks an estimator for an attribute, as pickle writes a bound method."""
    return pickle.dumps(Evil(getattr, anomaly.StandardAbsoluteDeviation(), name), 4)


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(pickle.dumps(Evil(os.system, "true"), 4), id="a command"),
        pytest.param(pickle.dumps(Evil(eval, "1"), 4), id="eval"),
        pytest.param(named("os", "system"), id="a module"),
        pytest.param(named("builtins", "__import__"), id="an import"),
        pytest.param(named("builtins", "type"), id="a type"),
        pytest.param(named("river.checks.common", "pickle.loads"), id="through a module that River imports"),
        pytest.param(named("river.stats.base", "abc.sys.modules"), id="through two"),
        pytest.param(named("river.anomaly.hst", "functools"), id="a module in a module of River"),
        pytest.param(named("river.anomaly.hst", "make_padded_tree"), id="a function of River"),
        pytest.param(named("river.anomaly.hst", "PaddedBranch"), id="a class that is defined elsewhere"),
        pytest.param(named("river.compose.func", "FuncTransformer"), id="a wrapper of functions"),
        pytest.param(named("river.compose.pipeline", "Pipeline.clone"), id="below a class"),
        pytest.param(named("river.stream.shelve", "shelve"), id="a reader of files"),
        pytest.param(named("river.datasets.base", "RemoteDataset"), id="a data set"),
        pytest.param(named("river.drift.datasets.airline_passengers", "AirlinePassengers"), id="a data set of drift"),
        pytest.param(named("river.nowhere", "Thing"), id="no module"),
        pytest.param(named("numpy", "load"), id="a reader of numpy"),
        pytest.param(named("numpy._core.multiarray", "scalar"), id="numpy's own way"),
        pytest.param(named("functools", "reduce"), id="a function of Python"),
        pytest.param(owned("__class__"), id="the class of an estimator"),
        pytest.param(owned("__init__"), id="an inner method of an estimator"),
        pytest.param(owned("__reduce__"), id="another one"),
        pytest.param(owned("variance"), id="what is no method"),
        pytest.param(pickle.dumps(Evil(getattr, "text", "format"), 4), id="a method of a text"),
        pytest.param(pickle.dumps(anomaly.StandardAbsoluteDeviation(), 4) + b"more", id="something after it"),
        pytest.param(b"", id="nothing"),
        pytest.param(b"\x80\x04K\x01Q.", id="an unknown number in place of chance"),
        pytest.param(b"\x80\x04]\x94h\x05.", id="a place that there is not"),
    ],
)  # fmt: skip
def test_bytes_that_look_up_what_is_not_on_the_list_are_refused(data: bytes, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not the state of a River estimator"):
        river_bytes.load(data, 1)


def test_a_command_in_a_snapshot_is_not_run(tmp_path: Path) -> None:
    model, proof = Estimator("anomaly.StandardAbsoluteDeviation"), tmp_path / "proof"
    kept = river_bytes.grow(model.snapshot()[1:])
    head = kept[: kept.index(b"\n") + 1 + 45]
    evil = pickle.dumps(Evil(os.system, f"touch {proof}"), 4)

    with pytest.raises(ValueError, match="system"):
        model.restore(model.snapshot()[:1] + river_bytes.shrink(head + evil))
    assert not proof.exists()


def test_an_object_of_another_class_is_refused() -> None:
    model = Estimator("anomaly.StandardAbsoluteDeviation")
    kept = river_bytes.grow(model.snapshot()[1:])
    other = river_bytes.dump(Estimator()._made, 1)
    head = kept[: len(kept) - len(river_bytes.dump(model._made, 1))]

    with pytest.raises(ValueError, match="a snapshot of GaussianScorer"):
        model.restore(model.snapshot()[:1] + river_bytes.shrink(head + other))


def test_bytes_that_would_fill_the_memory_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    bomb = river_bytes.shrink(bytes(80 << 20))

    with pytest.raises(ValueError, match="its end is missing"):
        river_bytes.grow(bomb)


def test_what_is_written_can_be_read_by_the_list() -> None:
    """And by the list only: each estimator's own pickle names nothing else."""
    for name in SETTINGS:
        model = Estimator(name)
        for x in stream(16, 70):
            model.judge_one(0.0, x)
        written = river_bytes.dump(model._made, 1)

        assert type(river_bytes.load(written, 1)) is type(model._made)
        assert io.BytesIO(written).getbuffer().nbytes < 200_000


def test_a_variance_that_river_rounds_below_zero_is_no_score() -> None:
    model = Estimator("anomaly.GaussianScorer")
    readings = [model.judge_one(86_400.0 * n, x) for n, x in enumerate([0.0] * 5 + [0.1] * 70)]

    assert all(0 <= reading.score <= 1 for reading in readings)
    assert model.samples == 75
