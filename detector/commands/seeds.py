"""`seed`: what an installation is given to learn before it judges its first run."""

import re
import time
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from detector.commands.common import FAILED, AsJson, ConfigPath, all_readable, configuration, kafka_of, write_line
from detector.commands.histories import counted

if TYPE_CHECKING:
    from detector.config import Config
    from detector.seed import Source, Span, Summary

AGO = re.compile(r"(\d+)([dh])")
SECONDS = {"d": 86_400.0, "h": 3_600.0}


def seed(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            callback=all_readable, metavar="FILE...", show_default=False, help="A line an event; - is a pipe."
        ),
    ] = None,
    config: ConfigPath = None,
    from_topics: Annotated[
        bool, typer.Option("--from-topics", help="Instead of files: what topics.inputs held before ingest began.")
    ] = False,
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="Only what came later: 2026-03-01, or 60d (ago).")
    ] = "",
    until: Annotated[
        str, typer.Option("--until", metavar="TIME", show_default="now", help="Only what came before.")
    ] = "",
    entities: Annotated[
        list[str] | None, typer.Option("--entity", metavar="GLOB", help="Only these; may be repeated.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be learned, and write nothing.")] = False,
    as_json: AsJson = False,
) -> None:
    """Let the models learn a history, so that the first run is judged by it. Nothing is said of the past.

    Files hold what `backtest` reads: an event a line, as OpenLineage, Detector's own JSON, or captured records.

        detector seed history.jsonl.gz

    What is in the input topics already; ingest then begins where this ends:

        detector seed --from-topics --since 60d

    An entity that has seen 14 runs by itself keeps what it knows; `detector tail --type entity.seeded` shows which did.
    """
    if bool(files) == from_topics:
        raise typer.BadParameter("what is the history? Name files of events, or --from-topics")
    from detector.seed import Files, Span, Topics

    settings, now = configuration(config), time.time()
    span = Span(moment(since, now, 0.0), moment(until, now, now), cut=bool(until))
    if files:
        _seed(Files([str(file) for file in files]), settings, span, entities or [], dry_run, as_json)
        return
    from detector.app import group_of

    names = settings.topics
    with closing(Topics(kafka_of(settings), names.inputs, group_of("ingest", settings), names.dead_letters)) as source:
        _seed(source, settings, span, entities or [], dry_run, as_json)


def _seed(source: "Source", config: "Config", span: "Span", globs: list[str], dry_run: bool, as_json: bool) -> None:
    from detector import seed as seeding
    from detector.app import prepare
    from detector.codecs import Decoder
    from detector.settings import registry_of, rules_of

    kafka, rules, wanted = kafka_of(config), rules_of(config), seeding.matching(globs)
    if not dry_run:
        prepare(config, kafka)  # before the work: it may take minutes
    events, summary = seeding.read(source, Decoder(registry_of(config)), span, wanted)
    sends = seeding.learn(events, rules, config.topics.log, wanted, summary)
    if not dry_run and sends:
        source.write(seeding.Writer(kafka, config.topics.log), sends)
        summary.written = True
    if as_json:
        import msgspec

        write_line(msgspec.json.encode(summary))
    else:
        typer.echo(told(summary))
    if not sends:
        raise typer.Exit(FAILED)


def told(summary: "Summary") -> str:
    """What was read and learned, in a few sentences."""
    dead = "".join(f", {count:,} not usable ({reason})" for reason, count in summary.dead_lettered.items())
    left_out = f", {summary.left_out:,} left out" if summary.left_out else ""
    sentences = [f"{counted(summary.read, 'record')} read{dead}{left_out}."]
    if summary.since is not None and summary.until is not None:
        jobs, datasets = counted(summary.jobs, "job"), counted(summary.datasets, "dataset")
        sentences.append(
            f"{counted(summary.events, 'event')} from {_day(summary.since)} to {_day(summary.until)} UTC:"
            f" {counted(summary.runs, 'run')} of {jobs}, {datasets};"
            f" {summary.known:,} of these {summary.jobs + summary.datasets:,} with enough runs for limits of their own."
        )
    if summary.too_large:
        sentences.append(f"{counted(summary.too_large, 'state')} too large to be written.")
    sentences.append(
        "Written to the log: the workers learn it when they come to it." if summary.written else "Nothing was written."
    )
    return "\n".join(sentences)


def _day(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"


def moment(text: str, now: float, unsaid: float) -> float:
    """A time in seconds since 1970, of `60d` or `12h` (ago) or of ISO 8601 (UTC, if it names no zone).

    Raises `BadParameter`.
    """
    if not text:
        return unsaid
    ago = AGO.fullmatch(text)
    if ago:
        return now - float(ago[1]) * SECONDS[ago[2]]
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time: write 2026-03-01, 2026-03-01T06:00, 60d or 12h") from None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
