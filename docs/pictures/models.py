"""Draws model-*.svg, the pictures of the pages in docs/models: made-up series, judged and drawn by the real code.

python -m docs.pictures.models

The series are seeded and the models know no chance, so the pictures are the same each time;
`tests/test_model_pages.py` holds them against what is drawn now.
"""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from random import Random
from typing import NamedTuple

from detector import paper, plots
from detector.core.judge import Judge
from detector.core.models.band import Band
from detector.core.models.baseline import Baseline
from detector.core.models.estimator import Estimator
from detector.core.models.relations import Relations
from detector.series import NOTHING, Judged, Row, bare, judge

FOLDER = Path(__file__).parent
MONDAY = 1_767_578_400.0  # 5 January 2026, 02:00 UTC
DAY, HOUR, MINUTE = 86_400.0, 3_600.0, 60.0
Notes = list[tuple[float, str]]


class Picture(NamedTuple):
    """A series as it was judged, what is said above it, and what was done to it when."""

    title: str
    judged: Sequence[Judged]
    notes: Notes

    def drawn(self) -> str:
        """The SVG."""
        return plots.series(self.judged, self.title, self.notes)


# ---------------------------------------------------------------- one series


def baseline() -> Picture:
    """A load a day that is small on weekends, and what the default model is made for."""
    random, drop, spike, level, leak = Random(2), 50, 72, 92, 136
    values = []
    for day in range(182):
        x = (4_500.0 if day % 7 > 4 else 10_000.0) * (1 + random.gauss(0, 0.04))
        x *= {drop: 0.35, spike: 2.2}.get(day, 1.0) * (1.5 if day >= level else 1.0)
        values.append(x * 0.98 ** min(max(day - leak, 0), 25))
    notes = {drop: "a third of a load", spike: "a spike", level: "a new level", leak: "2 % less each day"}
    return _judged("Baseline: rows of a load a day", Baseline(), values, DAY, notes)


def dense() -> Picture:
    """A value every five minutes with the shape of a day: an outage, a spike, and a day that comes at night."""
    random, rows = Random(2), 288
    outage, spike, night = 12 * rows + 170, 15 * rows + 120, 19 * rows - 24
    values = []
    for row in range(21 * rows):
        shape = 1 - math.cos(math.tau * row / rows)
        shape = 1.6 if night <= row < night + 36 else shape
        x = 200 + 300 * shape + random.gauss(0, 15)
        x = 60 + random.gauss(0, 5) if outage <= row < outage + 24 else x
        values.append(x * 1.8 if row == spike else x)
    notes = {outage: "two hours of outage", spike: "one value", night: "as by day, at midnight"}
    return _judged("Dense stream: requests, every five minutes", bare(Baseline()), values, 5 * MINUTE, notes)


def band() -> Picture:
    """A load a day without weekends: what the simplest model finds, and what it follows without a word."""
    random, drop, less, level, leak = Random(3), 30, 50, 70, 95
    values = []
    for day in range(130):
        x = 10_000 * (1 + random.gauss(0, 0.04)) * {drop: 0.5, less: 0.8}.get(day, 1.0)
        values.append(x * (1.4 if day >= level else 1.0) * 0.985 ** max(day - leak, 0))
    notes = {drop: "half", less: "a fifth less", level: "a new level", leak: "1.5 % less each day"}
    return _judged("Band: rows of a load a day", Band(), values, DAY, notes)


def river() -> Picture:
    """A load a day, judged by a detector of drift: one spike is none, and it waits until it is sure."""
    random, spike, level, back = Random(4), 40, 70, 105
    values = []
    for day in range(140):
        x = 10_000 * (1 + random.gauss(0, 0.05)) * (1.5 if level <= day < back else 1.0)
        values.append(2.5 * x if day == spike else x)
    notes = {spike: "a spike", level: "a new level", back: "and back"}
    return _judged(
        "River's drift.PageHinkley: rows of a load a day", Estimator("drift.PageHinkley"), values, DAY, notes
    )


def _judged(title: str, model: Judge, values: Sequence[float], step: float, notes: dict[int, str]) -> Picture:
    rows = [_row(number, round(x), step) for number, x in enumerate(values)]
    return Picture(title, judge(rows, model), [(rows[number].at, words) for number, words in notes.items()])


def _row(number: int, x: float, step: float = DAY) -> Row:
    return Row("", "", MONDAY + number * step, x)


# ---------------------------------------------------------------- what goes together


PARTED = 70
KEPT = 0.7  # of what is usually written


def runs() -> list[tuple[int, int]]:
    """The rows that a run a day reads and writes. Loads differ by a fifth; once a part is not written."""
    random = Random(5)
    read = [100_000 * math.exp(random.gauss(0, 0.2)) for _ in range(100)]
    kept = [(KEPT if day == PARTED else 1.0) * (0.95 + random.gauss(0, 0.012)) for day in range(100)]
    return [(round(x), round(x * share)) for x, share in zip(read, kept, strict=True)]


def alone() -> Picture:
    """The rows that were written, judged by themselves."""
    written = [y for _, y in runs()]
    title = "Rows written, judged alone: as usual"
    return _judged(title, Baseline(), written, DAY, {PARTED: "30 % were lost"})


def together() -> Picture:
    """The rows that were written, and what fits the rows that were read."""
    relations = Relations()
    judged = []
    for day, (x, y) in enumerate(runs()):
        row, said = _row(day, y), NOTHING
        for pair in relations.judge(MONDAY + day * DAY, {"rows_in": x, "rows_out": y}):
            lower, expected, upper = pair.fits[pair.metrics.index("rows_out")]
            said = pair.reading._replace(alert=pair.broken, lower=lower, expected=expected, upper=upper)
        judged.append(Judged(row, said))
    notes = [(judged[PARTED].row.at, "30 % were lost")]
    return Picture("The same rows written, and what fits the rows read", judged, notes)


PICTURES: dict[str, Callable[[], Picture]] = {
    "model-baseline": baseline,
    "model-dense": dense,
    "model-band": band,
    "model-river": river,
    "model-alone": alone,
    "model-together": together,
}


if __name__ == "__main__":
    for name, make in PICTURES.items():
        paper.save(make().drawn(), str(FOLDER / f"{name}.svg"))
