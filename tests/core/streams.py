"""Streams of runs as real schedulers send them, clean and dirty: told twice, and out of order within a run."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from random import Random

from hypothesis import strategies as st

from detector.core.events import Assertion, Dataset, RunEvent, RunState
from tests.core.world import DAY, HOUR, MONDAY, World

WARM = 16
JITTER, DELAY = 30.0, 60.0


@dataclass(frozen=True)
class Told:
    """An event, and when it arrives."""

    event: RunEvent
    arrives: float


@dataclass(frozen=True)
class Shape:
    """What happens in one run of an hourly job, and what its scheduler says of it."""

    state: RunState = "COMPLETE"
    rows: float | None = 1_000.0
    takes: float = 120.0
    says: tuple[str, ...] = ("START",)
    passes: bool | None = None
    cleared: bool = False
    skipped: bool = False


shapes = st.builds(
    Shape,
    state=st.sampled_from(["COMPLETE", "COMPLETE", "COMPLETE", "FAIL", "ABORT"]),
    rows=st.sampled_from([1_000.0, 1_000.0, 1_000.0, 600.0, 20.0, 0.0, 50_000.0, None]),
    takes=st.sampled_from([120.0, 120.0, 120.0, 700.0, 0.0]),
    says=st.sampled_from([("START",), ("START",), ("OTHER", "START", "RUNNING"), ("START", "RUNNING", "OTHER"), ()]),
    passes=st.sampled_from([None, None, True, False]),
    cleared=st.booleans(),
    skipped=st.sampled_from([False, False, False, False, True]),
)
jobs = st.lists(shapes, min_size=1, max_size=8)
companies = st.lists(jobs, min_size=1, max_size=3)


def runs(job: int, shapes: list[Shape]) -> list[list[Told]]:
    """The events of each attempt of each run of a job, in order: some quiet hours, then what the shapes say."""
    found: list[list[Told]] = []
    for number, shape in enumerate([Shape()] * WARM + shapes):
        at = MONDAY + number * HOUR + job * 240 + (number * 7) % JITTER
        if not shape.skipped:
            found.append(_attempt(job, number, replace(shape, rows=_noisy(shape.rows, number)), at))
        if shape.cleared and not shape.skipped:
            again = replace(shape, state="COMPLETE", rows=_noisy(1_000.0, number + 3), takes=100.0, passes=True)
            found.append(_attempt(job, number, again, at + 1_200))
    return found


def _noisy(rows: float | None, number: int) -> float | None:
    return rows if rows is None else rows * (1 + number % 5 / 100)


def _attempt(job: int, number: int, shape: Shape, at: float) -> list[Told]:
    checks = () if shape.passes is None else (Assertion("unique", shape.passes),)
    written = (Dataset("db", f"t{job}", rows=shape.rows, assertions=checks),)
    step = shape.takes / (len(shape.says) + 1)
    told = [
        RunEvent("ns", f"j{job}", f"j{job}-{number}", state, at + n * step, metrics={"cost": 5.0} if n else {})  # type: ignore[arg-type]
        for n, state in enumerate(shape.says)
    ]
    told.append(RunEvent("ns", f"j{job}", f"j{job}-{number}", shape.state, at + shape.takes, outputs=written))
    return [Told(event, event.event_time) for event in told]


def clean(company: list[list[Shape]]) -> list[Told]:
    """Every event once, in order, when it happens."""
    return _in_order(told for job, shapes in enumerate(company) for run in runs(job, shapes) for told in run)


def dirty(company: list[list[Shape]], seed: int) -> list[Told]:
    """The same events, late by up to a minute each, so that those of a run come in any order; and many of them again,
    at once or up to two days later."""
    random = Random(seed)
    found: list[Told] = []
    for job, shapes in enumerate(company):
        for run in runs(job, shapes):
            late = [Told(told.event, told.arrives + random.choice((0.0, random.uniform(0, DELAY)))) for told in run]
            again = [
                Told(told.event, told.arrives + random.choice((0.1, random.uniform(0, 2 * DAY))))
                for told in late
                if random.random() < 0.5
            ]
            found += late + again
    return _in_order(found)


def _in_order(told: Iterable[Told]) -> list[Told]:
    return sorted(told, key=lambda one: one.arrives)


def play(world: World, stream: list[Told], end: float) -> World:
    """Let a world see a stream, with a tick every minute until two hours after `end`; the rest of it, and time itself,
    come after that with ticks three days apart."""
    clock = MONDAY - HOUR
    for told in stream:
        while clock + 60 <= min(told.arrives, end + 2 * HOUR):
            clock += 60
            world.tick(clock)
        world.tell(told.event, told.arrives)
    while clock + 60 <= end + 2 * HOUR:
        clock += 60
        world.tick(clock)
    for days in (3, 6):
        world.tick(end + days * DAY)
    return world
