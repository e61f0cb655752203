"""`detector execute`: asks an executor for the runs of open recovery plans, each when its turn comes.

    control topic ─▶ reader ─▶ the newest version of each open plan ─▶ executor, a few runs at a time

Nothing is kept: a position is committed only when its plan says that all is done which it lets be asked for, so after a
restart the same is asked again, and the executor, who looks first, does it once. A version of a plan says what is done;
so that no old version is acted on, nothing is asked for before the reader has seen the end of the topic.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Event
from typing import Final, Protocol

import msgspec

from detector.core.events import Record
from detector.core.messages import Redo
from detector.core.recovery import RecoveryPlan
from detector.errors import ExecutorBusy, RedoRefused
from detector.executors import Executor, Requested, Status
from detector.plans import TYPE, Ask, ready
from detector.sinks import cloudevents

Place = tuple[str, int]
POLL: Final = 0.2
LOOK: Final = 5.0  # seconds until it is asked again what became of the runs that go on
COMMIT: Final = 1.0


class Reader(Protocol):
    """A member of a group that reads the control topic."""

    @property
    def places(self) -> frozenset[Place]:
        """The (topic, partition) places that this member has now."""

    @property
    def caught_up(self) -> bool:
        """Whether the end of every place was seen."""

    def poll(self, timeout: float) -> list[Record]:
        """The next records, waiting up to `timeout` seconds. Raises `Unreachable` when Kafka refuses."""

    def commit(self, positions: Mapping[Place, int]) -> None:
        """Keep where to go on. Raises `ExecutorBusy` when Kafka does not take it now."""


class Signals(Protocol):
    """What it tells of itself; `telemetry` makes log lines of it."""

    def plan_taken(self, plan: RecoveryPlan) -> None:
        """A new version of a plan was read."""

    def plan_unreadable(self, partition: int, offset: int, why: str) -> None:
        """An event of a plan is none; it is left out."""

    def redo_requested(self, ask: Ask, requested: Requested) -> None:
        """A run was asked for, or goes on already."""

    def redo_refused(self, ask: Ask, why: str) -> None:
        """A run cannot be redone by the executor: somebody must look."""

    def redo_ended(self, ask: Ask, requested: Requested, status: Status) -> None:
        """A run that was asked for does not go on any more."""

    def executor_waits(self, why: str) -> None:
        """The executor, or Kafka, does not answer, or not now; it is asked again."""


@dataclass(slots=True)
class Held:
    """An open plan, where its newest version stands, and which of its runs were asked for by this process."""

    plan: RecoveryPlan
    place: Place
    offset: int
    asked: set[tuple[str, Redo]] = field(default_factory=set)


class Execution:
    """The loop. `ours` says of a job whether the executor has it; `parallel` is how many runs may go on at a time."""

    def __init__(
        self,
        reader: Reader,
        executor: Executor,
        ours: Callable[[str], bool],
        parallel: int,
        signals: Signals,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._reader, self._executor, self._signals = reader, executor, signals
        self._ours, self._parallel, self._clock = ours, parallel, clock
        self._held: dict[str, Held] = {}
        self._going: list[tuple[Ask, Requested]] = []
        self._next: dict[Place, int] = {}
        self._committed: dict[Place, int] = {}
        self._checked = False
        self._wait_until = self._look_at = self._commit_at = 0.0

    def run(self, stop: Event) -> None:
        """Go on until told to stop. Raises `Unreachable` for what only an operator can mend."""
        while not stop.is_set():
            self.step()
        with suppress(ExecutorBusy):  # the next process asks again what was asked for since
            self._commit()

    def step(self) -> None:
        """One round: read, ask, commit."""
        for record in self._reader.poll(POLL):
            self._take(record)
        self._keep_to(self._reader.places)
        now = self._clock()
        if now < self._wait_until:
            return
        try:
            if self._reader.caught_up:
                self._turn(now)
            if now >= self._commit_at:
                self._commit_at = now + COMMIT
                self._commit()
        except ExecutorBusy as error:
            self._signals.executor_waits(str(error))
            self._wait_until = now + error.retry_after

    # ------------------------------------------------------------ reading

    def _take(self, record: Record) -> None:
        place = (record.topic, record.partition)
        self._next[place] = record.offset + 1
        plan = self._plan_in(record)
        known = None if plan is None else self._held.get(plan.plan)
        if plan is None or (known is not None and plan.version < known.plan.version):
            return
        self._signals.plan_taken(plan)
        if plan.state != "open":
            self._held.pop(plan.plan, None)
        else:
            asked = known.asked if known is not None else set()
            self._held[plan.plan] = Held(plan, place, record.offset, asked)

    def _plan_in(self, record: Record) -> RecoveryPlan | None:
        """None for any other event, of which most are not even decoded."""
        if ("ce_type", TYPE.encode()) not in record.headers:
            return None
        try:
            return msgspec.convert(cloudevents.decode(record)["data"], RecoveryPlan)
        except (cloudevents.NotCloudEvent, msgspec.ValidationError) as error:
            self._signals.plan_unreadable(record.partition, record.offset, str(error))
            return None

    def _keep_to(self, places: frozenset[Place]) -> None:
        """What another member has now is that member's."""
        self._held = {name: held for name, held in self._held.items() if held.place in places}
        self._next = {place: at for place, at in self._next.items() if place in places}
        self._committed = {place: at for place, at in self._committed.items() if place in places}

    # ------------------------------------------------------------ asking

    def _turn(self, now: float) -> None:
        if not self._checked:
            self._executor.check()
            self._checked = True
        if self._going and now >= self._look_at:
            self._look()
            self._look_at = now + LOOK
        for held in sorted(self._held.values(), key=lambda held: (held.plan.opened, held.plan.plan)):
            for ask in self._left(held):
                if len(self._going) >= self._parallel:
                    return
                self._ask(ask)
                held.asked.add((ask.job, ask.run))

    def _left(self, held: Held) -> Iterator[Ask]:
        """What may be asked for and was not yet."""
        for ask in ready(held.plan):
            if (ask.job, ask.run) not in held.asked and self._ours(ask.job):
                yield ask

    def _ask(self, ask: Ask) -> None:
        try:
            requested = self._executor.redo(ask)
        except RedoRefused as error:
            self._signals.redo_refused(ask, str(error))
            return
        self._going.append((ask, requested))
        self._signals.redo_requested(ask, requested)

    def _look(self) -> None:
        """Forget the runs that have ended; a plan learns of them from their own events."""
        for ask, requested in list(self._going):
            status = self._executor.status(requested)
            if status != "running":
                self._going.remove((ask, requested))
                self._signals.redo_ended(ask, requested, status)

    # ------------------------------------------------------------ committing

    def _commit(self) -> None:
        """Up to the first event whose plan lets us ask for something that it has not seen done."""
        positions = dict(self._next)
        for held in self._held.values():
            if held.place in positions and any(self._ours(ask.job) for ask in ready(held.plan)):
                positions[held.place] = min(positions[held.place], held.offset)
        changed = {place: at for place, at in positions.items() if self._committed.get(place) != at}
        if changed:
            self._reader.commit(changed)
            self._committed |= changed
