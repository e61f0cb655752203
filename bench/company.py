"""The events that everybody gets: runs of the jobs of one company, as native Avro.

A run is a START and, minutes later, a COMPLETE with what it read and wrote. With the duration, that is six numbers of
a run: the same six that each contender judges. One run in 500 writes next to nothing, which all of them should find.
"""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Final

from detector.codecs.encoding import encode_run_event
from detector.core.events import Dataset, RunEvent

NAMESPACE: Final = "airflow://acme"
PERIOD: Final = 1_800.0  # seconds between two runs of a job
BAD: Final = 1 / 500


@dataclass(frozen=True, slots=True)
class Message:
    """A record of the input topic. `at` is when it arrived, in seconds since 1970."""

    key: bytes
    value: bytes
    at: float


def messages(events: int, jobs: int, until: float, seed: int = 1) -> list[Message]:
    """A backlog of `events` records that ends at `until`, in the order in which they happened."""
    dice = random.Random(seed)
    runs = -(-events // (2 * jobs))
    began = until - (runs + 1) * PERIOD
    scheduled: list[tuple[float, int, RunEvent]] = []
    number = 0
    for run in range(runs):
        for job in range(jobs):
            start = began + run * PERIOD + job * PERIOD / jobs + dice.uniform(0, 20)
            for event in run_of(dice, f"shop.load_{job:03d}", start, 1e5 * (1 + job % 10)):
                number += 1
                heappush(scheduled, (event.event_time, number, event))
    return [message(heappop(scheduled)[2]) for _ in range(events)]


def run_of(dice: random.Random, job: str, start: float, size: float) -> Iterator[RunEvent]:
    """The two events of one run of a job that usually writes `size` rows."""
    run = f"{dice.getrandbits(128):032x}"
    duration = dice.gauss(300, 15)
    read = dice.gauss(size, size / 50)
    written = read * (0.001 if dice.random() < BAD else 0.9)
    yield RunEvent(NAMESPACE, job, run, "START", start)
    yield RunEvent(
        NAMESPACE,
        job,
        run,
        "COMPLETE",
        start + duration,
        inputs=(Dataset("postgres://db:5432", f"public.{job}", round(read)),),
        outputs=(Dataset("snowflake://acme", f"DWH.{job}", round(written), round(written * dice.gauss(120, 1))),),
        metrics={"cpu_seconds": duration * dice.gauss(0.6, 0.02), "peak_memory": dice.gauss(2e9, 5e7)},
    )


def failure(job: str, at: float) -> RunEvent:
    """A run of which nothing is known but that it failed."""
    return RunEvent(NAMESPACE, job, f"{job}-{at:.6f}", "FAIL", at, error="division by zero")


def message(event: RunEvent) -> Message:
    """The record of an event, which comes a second after it happened."""
    return Message(event.name.encode(), encode_run_event(event), event.event_time + 1.0)
