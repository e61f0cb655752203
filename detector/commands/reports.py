"""`breaker report`: what breakers did, or would have done, and whether that was right."""

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from detector.commands.common import AsJson, ConfigPath, configuration, console, kafka_of, write_line

if TYPE_CHECKING:
    from detector.openings import Fact, Report
    from detector.tail import Shown


def report(
    config: ConfigPath = None,
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="Only what came later: 30d, 12h (ago), or 2026-03-01.")
    ] = "30d",
    glob: Annotated[str, typer.Option("--entity", metavar="GLOB", help="Only entities that match.")] = "*",
    as_json: AsJson = False,
) -> None:
    """How often did breakers open, or would have in shadow; was it right, and what did it cost?

    Before a breaker that runs in shadow is enforced:

        detector breaker report --entity 'dataset:warehouse/*'

        detector breaker report --since 7d --json
    """
    from detector.commands.seeds import moment
    from detector.openings import fold
    from detector.tail import Tail, Wanted

    settings, now = configuration(config), time.time()
    begin = moment(since, now, 0.0)
    with Tail(kafka_of(settings), settings.topics.control, Wanted(glob, "breaker,command")) as topic:
        facts = [fact for shown in topic.since(begin) if (fact := _fact(shown)) is not None]
    found = fold(facts, begin, now)
    if as_json:
        write_line(msgspec.json.encode(found))
    else:
        show(found)


def _fact(shown: "Shown") -> "Fact | None":
    from detector.openings import read

    return read(shown.event, _when(shown))


def _when(shown: "Shown") -> float:
    """When it happened, as `tail` shows it; when it was written, where the event does not say."""
    try:
        when = datetime.fromisoformat(str(shown.event.get("time")))
    except ValueError:
        return shown.at
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()


def show(found: "Report") -> None:
    """A row for each entity, a column for each mode, and a sentence on all of them."""
    from rich.table import Table

    from detector.core.text import duration
    from detector.openings import counts, sentence

    if found.entities:
        shown = Table(box=None, pad_edge=False, header_style="bold")
        for name in ("entity", "would have opened", "lost", "opened", "lost", "missed"):
            shown.add_column(name, no_wrap=name != "entity")
        for line in found.entities:
            cells = [
                text
                for figures in (line.shadow, line.enforce)
                for text in (counts(figures), duration(figures.lost) if figures.lost else "")
            ]
            shown.add_row(line.entity, *cells, str(line.missed or ""))
        console().print(shown)
    span = found.until - found.since
    typer.echo(f"in shadow: {sentence('shadow', found.total.shadow, span)}")
    typer.echo(f"enforced: {sentence('enforce', found.total.enforce, span)}")
