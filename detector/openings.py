"""How often breakers opened, or would have, what people said of it, and for how long data stayed as old as it was.

It is how one decides whether a breaker that runs in shadow may be enforced. `read` makes facts of what the control
topic says, `fold` makes figures of the facts; both are pure.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import msgspec

from detector.core.breaker import Mode, State
from detector.core.commands import Verdict
from detector.core.text import DAY, duration

CHANGED = "io.detector.breaker.state_changed.v1"
DONE = "io.detector.command.done.v1"
UNDER_WAY = (State.OPEN, State.HALF_OPEN)


class Moved(msgspec.Struct, frozen=True, kw_only=True):
    """A breaker moved at `at` (seconds since 1970). `cause` is the episode of the anomaly that opened it."""

    at: float
    entity: str
    mode: Mode
    from_state: State = msgspec.field(name="from")
    to_state: State = msgspec.field(name="to")
    cause: str | None = None


class Feedback(msgspec.Struct, frozen=True, kw_only=True):
    """What a person said of an episode at `at`; of what was `missed` there is none. The last word on one counts."""

    at: float
    entity: str
    verdict: Verdict
    episode: str | None = None


Fact = Moved | Feedback


class Figures(msgspec.Struct, kw_only=True):
    """What came of the openings of one mode.

    `expected` are those of which people said that it was so once, or is the new normal: no fault, and no false alarm.
    `going_on` have not closed yet. `lost` are the seconds from opening to closing, or until now.
    """

    opened: int = 0
    confirmed: int = 0
    false: int = 0
    expected: int = 0
    not_judged: int = 0
    going_on: int = 0
    lost: float = 0.0


class Line(msgspec.Struct, kw_only=True):
    """One entity, or all of them. `missed` is how often people said that there was something, and nothing was told."""

    entity: str
    shadow: Figures = msgspec.field(default_factory=Figures)
    enforce: Figures = msgspec.field(default_factory=Figures)
    missed: int = 0


class Report(msgspec.Struct, kw_only=True):
    """The figures between two times, of each entity that has any, those that opened most often first; and of all."""

    since: float
    until: float
    entities: list[Line]
    total: Line


class _Opening(msgspec.Struct):
    """From the move to open until the breaker closes: probes that fail between are part of it.

    `whole` is whether its beginning was seen: of one that began before, only the time since it was seen counts.
    """

    mode: Mode
    since: float
    whole: bool
    causes: list[str]
    until: float | None = None


# ---------------------------------------------------------------- facts


def read(event: Mapping[str, Any], at: float) -> Fact | None:
    """The fact in a CloudEvent of the control topic that happened at `at`; None in one that has none for us.

    What a newer release says in words of its own is none: figures that leave it out are better than no figures.
    """
    type_, data = event.get("type"), event.get("data")
    if not isinstance(data, dict):
        return None
    try:
        if type_ == CHANGED:
            return msgspec.convert({**data, "at": at}, Moved)
        if type_ == DONE and data.get("command") == "feedback" and data.get("done"):
            return msgspec.convert({**data, "at": at}, Feedback)
    except msgspec.ValidationError:
        return None
    return None


# ---------------------------------------------------------------- figures


def fold(facts: Iterable[Fact], since: float, until: float) -> Report:
    """The figures of what happened between `since` and `until`. The facts of one entity come in their order."""
    openings: dict[str, list[_Opening]] = {}
    said: dict[str, list[Feedback]] = {}
    for fact in facts:
        if isinstance(fact, Feedback):
            said.setdefault(fact.entity, []).append(fact)
            continue
        first = fact.entity not in openings
        _move(openings.setdefault(fact.entity, []), fact, max(fact.at, since), first)
    entities = sorted({*openings, *said})
    lines = [_line(entity, openings.get(entity, []), said.get(entity, []), until) for entity in entities]
    lines = [line for line in lines if line != Line(entity=line.entity)]
    lines.sort(key=lambda line: -(line.shadow.opened + line.enforce.opened))
    return Report(since=since, until=until, entities=lines, total=_total(lines))


def _move(openings: list[_Opening], moved: Moved, at: float, first: bool) -> None:
    """Unknown ends an opening, as closing does: what a pipeline is told then is what `on_unknown` says."""
    current = openings[-1] if openings and openings[-1].until is None else None
    if moved.to_state not in UNDER_WAY or moved.mode == "off":
        if current is not None:
            current.until = max(at, current.since)
        return
    seen_before = first and moved.from_state in UNDER_WAY
    if current is None and (seen_before or moved.to_state is State.OPEN):
        openings.append(current := _Opening(moved.mode, at, not seen_before, []))
    if current is not None and moved.cause:
        current.causes.append(moved.cause)


def _line(entity: str, openings: list[_Opening], said: list[Feedback], until: float) -> Line:
    line = Line(entity=entity, missed=sum(one.verdict == "missed" for one in said))
    for opening in openings:
        figures = line.shadow if opening.mode == "shadow" else line.enforce
        figures.going_on += opening.until is None
        figures.lost += max((until if opening.until is None else opening.until) - opening.since, 0.0)
        if opening.whole:
            figures.opened += 1
            about = [one.verdict for one in said if one.episode in opening.causes and one.verdict != "missed"]
            _judge(figures, about[-1] if about else None)
    return line


def _judge(figures: Figures, verdict: Verdict | None) -> None:
    if verdict is None:
        figures.not_judged += 1
    elif verdict == "confirmed":
        figures.confirmed += 1
    elif verdict == "false_positive":
        figures.false += 1
    else:
        figures.expected += 1


def _total(lines: Iterable[Line]) -> Line:
    total = Line(entity="*")
    for line in lines:
        total.missed += line.missed
        for mine, all_ in ((line.shadow, total.shadow), (line.enforce, total.enforce)):
            for name in Figures.__struct_fields__:
                setattr(all_, name, getattr(all_, name) + getattr(mine, name))
    return total


# ---------------------------------------------------------------- words


def counts(figures: Figures) -> str:
    """`3: 2 confirmed, 1 false`; nothing where there is nothing."""
    told = ", ".join(_judged(figures))
    return (f"{figures.opened}: {told}" if told else str(figures.opened)) if figures.opened or figures.lost else ""


def sentence(mode: Literal["shadow", "enforce"], figures: Figures, span: float) -> str:
    """`would have opened 3 times in 30 days, 2 confirmed, 1 false, 4 h of freshness lost`."""
    times = {1: "once", 2: "twice"}.get(figures.opened, f"{figures.opened:,} times")
    verb = f"would have opened {times}" if mode == "shadow" else f"opened {times}"
    if not figures.opened:
        verb = "would never have opened" if mode == "shadow" else "never opened"
    within = f"{span / DAY:.0f} days" if span >= 2 * DAY else duration(span)
    lost = [f"{duration(figures.lost)} of freshness lost"] if figures.lost else []
    return ", ".join([f"{verb} in {within}", *_judged(figures), *lost])


def _judged(figures: Figures) -> list[str]:
    numbers = {
        "confirmed": figures.confirmed,
        "false": figures.false,
        "expected": figures.expected,
        "not judged": figures.not_judged,
        "going on": figures.going_on,
    }
    return [f"{number:,} {name}" for name, number in numbers.items() if number]
