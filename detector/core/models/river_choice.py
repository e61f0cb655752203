"""Which River estimators can judge a series, and how each is set for one value a day.

River's defaults are made for dense streams: `GaussianScorer` is silent for a hundred values, `ADWIN` looks at every
32nd, `HalfSpaceTrees` wants values from 0 to 1, `KSWIN` and others begin their chance from the clock. So nothing is
taken over unseen: what stands in `SETTINGS` holds unless the configuration says otherwise, and a class that is not
there is refused.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from inspect import Parameter as Argument
from inspect import signature
from typing import Any, Literal

from detector.core.models.river_bytes import settle_chance

Value = bool | int | float | str | None
Shape = Literal["features", "target", "drift", "filter"]
SCALES = ("none", "standard", "minmax")
SEED = 1
_BASES = {"stats": "Univariate", "time_series": "Forecaster"}  # what may be named inside another estimator
_NO_VALUES = {"engine", "initializer", "limits", "optimizer", "window"}  # objects, tables and lists: a key is one value
_TRIED = 40  # values that an estimator must take before it is believed


class Refused(ValueError):
    """What the configuration says cannot be; the text says why."""


@dataclass(frozen=True, slots=True)
class Setting:
    """How River is used for a series.

    `limit` is the score where an alert begins, and `unit` says that scores lie in [0, 1]. `scale` is what a value
    becomes first. `warmup` values are seen before there is a verdict. `defaults` are set unless the configuration sets
    them. `tries` says that asking for a score changes the estimator. `squares` gives it the square beside the value.
    `learns_all` is of what cannot leave a value out: a forecast would lose its season, a histogram would never widen.
    """

    shape: Shape
    limit: float = 1.0
    unit: bool = False
    scale: str = "none"
    warmup: int = 14
    defaults: Mapping[str, Value] = field(default_factory=dict)
    tries: bool = False
    squares: bool = False
    learns_all: bool = False


def _drift(scale: str, warmup: int, defaults: Mapping[str, Value]) -> Setting:
    """A detector of drift: what it says is 0 or 1, and it says it when it has learned."""
    return Setting("drift", 0.5, True, scale, warmup, defaults, tries=True)


SETTINGS: dict[str, Setting] = {
    "anomaly.GaussianScorer": Setting("target", 0.9999, unit=True, defaults={"window_size": 60, "grace_period": 14}),
    "anomaly.StandardAbsoluteDeviation": Setting("target", 4.5),
    "anomaly.HalfSpaceTrees": Setting(
        "features", 0.85, True, "minmax", 30, {"n_trees": 25, "height": 5, "window_size": 30}
    ),
    "anomaly.LODA": Setting(
        "features", 20.0, False, "standard", 30, {"n_bins": 2, "n_random_cuts": 5}, learns_all=True
    ),
    "anomaly.LocalOutlierFactor": Setting("features", 5.0, False, "standard", 30),
    "anomaly.OneClassSVM": Setting("features", 1.0, False, "standard", 30, squares=True),
    "anomaly.PredictiveAnomalyDetection": Setting(
        "target",
        1.0,
        True,
        defaults={"predictive_model": "time_series.HoltWinters", "n_std": 6.0},
        tries=True,
        learns_all=True,
    ),
    "anomaly.QuantileFilter": Setting(
        "filter", warmup=60, defaults={"anomaly_detector": "anomaly.GaussianScorer", "q": 0.995}
    ),
    "anomaly.ThresholdFilter": Setting("filter", defaults={"anomaly_detector": "anomaly.GaussianScorer"}),
    "drift.ADWIN": _drift("standard", 14, {"clock": 1, "delta": 0.001}),
    "drift.KSWIN": _drift("none", 40, {"alpha": 0.0005, "window_size": 40, "stat_size": 10}),
    "drift.PageHinkley": _drift("standard", 14, {"min_instances": 14, "delta": 0.5, "threshold": 8.0}),
}
_INNER: dict[str, dict[str, Value]] = {
    "time_series.HoltWinters": {"alpha": 0.3},
    "stats.EWMean": {"fading_factor": 0.1},
}
_REFUSED = {
    "drift.DriftRetrainingClassifier": "it is a classifier, and there are no labels to learn",
    "drift.DummyDriftDetector": "it does not look at the values",
    "drift.NoDrift": "it never finds anything",
}


@dataclass(frozen=True, slots=True)
class Choice:
    """A River estimator as the configuration names it: `make` gives a new one, equal each time."""

    name: str
    given: tuple[tuple[str, Value], ...]

    @property
    def setting(self) -> Setting:
        """How it is used; a filter is used as what it filters, with its own limit."""
        setting = SETTINGS[self.name]
        if setting.shape != "filter":
            return setting
        inner = SETTINGS[self.inner]
        return replace(inner, warmup=max(setting.warmup, inner.warmup))

    @property
    def filters(self) -> bool:
        """Whether it is a filter, which itself says what is learned."""
        return SETTINGS[self.name].shape == "filter"

    @property
    def inner(self) -> str:
        """The name of what a filter filters."""
        return str({**SETTINGS[self.name].defaults, **dict(self.given)}["anomaly_detector"])

    @property
    def seed(self) -> int:
        """Where chance begins."""
        given = dict(self.given).get("seed")
        return given if isinstance(given, int) else SEED

    def make(self) -> Any:
        """A new estimator that has seen nothing."""
        made = _made(self.name, dict(self.given), SETTINGS[self.name].defaults)
        settle_chance(made, self.seed)
        return made


@cache
def choose(name: str, given: tuple[tuple[str, Value], ...]) -> Choice:
    """The estimator with this name and these parameters. Raises `ValueError` that says what is wrong with them."""
    if name not in SETTINGS:
        raise ValueError(f"estimator: {_why_not(name)}")
    choice = Choice(name, given)
    if choice.filters and SETTINGS.get(choice.inner, SETTINGS[name]).shape not in ("target", "features"):
        raise ValueError(f"anomaly_detector: {choice.inner!r} finds no anomalies")
    if name == "anomaly.ThresholdFilter" and dict(given).get("protect_anomaly_detector") is False:
        raise ValueError("protect_anomaly_detector: without it, this filter of River's never learns")
    try:
        _try(choice.make(), choice)
    except Refused:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise ValueError(f"{name}: {error}") from None
    return choice


def features(value: float, setting: Setting) -> dict[str, float]:
    """What River's detectors without a target are shown."""
    return {"value": value, "square": value * value} if setting.squares else {"value": value}


def _try(made: Any, choice: Choice) -> None:
    """Some of River's classes look at a parameter only when it is used: not in the daemon, at the first event."""
    for number in range(_TRIED):
        value = 0.5 + (number % 7) / 100
        if choice.setting.shape == "drift":
            made.update(value)
        elif choice.setting.shape == "target":
            _score(made, {}, value)
            made.learn_one({}, value)
        else:
            _score(made, features(value, choice.setting))
            made.learn_one(features(value, choice.setting))


def _score(made: Any, *shown: Any) -> None:
    try:
        made.score_one(*shown)
    except (ArithmeticError, LookupError):  # nothing to say yet
        return


def _why_not(name: str) -> str:
    """What is wrong with a name that is not in `SETTINGS`."""
    if name in _REFUSED:
        return f"{name} cannot judge a series: {_REFUSED[name]}"
    if name.startswith("drift.binary."):
        return f"{name} takes only true and false (errors of a classifier), and no numbers; drift.ADWIN takes numbers"
    known = ", ".join(SETTINGS)
    return f"{name.removeprefix('river.')!r} is none that can judge a series; known: {known}"


def _made(name: str, given: Mapping[str, Value], defaults: Mapping[str, Value]) -> Any:
    """An object of the class below `river` with this name; `given` wins over `defaults`.

    A text that names another estimator is made one: `sub_stat: stats.EWMean`. Keys with a dot are its parameters:
    `predictive_model.alpha: 0.2`.
    """
    made = _class(name)
    known = {key: one for key, one in signature(made).parameters.items() if key not in _NO_VALUES}
    own = {key: value for key, value in {**defaults, **given}.items() if "." not in key}
    if "seed" in known:
        own.setdefault("seed", SEED)
    for key in own:
        if key not in known:
            raise Refused(f"{key}: {name} has no such parameter; it takes {', '.join(known)}")
        if key in given:
            _check(key, given[key], known[key])
    below = {key.partition(".")[0] for key in given if "." in key}
    for key in sorted(below - {key for key, value in own.items() if _names(value)}):
        raise Refused(f"{key}: names no estimator that could have parameters")
    if name == "anomaly.LocalOutlierFactor":
        own = {**own, "engine": _neighbours()}
    arguments = {key: _inner(key, value, given) if _names(value) else value for key, value in own.items()}
    return made(**arguments)


def _names(value: Value) -> bool:
    return isinstance(value, str) and value.partition(".")[0] in ("anomaly", *_BASES) and "." in value


def _inner(key: str, value: Value, given: Mapping[str, Value]) -> Any:
    """What stands inside another estimator, with the parameters `key.<name>`."""
    name = str(value)
    inside = {one.removeprefix(f"{key}."): said for one, said in given.items() if one.startswith(f"{key}.")}
    setting = SETTINGS.get(name)
    defaults = setting.defaults if setting else _INNER.get(name, {})
    return _made(name, inside, defaults)


def _class(name: str) -> type:
    """The class of River with a name that is in `SETTINGS`, or is one of the kinds that may stand inside another."""
    import river.anomaly
    import river.drift
    import river.stats
    import river.time_series

    package, _, word = name.partition(".")
    found = getattr(getattr(river, package), word, None) if word in _public(package) else None
    base = _BASES.get(package)
    if base and found is not None:
        within = getattr(getattr(river, package).base, base)
        found = found if isinstance(found, type) and issubclass(found, within) else None
    if not isinstance(found, type) or not (base or name in SETTINGS):
        raise Refused(f"{name}: River has no such estimator for this place")
    return found


def _public(package: str) -> Iterator[str]:
    import river

    return iter(getattr(river, package).__all__)


def _neighbours() -> Any:
    """The search of `LocalOutlierFactor`, with a window for a daily series: River's own is 1,000 values."""
    from river.neighbors import LazySearch
    from river.utils.vectordict import euclidean_distance_tuple

    return LazySearch(window_size=100, dist_func=euclidean_distance_tuple)  # type: ignore[arg-type]


def _check(key: str, value: Value, argument: Argument) -> None:
    """Only by the default: River checks few of its parameters itself."""
    default = argument.default
    if isinstance(default, bool):
        fits, wanted = isinstance(value, bool), "true or false"
    elif isinstance(default, int):
        fits, wanted = isinstance(value, int) and not isinstance(value, bool), "a whole number"
    elif isinstance(default, float):
        fits, wanted = isinstance(value, int | float) and not isinstance(value, bool), "a number"
    else:
        return
    if not fits:
        raise Refused(f"{key}: expected {wanted}, got {value!r}")
