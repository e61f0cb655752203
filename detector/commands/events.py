"""`tail` and `emit`: the control topic to people, and events to Kafka."""

import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detector.commands.common import (
    FAILED,
    INTERRUPTED,
    AsJson,
    ConfigPath,
    configuration,
    console,
    kafka_of,
    readable,
    write_line,
)
from detector.commands.running import Stop

if TYPE_CHECKING:
    from detector.emit import Counts

PATIENCE = 30.0


def tail(
    config: ConfigPath = None,
    last: Annotated[int, typer.Option("--last", "-n", min=0, help="Begin with so many of the last events.")] = 10,
    from_start: Annotated[bool, typer.Option("--from-start", help="Begin with the oldest event.")] = False,
    follow: Annotated[bool, typer.Option("--follow/--no-follow", help="Wait for what comes, or end here.")] = True,
    glob: Annotated[str, typer.Option("--entity", metavar="GLOB", help="Only entities that match.")] = "*",
    type_: Annotated[
        str, typer.Option("--type", metavar="TYPE", help="Only such events: anomaly, anomaly.started, breaker, ...")
    ] = "*",
    as_json: AsJson = False,
) -> None:
    """Follow the control topic: anomalies and breakers, a line each, in UTC.

    detector tail

    detector tail --entity 'job:airflow/*' --type breaker

    detector tail --from-start --no-follow --json | jq .data.summary
    """
    from detector.tail import Tail, Wanted

    settings = configuration(config)
    show = _json if as_json else Screen().show
    # Not an exception: inside a callback of librdkafka it would be lost. Before the first event is shown, since whoever
    # has seen what they wanted may be quick.
    stop = Stop() if follow else None
    with Tail(kafka_of(settings), settings.topics.control, Wanted(glob, type_)) as topic:
        for shown in topic.last(None if from_start else last):
            show(shown.at, shown.entity, shown.event)
        if stop:
            for shown in topic.follow(stop.event.is_set):
                show(shown.at, shown.entity, shown.event)
            raise typer.Exit(INTERRUPTED if stop.interrupted else 0)


def _json(_at: float, _entity: str, event: dict[str, Any]) -> None:
    import msgspec

    write_line(msgspec.json.encode(event))


class Screen:
    """Events in columns, coloured where a person looks."""

    def __init__(self) -> None:
        self._console = console()

    def show(self, at: float, entity: str, event: dict[str, Any]) -> None:
        """Write one event."""
        from rich.text import Text

        from detector.tail import Shown, line

        told = line(Shown(at, entity, event))
        text = Text.assemble(
            (told.when, "dim"), "  ", (f"{told.what:<11}", told.style), "  ", (told.entity, "bold"), "  ", told.text
        )
        self._console.print(text, soft_wrap=True)


def emit(
    file: Annotated[
        Path,
        typer.Argument(callback=readable, metavar="FILE", help="A line an event; - is a pipe."),
    ] = Path("-"),
    config: ConfigPath = None,
    topic: Annotated[
        str, typer.Option("--topic", metavar="NAME", show_default="the first of topics.inputs", help="Where to.")
    ] = "",
) -> None:
    """Send events to Kafka, keyed as OpenLineage's own client keys them.

    An event is OpenLineage or Detector's own JSON, or a captured record of one: {"key", "timestamp", "value"}.

    The value of a captured record is sent as it is, the others are looked at first.

        detector emit events.jsonl

        my-scheduler --events | detector emit --topic pipeline.run-events
    """
    from detector.emit import decoder, send

    if decoder() is None:
        typer.echo(
            "lines are sent without a look at them, for which pip install 'detector[server]' is needed", err=True
        )
    settings = configuration(config)
    with _lines(file) as lines, _progress() as progress:
        counts = send(lines, kafka_of(settings), topic or settings.topics.inputs[0], progress, PATIENCE)
    for problem in counts.problems:
        typer.echo(problem, err=True)
    typer.echo(f"{counts.delivered:,} delivered, {counts.failed:,} failed", err=True)
    if counts.failed:
        raise typer.Exit(FAILED)


@contextmanager
def _lines(file: Path) -> Iterator[Iterable[bytes]]:
    if str(file) == "-":
        yield sys.stdin.buffer
        return
    with file.open("rb") as lines:
        yield lines


@contextmanager
def _progress() -> Iterator[Callable[["Counts"], None]]:
    """Counts on standard error while a person watches; nothing in a pipe."""
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    from rich.console import Console
    from rich.progress import Progress, SpinnerColumn, TextColumn

    columns = (SpinnerColumn(), TextColumn("{task.fields[read]:,} lines, {task.completed:,.0f} delivered"))
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None, read=0)
        yield lambda counts: bar.update(task, completed=counts.delivered, read=counts.lines)
