"""`incidents`: what goes on, for people; one of them as a page; and who looks after it."""

import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detector.commands.common import (
    AsJson,
    ConfigPath,
    coloured,
    configuration,
    console,
    kafka_of,
    redis_of,
    write_line,
)
from detector.commands.sending import PATIENCE, By, Comment, Timeout, Wait, give, said

if TYPE_CHECKING:
    from detector.config import Config
    from detector.core.emissions import Anomaly, BreakerValue
    from detector.core.incidents import Incident

LATEST = "latest"
SHORT = 8
EARLIER = 3_600.0  # seconds: clocks of producers may be ahead
LOOKS: dict[str, dict[str, Any]] = {
    "title": {"bold": True},
    "heading": {"bold": True, "underline": True},
    "command": {"fg": typer.colors.CYAN},
    "faint": {"dim": True},
    "critical": {"fg": typer.colors.RED, "bold": True},
    "warning": {"fg": typer.colors.YELLOW, "bold": True},
    "info": {"bold": True},
    "resolved": {"fg": typer.colors.GREEN, "bold": True},
}
STYLES = {"critical": "bold red", "warning": "yellow", "info": "dim"}


class Which(StrEnum):
    """Which incidents are shown."""

    OPEN = "open"
    RESOLVED = "resolved"
    ALL = "all"


class Level(StrEnum):
    """How bad."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


Id = Annotated[str, typer.Argument(metavar="ID", help="Its id, the beginning of it, or latest.")]

incidents = typer.Typer(no_args_is_help=True, help="What is wrong, one page for each cause.")


@incidents.command("list")
def list_(
    config: ConfigPath = None,
    state: Annotated[
        Which, typer.Option("--state", help="Those that go on, those that are over, or all.")
    ] = Which.OPEN,
    severity: Annotated[Level, typer.Option("--severity", help="Only so bad or worse.")] = Level.INFO,
    owner: Annotated[str, typer.Option("--owner", metavar="GLOB", help="Only of this owner.")] = "*",
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="Only with news later than: 2026-03-01, or 7d (ago).")
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Incidents, the worst first: all findings of one cause are one.

    detector incidents list

    detector incidents list --state all --since 7d --severity critical

    detector incidents list --owner 'team-sales*' --json | jq -r .title
    """
    from fnmatch import fnmatchcase

    from detector.commands.seeds import moment

    now = time.time()
    begin = moment(since, now, 0.0)
    levels = [level.value for level in Level]
    found = [
        incident
        for incident in _all(configuration(config))
        if state in (Which.ALL, incident.state)
        and levels.index(incident.severity) >= levels.index(severity)
        and fnmatchcase(incident.owner or "", owner)
        and incident.updated >= begin
    ]
    found.sort(key=lambda one: (one.state != "open", -levels.index(one.severity), -one.opened, one.id))
    if as_json:
        import msgspec

        for incident in found:
            write_line(msgspec.json.encode(incident))
        return
    _table(found, now)
    count = f"{len(found)} incident{'s' if len(found) != 1 else ''}"
    typer.echo(f"{count}, {sum(one.state == 'open' for one in found)} open", err=True)


def _table(found: "list[Incident]", now: float) -> None:
    from rich.table import Table
    from rich.text import Text

    from detector.core.text import duration, moment

    if not found:
        return
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("id", "severity", "state", "since", "for", "hit", "owner"):
        shown.add_column(name, no_wrap=True)
    shown.add_column("what")
    for one in found:
        ends = now if one.resolved is None else one.resolved
        cells = [one.state, moment(one.opened), duration(max(ends - one.opened, 0.0)), str(len(one.affected) or "")]
        cells += [one.acknowledged_by or one.owner or "", f"{one.root}: {one.title}"]
        shown.add_row(one.id[:SHORT], Text(one.severity, STYLES[one.severity]), *cells)
    console().print(shown)


@incidents.command()
def show(incident: Id = LATEST, config: ConfigPath = None, as_json: AsJson = False) -> None:
    """One incident: what broke, why we think so, who is hit, what to do.

    detector incidents show

    detector incidents show 5f0c7c1a

    detector incidents show latest --json | jq .findings
    """
    from detector.incident_page import page

    settings = configuration(config)
    found = _one(_all(settings), incident)
    if as_json:
        import msgspec

        write_line(msgspec.json.encode(found))
        return
    for line in page(found, _around(settings, found), time.time(), _evidence(settings, found)):
        styled = coloured() and line.style
        typer.echo(typer.style(line.text, **LOOKS[line.style]) if styled else line.text)


def _around(settings: "Config", incident: "Incident") -> "dict[str, BreakerValue]":
    """The breakers of all that have to do with it. The page is worth having without: they only tell which way."""
    from redis import RedisError

    from detector.view import read_some

    keys = list(dict.fromkeys([*(one.entity for one in incident.findings), *incident.affected]))
    try:
        answers = read_some(redis_of(settings), settings.redis.prefix, keys, time.time())
    except RedisError as error:
        typer.echo(f"Redis does not answer ({error}): the ways of the holds are not known", err=True)
        return {}
    return {key: answer.breaker for key, answer in answers.items() if answer.breaker is not None}


def _evidence(settings: "Config", incident: "Incident") -> "dict[str, Anomaly]":
    """The last that was said of each of its episodes, before it was over. What a newer release says is left out."""
    import msgspec

    from detector.core.emissions import Anomaly
    from detector.tail import Tail, Wanted

    episodes = {one.episode for one in incident.findings}
    found: dict[str, Anomaly] = {}
    with Tail(kafka_of(settings), settings.topics.control, Wanted(type="anomaly.started,anomaly.updated")) as topic:
        for shown in topic.since(incident.opened - EARLIER):
            try:
                said = msgspec.convert(shown.event["data"], Anomaly)
            except msgspec.ValidationError:
                continue
            if said.episode in episodes:
                found[said.episode] = said
    return found


@incidents.command()
def ack(
    incident: Id,
    config: ConfigPath = None,
    comment: Comment = "",
    by: By = "",
    wait: Wait = True,
    timeout: Timeout = PATIENCE,
    as_json: AsJson = False,
) -> None:
    """Say that you look after an incident: nobody else is called for it, unless it gets worse.

    detector incidents ack latest

    detector incidents ack 5f0c7c1a --by alice --comment 'calling the vendor'
    """
    from detector.core.commands import Acknowledge

    command = Acknowledge(**said(by, comment), incident=id_of(config, incident))
    give(config, [command], wait, timeout, as_json)


def id_of(config: Path | None, text: str) -> str:
    """The whole id of the incident that is meant. Raises `BadParameter`."""
    return _one(_all(configuration(config)), text).id


def _all(settings: "Config") -> "list[Incident]":
    """The incidents of the topic. What a newer release wrote, and this one cannot read, is left out."""
    import msgspec

    from detector.core.incidents import Incident
    from detector.latest import fold

    found: list[Incident] = []
    for value in fold(kafka_of(settings), settings.topics.incidents).values():
        try:
            found.append(msgspec.json.decode(value, type=Incident))
        except msgspec.DecodeError:
            typer.echo("an incident of a newer release is left out", err=True)
    return found


def _one(found: "list[Incident]", text: str) -> "Incident":
    if text == LATEST:
        mine = [one for one in found if one.state == "open"] or found
        if not mine:
            raise typer.BadParameter("there is no incident: nothing was found wrong as far back as they are kept")
        return max(mine, key=lambda one: (one.opened, one.id))
    mine = [one for one in found if one.id.startswith(text)]
    if len(mine) == 1:
        return mine[0]
    if not mine:
        raise typer.BadParameter(f"no incident is called {text}: `detector incidents list --state all` has them")
    raise typer.BadParameter(f"{len(mine)} incidents begin with {text}: write more of the id")
