"""The engine as it ships, as the measures want it: the default configuration and nothing else."""

from collections.abc import Callable
from functools import cache

from detector.config import Config
from detector.core.models import Model
from detector.series import bare
from detector.settings import rules_of

Detector = Callable[[float, float | None], tuple[float, bool]]


@cache
def _shipped() -> Callable[[], Model]:
    return rules_of(Config()).default.model


def factory() -> Detector:
    """A new detector of one series: `det(seconds since 1970, value or None)` is (score in [0, 1], alert).

    None is a run that did not come: whoever knows the schedule tells that, and not the model.
    """
    return _judged_by(_shipped()())


def telemetry_factory() -> Detector:
    """The same for a series of which nobody says what it is, as `detector backtest --csv` judges it."""
    return _judged_by(bare(_shipped()()))


def _judged_by(model: Model) -> Detector:
    def judge(at: float, x: float | None) -> tuple[float, bool]:
        if x is None:
            return 1.0, True
        reading = model.judge_one(at, x)
        return reading.score, reading.alert

    return judge
