"""Pictures of a backtest as SVG: a series with its band and its alerts, or the episodes of entities on a line of time.

Written by hand, since a plot library would be the largest dependency for the smallest part. The picture brings its own
background and colours for light and dark, so that it can be read wherever it is pasted.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.sax.saxutils import escape

from detector.errors import DetectorError
from detector.findings import Finding
from detector.series import Judged

WIDTH, HEIGHT = 1000, 420
LEFT, RIGHT, TOP, BOTTOM = 76, 24, 76, 48
ROW = 26
MOST_LINES = 60
NAMES, LETTERS = 380, 46  # where the names of entities and checks end, and how long they may be
TITLE = 95  # letters
STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #4a5260; }
.paper { fill: #ffffff; } .title { font-size: 16px; font-weight: 600; fill: #16191f; }
.grid { stroke: #e3e6eb; } .axis { stroke: #9aa2af; } .band { fill: #a9c8f5; fill-opacity: .55; }
.expected { stroke: #3b78c9; stroke-dasharray: 4 3; }
.value { stroke: #2b303a; stroke-width: 1.2; stroke-linecap: round; }
path, line { fill: none; stroke-width: 1; }
.alert { fill: #d92d20; stroke: #ffffff; }
.critical { fill: #d92d20; } .warning { fill: #e08a00; } .info { fill: #5b8def; }
@media (prefers-color-scheme: dark) {
text { fill: #aab2c0; } .paper { fill: #14171c; } .title { fill: #f1f3f6; }
.grid { stroke: #2a2f38; } .axis { stroke: #6b7482; } .band { fill: #2d5c9e; }
.expected { stroke: #7fb0f5; } .value { stroke: #dfe3ea; }
.alert { fill: #ff6b5e; stroke: #14171c; }
.critical { fill: #ff6b5e; } .warning { fill: #f2ab3c; } .info { fill: #82a9f7; }
}"""
SECONDS = (1, 5, 15, 30, 60, 300, 900, 1_800, 3_600, 10_800, 21_600, 43_200)
DAY = 86_400
DAYS = (1, 2, 7, 14)
MONTHS = (1, 3, 6, 12, 24, 60, 120)


def save(svg: str, path: str) -> None:
    """Write the picture. Raises `DetectorError` if it cannot be written."""
    try:
        Path(path).write_text(svg, encoding="utf-8")
    except OSError as error:
        raise DetectorError(f"{path}: cannot be written: {error.strerror}") from None


@dataclass(frozen=True, slots=True)
class Scale:
    """From what is measured to where it is drawn."""

    low: float
    high: float
    begin: float
    end: float

    def __call__(self, x: float) -> float:
        """Where x is drawn, to a tenth of a pixel."""
        share = (x - self.low) / (self.high - self.low)
        return round(self.begin + share * (self.end - self.begin), 1)


def _picture(title: str, body: Sequence[str], height: int) -> str:
    title = title if len(title) <= TITLE else f"{title[: TITLE - 1]}…"
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
            f"<title>{_said(title)}</title><style>{STYLE}</style>",
            f'<rect class="paper" width="{WIDTH}" height="{height}" rx="6"/>',
            f'<text class="title" x="24" y="28">{_said(title)}</text>',
            *body,
            "</svg>\n",
        )
    )


# ---------------------------------------------------------------- a series


def series(judged: Sequence[Judged], title: str) -> str:
    """The values as a line, what was expected as a band behind it, alerts as dots."""
    told = sorted((one for one in judged if one.row.x is not None), key=lambda one: one.row.at)
    if not told:
        return _picture(title, [_text(LEFT, TOP + 20, "no values")], HEIGHT)
    x = _times([one.row.at for one in told], LEFT)
    y = Scale(*_heights(told), HEIGHT - BOTTOM, TOP)
    alerts = [one for one in told if one.reading.alert]
    columns = list(_columns(told, x))
    return _picture(
        title,
        [
            *_legend(len(told), len(judged) - len(told), len(alerts)),
            f'<clipPath id="plot"><rect {_frame()}/></clipPath>',
            *_heights_axis(y),
            *_times_axis(x, HEIGHT),
            '<g clip-path="url(#plot)">',
            *(_band(part, y) for part in _known(columns)),
            *(_expected(part, y) for part in _known(columns)),
            _values(columns, y),
            "</g>",
            *(f'<circle class="alert" cx="{x(a.row.at)}" cy="{y(_x(a))}" r="3.5"/>' for a in alerts),
        ],
        HEIGHT,
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


def _legend(values: int, missing: int, alerts: int) -> Iterator[str]:
    at = 24
    yield f'<line class="value" x1="{at}" y1="50" x2="{at + 22}" y2="50"/>' + _text(at + 28, 54, _many(values, "value"))
    yield f'<rect class="band" x="{at + 150}" y="44" width="22" height="12"/>'
    yield f'<line class="expected" x1="{at + 150}" y1="50" x2="{at + 172}" y2="50"/>'
    yield _text(at + 178, 54, "expected")
    yield f'<circle class="alert" cx="{at + 271}" cy="50" r="4"/>' + _text(at + 281, 54, _many(alerts, "alert"))
    if missing:
        yield _text(at + 390, 54, f"{missing:,} missing")


# ---------------------------------------------------------------- episodes


def timeline(findings: Sequence[Finding], begin: float, end: float, title: str) -> str:
    """A line for each check of each entity, those with the most episodes if there are too many; a bar an episode."""
    rows: dict[tuple[str, str], list[Finding]] = {}
    for finding in findings:
        rows.setdefault((finding.entity, finding.check), []).append(finding)
    shown = sorted(sorted(rows, key=lambda name: -len(rows[name]))[:MOST_LINES])
    height = TOP + max(len(shown), 1) * ROW + BOTTOM
    x = _times([begin, end], NAMES)
    body = [*_severities(len(rows) - len(shown)), *_times_axis(x, height)]
    if not shown:
        body.append(_text(NAMES + 8, TOP + 17, "no anomalies"))
    for place, name in enumerate(shown):
        y = TOP + place * ROW
        body.append(f'<line class="grid" x1="24" y1="{y + ROW}" x2="{WIDTH - RIGHT}" y2="{y + ROW}"/>')
        body.append(f"<g><title>{_said(' '.join(name))}</title>{_text(NAMES - 8, y + 17, _short(*name), 'end')}</g>")
        body += [_bar(finding, x, y + 5, end) for finding in rows[name]]
    return _picture(title, body, height)


def _bar(finding: Finding, x: Scale, y: float, end: float) -> str:
    since, until = x(finding.since), x(min(finding.end, end))
    words = f"{_moment(finding.since)} {finding.severity} {finding.check}: {finding.summary}"
    return (
        f'<rect class="{finding.severity}" x="{since}" y="{y}" width="{max(round(until - since, 1), 3)}"'
        f' height="{ROW - 10}" rx="2"><title>{_said(words)}</title></rect>'
    )


def _severities(hidden: int) -> Iterator[str]:
    for place, severity in enumerate(("critical", "warning", "info")):
        at = 24 + place * 90
        yield f'<rect class="{severity}" x="{at}" y="45" width="12" height="12" rx="2"/>' + _text(at + 18, 55, severity)
    if hidden:
        yield _text(314, 55, f"{hidden:,} more lines, with fewer episodes, are not shown")


def _short(entity: str, check: str) -> str:
    check = check if len(check) <= LETTERS // 2 else f"{check[: LETTERS // 2 - 1]}…"
    room = LETTERS - len(check)
    return f"{entity if len(entity) <= room else f'…{entity[1 - room :]}'} · {check}"


# ---------------------------------------------------------------- axes


def _times(times: Sequence[float], left: float) -> Scale:
    low, high = min(times), max(times)
    return Scale(low, high if high > low else low + 1.0, left, WIDTH - RIGHT)


def _times_axis(x: Scale, height: int) -> Iterator[str]:
    """Lines at round times, and below them how these are called, in UTC."""
    bottom = height - BOTTOM
    for at, label in _round_times(x.low, x.high):
        yield f'<line class="grid" x1="{x(at)}" y1="{TOP}" x2="{x(at)}" y2="{bottom}"/>'
        yield _text(x(at), bottom + 17, label, "middle")
    yield f'<line class="axis" x1="{x.begin}" y1="{bottom}" x2="{WIDTH - RIGHT}" y2="{bottom}"/>'
    yield _text(WIDTH - RIGHT, height - 10, f"{_moment(x.low)} to {_moment(x.high)} UTC", "end")


def _round_times(low: float, high: float) -> list[tuple[float, str]]:
    """At most ten round times and their names."""
    most = 10
    for step in (*SECONDS, *(day * DAY for day in DAYS)):
        if (high - low) / step <= most:
            times = [at * step for at in range(math.ceil(low / step), math.floor(high / step) + 1)]
            return [(at, _named(at, step)) for at in times]
    begin, end = datetime.fromtimestamp(low, UTC), datetime.fromtimestamp(high, UTC)
    first, last = begin.year * 12 + begin.month, end.year * 12 + end.month - 1  # the first whole month, and the last
    step = next((months for months in MONTHS if (last - first) / months <= most), 600)
    months = [month for month in range(first, last + 1) if month % step == 0 and month < 9999 * 12]
    return [(_month(month).timestamp(), _month(month).strftime("%b %Y" if step < 12 else "%Y")) for month in months]


def _month(number: int) -> datetime:
    return datetime(number // 12, number % 12 + 1, 1, tzinfo=UTC)


def _named(at: float, step: float) -> str:
    when = datetime.fromtimestamp(at, UTC)
    if step >= DAY or (when.hour, when.minute, when.second) == (0, 0, 0):
        return when.strftime("%d %b")
    return when.strftime("%H:%M" if step >= 60 else "%H:%M:%S")


def _moment(at: float) -> str:
    when = datetime.fromtimestamp(0, UTC) + timedelta(seconds=at)
    return when.strftime("%d %b %Y %H:%M")


def _heights_axis(y: Scale) -> Iterator[str]:
    step = _round_step((y.high - y.low) / 5)
    size, letter = _unit(max(abs(y.low), abs(y.high)))
    places = _places(step / size)
    for number in range(math.ceil(y.low / step), math.floor(y.high / step) + 1):
        height = y(number * step)
        yield f'<line class="grid" x1="{LEFT}" y1="{height}" x2="{WIDTH - RIGHT}" y2="{height}"/>'
        label = f"{number * step / size:.{places}f}{letter if number else ''}" if places < 9 else f"{number * step:.3g}"
        yield _text(LEFT - 8, height + 4, label, "end")


def _round_step(rough: float) -> float:
    """The round number that is not smaller: 1, 2, 2.5 or 5 times a power of ten."""
    power = 10.0 ** math.floor(math.log10(rough))
    return next((times * power for times in (1, 2, 2.5, 5) if times * power >= rough), 10 * power)


def _unit(largest: float) -> tuple[float, str]:
    """Thousands and more have a letter; what has none is written with its power of ten."""
    if largest >= 1e15:
        return 10.0 ** math.floor(math.log10(largest)), f"e{math.floor(math.log10(largest))}"
    units = ((2e12, 1e12, "T"), (2e9, 1e9, "G"), (2e6, 1e6, "M"), (1e4, 1e3, "k"))
    return next(((size, letter) for least, size, letter in units if largest >= least), (1.0, ""))


def _places(step: float) -> int:
    """The decimal places that tell a step from the next."""
    return next((places for places in range(9) if abs(step - round(step, places)) < step * 1e-6), 9)


def _many(count: int, one: str) -> str:
    return f"{count:,} {one if count == 1 else f'{one}s'}"


def _text(x: float, y: float, text: str, anchor: str = "start") -> str:
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{_said(text)}</text>'


def _said(text: str) -> str:
    """A text in XML, which has no place for control characters."""
    return escape("".join(c if c.isprintable() else " " for c in text), {'"': "&quot;"})
