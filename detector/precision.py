"""How often each rule told something, what people said of it, and what to change where it is often wrong. Pure.

A rule is the kind of a check (`rows`, `null_share`, `late`): what `detection` and `rules` of the configuration speak
of. What nobody judged says nothing; with few verdicts nothing is proposed.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from detector.core.commands import VERDICTS, Verdict
from detector.core.incidents import kind_of

STARTED = "io.detector.anomaly.started.v1"
DONE = "io.detector.command.done.v1"
FEW = 3  # verdicts, with fewer of which nothing is proposed
NOISY = 0.5  # share of what was judged, from which on a rule is noisy

# What to change, by rule; all others are learned numbers.
_PROPOSALS: Mapping[str, str] = {
    "late": "raise detection.late.floor (or detection.late.share), so that a little later is not late",
    "hanging": "raise detection.hanging.factor, or say rules[].max_duration of these jobs",
    "deadline": "move rules[].deadline, or let it rest on holidays",
    "together": "set rules[].together: false for these entities",
    "failed": "let rules[].breaker.policy of these jobs wait for several (consecutive, rate)",
    "aborted": "let rules[].breaker.policy of these jobs wait for several (consecutive, rate)",
    "assertion": "set rules[].breaker.mode: shadow for these datasets, or mend the check that is told",
    "schema": "set rules[].breaker.mode: shadow for these datasets",
}
NUMBERS = "lower rules[].budget for these entities (or detection.budget for all): fewer false alarms, wider limits"
CALENDAR = "many were so once: give these entities a calendar (rules[].calendar), or mute them beforehand"
MISSED = "faults were missed: raise rules[].budget for these entities (narrower limits)"


class Rule(msgspec.Struct, kw_only=True):
    """The figures of one rule. `entities` are those of which most of what was told was wrong, with how often."""

    rule: str
    told: int = 0
    confirmed: int = 0
    false: int = 0
    expected: int = 0
    missed: int = 0
    precision: float | None = None
    proposal: str = ""
    entities: dict[str, int] = {}


def fold(events: Iterable[Mapping[str, Any]]) -> list[Rule]:
    """The figures of all rules, those that tell most first. Of several verdicts on one anomaly the last counts."""
    rules: dict[str, Rule] = {}
    verdicts: dict[tuple[str, str], tuple[str, str, Verdict]] = {}
    for number, event in enumerate(events):
        data = event.get("data")
        if not isinstance(data, dict):
            continue
        rule, entity = kind_of(str(data.get("check") or "")) or "unknown", str(data.get("entity"))
        if event.get("type") == STARTED:
            rules.setdefault(rule, Rule(rule=rule)).told += 1
        elif event.get("type") == DONE and data.get("done") and data.get("verdict") in VERDICTS and data.get("entity"):
            of = str(data.get("episode") or number)
            verdicts[entity, of] = (rule, entity, data["verdict"])
    wrong: dict[str, Counter[str]] = {}
    for rule, entity, verdict in verdicts.values():
        _count(rules.setdefault(rule, Rule(rule=rule)), verdict)
        if verdict not in ("confirmed", "missed"):
            wrong.setdefault(rule, Counter())[entity] += 1
    for name, found in rules.items():
        found.entities = dict(wrong.get(name, Counter()).most_common(3))
        found.precision = precision(found)
        found.proposal = proposal(found)
    return sorted(rules.values(), key=lambda one: (-one.told, one.rule))


def _count(rule: Rule, verdict: Verdict) -> None:
    match verdict:
        case "confirmed":
            rule.confirmed += 1
        case "false_positive":
            rule.false += 1
        case "missed":
            rule.missed += 1
        case "expected_once" | "new_normal":
            rule.expected += 1


def precision(rule: Rule) -> float | None:
    """The share of right ones of all that were judged right or false: what was expected was no fault of the rule."""
    judged = rule.confirmed + rule.false
    return round(rule.confirmed / judged, 3) if judged else None


def proposal(rule: Rule) -> str:
    """What to change, by the key of the configuration; empty where nothing need be, or too little is known."""
    judged = rule.confirmed + rule.false + rule.expected
    if judged >= FEW and rule.false >= NOISY * judged:
        return _PROPOSALS.get(rule.rule, NUMBERS) + _where(rule)
    if judged >= FEW and rule.expected >= NOISY * judged:
        return CALENDAR + _where(rule)
    if rule.missed >= FEW:
        return MISSED
    return ""


def _where(rule: Rule) -> str:
    return f" ({', '.join(f'{entity}: {count}' for entity, count in rule.entities.items())})" if rule.entities else ""
