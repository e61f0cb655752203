"""Models of one series. Adding one is a file here and a name in `MODELS`; `tests/contracts` then tests it."""

from typing import ClassVar, Protocol

from detector.core.models.band import Band


class Model(Protocol):
    """River's interface for an anomaly detector of one number, and its state as bytes.

    `score_one` is pure: it learns nothing. `score_one` and `bounds` work before any learning and return a score of 0
    and an infinite band then. The first byte of a snapshot is the format.
    """

    kind: ClassVar[str]

    @property
    def samples(self) -> int: ...
    def learn_one(self, x: float) -> None: ...
    def score_one(self, x: float) -> float: ...
    def bounds(self) -> tuple[float, float, float]: ...
    def rebase(self, values: list[float]) -> None: ...
    def snapshot(self) -> bytes: ...
    def restore(self, snapshot: bytes) -> None: ...


MODELS: dict[str, type[Band]] = {model.kind: model for model in (Band,)}
