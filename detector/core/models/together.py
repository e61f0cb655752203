"""What is learned of all series of an entity together: which go together, and how the crowd of them usually moves.

Of a crowd it is judged how many are further out than the others are: the 90th percentile of the sizes of all deviations
over the mean of the lower 85 %. What moves all of them, as a busy day does, is in both and cancels: the null
distribution is that of the load itself (B. Efron, "Large-scale simultaneous hypothesis testing: the choice of a null
hypothesis", 2004). One series, however far out, moves neither. What is usual of this ratio, with all that the series
have to do with each other, is learned by a baseline.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import msgspec
import numpy as np

from detector.core.models.baseline import Baseline, Calm
from detector.core.models.compiled import compiled
from detector.core.models.kernel import CAUSES, OUTLIER, Array
from detector.core.models.reading import Reading
from detector.core.models.relations import Relations, is_told

FEWEST = 50  # series that are a crowd
OUTER, BODY = 0.9, 0.85
FARTHEST = 4.0  # deviations that one series counts for at most
MAX_CROWDS = 5  # what runs tell, and the grains of profiles
BUDGET = 7.5e-4  # of the loads of a crowd, which is one series
EFFECT = 0.2  # times the least effect of a mean: told from a sixth above the usual
UNIT = 100.0
_FORMAT = 1


class _Stored(msgspec.Struct, array_like=True):
    relations: bytes
    crowds: dict[str, bytes]
    open: list[str]


_encoder, _decoder = msgspec.msgpack.Encoder(), msgspec.msgpack.Decoder(_Stored)


class Crowd(NamedTuple):
    """How a crowd moved at one load: its `spread`, the reading (of `UNIT` times it), and whether that is to be told."""

    spread: float
    reading: Reading
    left: bool
    samples: int


def weight(z: float) -> float:
    """How much one series has to do with how its crowd moved: its squared deviation, up to that of `FARTHEST`."""
    return min(z * z, FARTHEST * FARTHEST)


def spread(deviations: Sequence[float] | Array) -> float:
    """How far the outer tenth of many deviations is out, in what the others are on average; at most 10,000.

    >>> calm = [(-1) ** n * n / 100 for n in range(200)]
    >>> round(spread(calm), 2), round(spread([*calm[:180], *[3.0] * 20]), 2)
    (2.13, 3.55)
    """
    return float(_spread(np.sort(np.abs(deviations))))


@compiled
def _spread(sizes) -> float:  # type: ignore[no-untyped-def]
    """Summed one by one, and not in as many parts as a machine can add at once: the same bits on each."""
    body, total = int(BODY * len(sizes)), 0.0
    for i in range(body):
        total += sizes[i]
    return min(sizes[int(OUTER * len(sizes))] * body / total, 1e4) if total > 0 else 1e4


def _crowd() -> Baseline:
    return Calm(budget=BUDGET, effect=EFFECT, direction="spike")


@dataclass(slots=True)
class Together:
    """`open` are the names of what was told and is not over; they are the caller's."""

    relations: Relations = field(default_factory=Relations)
    open: list[str] = field(default_factory=list)
    _crowds: dict[str, Baseline] = field(default_factory=dict)

    def judge_crowd(self, name: str, at: float, deviations: Array) -> Crowd | None:
        """Judge the `spread` of the series of a crowd, then learn it. A deviation is 0 while it is not known.

        None for too few series, or too many crowds.
        """
        known = deviations[deviations != 0.0]
        if len(known) < FEWEST or (name not in self._crowds and len(self._crowds) >= MAX_CROWDS):
            return None
        model = self._crowds.setdefault(name, _crowd())
        samples = model.samples
        value = spread(known)
        reading = model.judge_one(at, UNIT * value)
        return Crowd(value, reading, is_told(reading, UNIT * value), samples)

    def renew(self, pairs: Collection[tuple[str, str]], crowds: Collection[str]) -> None:
        """As these pairs and crowds were at last is the new normal, at once."""
        self.relations.renew(pairs)
        for name in crowds:
            if name in self._crowds:
                self._crowds[name].renew(*self._crowds[name].last, CAUSES[OUTLIER])

    def snapshot(self) -> bytes:
        """The state as bytes, the format first."""
        crowds = {name: model.snapshot() for name, model in self._crowds.items()}
        return bytes((_FORMAT,)) + _encoder.encode(_Stored(self.relations.snapshot(), crowds, self.open))

    def restore(self, snapshot: bytes) -> None:
        """Take the state that `snapshot` wrote. Raises `ValueError` for anything else, and is then as it was."""
        if snapshot[:1] != bytes((_FORMAT,)):
            raise ValueError("not a snapshot of what goes together")
        stored = _decoder.decode(snapshot[1:])  # raises DecodeError, which is a ValueError
        relations, crowds = Relations(), {name: _crowd() for name in stored.crowds}
        relations.restore(stored.relations)
        for name, model in crowds.items():
            model.restore(stored.crowds[name])
        self.relations, self._crowds, self.open = relations, crowds, stored.open
