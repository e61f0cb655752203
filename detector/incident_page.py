"""An incident as a page for somebody who was woken by it and has never seen this program.

Four questions, each with a heading: what broke, why we think so, who is hit, what to do. Pure: the incident, and what
the breakers of its entities say, in; lines out. Commands stand on lines of their own, to be copied.
"""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from shlex import quote
from types import MappingProxyType
from typing import Literal, NamedTuple

from detector.core.emissions import Anomaly, BreakerValue, Contributor
from detector.core.incidents import Around, Incident, IncidentFinding, Past, Seen, is_upstream
from detector.core.text import duration, jobs_and_datasets, moment, number, wait

WIDTH = 100
NAMED = 40
ENTRIES = 30
LAST = 5
NO_FAULT = {
    "expected_once": "right this once",
    "new_normal": "so from now on",
    "false_positive": "be less strict here",
}
NO_EVIDENCE: Mapping[str, Anomaly] = MappingProxyType({})
Style = Literal["", "title", "heading", "command", "faint", "critical", "warning", "info", "resolved"]


class Line(NamedTuple):
    """A line of the page, and how it looks where there are colours."""

    text: str
    style: Style = ""


def page(
    incident: Incident,
    breakers: Mapping[str, BreakerValue],
    now: float,
    evidence: Mapping[str, Anomaly] = NO_EVIDENCE,
) -> list[Line]:
    """All that there is to say of an incident at `now`.

    `breakers` are those of its entities, and `evidence` the last that was said of its episodes, as far as known.
    """
    lines = [*_head(incident, now)]
    for heading, said in (
        ("What broke", _what_broke(incident, holders(incident, breakers))),
        ("Why we think so", _why(incident, breakers, evidence)),
        ("Who is hit", _who(incident, breakers)),
        ("What to do", _what_to_do(incident, holders(incident, breakers))),
        ("Seen before", _before(incident)),
        ("What happened so far", _timeline(incident)),
    ):
        told = list(said)
        if told:
            lines += [Line(""), Line(heading, "heading"), *told]
    return lines


def _head(incident: Incident, now: float) -> Iterator[Line]:
    if incident.state == "open":
        state = f"open for {duration(max(now - incident.opened, 0.0))}"
    elif incident.state == "merged":
        state = f"part of incident {incident.merged_into}"
    else:
        state = f"over after {duration(max((incident.resolved or now) - incident.opened, 0.0))}"
    style: Style = incident.severity if incident.state == "open" else "resolved"
    yield Line(f"{incident.severity.upper()}, {state}: {incident.root}", style)
    yield Line(f"incident {incident.id}", "faint")


# ---------------------------------------------------------------- what broke


def _what_broke(incident: Incident, holders: Sequence[str]) -> Iterator[Line]:
    again = f" It has come back {_times(incident.reopened)}." if incident.reopened else ""
    over = f", until {moment(incident.resolved)}" if incident.resolved is not None else ""
    yield from _text(f"{incident.root}, since {moment(incident.opened)}{over}:", style="title")
    yield from _text(f"{_brief(incident.title)}.{again}", style="title")
    if incident.state == "open":
        for key in holders:
            yield from _text(f"The breaker of {key} is open: who needs it does not start.")
    if incident.last_good_run is not None:
        when = f", {moment(incident.last_good_at)}" if incident.last_good_at is not None else ""
        version = f", version {incident.last_good_version}" if incident.last_good_version else ""
        yield from _text(f"Last good: run {incident.last_good_run}{when}{version}.")
    care = [
        f"{incident.acknowledged_by} looks after it"
        if incident.acknowledged_by
        else "nobody has said that they look after it",
        f"it belongs to {incident.owner}" if incident.owner else "",
        f"nobody is called: {incident.quiet}" if incident.quiet else "",
    ]
    if incident.state == "open":
        told = "; ".join(part for part in care if part)
        yield from _text(told[0].upper() + told[1:] + ".")


# ---------------------------------------------------------------- why


def _why(incident: Incident, breakers: Mapping[str, BreakerValue], evidence: Mapping[str, Anomaly]) -> Iterator[Line]:
    found = in_order(incident.findings, seen_of(breakers))
    told: set[tuple[str, str]] = set()
    for place, one in enumerate(found[:NAMED], start=1):
        run = f", run {one.run_id}" if one.run_id else ""
        over = f", over since {moment(one.ended)}" if one.ended is not None else ""
        root = " (where it began)" if one.entity == incident.root else ""
        head = f"{place}. {one.entity}{root}"
        yield from _text(f"{head}: {one.severity}, {one.check}, since {moment(one.since)}{over}{run}", "  ", hang=3)
        yield from _text(_brief(one.summary) if _numbers(one) not in told else "the same numbers", "     ")
        told.add(_numbers(one))
        for text in _evidence(evidence.get(one.episode)):
            yield from _text(text, "     ", "faint")
    if len(found) > NAMED:
        yield from _text(f"and {len(found) - NAMED} more: detector incidents show {incident.id} --json")


def _brief(summary: str) -> str:
    """A sentence without who is downstream: that has a heading of its own."""
    return summary.partition("; downstream: ")[0]


def _numbers(one: IncidentFinding) -> tuple[str, str]:
    """What tells two findings of one run apart, if not by whom they were made."""
    return one.run_id or one.episode, one.summary.partition(": ")[2].partition(";")[0]


def _evidence(said: Anomaly | None) -> Iterator[str]:
    """What the numbers were before, and which of several had most to do with it."""
    if said is None:
        return
    if said.last_values:
        values = ", ".join(number(value, None) for value in said.last_values[-LAST:])
        now = f"; now {number(said.observed, None)}" if said.observed is not None else ""
        yield f"the values before, the newest last: {values}{now}"
    if said.contributors:
        told = ", ".join(_contributor(one) for one in said.contributors[:LAST])
        more = len(said.contributors) - LAST
        yield f"most of it: {told}" + (f", and {more} more" if more > 0 else "")


def _contributor(one: Contributor) -> str:
    if one.observed is None:
        return one.metric
    usual = f" (usually {number(one.expected, None)})" if one.expected is not None else ""
    return f"{one.metric} {number(one.observed, None)}{usual}"


def seen_of(breakers: Mapping[str, BreakerValue]) -> Seen:
    """What the breakers tell of who is upstream of whom."""
    around = {key: Around(tuple(one.up), tuple(one.down), one.parent) for key, one in breakers.items()}
    held_by = {key: {held.root: tuple(held.path) for held in one.waits_for} for key, one in breakers.items()}
    return Seen(around, held_by)


def in_order(findings: Iterable[IncidentFinding], seen: Seen) -> list[IncidentFinding]:
    """Findings from upstream to downstream; of those of one place, the first that was found first. Cycles are cut."""
    waiting = sorted(findings, key=lambda one: (one.since, one.entity, one.check))
    entities = list(dict.fromkeys(one.entity for one in waiting))
    ordered: list[str] = []
    while entities:
        free = (e for e in entities if not any(o != e and is_upstream(o, e, seen) for o in entities))
        first = next(free, entities[0])
        entities.remove(first)
        ordered.append(first)
    return sorted(waiting, key=lambda one: ordered.index(one.entity))


# ---------------------------------------------------------------- who


def _who(incident: Incident, breakers: Mapping[str, BreakerValue]) -> Iterator[Line]:
    affected = incident.affected
    if not affected:
        yield from _text("Nobody is held because of it." if incident.state == "open" else "Nobody is held any more.")
    else:
        held_by = " and ".join(holders(incident, breakers)) or "it"
        yield from _text(f"{jobs_and_datasets(affected)} downstream {wait(affected)} until {held_by} is good again:")
    roots = {one.entity for one in incident.findings}
    ways = {key: _way(key, roots, breakers.get(key)) for key in affected}
    for key in sorted(affected, key=lambda key: (ways[key], key))[:NAMED]:
        yield from _text(key, "    " + "  " * max(len(ways[key]) - 2, 0))
    if len(affected) > NAMED:
        yield from _text(f"and {len(affected) - NAMED} more", "    ")
    others = incident.downstream - len(affected)
    if others > 0:
        yield from _text(f"{others} more are downstream of what is wrong, and are not held.")


def _way(key: str, roots: Iterable[str], breaker: BreakerValue | None) -> tuple[str, ...]:
    """Which way the hold came, from the root to the one that is held, as far as it is known."""
    mine = set(roots)
    held = next((held for held in breaker.waits_for if held.root in mine), None) if breaker else None
    return (*held.path, key) if held else ()


def holders(incident: Incident, breakers: Mapping[str, BreakerValue]) -> list[str]:
    """The datasets that keep others waiting: of these a breaker must be closed, and not of the job that wrote them."""
    mine = list(dict.fromkeys(one.entity for one in incident.findings))
    told = {held.root for key in incident.affected if key in breakers for held in breakers[key].waits_for}
    return [key for key in mine if key in told] or [
        key for key in mine if key.startswith("dataset:") and incident.affected
    ]


# ---------------------------------------------------------------- what to do


def _what_to_do(incident: Incident, holders: Sequence[str]) -> Iterator[Line]:
    steps = _while_open(incident, holders) if incident.state == "open" else _afterwards(incident)
    for place, (text, *commands) in enumerate(steps, start=1):
        yield from _text(f"{place}. {text}", "  ", hang=3)
        for command in commands:
            yield Line(f"       {command}", "command")


def _while_open(incident: Incident, holders: Sequence[str]) -> Iterator[tuple[str, ...]]:
    root, id_ = quote(incident.root), incident.id
    if incident.acknowledged_by is None:
        yield ("Say that you look after it, so that nobody else is called.", f"detector incidents ack {id_}")
    run = next((one.run_id for one in reversed(incident.findings) if one.entity == incident.root and one.run_id), None)
    of_run = f", and at run {run}" if run else ""
    yield (
        f"Look at {incident.root}{of_run}: its breaker, and what was said of it.",
        f"detector breaker show {root}",
        f"detector tail --entity {root} --no-follow",
    )
    back = ""
    if incident.last_good_run is not None:
        version = f", version {incident.last_good_version}" if incident.last_good_version else ""
        back = f" (or first put back the data that run {incident.last_good_run} left{version})"
    yield (f"Mend the cause and run it again{back}. A good run ends the incident, and those that wait go on.",)
    if incident.affected:
        yield (
            "If those that wait may read the data as it is: a breaker that is closed lets them go on. For two hours:",
            *(
                f"detector breaker override {quote(key)} --force-closed --until 2h --reason 'why it can be used'"
                for key in holders
            ),
        )
    longest = max(len(word) for word in NO_FAULT)
    yield (
        "If it is no fault, say which of these it is: the incident is over, and those that wait go on.",
        *(f"detector feedback --incident {id_} {word:<{longest}}  # {why}" for word, why in NO_FAULT.items()),
    )


def _afterwards(incident: Incident) -> Iterator[tuple[str, ...]]:
    if incident.state == "merged":
        yield ("Look at the incident that it is part of.", f"detector incidents show {incident.merged_into}")
        return
    if incident.plan is not None:
        yield ("Redo what was missed, failed, or built on bad data.", f"detector recover plan {incident.plan}")
    if incident.verdict is None:
        yield ("Say whether it was right to tell this.", f"detector feedback --incident {incident.id} confirmed")


# ---------------------------------------------------------------- before, and since


def _before(incident: Incident) -> Iterator[Line]:
    for past in incident.seen_before:
        yield from _text(f"{moment(past.opened)}, for {_lasted(past)}: {past.title} {_ended(past)}", "  ", hang=2)


def _lasted(past: Past) -> str:
    return duration(max(past.resolved - past.opened, 0.0))


def _ended(past: Past) -> str:
    if past.verdict is None:
        return "(nobody said what it was)"
    return f"({past.by or 'somebody'}: {past.verdict.replace('_', ' ')})"


def _timeline(incident: Incident) -> Iterator[Line]:
    left_out = len(incident.timeline) - ENTRIES
    for entry in incident.timeline[-ENTRIES:]:
        text = f"  {moment(entry.at)}  {' '.join(entry.text.partition(';')[0].split())}"
        yield Line(text if len(text) <= WIDTH else f"{text[: WIDTH - 3]}...", "faint")
    if left_out > 0:
        yield from _text(f"({left_out} earlier ones: --json has them all)", "  ", "faint")


def _times(count: int) -> str:
    return {1: "once", 2: "twice"}.get(count, f"{count} times")


def _text(text: str, indent: str = "  ", style: Style = "", hang: int = 0) -> Iterator[Line]:
    """A paragraph in lines of at most `WIDTH` columns; a name that is longer stays whole, to be copied."""
    wrapped = textwrap.wrap(
        text,
        WIDTH,
        initial_indent=indent,
        subsequent_indent=indent + " " * hang,
        break_long_words=False,
        break_on_hyphens=False,
    )
    yield from (Line(line, style) for line in wrapped)
