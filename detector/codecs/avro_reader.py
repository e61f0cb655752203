"""Reads the two records of `schemas/` from Avro straight into their normal form.

fastavro reads any schema into dicts, and does so here for every schema but these two. For these two, which are the
bulk of the traffic, reading without the dict takes half the time (docs/decisions/native-formats.md). It also needs no
trust in the bytes: every step moves forward and stays inside of them or fails, so no length in them can claim memory or
time that they have not.

All functions take the bytes and where to begin, and give what they read and where it ended. Slices do not complain
about a missing end; the next byte, or the comparison at the end of the record, does.
"""

import struct
from typing import Final

from detector.codecs import checks, statistics
from detector.codecs.checks import Refused
from detector.codecs.statistics import Column, Layout
from detector.core.events import Dataset, Field, Profile, RunEvent, RunState, Statistics

MALFORMED: Final = (IndexError, KeyError, OverflowError, UnicodeDecodeError, struct.error)

# Bytes of names that a reader of profiles keeps; as Python strings they take some five times as much. So do the objects
# around them, for each table.
_REMEMBERED = 4_000_000
_EACH_TABLE = 300

_double = struct.Struct("<d").unpack_from
_eight = struct.Struct("<8B").unpack_from
# By the byte that a symbol is written as: zigzag, so twice its number.
_STATES: Final[dict[int, RunState]] = {2 * i: state for i, state in enumerate(checks.STATES.values())}
_BOOLEANS: Final = {0: False, 1: True}
_NOT_NULL: Final = {0: False, 2: True}  # the branches of a union with null


def _malformed() -> Refused:
    return Refused("avro", "a number is longer than 64 bits, or a length is negative")


def _long(body: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = body[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128 and shift < 63:
            return (value >> 1) ^ -(value & 1), at
        shift += 7
        if shift > 63:
            return _longest(value, at)


def _longest(value: int, at: int) -> tuple[int, int]:
    """A number of ten bytes, which has room for more than 64 bits, or one that goes on."""
    if value >> 64:
        raise _malformed()
    return (value >> 1) ^ -(value & 1), at


def _text(body: bytes, at: int) -> tuple[str, int]:
    size = body[at]
    if size & 129:  # longer than 63 bytes, or negative
        size, at = _length(body, at)
        end = at + size
        return body[at:end].decode(), end
    end = at + 1 + (size >> 1)
    return body[at + 1 : end].decode(), end


def _length(body: bytes, at: int) -> tuple[int, int]:
    size, at = _long(body, at)
    if size < 0:
        raise _malformed()
    return size, at


def _block(body: bytes, at: int) -> tuple[int, int]:
    """How many items the next block of an array or a map has; a negative number says that its size in bytes follows."""
    size, at = _long(body, at)
    if size < 0:
        _, at = _long(body, at)
    return abs(size), at


def _seconds(body: bytes, at: int) -> tuple[float, int]:
    """Microseconds since 1970, in seconds. From 1987 to 2255 they take eight bytes, which are read at once.

    Floats are faster here than integers of more than 30 bits, and exact: every sum is even and below 2**54.
    """
    try:
        a, b, c, d, e, f, g, h = _eight(body, at)
    except struct.error:  # near the end of the bytes
        a = h = 128
    if a & 129 == 128 and h < 128 and b & c & d & e & f & g & 128:
        low = a - 128 + (b - 128) * 128.0 + (c - 128) * 16384.0 + (d - 128) * 2097152.0
        high = (e - 128) * 268435456.0 + (f - 128) * 34359738368.0 + (g - 128) * 4398046511104.0
        return (low + high + h * 562949953421312.0) / 2e6, at + 8
    micros, at = _long(body, at)
    return micros / 1e6, at


def _some_seconds(body: bytes, at: int) -> tuple[float, int]:
    """A time in a union with null, when it is there."""
    if body[at] != 2:
        raise _malformed()
    return _seconds(body, at + 1)


def _some_text(body: bytes, at: int) -> tuple[str, int]:
    """A text in a union with null, when it is there."""
    if body[at] != 2:
        raise _malformed()
    size = body[at + 1]
    if size & 129:
        return _text(body, at + 1)
    end = at + 2 + (size >> 1)
    return body[at + 2 : end].decode(), end


def _optional_text(body: bytes, at: int) -> tuple[str | None, int]:
    return _some_text(body, at) if body[at] else (None, at + 1)


def _optional_seconds(body: bytes, at: int) -> tuple[float | None, int]:
    return _some_seconds(body, at) if body[at] else (None, at + 1)


def _optional_double(body: bytes, at: int) -> tuple[float | None, int]:
    return (_double(body, at + 1)[0], at + 9) if _NOT_NULL[body[at]] else (None, at + 1)


def run_event(body: bytes, at: int) -> RunEvent:  # noqa: C901 - see below
    """The run event that begins at `at` and ends with `body`.

    Raises `Refused`, or one of `MALFORMED`. Texts, metrics and absent values are read in line: this is the hottest path
    of the program, and a call costs as much as the reading.
    """
    size = body[at]
    if size & 129:
        namespace, end = _text(body, at)
    else:
        end = at + 1 + (size >> 1)
        namespace = body[at + 1 : end].decode()
    size = body[end]
    if size & 129:
        name, at = _text(body, end)
    else:
        at = end + 1 + (size >> 1)
        name = body[end + 1 : at].decode()
    size = body[at]
    if size & 129:
        run_id, at = _text(body, at)
    else:
        end = at + 1 + (size >> 1)
        run_id = body[at + 1 : end].decode()
        at = end
    state = _STATES[body[at]]
    event_time, at = _seconds(body, at + 1)
    nominal_time = error = code_version = parent = None
    if body[at]:
        nominal_time, at = _some_seconds(body, at)
    else:
        at += 1
    inputs, at = _datasets(body, at) if body[at] else ((), at + 1)
    outputs, at = _datasets(body, at) if body[at] else ((), at + 1)
    metrics: dict[str, float] = {}
    while items := body[at]:
        if items & 129:
            items, at = _block(body, at)
        else:
            items >>= 1
            at += 1
        for _ in range(items):
            size = body[at]
            if size & 129:
                key, end = _text(body, at)
            else:
                end = at + 1 + (size >> 1)
                key = body[at + 1 : end].decode()
            (metrics[key],) = _double(body, end)
            at = end + 8
    at += 1
    if body[at]:
        error, at = _some_text(body, at)
    else:
        at += 1
    streaming = _BOOLEANS[body[at]]
    at += 1
    if body[at]:
        code_version, at = _some_text(body, at)
    else:
        at += 1
    if body[at]:
        parent, at = _some_text(body, at)
    else:
        at += 1
    owners, at = _texts(body, at) if body[at] else ([], at + 1)
    tags, at = _texts(body, at) if body[at] else ([], at + 1)
    if at != len(body):
        raise _wrong_end(body, at)
    # In order: what comes after `streaming` (snapshot_windows, incomplete) is OpenLineage's only.
    return checks.run_event(
        RunEvent(namespace, name, run_id, state, event_time, nominal_time, inputs, outputs, metrics, error, streaming,
                 False, False, code_version, parent, tuple(owners), tuple(tags))
    )  # fmt: skip


def _wrong_end(body: bytes, at: int) -> Refused:
    if at > len(body):
        return Refused("avro", "the record is cut off")
    return Refused("avro", f"{len(body) - at} bytes follow the record: it has another schema, or was written by hand")


def _datasets(body: bytes, at: int) -> tuple[tuple[Dataset, ...], int]:
    found: list[Dataset] = []
    while body[at]:
        items, at = _block(body, at)
        for _ in range(items):
            namespace, at = _text(body, at)
            name, at = _text(body, at)
            rows, at = _optional_double(body, at)
            size, at = _optional_double(body, at)
            files, at = _optional_double(body, at)
            version, at = _optional_text(body, at)
            found.append(native_dataset(namespace, name, rows, size, files, version))
    return tuple(found), at + 1


def native_dataset(
    namespace: str, name: str, rows: float | None, size: float | None, files: float | None, version: str | None
) -> Dataset:
    """A dataset in one of our own formats, without what cannot be true."""
    return Dataset(
        namespace,
        name,
        rows if rows is None else checks.count(rows),
        size if size is None else checks.count(size),
        files if files is None else checks.count(files),
        None,
        version if version is None else checks.short(version),
    )


def native_field(name: str, kind: str, position: int) -> Field:
    """A column of a schema in one of our own formats."""
    return Field(name, kind, position if 0 < position < 1 << 31 else 0)


class ProfileReader:
    """Reads profiles. It remembers the names of tables: most of a profile's bytes, and nearly always the same."""

    def __init__(self) -> None:
        self._names: dict[tuple[bytes, int], tuple[bytes, Layout]] = {}
        self._remembered = 0

    def __call__(self, body: bytes, at: int) -> Profile:
        """The profile that begins at `at` and ends with `body`. Raises `Refused`, or one of `MALFORMED`."""
        namespace, at = _text(body, at)
        name, at = _text(body, at)
        event_time, at = _seconds(body, at)
        rows, at = _optional_double(body, at)
        grain, at = _text(body, at)
        start, at = _optional_seconds(body, at)
        end, at = _optional_seconds(body, at)
        partition, at = _optional_text(body, at)
        run_id, at = _optional_text(body, at)
        size, at = _optional_double(body, at)
        version, at = _optional_text(body, at)
        schema, at = _fields(body, at + 1) if _NOT_NULL[body[at]] else (None, at + 1)
        table, at = self._table(body, at + 1) if _NOT_NULL[body[at]] else (None, at + 1)
        columns, at = _columns(body, at + 1) if _NOT_NULL[body[at]] else (None, at + 1)
        top_values, at = _top_values(body, at) if body[at] else (None, at + 1)
        if at != len(body):
            raise _wrong_end(body, at)
        if table is None and columns:
            table = statistics.from_columns(columns)
        if top_values:
            table = statistics.with_top_values(table, top_values)
        found = Profile(
            namespace, name, event_time, rows, grain, start, end, partition, run_id, table, schema, version, size
        )
        return checks.profile(found)

    def _table(self, body: bytes, at: int) -> tuple[Statistics | None, int]:
        # Found by their first bytes and the length of the record, and then compared whole, in one call.
        hint = body[at : at + 24], len(body) - at
        known = self._names.get(hint)
        if known is not None and body.startswith(known[0], at):
            names, at = known[1], at + len(known[0])
        else:
            names, at = self._learn(hint, body, at)
        size, at = _length(body, at)
        if (end := at + size) > len(body):  # not left to the end: too few values would be called a wrong table first
            raise _wrong_end(body, end)
        return statistics.table(names, body[at:end]), end

    def _learn(self, hint: tuple[bytes, int], body: bytes, at: int) -> tuple[Layout, int]:
        columns, end = _texts(body, at)
        measures, end = _texts(body, end)
        names = statistics.layout(columns, measures)
        size = end - at + _EACH_TABLE
        self._remembered += size
        if self._remembered > _REMEMBERED:
            self._names.clear()
            self._remembered = size
        self._names[hint] = body[at:end], names
        return names, end


def _texts(body: bytes, at: int) -> tuple[list[str], int]:
    found: list[str] = []
    while body[at]:
        items, at = _block(body, at)
        for _ in range(items):
            text, at = _text(body, at)
            found.append(text)
    return found, at + 1


def _fields(body: bytes, at: int) -> tuple[tuple[Field, ...], int]:
    found: list[Field] = []
    while body[at]:
        items, at = _block(body, at)
        for _ in range(items):
            name, at = _text(body, at)
            kind, at = _text(body, at)
            position, at = _long(body, at)
            found.append(native_field(name, kind, position))
    return tuple(found), at + 1


def _columns(body: bytes, at: int) -> tuple[list[Column], int]:
    found: list[Column] = []
    while body[at]:
        items, at = _block(body, at)
        for _ in range(items):
            name, at = _text(body, at)
            known: list[float | None] = []
            for _ in statistics.KNOWN:
                value, at = _optional_double(body, at)
                known.append(value)
            quantiles, at = _numbers(body, at)
            others, at = _numbers(body, at)
            found.append(Column(name, known, quantiles, others))
    return found, at + 1


def _top_values(body: bytes, at: int) -> tuple[dict[str, dict[str, float]], int]:
    found: dict[str, dict[str, float]] = {}
    while body[at]:
        items, at = _block(body, at)
        for _ in range(items):
            column, at = _text(body, at)
            found[column], at = _numbers(body, at)
    return found, at + 1


def _numbers(body: bytes, at: int) -> tuple[dict[str, float], int]:
    found: dict[str, float] = {}
    while body[at]:
        items, at = _block(body, at)
        for _ in range(items):
            key, at = _text(body, at)
            (found[key],) = _double(body, at)
            at += 8
    return found, at + 1
