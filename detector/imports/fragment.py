"""A fragment of the configuration, as text: rules, and comments on all that could not be translated."""

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from detector.config import Plugin, declared, inline
from detector.core.declared import KINDS
from detector.errors import ConfigError

WIDTH: Final = 100
LONGEST: Final = 70
_WILD: Final = re.compile(r"[*?\[]")


@dataclass(slots=True)
class Rule:
    """What is promised of one dataset. `notes` are on what was not translated, `remarks` on what was, with a change."""

    dataset: str
    owner: str | None = None
    tags: Sequence[str] = ()
    deadline: Mapping[str, Any] | None = None
    checks: dict[str, dict[str, Any]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)

    def add(self, path: str, kind: str, severity: str = "critical", name: str = "", **parameters: object) -> None:
        """Add a check. One that is there already is not added twice; one that only is called the same gets a number."""
        check: dict[str, Any] = {"kind": kind, **parameters}
        if severity != "critical":
            check["severity"] = severity
        if name:
            check["name"] = " ".join(name.split())[:LONGEST]
        try:
            called = _called(check)
        except ConfigError as error:
            self.notes.append(f"{path}: {str(error).removeprefix('.').removeprefix(': ')}")
            return
        if check in self.checks.values():
            return
        number = 1
        while called in self.checks:
            number += 1
            check["name"] = f"{name or kind} {number}"
            called = _called(check)
        self.checks[called] = check


def _called(check: Mapping[str, Any]) -> str:
    """What a check is called. Raises `ConfigError` for one that the configuration would refuse."""
    parameters = {name: value for name, value in check.items() if name != "kind"}
    return declared(KINDS, Plugin(kind=check["kind"], parameters=parameters), "").called


@dataclass(slots=True)
class Fragment:
    """Rules, where they came from, and notes that belong to none of them."""

    title: str
    rules: list[Rule] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def checks(self) -> int:
        """How many checks there are."""
        return sum(len(rule.checks) for rule in self.rules)

    @property
    def untranslated(self) -> int:
        """How many things could not be translated."""
        return len(self.notes) + sum(len(rule.notes) for rule in self.rules)

    def text(self) -> str:
        """The fragment as YAML, to be put into the configuration."""
        rules = [line for rule in self.rules for line in _rule(rule)]
        lines = [*_comment(self.title, ""), *(line for note in self.notes for line in _comment(_untold(note), ""))]
        return "\n".join(
            [*lines, "rules:" if any(not line.lstrip().startswith("#") for line in rules) else "rules: []", *rules, ""]
        )


def _rule(rule: Rule) -> Iterator[str]:
    comments = [*rule.remarks, *(_untold(note) for note in rule.notes)]
    if not rule.checks and rule.deadline is None:
        yield from _comment(f"{rule.dataset}: nothing is promised", "  ")
        yield from (line for text in comments for line in _comment(text, "    "))
        return
    yield f"  - match: {inline(literal(f'dataset:{rule.dataset}'))}"
    if rule.owner:
        yield f"    owner: {inline(rule.owner)}"
    if rule.tags:
        yield f"    tags: {inline(list(rule.tags))}"
    if rule.deadline is not None:
        yield f"    deadline: {inline(dict(rule.deadline))}"
    if rule.checks:
        yield "    checks:"
        yield from (f"      - {inline(check)}" for check in rule.checks.values())
    yield from (line for text in comments for line in _comment(text, "    "))


def literal(text: str) -> str:
    """A pattern that matches this text only: brackets around what would stand for something else."""
    return _WILD.sub(lambda found: f"[{found[0]}]", text)


def _untold(note: str) -> str:
    return f"NOT TRANSLATED: {note}"


def _comment(text: str, indent: str) -> list[str]:
    plain = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return textwrap.wrap(
        plain, WIDTH, initial_indent=f"{indent}# ", subsequent_indent=f"{indent}#   ", break_on_hyphens=False
    )
