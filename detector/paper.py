"""The paper that pictures are drawn on: an SVG with a title, colours for light and dark, and axes of time and height.

Written by hand, since a plot library would be the largest dependency for the smallest part. A picture brings its own
background, so that it can be read wherever it is pasted, and refers to nothing.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from xml.sax.saxutils import escape

from detector.errors import DetectorError

WIDTH = 1000
LEFT, RIGHT, TOP, BOTTOM = 76, 24, 76, 48
TITLE = 95  # letters
STYLE = """
text { font: 12px system-ui, -apple-system, "Segoe UI", "DejaVu Sans", sans-serif; fill: #4a5260; }
.paper { fill: #ffffff; } .title { font-size: 16px; font-weight: 600; fill: #16191f; }
.grid { stroke: #e3e6eb; } .axis { stroke: #9aa2af; } .band { fill: #a9c8f5; fill-opacity: .55; }
.expected { stroke: #3b78c9; stroke-dasharray: 4 3; } .note { stroke: #9aa2af; stroke-dasharray: 1 3; }
.value { stroke: #2b303a; stroke-width: 1.2; stroke-linecap: round; }
path, line { fill: none; stroke-width: 1; }
.alert { fill: #d92d20; stroke: #ffffff; }
.critical { fill: #d92d20; } .warning { fill: #e08a00; } .info { fill: #5b8def; }
@media (prefers-color-scheme: dark) {
text { fill: #aab2c0; } .paper { fill: #14171c; } .title { fill: #f1f3f6; }
.grid { stroke: #2a2f38; } .axis { stroke: #6b7482; } .band { fill: #2d5c9e; }
.expected { stroke: #7fb0f5; } .value { stroke: #dfe3ea; } .note { stroke: #6b7482; }
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


def picture(title: str, body: Sequence[str], height: int) -> str:
    """The whole picture, of what is drawn on it."""
    title = title if len(title) <= TITLE else f"{title[: TITLE - 1]}…"
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
            f"<title>{said(title)}</title><style>{STYLE}</style>",
            f'<rect class="paper" width="{WIDTH}" height="{height}" rx="6"/>',
            f'<text class="title" x="24" y="28">{said(title)}</text>',
            *body,
            "</svg>\n",
        )
    )


# ---------------------------------------------------------------- axes


def times(times: Sequence[float], left: float) -> Scale:
    """From the first to the last of these times, from `left` to the right edge."""
    low, high = min(times), max(times)
    alone = 0.0 if high > low else 1_800.0
    return Scale(low - alone, high + alone, left, WIDTH - RIGHT)


def times_axis(x: Scale, height: int) -> Iterator[str]:
    """Lines at round times, and below them how these are called, in UTC."""
    bottom = height - BOTTOM
    for at, label in _round_times(x.low, x.high):
        yield f'<line class="grid" x1="{x(at)}" y1="{TOP}" x2="{x(at)}" y2="{bottom}"/>'
        yield text(min(x(at), WIDTH - RIGHT - 8), bottom + 17, label, "middle")
    yield f'<line class="axis" x1="{x.begin}" y1="{bottom}" x2="{WIDTH - RIGHT}" y2="{bottom}"/>'
    yield text(WIDTH - RIGHT, height - 10, f"{moment(x.low)} to {moment(x.high)} UTC", "end")


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


def moment(at: float) -> str:
    """A time with its year, in UTC."""
    when = datetime.fromtimestamp(0, UTC) + timedelta(seconds=at)
    return when.strftime("%d %b %Y %H:%M")


def heights_axis(y: Scale) -> Iterator[str]:
    """Lines at round numbers, and these beside them."""
    step = _round_step((y.high - y.low) / 7)
    size, letter = _unit(max(abs(y.low), abs(y.high)))
    places = _places(step / size)
    for number in range(math.ceil(y.low / step), math.floor(y.high / step) + 1):
        height = y(number * step)
        yield f'<line class="grid" x1="{LEFT}" y1="{height}" x2="{WIDTH - RIGHT}" y2="{height}"/>'
        label = f"{number * step / size:.{places}f}{letter}" if number and places < 9 else f"{number * step:.3g}"
        yield text(LEFT - 8, height + 4, label, "end")


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


def text(x: float, y: float, words: str, anchor: str = "start") -> str:
    """Words at a place; `anchor` says which part of them stands there."""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}">{said(words)}</text>'


def said(text: str) -> str:
    """A text in XML, which has no place for control characters."""
    return escape("".join(c if c.isprintable() else " " for c in text), {'"': "&quot;"})
