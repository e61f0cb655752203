"""deploy/kubernetes: kustomize makes objects of it that the schemas of Kubernetes and of KEDA take."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import pytest
import yaml

from detector.config import load
from tests.services.kustomize import build

HERE = Path(__file__).parents[2] / "deploy" / "kubernetes"
RELEASE = "1.31"
Object = dict[str, Any]

TEXTS = {"type": "object", "additionalProperties": {"type": "string"}}
TRIGGER = {
    "type": "object",
    "required": ["type", "metadata"],
    "additionalProperties": False,
    "properties": {
        "type": {"const": "kafka"},
        "name": {"type": "string"},
        "metricType": {"enum": ["AverageValue", "Value", "Utilization"]},
        "metadata": {**TEXTS, "required": ["bootstrapServers", "consumerGroup", "topic", "lagThreshold"]},
        "authenticationRef": {"type": "object", "required": ["name"]},
    },
}
# KEDA's own definitions (keda.sh/v1alpha1), as far as they are used.
KEDA = {
    "ScaledObject": {
        "type": "object",
        "required": ["scaleTargetRef", "triggers"],
        "additionalProperties": False,
        "properties": {
            "scaleTargetRef": {
                "type": "object",
                "required": ["name"],
                "additionalProperties": False,
                "properties": {key: {"type": "string"} for key in ("apiVersion", "kind", "name")},
            },
            "minReplicaCount": {"type": "integer", "minimum": 1},
            "maxReplicaCount": {"type": "integer"},
            "pollingInterval": {"type": "integer"},
            "cooldownPeriod": {"type": "integer"},
            "advanced": {"type": "object", "properties": {"horizontalPodAutoscalerConfig": {"type": "object"}}},
            "triggers": {"type": "array", "minItems": 1, "items": TRIGGER},
        },
    },
    "TriggerAuthentication": {
        "type": "object",
        "required": ["secretTargetRef"],
        "additionalProperties": False,
        "properties": {
            "secretTargetRef": {
                "type": "array",
                "items": {**TEXTS, "required": ["parameter", "name", "key"]},
            }
        },
    },
}


@pytest.fixture(scope="module")
def base() -> list[Object]:
    return build(HERE / "base")


@pytest.fixture(scope="module")
def example() -> list[Object]:
    return build(HERE / "overlays" / "example")


@pytest.fixture(scope="module")
def split(tmp_path_factory: pytest.TempPathFactory) -> list[Object]:
    """The base with its component `split`, as an overlay would have it."""
    overlay = HERE / "overlays" / "of-a-test"
    overlay.mkdir()
    try:
        text = {"resources": ["../../base"], "components": ["../../components/split"]}
        (overlay / "kustomization.yaml").write_text(yaml.safe_dump(text))
        return build(overlay)
    finally:
        (overlay / "kustomization.yaml").unlink(missing_ok=True)
        overlay.rmdir()


def of(objects: list[Object], kind: str) -> dict[str, Object]:
    return {one["metadata"]["name"]: one for one in objects if one["kind"] == kind}


def workloads(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    """Whatever has pods: its name, and the template of its pods."""
    for one in objects:
        if one["kind"] in ("StatefulSet", "Deployment"):
            yield one["metadata"]["name"], one["spec"]["template"]


def containers(objects: list[Object]) -> Iterator[tuple[str, Object]]:
    for name, template in workloads(objects):
        yield from ((name, one) for one in template["spec"]["containers"])


@pytest.fixture(params=["base", "example", "split"])
def objects(request: pytest.FixtureRequest) -> list[Object]:
    found: list[Object] = request.getfixturevalue(request.param)
    return found


def test_kubernetes_and_keda_know_every_key(objects: list[Object]) -> None:
    for one in objects:
        if one["apiVersion"].startswith("keda.sh/"):
            jsonschema.validate(one["spec"], KEDA[one["kind"]])
        else:
            kubernetes_validate.validate(one, RELEASE, strict=True)


def test_the_pods_are_found_by_what_selects_them(objects: list[Object]) -> None:
    labels = [template["metadata"]["labels"] for _, template in workloads(objects)]
    selectors = [
        (one["kind"], one["spec"].get("selector", {}))
        for one in objects
        if one["kind"] in ("Service", "PodDisruptionBudget", "StatefulSet", "Deployment")
    ]
    selectors += [("NetworkPolicy", one["spec"]["podSelector"]) for one in of(objects, "NetworkPolicy").values()]

    for kind, selector in selectors:
        wanted = selector.get("matchLabels", selector)
        assert any(wanted.items() <= have.items() for have in labels), (kind, wanted)


def test_every_name_that_is_asked_for_is_there(objects: list[Object]) -> None:
    maps, services, accounts = (of(objects, kind) for kind in ("ConfigMap", "Service", "ServiceAccount"))
    for _, template in workloads(objects):
        volumes = template["spec"]["volumes"]
        mounted = {mount["name"] for one in template["spec"]["containers"] for mount in one["volumeMounts"]}

        assert {volume["name"] for volume in volumes} == mounted
        assert {volume["configMap"]["name"] for volume in volumes if "configMap" in volume} <= maps.keys()
        assert template["spec"]["serviceAccountName"] in accounts
    for one in of(objects, "StatefulSet").values():
        assert services[one["spec"]["serviceName"]]["spec"]["clusterIP"] == "None"
    for one in of(objects, "ScaledObject").values():
        assert one["spec"]["scaleTargetRef"]["name"] in of(objects, one["spec"]["scaleTargetRef"]["kind"])
    if secrets := of(objects, "Secret"):
        used = {v["secret"]["secretName"] for _, t in workloads(objects) for v in t["spec"]["volumes"] if "secret" in v}
        assert used <= secrets.keys()


def test_a_pod_has_no_right_that_it_does_not_need(objects: list[Object]) -> None:
    for _, template in workloads(objects):
        spec = template["spec"]
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
    for _, one in containers(objects):
        assert one["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }


def test_a_container_is_looked_after(objects: list[Object]) -> None:
    for name, one in containers(objects):
        paths = {probe: one[probe]["httpGet"]["path"] for probe in ("startupProbe", "livenessProbe")}

        assert set(paths.values()) == {"/healthz"}
        assert name == "detector-alert" or one["readinessProbe"]["httpGet"]["path"] == "/readyz"
        assert {"cpu", "memory"} <= one["resources"]["requests"].keys()
        assert "memory" in one["resources"]["limits"]
        assert not one["image"].endswith(":latest")


def test_stopping_has_more_time_than_detector_takes(objects: list[Object]) -> None:
    taken = load("").worker.stop_timeout

    for name, template in workloads(objects):
        assert template["spec"]["terminationGracePeriodSeconds"] > taken, name


def test_the_worker_slot_is_the_number_of_the_pod(objects: list[Object]) -> None:
    writers = {
        name for name, one in containers(objects) if one["args"][0] == "run" and one["args"][1:] != ["--stages", "api"]
    }

    assert writers == of(objects, "StatefulSet").keys()
    assert all(one["spec"]["podManagementPolicy"] == "Parallel" for one in of(objects, "StatefulSet").values())


def test_all_stages_run_somewhere(objects: list[Object]) -> None:
    stages = [one["args"][2].split(",") for _, one in containers(objects) if one["args"][0] == "run"]

    assert sorted(stage for some in stages for stage in some) == ["api", "ingest", "worker"]


def test_keda_never_takes_the_last_worker_away(example: list[Object]) -> None:
    (scaled,) = of(example, "ScaledObject").values()
    (worker,) = of(example, "StatefulSet").values()
    config = load("")

    assert scaled["spec"]["minReplicaCount"] >= 1
    assert scaled["spec"]["maxReplicaCount"] == config.topics.partitions
    assert "replicas" not in worker["spec"]
    groups = {one["metadata"]["topic"]: one["metadata"]["consumerGroup"] for one in scaled["spec"]["triggers"]}
    assert groups[config.topics.log] == f"{config.topics.log}.worker"
    assert groups[config.topics.inputs[0]] == f"{config.topics.log}.ingest"


def test_detector_takes_its_configuration(objects: list[Object]) -> None:
    (made,) = of(objects, "ConfigMap").values()
    asked: list[Path] = []

    def read(path: str) -> str:
        asked.append(Path(path))
        return "a-secret-that-is-long-enough"

    config = load(made["data"]["detector.yaml"], read=read)
    mounts = {mount["mountPath"] for _, one in containers(objects) for mount in one["volumeMounts"]}

    assert config.kafka.bootstrap_servers
    assert {str(path.parent) for path in asked} <= mounts
    for secret in [one for name, one in of(objects, "Secret").items() if name == "detector"]:
        assert {path.name for path in asked} <= secret["stringData"].keys()
