"""The models of Detector as an anomaly detector of River, for a River pipeline outside the daemon."""

import math
from typing import Any

from river.base import SupervisedAnomalyDetector
from river.base.typing import Target

from detector.config import Plugin, plugin
from detector.core.models import MODELS, Model
from detector.core.models.reading import Reading

_DAY = 86_400.0


class PipelineAnomalyDetector(SupervisedAnomalyDetector):
    """A model of Detector (`baseline`, `band` ...) that judges the target y, one number after the other.

    River's `Pipeline` asks for a score without a target: with `on`, a feature is judged instead.

    Parameters
    ----------
    model
        The name of a model, as in `detection.model.kind`.
    every
        Seconds from one value to the next, for values that do not say when they are: those without `at` (seconds since
        1970) among their features.
    on
        The feature that is judged; None: the target.
    parameters
        The model's own parameters, as they stand beside `kind`.

    Examples
    --------
    >>> detector = PipelineAnomalyDetector(model="band")
    >>> for rows in (100, 104, 98, 101, 99, 103, 97):
    ...     detector.learn_one({}, rows)
    >>> detector.score_one({}, 101) < 0.5, detector.score_one({}, 20) > 0.5
    (True, True)
    """

    def __init__(
        self,
        model: str = "baseline",
        every: float = _DAY,
        on: str | None = None,
        parameters: dict[str, Any] | None = None,
    ) -> None:
        """Raises `ConfigError` for a model that there is not, or parameters that it refuses."""
        self.model = model
        self.every = every
        self.on = on
        self.parameters = parameters
        self._model = self._made()
        self._count = 0

    def _made(self) -> Model:
        return plugin(MODELS, Plugin(kind=self.model, parameters=self.parameters or {}), "model")

    def score_one(self, x: dict[Any, Any], y: Target | None = None) -> float:
        """From 0 to 1, of which a half and more is an alert; nothing is learned."""
        return self._model.score_one(self._at(x), self._value(x, y))

    def learn_one(self, x: dict[Any, Any], y: Target | None = None) -> None:
        """Learn y, or hold it back if it is unusual: that is the model's business."""
        self.judge_one(x, y)

    def judge_one(self, x: dict[Any, Any], y: Target | None = None) -> Reading:
        """Score y, then learn it: what the daemon does, with the band and the cause."""
        at, value = self._at(x), self._value(x, y)
        self._count += 1
        return self._model.judge_one(at, value)

    def _value(self, x: dict[Any, Any], y: Target | None) -> float:
        """What is judged; nan, which is passed over, where it is missing."""
        value = y if self.on is None else x.get(self.on)
        return math.nan if value is None else float(value)

    def _at(self, x: dict[Any, Any]) -> float:
        at = x.get("at")
        return float(at) if isinstance(at, int | float) else self._count * self.every

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_model": self._model.snapshot() if self._model.samples else b""}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        snapshot, self._model = state["_model"], self._made()
        if snapshot:
            self._model.restore(snapshot)
