"""Pictures of a backtest: a series with its band and its alerts, or the episodes of entities on a line of time."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from detector.findings import Finding
from detector.paper import (
    BOTTOM,
    LEFT,
    RIGHT,
    TOP,
    WIDTH,
    Scale,
    heights_axis,
    moment,
    picture,
    said,
    text,
    times,
    times_axis,
)
from detector.series import Judged

HEIGHT = 420
ROW = 26
MOST_LINES = 60
NAMES, LETTERS = 380, 46  # where the names of entities and checks end, and how long they may be


# ---------------------------------------------------------------- a series


def series(judged: Sequence[Judged], title: str, notes: Sequence[tuple[float, str]] = ()) -> str:
    """The values as a line, what was expected as a band behind it, alerts as dots.

    `notes` are words above the plot, each at a time (seconds since 1970), with a line down from them.
    """
    told = sorted((one for one in judged if one.row.x is not None), key=lambda one: one.row.at)
    if not told:
        return picture(title, [text(LEFT, TOP + 20, "no values")], HEIGHT)
    x = times([one.row.at for one in told], LEFT)
    y = Scale(*_heights(told), HEIGHT - BOTTOM, TOP)
    alerts = [one for one in told if one.reading.alert]
    columns = list(_columns(told, x))
    return picture(
        title,
        [
            *_legend(len(told), len(judged) - len(told), len(alerts), any(_known(columns))),
            f'<clipPath id="plot"><rect {_frame()}/></clipPath>',
            *heights_axis(y),
            *times_axis(x, HEIGHT),
            *(_note(x(at), words) for at, words in notes),
            '<g clip-path="url(#plot)">',
            *(_band(part, y) for part in _known(columns)),
            *(_expected(part, y) for part in _known(columns)),
            _values(columns, y),
            "</g>",
            *(f'<circle class="alert" cx="{x(a.row.at)}" cy="{y(_x(a))}" r="3.5"/>' for a in alerts),
        ],
        HEIGHT,
    )


def _note(at: float, words: str) -> str:
    return f'<line class="note" x1="{at}" y1="{TOP}" x2="{at}" y2="{HEIGHT - BOTTOM}"/>' + text(
        at, TOP - 5, words, "middle"
    )


def _frame() -> str:
    return f'x="{LEFT}" y="{TOP}" width="{WIDTH - LEFT - RIGHT}" height="{HEIGHT - TOP - BOTTOM}"'


def _x(one: Judged) -> float:
    return one.row.x or 0.0


@dataclass(slots=True)
class _Column:
    """All that falls into one column of pixels: a picture of a million rows is no larger than one of a thousand."""

    at: float
    first: float
    low: float
    high: float
    last: float
    lower: float
    expected: float
    upper: float


def _columns(told: Sequence[Judged], x: Scale) -> Iterator[_Column]:
    column: _Column | None = None
    for one in told:
        at, value, said = x(one.row.at), _x(one), one.reading
        if column is None or at - column.at >= 1:
            if column is not None:
                yield column
            column = _Column(at, value, value, value, value, said.lower, said.expected, said.upper)
            continue
        column.low, column.high, column.last = min(column.low, value), max(column.high, value), value
        column.lower, column.upper = min(column.lower, said.lower), max(column.upper, said.upper)
    if column is not None:
        yield column


def _heights(told: Sequence[Judged]) -> tuple[float, float]:
    """From the lowest value to the highest, and as much of the band as leaves the values two thirds of the height."""
    values = [_x(one) for one in told]
    low, high = min(values), max(values)
    room = (high - low) / 4 or abs(high) / 10 or 1.0
    bands = [one.reading for one in told if math.isfinite(one.reading.lower) and math.isfinite(one.reading.upper)]
    low = max(min([low, *(said.lower for said in bands)]), low - room)
    high = min(max([high, *(said.upper for said in bands)]), high + room)
    return low - room / 8, high + room / 8


def _known(columns: Sequence[_Column]) -> Iterator[list[_Column]]:
    """The stretches where there is a band, which a young model does not have."""
    part: list[_Column] = []
    for column in columns:
        if math.isfinite(column.lower) and math.isfinite(column.upper):
            part.append(column)
        elif part:
            yield part
            part = []
    if part:
        yield part


def _band(part: Sequence[_Column], y: Scale) -> str:
    above = [(c.at, y(min(c.upper, y.high))) for c in part]
    below = [(c.at, y(max(c.lower, y.low))) for c in reversed(part)]
    return f'<polygon class="band" points="{" ".join(f"{at},{height}" for at, height in (*above, *below))}"/>'


def _expected(part: Sequence[_Column], y: Scale) -> str:
    points = " ".join(f"{c.at},{y(min(max(c.expected, y.low), y.high))}" for c in part if math.isfinite(c.expected))
    return f'<path class="expected" d="M{points}"/>' if points else ""


def _values(columns: Sequence[_Column], y: Scale) -> str:
    points: list[str] = []
    for c in columns:
        heights = [c.first] if c.low == c.high else [c.first, c.low, c.high, c.last]
        points += [f"{c.at},{y(height)}" for height in heights]
    return f'<path class="value" d="M{" ".join(points if len(points) > 1 else points * 2)}"/>'


def _legend(values: int, missing: int, alerts: int, band: bool) -> Iterator[str]:
    at = 24
    yield f'<line class="value" x1="{at}" y1="50" x2="{at + 22}" y2="50"/>' + text(at + 28, 54, _many(values, "value"))
    if band:
        yield f'<rect class="band" x="{at + 150}" y="44" width="22" height="12"/>'
        yield f'<line class="expected" x1="{at + 150}" y1="50" x2="{at + 172}" y2="50"/>'
        yield text(at + 178, 54, "expected")
    else:
        yield text(at + 150, 54, "no band known")
    yield f'<circle class="alert" cx="{at + 271}" cy="50" r="4"/>' + text(at + 281, 54, _many(alerts, "alert"))
    if missing:
        yield text(at + 390, 54, f"{missing:,} missing")


# ---------------------------------------------------------------- episodes


def timeline(findings: Sequence[Finding], begin: float, end: float, title: str) -> str:
    """A line for each check of each entity, those with the most episodes if there are too many; a bar an episode."""
    rows: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        rows.setdefault((finding.entity, finding.check), []).append(finding)
    shown = sorted(sorted(rows, key=lambda name: -len(rows[name]))[:MOST_LINES])
    height = TOP + max(len(shown), 1) * ROW + BOTTOM
    x = times([begin, end], NAMES)
    body = [*_severities(len(rows) - len(shown)), *times_axis(x, height)]
    if not shown:
        body.append(text(NAMES + 8, TOP + 17, "no anomalies"))
    for place, name in enumerate(shown):
        y = TOP + place * ROW
        body.append(f'<line class="grid" x1="24" y1="{y + ROW}" x2="{WIDTH - RIGHT}" y2="{y + ROW}"/>')
        body.append(f"<g><title>{said(' '.join(name))}</title>{text(NAMES - 8, y + 17, _short(*name), 'end')}</g>")
        body += [_bar(finding, x, y + 5, end) for finding in rows[name]]
    return picture(title, body, height)


def _bar(finding: Finding, x: Scale, y: float, end: float) -> str:
    since, until = x(finding.since), x(min(finding.end, end))
    words = f"{moment(finding.since)} {finding.severity} {finding.check}: {finding.summary}"
    return (
        f'<rect class="{finding.severity}" x="{since}" y="{y}" width="{max(round(until - since, 1), 3)}"'
        f' height="{ROW - 10}" rx="2"><title>{said(words)}</title></rect>'
    )


def _severities(hidden: int) -> Iterator[str]:
    for place, severity in enumerate(("critical", "warning", "info")):
        at = 24 + place * 90
        yield f'<rect class="{severity}" x="{at}" y="45" width="12" height="12" rx="2"/>' + text(at + 18, 55, severity)
    if hidden:
        yield text(314, 55, f"{hidden:,} more lines, with fewer episodes, are not shown")


def _short(entity: str, check: str) -> str:
    check = check if len(check) <= LETTERS // 2 else f"{check[: LETTERS // 2 - 1]}…"
    room = LETTERS - len(check)
    return f"{entity if len(entity) <= room else f'…{entity[1 - room :]}'} · {check}"


def _many(count: int, one: str) -> str:
    return f"{count:,} {one if count == 1 else f'{one}s'}"
