"""A River object as bytes, and back: the one place where Detector reads a pickle, and then only of classes on a list.

Redis is not a place to trust with code. So the bytes can look up nothing but classes of River that estimators are made
of, the few of Python and numpy that these keep, and one function. Nothing is reached through another module or class,
and `getattr`, by which pickle writes a bound method, gives methods of estimators only. All else is a `ValueError`, and
the object that comes out must be of the class that the configuration names.
"""

import io
import pickle
import zlib
from importlib import import_module
from random import Random
from typing import Any

import numpy as np

# Packages of River that hold estimators and what they are made of: no data sets, no readers of files, no wrappers of
# functions (`compose.FuncTransformer`) or of other libraries.
_PACKAGES = (
    "river._river_rust.",
    "river.anomaly.",
    "river.drift.",
    "river.linear_model.",
    "river.neighbors.",
    "river.optim.",
    "river.proba.",
    "river.sketch.",
    "river.stats.",
    "river.time_series.",
    "river.tree.padded",
    "river.tree.base",
    "river.utils.rolling",
    "river.utils.sorted_window",
)
_CLASSES = {
    ("river.compose.pipeline", "Pipeline"),
    ("river.preprocessing.scale", "MinMaxScaler"),
    ("river.preprocessing.scale", "StandardScaler"),
}
_NOT = ("river.drift.datasets", "river.drift.retrain")
_FUNCTIONS = {
    ("river._river_rust.vectordict", "euclidean_distance_tuple"),  # the distance of nearest neighbours
}
_PLAIN = {
    *(("builtins", name) for name in ("bool", "complex", "dict", "float", "frozenset", "int", "list", "set", "str")),
    *(("builtins", name) for name in ("bytearray", "tuple", "type(None)")),
    *(("collections", name) for name in ("Counter", "OrderedDict", "defaultdict", "deque")),
    ("functools", "partial"),  # of what is on this list
    *(("numpy", name) for name in ("bool", "float32", "float64", "int64")),
    ("random", "Random"),
}
_CHANCE = 0
_MOST = 64 << 20  # bytes that a snapshot may unpack to
_BROKEN = (
    *(ArithmeticError, AttributeError, EOFError, ImportError, LookupError, MemoryError, RecursionError, TypeError),
    *(ValueError, pickle.UnpicklingError, zlib.error),
)


def dump(made: object, seed: int) -> bytes:
    """The bytes of an object: equal objects give equal bytes, also if one of them was restored."""
    file = io.BytesIO()
    _Pickler(file, seed).dump(made)
    return file.getvalue()


def load(data: bytes, seed: int) -> Any:
    """The object that `dump` wrote. Raises `ValueError` for anything else."""
    try:
        return _load(data, seed)
    except _BROKEN as error:
        raise ValueError(f"not the state of a River estimator: {error}") from None


def copy(made: Any, seed: int) -> Any:
    """The same object again, to try something with."""
    return _load(dump(made, seed), seed)


def shrink(data: bytes) -> bytes:
    """The same in fewer bytes."""
    return zlib.compress(data, 6)


def grow(data: bytes) -> bytes:
    """What `shrink` made small. Raises `ValueError` for anything else, and for what would fill the memory."""
    reader = zlib.decompressobj()
    try:
        found = reader.decompress(data, _MOST)
    except zlib.error as error:
        raise ValueError(f"not a snapshot of an estimator: {error}") from None
    if not reader.eof or reader.unused_data:
        raise ValueError("not a snapshot of an estimator: its end is missing, or something follows it")
    return found


def settle_chance(made: object, seed: int) -> None:
    """Begin every source of chance in an object anew from `seed`: River begins some of them from the clock."""
    _Settler(seed).dump(made)


class _Settler(pickle.Pickler):
    """Walks through an object as pickle does, and seeds the sources of chance that it meets."""

    def __init__(self, seed: int) -> None:
        super().__init__(io.BytesIO(), protocol=4)
        self._seed = seed

    def persistent_id(self, found: object) -> None:
        if type(found) is Random:
            found.seed(self._seed)


class _Pickler(pickle.Pickler):
    """Writes what is equal alike, and a source of chance that was never asked as a number instead of 2,500 bytes.

    Whether two equal texts are one object or two depends on what was restored, and pickle would write that down.
    """

    def __init__(self, file: io.BytesIO, seed: int) -> None:
        super().__init__(file, protocol=4)
        self._fresh = Random(seed).getstate()
        self._texts: dict[str, str] = {}

    def persistent_id(self, found: object) -> str | int | None:
        if type(found) is str:
            return self._texts.setdefault(found, found)
        return _CHANCE if type(found) is Random and found.getstate() == self._fresh else None

    def reducer_override(self, found: object) -> Any:
        """numpy's own way would have its types of data on the list, which may hold anything."""
        return (type(found), (found.item(),)) if isinstance(found, np.generic) else NotImplemented


class _Unpickler(pickle.Unpickler):
    """Knows only what is on the list."""

    def __init__(self, file: io.BytesIO, seed: int) -> None:
        super().__init__(file)
        self._seed = seed

    def persistent_load(self, word: object) -> Random | str:
        if type(word) is str:
            return word
        if word != _CHANCE:
            raise pickle.UnpicklingError(f"{word!r} is unknown")
        return Random(self._seed)

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("builtins", "getattr"):
            return _method
        if (module, name) in _PLAIN:
            return super().find_class(module, name)
        if "." not in name and not name.startswith("__"):
            if (module, name) in _FUNCTIONS:
                return super().find_class(module, name)
            if (module, name) in _CLASSES or (module.startswith(_PACKAGES) and not module.startswith(_NOT)):
                return _own_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name} is not allowed in a snapshot")


def _own_class(module: str, name: str) -> type:
    """A class that a module of River defines itself: not what it imports, and no function."""
    found = getattr(import_module(module), name)
    if not isinstance(found, type) or not found.__module__.startswith("river.") or found.__name__ != name:
        raise pickle.UnpicklingError(f"{module}.{name} is no class of River")
    if found.__module__ != module and not module.startswith("river._river_rust."):
        raise pickle.UnpicklingError(f"{module}.{name} is defined elsewhere")
    return found


def _method(owner: object, name: str) -> Any:
    """A bound method of an estimator: what pickle writes as a call of `getattr`."""
    from river.base import Base

    found = getattr(type(owner), name, None) if isinstance(owner, Base) and not name.startswith("__") else None
    if found is None or not callable(found):
        raise pickle.UnpicklingError(f"{name} is no method of an estimator")
    return getattr(owner, name)


def _load(data: bytes, seed: int) -> Any:
    file = io.BytesIO(data)
    found = _Unpickler(file, seed).load()
    if file.read(1):
        raise pickle.UnpicklingError("something follows it")
    return found
