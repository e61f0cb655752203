"""`state`: what the detector has learned, into a file and back; and into a log with another number of partitions."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from msgspec.structs import asdict

from detector.commands.common import AsJson, ConfigPath, configuration, console, kafka_of, redis_of, write_line
from detector.commands.histories import counted

if TYPE_CHECKING:
    from rich.table import Table

    from detector.archive.backup import Contents
    from detector.archive.copies import Copies
    from detector.archive.restore import Log, Step
    from detector.config import Config

state = typer.Typer(no_args_is_help=True, help="What was learned: to a file and back; to a log of another size.")

Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and change nothing.")]


@state.command()
def backup(
    to: Annotated[
        Path,
        typer.Argument(metavar="FILE|DIR", show_default=False, help="A new file; or a folder, to be given a name."),
    ],
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """Write the states of all partitions to a file, with the offsets that they are true for. Workers may go on.

    detector state backup detector.state

    Into a folder, with the time in the name; a job of every night, say:

        detector state backup /backups/

    The file has the names of your jobs, datasets and columns, and no values of them.
    """
    from detector.archive.backup import backup as write

    settings = configuration(config)
    now = time.time()
    path = _named(to, settings.topics.log, now)
    with _copies(settings) as copies, _progress("partitions saved") as told:
        done = write(copies, settings.topics.log, path, now, told)
    if as_json:
        import msgspec

        said = {"file": str(path), "partitions": done.partitions, "entities": done.entities, "bytes": done.size}
        write_line(msgspec.json.encode(said))
        return
    typer.echo(
        f"{path}: {counted(done.entities, 'entity', 'entities')} of {counted(done.partitions, 'partition')},"
        f" {_size(done.size)}"
    )


@state.command()
def show(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="What `backup` wrote.")],
    as_json: AsJson = False,
) -> None:
    """What is in a backup? Reads all of it, so that what is damaged or cut off is noticed.

    detector state show detector.state

    detector state show detector.state --json | jq '.partitions[].at'
    """
    from detector.archive.backup import contents

    found = contents(file)
    if as_json:
        import msgspec

        write_line(msgspec.json.encode(found))
        return
    typer.echo(_told(found))
    console().print(_parts(found))


@state.command()
def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE", show_default=False, help="What `backup` wrote.")],
    config: ConfigPath = None,
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Put the states of a backup back into Redis: workers roll them forward by the log, and say nothing twice.

    Stop all workers first. What would be done:

        detector state restore detector.state --dry-run

        detector state restore detector.state
    """
    from detector.archive.restore import plan
    from detector.archive.restore import restore as put_back

    settings = configuration(config)
    log = _log(settings)
    with _copies(settings) as copies:
        steps = plan(file, log, copies)
        console().print(_steps(steps))
        if dry_run:
            typer.echo("nothing was changed")
            return
        if not yes:
            typer.confirm(f"Replace what Redis has of {log.name} by this?", abort=True)
        with _progress("partitions restored") as told:
            put_back(file, steps, copies, told)
    typer.echo(f"{counted(len(steps), 'partition')} restored: start the workers, they go on from there")


RESHARD = """\
{log} has {old} partitions, {to} is to have {new}. Of {entities}, each new partition gets {least} to {most}.
Before that, what stands in {log} is judged to its end (at most {unjudged}). What is not ingested yet (at most
{unread}) is read into {to}.

The old topics and what Redis has of them stay as they are. Everything of Detector must be stopped.
"""
RESHARDED = """\
{to} begins with {entities}. Put this into the configuration of every process, and start them:

{yaml}
Those who follow the topics of breakers or incidents must follow the new ones. The old topics are not needed any more.
"""


@state.command()
def reshard(
    partitions: Annotated[int, typer.Option("--partitions", min=1, help="How many the new log has.")],
    config: ConfigPath = None,
    to: Annotated[
        str,
        typer.Option("--to", metavar="TOPIC", show_default="the log's name with .v2, .v3, ...", help="The new log."),
    ] = "",
    dry_run: DryRun = False,
    yes: Yes = False,
) -> None:
    """Begin a new log with another number of partitions, with all that was learned and all that is open.

    Stop everything of Detector first: `run`, `execute`. What would be done:

        detector state reshard --partitions 24 --dry-run

        detector state reshard --partitions 24

    It changes nothing that is there, and may be done again if it was interrupted.
    """
    from detector import app
    from detector.reshard import next_name

    old = configuration(config)
    new = app.resharded(old, to or next_name(old.topics.log), partitions)
    plan = app.plan_reshard(old, new)
    least, most = min(plan.entities), max(plan.entities)
    known = counted(sum(plan.entities), "entity", "entities")
    names = {"log": plan.log, "to": new.topics.log, "old": plan.partitions, "new": partitions, "entities": known}
    left = {"unjudged": counted(plan.unjudged, "record"), "unread": counted(plan.unread, "record")}
    typer.echo(RESHARD.format(**names, **left, least=f"{least:,}", most=f"{most:,}"))
    if dry_run:
        typer.echo("nothing was changed")
        return
    if not yes:
        typer.confirm("Go on?", abort=True)
    done = app.reshard(old, new, _progress)
    known = counted(done, "entity", "entities")
    typer.echo(RESHARDED.format(to=new.topics.log, entities=known, yaml=_changed(old, new)))


def _changed(old: "Config", new: "Config") -> str:
    """The topics that have other names, as the configuration has them."""
    was, now = asdict(old.topics), asdict(new.topics)
    lines = [f"  {key}: {value}" for key, value in now.items() if value != was[key]]
    return "\n".join(["topics:", *lines, ""])


# ---------------------------------------------------------------- where it comes from


@contextmanager
def _copies(config: "Config") -> "Iterator[Copies]":
    from detector.archive.copies import Copies
    from detector.store import RedisStore

    with redis_of(config) as client:
        prefix, log = config.redis.prefix, config.topics.log
        yield Copies(client, RedisStore(client, prefix, log), prefix, log)


def _log(config: "Config") -> "Log":
    """The log that there is. Raises `BackupRefused` while workers run."""
    from detector.app import group_of
    from detector.archive.restore import Log
    from detector.archive.standing import Groups
    from detector.broker import topic_identity
    from detector.errors import BackupRefused

    kafka, name, group = kafka_of(config), config.topics.log, group_of("worker", config)
    topic_id, partitions = topic_identity(kafka, name)
    groups = Groups(kafka)
    members = groups.members(group)
    if members:
        raise BackupRefused(
            f"{counted(members, 'worker')} of {group} {'runs' if members == 1 else 'run'}: stop all of them first. One"
            " that was killed is counted until its session ends (45 s by Kafka's default)"
        )
    standing = groups.standing(group, [(name, number) for number in range(partitions)])
    return Log(name, topic_id, partitions, {number: found for (_, number), found in standing.items()})


def _named(to: Path, log: str, now: float) -> Path:
    if not to.is_dir():
        return to
    return to / f"{log}-{datetime.fromtimestamp(now, UTC):%Y%m%dT%H%M%SZ}.state"


@contextmanager
def _progress(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar on standard error while a person watches; nothing in a pipe."""
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (BarColumn(), TextColumn("{task.completed:,.0f} of {task.total:,.0f} {task.description}"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(what, total=1)
        yield lambda done, total: bar.update(task, completed=done, total=total)


# ---------------------------------------------------------------- what is said of it


def _told(found: "Contents") -> str:
    from detector.core.text import duration

    when = f"{datetime.fromtimestamp(found.written_at, UTC):%Y-%m-%d %H:%M:%S} UTC"
    largest = ", ".join(f"{key} ({_size(size)})" for key, size in found.largest.items())
    lines = [
        f"{found.file}: {counted(found.entities, 'entity', 'entities')}, {_size(found.bytes)} of states; it is whole",
        f"written {when}, {duration(time.time() - found.written_at)} ago, by detector {found.release}",
        f"of the log {found.log} ({counted(found.of_partitions, 'partition')}, id {found.topic_id})",
    ]
    return "\n".join([*lines, *([f"largest: {largest}"] if largest else [])])


def _parts(found: "Contents") -> "Table":
    table = _table("partition", "entities", "size", "true for offset", "time had come to (UTC)")
    for part in found.partitions:
        clock = f"{datetime.fromtimestamp(part.clock, UTC):%Y-%m-%d %H:%M:%S}" if part.clock else "no tick yet"
        table.add_row(str(part.partition), f"{part.entities:,}", _size(part.bytes), f"{part.at:,}", clock)
    return table


def _steps(steps: "list[Step]") -> "Table":
    table = _table("partition", "entities", "size", "from offset", "to be replayed", "Redis has now")
    for step in steps:
        now = "nothing" if step.now is None else f"offset {step.now:,}"
        corrupt = f" ({step.unreadable} corrupt)" if step.unreadable else ""
        entities = f"{step.entities:,}{corrupt}"
        table.add_row(str(step.partition), entities, _size(step.size), f"{step.at:,}", f"{step.replay:,} offsets", now)
    return table


def _table(*names: str) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        table.add_column(name, no_wrap=True, justify="right")
    return table


def _size(count: float) -> str:
    from detector.core.text import number

    return number(float(count), "bytes")
