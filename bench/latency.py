"""From an event produced to its signal consumed, while events come evenly."""

import random
import time
from threading import Event, Thread

from confluent_kafka import OFFSET_BEGINNING, Consumer, Producer, TopicPartition

from bench.company import NAMESPACE, Message, failure, message, run_of
from bench.machine import ANSWER, Machine
from bench.measure import Daemon, Meter
from bench.report import Latency
from detector.core.events import job_key

SHARE = 50  # one event in so many is a failure that must be told
JOBS = 200
WARM_UP = 2.0  # seconds of events before those that are measured
PATIENCE = 10.0


def latency(machine: Machine, rate: int, seconds: float, partitions: int) -> Latency:
    """Run the daemon, send it `rate` events a second, and see when each failure is told."""
    topic = "bench-latency-in"
    machine.topic(topic, partitions)
    tested = Daemon(machine, "bench-latency", topic)
    meter = Meter(tested.start())
    try:
        heads = Heads(machine, tested)
        _send(machine, topic, [_event("warm-up", time.time())])
        tested.wait(lambda: sum(tested.ingested().values()) == 1, meter, "the first commit")
        tested.wait(tested.judged_all(), meter, "the worker's first commit")
        with heads:
            sent = _send(machine, topic, _events(rate, WARM_UP + seconds), rate)
            last = time.monotonic() + PATIENCE
            while len(heads.seen.keys() & sent.keys()) < len(sent) and time.monotonic() < last:
                time.sleep(0.05)
    finally:
        tested.stop()
    tested.clear()
    begun = min(sent.values()) + WARM_UP
    measured = {key: at for key, at in sent.items() if at >= begun}
    found = [heads.seen[key] - at for key, at in measured.items() if key in heads.seen]
    return Latency(rate, found, len(measured) - len(found))


def _event(job: str, at: float) -> Message:
    return message(failure(job, at - 1.0))


def _events(rate: int, seconds: float) -> list[Message]:
    """Runs of ordinary jobs, and among them failures of jobs that fail once. Made beforehand: sending must be even."""
    dice = random.Random(2)
    now = time.time()
    count = round(rate * seconds)
    made: list[Message] = []
    while len(made) < count:
        if len(made) % SHARE == SHARE - 1:
            made.append(_event(f"fails_{len(made)}", now))
            continue
        start, complete = run_of(dice, f"shop.load_{dice.randrange(JOBS):03d}", now - 400, 1e5)
        made += [message(start), message(complete)][: 1 if len(made) % SHARE == SHARE - 2 else 2]
    return made[:count]


def _send(machine: Machine, topic: str, events: list[Message], rate: int = 0) -> dict[str, float]:
    """Produce evenly. Returns when each failure was produced, by the entity that it is of."""
    producer = Producer({"bootstrap.servers": machine.bootstrap, "partitioner": "murmur2_random"})
    sent: dict[str, float] = {}
    began = time.monotonic()
    for number, event in enumerate(events):
        if rate and (early := began + number / rate - time.monotonic()) > 0:
            time.sleep(early)
        if event.key.startswith(b"fails_"):
            sent[job_key(NAMESPACE, event.key.decode())] = time.monotonic()
        producer.produce(topic, event.value, event.key)
        producer.poll(0)
    producer.flush(ANSWER)
    return sent


class Heads:
    """Reads the control topic, as whoever waits for signals does, and notes when the first of each entity came."""

    def __init__(self, machine: Machine, tested: Daemon) -> None:
        self.seen: dict[str, float] = {}
        self._topic, self._machine = tested.config.topics.control, machine
        self._stop, self._thread = Event(), Thread(target=self._read, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _read(self) -> None:
        settings = {
            "bootstrap.servers": self._machine.bootstrap,
            "group.id": "bench-latency-reader",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "fetch.wait.max.ms": 10,
        }
        reader = Consumer(settings)
        parts = reader.list_topics(self._topic, ANSWER).topics[self._topic].partitions
        reader.assign([TopicPartition(self._topic, part, OFFSET_BEGINNING) for part in parts])
        while not self._stop.is_set():
            found = reader.poll(0.1)
            if found is not None and found.error() is None:
                self.seen.setdefault((found.key() or b"").decode(), time.monotonic())
        reader.close()
