"""Numbers, durations and times as a person reads them at 3 a.m.; and values of columns, which nobody is to read."""

import math
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from hashlib import blake2b

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
FIRST, LAST = -62_135_596_800.0, 253_402_300_799.0  # the years 1 to 9999: a producer may tell any number
WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
WEEKDAYS_IN_FULL = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
UNITS = {"duration": "seconds", "bytes": "bytes", "bytes_in": "bytes", "bytes_out": "bytes"}
MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
MONTHS_IN_FULL = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
HASH = re.compile(r"[0-9a-f]{16}")


def unit_of(metric: str) -> str | None:
    """The unit that a metric is told in, or None for a bare number."""
    if metric in UNITS:
        return UNITS[metric]
    return "rows" if metric.startswith(("rows", "profile_rows")) else None


def number(value: float, unit: str | None) -> str:
    """A value in its unit: `9,400 rows`, `1.2 GB`, `4 min 10 s`, `20 ms`."""
    if not math.isfinite(value):
        return f"any number of {unit}" if unit else "any number"
    if unit == "seconds":
        return f"{1e3 * value:.2g} ms" if 0 < value < 0.1 else duration(value)
    if unit == "bytes":
        return _bytes(value)
    plain = f"{value:,.0f}" if abs(value) >= 100 or value == int(value) else f"{value:,.3g}"
    return f"{plain} {unit}" if unit else plain


def _bytes(value: float) -> str:
    for factor, name in ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if value >= factor:
            return f"{value / factor:,.3g} {name}"
    return f"{value:,.0f} B" if value == int(value) else f"{value:,.3g} B"


def duration(seconds: float) -> str:
    """Seconds in the two largest units: `2 d 3 h`, `1 h 5 min`, `4 min 10 s`, `0.3 s`."""
    if not math.isfinite(seconds):
        return "any time"
    if seconds < 10:
        return f"{seconds:.1f} s"
    seconds = round(min(seconds, 1e15))
    for size, finer in ((DAY, HOUR), (HOUR, MINUTE)):
        if seconds >= size:
            seconds = round(seconds / finer) * finer
    parts: list[tuple[int, str]] = []
    for size, name in ((DAY, "d"), (HOUR, "h"), (MINUTE, "min"), (1.0, "s")):
        count = int(seconds // size)
        if count or parts:
            parts.append((count, name))
        seconds -= count * size
    return " ".join(f"{count} {name}" for count, name in parts[:2] if count)


def moment(at: float) -> str:
    """A time: `Tue 24 Nov 03:00 UTC`, with seconds where there are any."""
    when = _civil(at)
    clock = f"{when:%H:%M:%S}" if when.second else f"{when:%H:%M}"
    return f"{WEEKDAYS[when.weekday()]} {when.day} {MONTHS[when.month - 1]} {clock} UTC"


def day(at: float, now: float) -> str:
    """A day in UTC: `3 September`, with the year where it is not that of `now`."""
    when = _civil(at)
    year = "" if when.year == _civil(now).year else f" {when.year}"
    return f"{when.day} {MONTHS_IN_FULL[when.month - 1]}{year}"


def _civil(at: float) -> datetime:
    return datetime.fromtimestamp(min(max(at, FIRST), LAST) if at == at else 0.0, UTC)


def rounded(value: float | None) -> float | None:
    """A published number: six digits are enough for people, and equal on every CPU; None for what is no number."""
    if value is None or not math.isfinite(value):
        return None
    return float(f"{value:.6g}")


def value_hash(value: str) -> str:
    """What stands for a value of a column: 16 hex digits, which a producer may have made already."""
    if HASH.fullmatch(value):
        return value
    return blake2b(value.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


def value_hashes(values: Iterable[bool | int | float | str]) -> frozenset[str]:
    """What may stand for these values: numbers and truth values are written in more than one way."""
    found: set[str] = set()
    for value in values:
        found.add(value_hash(value if isinstance(value, str) else str(value)))
        if isinstance(value, bool):
            found |= {value_hash(str(value).lower()), value_hash(str(int(value)))}
        elif isinstance(value, int | float) and float(value).is_integer():
            found |= {value_hash(f"{value:.0f}"), value_hash(f"{value:.1f}")}
    return frozenset(found)


def jobs_and_datasets(keys: Sequence[str]) -> str:
    """How many entities of each kind: `40 jobs and 1 dataset`."""
    jobs = sum(key.startswith("job:") for key in keys)
    counts = ((jobs, "job"), (len(keys) - jobs, "dataset"))
    return " and ".join(f"{count:,} {kind}{'s' if count != 1 else ''}" for count, kind in counts if count)


def wait(keys: Sequence[str]) -> str:
    """What so many of them do: one waits, others wait."""
    return "waits" if len(keys) == 1 else "wait"
