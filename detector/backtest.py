"""What Detector would have said of a history: files of events in, control events out, no broker.

The decoding and the `step` are those of the daemon; only time is made by a rule of its own. The history is read whole
and put in the order of event times (equal times keep the order of the files). One partition; a tick on every full
minute, before the events of the same moment, from the minute of the first event to the end of the minute of the last.
An event "arrived" at its event time: a capture is often made in one go, and the times of its records say nothing of
when the events would have come. Same files, same configuration, same bytes out.
"""

import base64
import binascii
import gzip
import math
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import IO, cast

import msgspec

from detector.codecs import Decoder
from detector.config import Config
from detector.core.emissions import Anomaly, Emission
from detector.core.events import (
    DeadLetter,
    Event,
    Observation,
    Record,
    RunEvent,
    Tick,
    decode,
    encode,
    observations,
)
from detector.core.pipeline import StepFailed, step, wanted
from detector.core.rules import Rules
from detector.core.state import Entity, Partition
from detector.errors import DetectorError
from detector.findings import Compared, Findings
from detector.findings import compare as comparison
from detector.settings import registry_of, rules_of
from detector.sinks.cloudevents import as_json_line

MINUTE = 60.0
STEPS_OF_PROGRESS = 20_000
TOPIC_ID = "backtest"
SOURCE = "/detector/backtest"


class Summary(msgspec.Struct):
    """What was read and what was found: lines, runs (distinct job and run id), entities, anomaly episodes begun."""

    read: int = 0
    dead_lettered: dict[str, int] = {}
    runs: int = 0
    jobs: int = 0
    datasets: int = 0
    findings: int = 0


class Replay:
    """One partition of a log that is kept nowhere: events and ticks in, emissions out. Times must not go back."""

    def __init__(
        self, rules: Rules, topic_id: str = TOPIC_ID, poisoned: dict[int, dict[str, str]] | None = None
    ) -> None:
        """`poisoned` maps offsets to the entities whose turn raised there before, and why."""
        self.entities: dict[str, Entity] = {}
        self.offset = 0
        self._rules = rules
        self._topic_id = topic_id
        self._poisoned = poisoned or {}
        self._partition = Partition(0, 1)

    def event(self, event: Event) -> list[Emission]:
        """Let an event arrive at its event time. Raises `StepFailed`."""
        emissions = []
        for key, body in observations(event, event.event_time):
            # Through the bytes of the log, as in the daemon: a number is then the same number.
            emissions += self._step(key.encode(), decode(encode(body)).body, event.event_time)
        return emissions

    def tick(self, at: float) -> list[Emission]:
        """Let the clock be `at`. Raises `StepFailed`."""
        return self._step(None, Tick(at), at)

    def ticks(self, upto: float) -> list[Emission]:
        """Tick on every full minute after the clock and up to `upto`. Raises `StepFailed`.

        Ticks at which nothing is due would but move the clock: they are passed over in one go, which gives the same
        emissions (but for heartbeats), offsets and states as each of them would.
        """
        emissions = []
        last = math.floor(upto / MINUTE)
        minute = math.floor(self._partition.clock / MINUTE) + 1
        while minute <= last:
            idle = min(math.ceil(self._next_due() / MINUTE) if self._partition.queue else last + 1, last + 1) - minute
            if idle > 0:
                self._partition.clock = (minute + idle - 1) * MINUTE
                self.offset += idle
                minute += idle
            else:
                emissions += self.tick(minute * MINUTE)
                minute += 1
        return emissions

    def _next_due(self) -> float:
        return max(self._partition.queue[0][0], 0.0)

    def _step(self, key: bytes | None, body: Observation, at: float) -> list[Emission]:
        record = Record("", 0, self.offset, at, key, None)
        keys = wanted(self._partition, record, body, self._rules)
        for name in keys:
            if name not in self.entities:
                self.entities[name] = Entity(name)
        poisoned = self._poisoned.get(self.offset, {})
        said = step(self._partition, self.entities, keys, record, body, self._rules, self._topic_id, poisoned)
        for name in keys:
            if name not in self._partition.due:
                del self.entities[name]
        self.offset += 1
        return self._delivered(said, at)

    def _delivered(self, emissions: list[Emission], at: float) -> list[Emission]:
        """Let messages from one entity to another arrive at once; the rest is what was said."""
        said = [emission for emission in emissions if emission.topic != "log"]
        for emission in emissions:
            if emission.topic == "log":
                body = decode(encode(cast(Observation, emission.data))).body
                said += self._step(emission.key.encode(), body, at)
        return said


def run(paths: Iterable[str], config: Config, write_line: Callable[[bytes], None]) -> Summary:
    """Judge the events in these files (`-` is standard input) and write each control event as a line of JSON.

    The last line is `{"summary": ...}`. Raises `DetectorError` for a file that cannot be read, and `ConfigError`.
    """
    rules = rules_of(config)
    history, summary = read(paths, config)
    judge(history, rules, summary, write_line)
    write_line(msgspec.json.encode({"summary": summary}))
    return summary


def compare(paths: Iterable[str], config: Config, other: Config) -> list[Compared]:
    """Judge the same history with both configurations, and say which episodes only one of them has found.

    It is read once, as `config` says. Raises `DetectorError` for a file that cannot be read, and `ConfigError`.
    """
    both = rules_of(config), rules_of(other)
    history, _ = read(paths, config)
    found = Findings(), Findings()
    for rules, findings in zip(both, found, strict=True):
        judge(history, rules, Summary(), findings)
    return comparison(found[0].all(), found[1].all())


def read(paths: Iterable[str], config: Config) -> tuple[list[Event], Summary]:
    """The events in these files in the order of their times, and what there was, but for what will be found."""
    summary = Summary()
    history = _read(paths, Decoder(registry_of(config)), summary)
    _count(history, summary)
    return history, summary


def judge(history: list[Event], rules: Rules, summary: Summary, write_line: Callable[[bytes], None]) -> None:
    """Judge the history, and write each control event as a line of JSON."""

    def take(emission: Emission) -> None:
        write_line(as_json_line(emission, SOURCE))
        summary.findings += isinstance(emission.data, Anomaly) and emission.data.phase == "started"

    _, failed = replayed(history, rules, take)
    if failed:
        summary.dead_lettered["step"] = failed


def replayed(history: list[Event], rules: Rules, take: Callable[[Emission], None]) -> tuple[Replay, int]:
    """Replay the history; when an entity's turn raises, replay again and set that record aside, as the daemon does.

    `take` is given each control event, once. Returns the replay at its end, and how many records were set aside.
    """
    poisoned: dict[int, dict[str, str]] = {}
    taken = 0
    while True:
        replay = Replay(rules, poisoned=poisoned)
        try:
            for number, emission in enumerate(_control(replay, history)):
                if number >= taken:
                    taken += 1
                    take(emission)
            return replay, len(poisoned)
        except StepFailed as failed:
            error = type(failed.__cause__ or failed).__name__
            poisoned.setdefault(replay.offset, {})[failed.key] = error


def _control(replay: Replay, history: list[Event]) -> Iterator[Emission]:
    """What goes to the control topic, in order."""
    if not history:
        return
    first, last = history[0].event_time, history[-1].event_time
    emissions = replay.tick(math.floor(first / MINUTE) * MINUTE)
    for done, event in enumerate(history):
        emissions += replay.ticks(event.event_time)
        emissions += replay.event(event)
        yield from (emission for emission in emissions if emission.topic == "control")
        emissions = []
        tell("judged", done + 1, len(history))
    emissions = replay.ticks((math.floor(last / MINUTE) + 1) * MINUTE)
    yield from (emission for emission in emissions if emission.topic == "control")


# ---------------------------------------------------------------- reading


class _Captured(msgspec.Struct):
    """A captured record. `value` is text; `value_base64` holds bytes that are no text (Avro)."""

    value: str | None = None
    value_base64: str | None = None
    key: str | None = None
    timestamp: float = 0.0


_captured = msgspec.json.Decoder(_Captured)


def _read(paths: Iterable[str], decoder: Decoder, summary: Summary) -> list[Event]:
    """Every event of the files, in the order of their times; what cannot be read is counted by reason."""
    events: list[Event] = []
    dead: Counter[str] = Counter()
    for decoded in decoded_lines(paths, decoder):
        summary.read += 1
        if isinstance(decoded, DeadLetter):
            dead[decoded.reason] += 1
        else:
            events.append(decoded)
    summary.dead_lettered = dict(sorted(dead.items()))
    events.sort(key=lambda event: event.event_time)
    return events


def decoded_lines(paths: Iterable[str], decoder: Decoder) -> Iterator[Event | DeadLetter]:
    """What each line of the files (`-` is standard input) is, blank ones left out.

    Raises `DetectorError` for a file that cannot be read, and `Unreachable` for a registry that does not answer.
    """
    for number, line in enumerate(_lines(paths), start=1):
        yield _decode(decoder, line, number)
        tell("read", number, 0)


def _lines(paths: Iterable[str]) -> Iterator[bytes]:
    """The lines of the files that are not blank. Raises `DetectorError` for a file that cannot be read."""
    for path in paths:
        try:
            with _open(path) as lines:
                yield from filter(None, map(bytes.strip, lines))
        except (OSError, EOFError, zlib.error) as error:
            raise DetectorError(f"{path}: cannot be read: {error}") from None


def _open(path: str) -> AbstractContextManager[IO[bytes]]:
    if path == "-":
        return nullcontext(sys.stdin.buffer)
    if path.endswith(".gz"):
        return cast("AbstractContextManager[IO[bytes]]", gzip.open(path, "rb"))
    return Path(path).open("rb")


def _decode(decoder: Decoder, line: bytes, number: int) -> Event | DeadLetter:
    """A line is an event, or a captured record of one."""
    record = Record("backtest", 0, number, 0.0, None, line)
    try:
        captured = _captured.decode(line)
        if captured.value is not None:
            record.value = captured.value.encode()
        elif captured.value_base64 is not None:
            record.value = base64.b64decode(captured.value_base64, validate=True)
    except (msgspec.DecodeError, binascii.Error):
        pass  # what is no captured record is for the decoder to judge
    return decoder.decode(record)


def _count(history: list[Event], summary: Summary) -> None:
    """Distinct runs and entities that the history speaks of."""
    runs: set[tuple[str, str]] = set()
    entities: set[str] = set()
    for event in history:
        entities.update(key for key, _ in observations(event, event.event_time))
        if isinstance(event, RunEvent):
            runs.add((f"{event.namespace}/{event.name}", event.run_id))
    summary.runs = len(runs)
    summary.jobs = sum(key.startswith("job:") for key in entities)
    summary.datasets = len(entities) - summary.jobs


def tell(what: str, done: int, total: int) -> None:
    """Say on standard error how far it is, if a person watches and it takes long. A `total` of 0 is not known."""
    if (done % STEPS_OF_PROGRESS and done != total) or max(done, total) < STEPS_OF_PROGRESS or not sys.stderr.isatty():
        return
    of = f" of {total:,}" if total else ""
    sys.stderr.write(f"\r{what} {done:,}{of}\x1b[K" + ("\n" if done == total else ""))
    sys.stderr.flush()
