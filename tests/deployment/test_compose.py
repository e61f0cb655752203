"""deploy/compose.yaml: what Docker Compose takes, with files that are there, and nothing open to the network.

`compose-spec.json` is the schema of the Compose specification, from its own loader (github.com/compose-spec/compose-go
v2.4.7, Apache-2.0).
"""

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from detector.config import load

DEPLOY = Path(__file__).parents[2] / "deploy"
FILE: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
SCHEMA = json.loads((Path(__file__).parent / "compose-spec.json").read_text())
OURS = {"detector", "alert"}
# Made by whoever starts it, as the head of the file says.
MADE = {"./secrets/operator", "./secrets/grafana", "./secrets/alertmanager"}


def resolved(text: str) -> str:
    """With the defaults of variables."""
    return re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", text)


class Files:
    """Secrets by file, and which were asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def read(self, path: str) -> str:
        self.asked.append(path)
        return "a-token-that-is-long-enough"


def files() -> list[str]:
    """All files and folders of the host that are mounted."""
    volumes = [resolved(str(one)) for service in SERVICES.values() for one in service.get("volumes", ())]
    mounted = [one.split(":")[0] for one in volumes if one.startswith(".")]
    named = [table["file"] for kind in ("configs", "secrets") for table in FILE[kind].values()]
    return sorted({*mounted, *named})


def test_it_is_a_compose_file() -> None:
    jsonschema.Draft7Validator(SCHEMA).validate(FILE)


def test_the_schema_refuses_what_is_none() -> None:
    wrong = {**FILE, "services": {"redis": {**SERVICES["redis"], "imagee": "redis"}}}

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft7Validator(SCHEMA).validate(wrong)


@pytest.mark.parametrize("name", [name for name in files() if name not in MADE])
def test_what_is_mounted_is_there(name: str) -> None:
    assert (DEPLOY / name).exists(), name


def test_the_secrets_are_told_of_in_the_head_and_ignored_by_git() -> None:
    head = (DEPLOY / "compose.yaml").read_text().partition("\nname:")[0]

    assert set(files()) >= MADE
    assert all(Path(name).name in head for name in MADE - {"./secrets/alertmanager"})
    assert "deploy/secrets/" in (DEPLOY.parent / ".gitignore").read_text().splitlines()


def test_detector_takes_its_configuration_and_its_environment() -> None:
    text = (DEPLOY / "compose" / "detector.yaml").read_text()
    for name in OURS:
        environment = {key: str(value) for key, value in SERVICES[name]["environment"].items()}
        secrets = Files()
        config = load(text, environment, secrets.read)

        assert config.kafka.bootstrap_servers == "kafka:9093"
        assert config.worker.slot == "0"
        assert set(secrets.asked) == {f"/run/secrets/{secret}" for secret in SERVICES[name]["secrets"]}


@pytest.mark.parametrize("name", SERVICES)
def test_a_service_is_pinned_closed_and_looked_after(name: str) -> None:
    service = SERVICES[name]

    assert re.fullmatch(r"[a-z/]+:(v?\d+\.\d+(\.\d+)?(-\w+)?|latest)", service["image"])
    assert (service["image"] == "detector:latest") == (name in OURS)
    assert all(port.startswith("127.0.0.1:") for port in service.get("ports", ()))
    assert service["restart"] == "unless-stopped"
    assert name in OURS or "healthcheck" in service, "the image of Detector has one of its own"
    assert not [key for key in service.get("environment", {}) if re.search("PASSWORD$|TOKEN$|SECRET$", key)]


@pytest.mark.parametrize("name", SERVICES)
def test_who_is_waited_for_says_when_it_is_healthy(name: str) -> None:
    for other, how in SERVICES[name].get("depends_on", {}).items():
        assert how == {"condition": "service_healthy"}
        assert other in OURS or "healthcheck" in SERVICES[other]


def test_what_must_outlive_a_container_is_in_a_volume() -> None:
    used = {one.split(":")[0] for service in SERVICES.values() for one in service.get("volumes", ()) if one[0] != "."}

    assert used - {"${ALERTMANAGER_CONFIG"} == FILE["volumes"].keys()


def test_redis_evicts_nothing_and_appends() -> None:
    command = " ".join(SERVICES["redis"]["command"])

    assert "--maxmemory-policy noeviction" in command
    assert "--appendonly yes" in command
