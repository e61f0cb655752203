"""`profile`: the statistics of files, tables and topics, to people, to a file, or to Kafka."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from detector.commands.common import FAILED, AsJson, ConfigPath, coloured, configuration, kafka_of, write_line
from detector.commands.sending import span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from detector.config import Config
    from detector.profiling import DatasetProfile, Identity
    from detector.profiling.counting import Wanted
    from detector.profiling.sources import Asked

PATIENCE = 30.0
FROM, COUNTED, HIDDEN, TO, FOLLOWED = "What is read", "What is counted", "What leaves", "Where to", "A topic"
Several = list[str]


def profile(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SOURCE...",
            show_default=False,
            help="Files, globs, a folder; a DuckDB or SQLite file; postgres://..., mysql://..., env:NAME.",
        ),
    ] = None,
    config: ConfigPath = None,
    dataset: Annotated[
        str,
        typer.Option(
            "--dataset",
            "-d",
            metavar="ENTITY",
            show_default="the file",
            help="dataset:<namespace>/<name>.",
            rich_help_panel=TO,
        ),
    ] = "",
    partition: Annotated[
        str, typer.Option("--partition", metavar="TEXT", help="Which part it is: day=2026-10-20.", rich_help_panel=TO)
    ] = "",
    run_id: Annotated[
        str, typer.Option("--run-id", metavar="ID", help="The run that wrote it.", rich_help_panel=TO)
    ] = "",
    version: Annotated[
        str, typer.Option("--data-version", metavar="TEXT", help="A snapshot, a commit.", rich_help_panel=TO)
    ] = "",
    grain: Annotated[
        str,
        typer.Option(
            "--grain",
            metavar="WORD",
            show_default="load, or partition",
            help="load, table, ...: each is judged apart.",
            rich_help_panel=TO,
        ),
    ] = "",
    out: Annotated[
        Path | None, typer.Option("--out", "-o", metavar="FILE", help="Write the record to a file.", rich_help_panel=TO)
    ] = None,
    emit: Annotated[bool, typer.Option("--emit", help="Send it to Kafka, to be judged.", rich_help_panel=TO)] = False,
    to: Annotated[
        str,
        typer.Option(
            "--to",
            metavar="TOPIC",
            show_default="the last of topics.inputs",
            help="The topic that it is sent to.",
            rich_help_panel=TO,
        ),
    ] = "",
    as_json: AsJson = False,
    table: Annotated[
        str, typer.Option("--table", metavar="NAME", help="Of a database: which.", rich_help_panel=FROM)
    ] = "",
    query: Annotated[
        str,
        typer.Option(
            "--query", metavar="SQL", help="The rows of a query; files are called data there.", rich_help_panel=FROM
        ),
    ] = "",
    format_: Annotated[
        str,
        typer.Option(
            "--format",
            metavar="NAME",
            show_default="by the file",
            help="parquet, csv, json, duckdb, sqlite.",
            rich_help_panel=FROM,
        ),
    ] = "",
    header: Annotated[
        bool | None,
        typer.Option("--header/--no-header", help="Whether a CSV begins with names.", rich_help_panel=FROM),
    ] = None,
    sample: Annotated[
        str,
        typer.Option(
            "--sample",
            metavar="1%|ROWS|all",
            show_default="all, up to 8 GB",
            help="How much is looked at.",
            rich_help_panel=COUNTED,
        ),
    ] = "",
    exact: Annotated[
        bool, typer.Option("--exact", help="Estimate nothing, however long it takes.", rich_help_panel=COUNTED)
    ] = False,
    patterns: Annotated[
        Several | None,
        typer.Option(
            "--pattern", metavar="NAME=REGEX", help="For the checks `matches`. Repeatable.", rich_help_panel=COUNTED
        ),
    ] = None,
    references: Annotated[
        Several | None,
        typer.Option(
            "--reference",
            metavar="NAME=SOURCE",
            help="For the checks `referential`. Repeatable.",
            rich_help_panel=COUNTED,
        ),
    ] = None,
    memory: Annotated[
        str, typer.Option("--memory", metavar="SIZE", help="The most that DuckDB takes.", rich_help_panel=COUNTED)
    ] = "2GiB",
    topic: Annotated[
        str,
        typer.Option("--topic", metavar="NAME", help="Follow it until Ctrl-C.", rich_help_panel=FOLLOWED),
    ] = "",
    window: Annotated[
        str,
        typer.Option("--window", metavar="SPAN", help="A profile for so much time: 1m.", rich_help_panel=FOLLOWED),
    ] = "1m",
    window_rows: Annotated[
        int,
        typer.Option(
            "--window-rows",
            metavar="N",
            min=0,
            show_default=False,
            help="Or for so many rows of a partition.",
            rich_help_panel=FOLLOWED,
        ),
    ] = 0,
    late: Annotated[
        str,
        typer.Option(
            "--late", metavar="SPAN", help="How long a window waits for older records.", rich_help_panel=FOLLOWED
        ),
    ] = "10s",
    group: Annotated[
        str,
        typer.Option(
            "--group",
            metavar="NAME",
            show_default="detector-profile.<topic>",
            help="Under which progress is kept.",
            rich_help_panel=FOLLOWED,
        ),
    ] = "",
    from_start: Annotated[
        bool,
        typer.Option("--from-start", help="Not at the end, the first time.", rich_help_panel=FOLLOWED),
    ] = False,
    private: Annotated[
        Several | None,
        typer.Option(
            "--private",
            metavar="GLOB",
            help="Columns of which only counts are told. Repeatable.",
            rich_help_panel=HIDDEN,
        ),
    ] = None,
) -> None:
    """The statistics of a load: of files, a table, or windows of a topic.

    detector profile orders.parquet

    detector profile 'day=2026-10-20/*.parquet' -d dataset:s3://lake/orders --partition day=2026-10-20 --emit

    detector profile shop.duckdb --table orders --json

    ORDERS=postgres://reader@db/shop detector profile env:ORDERS --table public.orders --sample 1%

    Texts never leave: of them lengths and counts are told, and the most frequent as hashes, if there is a key
    (DETECTOR_PROFILE__KEY_FILE). What the rules of the configuration check of the dataset is counted along.
    """
    settings, entity = configuration(config), dataset or f"dataset:file/{_stem(sources, topic)}"
    if (emit or out or topic) and not dataset:
        raise typer.BadParameter("say which dataset this is: dataset:<namespace>/<name>", param_hint="--dataset")
    with refused():
        from detector.profiling import identity

        who = identity(entity, grain or None, partition or None, run_id or None, version or None)
        wanted = _wanted(settings, entity, _pairs("--pattern", patterns), private or (), exact)
    if topic:
        _follow(topic, who, wanted, settings, (span(window), window_rows, span(late)), group, from_start, to, as_json)
        return
    if not sources:
        raise typer.BadParameter("name a file, a database, or --topic", param_hint="SOURCE")
    with refused():
        asked = _asked(table, query, format_, header, sample)
    elsewhere = {**settings.profile.references, **_pairs("--reference", references)}
    found = _counted(sources, who, asked, wanted, elsewhere, memory)
    _tell(found, out, as_json)
    if emit:
        _emit(found, settings, to)


def _stem(sources: list[str] | None, topic: str) -> str:
    return Path((sources or [topic])[0]).name or "data"


@contextmanager
def refused() -> Iterator[None]:
    """What cannot be asked for is a wrong option, and no error of ours."""
    try:
        yield
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def _pairs(option: str, given: list[str] | None) -> dict[str, str]:
    found = {}
    for pair in given or ():
        name, equals, value = pair.partition("=")
        if not (name and equals and value):
            raise typer.BadParameter(f"{pair!r}: write NAME=...", param_hint=option)
        found[name] = value
    return found


def _asked(table: str, query: str, format_: str, header: bool | None, sample: str) -> "Asked":
    from detector.profiling.sampling import Sample, parsed
    from detector.profiling.sources import Asked

    return Asked(
        format=format_ or None,
        table=table or None,
        query=query or None,
        header=header,
        sample=parsed(sample) if sample else Sample(),
    )


def _wanted(
    settings: "Config", entity: str, patterns: dict[str, str], private: "Iterable[str]", exact: bool
) -> "Wanted":
    from detector.profiling.asked import asks_of
    from detector.profiling.counting import Wanted
    from detector.profiling.hashing import Hasher

    key = settings.profile.key
    return Wanted(Hasher(key.reveal().encode() if key else None), asks_of(settings, entity, patterns, private), exact)


def _counted(
    sources: list[str],
    who: "Identity",
    asked: "Asked",
    wanted: "Wanted",
    references: dict[str, str],
    memory: str,
) -> "DatasetProfile":
    from detector.profiling import profile_source

    with _progress() as progress:
        return profile_source(sources, who, asked, wanted, references, progress, memory)


def _tell(found: "DatasetProfile", out: Path | None, as_json: bool) -> None:
    if out is not None:
        out.write_bytes(found.to_json() + b"\n")
    if as_json:
        write_line(found.to_json())
        return
    from detector.profiling.screen import lines, table

    head, rows = table(found)
    bold = coloured()
    typer.echo(typer.style(head, bold=True) if bold else head)
    for place, line in enumerate(lines(rows)):
        typer.echo(typer.style(line, dim=True) if bold and place == 0 else line)
    if any(column.estimated for column in found.columns):
        typer.echo("~ is an estimate; all other numbers are exact")
    for note in found.notes:
        typer.echo(f"note: {note}", err=True)


def _emit(found: "DatasetProfile", settings: "Config", to: str) -> None:
    from detector.emit import send

    topic = to or settings.topics.inputs[-1]
    counts = send([found.to_json()], kafka_of(settings), topic, lambda _: None, PATIENCE)
    for problem in counts.problems:
        typer.echo(problem, err=True)
    if counts.failed:
        raise typer.Exit(FAILED)
    typer.echo(f"sent to {topic}", err=True)


def _follow(
    topic: str,
    who: "Identity",
    wanted: "Wanted",
    settings: "Config",
    windows: tuple[float, int, float],
    group: str,
    from_start: bool,
    to: str,
    as_json: bool,
) -> None:
    """A profile for each window of a topic, until Ctrl-C."""
    from detector.codecs.rows import Rows
    from detector.profiling.asked import compiled
    from detector.profiling.follow import Follower, windows_of
    from detector.settings import registry_of

    target = to or settings.topics.inputs[-1]
    if target == topic:
        raise typer.BadParameter(f"profiles of {topic} cannot go to {topic} itself", param_hint="--to")
    with refused():
        sorted_ = windows_of(*windows, compiled(wanted.asks))
    rows = Rows(registry_of(settings))
    group = group or f"detector-profile.{topic}"
    follower = Follower(kafka_of(settings), topic, target, who, sorted_, rows, wanted, group)
    stop = Stop()
    typer.echo(f"profiles of {topic} go to {target}, until Ctrl-C", err=True)
    try:
        follower.run(_teller(as_json), stop, from_start)
    finally:
        follower.close()
    late = f", {sorted_.late:,} came too late for their window" if sorted_.late else ""
    typer.echo(f"{follower.rows:,} rows{late}; what is open is counted by the next one", err=True)


def _teller(as_json: bool) -> "Callable[[DatasetProfile], None]":
    """A line for each window."""

    def tell(found: "DatasetProfile") -> None:
        if as_json:
            write_line(found.to_json())
            return
        from detector.core.text import moment

        start, _ = found.identity.window or (found.event_time, 0.0)
        notes = "".join(f"; {note}" for note in found.notes)
        typer.echo(f"{moment(start)}  {found.rows:,.0f} rows, {len(found.columns)} columns{notes}")

    return tell


class Stop:
    """Whether SIGINT or SIGTERM came; the second one ends it at once."""

    def __init__(self) -> None:
        self._came = False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._come)

    def _come(self, number: int, _: object) -> None:
        self._came = True
        signal.signal(number, signal.SIG_DFL)

    def __call__(self) -> bool:
        return self._came


@contextmanager
def _progress() -> "Iterator[Callable[[float, str], None]]":
    """How far it is, on standard error while a person watches; nothing in a pipe."""
    if not sys.stderr.isatty():
        yield lambda _share, _what: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("reading", total=1.0)
        yield lambda share, what: bar.update(task, completed=share, description=what)
