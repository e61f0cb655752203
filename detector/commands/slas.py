"""`sla`: how many declared deadlines were met."""

import re
from typing import TYPE_CHECKING, Annotated

import typer

from detector.commands.common import AsJson, ConfigPath, configuration, console, kafka_of, write_line

if TYPE_CHECKING:
    from rich.table import Table

    from detector.sla import Attainment

MONTH = re.compile(r"\d{4}-(0[1-9]|1[0-2])")


def month_of(text: str) -> str:
    """A month, as typed. Raises `BadParameter`."""
    if text and not MONTH.fullmatch(text):
        raise typer.BadParameter(f"{text!r} is no month: write one like 2026-11")
    return text


def sla(
    config: ConfigPath = None,
    month: Annotated[
        str, typer.Option("--month", callback=month_of, metavar="YYYY-MM", show_default="all that are known")
    ] = "",
    glob: Annotated[str, typer.Option("--entity", metavar="GLOB", help="Only entities that match.")] = "*",
    as_json: AsJson = False,
) -> None:
    """How many declared deadlines were met, by entity and month, as the control topic has it.

    detector sla --month 2026-11

    detector sla --entity 'dataset:*' --json
    """
    import msgspec

    from detector.sla import TYPE, attained
    from detector.tail import Tail, Wanted

    settings = configuration(config)
    with Tail(kafka_of(settings), settings.topics.control, Wanted(glob, TYPE)) as topic:
        found = attained((shown.event["data"] or {} for shown in topic.last(None)), month or None)
    if as_json:
        for one in found:
            write_line(msgspec.json.encode({**msgspec.structs.asdict(one), "attained": round(one.share, 6)}))
        return
    if found:
        console().print(table(found))
    missed = sum(one.missed for one in found)
    typer.echo(f"{sum(one.met for one in found) + missed} deadlines, {missed} missed", err=True)


def table(found: "list[Attainment]") -> "Table":
    """Figures in columns."""
    from rich.table import Table

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("entity", "month"):
        shown.add_column(name, no_wrap=True)
    for name in ("met", "missed", "attained"):
        shown.add_column(name, no_wrap=True, justify="right")
    shown.add_column("owner")
    for one in found:
        shown.add_row(one.entity, one.month, str(one.met), str(one.missed), f"{100 * one.share:.1f} %", one.owner or "")
    return shown
