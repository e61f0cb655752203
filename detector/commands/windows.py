"""Mutes and maintenance windows as they are typed, and as they are shown."""

import time
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import uuid4

import typer

from detector.commands.common import configuration, console, kafka_of, write_line
from detector.commands.sending import me, span
from detector.core.windows import FOREVER, WEEK, Kind, Recurrence, Window

if TYPE_CHECKING:
    from detector.mutes import Told

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERY_DAY = tuple(range(7))


def show_all(kind: Kind, config: Path | None, as_json: bool) -> None:
    """Those of one kind that are in force or to come, by the topic of commands."""
    from detector.config.zones import Zones
    from detector.latest import records
    from detector.mutes import fold

    settings, now = configuration(config), time.time()
    values = (value for _, value in records(kafka_of(settings), settings.topics.commands))
    show(fold(values, now, Zones()), kind, now, as_json)


def show(windows: list[Window], kind: Kind, now: float, as_json: bool) -> None:
    """These windows, as a table or as lines of JSON."""
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


def window_of(
    kind: Kind,
    glob: str,
    times: tuple[float, float],
    recurrence: Recurrence | None,
    zone: str,
    reason: str,
    by: str,
) -> Window:
    """The window that was typed, with an id that can be typed, too. Raises `BadParameter`."""
    start, end = times
    try:
        return Window(
            id=uuid4().hex[:8],
            match=_glob(glob),
            start=round(start, 3),
            end=round(end, 3),
            recurrence=recurrence,
            zone=zone_of(zone),
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


def zone_of(name: str) -> str:
    """The name of a zone, as typed. Raises `BadParameter`."""
    from detector.config import zone

    try:
        zone(name)
    except ValueError as error:
        raise typer.BadParameter(f"--timezone: {error}") from None
    return name


def recurrence_of(daily: bool, weekly: str, at: str, lasts: str) -> Recurrence | None:
    """When something recurs, if it does. Raises `BadParameter`."""
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
