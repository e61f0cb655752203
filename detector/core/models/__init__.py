"""Models of one series. Adding one is a file here and a name in `MODELS`; `tests/contracts` then tests it."""

from typing import ClassVar, Protocol

from detector.core.models.band import Band
from detector.core.models.baseline import Baseline
from detector.core.models.estimator import Estimator
from detector.core.models.reading import Reading
from detector.core.models.taught import Taught


class Model(Protocol):
    """A detector of one series: River's `score_one` and `learn_one` in one call that knows the time, and its bytes.

    `judge_one` scores a value of the time `at` (seconds since 1970) before it learns it. `score_one` is the same score
    and learns nothing. Both work before any learning. The first byte of a snapshot is the format; a model that was
    restored reads the future as the one that was not.

    `taught` is what people said of the series; it is the caller's, and in no snapshot. `how_far` says how far out a
    value is, in the distance of the limit as learned: -1 at the lower one, 1 at the upper, NaN while there is none. Of
    what was told last, `unlearn` takes it out of all that adds up, `excuse` does so of what is no anomaly, and `renew`
    makes it the new normal.
    """

    kind: ClassVar[str]
    taught: Taught

    @property
    def samples(self) -> int: ...
    def judge_one(self, at: float, x: float) -> Reading: ...
    def score_one(self, at: float, x: float) -> float: ...
    def bounds(self) -> tuple[float, float, float]: ...
    def how_far(self, at: float, x: float) -> float: ...
    def unlearn(self, at: float) -> None: ...
    def excuse(self, at: float, cause: str) -> None: ...
    def renew(self, at: float, x: float, cause: str) -> None: ...
    def snapshot(self) -> bytes: ...
    def restore(self, snapshot: bytes) -> None: ...


MODELS: dict[str, type[Model]] = {model.kind: model for model in (Baseline, Band, Estimator)}
