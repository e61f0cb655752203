"""The series of one entity: those of the baseline in two arrays, a row each, which are judged in one call.

A profile of 50 columns has 600 series, and an object for each would cost more than judging them. Other models, and
series that may become dense streams, are objects all the same, one after the other. What another model has left,
before the configuration changed, is none of the present one: such a series begins anew.
"""

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from copy import copy
from typing import Any

import msgspec
import numpy as np

from detector.core.calendar import Moment
from detector.core.models import Model, days, kernel, records
from detector.core.models.baseline import Baseline
from detector.core.models.kernel import Array
from detector.core.text import LAST

KEEP_LAST = 8
_BASELINE = Baseline()
_names = msgspec.msgpack.Decoder(list[str])


class Stored(msgspec.Struct, array_like=True):
    """A `SeriesTable` for its bytes.

    `names` are those of the rows, compressed, since those of a table's columns repeat each other; `rows` is what
    `records.pack` makes of these; `models` are the snapshots of the models of all other series.
    """

    names: bytes
    rows: bytes
    models: dict[str, bytes]
    last: dict[str, list[float]]
    outside: dict[str, tuple[int, int]] = {}


class SeriesTable:
    """The names of the series of an entity, and what is learned of each. `len` counts, and `in` knows, all of them.

    `last` are the last values of the series that are told by themselves, and not as columns of a load; `outside` is
    when such a value last lay below and above its band, in whole seconds since 1970 (0: never), where one ever did.
    """

    __slots__ = ("_heads", "_models", "_rows", "_seasons", "_used", "last", "outside")

    def __init__(self) -> None:
        """Without any series."""
        self._rows: dict[str, int] = {}
        self._models: dict[str, Model | bytes] = {}  # bytes until the model is wanted
        self._heads, self._seasons = kernel.blank(0)
        self._used = 0  # rows that are taken, those included whose series went over to a model
        self.last: dict[str, list[float]] = {}
        self.outside: dict[str, tuple[int, int]] = {}

    def __len__(self) -> int:
        return len(self._rows) + len(self._models)

    def __contains__(self, name: object) -> bool:
        return name in self._rows or name in self._models

    def __iter__(self) -> Iterator[str]:
        yield from self._rows
        yield from self._models

    def __eq__(self, other: object) -> bool:
        return isinstance(other, SeriesTable) and self.store() == other.store()

    __hash__ = None  # type: ignore[assignment]  # it changes

    def unknown(self, names: Sequence[str]) -> list[bool]:
        """Whether each of these has no series here."""
        rows, models = self._rows, self._models
        return [name not in rows and name not in models for name in names]

    def judge(
        self, names: Sequence[str], moment: Moment, values: Array, parameters: Array, taught: Array, out: Array
    ) -> int:
        """Judge, then learn, one finite value of each of these series by the baseline, in one pass. A name comes once.

        `taught` and `out` are as `kernel.judge_many` takes them. Returns how many are alerts.
        """
        found = list(map(self._rows.get, names))
        if None in found:
            found = list(map(self._row, names))
        rows = np.array(found, np.intp)
        return days.judge_many(
            self._heads, self._seasons, rows, moment.wall, values, parameters, taught, out, moment.like
        )

    def gap(self, name: str) -> float:
        """Usual seconds between two values of a series of the arrays; 0 while that is not known."""
        row = self._rows.get(name)
        return 0.0 if row is None else float(self._heads["gap"][row])

    def usual(self, name: str) -> tuple[float, int]:
        """What is usual of a series of the arrays, whatever the day, and how many values it has seen."""
        row = self._row(name)
        return kernel.bounds(self._heads, row)[1], int(self._heads["seen"][row])

    def baseline(self, name: str, of: Baseline) -> Baseline:
        """A series of the arrays as a model, with the parameters of `of`: good until the next series comes."""
        row = self._row(name)
        model = copy(of)
        model.share(self._heads[row : row + 1], self._seasons[row : row + 1])
        return model

    def model(self, name: str, make: Callable[[], Model]) -> Model:
        """The model of a series that is judged by itself."""
        model = self._models.get(name)
        if model is None or isinstance(model, bytes):
            left, model = model, make()
            if name in self._rows:
                left = self.baseline(name, _BASELINE).snapshot()
                del self._rows[name]
            if left is not None:
                with suppress(ValueError):
                    model.restore(left)
            self._models[name] = model
        return model

    def keep(self, names: Iterable[str], values: Mapping[str, float], sides: Iterable[float], at: float) -> None:
        """Take values of the time `at` among the last ones of their series. A side is -1 below the band, 1 above it.

        Events come in any order: the latest that was outside counts.
        """
        kept = self.last
        for name, side in zip(names, sides, strict=True):
            last = kept.setdefault(name, [])
            last.append(values[name])
            del last[:-KEEP_LAST]
            if side:
                below, above = self.outside.get(name, (0, 0))
                told = int(min(max(at, 0.0), LAST))
                self.outside[name] = (max(below, told), above) if side < 0 else (below, max(above, told))

    def _row(self, name: str) -> int:
        row = self._rows.get(name)
        return self._enter(name) if row is None else row

    def _enter(self, name: str) -> int:
        """Give a series a row."""
        row = self._used
        if row == len(self._heads):
            heads, seasons = kernel.blank(max(2 * row, 4))
            heads[:row], seasons[:row] = self._heads, self._seasons
            self._heads, self._seasons = heads, seasons
        self._rows[name], self._used = row, row + 1
        left = self._models.pop(name, None)
        if left is not None:
            with suppress(ValueError):
                self.baseline(name, _BASELINE).restore(left if isinstance(left, bytes) else left.snapshot())
        return row

    def store(self) -> Stored:
        """All of it; equal tables are stored as equal bytes, however they came about."""
        rows: Any = slice(self._used)
        if len(self._rows) < self._used:  # some series went over to a model
            rows = np.array(list(self._rows.values()), np.intp)
        return Stored(
            zlib.compress(msgspec.msgpack.encode(list(self._rows)), 1),
            records.pack(self._heads[rows], self._seasons[rows]),
            {name: model if isinstance(model, bytes) else model.snapshot() for name, model in self._models.items()},
            self.last,
            self.outside,
        )

    @classmethod
    def of(cls, stored: Stored) -> "SeriesTable":
        """The table that was stored so. Raises `ValueError` for what was not."""
        table = cls()
        try:
            names = _names.decode(zlib.decompress(stored.names))
        except zlib.error as error:
            raise ValueError("the names of the series are corrupt") from error
        table._rows = {name: row for row, name in enumerate(names)}
        table._heads, table._seasons = records.unpack(stored.rows, len(names))
        table._used = len(names)
        table._models, table.last, table.outside = dict(stored.models), stored.last, stored.outside
        return table
