"""What every declared check has: its name, how bad it is when it fails, and the facts that it is held against.

A check is of one load, and looks at nothing but what was measured of it: no history, no model. What was not measured
is neither right nor wrong, so there are three outcomes and not two.
"""

import math
from collections.abc import Mapping
from typing import Annotated, ClassVar, Literal, NamedTuple

import msgspec
from msgspec import Meta

from detector.core.profiles import Columns

Status = Literal["passed", "failed", "not_evaluated"]
Share = Annotated[float, Meta(ge=0, le=1)]
Amount = Annotated[float, Meta(ge=0)]
ColumnName = Annotated[str, Meta(min_length=1, max_length=1_000)]


class Facts(NamedTuple):
    """What was measured of one load. `columns` is None where no statistics came with it.

    `written` is how many rows it wrote, `rows` of how many rows the statistics are; `top_values` counts the most
    frequent values of a column by their hash.
    """

    columns: Columns | None
    written: float | None
    rows: float | None
    top_values: Mapping[str, Mapping[str, float]]

    def of(self, statistic: str, column: str) -> float | None:
        """One number, or None if it was not measured."""
        if self.columns is None or column not in self.columns.names:
            return None
        value = float(self.columns.of(statistic)[self.columns.names.index(column)])
        return value if math.isfinite(value) else None


class Outcome(NamedTuple):
    """How a check went, in a sentence with its numbers, and these numbers."""

    status: Status
    sentence: str
    observed: float | None = None
    lower: float | None = None
    upper: float | None = None


class Base(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every kind has. `name` is what it is called by in findings, `severity` how bad it is when it fails."""

    kind: ClassVar[str]
    unit: ClassVar[str | None] = None
    name: Annotated[str, Meta(max_length=80, pattern=r"^[^\n]*$")] = ""
    severity: Literal["warning", "critical"] = "critical"

    @property
    def about(self) -> str:
        """What it looks at, where that is a column."""
        return ""

    @property
    def called(self) -> str:
        """Its name, or what it looks at: two checks of one dataset are not called the same."""
        return self.name or (f"{self.kind}({self.about})" if self.about else self.kind)


class OfLoad(Base, frozen=True, kw_only=True):
    """A check of a load. `grain` is which profiles it is of; None: of all but those of what a run has read."""

    grain: str | None = None


def judged(
    passed: bool, sentence: str, observed: float, lower: float | None = None, upper: float | None = None
) -> Outcome:
    """The outcome of a check that could be evaluated."""
    return Outcome("passed" if passed else "failed", sentence, observed, lower, upper)


def unknown(facts: Facts, column: str, statistic: str) -> Outcome:
    """The outcome of a check that lacks a number, with what it lacks."""
    if facts.columns is None:
        return Outcome("not_evaluated", f"{column}: no statistics of columns came with the load")
    if column not in facts.columns.names:
        return Outcome("not_evaluated", f"{column}: the profile has no such column")
    return Outcome("not_evaluated", f"{column}: the profile has no {statistic} of it")


def told(value: float, beside: float | None = None) -> str:
    """A number as short as it may be: one that is not equal to the one beside it does not read as if it were."""
    if value == int(value) and abs(value) < 1e15:
        return f"{value:,.0f}"
    short = f"{value:,.6g}"
    return repr(value) if beside is not None and value != beside and short == f"{beside:,.6g}" else short


def percent(share: float, beside: float | None = None) -> str:
    """A share as people read it: `0.12 %`. One that is not equal to the one beside it does not read as if it were."""
    short = f"{100 * share:.4g} %"
    alike = beside is not None and share != beside and short == f"{100 * beside:.4g} %"
    return f"{100 * share:.12g} %" if alike else short


def band(lower: float | None, upper: float | None) -> str:
    """What was declared: `at least 0`, `at most 5`, `0 to 5`."""
    if lower is None:
        return f"at most {told(upper or 0.0)}"
    return f"at least {told(lower)}" if upper is None else f"{told(lower)} to {told(upper)}"


def within(value: float, lower: float | None, upper: float | None) -> bool:
    """Whether a number is where it was declared to be."""
    return (lower is None or value >= lower) and (upper is None or value <= upper)


def check_band(lower: float | None, upper: float | None) -> None:
    """Raises `ValueError` for a band that says nothing, or that nothing is in."""
    if lower is None and upper is None:
        raise ValueError("needs a min, a max, or both")
    if lower is not None and upper is not None and lower > upper:
        raise ValueError("min is more than max")
