"""What a pipeline reads before it goes on: the breakers in Redis, and what they mean now.

    <prefix>:{view}:breaker:<entity>        the breaker, as JSON: `Stored`
    <prefix>:{view}:heartbeat:<partition>   {"partition", "clock", "offset", "topic_id"}: while it is fresh, the
                                            breakers of that partition of the log are valid
    <prefix>:{view}                         a hash: "topic_id", and for each partition of the topic the offset up to
                                            which the keys above are its fold

The braces make all of it live in one slot of a Redis Cluster: one script changes breakers together with the offset.

`detector.follower` writes them from the topic of breakers. Reading needs neither Kafka nor numpy, so that a pipeline
has its answer in milliseconds. `decide` is the rule, without any I/O; `read` fetches what it needs.
"""

from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import TYPE_CHECKING, Literal

import msgspec

from detector.core.breaker import State
from detector.core.emissions import BreakerValue, Heartbeat
from detector.core.messages import COLUMN, PARTITION
from detector.core.text import duration, moment

if TYPE_CHECKING:
    import redis

Verdict = Literal["allow", "block", "unknown"]
_Finding = tuple[Verdict, str, str]
EXIT_CODES: dict[Verdict, int] = {"allow": 0, "block": 1, "unknown": 2}
MAX_AGE = 60.0
HEARTBEAT = "heartbeat:"
AT_ONCE = 1_000
_ORDER: dict[Verdict, int] = {"block": 0, "unknown": 1, "allow": 2}


class Stored(BreakerValue, frozen=True, kw_only=True):
    """A breaker as Redis has it, and where it was read: `offset` of the topic of breakers that `topic_id` names."""

    offset: int
    topic_id: str


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """Who asks: `probe` is the name by which the right to probe was given, if any.

    `partitions` and `columns` are what is read of a dataset; nothing is all of them.
    """

    probe: str | None = None
    partitions: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()


ANYBODY = Asked()


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """May this entity's pipeline go on?

    `reason` is a word to decide by (`closed`, `open`, `held`, `override`, `probe`, `probing`, `out_of_scope`, `shadow`,
    `off`, `lost`, `no_record`, `no_heartbeat`, `stale`, `ahead`, `unreadable`, `unreachable`), `message` a sentence for
    people. `heartbeat_age` is in seconds. `on_unknown` is what the configuration wants done when the verdict is
    `unknown`; None if that is unknown, too.
    """

    entity: str
    verdict: Verdict
    reason: str
    message: str
    breaker: BreakerValue | None = None
    heartbeat_age: float | None = None
    on_unknown: Literal["allow", "block"] | None = None


def lasting(value: BreakerValue, now: float) -> str:
    """How long it has been so; what never moved has been so since nobody knows when."""
    known = value.sequence or value.override is not None or value.waits_for
    return f"for {duration(max(now - value.since, 0.0))}" if known else "since it was first seen"


def key_of(prefix: str, key: str) -> str:
    """The Redis key for a key of the topic of breakers, an entity or `heartbeat:<partition>`."""
    return f"{hash_of(prefix)}:{key}" if key.startswith(HEARTBEAT) else f"{hash_of(prefix)}:breaker:{key}"


def hash_of(prefix: str) -> str:
    """The Redis key of the view's own hash, with which all others begin."""
    return f"{prefix}:{{view}}"


def read(
    client: "redis.Redis", prefix: str, entity: str, now: float, max_age: float = MAX_AGE, asked: Asked = ANYBODY
) -> Answer:
    """The answer for one entity, by two GETs. `now` is in seconds since 1970.

    A Redis that does not answer is an answer, too (`unknown`): the caller must decide all the same.
    """
    from redis import RedisError

    def get(key: str) -> bytes | None:
        return _bytes(client.get(key_of(prefix, key)))

    try:
        value = get(entity)
        return judge(Stored, entity, value, lambda partition: get(f"{HEARTBEAT}{partition}"), now, max_age, asked)
    except RedisError as error:
        return unknown(entity, "unreachable", f"Redis does not answer: {error}")


def read_all(client: "redis.Redis", prefix: str, now: float, max_age: float = MAX_AGE) -> list[Answer]:
    """The answers for all entities of the view, those that block first. Raises `redis.RedisError`."""
    opening = key_of(prefix, "")
    found = client.scan_iter(match=escaped(opening) + "*", count=AT_ONCE)
    names = (name.decode() if isinstance(name, bytes) else str(name) for name in found)
    answers = read_some(client, prefix, [name.removeprefix(opening) for name in names], now, max_age)
    return sorted(answers.values(), key=lambda answer: (_ORDER[answer.verdict], answer.entity))


def read_some(
    client: "redis.Redis", prefix: str, entities: Sequence[str], now: float, max_age: float = MAX_AGE
) -> dict[str, Answer]:
    """The answers for these entities, of those that the view has, by as few MGETs. Raises `redis.RedisError`."""

    @cache
    def beat(partition: int) -> bytes | None:
        return _bytes(client.get(key_of(prefix, f"{HEARTBEAT}{partition}")))

    answers: dict[str, Answer] = {}
    for first in range(0, len(entities), AT_ONCE):
        some = entities[first : first + AT_ONCE]
        for entity, value in zip(some, client.mget([key_of(prefix, one) for one in some]), strict=True):
            if value is not None:
                answers[entity] = judge(Stored, entity, _bytes(value), beat, now, max_age, ANYBODY)
    return answers


def judge(
    kind: type[BreakerValue],
    entity: str,
    value: bytes | None,
    beat: Callable[[int], bytes | None],
    now: float,
    max_age: float,
    asked: Asked,
) -> Answer:
    """The answer, from the bytes that are kept of an entity, of this kind, and of the heartbeat of a partition."""
    try:
        stored = None if value is None else msgspec.json.decode(value, type=kind)
        last = None if stored is None else beat(stored.partition)
        clock = None if last is None else msgspec.json.decode(last, type=Heartbeat).clock
    except msgspec.DecodeError as error:
        return unknown(entity, "unreadable", f"what is kept of it is not readable by this release: {error}")
    return decide(entity, stored, clock, now, max_age, asked)


def decide(
    entity: str,
    value: BreakerValue | None,
    clock: float | None,
    now: float,
    max_age: float = MAX_AGE,
    asked: Asked = ANYBODY,
) -> Answer:
    """What a breaker means at `now`, given the clock of its partition's last heartbeat. All in seconds."""
    if value is None:
        return unknown(entity, "no_record", "no breaker is known for it: no event of it was seen, or it was forgotten")
    doubt = _doubt(value, clock, now, max_age)
    verdict, reason, message = doubt or _meaning(value, now, asked)
    return Answer(
        entity=entity,
        verdict=verdict,
        reason=reason,
        message=message,
        breaker=value,
        heartbeat_age=None if clock is None else now - clock,
        on_unknown=value.on_unknown if value.mode == "enforce" else "allow",
    )


def unknown(entity: str, reason: str, message: str) -> Answer:
    """The answer when there is no breaker to speak of."""
    return Answer(entity=entity, verdict="unknown", reason=reason, message=message)


def _doubt(value: BreakerValue, clock: float | None, now: float, max_age: float) -> _Finding | None:
    """Why the value cannot be relied on, if so. A heartbeat from the future is no better: some clock is wrong."""
    if clock is None:
        return "unknown", "no_heartbeat", f"partition {value.partition} has no heartbeat: is a worker running?"
    age, last = now - clock, f"the last heartbeat of partition {value.partition} is"
    if age > max_age:
        return (
            "unknown",
            "stale",
            f"{last} {duration(age)} old (more than {duration(max_age)}); it was {value.state} then",
        )
    if -age > max_age:
        return "unknown", "ahead", f"{last} {duration(-age)} in the future: compare the clocks"
    return None


def _meaning(value: BreakerValue, now: float, asked: Asked) -> _Finding:
    told = f"{value.state.replace('_', '-')} {lasting(value, now)}" + _why(value) + _by_whom(value)
    if value.mode != "enforce":
        return "allow", value.mode, f"its breaker is {_MODES[value.mode]}; it is {told}"
    if value.state in (State.OPEN, State.HALF_OPEN) and not _is_meant(value, asked):
        return "allow", "out_of_scope", f"only {', '.join(_scope(value))} is bad, which is not read: {told}"
    match value.state:
        case State.OPEN:
            return "block", _cause(value), told + _until(value, now)
        case State.HALF_OPEN:
            return _probe(value, told, asked)
        case State.CLOSED:
            return "allow", "override" if value.override else "closed", told
        case State.UNKNOWN:
            return "unknown", "lost", f"the detector cannot judge it: {told}"


_MODES = {"shadow": "in shadow mode, which stops nobody", "off": "off"}


def _probe(value: BreakerValue, told: str, asked: Asked) -> _Finding:
    """One run may go, of whoever has the right to; as long as nobody has, the first that begins."""
    if value.probe is None:
        return "allow", "probe", f"{told}; this run is a probe"
    until = f"until {moment(value.probe.until)}"
    if value.probe.holder == asked.probe:
        return "allow", "probe", f"{told}; {asked.probe} is the probe, {until}"
    return "block", "probing", f"{told}; {value.probe.holder} is the probe, {until}"


def _cause(value: BreakerValue) -> str:
    """Whether it is open by a person's word, by itself, or since something upstream holds it."""
    if value.override is not None:
        return "override"
    return "held" if value.waits_for and (value.own is None or value.own.state is not State.OPEN) else "open"


def _by_whom(value: BreakerValue) -> str:
    """By which way a hold came, and until when a person's word counts."""
    if value.override is not None:
        return f"; until {moment(value.override.until)}"
    if value.state is not State.OPEN or _cause(value) != "held":
        return ""
    held = min(value.waits_for, key=lambda one: (one.since, one.root))
    return f"; the way: {' > '.join((*held.path, value.entity))}"


def _is_meant(value: BreakerValue, asked: Asked) -> bool:
    """Whether what is bad of a dataset is what is read of it. Who does not say reads all of it."""
    scope = _scope(value)
    return not scope or any(
        _names(one, PARTITION, asked.partitions) or _names(one, COLUMN, asked.columns) for one in scope
    )


def _names(bad: str, kind: str, read: Iterable[str]) -> bool:
    named = {f"{kind}{name}" for name in read}
    return bad.startswith(kind) and (not named or bad in named)


def _scope(value: BreakerValue) -> list[str]:
    """What is bad of a dataset, by all that stop it together: one that means all of it is all; nothing is all."""
    if not value.entity.startswith("dataset:") or value.override is not None:
        return []
    stops = value.own is not None and value.own.state in (State.OPEN, State.HALF_OPEN)
    scopes = [value.own.scope] if value.own is not None and stops else [] if value.waits_for else [value.scope]
    scopes += [held.scope for held in value.waits_for]
    return sorted({one for scope in scopes for one in scope}) if all(scopes) else []


def _why(value: BreakerValue) -> str:
    return f": {value.reason}" if value.reason else ""


def _until(value: BreakerValue, now: float) -> str:
    if value.retry_at is None or _cause(value) != "open":
        return ""
    left = value.retry_at - now
    return f"; a probe may run from {moment(value.retry_at)}" + (f", in {duration(left)}" if left > 0 else "")


def _bytes(value: object) -> bytes | None:
    if value is None or isinstance(value, bytes):
        return value
    return str(value).encode()


def escaped(text: str) -> str:
    """A pattern of Redis's SCAN that stands for this very text."""
    return "".join(f"\\{char}" if char in "*?[]^\\" else char for char in text)
