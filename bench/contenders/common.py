"""What the contenders share: their arguments, decoding, the six series and what is told in the end."""

import argparse
import io
import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import fastavro

PREFIX: Final = 10  # bytes of an Avro single object before the record


@dataclass
class Job:
    """What a contender is to do."""

    bootstrap: str
    topic: str
    events: int
    name: str  # of its consumer group, and what its keys and topics begin with
    alerts: str
    redis: str
    directory: Path
    schema: Any


def job() -> Job:
    """The command line of a contender."""
    parser = argparse.ArgumentParser()
    for option in ("bootstrap", "topic", "name", "alerts", "redis", "directory", "schema"):
        parser.add_argument(f"--{option}", required=True)
    parser.add_argument("--events", type=int, required=True)
    given = parser.parse_args()
    schema = fastavro.parse_schema(json.loads(Path(given.schema).read_text()))
    return Job(
        given.bootstrap,
        given.topic,
        given.events,
        given.name,
        given.alerts,
        given.redis,
        Path(given.directory),
        schema,
    )


def decode(value: bytes, schema: Any) -> Any:
    """One event. The schema is without logical types: times stay numbers, which is faster."""
    return fastavro.schemaless_reader(io.BytesIO(value[PREFIX:]), schema)


@dataclass
class Stopwatch:
    """From the first record in hand to the last commit."""

    began: float = 0.0
    cpu: float = 0.0
    seen: int = 0
    alerts: int = 0
    extra: dict[str, str] = field(default_factory=dict)

    def start(self) -> None:
        """The first record is here."""
        self.began, self.cpu = time.monotonic(), time.process_time()

    def stop(self) -> None:
        """All is committed. Tells the figures on standard output, as the only line of it."""
        figures = {
            "seconds": time.monotonic() - self.began,
            "cpu_seconds": time.process_time() - self.cpu,
            "events": self.seen,
            "alerts": self.alerts,
        }
        sys.stdout.write(json.dumps(figures) + "\n")
        sys.stdout.flush()
