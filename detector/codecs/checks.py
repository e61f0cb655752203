"""What every codec holds a value against, so that one record means the same in every format.

A value that cannot be true (NaN rows, a negative count) is *not measured*: the rest of the event stands. A name or a
time that cannot be true makes the record useless: `Refused`, and the codec makes a dead letter of it.
"""

import re
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from functools import reduce
from typing import Final, Literal

from detector.core.events import Assertion, Columns, Dataset, DeadLetter, Profile, Record, RunEvent, RunState
from detector.redaction import first_line

LONGEST_NAME: Final = 1000
LONGEST_RUN_ID: Final = 1024
MOST_ALIASES: Final = 16
MOST_OWNERS: Final = 16
MOST_TAGS: Final = 32
MOST_PARTS: Final = 1000
MOST_COLUMNS: Final = 10_000
LATEST: Final = 7_258_118_400.0  # 2200-01-01: a later time is a mistaken unit
INFINITY: Final = float("inf")

STATES: Final[dict[str, RunState]] = {
    "START": "START",
    "RUNNING": "RUNNING",
    "COMPLETE": "COMPLETE",
    "FAIL": "FAIL",
    "ABORT": "ABORT",
    "OTHER": "OTHER",
}

# Not `str.isprintable`, which refuses blanks and soft hyphens that names of files really have.
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


# What a record can be refused for; docs/inputs.md says what each means and what to do.
Reason = Literal[
    "avro",
    "bug",
    "command",
    "empty",
    "envelope",
    "format",
    "header",
    "json",
    "name",
    "no_registry",
    "schema",
    "size",
    "statistics",
    "time",
    "unknown_schema",
]


class Refused(Exception):
    """A record cannot be used. `reason` is a word to count by; the message is for people, and has no values of it."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    def letter(self, record: Record) -> DeadLetter:
        """The dead letter that this makes of `record`."""
        return DeadLetter(record, self.reason, str(self))


def state(word: str | None) -> RunState:
    """The state that `word` names, in any case; OTHER for a word that we do not know, and for none."""
    if word is None:
        return "OTHER"
    known = STATES.get(word)
    return known if known is not None else STATES.get(word.upper(), "OTHER")


def count(value: float | None) -> float | None:
    """A number that cannot be negative; None (not measured) for one that is, or is NaN or infinite."""
    return value if value is not None and 0.0 <= value < INFINITY else None


def printable(text: str) -> str:
    """`text` with `?` for what UTF-8 cannot say (half a surrogate pair)."""
    return text if text.isascii() else _SURROGATE.sub("?", text)


def is_name(namespace: str, name: str) -> bool:
    """Whether this can name an entity: a name that is not empty, both of bounded length, no control characters."""
    if namespace.isprintable() and name.isprintable():
        return 0 < len(name) <= LONGEST_NAME >= len(namespace)
    if not 0 < len(name) <= LONGEST_NAME or len(namespace) > LONGEST_NAME:
        return False
    return _UNPRINTABLE.search(namespace) is None and _UNPRINTABLE.search(name) is None


def check_name(namespace: str, name: str, path: str) -> None:
    """Raises `Refused` with the path to the name that cannot be one, `path` being where its `name` stands."""
    if is_name(namespace, name):
        return
    path = f"{path}." if path else ""
    if not name:
        raise Refused("name", f"{path}name: empty")
    for field, text in (("namespace", namespace), ("name", name)):
        if len(text) > LONGEST_NAME:
            raise Refused("name", f"{path}{field}: {len(text)} characters, at most {LONGEST_NAME} are allowed")
        if _UNPRINTABLE.search(text):
            raise Refused("name", f"{path}{field}: holds a control character")


def check_run_id(run_id: str, path: str) -> None:
    """Raises `Refused` unless this can be the id of a run."""
    if run_id.isascii() and 0 < len(run_id) <= LONGEST_RUN_ID:
        return
    if not run_id:
        raise Refused("envelope", f"{path}: empty")
    if len(run_id) > LONGEST_RUN_ID:
        raise Refused("envelope", f"{path}: {len(run_id)} characters, at most {LONGEST_RUN_ID} are allowed")
    if not run_id.isascii() and _SURROGATE.search(run_id):
        raise Refused("envelope", f"{path}: is not text")


def check_time(seconds: float, path: str) -> float:
    """`seconds` since 1970, or `Refused` when no event of ours can have happened then (or it is NaN)."""
    if 0.0 <= seconds < LATEST:
        return seconds
    raise Refused("time", f"{path}: not between 1970 and 2199 (is the unit right?)")


def plausible(seconds: float | None) -> float | None:
    """`seconds` since 1970, or None when that cannot be."""
    return seconds if seconds is not None and 0.0 <= seconds < LATEST else None


def parse_time(text: str, path: str) -> float:
    """Seconds since 1970 of an RFC 3339 time; without an offset it is in UTC. Digits below microseconds are cut off.

    Raises `Refused` for what is no time, has no time of day, or lies outside 1970 to 2199.
    """
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        time = _unusual_time(text, path)
    if len(text) < 16:  # a date alone would be midnight, which nobody said
        raise Refused("time", f"{path}: has no time of day")
    if time.tzinfo is None:
        time = time.replace(tzinfo=UTC)
    seconds = time.timestamp()
    return seconds if 0.0 <= seconds < LATEST else check_time(seconds, path)


def _unusual_time(text: str, path: str) -> datetime:
    """What producers send beyond ISO 8601: a small `t` or `z`, a leap second, Java's `[Europe/Berlin]` at the end."""
    usual = text.split("[", 1)[0].strip().upper()
    leap = usual[17:19] == "60"
    if leap:
        usual = f"{usual[:17]}59{usual[19:]}"
    try:
        return datetime.fromisoformat(usual) + timedelta(seconds=leap)
    except (ValueError, OverflowError):
        raise Refused("time", f"{path}: not an RFC 3339 time") from None


def maybe_time(text: str | None) -> float | None:
    """Seconds since 1970 of an RFC 3339 time that the event can do without: None when it cannot be read."""
    if text is None:
        return None
    try:
        return parse_time(text, "")
    except Refused:
        return None


def short(text: str | None) -> str | None:
    """A word of the producer's own, such as a version, bounded; None for an empty one."""
    return text[:LONGEST_NAME] if text else None


def run_event(event: RunEvent) -> RunEvent:
    """Hold a run event in one of our own formats against the rules: bend what is not needed, or raise `Refused`.

    First whether anything is unusual at all, in as few calls as can be; only then what.
    """
    namespace, name, run_id = event.namespace, event.name, event.run_id
    if not (
        namespace.isprintable()
        and name.isprintable()
        and run_id.isascii()
        and 0 < len(name) <= LONGEST_NAME >= len(namespace)
        and 0 < len(run_id) <= LONGEST_RUN_ID
        and 0.0 <= event.event_time < LATEST
    ):
        check_name(namespace, name, "")
        check_run_id(run_id, "run_id")
        check_time(event.event_time, "event_time")
    if event.nominal_time is not None and not 0.0 <= event.nominal_time < LATEST:
        event.nominal_time = None
    if event.metrics and (total := sum(event.metrics.values())) - total != 0.0:  # one of them is not finite
        event.metrics = {key: value for key, value in event.metrics.items() if -INFINITY < value < INFINITY}
    if event.error is not None:
        event.error = first_line(event.error)
    if event.inputs:
        event.inputs = datasets(event.inputs, "inputs")
    if event.outputs:
        event.outputs = datasets(event.outputs, "outputs")
    if event.code_version is not None and not 0 < len(event.code_version) <= LONGEST_NAME:
        event.code_version = short(event.code_version)
    if event.parent is not None:
        event.parent = entity(event.parent)
    if event.owners:
        event.owners = owners(event.owners)
    if event.tags:
        event.tags = tags(event.tags)
    return event


def entity(key: str) -> str | None:
    """`key` when it can be the key of an entity, else None."""
    if not 0 < len(key) <= 2 * LONGEST_NAME + 10:
        return None
    return key if key.isprintable() or not _UNPRINTABLE.search(key) else None


def aliases(found: Iterable[str]) -> tuple[str, ...]:
    """Other names of a dataset, as entities: sorted, each once."""
    return tuple(sorted(set(found))[:MOST_ALIASES])


def owners(found: Iterable[str]) -> tuple[str, ...]:
    """Owners that can be names, each once, in the order that they are told in."""
    return _words(found)[:MOST_OWNERS]


def tags(found: Iterable[str]) -> tuple[str, ...]:
    """Tags that can be names, each once, in the order that they are told in."""
    return _words(found)[:MOST_TAGS]


def _words(found: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys([word for word in found if is_name("", word)]))


def subset(found: Iterable[str]) -> tuple[str, ...]:
    """The parts of a dataset, sorted, each once. None of them when one cannot be a name, or when there are too many."""
    parts = sorted(set(found))
    return tuple(parts) if len(parts) <= MOST_PARTS and all(is_name("", part) for part in parts) else ()


def columns(found: Iterable[tuple[str, str, str]]) -> Columns | None:
    """Where columns come from, sorted, each once; None for too many, since some of them would be wrong."""
    kept = sorted(set(found))
    return tuple(kept) if len(kept) <= MOST_COLUMNS else None


def datasets(found: tuple[Dataset, ...], side: str) -> tuple[Dataset, ...]:
    """The datasets of one side of an event, each named once: what one mention did not measure, the next may have."""
    if len(found) == 1:
        if not is_name(found[0].namespace, found[0].name):
            check_name(found[0].namespace, found[0].name, f"{side}[0]")
        return found
    mentions: dict[tuple[str, str], list[Dataset]] = {}
    for i, dataset in enumerate(found):
        check_name(dataset.namespace, dataset.name, f"{side}[{i}]")
        mentions.setdefault((dataset.namespace, dataset.name), []).append(dataset)
    return tuple([of_one[0] if len(of_one) == 1 else _merged(of_one) for of_one in mentions.values()])


def _merged(mentions: list[Dataset]) -> Dataset:
    """All that is said of one dataset. Lists are joined at once: two by two takes minutes for 10 MB of assertions."""
    known: set[Assertion] = set()
    joined: list[Assertion] = []
    for dataset in mentions:
        joined += [assertion for assertion in dataset.assertions if assertion not in known]
        known.update(dataset.assertions)
    lineage = [d.columns_from for d in mentions if d.columns_from is not None]
    first = Dataset(
        mentions[0].namespace,
        mentions[0].name,
        assertions=tuple(joined),
        aliases=aliases(alias for d in mentions for alias in d.aliases),
        columns_from=columns(column for of_one in lineage for column in of_one) if lineage else None,
        owners=owners(owner for d in mentions for owner in d.owners),
        tags=tags(tag for d in mentions for tag in d.tags),
        subset=subset(part for d in mentions for part in d.subset),
    )
    return reduce(_merge, mentions, first)


def _merge(first: Dataset, second: Dataset) -> Dataset:
    """What `first` says, and what only `second` says. Counts are not added: one mention may repeat the other."""
    return Dataset(
        first.namespace,
        first.name,
        rows=second.rows if first.rows is None else first.rows,
        bytes=second.bytes if first.bytes is None else first.bytes,
        files=second.files if first.files is None else first.files,
        schema=first.schema or second.schema,
        version=first.version or second.version,
        lifecycle=first.lifecycle or second.lifecycle,
        assertions=first.assertions,
        profile=first.profile or second.profile,
        aliases=first.aliases,
        columns_from=first.columns_from,
        owners=first.owners,
        tags=first.tags,
        subset=first.subset,
    )


def profile(found: Profile) -> Profile:
    """Hold a profile in one of our own formats against the rules, as `run_event` does."""
    check_name(found.namespace, found.name, "")
    check_time(found.event_time, "event_time")
    if not is_name("", found.grain):
        raise Refused("name", "grain: empty, too long, or holds a control character")
    found.rows, found.bytes = count(found.rows), count(found.bytes)
    found.window_start, found.window_end = plausible(found.window_start), plausible(found.window_end)
    found.partition, found.version = short(found.partition), short(found.version)
    found.schema = found.schema or None
    if found.run_id is not None:
        check_run_id(found.run_id, "run_id")
    return found
