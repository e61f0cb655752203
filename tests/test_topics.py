"""What the topics must be like, and what is said of those that are not."""

import pytest

from detector.config import Config, load
from detector.topics import Spec, mismatches, specs

LOG, CONTROL, BREAKERS, INCIDENTS, ALERTS, RUNS, COMMANDS, SNAPSHOTS, LETTERS, *INPUTS = specs(Config())


def as_created(*wanted: Spec) -> dict[str, dict[str, str | None]]:
    return {spec.name: {**spec.settings} for spec in wanted}


def found(spec: Spec, **changed: str | None) -> list[str]:
    settings = as_created(spec)
    settings[spec.name].update({name.replace("_", "."): value for name, value in changed.items()})
    return list(mismatches([spec], {spec.name: 12}, 12, settings))


def test_what_is_created_keeps_its_own_rules() -> None:
    wanted = specs(Config())

    assert list(mismatches(wanted, {spec.name: 12 for spec in wanted}, 12, as_created(*wanted))) == []


def test_what_is_compacted_has_as_many_partitions_as_the_log() -> None:
    by_key = {spec.key: spec for spec in specs(load("topics: {partitions: 5}"))}

    assert [by_key[f"topics.{key}"].partitions for key in ("log", "breakers", "incidents", "alerts", "snapshots")] == [
        5
    ] * 5


def test_every_topic_of_the_configuration_has_a_spec() -> None:
    ours = (
        "log: c, control: d, breakers: e, snapshots: f, dead_letters: g, incidents: h, commands: i, runs: j, alerts: k"
    )
    config = load(f"topics: {{inputs: [a, b], {ours}}}")

    assert set("abcdefghijk") == {spec.name for spec in specs(config)}


@pytest.mark.parametrize(
    ("spec", "changed", "said"),
    [
        pytest.param(LOG, {"cleanup_policy": "compact"}, "cleanup.policy=delete", id="a log that is compacted"),
        pytest.param(LOG, {"cleanup_policy": "compact,delete"}, "cleanup.policy=delete", id="a log that is both"),
        pytest.param(
            LOG,
            {"message_timestamp_type": "CreateTime"},
            "message.timestamp.type=LogAppendTime",
            id="a log whose times the producers set",
        ),
        pytest.param(LOG, {"retention_ms": "3600000"}, "retention.ms=2592000000", id="a log of one hour"),
        pytest.param(LOG, {"retention_bytes": "1048576"}, "retention.bytes=-1", id="a log of one megabyte"),
        pytest.param(
            LOG, {"max_message_bytes": "1048588"}, "max.message.bytes=8388608", id="a log that refuses large records"
        ),
        pytest.param(CONTROL, {"cleanup_policy": "compact"}, "cleanup.policy=delete", id="events that are compacted"),
        pytest.param(BREAKERS, {"cleanup_policy": "delete"}, "cleanup.policy=compact", id="breakers that age"),
        pytest.param(
            BREAKERS,
            {"delete_retention_ms": "100"},
            "delete.retention.ms=604800000",
            id="tombstones that slow readers miss",
        ),
        pytest.param(INCIDENTS, {"cleanup_policy": "delete"}, "cleanup.policy=compact", id="incidents that age"),
        pytest.param(ALERTS, {"cleanup_policy": "delete"}, "cleanup.policy=compact", id="what was told that ages"),
        pytest.param(
            COMMANDS, {"cleanup_policy": "compact"}, "cleanup.policy=delete", id="commands of which the last is kept"
        ),
        pytest.param(RUNS, {"retention_ms": "3600000"}, "retention.ms=2592000000", id="judged runs of one hour"),
        pytest.param(SNAPSHOTS, {"cleanup_policy": "delete"}, "cleanup.policy=compact", id="states that age"),
        pytest.param(
            LETTERS,
            {"message_timestamp_after_max_ms": "3600000"},
            "message.timestamp.after.max.ms=9223372036854775807",
            id="dead letters that cannot be from the future",
        ),
    ],
)
def test_a_setting_that_loses_data_is_named_with_the_command_that_mends_it(
    spec: Spec, changed: dict[str, str], said: str
) -> None:
    [problem] = found(spec, **changed)

    assert spec.name in problem
    assert (
        f"kafka-configs.sh --bootstrap-server BROKER:9092 --alter --entity-type topics --entity-name {spec.name}"
        in problem
    )
    assert problem.endswith(f"--add-config {said}")


@pytest.mark.parametrize(
    "changed",
    [
        pytest.param({"retention_ms": "-1"}, id="for ever"),
        pytest.param({"retention_ms": "86400000"}, id="a day"),
        pytest.param({"retention_bytes": None}, id="a setting that the broker does not know"),
        pytest.param({"segment_ms": "1000"}, id="a setting that is nobody's business"),
    ],
)
def test_a_setting_that_loses_nothing_is_left_alone(changed: dict[str, str | None]) -> None:
    assert found(LOG, **changed) == []


def test_a_topic_of_breakers_with_other_partitions_than_the_log_is_refused() -> None:
    counts = {LOG.name: 6, BREAKERS.name: 12}

    [problem] = mismatches([LOG, BREAKERS], counts, 6, as_created(LOG, BREAKERS))

    assert "detector.breakers (topics.breakers) has 12 partitions, the log 6" in problem


def test_inputs_may_be_as_their_owners_like() -> None:
    assert found(INPUTS[0], cleanup_policy="compact", retention_ms="1") == []
