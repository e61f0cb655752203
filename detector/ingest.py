"""The stateless stage: outside topics to the log. What one event becomes, and its position, are one transaction.

A record that cannot be read goes to the dead-letter topic. A registry that is down is waited for, place by place:
nothing is skipped, and no tick passes (see `ticks`) until what waits is in the log.
"""

import time
from collections.abc import Sequence
from threading import Event
from typing import NamedTuple

from detector.broker import Member, Place
from detector.codecs import Decoder, commands
from detector.core.commands import Commanded, receivers
from detector.core.events import DeadLetter, Record, encode, observations
from detector.deadletters import send_of
from detector.errors import CommitAborted, LogMoved, Unreachable
from detector.pace import Pace
from detector.seams import LARGEST, Committed, Send
from detector.signals import Signals

BATCH = 2_000
IDLE = 0.1
RETRY = 1.0
MOST_SENDS = 20_000
LARGE = 64 << 10  # bytes; what is smaller becomes nothing that is too large, and no command is larger


class Destination(NamedTuple):
    """The log, and how many partitions it has; what comes on the topic `commands` is a command, and nothing else is."""

    log: str
    partitions: int
    commands: str


class Ingest:
    """One member of the ingest group. `task` names this process in dead letters."""

    def __init__(
        self,
        member: Member,
        decoder: Decoder,
        destination: Destination,
        dead_letters: str,
        task: str,
        pace: Pace,
        signals: Signals,
    ) -> None:
        self._member, self._decoder, self._pace, self._signals = member, decoder, pace, signals
        self._to, self._dead_letters, self._task = destination, dead_letters, task
        self._sends: list[Send] = []
        self._positions: dict[Place, int] = {}
        self._committed: dict[Place, int] = {}
        self._pending: set[Place] = set()
        self._waiting: dict[Place, int] = {}
        self._retry_at = 0.0
        member.on_assigned = self._assigned
        member.on_revoked = self._revoked
        member.on_lost = self._lost

    def run(self, stop: Event) -> None:
        """Work until `stop` is set; then commit and leave the group. Raises `Fenced` and `LogMoved`."""
        while not stop.is_set():
            self.turn()
        self._member.close()

    def turn(self) -> None:
        """One round."""
        self._settle()
        records = self._member.poll(self._pace.least if self._sends else IDLE, BATCH)
        self._take(records)
        for place, end in self._member.ends.items():
            # Past the last record stand control markers: without this step the lag would be 1 for ever.
            if place in self._positions and place not in self._waiting:
                self._positions[place] = max(self._positions[place], end)
        now = time.monotonic()
        if len(self._sends) >= MOST_SENDS or self._pace.due(now, len(records) > BATCH // 2):
            self._pace.done(now)
            self._commit()
        if self._waiting and now - self._retry_at >= RETRY:
            self._retry_at = now
            self._retry()
        self._signals.ingest_alive(len(self._positions) - len(self._waiting), len(self._waiting))

    # ------------------------------------------------------------ records

    def _take(self, records: Sequence[Record]) -> None:
        kinds: dict[tuple[str, str], int] = {}
        for record in records:
            place = (record.topic, record.partition)
            if record.offset < self._positions.get(place, record.offset + 1) or place in self._waiting:
                continue
            try:
                kind = self._read(record)
            except Unreachable as error:
                self._wait(place, record.offset, error)
                continue
            kinds[record.topic, kind] = kinds.get((record.topic, kind), 0) + 1
            self._positions[place] = record.offset + 1
        for (topic, kind), count in kinds.items():
            self._signals.consumed(topic, kind, count)
        if kinds:
            self._signals.event_delay(max(time.time() - records[-1].timestamp, 0.0))

    def _read(self, record: Record) -> str:
        """One outside record into what it becomes. Returns the name of its kind, to count by."""
        if record.topic == self._to.commands:
            return self._command(record)
        event = self._decoder.decode(record)
        if isinstance(event, DeadLetter):
            return self._aside(event)
        sends = [
            Send(self._to.log, key.encode(), encode(observation))
            for key, observation in observations(event, record.timestamp)
        ]
        if len(record.value or b"") > LARGE and any(send.size > LARGEST for send in sends):
            return self._aside(DeadLetter(record, "size", f"what it becomes in the log is larger than {LARGEST} bytes"))
        self._sends += sends
        return type(event).__name__

    def _command(self, record: Record) -> str:
        if len(record.value or b"") > LARGE:
            return self._aside(DeadLetter(record, "size", f"a command is no larger than {LARGE} bytes"))
        command = commands.decode(record)
        if isinstance(command, DeadLetter):
            return self._aside(command)
        value = encode(Commanded(command))
        for key in receivers(command):
            if key is None:
                self._sends += [Send(self._to.log, None, value, partition=p) for p in range(self._to.partitions)]
            else:
                self._sends.append(Send(self._to.log, key.encode(), value))
        return type(command).__name__

    def _aside(self, letter: DeadLetter) -> str:
        self._sends.append(send_of(letter, self._dead_letters, self._task))
        self._signals.dead_lettered(letter)
        return "dead_letter"

    # ------------------------------------------------------------ positions

    def _commit(self) -> None:
        moved = {place: at for place, at in self._positions.items() if at != self._committed.get(place)}
        if not moved:
            return
        began = time.monotonic()
        try:
            self._member.commit(self._sends, {place: Committed(at) for place, at in moved.items()})
        except CommitAborted as error:
            # What is in memory was not written, or nobody knows: read again from where the group says.
            self._signals.commit_aborted("ingest", str(error))
            self._begin_anew(list(self._positions))
            return
        self._signals.committed("ingest", len(self._sends), time.monotonic() - began)
        self._committed.update(moved)
        self._sends = []

    def _begin_anew(self, places: Sequence[Place]) -> None:
        self._sends = []
        for place in places:
            self._positions.pop(place, None)
            self._waiting.pop(place, None)
            self._pending.add(place)

    def _settle(self) -> None:
        """Begin to read new places, from their committed positions or, when they have none, from their start."""
        if not self._pending:
            return
        places = sorted(self._pending)
        try:
            committed = self._member.committed(places)
            for place in places:
                self._begin(place, committed.get(place))
        except Unreachable as error:
            self._signals.ingest_waits("", str(error))

    def _begin(self, place: Place, committed: Committed | None) -> None:
        low = self._member.low(*place)
        if committed is not None and committed.offset < low:
            raise LogMoved(
                f"{place[0]}/{place[1]}: records from {committed.offset} to {low} were deleted before they were read;"
                " `detector reset` accepts the loss"
            )
        at = committed.offset if committed is not None else low
        self._member.seek(*place, at)
        self._member.resume([place])
        self._positions[place] = at
        if committed is not None:
            self._committed[place] = at
        self._pending.discard(place)

    def _wait(self, place: Place, offset: int, error: Unreachable) -> None:
        """The registry is away: this place stands still at this record, the others go on."""
        self._waiting[place] = offset
        self._member.pause([place])
        self._signals.ingest_waits(f"{place[0]}/{place[1]}", str(error))

    def _retry(self) -> None:
        for place, offset in sorted(self._waiting.items()):
            del self._waiting[place]
            self._member.seek(*place, offset)
            self._member.resume([place])

    # ------------------------------------------------------------ the group

    def _assigned(self, places: list[Place]) -> None:
        self._pending.update(places)

    def _revoked(self, places: list[Place]) -> None:
        self._commit()
        self._lost(places)

    def _lost(self, places: list[Place]) -> None:
        """What is in memory of other places cannot be told apart any more, if it was not committed: read it again."""
        if self._sends:
            self._begin_anew([place for place in self._positions if place not in places])
        for place in places:
            for kept in (self._positions, self._committed, self._waiting):
                kept.pop(place, None)
            self._pending.discard(place)
