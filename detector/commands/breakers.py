"""`check` and `breaker`: the questions to the Redis view."""

import os
import time
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from detector.commands.common import (
    AsJson,
    ConfigPath,
    coloured,
    configuration,
    console,
    entity,
    explain,
    kafka_of,
    redis_of,
    write_line,
)
from detector.core.breaker import State
from detector.core.text import duration
from detector.errors import DetectorError, Unreachable
from detector.view import EXIT_CODES, MAX_AGE, Answer, Asked

if TYPE_CHECKING:
    from pathlib import Path

    from rich.table import Table
    from rich.text import Text

    from detector.config import Config

Entity = Annotated[
    str,
    typer.Argument(callback=entity, metavar="ENTITY", help="job:<namespace>/<name> or dataset:<namespace>/<name>."),
]
MaxAge = Annotated[
    float,
    typer.Option("--max-age", metavar="SECONDS", min=0, help="How old a heartbeat may be before nothing is believed."),
]
COLOURS = {"allow": typer.colors.GREEN, "block": typer.colors.RED, "unknown": typer.colors.MAGENTA}
STYLES = {"open": "bold red", "half_open": "yellow", "closed": "green", "unknown": "magenta"}
UNKNOWN = EXIT_CODES["unknown"]


class Source(StrEnum):
    """Where breakers are read from."""

    HTTP = "http"
    REDIS = "redis"
    KAFKA = "kafka"


From = Annotated[
    Source | None,
    typer.Option("--from", show_default="what is configured, else redis", help="Where to look: Kafka is slower."),
]
Probe = Annotated[
    str, typer.Option("--probe", metavar="NAME", help="Of a half-open breaker: go if NAME is the one run that may.")
]
Partitions = Annotated[
    list[str] | None,
    typer.Option("--partition", metavar="NAME", help="What is read of a dataset; may be repeated."),
]
Columns = Annotated[
    list[str] | None, typer.Option("--column", metavar="NAME", help="The same by column; may be repeated.")
]


breaker = typer.Typer(no_args_is_help=True, help="Look at circuit breakers, and overrule them.")


def check(
    entity: Entity,
    config: ConfigPath = None,
    as_json: AsJson = False,
    max_age: MaxAge = MAX_AGE,
    source: From = None,
    probe: Probe = "",
    partitions: Partitions = None,
    columns: Columns = None,
) -> None:
    """May this pipeline go on? Exit code 0: yes. 1: no. 2: unknown.

    Before a load, in a script that stops at errors:

        detector check job:airflow/orders.load && ./load.sh

    Not knowing stops nothing:

        detector check job:airflow/orders.load || [ $? -eq 2 ] && ./load.sh

    Redis is away:

        detector check job:airflow/orders.load --from kafka

    May I read this table?

        detector check dataset:postgres://shop-db:5432/shop.public.orders --json

    Two columns of it are all that is read, and others may be bad:

        detector check dataset:warehouse/raw.orders --column id --column amount

    Of many runs that wait for a half-open breaker one may go, which is this one or is not:

        detector check job:airflow/orders.load --probe "$RUN_ID"
    """
    asked = Asked(probe=probe or None, partitions=tuple(partitions or ()), columns=tuple(columns or ()))
    try:
        answer = ask(entity, config, max_age, source, asked)
    except DetectorError as error:
        explain(error)
        raise typer.Exit(UNKNOWN) from None
    except Exception as error:
        # A defect of ours, whatever it is, must not end with 1, which says that the pipeline may not go on.
        typer.echo(f"detector: {type(error).__name__}: {error}", err=True)
        raise typer.Exit(UNKNOWN) from error
    if as_json:
        write_line(msgspec.json.encode(answer))
    else:
        typer.echo(sentence(answer))
    raise typer.Exit(EXIT_CODES[answer.verdict])


def ask(entity: str, config: "Path | None", max_age: float, source: Source | None, asked: Asked) -> Answer:
    """The answer for one entity; who names a probe asks to be it, if nobody is. Raises `DetectorError`."""
    answer = _read(entity, config, max_age, source, asked)
    free = answer.reason == "probe" and answer.breaker is not None and answer.breaker.probe is None
    return _claimed(answer, configuration(config), asked.probe) if asked.probe and free else answer


def _read(entity: str, path: "Path | None", max_age: float, source: Source | None, asked: Asked) -> Answer:
    from detector.client.choosing import TIMEOUT, Where, http_source, kind_of

    where = Where(source=source.value if source else None, config=path)
    kind = kind_of(where, os.environ)
    if kind == "http":
        return http_source(where, os.environ, TIMEOUT).read(entity, asked, max_age)
    config = configuration(path)
    if kind == "kafka":
        from detector.latest import read as read_topic

        return read_topic(kafka_of(config), config.topics.breakers, entity, time.time(), max_age, asked)
    from detector.settings import redis_client
    from detector.view import read

    return read(redis_client(config, TIMEOUT), config.redis.prefix, entity, time.time(), max_age, asked)


def _claimed(answer: Answer, config: "Config", name: str) -> Answer:
    """Ask to be the probe. Whoever does not hear that it is, is not: two probes are worse than none."""
    from detector.commands.sending import PATIENCE, said
    from detector.core.commands import RequestProbe
    from detector.orders import Orders

    command = RequestProbe(**said(name), entity=answer.entity)
    orders = Orders(kafka_of(config), config.topics.commands, config.topics.control)
    try:
        done = orders.give([command], PATIENCE)[command.id]
    except Unreachable as error:
        return msgspec.structs.replace(answer, verdict="block", reason="probing", message=f"half-open; {error}")
    effect = done[0].effect if done else f"nobody said within {PATIENCE:g} s that {name} is the probe"
    if done and done[0].done:
        return msgspec.structs.replace(answer, message=f"half-open; {effect}")
    return msgspec.structs.replace(answer, verdict="block", reason="probing", message=f"half-open; {effect}")


def sentence(answer: Answer) -> str:
    """The answer in one line."""
    verdict = f"{answer.verdict:<7}"
    if coloured():
        verdict = typer.style(verdict, fg=COLOURS[answer.verdict], bold=True)
    told = f"{verdict} {answer.entity}  {answer.message}"
    if answer.verdict == "unknown":
        return told + (f"; its setting for this is to {answer.on_unknown}" if answer.on_unknown else "")
    return f"{told} (heartbeat {duration(max(answer.heartbeat_age or 0.0, 0.0))} old)"


@breaker.command("list")
def list_(
    config: ConfigPath = None,
    state: Annotated[State | None, typer.Option("--state", help="Only breakers in this state.")] = None,
    glob: Annotated[str, typer.Option("--entity", metavar="GLOB", help="Only entities that match.")] = "*",
    as_json: AsJson = False,
    max_age: MaxAge = MAX_AGE,
) -> None:
    """All breakers that Redis knows, the worst first.

    detector breaker list --state open

    detector breaker list --entity 'dataset:*orders*' --json
    """
    from fnmatch import fnmatchcase

    answers = [
        answer
        for answer in _all(config, max_age)
        if fnmatchcase(answer.entity, glob) and state in (None, answer.breaker and answer.breaker.state)
    ]
    if as_json:
        for answer in answers:
            write_line(msgspec.json.encode(answer))
        return
    if answers:
        console().print(table(answers, time.time()))
    open_ones = sum(answer.verdict == "block" for answer in answers)
    typer.echo(f"{len(answers)} breakers, {open_ones} block", err=True)


def _all(config: ConfigPath, max_age: float) -> list[Answer]:
    from redis import RedisError

    from detector.view import read_all

    settings = configuration(config)
    try:
        return read_all(redis_of(settings), settings.redis.prefix, time.time(), max_age)
    except RedisError as error:
        raise Unreachable(f"Redis does not answer: {error}") from None


def table(answers: list[Answer], now: float) -> "Table":
    """Breakers in columns."""
    from rich.table import Table

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("answer", "state", "for", "entity"):
        shown.add_column(name, no_wrap=True)
    shown.add_column("reason")
    for answer in answers:
        shown.add_row(answer.verdict, *_state(answer, now), answer.entity, _reason(answer))
    return shown


def _state(answer: Answer, now: float) -> tuple["Text", str]:
    from rich.text import Text

    breaker = answer.breaker
    if breaker is None:
        return Text("?"), "?"
    own = breaker.own is not None and breaker.own.state is State.OPEN
    held = breaker.waits_for and breaker.state is State.OPEN and not own and breaker.override is None
    notes = [breaker.mode] * (breaker.mode != "enforce") + ["override"] * (breaker.override is not None)
    told = "held" if held else breaker.state.value.replace("_", "-")
    state = Text(f"{told} ({', '.join(notes)})" if notes else told, STYLES[breaker.state.value])
    return state, duration(max(now - breaker.since, 0.0)) if breaker.sequence else "always"


def _reason(answer: Answer) -> str:
    """Why the breaker is as it is, or else why that is not to be relied on."""
    return answer.message if answer.breaker is None or answer.verdict == "unknown" else answer.breaker.reason


@breaker.command()
def show(entity: Entity, config: ConfigPath = None, as_json: AsJson = False, max_age: MaxAge = MAX_AGE) -> None:
    """One breaker with all that is known of it, and the anomalies that go on.

    detector breaker show job:airflow/orders.load

    detector breaker show dataset:postgres://shop-db:5432/shop.public.orders --json
    """
    from detector.commands.facts import facts
    from detector.view import read

    settings = configuration(config)
    answer = read(redis_of(settings), settings.redis.prefix, entity, time.time(), max_age)
    if as_json:
        write_line(msgspec.json.encode(answer))
        return
    typer.echo(sentence(answer))
    width = max((len(name) for name, _ in facts(answer)), default=0)
    for name, text in facts(answer):
        typer.echo(f"  {name:<{width}}  {text}")
