"""The topics: what each must be like; those that are missing are made, those that would lose or reorder data refused.

The promises of the program rest on settings of topics that others can make: a log that is compacted, or whose times the
producers set, gives wrong answers without an error. So what is there is checked at every start.
"""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Final, Protocol

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    ClusterMetadata,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from detector.config import Config
from detector.errors import TopicMismatch, Unreachable
from detector.seams import LARGEST

MINUTE: Final = 60_000
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
ANSWER: Final = 10.0  # seconds that the cluster has for an answer
VISIBLE: Final = 15.0  # seconds until every broker has heard of a new topic
SAFE_REPLICAS: Final = 3
INPUT_PARTITIONS: Final = 6
EVERYTHING: Final = 2**63 - 1
FORBIDDEN: Final = "Kafka does not let this user see it. Give it the rights of its part: deploy/kafka/acls.sh"


class Rule(Protocol):
    """What a setting of a topic must be."""

    def allows(self, value: str) -> bool: ...
    def wish(self) -> str: ...
    def why(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Exactly:
    """One value only."""

    value: str
    reason: str

    def allows(self, value: str) -> bool:
        """Whether the value is the one."""
        return value == self.value

    def wish(self) -> str:
        """The value."""
        return self.value

    def why(self) -> str:
        """What goes wrong otherwise."""
        return f"must be {self.value}: {self.reason}"


@dataclass(frozen=True, slots=True)
class AtLeast:
    """A number that is not lower; -1 is endless. `wanted` is what to set it to."""

    least: int
    wanted: int
    reason: str

    def allows(self, value: str) -> bool:
        """Whether the value is high enough."""
        return int(value) == -1 or int(value) >= self.least

    def wish(self) -> str:
        """What to set."""
        return str(self.wanted)

    def why(self) -> str:
        """What goes wrong otherwise."""
        return f"must be {self.least} or more: {self.reason}"


@dataclass(frozen=True, slots=True)
class Spec:
    """One topic: its settings when it is created, and the rules that it must keep when it is there.

    `as_log` asks for as many partitions as the log has, whatever the configuration says of a new one. `replication`
    None is three, or as many as there are brokers.
    """

    name: str
    key: str
    partitions: int
    replication: int | None
    settings: Mapping[str, str]
    rules: Mapping[str, Rule] = field(default_factory=dict)
    as_log: bool = False


_LARGE: Final = AtLeast(LARGEST, LARGEST, "a larger record could not be written, and would be tried for ever")
_EVENTS: Final[Mapping[str, Rule]] = {
    "max.message.bytes": _LARGE,
    "cleanup.policy": Exactly("delete", "compaction throws away events of an entity"),
    "retention.ms": AtLeast(DAY, 30 * DAY, "readers may be away for hours"),
}
_LOG: Final[Mapping[str, Rule]] = {
    "max.message.bytes": _LARGE,
    "cleanup.policy": Exactly("delete", "compaction throws away what a replay needs"),
    "message.timestamp.type": Exactly("LogAppendTime", "a producer's clock must not decide what is ahead of time"),
    "retention.ms": AtLeast(
        DAY, 30 * DAY, "a restart replays from the last snapshot, and a lost Redis from further back"
    ),
    "retention.bytes": AtLeast(1 << 30, -1, "a restart replays from the last snapshot"),
}
_LETTERS: Final[Mapping[str, Rule]] = {
    **_EVENTS,
    "message.timestamp.after.max.ms": AtLeast(
        EVERYTHING, EVERYTHING, "a record from the future could not be set aside, and would be tried for ever"
    ),
}
_LATEST: Final[Mapping[str, Rule]] = {
    "max.message.bytes": _LARGE,
    "cleanup.policy": Exactly("compact", "deletion by age forgets entities that are still watched"),
    "delete.retention.ms": AtLeast(HOUR, 7 * DAY, "a slow reader must see that a breaker is gone"),
}


def specs(config: Config) -> tuple[Spec, ...]:
    """All topics that the configuration names, the log first."""
    names = config.topics
    replication = names.replication

    def ours(key: str, settings: Mapping[str, str], rules: Mapping[str, Rule], as_log: bool = False) -> Spec:
        return Spec(getattr(names, key), f"topics.{key}", names.partitions, replication, settings, rules, as_log)

    large = {"max.message.bytes": str(LARGEST)}
    events = {**large, "cleanup.policy": "delete", "retention.ms": str(30 * DAY)}
    latest = {**large, "cleanup.policy": "compact", "delete.retention.ms": str(7 * DAY)}
    # A record that was set aside keeps its time, however far in the future that is.
    aside = {"message.timestamp.after.max.ms": str(EVERYTHING)}
    log = {**events, "message.timestamp.type": "LogAppendTime", "retention.bytes": "-1"}
    return (
        ours("log", log, _LOG),
        ours("control", events, _EVENTS),
        ours("breakers", {**latest, "max.compaction.lag.ms": str(10 * MINUTE)}, _LATEST, as_log=True),
        ours("incidents", {**latest, "max.compaction.lag.ms": str(HOUR)}, _LATEST, as_log=True),
        ours("alerts", {**latest, "max.compaction.lag.ms": str(HOUR)}, _LATEST, as_log=True),
        ours("runs", {**events, "retention.ms": str(7 * DAY)}, _EVENTS),
        # For ever: the mutes and windows that are in force are a fold of it.
        ours("commands", {**events, "retention.ms": "-1"}, _EVENTS),
        ours("snapshots", {**latest, "max.compaction.lag.ms": str(HOUR)}, _LATEST, as_log=True),
        ours("dead_letters", {**events, **aside}, _LETTERS),
        *(
            Spec(name, "topics.inputs", INPUT_PARTITIONS, replication, {"cleanup.policy": "delete"})
            for name in names.inputs
        ),
    )


def ensure(admin: AdminClient, wanted: Sequence[Spec], create: bool) -> list[str]:
    """Create the topics that are missing, and check those that are there. Returns the names of the created ones.

    Raises `TopicMismatch` with everything that is wrong and how to mend it, and `Unreachable`.
    """
    known = _metadata(admin)
    missing = [spec for spec in wanted if spec.name not in known.topics]
    present = [spec for spec in wanted if spec.name in known.topics]
    counts = {spec.name: len(known.topics[spec.name].partitions) for spec in present}
    count = next((counts[spec.name] for spec in wanted if spec.key == "topics.log" and spec.name in counts), None)
    hidden = forbidden(admin, [spec.name for spec in missing])
    problems = [f"{name}: {FORBIDDEN}" for name in hidden]
    missing = [spec for spec in missing if spec.name not in hidden]
    problems += mismatches(present, counts, count, _settings(admin, present))
    new = {spec.name: _new_topic(spec, count, len(known.brokers)) for spec in missing}
    if not create:
        problems += [
            f"{name} is not there, and topics.create is false. Create it: {_creation(new[name])}" for name in new
        ]
    if problems:
        raise TopicMismatch("\n".join(["the topics are not as they must be:", *(f"- {p}" for p in problems)]))
    created = _create(admin, new)
    if new:
        _await(admin, list(new))
    if len(created) < len(new):
        # Somebody else made one of them in between, with settings of their own, which may not fit the others.
        return created + ensure(admin, wanted, create)
    return created


def forbidden(admin: AdminClient, missing: Iterable[str]) -> list[str]:
    """Those of the topics that Kafka does not list because this user may not see them. Raises `Unreachable`."""
    return [name for name in missing if _refused(_metadata(admin, name), name)]


def _refused(known: ClusterMetadata, name: str) -> bool:
    error = known.topics[name].error
    return error is not None and error.code() == KafkaError.TOPIC_AUTHORIZATION_FAILED


def mismatches(
    present: Iterable[Spec],
    counts: Mapping[str, int],
    count: int | None,
    settings: Mapping[str, Mapping[str, str | None]],
) -> Iterator[str]:
    """What is wrong with the topics that are there, a text each with how to mend it.

    `counts` has the partitions and `settings` the settings of each; `count` is the log's number of partitions.
    """
    for spec in present:
        if spec.as_log and count is not None and counts[spec.name] != count:
            yield (
                f"{spec.name} ({spec.key}) has {counts[spec.name]} partitions, the log {count}; they must be alike."
                f" Stop all workers and delete it, it is created anew: {_tool('topics')} --delete --topic {spec.name}"
            )
        found = settings[spec.name]
        wrong = {name: rule for name, rule in spec.rules.items() if not _allowed(rule, found.get(name))}
        if wrong:
            reasons = "; ".join(f"{name} is {found.get(name)}, {rule.why()}" for name, rule in wrong.items())
            wishes = ",".join(f"{name}={rule.wish()}" for name, rule in wrong.items())
            yield (
                f"{spec.name} ({spec.key}): {reasons}. Mend it: {_tool('configs')} --alter --entity-type topics"
                f" --entity-name {spec.name} --add-config {wishes}"
            )


def _allowed(rule: Rule, value: str | None) -> bool:
    """A broker that does not know a setting does not have what it would change."""
    return value is None or rule.allows(value)


def _tool(name: str) -> str:
    return f"kafka-{name}.sh --bootstrap-server BROKER:9092"


# ---------------------------------------------------------------- asking the cluster


def _metadata(admin: AdminClient, topic: str | None = None) -> ClusterMetadata:
    try:
        return admin.list_topics(topic, timeout=ANSWER)
    except KafkaException as error:
        raise Unreachable(f"Kafka does not tell its topics within {ANSWER:.0f} s: {error.args[0].str()}") from None


def _settings(admin: AdminClient, present: Sequence[Spec]) -> dict[str, dict[str, str | None]]:
    asked = {spec.name: ConfigResource(ResourceType.TOPIC, spec.name) for spec in present if spec.rules}
    answers = admin.describe_configs([*asked.values()], request_timeout=ANSWER) if asked else {}
    found: dict[str, dict[str, str | None]] = {spec.name: {} for spec in present}
    for name, resource in asked.items():
        entries = _answer(answers[resource], f"the settings of {name} (DescribeConfigs must be allowed)")
        found[name] = {key: entry.value for key, entry in entries.items()}
    return found


def _answer(future: "Future[dict[str, ConfigEntry]]", what: str) -> "dict[str, ConfigEntry]":
    try:
        return future.result(timeout=ANSWER + 1)
    except KafkaException as error:
        raise Unreachable(f"Kafka does not tell {what}: {error.args[0].str()}") from None
    except TimeoutError:
        raise Unreachable(f"Kafka does not tell {what} within {ANSWER:.0f} s") from None


# ---------------------------------------------------------------- creating


@dataclass(frozen=True, slots=True)
class _New:
    name: str
    partitions: int
    replicas: int
    settings: Mapping[str, str]


def _new_topic(spec: Spec, count: int | None, brokers: int) -> _New:
    replicas = spec.replication or max(1, min(SAFE_REPLICAS, brokers))
    in_sync = {"min.insync.replicas": "2" if replicas >= SAFE_REPLICAS else "1"}
    partitions = count if spec.as_log and count is not None else spec.partitions
    return _New(spec.name, partitions, replicas, {**spec.settings, **in_sync})


def _creation(new: _New) -> str:
    settings = " ".join(f"--config {name}={value}" for name, value in new.settings.items())
    return (
        f"{_tool('topics')} --create --topic {new.name} --partitions {new.partitions}"
        f" --replication-factor {new.replicas} {settings}"
    )


def _create(admin: AdminClient, new: Mapping[str, _New]) -> list[str]:
    """Create them; returns those that nobody else had created meanwhile."""
    topics = [
        NewTopic(t.name, num_partitions=t.partitions, replication_factor=t.replicas, config=dict(t.settings))
        for t in new.values()
    ]
    answers = admin.create_topics(topics, operation_timeout=ANSWER, request_timeout=ANSWER) if topics else {}
    created, refused = [], []
    for name, answer in answers.items():
        try:
            answer.result(timeout=2 * ANSWER)
            created.append(name)
        except KafkaException as error:
            reason: KafkaError = error.args[0]
            if reason.code() != KafkaError.TOPIC_ALREADY_EXISTS:
                refused.append(f"- {name}: {reason.str()}. Create it yourself: {_creation(new[name])}")
        except TimeoutError:
            refused.append(f"- {name}: no answer. Create it yourself: {_creation(new[name])}")
    if refused:
        raise Unreachable("\n".join(["Kafka does not create topics:", *refused]))
    return created


def _await(admin: AdminClient, names: Sequence[str]) -> None:
    """Wait until every new topic has its leaders: a client that comes too early takes it for missing."""
    deadline = time.monotonic() + VISIBLE
    while True:
        known = _metadata(admin).topics
        ready = [
            name
            for name in names
            if name in known
            and known[name].partitions
            and all(partition.leader >= 0 for partition in known[name].partitions.values())
        ]
        if len(ready) == len(names):
            return
        if time.monotonic() > deadline:
            late = ", ".join(sorted(set(names) - set(ready)))
            raise Unreachable(f"{late}: created, but without a leader after {VISIBLE:.0f} s")
        time.sleep(0.05)
