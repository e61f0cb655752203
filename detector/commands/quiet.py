"""`mute` and `maintenance`: when nobody is called, and when what is wrong is expected."""

import time
from pathlib import Path
from typing import Annotated

import typer

from detector.commands.common import AsJson, ConfigPath, readable
from detector.commands.sending import PATIENCE, By, Reason, Timeout, Wait, ahead, give, me, said, span
from detector.commands.windows import recurrence_of, show, show_all, window_of, zone_of
from detector.core.commands import AddWindow, EndWindow
from detector.core.windows import FOREVER

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
    window = window_of("mute", glob, (now, now + span(lasts)), None, "UTC", reason, by)
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
    show_all("mute", config, as_json)


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
    recurrence = recurrence_of(daily, weekly, at, lasts)
    if recurrence is None and not until:
        raise typer.BadParameter("when does it end? --until 2h, or again and again with --daily or --weekly")
    end = ahead(until, now) if until else FOREVER
    window = window_of("maintenance", glob, (begin, end), recurrence, timezone, reason, by)
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
    windows = read_file(file, Wanted(match=match, now=now, zone=zone_of(timezone), owner=by or me()))
    if dry_run:
        show(windows, "maintenance", now, as_json)
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
    show_all("maintenance", config, as_json)
