"""Models of one series. Adding one is a file here and a name in `MODELS`; `tests/contracts` then tests it."""

from typing import ClassVar, Protocol

from detector.core.models.band import Band
from detector.core.models.baseline import Baseline
from detector.core.models.estimator import Estimator
from detector.core.models.reading import Reading


class Model(Protocol):
    """A detector of one series: River's `score_one` and `learn_one` in one call that knows the time, and its bytes.

    `judge_one` scores a value of the time `at` (seconds since 1970) before it learns it. `score_one` is the same score
    and learns nothing. Both work before any learning. The first byte of a snapshot is the format; a model that was
    restored reads the future as the one that was not.
    """

    kind: ClassVar[str]

    @property
    def samples(self) -> int: ...
    def judge_one(self, at: float, x: float) -> Reading: ...
    def score_one(self, at: float, x: float) -> float: ...
    def bounds(self) -> tuple[float, float, float]: ...
    def snapshot(self) -> bytes: ...
    def restore(self, snapshot: bytes) -> None: ...


MODELS: dict[str, type[Model]] = {model.kind: model for model in (Baseline, Band, Estimator)}
