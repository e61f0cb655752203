"""What the model would have said of one series: a CSV in, a judgement of every row out.

For a history of numbers that never was events: an export, a benchmark with labels, a curve that somebody asks about.
The model is the one of the configuration, and it sees what it would see live: each value once, in the order of time,
judged before it is learned. The rows keep their places and their texts, so that what comes out can be pasted beside
what went in.
"""

import csv
import gzip
import math
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, NamedTuple, cast

from detector.core.calendar import Calendar
from detector.core.judge import Judge, reading_of
from detector.core.models import Model
from detector.core.models.baseline import Baseline
from detector.core.models.reading import Reading
from detector.errors import DetectorError

HEADER = ("timestamp", "value", "score", "expected", "lower", "upper", "alert")
NOTHING = Reading(score=0.0, alert=False, lower=-math.inf, expected=math.nan, upper=math.inf)
HOURLY = 4_000.0  # seconds: an interval of an hour that strays a little
LAST_SECOND = datetime.max.replace(tzinfo=UTC).timestamp()


class Row(NamedTuple):
    """A row as it was read: both texts, and what they mean. `x` is None where the value is missing."""

    time: str
    value: str
    at: float
    x: float | None


class Judged(NamedTuple):
    """A row, and what the model says of it; `NOTHING` where there was no value."""

    row: Row
    reading: Reading


@dataclass(frozen=True, slots=True)
class Episode:
    """Alerts that follow each other, missing values aside: one thing that was wrong. `worst` has the highest score."""

    first: Judged
    last: Judged
    worst: Judged
    rows: int


# ---------------------------------------------------------------- reading


def read(path: str, time: str = "timestamp", value: str = "value") -> list[Row]:
    """The rows of a CSV (`-` is standard input, `.gz` is read) with these two columns.

    Raises `DetectorError` that names the columns that there are, or the line that cannot be read.
    """
    try:
        with _open(path) as lines:
            return list(_rows(path, csv.reader(lines), time, value))
    except (OSError, EOFError, UnicodeDecodeError, csv.Error) as error:
        raise DetectorError(f"{path}: cannot be read: {error}") from None


def _open(path: str) -> AbstractContextManager[IO[str]]:
    form = {"encoding": "utf-8-sig", "newline": ""}  # spreadsheets write the mark of the byte order
    if path == "-":
        return nullcontext(sys.stdin)
    if path.endswith(".gz"):
        return cast("AbstractContextManager[IO[str]]", gzip.open(path, "rt", **form))  # type: ignore[call-overload]
    return Path(path).open(**form)  # type: ignore[call-overload, no-any-return]


def _rows(path: str, lines: "Iterator[list[str]]", time: str, value: str) -> Iterator[Row]:
    columns = [name.strip() for name in next(lines, [])]
    at, of = (_column(path, columns, name, option) for name, option in ((time, "--time"), (value, "--value")))
    for cells in lines:
        if not any(map(str.strip, cells)):
            continue
        where = f"{path}: line {lines.line_num}"  # type: ignore[attr-defined]
        if len(cells) <= at:
            raise DetectorError(f"{where}: has no column {time!r}: {','.join(cells)!r}")
        text = cells[of] if of < len(cells) else ""
        yield Row(cells[at], text, _time(cells[at].strip(), where), _number(text.strip(), where))


def _column(path: str, columns: Sequence[str], name: str, option: str) -> int:
    if name not in columns:
        known = ", ".join(map(repr, columns)) or "none, the file is empty"
        raise DetectorError(f"{path}: no column {name!r}; there are {known}; choose with {option}")
    return columns.index(name)


def _time(text: str, where: str) -> float:
    """Seconds since 1970, from these or from ISO 8601; UTC if no offset is said."""
    try:
        at = float(text)
    except ValueError:
        at = _iso(text, where)
    if not 0 <= at <= LAST_SECOND:
        raise DetectorError(f"{where}: {text!r} is no time in seconds since 1970; are these milliseconds?")
    return at


def _iso(text: str, where: str) -> float:
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise DetectorError(f"{where}: {text!r} is no time: write ISO 8601 or seconds since 1970") from None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def _number(text: str, where: str) -> float | None:
    try:
        x = float(text) if text else math.nan
    except ValueError:
        raise DetectorError(f"{where}: {text!r} is no number; leave it empty where the value is missing") from None
    return x if math.isfinite(x) else None


# ---------------------------------------------------------------- judging


def bare(model: Model) -> Model:
    """The model for a series of which nobody said what it is: with a value an hour or more often it is telemetry.

    A metric of runs is hourly, too; whoever names the metric has it judged as the daemon does.
    """
    return replace(model, dense_below=HOURLY) if isinstance(model, Baseline) else model


def judge(rows: Sequence[Row], model: Judge, calendar: Calendar = Calendar()) -> list[Judged]:  # noqa: B008
    """What the model says of each row, in the order of the rows; it sees them in the order of their times.

    A missing value is not shown to the model: nobody would have sent it.
    """
    said = [NOTHING] * len(rows)
    for place in sorted(range(len(rows)), key=lambda place: rows[place].at):
        x = rows[place].x
        if x is not None:
            said[place] = reading_of(model, calendar.at(rows[place].at), x)
    return [Judged(row, reading) for row, reading in zip(rows, said, strict=True)]


def episodes(judged: Iterable[Judged]) -> list[Episode]:
    """The alerts in the order of time, those that follow each other as one."""
    found: list[Episode] = []
    ongoing: list[Judged] = []
    for one in sorted(judged, key=lambda one: one.row.at):
        if one.reading.alert:
            ongoing.append(one)
        elif one.row.x is not None and ongoing:
            found.append(_episode(ongoing))
            ongoing = []
    return [*found, _episode(ongoing)] if ongoing else found


def _episode(alerts: Sequence[Judged]) -> Episode:
    worst = max(alerts, key=lambda one: one.reading.score)
    return Episode(alerts[0], alerts[-1], worst, len(alerts))


# ---------------------------------------------------------------- writing


def write(judged: Iterable[Judged], out: IO[str]) -> None:
    """A CSV with a line for each row. What is not finite, or not known, is empty."""
    lines = csv.writer(out, lineterminator="\n")
    lines.writerow(HEADER)
    for row, said in judged:
        band = (_text(said.expected), _text(said.lower), _text(said.upper))
        lines.writerow((row.time, row.value, _text(said.score), *band, int(said.alert)))


def write_file(judged: Iterable[Judged], path: str) -> None:
    """The same into a file. Raises `DetectorError` if it cannot be written."""
    try:
        with Path(path).open("w", encoding="utf-8", newline="") as out:
            write(judged, out)
    except OSError as error:
        raise DetectorError(f"{path}: cannot be written: {error.strerror}") from None


def _text(x: float) -> str:
    return f"{x:.9g}" if math.isfinite(x) else ""
