"""Tells the detector of runs and profiles, and never stands in the way of whoever does so.

What is told goes into a bounded queue in memory, from which librdkafka sends it, idempotently, in the background.
Whatever cannot be told, for whatever reason, is counted and said once in the log: a pipeline must not fail since
nobody could be told how it went. Records are Detector's own JSON, which docs/inputs.md describes.
"""

import atexit
import logging
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

import msgspec

from detector.client.choosing import Where, configuration
from detector.client.telling import Number, Run, Time, hashed, names, now, table

if TYPE_CHECKING:
    from confluent_kafka import KafkaError, Message, Producer

LOG = logging.getLogger("detector.client")
LARGEST: Final = 8 << 20  # bytes of a record that the topics of Detector take
QUEUE: Final = 64 << 10  # kilobytes that wait at most
RUNS, PROFILES = "pipeline.run-events", "pipeline.profiles"

# Producers of the process that this one was forked from: to end them here would wait for threads that are there.
_OTHERS: list["Producer"] = []


class Emitter:
    """Sends run events and profiles. For any thread; a process that was forked has a producer of its own.

    Where Kafka is comes from `kafka` (addresses of brokers), else from the environment or a detector.yaml. `capacity`
    is how many records wait at most while Kafka is away; more are lost, and counted. `close` it, or use it in a `with`:
    what is left when the program ends has `at_exit` seconds. `delivered` and `failed` count records.
    """

    def __init__(
        self,
        *,
        kafka: str | None = None,
        config: str | Path | None = None,
        runs: str = RUNS,
        profiles: str = PROFILES,
        capacity: int = 10_000,
        at_exit: float = 5.0,
    ) -> None:
        """`runs` and `profiles` are the topics. Raises `ConfigError`."""
        self.runs, self.profiles = runs, profiles
        self.delivered = self.failed = 0
        self._settings = _settings(Where(kafka=kafka, config=None if config is None else Path(config)), capacity)
        self._at_exit = at_exit
        self._lock, self._pid = Lock(), 0
        self._producer: Producer | None = None

    def run(self, job: str, **about: Any) -> Run:
        """A run to be used in a `with`; what can be said of it is what `Run` takes. Raises `ValueError`."""
        return Run(lambda key, make: self.send(self.runs, key, make), job, **about)

    def profile(
        self,
        dataset: str,
        statistics: Mapping[str, Mapping[str, Number]] | None = None,
        *,
        rows: Number = None,
        top_values: Mapping[str, Mapping[str, Number]] | None = None,
        at: Time | None = None,
        **about: Any,
    ) -> None:
        """Tell the statistics of a set of rows, by column and by the name of the statistic.

        `at` is when it was profiled, now unless said. `about` are further fields of a profile: `grain`, `partition`,
        `window_start`, `window_end`, `run_id`, `bytes`, `version`, `schema`. Values in `top_values` leave as hashes.
        Raises `ValueError` for a dataset that is none.
        """
        namespace, name = names(dataset, "dataset")
        when = now() if at is None else at

        def make() -> dict[str, Any]:
            return {
                "kind": "profile",
                "namespace": namespace,
                "name": name,
                "event_time": when,
                "rows": None if rows is None else float(rows),
                **table(statistics or {}),
                "top_values": hashed(top_values or {}),
                **about,
            }

        self.send(self.profiles, dataset, make)

    def send(self, topic: str, key: str, make: Callable[[], Mapping[str, Any]]) -> None:
        """Put what `make` makes into the queue. Never raises, and never waits."""
        try:
            value = msgspec.json.encode(make())
            producer = self._open()
            producer.produce(topic, value, key.encode(), on_delivery=self._delivered)
            producer.poll(0)
        except Exception as error:  # noqa: BLE001 - whatever it is, the pipeline goes on
            self._fail(f"{type(error).__name__}: {error}")

    def close(self, timeout: float = 10.0) -> int:
        """Wait until all is delivered, `timeout` seconds at most. Returns how many were not, which are lost."""
        atexit.unregister(self._exit)
        with self._lock:
            producer, self._producer = self._producer, None
        if producer is None or self._pid != os.getpid():
            return 0
        left = producer.flush(timeout)
        if left:
            producer.purge()
            producer.poll(0)  # hear of those that were given up
        return left

    async def aclose(self, timeout: float = 10.0) -> int:
        """The same, beside the event loop."""
        import asyncio

        return await asyncio.to_thread(self.close, timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _open(self) -> "Producer":
        from confluent_kafka import Producer

        with self._lock:
            if self._producer is not None and self._pid != os.getpid():
                _OTHERS.append(self._producer)
                self._producer = None
            if self._producer is None:
                self._producer, self._pid = Producer(self._settings), os.getpid()
                atexit.register(self._exit)
            return self._producer

    def _delivered(self, error: "KafkaError | None", _: "Message") -> None:
        if error is None:
            self.delivered += 1
            return
        self._fail(f"Kafka: {error.str()}")
        if error.fatal():  # this producer sends nothing any more; the next record has a new one
            self._producer = None

    def _fail(self, why: str) -> None:
        self.failed += 1
        if self.failed == 1:
            LOG.warning("the detector is not told of everything; nothing else is affected: %s", why)

    def _exit(self) -> None:
        if left := self.close(self._at_exit):
            LOG.warning("%d events were not delivered within %g s, and are lost", left, self._at_exit)


def _settings(where: Where, capacity: int) -> dict[str, Any]:
    from detector.settings import kafka_settings

    return {
        "linger.ms": 20,
        **kafka_settings(configuration(where, os.environ)),
        "log_level": 0,  # what is wrong is said once, in the log of the pipeline
        "enable.idempotence": True,
        "acks": "all",
        "partitioner": "murmur2_random",
        "message.max.bytes": LARGEST,
        "queue.buffering.max.messages": capacity,
        "queue.buffering.max.kbytes": QUEUE,
    }
