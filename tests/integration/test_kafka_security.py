"""Kafka with TLS, logins and an authorizer: each part of Detector with the rights of docs/security.md and no others."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from confluent_kafka.admin import (  # type: ignore[attr-defined]
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    ResourcePatternType,
    ResourceType,
)

from detector.embedded import Child
from tests.services.certificates import KEY_WORD
from tests.services.redis import RedisServer
from tests.services.requirements import require
from tests.services.secure_kafka import WORD, SecureKafka, TokenEndpoint
from tests.services.waiting import eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(600)]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "security.md"
PARTS = {
    "detector": ("daemon", "api", "creator", "operator"),
    "oncall": ("oncall",),
    "pager": ("reader",),
    "airflow": ("pipeline",),
    "a-sender": ("alert",),
    "a-redoer": ("executor",),
}
Right = tuple[str, str, str, str]


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecureKafka]:
    require("java", "mvn")
    with SecureKafka(tmp_path_factory.mktemp("secure-kafka")) as cluster:
        for user, parts in PARTS.items():
            for part in parts:
                cluster.allow(part, user)
        yield cluster


class Machine:
    """One on which the commands of several users are given."""

    def __init__(self, cluster: SecureKafka, redis_url: str, directory: Path) -> None:
        self.cluster, self.redis_url, self.directory = cluster, redis_url, directory
        self.word = directory / "word"
        self.word.write_text(WORD + "\n")

    def kafka(self, **kafka: Any) -> dict[str, Any]:
        """How the cluster is reached with a login."""
        ca = str(self.cluster.certificates.ca)
        reached = {"bootstrap_servers": self.cluster.login, "security_protocol": "SASL_SSL", "ssl_ca_location": ca}
        return {**reached, "sasl_password_file": str(self.word), **kafka}

    def run(self, *arguments: str, kafka: dict[str, Any]) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "detector", *arguments, "--config", str(self.configured(kafka))]
        return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)

    def as_user(self, user: str, *arguments: str) -> subprocess.CompletedProcess[str]:
        return self.run(*arguments, kafka=self.kafka(sasl_mechanism="SCRAM-SHA-512", sasl_username=user))

    def configured(self, kafka: dict[str, Any]) -> Path:
        path = self.directory / f"{kafka.get('sasl_username', 'other')}.yaml"
        tables = {
            "kafka": kafka,
            "redis": {"url": self.redis_url},
            "topics": {"partitions": 2},
            "time": {"tick": "500ms"},
            "worker": {"slot": "0"},
            "http": {"port": 0},
        }
        path.write_text(yaml.safe_dump(tables))
        return path


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis-beside-secure-kafka")) as server:
        yield server


@pytest.fixture
def machine(secure: SecureKafka, cache: RedisServer, tmp_path: Path) -> Machine:
    return Machine(secure, cache.url, tmp_path)


@pytest.fixture(scope="module")
def daemon(secure: SecureKafka, cache: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """`detector run` with the rights of the daemon; its log."""
    machine = Machine(secure, cache.url, tmp_path_factory.mktemp("daemon"))
    log = machine.directory / "run.log"
    config = machine.configured(machine.kafka(sasl_mechanism="SCRAM-SHA-512", sasl_username="detector"))
    process = Child([sys.executable, "-m", "detector", "run", "--config", str(config)], cwd=ROOT, log=log)
    try:
        eventually(lambda: process.poll() is not None or '"started"' in log.read_text(), "the daemon to start", 60)
        assert process.poll() is None, log.read_text()
        yield log
    finally:
        process.stop(timeout=30)


def event(name: str, at: float) -> str:
    run = {"schema": 1, "namespace": "shop", "name": name, "run_id": f"{name}-{at}", "event_time": at}
    return json.dumps({**run, "state": "COMPLETE", "outputs": [{"namespace": "db", "name": "t", "rows": 5}]}) + "\n"


# ---------------------------------------------------------------- what the script gives


def given(cluster: SecureKafka) -> dict[str, set[Right]]:
    """What each user may do, as Kafka has it."""
    any_: Any = None
    everything = AclBindingFilter(
        ResourceType.ANY, any_, ResourcePatternType.ANY, any_, any_, AclOperation.ANY, AclPermissionType.ANY
    )
    found: dict[str, set[Right]] = {}
    for acl in cluster.admin.describe_acls(everything).result(30):
        pattern = "prefixed" if acl.resource_pattern_type is ResourcePatternType.PREFIXED else ""
        right = (acl.restype.name.lower(), acl.name, pattern, acl.operation.name.replace("_", "").lower())
        found.setdefault(acl.principal.removeprefix("User:"), set()).add(right)
    return found


def table() -> dict[str, set[Right]]:
    """The rights of each part, as docs/security.md has them."""
    rights: dict[str, set[Right]] = {}
    part = ""
    for row in re.findall(r"^\|(.*)\|(.*)\|(.*)\|([A-Za-z, ]+)\|$", PAGE.read_text(), re.MULTILINE):
        named, on, called, may = (cell.strip() for cell in row)
        kind, prefixed, _ = on.partition(" that begins with")
        if kind not in ("topic", "group", "transactional id"):
            continue
        part = named.strip("`") or part
        for name in re.findall(r"`([^`]+)`", called):
            pattern = "prefixed" if prefixed else ""
            rights.setdefault(part, set()).update(
                (kind.replace(" ", "_"), name, pattern, one.lower()) for one in may.split(", ")
            )
    return rights


def test_the_script_gives_what_the_page_says(secure: SecureKafka) -> None:
    rights, written = given(secure), table()

    assert {part for parts in PARTS.values() for part in parts} == written.keys()
    for user, parts in PARTS.items():
        assert rights[user] == set.union(*(written[part] for part in parts)), user


# ---------------------------------------------------------------- logging in


@pytest.mark.parametrize("mechanism", ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"])
def test_a_user_logs_in_with_a_password(machine: Machine, daemon: Path, mechanism: str) -> None:
    done = machine.run("tail", "--no-follow", kafka=machine.kafka(sasl_mechanism=mechanism, sasl_username="pager"))

    assert (done.returncode, done.stderr) == (0, "")


def test_a_client_logs_in_with_a_token_that_it_fetches(machine: Machine, daemon: Path) -> None:
    with TokenEndpoint("pager", WORD) as endpoint:
        kafka = machine.kafka(sasl_mechanism="OAUTHBEARER")
        del kafka["sasl_password_file"]
        oidc = {"method": "oidc", "client.id": "pager", "token.endpoint.url": endpoint.url}
        kafka["options"] = {f"sasl.oauthbearer.{name}": value for name, value in oidc.items()}
        kafka["secret_options"] = {"sasl.oauthbearer.client.secret_file": str(machine.word)}
        done = machine.run("tail", "--no-follow", kafka=kafka)

    assert (done.returncode, done.stderr) == (0, "")


def test_a_client_is_known_by_its_certificate(machine: Machine, daemon: Path) -> None:
    certificate, key = machine.cluster.certificates.client("pager")
    word = machine.directory / "key-word"
    word.write_text(KEY_WORD)
    kafka = {
        "bootstrap_servers": machine.cluster.mutual,
        "security_protocol": "SSL",
        "ssl_ca_location": str(machine.cluster.certificates.ca),
        "ssl_certificate_location": str(certificate),
        "ssl_key_location": str(key),
        "ssl_key_password_file": str(word),
    }
    done = machine.run("tail", "--no-follow", kafka=kafka)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", [("run",), ("tail", "--no-follow"), ("doctor",)], ids=lambda words: words[0])
def test_a_wrong_password_is_told_and_not_shown(machine: Machine, command: tuple[str, ...]) -> None:
    machine.word.write_text("another-secret")
    done = machine.as_user("detector", *command)
    told = done.stdout + done.stderr

    assert done.returncode == 1
    assert "invalid credentials" in told
    assert "another-secret" not in told


def test_an_authority_that_is_not_trusted_is_told(machine: Machine) -> None:
    kafka = machine.kafka(sasl_mechanism="SCRAM-SHA-512", sasl_username="detector")
    del kafka["ssl_ca_location"]
    done = machine.run("tail", "--no-follow", kafka=kafka)

    assert done.returncode == 1
    assert "certificate verify failed" in done.stderr


# ---------------------------------------------------------------- with the rights of the table


def test_each_part_does_its_work_with_its_rights(machine: Machine, daemon: Path) -> None:
    history, file = machine.directory / "history.jsonl", machine.directory / "events.jsonl"
    history.write_text(event("old", time.time() - 86_400))
    file.write_text(event("load", time.time()))
    sent = machine.as_user("airflow", "emit", str(file), "--topic", "pipeline.run-events")

    def asked(user: str, *source: str) -> str:
        return machine.as_user(user, "check", "job:shop/load", *source).stdout

    eventually(lambda: asked("airflow", "--from", "kafka").startswith("allow"), "a breaker on its topic", 60)
    eventually(lambda: asked("detector").startswith("allow"), "a breaker in Redis", 60)
    seeded = machine.as_user("detector", "seed", str(history))
    doctor = machine.as_user("detector", "doctor")
    opened = machine.as_user(
        "oncall", "breaker", "override", "job:shop/load", "--force-open", "--until", "1h", "--reason", "try"
    )
    tail = machine.as_user("pager", "tail", "--no-follow")

    done = (sent, seeded, doctor, opened, tail)
    assert [one.returncode for one in done] == [0] * 5, [one.stdout + one.stderr for one in done]
    assert "job:shop/load" in tail.stdout
    assert "AUTHORIZATION" not in daemon.read_text()


# ---------------------------------------------------------------- without them


@pytest.mark.parametrize(
    ("command", "code", "told"),
    [
        pytest.param(("run",), 1, "does not let this user see it", id="run"),
        pytest.param(("doctor",), 1, "does not let this user see it", id="doctor"),
        pytest.param(("check", "job:a/b", "--from", "kafka"), 2, "does not let this user see topic", id="check"),
        pytest.param(("tail", "--no-follow"), 1, "does not let this user see topic", id="tail"),
        pytest.param(("emit", "FILE", "--topic", "pipeline.run-events"), 1, "does not let this user see", id="emit"),
        pytest.param(("seed", "FILE"), 1, "does not let this user see it", id="seed"),
    ],
)
def test_without_rights_it_is_said_what_is_missing(
    machine: Machine, daemon: Path, command: tuple[str, ...], code: int, told: str
) -> None:
    file = machine.directory / "events.jsonl"
    file.write_text(event("load", time.time()))
    done = machine.as_user("nobody", *(str(file) if word == "FILE" else word for word in command))

    assert (done.returncode, told in done.stdout + done.stderr) == (code, True), done.stdout + done.stderr
    assert "acls.sh" in done.stdout + done.stderr
    assert "FATAL" not in done.stderr


def test_who_only_reads_can_neither_send_nor_command(machine: Machine, daemon: Path) -> None:
    file = machine.directory / "events.jsonl"
    file.write_text(event("load", time.time()))
    sent = machine.as_user("pager", "emit", str(file), "--topic", "pipeline.run-events")
    opened = machine.as_user(
        "pager", "breaker", "override", "job:shop/load", "--force-open", "--until", "1h", "--reason", "try"
    )

    assert (sent.returncode, opened.returncode) == (1, 1)
    assert "does not let this user see topic pipeline.run-events" in sent.stderr
    assert "does not let this user see topic detector.commands" in opened.stderr
