"""What `backtest` answers: to people in tables, to programs in lines of JSON."""

import math
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import typer

from detector.commands.common import console, write_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from detector.backtest import Summary
    from detector.findings import Compared, Finding
    from detector.series import Episode, Judged

MOST = 50  # rows of a table of a series: who wants all of them has --json
STYLES = {"critical": "bold red", "warning": "yellow", "info": "dim"}


class Lines:
    """Writes the lines of JSON that a backtest makes as `detector tail` does."""

    def __init__(self) -> None:
        from detector.commands.events import Screen

        self._screen = Screen()

    def __call__(self, line: bytes) -> None:
        """Write one line."""
        import msgspec

        event: dict[str, Any] = msgspec.json.decode(line)
        if "summary" not in event:
            data = event["data"] or {}
            self._screen.show(0.0, data.get("entity", event["subject"]), event)


def told(summary: "Summary") -> str:
    """What was read and what was found, in two sentences."""
    dead = "".join(f", {count:,} not readable ({reason})" for reason, count in summary.dead_lettered.items())
    return (
        f"{counted(summary.read, 'line')}{dead}: {counted(summary.runs, 'run')} of {counted(summary.jobs, 'job')},"
        f" {counted(summary.datasets, 'dataset')}. {counted(summary.findings, 'anomaly', 'anomalies')}."
    )


def counted(number: int, one: str, many: str = "") -> str:
    """`1 row`, `1,000 rows`."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def show_findings(findings: "Sequence[Finding]", screen: "Console | None" = None) -> None:
    """A table of the episodes; nothing if there are none."""
    table = _table("when (UTC)", "entity", "check", "severity", "what was found")
    for one in findings:
        table.add_row(
            _when(one.since), _wide(one.entity), _wide(one.check), _severity(one.severity), _plain(one.summary)
        )
    if findings:
        screen = screen or console()
        screen.print()
        screen.print(table)


# ---------------------------------------------------------------- of two configurations


def show_compared(
    compared: "Sequence[Compared]", a: str, b: str, as_json: bool, screen: "Console | None" = None
) -> None:
    """What only one of the configurations has found, then what both have; and how many of each."""
    import msgspec

    of = {where: [one for one in compared if one.found_by == where] for where in ("a", "b", "both")}
    if as_json:
        for one in compared:
            write_line(msgspec.json.encode(one))
        counts = {"a": a, "b": b, "only_a": len(of["a"]), "only_b": len(of["b"]), "both": len(of["both"])}
        write_line(msgspec.json.encode({"summary": counts}))
        return
    screen = screen or console()
    names = {"a": "only A", "b": "only B", "both": "both"}
    table = _table("found by", "when (UTC)", "entity", "check", "severity", "what was found")
    for where, name in names.items():
        for one in of[where]:
            first = one.shown
            cells = (_when(one.since), _wide(one.entity), _wide(one.check), _severity(_worst(one)))
            table.add_row(_plain(name, "" if where == "both" else "bold"), *cells, _plain(first.summary))
    screen.print(f"A is {a}, B is {b}.")
    if compared:
        screen.print(table)
    screen.print(f"Only A: {len(of['a']):,}. Only B: {len(of['b']):,}. Both: {len(of['both']):,}.")


def _worst(one: "Compared") -> str:
    """How bad it became; both, if the configurations do not agree."""
    from detector.core.emissions import SEVERITIES

    worst = [max((finding.severity for finding in side), key=SEVERITIES.index) for side in (one.a, one.b) if side]
    return worst[0] if len(set(worst)) == 1 else " / ".join(worst)


# ---------------------------------------------------------------- of a series


def show_series(
    judged: "Sequence[Judged]",
    episodes: "Sequence[Episode]",
    metric: str,
    as_json: bool,
    screen: "Console | None" = None,
) -> None:
    """How many rows there were, and the alerts, each with its worst value and the band that was expected then."""
    import msgspec

    missing = sum(one.row.x is None for one in judged)
    alerts = sum(one.reading.alert for one in judged)
    if as_json:
        for episode in episodes:
            write_line(msgspec.json.encode(_as_object(episode)))
        counts = {"metric": metric, "rows": len(judged), "missing": missing}
        write_line(msgspec.json.encode({"summary": {**counts, "alerts": alerts, "episodes": len(episodes)}}))
        return
    screen = screen or console()
    table = _table("from", "to", "length", metric, "expected", "score", "cause")
    shown = sorted(episodes, key=lambda episode: -episode.worst.reading.score)[:MOST]
    for episode in sorted(shown, key=lambda episode: episode.first.row.at):
        row, said = episode.worst
        cells = (
            _moment(episode.first),
            _moment(episode.last),
            f"{episode.rows:,}",
            _number(row.x or 0.0),
        )
        table.add_row(*cells, _wide(band(said.lower, said.upper)), f"{said.score:.2f}", _plain(said.cause))
    if episodes:
        screen.print(table)
        screen.print()
    without = f", {missing:,} without a value" if missing else ""
    count = (
        f"{counted(len(episodes), 'anomaly', 'anomalies')} in {counted(alerts, 'row')}" if alerts else "No anomalies"
    )
    rest = f" The {MOST} with the highest scores are shown." if len(episodes) > MOST else ""
    screen.print(f"{counted(len(judged), 'row')}{without}. {count}.{rest}")


def _moment(one: "Judged") -> Any:
    """The time as it was written; seconds since 1970 as a date."""
    text = one.row.time.strip()
    if text.replace(".", "", 1).isdigit():
        text = f"{datetime.fromtimestamp(one.row.at, UTC):%Y-%m-%d %H:%M:%S}"
    return _wide(text)


def _as_object(episode: "Episode") -> dict[str, object]:
    row, said = episode.worst
    finite = {name: x for name in ("expected", "lower", "upper") if math.isfinite(x := getattr(said, name))}
    return {
        "from": episode.first.row.time,
        "to": episode.last.row.time,
        "rows": episode.rows,
        "worst": {"timestamp": row.time, "value": row.x, "score": said.score, **finite, "cause": said.cause},
    }


def band(lower: float, upper: float) -> str:
    """`9,400 to 11,800`, with one side only where there is no other."""
    if math.isfinite(lower) and math.isfinite(upper):
        return f"{_number(lower)} to {_number(upper)}"
    if math.isfinite(lower):
        return f"at least {_number(lower)}"
    return f"at most {_number(upper)}" if math.isfinite(upper) else "any"


def _number(x: float) -> str:
    return f"{x:,.0f}" if 1e5 <= abs(x) < 1e15 else f"{x:,.6g}"


# ---------------------------------------------------------------- cells


def _table(*columns: str) -> "Table":
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in columns:
        table.add_column(column)
    return table


def _plain(text: str, style: str = "") -> Any:
    from rich.text import Text

    return Text(text, style=style)


def _wide(text: str) -> Any:
    """What is to be copied: broken into lines rather than cut."""
    from rich.text import Text

    return Text(text, overflow="fold")


def _severity(text: str) -> Any:
    return _plain(text, STYLES.get(text, ""))


def _when(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%d %b %H:%M}"


def say(text: str) -> None:
    """What is no answer: to standard error."""
    typer.echo(text, err=True)
