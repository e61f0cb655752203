"""Time as data: the author of ticks.

A tick T in a partition of the log says "all that had arrived outside before T is in the log". So its author takes T,
reads the ends of all outside partitions, and appends the tick once ingest's committed positions have reached them.
While ingest is down, behind, or waits for a registry, no tick passes: time stands still, visibly, and no deadline
fires over a backlog.
"""

from collections.abc import Callable, Sequence
from threading import Event

from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from detector.broker import ANSWER, PRODUCER, Place, Settings
from detector.core.events import Tick, encode
from detector.errors import Unreachable
from detector.signals import Signals

LOOK = 0.05


class TickAuthor:
    """Appends ticks to the partitions of the log that `partitions` names, every `every` seconds of `clock`.

    `clock` gives seconds since 1970. The end of an outside partition is its high watermark, not the last stable offset:
    what stands behind an open transaction has arrived, though nobody can read it yet.
    """

    def __init__(
        self,
        settings: Settings,
        inputs: Sequence[str],
        ingest_group: str,
        log: str,
        partitions: Callable[[], Sequence[int]],
        every: float,
        clock: Callable[[], float],
        signals: Signals,
        look: float = LOOK,
    ) -> None:
        self._inputs, self._log, self._partitions = inputs, log, partitions
        self._every, self._clock, self._signals, self._look = every, clock, signals, look
        self._ends = Consumer({**settings, "group.id": ingest_group, "isolation.level": "read_uncommitted"})
        self._ingest = Consumer({**settings, "group.id": ingest_group, "isolation.level": "read_committed"})
        self._producer = Producer({**settings, **PRODUCER, "linger.ms": 0})
        self._pending: tuple[float, dict[Place, int]] | None = None
        self._last = 0.0

    def run(self, stop: Event) -> None:
        """Author ticks until `stop` is set."""
        while not stop.wait(self._look):
            self.turn()
        self._producer.flush(ANSWER)
        self._ends.close()
        self._ingest.close()

    def turn(self) -> None:
        """Take a time if one is due; append the tick of the time that was taken, if ingest has come so far."""
        now = self._clock()
        self._signals.time_lag(now - self._last if self._last else 0.0)
        try:
            if self._pending is None:
                if now < self._last + self._every:
                    return
                self._pending = (now, self._read_ends())
            at, ends = self._pending
            if self._reached(ends):
                self._append(at)
                self._pending, self._last = None, at
        except (KafkaException, Unreachable) as error:
            self._pending = None
            self._signals.ticks_wait(str(error))

    def _read_ends(self) -> dict[Place, int]:
        known = self._ends.list_topics(timeout=ANSWER).topics
        ends: dict[Place, int] = {}
        for topic in self._inputs:
            for partition in known[topic].partitions if topic in known else ():
                low, high = self._ends.get_watermark_offsets(
                    TopicPartition(topic, partition), timeout=ANSWER, cached=False
                )
                if high > low:
                    ends[topic, partition] = high
        return ends

    def _reached(self, ends: dict[Place, int]) -> bool:
        if not ends:
            return True
        found = self._ingest.committed([TopicPartition(*place) for place in ends], timeout=ANSWER)
        behind = {(at.topic, at.partition): max(ends[at.topic, at.partition] - max(at.offset, 0), 0) for at in found}
        self._signals.ingest_lag(sum(behind.values()))
        return not any(behind.values())

    def _append(self, at: float) -> None:
        value = encode(Tick(at))
        for partition in self._partitions():
            self._producer.produce(self._log, value=value, partition=partition)
        if self._producer.flush(ANSWER):
            raise Unreachable("ticks were not written in time")
        self._signals.ticked(at)
