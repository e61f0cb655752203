"""The company at work, with faults: what happens depends on what the breakers say, as it would in a real one.

Each job waits for what it reads to be there for its slot (as a scheduler's dependencies demand), and asks the breakers
of its inputs and its own before it starts. A breaker that is open stops it; one that is half-open lets the job itself
run as the probe, and makes its readers wait for the outcome.
"""

import heapq
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from random import Random

from detector.core.breaker import State
from detector.core.events import RunEvent
from detector.demo.company import (
    HOUR,
    JOBS,
    MINUTE,
    WRITER,
    Job,
    Planned,
    completed,
    entity_of,
    failed,
    plan,
    started,
)
from detector.demo.faults import FACTOR, LOADS, SLOW, Deck, Fault, Kind, related

Breakers = Callable[[str], State]
EVERY, WINDOW = 35 * MINUTE, 45 * MINUTE
SETTLED = 2.5 * HOUR
KILLED_AFTER = 50 * MINUTE
REPAIRED_AFTER = 40 * MINUTE
RETRY_AFTER = 2 * MINUTE
RUNS_OF_A_SCHEDULE = 17


@dataclass(frozen=True, slots=True)
class Sent:
    """An event that the company sends."""

    at: float
    event: RunEvent


@dataclass(frozen=True, slots=True)
class Injected:
    """A fault begins."""

    at: float
    fault: Fault


@dataclass(frozen=True, slots=True)
class Held:
    """A job does not start: `entity` is the one whose breaker holds it, or whose breaker holds what it waits for."""

    at: float
    job: Job
    slot: float
    entity: str
    directly: bool


Happening = Sent | Injected | Held


@dataclass(slots=True)
class Line:
    """What the scheduler knows of one job.

    `delivered` is the last slot whose run went to its end; `held_by` the entity whose breaker the job last waited for,
    at `held_slot`. Before `irregular_until` nobody can expect a late run to be noticed: the job has just come out of
    step.
    """

    delivered: float
    running: bool = False
    held_by: str | None = None
    held_slot: float = 0.0
    irregular_until: float = 0.0


class Simulation:
    """All jobs from `begin` on; before that, everything went well. A function of the seed and what breakers say."""

    def __init__(self, seed: int, begin: float, last_fault: float = math.inf) -> None:
        """No fault is planned for a run that is due after `last_fault`."""
        self.faults: list[Fault] = []
        self._seed = seed
        self._last_fault = last_fault
        self._deck = Deck(Random(f"{seed}/faults"))
        self._pace = Random(f"{seed}/pace")
        self._todo: list[tuple[float, int, Callable[[float], None]]] = []
        self._order = count()
        self._lines = {job.key: Line(job.last_slot(begin - 1) or 0.0) for job in JOBS}
        self._health: dict[str, float] = {}
        self._said: list[Happening] = []
        self._state: Breakers = _all_closed
        for job in JOBS:
            self._at(job.next_slot(begin), partial(self._due, job))
        self._at(begin, self._choose_fault)

    def advance(self, until: float, state: Breakers) -> list[Happening]:
        """Let everything happen up to `until`; what happened, in order. `state` is how the breaker of an entity is."""
        self._state, self._said = state, []
        while self._todo and self._todo[0][0] <= until:
            at, _, action = heapq.heappop(self._todo)
            action(at)
        return self._said

    def _at(self, at: float, action: Callable[[float], None]) -> None:
        heapq.heappush(self._todo, (at, next(self._order), action))

    # ------------------------------------------------------------ the scheduler

    def _due(self, job: Job, slot: float) -> None:
        self._at(job.next_slot(slot + 1), partial(self._due, job))
        fault = self._fault_of(job, slot)
        run = plan(self._seed, job, slot)
        if fault is not None and fault.kind == "late":
            self._out_of_step(job, slot)
            self._inject(fault, run.start)
        else:
            self._at(run.start, partial(self._try, run, fault))

    def _try(self, run: Planned, fault: Fault | None, at: float) -> None:
        """Start the run, if all that it waits for is there; else look again in a minute, for a while."""
        line = self._lines[run.job.key]
        if line.running or self._waits(run.job, run.slot, at):
            if at < run.slot + min(run.job.period / 2, 5 * HOUR):
                self._at(at + MINUTE, partial(self._try, run, fault))
                return
            self._out_of_step(run.job, at)
            if fault is not None:
                self.faults.remove(fault)
                self._deck.put_back(fault)
            return
        if at > run.start:
            self._out_of_step(run.job, at)
        self._start(run, fault, at)

    def _waits(self, job: Job, slot: float, at: float) -> bool:
        """Whether a breaker stops the job, or what it reads is not there for this slot."""
        for entity in self._stopping(job):
            self._hold(job, slot, at, entity, directly=True)
            return True
        for name in job.reads:
            writer = WRITER.get(name)
            needed = None if writer is None else writer.last_slot(slot)
            if writer is None or needed is None or self._lines[writer.key].delivered >= needed:
                continue
            behind = self._lines[writer.key]
            if behind.held_by is not None and behind.held_slot >= needed:
                self._hold(job, slot, at, behind.held_by, directly=False)
            return True
        return False

    def _stopping(self, job: Job) -> Iterator[str]:
        if self._state(job.key) is State.OPEN:
            yield job.key
        for name in job.reads:
            if self._state(entity_of(name)) in (State.OPEN, State.HALF_OPEN):
                yield entity_of(name)

    def _hold(self, job: Job, slot: float, at: float, entity: str, directly: bool) -> None:
        line = self._lines[job.key]
        if line.held_slot < slot:
            self._said.append(Held(at, job, slot, entity, directly))
        line.held_by, line.held_slot = entity, slot

    def _out_of_step(self, job: Job, at: float) -> None:
        self._lines[job.key].irregular_until = at + RUNS_OF_A_SCHEDULE * job.period

    # ------------------------------------------------------------ runs

    def _start(self, run: Planned, fault: Fault | None, at: float) -> None:
        self._lines[run.job.key].running = True
        self._say(started(run, at))
        run = self._reads(run)
        seconds = run.end - run.start
        if fault is None:
            self._at(at + seconds, partial(self._complete, run, None))
            return
        match fault.kind:
            case "failed_run":
                self._at(at + seconds * 0.6, partial(self._fail, run, fault))
            case "hanging_run":
                self._inject(fault, at)
                self._at(at + KILLED_AFTER, partial(self._kill, run))
            case "slow_run":
                self._inject(fault, at)
                self._at(at + seconds * SLOW, partial(self._complete, run, fault))
            case "retries":
                self._out_of_step(run.job, at)
                self._at(at + seconds * 0.4, partial(self._retry, run, fault, 2))
            case _:
                self._at(at + seconds, partial(self._complete, run, fault))

    def _complete(self, run: Planned, fault: Fault | None, at: float) -> None:
        line = self._lines[run.job.key]
        line.running, line.delivered = False, max(line.delivered, run.slot)
        factor = FACTOR.get(fault.kind, 1.0) if fault else 1.0
        self._health.update(dict.fromkeys(run.rows, run.factor * factor))
        self._say(completed(run, at, factor))
        if fault is not None and fault.kind in LOADS:
            self._inject(fault, at)
            self._repair(run, at)
        else:
            self._well_again(run.job, at)

    def _fail(self, run: Planned, fault: Fault, at: float) -> None:
        self._lines[run.job.key].running = False
        self._say(failed(run, "FAIL", at, "OperationalError: connection reset by peer"))
        self._inject(fault, at)
        self._repair(run, at)

    def _kill(self, run: Planned, at: float) -> None:
        self._lines[run.job.key].running = False
        self._say(failed(run, "ABORT", at, "killed by the engineer on call"))
        self._repair(run, at)

    def _retry(self, run: Planned, fault: Fault, left: int, at: float) -> None:
        """Fail, and start the same run again after a while; the last attempt goes well."""
        self._say(failed(run, "FAIL", at, "HTTPError: 503 Service Unavailable"))
        if fault.injected_at is None:
            self._inject(fault, at)
        again = at + RETRY_AFTER
        seconds = run.end - run.start
        self._at(again, lambda at: self._say(started(run, at)))
        if left > 1:
            self._at(again + seconds * 0.4, partial(self._retry, run, fault, left - 1))
        else:
            self._at(again + seconds, partial(self._complete, run, fault))

    def _repair(self, run: Planned, at: float) -> None:
        """Nobody waits until tomorrow for a daily job: the engineer on call runs it again. Hourly ones come round."""
        if run.job.hour is not None:
            again = plan(self._seed, run.job, run.slot, attempt=2)
            self._at(at + REPAIRED_AFTER, partial(self._try, again, None))

    def _reads(self, run: Planned) -> Planned:
        """Bad input makes bad output: the run as it goes on what its inputs hold now."""
        factor = math.prod(self._health.get(name, 1.0) for name in run.job.reads)
        return replace(run, factor=factor)

    def _say(self, event: RunEvent) -> None:
        self._said.append(Sent(event.event_time, event))

    # ------------------------------------------------------------ faults

    def _choose_fault(self, at: float) -> None:
        self._at(at + EVERY * self._pace.uniform(0.8, 1.2), self._choose_fault)
        fault = self._deck.draw(at + MINUTE, min(at + WINDOW, self._last_fault), partial(self._may_have, at))
        if fault is not None:
            self.faults.append(fault)

    def _may_have(self, at: float, job: Job, kind: Kind) -> bool:
        """Faults that could be mistaken for one another are kept apart."""
        if kind == "late" and at < self._lines[job.key].irregular_until:
            return False
        return not any(related(job, fault.job) for fault in self.faults if not _settled(fault, at))

    def _fault_of(self, job: Job, slot: float) -> Fault | None:
        return next((fault for fault in self.faults if fault.job is job and fault.slot == slot), None)

    def _inject(self, fault: Fault, at: float) -> None:
        fault.injected_at = at
        self._said.append(Injected(at, fault))

    def _well_again(self, job: Job, at: float) -> None:
        for fault in self.faults:
            if fault.job is job and fault.injected_at is not None and fault.cleared_at is None:
                fault.cleared_at = at


def _all_closed(_: str) -> State:
    return State.CLOSED


def _settled(fault: Fault, at: float) -> bool:
    return fault.cleared_at is not None and at > fault.cleared_at + SETTLED
