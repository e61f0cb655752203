"""`mute` and `maintenance`: when nobody is called, and when what is wrong is expected."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import uuid4

import typer

from detector.commands.common import AsJson, ConfigPath, configuration, console, kafka_of, readable, write_line
from detector.commands.sending import PATIENCE, By, Reason, Timeout, Wait, ahead, give, me, said, span
from detector.core.commands import AddWindow, EndWindow
from detector.core.windows import FOREVER, WEEK, Kind, Recurrence, Window

if TYPE_CHECKING:
    from detector.mutes import Told

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERY_DAY = tuple(range(7))
Glob = Annotated[str, typer.Argument(metavar="GLOB", help="Entities that match: job:airflow/*, dataset:*orders*.")]
Id = Annotated[str, typer.Argument(metavar="ID", help="As the list shows it.")]
Timezone = Annotated[str, typer.Option("--timezone", metavar="ZONE", help="By whose clock, as in Europe/Berlin.")]

maintenance = typer.Typer(no_args_is_help=True, help="Say when what is wrong is expected, and stops nobody.")


def mute(
    glob: Glob,
    lasts: Annotated[str, typer.Option("--for", metavar="TIME", help="How long: 30m, 2h, 1d.")],
    reason: Reason,
    config: ConfigPath = None,
    by: By = "",
    wait: Wait = True,
    timeout: Timeout = PATIENCE,
    as_json: AsJson = False,
) -> None:
    """Let nobody be called because of these entities, for a time. Breakers still open, and everything is told.

    detector mute 'job:airflow/orders*' --for 2h --reason 'known, see OPS-71'

    What should not even open a breaker is maintenance:

    detector mute 'dataset:warehouse/*' --for 1d --reason 'migration' --by alice
    """
    now = time.time()
    window = _window("mute", glob, (now, now + span(lasts)), None, "UTC", reason, by)
    give(config, [AddWindow(**said(by, reason), window=window)], wait, timeout, as_json)


def unmute(
    window: Id,
    config: ConfigPath = None,
    by: By = "",
    wait: Wait = True,
    timeout: Timeout = PATIENCE,
    as_json: AsJson = False,
) -> None:
    """End a mute before its time.

    detector unmute 3f9a1c2b

    detector unmute "$(detector mutes --json | jq -r .window.id | head -1)"
    """
    give(config, [EndWindow(**said(by), window=window)], wait, timeout, as_json)


def mutes(config: ConfigPath = None, as_json: AsJson = False) -> None:
    """The mutes that are in force, as the topic of commands has them.

    detector mutes

    detector mutes --json | jq .window.match
    """
    _list("mute", config, as_json)


# ---------------------------------------------------------------- maintenance


@maintenance.command()
def add(
    glob: Glob,
    config: ConfigPath = None,
    since: Annotated[str, typer.Option("--from", metavar="TIME", show_default="now", help="Not before.")] = "",
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="Not after: 2h, or 2026-03-01T06:00Z.")] = "",
    daily: Annotated[bool, typer.Option("--daily", help="Every day, --at, for --lasts.")] = False,
    weekly: Annotated[str, typer.Option("--weekly", metavar="DAYS", help="The same on some: sat,sun.")] = "",
    at: Annotated[str, typer.Option("--at", metavar="HH:MM", help="When it begins, by the clock.")] = "",
    lasts: Annotated[str, typer.Option("--lasts", metavar="TIME", help="For how long each time.")] = "",
    timezone: Timezone = "UTC",
    reason: Reason = "",
    by: By = "",
    wait: Wait = True,
    timeout: Timeout = PATIENCE,
    as_json: AsJson = False,
) -> None:
    """Say when maintenance is: what is wrong then is expected. Nothing is late, no breaker opens, nobody is called.

    Once:

        detector maintenance add 'dataset:warehouse/*' --from 2026-03-01T02:00Z --until 2026-03-01T06:00Z

    From now on, for two hours:

        detector maintenance add 'job:airflow/*' --until 2h --reason 'new scheduler'

    Again and again, by the clock of a place:

        detector maintenance add 'dataset:erp/*' --weekly sat,sun --at 22:00 --lasts 4h --timezone Europe/Berlin
    """
    now = time.time()
    begin = ahead(since, now) if since else now
    recurrence = _recurrence(daily, weekly, at, lasts)
    if recurrence is None and not until:
        raise typer.BadParameter("when does it end? --until 2h, or again and again with --daily or --weekly")
    end = ahead(until, now) if until else FOREVER
    window = _window("maintenance", glob, (begin, end), recurrence, timezone, reason, by)
    give(config, [AddWindow(**said(by, reason), window=window)], wait, timeout, as_json)


@maintenance.command("import")
def import_(
    file: Annotated[
        Path, typer.Argument(callback=readable, metavar="FILE", help="An .ics file, as Google exports it.")
    ],
    match: Annotated[str, typer.Option("--match", metavar="GLOB", help="The entities that its events are about.")],
    config: ConfigPath = None,
    timezone: Timezone = "UTC",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what is in it, and send nothing.")] = False,
    by: By = "",
    wait: Wait = True,
    timeout: Timeout = PATIENCE,
    as_json: AsJson = False,
) -> None:
    """Take the events of a calendar as maintenance. The same file again changes nothing.

    detector maintenance import holidays.ics --match 'job:airflow/*'

    detector maintenance import erp.ics --match 'dataset:erp/*' --timezone Europe/Berlin --dry-run
    """
    from detector.ical import Wanted, read_file

    now = time.time()
    windows = read_file(file, Wanted(match=match, now=now, zone=_zone(timezone), owner=by or me()))
    if dry_run:
        _show(windows, "maintenance", now, as_json)
        return
    commands = [AddWindow(**said(by, window.reason), window=window) for window in windows]
    if commands:
        give(config, commands, wait, timeout, as_json)
    typer.echo(f"{len(commands)} windows in {file}", err=True)


@maintenance.command()
def end(
    window: Id,
    config: ConfigPath = None,
    by: By = "",
    wait: Wait = True,
    timeout: Timeout = PATIENCE,
    as_json: AsJson = False,
) -> None:
    """End maintenance before its time, or let it never come (again).

    detector maintenance end 3f9a1c2b

    detector maintenance end 3f9a1c2b --by alice --no-wait
    """
    give(config, [EndWindow(**said(by), window=window)], wait, timeout, as_json)


@maintenance.command("list")
def list_(config: ConfigPath = None, as_json: AsJson = False) -> None:
    """The maintenance that is now and to come, as the topic of commands has it.

    detector maintenance list

    detector maintenance list --json | jq 'select(.active)'
    """
    _list("maintenance", config, as_json)


def _list(kind: Kind, config: Path | None, as_json: bool) -> None:
    from detector.config.zones import Zones
    from detector.latest import records
    from detector.mutes import fold

    settings, now = configuration(config), time.time()
    values = (value for _, value in records(kafka_of(settings), settings.topics.commands))
    _show(fold(values, now, Zones()), kind, now, as_json)


def _show(windows: list[Window], kind: Kind, now: float, as_json: bool) -> None:
    from detector.config.zones import Zones
    from detector.mutes import told

    found = told(windows, kind, now, Zones())
    if as_json:
        import msgspec

        for one in found:
            write_line(msgspec.json.encode(one))
        return
    _table(found)
    holds = sum(one.active for one in found)
    typer.echo(f"{len(found)} of kind {kind}, {holds} now", err=True)


def _table(found: "list[Told]") -> None:
    from rich.table import Table

    from detector.core.text import moment

    if not found:
        return
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("id", "now", "next change", "entities", "when", "by", "reason"):
        shown.add_column(name, no_wrap=name in ("id", "now", "next change"))
    for one in found:
        window = one.window
        change = moment(one.changes) if one.changes is not None else "never"
        shown.add_row(
            *(window.id, "yes" if one.active else "no", change, window.match, when(window), window.owner),
            window.reason,
        )
    console().print(shown)


def when(window: Window) -> str:
    """When a window is, in words: `sat, sun 22:00 for 4 h (Europe/Berlin)`."""
    from detector.core.text import duration, moment

    recurrence = window.recurrence
    if recurrence is None:
        return f"{moment(window.start)} to {moment(window.end)}"
    days = "daily" if len(recurrence.days) == len(DAYS) else ", ".join(DAYS[day] for day in recurrence.days)
    last = min(window.end, recurrence.until or FOREVER)
    ends = f", until {moment(last)}" if last < FOREVER else ""
    return f"{days} {recurrence.at} for {duration(recurrence.lasts)} ({window.zone}){ends}"


# ---------------------------------------------------------------- what was typed


def _window(
    kind: Kind,
    glob: str,
    times: tuple[float, float],
    recurrence: Recurrence | None,
    zone: str,
    reason: str,
    by: str,
) -> Window:
    start, end = times
    try:
        return Window(
            id=uuid4().hex[:8],
            match=_glob(glob),
            start=round(start, 3),
            end=round(end, 3),
            recurrence=recurrence,
            zone=_zone(zone),
            reason=reason,
            owner=by or me(),
            kind=kind,
        )
    except ValueError as error:
        raise typer.BadParameter(f"{kind}: {error}") from None


def _glob(text: str) -> str:
    if text.startswith(("job:", "dataset:", "*", "?", "[")):
        return text
    raise typer.BadParameter(f"{text!r} matches no entity: they begin with job: or dataset:, as in 'job:airflow/*'")


def _zone(name: str) -> str:
    from detector.config import zone

    try:
        zone(name)
    except ValueError as error:
        raise typer.BadParameter(f"--timezone: {error}") from None
    return name


def _recurrence(daily: bool, weekly: str, at: str, lasts: str) -> Recurrence | None:
    if not daily and not weekly:
        if at or lasts:
            raise typer.BadParameter("--at and --lasts go with --daily or --weekly")
        return None
    if daily and weekly:
        raise typer.BadParameter("write --daily or --weekly, not both")
    if not at or not lasts:
        raise typer.BadParameter("say when it begins (--at 22:00) and how long it is (--lasts 4h)")
    if not 0 < span(lasts) <= WEEK:
        raise typer.BadParameter("--lasts: at most a week")
    try:
        return Recurrence(days=_days(weekly) if weekly else EVERY_DAY, at=at, lasts=span(lasts))
    except ValueError as error:
        raise typer.BadParameter(f"--{error}") from None


def _days(text: str) -> tuple[int, ...]:
    found = [word.strip().lower() for word in text.split(",")]
    for word in found:
        if word not in DAYS:
            raise typer.BadParameter(f"{word!r} is no day; write some of {', '.join(DAYS)} with commas between")
    return tuple(sorted({DAYS.index(word) for word in found}))
