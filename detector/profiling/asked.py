"""What declared checks ask of a profile: by the rules of the configuration that match the dataset."""

import re
from collections.abc import Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

import msgspec

from detector.core.text import value_hashes

if TYPE_CHECKING:
    from detector.config import Config

# Names of patterns that everybody means the same by; others are in `profile.patterns` of the configuration.
PATTERNS = {
    "email": r"[^@\s]+@[^@\s]+\.[^@\s]+",
    "uuid": r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}",
    "url": r"https?://[^\s/]+\S*",
    "integer": r"[+-]?\d+",
    "number": r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?",
    "date": r"\d{4}-\d{2}-\d{2}",
    "ipv4": r"((25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(25[0-5]|2[0-4]\d|1?\d?\d)",
    "phone": r"\+[1-9]\d{6,14}",
    "country": r"[A-Z]{2}",
    "currency": r"[A-Z]{3}",
}


class ColumnAsks(msgspec.Struct):
    """What is asked of one column. `in_set` are hashes of declared values; of `private` ones only counts leave."""

    unique: bool = False
    in_set: frozenset[str] | None = None
    patterns: set[str] = set()
    references: set[tuple[str, str]] = set()
    private: bool = False


class Asks(msgspec.Struct):
    """What is asked of all columns. `keys` are tables with the keys of other datasets."""

    columns: dict[str, ColumnAsks] = {}
    patterns: dict[str, str] = {}
    keys: dict[tuple[str, str], str] = {}
    private: tuple[str, ...] = ()
    notes: list[str] = []

    def of(self, column: str) -> ColumnAsks:
        """What is asked of a column."""
        found = self.columns.get(column)
        if found is None:
            found = self.columns[column] = ColumnAsks(private=any(fnmatchcase(column, glob) for glob in self.private))
        return found

    def references(self) -> set[tuple[str, str]]:
        """The datasets, and their columns, in which values are looked for."""
        return {one for asks in self.columns.values() for one in asks.references}


def asks_of(config: "Config | None", entity: str, patterns: Mapping[str, str], private: Iterable[str] = ()) -> Asks:
    """What the checks of the rules that match a dataset ask. Raises `ValueError` for a pattern that is none."""
    known = {**PATTERNS, **(config.profile.patterns if config else {}), **patterns}
    for name, pattern in known.items():
        try:
            re.compile(pattern)
        except re.error as error:
            raise ValueError(f"pattern {name}: {error}") from None
    asks = Asks(patterns=known, private=tuple(private))
    for rule in config.rules if config else ():
        if fnmatchcase(entity, rule.match):
            for check in rule.checks:
                _ask(asks, check.kind, check.parameters)
    wanting = {name for asked in asks.columns.values() for name in asked.patterns if name not in known}
    asks.notes += [f"pattern {name} is not known: --pattern {name}=REGEX counts it" for name in sorted(wanting)]
    return asks


def _ask(asks: Asks, kind: str, parameters: Mapping[str, object]) -> None:
    column = parameters.get("column")
    if not isinstance(column, str):
        return
    found = asks.of(column)
    match kind, parameters:
        case "unique", _:
            found.unique = True
        case "in_set", {"values": tuple() | list() as values}:
            found.in_set = (found.in_set or frozenset()) | value_hashes(values)
        case "matches", {"pattern": str() as pattern}:
            found.patterns.add(pattern)
        case "referential", {"dataset": str() as dataset, "key": str() as key}:
            found.references.add((dataset, key))


def compiled(asks: Asks) -> dict[str, dict[str, re.Pattern[str]]]:
    """The patterns that are asked for, by column, for rows that pass by once."""
    return {
        column: {name: re.compile(asks.patterns[name]) for name in sorted(asked.patterns) if name in asks.patterns}
        for column, asked in asks.columns.items()
        if asked.patterns
    }
