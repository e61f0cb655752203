"""What a calendar is worth: false alarms on holidays and after a change of clocks, and the faults of these days.

    python -m bench.detection.calendars [FLIGHTS_CSV_OR_ZIP] [--seeds 1-5]

Real rows are those of `realrows`, whose measure charges nobody for holidays: here the alerts of those days are counted,
those of a fault and its recovery left out. The series that are made up have known days: `rests` has on a holiday as few
rows as on a Sunday, `works` as many as on any day, and `hourly` has its hours by the clock of Berlin.
"""

import argparse
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import numpy as np

from bench.detection import pipebench as pb
from bench.detection.__main__ import real_rows, seeds_of
from detector.calendars import calendar_of
from detector.config import Calendar as Declared
from detector.core.calendar import Calendar
from detector.core.judge import reading_of
from detector.core.models.baseline import Baseline
from detector.core.models.kernel import Array

DAY, HOUR = 86_400.0, 3_600.0
NONE = Calendar()
US = calendar_of(Declared(country="US"), "US")  # the flights' days are dates, so their zone is UTC
BERLIN = calendar_of(Declared(timezone="Europe/Berlin", country="DE"), "Berlin")
MONDAY = datetime(2024, 1, 1, tzinfo=UTC).timestamp()
DAYS, LEARNED = 730, 60


def alerts(calendar: Calendar, ts: Array, y: Array) -> Array:
    """Which of the values a new model calls unusual."""
    model = Baseline()
    return np.array(
        [reading_of(model, calendar.at(at), x).alert for at, x in zip(ts.tolist(), y.tolist(), strict=True)]
    )


def holidays(calendar: Calendar, ts: Array) -> Array:
    """Which of these times are on a holiday."""
    return np.array([calendar.is_holiday(calendar.wall(at)) for at in ts.tolist()])


# ---------------------------------------------------------------- real rows


def flights(source: str, seeds: list[int], calendar: Calendar) -> dict[str, float]:
    """Means over the seeds: the measure's own figures, and the alerts on holidays that no fault explains."""
    found: list[dict[str, float]] = []
    for seed in seeds:
        series = real_rows(seed, source)
        said = [alerts(calendar, s.ts, s.y) for s in series]
        told = days = 0
        for s, alert in zip(series, said, strict=True):
            free = holidays(US, s.ts)
            free[: pb.WARM] = False
            for _, first, last in s.faults:
                free[first : last + 6] = False
            told, days = told + int(alert[free].sum()), days + int(free.sum())
        figures = pb.score(series, said)
        found.append({"holidays": 1_000 * told / days, **{k: figures[k] for k in ("f1", "fa_per_1000", "recall")}})
    return {key: float(np.mean([one[key] for one in found])) for key in found[0]}


# ---------------------------------------------------------------- series that are made up


def daily(rng: np.random.Generator, rests: bool) -> tuple[Array, Array]:
    """Loads at three in the night in Berlin; on Sundays a third comes, on Saturdays 60 %."""
    start = datetime(2024, 1, 1, 3, tzinfo=BERLIN.zone)
    ts = np.array([(start + timedelta(days=day)).timestamp() for day in range(DAYS)])
    weekdays = np.array([1.0] * 5 + [0.6, 0.33])[np.arange(DAYS) % 7]
    if rests:
        weekdays[holidays(BERLIN, ts)] = 0.33
    return ts, np.round(10_000 * weekdays * rng.lognormal(0, 0.06, DAYS))


def hourly(rng: np.random.Generator) -> tuple[Array, Array]:
    """Rows of each hour, most by day; the hour is that of Berlin."""
    ts = MONDAY + HOUR * np.arange(24 * DAYS)
    hours = np.array([BERLIN.wall(at) // HOUR % 24 for at in ts.tolist()])
    return ts, np.round(5_000 * np.exp(-1.5 * np.cos(2 * np.pi * (hours - 2) / 24)) * rng.lognormal(0, 0.06, len(ts)))


def after_changes(ts: Array) -> Array:
    """The week after each change of clocks."""
    offset = np.array([BERLIN.wall(at) - at for at in ts.tolist()])
    changed = np.flatnonzero(np.diff(offset) != 0) + 1
    near = np.zeros(len(ts), bool)
    for at in changed:
        near[at : at + 7 * 24] = True
    return near


def share(made: Iterator[tuple[Array, Array, Array]], calendar: Calendar) -> tuple[float, float]:
    """Of (times, values, which to look at): the share of alerts among these, and among the others once learned."""
    told = looked = elsewhere = others = 0
    for ts, y, mask in made:
        alert = alerts(calendar, ts, y)
        learned = ts > ts[0] + LEARNED * DAY
        told, looked = told + int(alert[mask & learned].sum()), looked + int((mask & learned).sum())
        elsewhere += int(alert[~mask & learned].sum())
        others += int((~mask & learned).sum())
    return told / looked, elsewhere / others


def made_up(seeds: list[int]) -> dict[str, Callable[[], Iterator[tuple[Array, Array, Array]]]]:
    """The cases by name; those with a fault have it on every second holiday."""

    def days(rests: bool, left: float) -> Iterator[tuple[Array, Array, Array]]:
        for seed in seeds:
            ts, y = daily(np.random.default_rng([seed, rests]), rests)
            mask = holidays(BERLIN, ts)
            if left < 1:
                mask[np.flatnonzero(mask)[::2]] = False
                y[mask] = np.round(left * y[mask])
            yield ts, y, mask

    def hours() -> Iterator[tuple[Array, Array, Array]]:
        for seed in seeds:
            ts, y = hourly(np.random.default_rng([seed, 2]))
            yield ts, y, after_changes(ts)

    return {
        "rests: holidays alerted": lambda: days(True, 1.0),
        "rests: drop to 8 % on a holiday found": lambda: days(True, 0.08),
        "rests: no rows on a holiday found": lambda: days(True, 0.0),
        "works: holidays alerted": lambda: days(False, 1.0),
        "works: drop to 8 % on a holiday found": lambda: days(False, 0.08),
        "hourly: alerted in the week after a change of clocks": hours,
    }


def main() -> None:
    """Print what was found, without a calendar and with one."""
    parser = argparse.ArgumentParser("python -m bench.detection.calendars")
    parser.add_argument("flights", nargs="?", help="the flights, CSV or zipped")
    parser.add_argument("--seeds", type=seeds_of, default=[1, 2, 3, 4, 5])
    o = parser.parse_args()
    print(f"{'':54s} {'without':>9s} {'with':>9s}   (in brackets: all other days)")
    for name, make in made_up(o.seeds).items():
        cells = [share(make(), calendar) for calendar in (NONE, BERLIN)]
        print(f"{name:54s} " + " ".join(f"{of:9.4f} ({other:.5f})" for of, other in cells), flush=True)
    if o.flights:
        without, given = (flights(o.flights, o.seeds, calendar) for calendar in (NONE, US))
        for key in without:
            print(f"flights: {key:45s} {without[key]:9.3f} {given[key]:9.3f}")


if __name__ == "__main__":
    main()
