"""The figures as text: medians, ratios and what was aimed for."""

from collections.abc import Iterable, Mapping, Sequence
from statistics import fmean, median
from typing import Final

import msgspec

NAMES: Final = {
    "a": "consume and decode alone",
    "b": "script: poll, River, Redis per event",
    "c": "Quix Streams, exactly once",
    "d": "Bytewax, with recovery",
    "e": "Detector, both stages in one process",
    "ingest": "Detector, ingest alone",
    "worker": "Detector, worker alone",
}
AIMS: Final = {"a": 0.4, "b": 15.0, "c": 1.0, "d": 1.0}
LATENCY_AIM: Final = 0.2
PASS_LIMIT, PASS_AIM = 60e-6, 25e-6  # seconds for a profile in the array pass
TIMES_LIMIT, TIMES_AIM = 50, 100  # as fast as River objects
BYTES_LIMITS: Final = {"daily, no season": 48, "hourly, every season": 160}


class Run(msgspec.Struct, frozen=True):
    """One contender, once. `events` are input events, also for the worker, whose records are more."""

    who: str
    repetition: int
    events: int
    seconds: float
    cpu_seconds: float
    alerts: int | None = None

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    @property
    def per_cpu(self) -> float:
        """Events for each second that a core worked for it: other work on the machine disturbs this less."""
        return self.events / self.cpu_seconds if self.cpu_seconds else float("nan")


class Latency(msgspec.Struct, frozen=True):
    """Seconds from `produce` to the signal in a consumer's hand. `missing` signals did not come."""

    rate: int
    seconds: list[float]
    missing: int = 0


class Grown(msgspec.Struct, frozen=True):
    """Seconds for one profile of so many columns, with so many entities in the batch; `what` is `kernel` or `step`."""

    what: str
    columns: int
    entities: int
    seconds: float


class Judging(msgspec.Struct, frozen=True):
    """Seconds for one profile of so many series, in rounds that took turns: in the array pass, a call for each entity
    of the batch (`apart`, as the daemon does) or one for all (`together`); and as River objects, of as many signals
    (`objects`) or the least (`lean`). `bytes` are of a series.
    """

    series: int
    entities: int
    apart: list[float]
    together: list[float]
    objects: list[float]
    lean: list[float]
    grown: list[Grown]
    bytes: dict[str, float]


class Results(msgspec.Struct):
    """All that was measured. `states` are the sizes of the states in Redis, by kind of entity."""

    machine: dict[str, str] = {}
    events: int = 0
    jobs: int = 0
    runs: list[Run] = []
    absent: dict[str, str] = {}
    latency: Latency | None = None
    states: dict[str, list[int]] = {}
    judging: Judging | None = None


def percentile(values: Sequence[float], share: float) -> float:
    """The least of `values` that `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(-(-len(ordered) * round(share * 1000) // 1000) - 1, 0)]


def ratios(runs: Iterable[Run], over: str, under: str, per_cpu: bool = False) -> list[float]:
    """How many times as fast `over` was as `under`, for each repetition that has both: they ran in a row."""
    rates = {(run.who, run.repetition): run.per_cpu if per_cpu else run.rate for run in runs}
    both = sorted({repetition for who, repetition in rates if who == over and (under, repetition) in rates})
    return [rates[over, repetition] / rates[under, repetition] for repetition in both]


def text(results: Results) -> str:
    """The whole report."""
    parts = [
        _speed(results),
        _ratios(results),
        _latency(results.latency),
        _states(results.states),
        *_judging(results.judging),
        _machine(results),
    ]
    return "\n\n".join(part for part in parts if part)


def _speed(results: Results) -> str:
    by_who: dict[str, list[Run]] = {}
    for run in results.runs:
        by_who.setdefault(run.who, []).append(run)
    if not by_who and not results.absent:
        return ""
    head = ("", "events/s", "least", "most", "per CPU s", "alerts", "runs")
    rows = [(f"{who:<6} {NAMES[who]}", *_row(by_who[who])) for who in NAMES if who in by_who]
    notes = [f"{who:<6} {NAMES[who]}: {why}" for who, why in results.absent.items()]
    fewer = {run.who: run.events for run in results.runs if run.events < results.events}
    notes += [f"{who:<6} read the first {events:,} of them" for who, events in fewer.items()]
    title = f"{results.events:,} events of {results.jobs} jobs from a backlog, one core each; medians"
    return "\n".join([title, "", *_table(head, rows), *notes])


def _row(runs: Sequence[Run]) -> tuple[str, ...]:
    rates = [run.rate for run in runs]
    per_cpu = median(run.per_cpu for run in runs)
    alerts = runs[-1].alerts
    return (
        f"{median(rates):,.0f}",
        f"{min(rates):,.0f}",
        f"{max(rates):,.0f}",
        f"{per_cpu:,.0f}",
        "-" if alerts is None else str(alerts),
        str(len(runs)),
    )


def _ratios(results: Results) -> str:
    rows = []
    for under, aim in AIMS.items():
        found = ratios(results.runs, "e", under)
        if found:
            reached = "reached" if median(found) >= aim else "not reached"
            spread = f"{min(found):.2f} to {max(found):.2f}"
            per_cpu = median(ratios(results.runs, "e", under, per_cpu=True))
            rows.append((f"e/{under}", f"{median(found):.2f}", spread, f"aim {aim:g}: {reached}", f"{per_cpu:.2f}"))
    return "\n".join(_table(("", "ratio", "spread", "", "per CPU s"), rows)) if rows else ""


def _latency(latency: Latency | None) -> str:
    if latency is None:
        return ""
    if not latency.seconds:
        return f"Latency: none of {latency.missing} signals came"
    p50, p99 = percentile(latency.seconds, 0.5), percentile(latency.seconds, 0.99)
    reached = "reached" if p99 < LATENCY_AIM and not latency.missing else "not reached"
    return (
        f"Latency at {latency.rate:,} events/s, from produce to the signal consumed, {len(latency.seconds)} signals"
        f" ({latency.missing} missing):\n"
        f"p50 {p50 * 1000:.0f} ms, p99 {p99 * 1000:.0f} ms, most {max(latency.seconds) * 1000:.0f} ms"
        f" (aim: p99 below {LATENCY_AIM * 1000:.0f} ms: {reached})"
    )


def _states(states: Mapping[str, Sequence[int]]) -> str:
    rows = [
        (kind, f"{len(sizes):,}", f"{fmean(sizes):,.0f}", f"{max(sizes):,}") for kind, sizes in states.items() if sizes
    ]
    return "\n".join(_table(("State in Redis, bytes", "entities", "mean", "most"), rows)) if rows else ""


def _judging(judging: Judging | None) -> list[str]:
    if judging is None:
        return []
    apart = median(judging.apart)
    ways = (
        ("array pass, a call for each entity", judging.apart),
        ("array pass, one call for all", judging.together),
        ("River objects, seven signals", judging.objects),
        ("River objects, three signals", judging.lean),
    )
    rows = [
        (name, f"{median(taken) * 1e6:,.0f}", f"{min(taken) * 1e6:,.0f}", f"{max(taken) * 1e6:,.0f}")
        for name, taken in ways
    ]
    title = f"Judging {judging.series} series of a profile, {judging.entities} entities in a batch, processor time"
    times = median(river / own for river, own in zip(judging.objects, judging.apart, strict=True))
    lean = median(river / own for river, own in zip(judging.lean, judging.apart, strict=True))
    limits = (
        f"limit {PASS_LIMIT * 1e6:.0f} us, aim {PASS_AIM * 1e6:.0f}: {_kept(apart < PASS_LIMIT, apart < PASS_AIM)}\n"
        f"{times:.0f} times as fast as River objects of seven signals, {lean:.0f} times as those of three\n"
        f"limit {TIMES_LIMIT} times (seven signals), aim {TIMES_AIM}:"
        f" {_kept(times >= TIMES_LIMIT, times >= TIMES_AIM)}"
    )
    speed = "\n".join([title, "", *_table(("", "us a profile", "least", "most"), rows), limits])
    return [speed, _growth(judging.grown), _bytes(judging.bytes)]


def _kept(limit: bool, aim: bool) -> str:
    return "both reached" if aim else "the limit reached, the aim not" if limit else "not reached"


def _growth(grown: Iterable[Grown]) -> str:
    rows = [(f"{one.what:<7}", f"{one.columns:,}", f"{one.entities:,}", f"{one.seconds * 1e6:,.1f}") for one in grown]
    return "\n".join(_table(("How it grows", "columns", "entities", "us a profile"), rows))


def _bytes(sizes: Mapping[str, float]) -> str:
    rows = []
    for name, size in sizes.items():
        limit = BYTES_LIMITS.get(name)
        reached = "" if limit is None else f"limit {limit}: {'reached' if size <= limit else 'not reached'}"
        rows.append((name, f"{size:,.0f}", reached))
    return "\n".join(_table(("State, bytes a series", "", ""), rows))


def _machine(results: Results) -> str:
    return "\n".join(f"{name}: {value}" for name, value in results.machine.items())


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    lines = [head, *rows]
    widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
    return [
        "  ".join(
            cell.ljust(width) if at == 0 else cell.rjust(width)
            for at, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]
