"""What people are told of a value and of an episode: one sentence each, to be judged at 3 a.m. without a manual.

Every number in a sentence is a field of the event that carries it, or follows from its fields. What is not known is
left out. Numbers are rounded for reading, but never so that a value outside its band reads as one inside.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from detector.core.models import kernel
from detector.core.text import (
    DAY,
    HOUR,
    MINUTE,
    WEEKDAYS_IN_FULL,
    day,
    duration,
    jobs_and_datasets,
    moment,
    number,
)

if TYPE_CHECKING:
    from detector.core.incidents import Incident
    from detector.core.judge import Finding

LONGEST = 300  # characters of a sentence about a value; what stands at its end is left out when there is no room
LONGEST_NAME, LONGEST_NEIGHBOUR, LONGEST_VERSION, NAMED = 60, 40, 20, 3
MANY = 1_000  # as many neighbours as are kept: there may be more
FAR = 1e6  # times what is usual; more is no longer told
RECENT = 7 * DAY
SEASONS = {kernel.WEEKDAY: "weekday", kernel.HOUR: "hour", kernel.TURN: "turn_of_month"}
DRIFTED = (kernel.CAUSES[kernel.DRIFT], kernel.CAUSES[kernel.NOISE])
REPEATS = 3  # equal values in a row that a sentence speaks of
WEEK = 7  # values of a daily series
CLEAR = 0.05  # of a level: less is no way that it went
DENSE = ("range", "season", "pattern", "quiet", "shape")


# ---------------------------------------------------------------- of a value


class _Value(NamedTuple):
    """A value that is told of: `last` has it at the end. Rows are told once in a sentence, other units each time."""

    finding: "Finding"
    last: Sequence[float]
    unit: str | None

    @property
    def observed(self) -> str:
        return number(self.finding.observed, self.unit)

    @property
    def bare(self) -> str | None:
        return None if self.unit == "rows" else self.unit

    @property
    def is_bounded(self) -> bool:
        return math.isfinite(self.finding.lower) or math.isfinite(self.finding.upper)

    @property
    def is_inside(self) -> bool:
        return self.finding.lower <= self.finding.observed <= self.finding.upper


def of_value(finding: "Finding", last: Sequence[float], unit: str | None) -> str:
    """What is unusual about a value, in about 200 characters at most.

    `last` are the last values of the series, the oldest first, with the one that is told of at the end.
    """
    say = _BY_CAUSE.get(finding.cause, _unknown)
    return f"{label(finding.metric)}: {say(_Value(finding, last, unit))} ({_seen(finding)})"


def label(name: str) -> str:
    """The name of a metric or a check as it is read."""
    return _short(name.replace("_", " "), LONGEST_NAME)


def _outlier(told: _Value) -> str:
    return f"{_how_much(told)}; {_band(told)}"


def _outliers(told: _Value) -> str:
    side = told.finding.direction
    return f"{_how_much(told)}; the last two or three runs together are too {side}, {_band(told)}"


def _drift(told: _Value) -> str:
    if not told.is_bounded:
        return f"{told.observed}; the level has moved, {_band(told)}"
    if not told.is_inside:
        return _outlier(told)
    if _same(told.last) >= REPEATS:
        return _stays(told)
    finding = told.finding
    sign, way = (-1, "down") if finding.direction == "low" else (1, "up")
    begin, end = trend(told.last, finding.season)
    if sign * (end - begin) > CLEAR * abs(begin):
        path = f"from about {number(begin, told.bare)} to {number(end, told.bare)} in the last {len(told.last)} runs"
        return f"{told.observed}; drifting {way} for some time, {path}, {_band(told)}"
    is_clear = sign * (finding.observed - finding.expected) > CLEAR * abs(finding.expected)
    return f"{_how_much(told)}; drifting {f'{way} ' if is_clear else ''}for some time, {_band(told)}"


def _stays(told: _Value) -> str:
    """A value that repeats can be found for where it lies, too."""
    return f"{_how_much(told)}, and the same for {_times(told.last)} run in a row, {_band(told)}"


def _noise(told: _Value) -> str:
    if not told.is_inside:
        return _outlier(told)
    if _same(told.last) >= REPEATS:
        return _stays(told)
    least, most = number(min(told.last), told.bare), number(max(told.last), told.bare)
    spread = f"{least} to {most} in the last {len(told.last)} runs"
    return f"{told.observed}; varies more than it used to, {spread}, {_band(told)}"


def _repeated(told: _Value) -> str:
    return f"{told.observed}, the same for {_times(told.last)} run in a row, which is most unlikely here"


def _only_zeros(told: _Value) -> str:
    return f"{told.observed} for {_times(told.last)} run in a row; 0 is common here, but hardly ever for so long"


def _first_large(told: _Value) -> str:
    before = told.last[:-1]
    if len(before) > 1 and not any(before):
        return f"{told.observed}, after 0 in each of the last {len(before)} runs"
    return f"{told.observed}, far more than anything seen of late"


def _out_of_range(told: _Value) -> str:
    return f"{told.observed}, where values lie between 0 and 1"


def _unknown(told: _Value) -> str:
    cause = f"; {told.finding.cause}" if told.finding.cause else ""
    return f"{_how_much(told)}{cause}; {_band(told)}"


def _dense(why: str) -> Callable[[_Value], str]:
    def say(told: _Value) -> str:
        usual = f"; {_band(told)}" if told.is_bounded and not told.is_inside else ""
        return f"{told.observed}{why}{usual}"

    return say


_BY_CAUSE: dict[str, Callable[[_Value], str]] = {
    kernel.CAUSES[kernel.OUTLIER]: _outlier,
    kernel.CAUSES[kernel.OUTLIERS]: _outliers,
    kernel.CAUSES[kernel.DRIFT]: _drift,
    kernel.CAUSES[kernel.NOISE]: _noise,
    kernel.CAUSES[kernel.STUCK]: _repeated,
    kernel.CAUSES[kernel.ONLY_ZEROS]: _only_zeros,
    kernel.CAUSES[kernel.FIRST_LARGE]: _first_large,
    kernel.CAUSES[kernel.RANGE]: _out_of_range,
    "range": _dense(", beyond all that was seen before"),
    "season": _dense("; the last 20 values lie unusually far from what is usual at this hour of the week"),
    "pattern": _dense("; the last values follow each other in an order that is hardly ever seen"),
    "quiet": _dense("; the last 100 values move less than ever before"),
    "shape": _dense("; the last 288 values have a shape that was not seen before"),
}


def _how_much(told: _Value) -> str:
    far = how_far(told.finding.observed, told.finding.expected)
    return f"{told.observed}, {far}" if far else told.observed


def how_far(observed: float, expected: float) -> str:
    """How far off in words, `4 % of what is usual`; empty where there is no such share.

    >>> how_far(412, 10_550), how_far(8_100, 10_000), how_far(35, 10), how_far(0, 10)
    ('4 % of what is usual', '19 % less than usual', '3.5 times what is usual', '')
    """
    if not (0 < observed < math.inf and 0 < expected < math.inf):
        return ""
    ratio = observed / expected
    if ratio < 0.01:
        return "less than 1 % of what is usual"
    if ratio < 0.5:
        return f"{100 * ratio:.0f} % of what is usual"
    if ratio < 2:
        percent = f"{100 * abs(ratio - 1):.0f}"
        return "" if percent == "0" else f"{percent} % {'less' if ratio < 1 else 'more'} than usual"
    if ratio >= FAR:
        return ""
    times = f"{ratio:.1f}".removesuffix(".0") if ratio < 9.95 else f"{ratio:,.0f}"
    return f"{times} times what is usual"


def _band(told: _Value) -> str:
    """What was expected, or what one value alone may be, where it is what came before that makes it unusual."""
    finding = told.finding
    if not told.is_bounded:
        return f"usual is about {number(finding.expected, told.unit)}"
    lower, upper = _bounds(told)
    if not math.isfinite(finding.lower):
        band = f"at most {upper}"
    elif not math.isfinite(finding.upper):
        band = f"at least {lower}"
    else:
        band = f"{lower} to {upper}"
    return f"{'though one alone may be' if told.is_inside else 'expected'} {band}{_when(finding)}"


def _bounds(told: _Value) -> tuple[str, str]:
    """The bounds as they are read: of whole numbers those inside, and none that reads as the value that is outside."""
    observed, lower, upper = told.finding.observed, told.finding.lower, told.finding.upper
    if told.unit == "rows" and observed == int(observed) and upper - lower >= 1:
        lower = math.ceil(lower) if math.isfinite(lower) else lower
        upper = math.floor(upper) if math.isfinite(upper) else upper
    value, low, high = (number(x, told.bare) for x in (observed, lower, upper))
    if observed < lower and low == value:
        low = f"just above {low}"
    if observed > upper and high == value:
        high = f"just below {high}"
    return low, high


def _when(finding: "Finding") -> str:
    """The seasons that moved what was expected: ` on a Tuesday around 03:00 UTC`, or by the clock there."""
    told = ""
    if finding.season & kernel.WEEKDAY:
        told += f" on a {WEEKDAYS_IN_FULL[int(finding.wall // DAY + 3) % 7]}"
    if finding.season & kernel.HOUR:
        told += f" around {int(finding.wall / HOUR + 0.5) % 24:02}:00{' UTC' if finding.wall == finding.at else ''}"
    if finding.season & kernel.TURN:
        told += " at the turn of the month"
    return told


def seasons(bits: int) -> list[str]:
    """The names of the seasons of a reading."""
    return [name for bit, name in SEASONS.items() if bits & bit]


def _seen(finding: "Finding") -> str:
    what = "values" if finding.cause in DENSE else "runs"
    return f"{finding.samples:,} {what} seen{': still warming up' if finding.warming_up else ''}"


def _same(last: Sequence[float]) -> int:
    """How many of the last values are the same."""
    return next((n for n, value in enumerate(reversed(last)) if value != last[-1]), len(last))


def _times(last: Sequence[float]) -> str:
    """`the 4th`, as far back as the last values are kept."""
    same = _same(last)
    return f"{'at least ' if same == len(last) else ''}the {_ordinal(same)}"


def _ordinal(n: int) -> str:
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n:,}{ending}"


def _short(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 3]}..."


def trend(last: Sequence[float], season: int) -> tuple[float, float]:
    """Where the last values come from and where they went: the middle of the first three and of the last three, or of
    two pairs a week apart where the weekday matters. Twice the same where they are too few to tell.
    """
    if season == kernel.WEEKDAY and len(last) == WEEK + 2:
        return sum(last[:2]) / 2, sum(last[WEEK:]) / 2
    if season or len(last) < 6:
        return last[-1], last[-1]
    return sorted(last[:3])[1], sorted(last[-3:])[1]


# ---------------------------------------------------------------- what stands at its end


def since_when(finding: "Finding", outside: Sequence[int]) -> str:
    """When a value last lay outside the band on the same side; empty where that says nothing.

    `outside` is when one last lay below and above it, in seconds since 1970; 0 for never.
    """
    is_outside = finding.observed < finding.lower or finding.observed > finding.upper
    if not is_outside or finding.warming_up or finding.cause in DENSE:
        return ""
    side = "below" if finding.direction == "low" else "above"
    fall = "fall" if finding.direction == "low" else "rise"
    before, at = outside[finding.direction == "high"], finding.at
    if not before:
        return f"never {side} the band before"
    if before >= at:
        return ""
    if at - before < RECENT:
        return f"last {side} the band on {moment(before // MINUTE * MINUTE)}"
    return f"first {fall} {side} the band since {day(before, at)}"


def code_changed(before: str | None, now: str | None) -> str:
    """That the code is another one than in the last good run, as far as both are known."""
    if not before or not now or before == now:
        return ""
    was, is_now = _version(before), _version(now)
    versions = f": {was} to {is_now}" if was != is_now else ""
    return f"the code changed since the last good run{versions}"


def _version(version: str) -> str:
    """A version as it is read: of a commit's hash the first seven digits."""
    is_hash = len(version) in (40, 64) and all(digit in "0123456789abcdef" for digit in version)
    return version[:7] if is_hash else _short(version, LONGEST_VERSION)


def who_is_next(key: str, neighbours: Sequence[str]) -> str:
    """Who is next in the lineage, by number and the names of some: `downstream: 2 datasets (orders, customers)`."""
    if not neighbours:
        return ""
    kind = "dataset" if key.startswith("job:") else "job"
    count = len(neighbours)
    names = ", ".join(_short(name.rpartition("/")[2] or name, LONGEST_NEIGHBOUR) for name in neighbours[:NAMED])
    more = ", ..." if count > NAMED else ""
    return f"downstream: {count}{' or more' if count >= MANY else ''} {kind}{'s' if count > 1 else ''} ({names}{more})"


def with_notes(sentence: str, notes: Iterable[str]) -> str:
    """A sentence and what is known beside, as far as there is room."""
    for note in notes:
        if note and len(sentence) + len(note) + 2 <= LONGEST:
            sentence = f"{sentence}; {note}"
    return sentence


# ---------------------------------------------------------------- of an episode


def goes_on(sentence: str, count: int, lasts: float) -> str:
    """What is said when an episode is seen again: the sentence, how often, and for how long."""
    took = f" in {_lasting(lasts)}" if lasts >= 1 else ""
    return with_notes(sentence, [f"the {_ordinal(count)} time{took}"])


def over(check: str, why: str, count: int, lasted: float) -> str:
    """What is said when an episode ends: why, after how long, and how often it was seen."""
    after = f", after {_lasting(lasted)}" if lasted >= 1 else ""
    return f"{label(check)}: {why}{after}{f' (seen {count:,} times)' if count > 1 else ''}"


def _lasting(seconds: float) -> str:
    """How long an episode lasts: of what takes hours nobody counts the seconds."""
    return duration(round(seconds / MINUTE) * MINUTE if seconds >= 10 * MINUTE else seconds)


def back(value: float, expected: float, unit: str | None, told_of: str, is_new_normal: bool) -> str:
    """Why an episode of a metric is over. `told_of` is its cause where it was one value: a drift may well go on."""
    told = number(value, unit)
    if is_new_normal:
        return f"{told} is the new normal, about {number(expected, unit)} was usual before"
    if told_of in DRIFTED:
        return f"{told} is within what is expected by now (the change is told once)"
    return f"back to normal with {told}"


# ---------------------------------------------------------------- of an incident


def what_to_do(incident: "Incident") -> list[str]:
    """The next steps, for who was called and has not seen this before; the first is the first to do."""
    told = [_look_at(incident)]
    if incident.last_good_run is not None:
        version = f" (version {_version(incident.last_good_version)})" if incident.last_good_version else ""
        when = f" of {moment(incident.last_good_at)}" if incident.last_good_at else ""
        told.append(f"the last good state is that{when}: run {incident.last_good_run}{version}")
    told += [
        f"{jobs_and_datasets(incident.affected)} wait, and go on without you once {key} is good again;"
        f" to let them go on now: detector breaker override {key} --force-closed --until 2h --reason ..."
        for key in _holding(incident)
    ]
    told.append(
        f"it is no fault? detector feedback --incident {incident.id} expected_once, new_normal or false_positive"
    )
    return told


def _holding(incident: "Incident") -> list[str]:
    """Who keeps others waiting: datasets do, and not the jobs that wrote them, where it may have begun."""
    going_on = dict.fromkeys(m.entity for m in incident.findings if m.ended is None)
    return [key for key in going_on if key.startswith("dataset:")] if incident.affected else []


def _look_at(incident: "Incident") -> str:
    mine = [m for m in incident.findings if m.entity == incident.root]
    run = next((m.run_id for m in reversed(mine) if m.run_id), None)
    of_run = f", run {run}" if run else ""
    return f"look at {incident.root}{of_run}: {incident.title}"
