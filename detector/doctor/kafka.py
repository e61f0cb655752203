"""Kafka: does it answer, can it do what exactly-once needs, are the topics right, and does time go on?"""

import time
from collections.abc import Iterator, Mapping, Sequence

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, ClusterMetadata  # type: ignore[attr-defined]

from detector import topics
from detector.broker import LIBRDKAFKA
from detector.config import Config
from detector.core.events import Tick, decode
from detector.core.text import duration
from detector.doctor.finding import SKEW, Finding, clocks
from detector.errors import DetectorError, TopicMismatch
from detector.reach import Reach
from detector.settings import kafka_settings

ANSWER = 10.0
JOINED = 10.0
DOCTOR = "detector-doctor"
LAST_RECORDS = 200

Settings = Mapping[str, str | int | float | bool]


def examine(config: Config) -> Iterator[Finding]:
    """Look at Kafka."""
    settings = {**kafka_settings(config), "log_level": 0}
    reach = Reach()
    admin = AdminClient({**settings, **reach.settings})
    try:
        cluster = reach.ask(admin, lambda timeout: admin.list_topics(timeout=timeout), ANSWER)
    except KafkaException as error:
        yield _away(config, error)
        return
    where = f"cluster {cluster.cluster_id} at {config.kafka.bootstrap_servers}"
    yield Finding("kafka", "ok", f"{where}, {_brokers(cluster)}")
    yield _transactions(settings, config.topics.log)
    yield from _group(settings, cluster, config)
    yield from _topics(config, admin, cluster)
    yield from _time(config, settings, cluster)


def _away(config: Config, error: KafkaException) -> Finding:
    return Finding(
        "kafka",
        "fail",
        f"{config.kafka.bootstrap_servers} does not answer: {error.args[0].str()}",
        "Does it run, is kafka.bootstrap_servers right, and does kafka.security_protocol fit what it speaks?",
    )


def _brokers(cluster: ClusterMetadata) -> str:
    return "1 broker" if len(cluster.brokers) == 1 else f"{len(cluster.brokers)} brokers"


def _transactions(settings: Settings, log: str) -> Finding:
    producer = Producer({**settings, "transactional.id": DOCTOR}, logger=LIBRDKAFKA)  # nobody polls for what it logs
    try:
        producer.init_transactions(ANSWER)
    except KafkaException as error:
        advice = f"Allow Write on transactional ids that begin with {log}. and on {DOCTOR}: deploy/kafka/acls.sh."
        return Finding("kafka", "fail", f"gives no transactions: {error.args[0].str()}", advice)
    return Finding("kafka", "ok", "gives transactions")


def _group(settings: Settings, cluster: ClusterMetadata, config: Config) -> Iterator[Finding]:
    """A broker does not tell its version: so it is tried, if there is a topic to try it with."""
    if config.topics.log not in cluster.topics:
        return
    why = _join(settings, config.topics.log)
    if why is None:
        yield Finding("kafka", "ok", "knows the consumer groups of Kafka 4 (group.protocol=consumer)")
    else:
        log = config.topics.log
        advice = f"Detector needs Kafka 4.0 or later, and Read on groups that begin with {log}. and on {DOCTOR}."
        yield Finding("kafka", "fail", f"gives no membership of a group (group.protocol=consumer): {why}", advice)


def _join(settings: Settings, topic: str) -> str | None:
    """Why one cannot be a member of a group, if so."""
    member = Consumer({**settings, "group.id": DOCTOR, "group.protocol": "consumer", "enable.auto.commit": False})
    assigned: list[object] = []
    member.subscribe([topic], on_assign=lambda *given: assigned.append(given))
    deadline = time.monotonic() + JOINED
    try:
        while not assigned and time.monotonic() < deadline:
            message = member.poll(0.2)
            error = None if message is None else message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:  # noqa: SLF001
                return str(error.str())
        return None if assigned else f"no partition within {JOINED:.0f} s"
    except KafkaException as error:
        return str(error.args[0].str())
    finally:
        member.close()


def _topics(config: Config, admin: AdminClient, cluster: ClusterMetadata) -> Iterator[Finding]:
    wanted = topics.specs(config)
    present = [spec for spec in wanted if spec.name in cluster.topics]
    problems = _problems(admin, present if config.topics.create else wanted)
    hidden = topics.forbidden(admin, [spec.name for spec in wanted if spec not in present])
    for spec in wanted:
        mine = [text for text in problems if text.startswith((f"{spec.name} ", f"{spec.name}:"))]
        if mine:
            yield from (Finding("topic", "fail", *_with_advice(text)) for text in mine)
        elif spec in present:
            count = len(cluster.topics[spec.name].partitions)
            yield Finding("topic", "ok", f"{spec.name}, {count} partition{'s' * (count > 1)}")
        elif spec.name in hidden:
            yield Finding("topic", "fail", *_with_advice(f"{spec.name}: {topics.FORBIDDEN}"))
        else:
            yield Finding("topic", "warn", f"{spec.name} is not there", "`detector run` will create it.")
    named = tuple(spec.name for spec in wanted)
    yield from (Finding("topic", "fail", text) for text in problems if not text.startswith(named))


def _problems(admin: AdminClient, wanted: Sequence[topics.Spec]) -> list[str]:
    try:
        topics.ensure(admin, wanted, create=False)
    except TopicMismatch as error:
        return [line.removeprefix("- ") for line in str(error).splitlines() if line.startswith("- ")]
    except DetectorError as error:
        return [str(error)]
    return []


def _with_advice(text: str) -> tuple[str, str]:
    for opening in (". Mend it: ", ". Create it: ", ". Stop ", ". Give it "):
        message, found, advice = text.partition(opening)
        if found:
            return message, opening.removeprefix(". ") + advice
    return text, ""


def _time(config: Config, settings: Settings, cluster: ClusterMetadata) -> Iterator[Finding]:
    """The last tick of the log tells two clocks, that of its author and that of a broker, and whether time goes on."""
    log = cluster.topics.get(config.topics.log)
    if log is None or not log.partitions:
        return
    now = time.time()
    ticks = _last_ticks(settings, config.topics.log, sorted(log.partitions))
    if not ticks:
        yield Finding("time", "warn", "the log has no tick", "Is a worker running (`detector run`)?")
        return
    at, appended = max(ticks, key=lambda tick: tick[1])
    if now - appended > config.time.gap:
        advice = "Is a worker running, and can ingest read everything? See /readyz and detector_time_lag_seconds."
        yield Finding("time", "warn", f"stands still: the last tick is {duration(now - appended)} old", advice)
    else:
        yield Finding("time", "ok", f"goes on: the last tick is {duration(max(now - appended, 0.0))} old")
    yield clocks("the tick's author and the broker", at - appended, config.time.ahead)
    if appended - now > SKEW:
        yield clocks("the broker and this machine", appended - now, config.time.ahead)


def _last_ticks(settings: Settings, topic: str, partitions: list[int]) -> list[tuple[float, float]]:
    """(time, append time) of the last ticks of each partition."""
    consumer = Consumer(
        {**settings, "group.id": DOCTOR, "enable.auto.commit": False, "enable.partition.eof": True}
        | {"isolation.level": "read_committed", "auto.offset.reset": "latest"}
    )
    found: list[tuple[float, float]] = []
    try:
        places = [TopicPartition(topic, partition) for partition in partitions]
        for place in places:
            low, high = consumer.get_watermark_offsets(place, timeout=ANSWER, cached=False)
            place.offset = max(low, high - LAST_RECORDS)
        consumer.assign(places)
        reading, deadline = len(places), time.monotonic() + ANSWER
        while reading and time.monotonic() < deadline:
            message = consumer.poll(0.2)
            if message is not None and message.error() is not None:
                reading -= message.error().code() == KafkaError._PARTITION_EOF  # type: ignore[union-attr]  # noqa: SLF001
            elif message is not None and message.key() is None:
                found += _as_tick(message.value() or b"", message.timestamp()[1] / 1_000)
    except KafkaException:
        return found
    finally:
        consumer.close()
    return found


def _as_tick(value: bytes, appended: float) -> list[tuple[float, float]]:
    try:
        body = decode(value).body
    except msgspec.DecodeError:
        return []
    return [(body.at, appended)] if isinstance(body, Tick) else []
