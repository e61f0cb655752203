"""Topics on a real Kafka: made as they must be, checked when somebody else made them."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from detector.config import Config, load
from detector.errors import TopicMismatch, Unreachable
from detector.topics import ensure, specs
from tests.services.kafka import Kafka
from tests.services.waiting import eventually

pytestmark = pytest.mark.integration


@pytest.fixture
def admin(kafka: Kafka) -> AdminClient:
    return AdminClient({"bootstrap.servers": kafka.bootstrap})


@pytest.fixture
def config(topic_prefix: str) -> Config:
    names = ", ".join(
        f"{key}: {topic_prefix}{key}"
        for key in (
            "log",
            "control",
            "breakers",
            "incidents",
            "alerts",
            "runs",
            "commands",
            "snapshots",
            "dead_letters",
        )
    )
    return load(f"topics: {{inputs: [{topic_prefix}in], partitions: 3, {names}}}")


def alter(admin: AdminClient, topic: str, name: str, value: str) -> None:
    entry = ConfigEntry(name, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result(timeout=30)
    eventually(lambda: settings(admin, topic)[name] == value, f"{name} of {topic} to be in force")


def settings(admin: AdminClient, topic: str) -> dict[str, str | None]:
    resource = ConfigResource(ResourceType.TOPIC, topic)
    entries = admin.describe_configs([resource])[resource].result(timeout=30)
    return {name: entry.value for name, entry in entries.items()}


def test_what_is_missing_is_created_once_and_then_found_good(admin: AdminClient, config: Config) -> None:
    wanted = specs(config)

    created = ensure(admin, wanted, create=True)

    assert sorted(spec.name for spec in wanted) == sorted(created)
    assert ensure(admin, wanted, create=True) == []
    assert ensure(admin, wanted, create=False) == []


def test_every_setting_that_is_asked_for_is_in_force(admin: AdminClient, config: Config) -> None:
    wanted = specs(config)
    ensure(admin, wanted, create=True)

    for spec in wanted:
        in_force = settings(admin, spec.name)
        assert dict(spec.settings) == {name: in_force[name] for name in spec.settings}, spec.name
        assert spec.partitions == len(admin.list_topics(spec.name, timeout=10).topics[spec.name].partitions)


def test_breakers_are_created_with_the_partitions_of_the_log_that_is_there(
    kafka: Kafka, admin: AdminClient, config: Config
) -> None:
    large = {"max_message_bytes": "8388608"}
    kafka.create_topic(config.topics.log, 7, message_timestamp_type="LogAppendTime", retention_ms="-1", **large)
    eventually(lambda: config.topics.log in admin.list_topics(timeout=10).topics, "the log to be seen")

    ensure(admin, specs(config), create=True)

    known = admin.list_topics(timeout=10).topics
    assert [len(known[name].partitions) for name in (config.topics.breakers, config.topics.snapshots)] == [7, 7]


def test_everything_that_is_wrong_is_in_one_message(kafka: Kafka, admin: AdminClient, config: Config) -> None:
    kafka.create_topic(config.topics.log, 3)
    kafka.create_topic(config.topics.breakers, 4, cleanup_policy="compact")

    with pytest.raises(TopicMismatch) as raised:
        ensure(admin, specs(config), create=False)

    said = str(raised.value)
    assert f"{config.topics.log} (topics.log): max.message.bytes is 1048588, must be 8388608 or more" in said
    assert "; message.timestamp.type is CreateTime, must be LogAppendTime" in said
    assert f"{config.topics.breakers} (topics.breakers) has 4 partitions, the log 3" in said
    assert f"kafka-topics.sh --bootstrap-server BROKER:9092 --create --topic {config.topics.control}" in said


def test_nothing_is_created_beside_a_topic_that_is_wrong(kafka: Kafka, admin: AdminClient, config: Config) -> None:
    kafka.create_topic(config.topics.log, 3)

    with pytest.raises(TopicMismatch):
        ensure(admin, specs(config), create=True)

    assert config.topics.control not in admin.list_topics(timeout=10).topics


def test_a_topic_that_somebody_spoils_later_is_found_at_the_next_start(admin: AdminClient, config: Config) -> None:
    ensure(admin, specs(config), create=True)
    alter(admin, config.topics.breakers, "cleanup.policy", "delete")

    with pytest.raises(TopicMismatch, match=r"cleanup\.policy is delete, must be compact"):
        ensure(admin, specs(config), create=True)


def test_processes_that_start_at_once_create_each_topic_once(kafka: Kafka, config: Config) -> None:
    def start(_: int) -> list[str]:
        return ensure(AdminClient({"bootstrap.servers": kafka.bootstrap}), specs(config), create=True)

    with ThreadPoolExecutor(4) as processes:
        created = [name for names in processes.map(start, range(4)) for name in names]

    assert sorted(spec.name for spec in specs(config)) == sorted(created)


def test_a_cluster_that_cannot_make_so_many_replicas_says_so_with_the_command(
    admin: AdminClient, config: Config, topic_prefix: str
) -> None:
    wanted = load(f"topics: {{replication: 9, inputs: [{topic_prefix}in], log: {topic_prefix}log}}")

    with pytest.raises(Unreachable, match="--replication-factor 9"):
        ensure(admin, [spec for spec in specs(wanted) if spec.name.startswith(topic_prefix)], create=True)


def test_no_cluster_is_said_within_seconds() -> None:
    admin = AdminClient({"bootstrap.servers": "127.0.0.1:1", "log_level": 0})

    with pytest.raises(Unreachable, match="does not tell its topics"):
        ensure(admin, specs(Config()), create=True)
