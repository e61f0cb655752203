"""The HTTP API over a real Kafka and a real Redis: commands are done; what it says while each of them is away."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from detector.embedded import free_port
from tests.integration.system import System
from tests.services.gate import Gate
from tests.services.kafka import KafkaCluster
from tests.services.redis import RedisServer
from tests.services.requirements import require
from tests.services.waiting import eventually

pytestmark = pytest.mark.integration

TOKEN = "operator-0123456789"
JOB = "job:shop/orders.load"
MAX_AGE = 6.0


@contextmanager
def running(directory: Path, prefix: str, kafka: KafkaCluster, redis: int) -> Iterator[httpx.Client]:
    """All stages in one process, and a client of its API; one run of a job was judged."""
    port = free_port()
    settings = {
        "http": {
            "port": port,
            "max_age": f"{MAX_AGE:g}s",
            "tokens": [{"name": "alice", "role": "operator", "token": TOKEN}],
        },
        "time": {"heartbeat": "1s"},
        "rules": [{"match": "job:shop/*", "owner": "team-shop"}],
    }
    url = f"redis://127.0.0.1:{redis}/0"
    with System(kafka.bootstrap, url, prefix, directory, partitions=2, settings=settings) as system:
        system.start(stages="ingest,worker,api")
        for state in ("START", "COMPLETE"):
            system.send(event(state))
        system.flush()
        headers = {"authorization": f"Bearer {TOKEN}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=30, verify=False) as client:
            eventually(
                lambda: said(client, f"/v1/breakers/{JOB}").get("verdict") == "allow", "the run to be judged", 90
            )
            yield client


def event(state: str) -> dict[str, Any]:
    now = time.time()
    more = {"outputs": [{"namespace": "db", "name": "orders", "rows": 1_000}]} if state == "COMPLETE" else {}
    return {"namespace": "shop", "name": "orders.load", "run_id": "r1", "state": state, "event_time": now, **more}


def said(client: httpx.Client, path: str) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(client.get(path).content)
    except httpx.TransportError:
        return {}
    return found


def order(client: httpx.Client, state: str) -> httpx.Response:
    command = {"command": "override", "entity": JOB, "state": state, "comment": "by hand", "until": time.time() + 600}
    return client.post("/v1/commands?wait=30", json=command)


def test_the_api_does_what_its_page_says_while_redis_and_kafka_are_away(tmp_path: Path, topic_prefix: str) -> None:
    require("java", "mvn")
    with (
        KafkaCluster(tmp_path / "kafka") as kafka,
        RedisServer(tmp_path / "redis") as redis,
        Gate(redis.port) as gate,
    ):
        gate.open()
        with running(tmp_path, topic_prefix, kafka, gate.port) as client:
            commands_are_done_and_told(client)
            redis_is_away(client, gate)
            kafka_is_away(client, kafka)


def commands_are_done_and_told(client: httpx.Client) -> None:
    """What a person says is done, with the name of the token, and whoever follows the events hears of it."""
    with client.stream("GET", "/v1/events") as stream:
        lines = stream.iter_lines()
        answer = order(client, "force_open")
        kinds = [next(line for line in lines if line.startswith("event: ")) for _ in range(2)]

    done = json.loads(answer.content)
    assert (answer.status_code, done["done"], done["answers"][0]["by"]) == (200, True, "alice")
    assert kinds[0] == "event: heartbeat"
    blocked = eventually(lambda: _if(said(client, f"/v1/breakers/{JOB}"), "verdict", "block"), "the override to hold")
    assert blocked["reason"] == "override"
    assert said(client, f"/v1/entities/{JOB}")["owner"] == "team-shop"
    eventually(lambda: said(client, f"/v1/runs/{JOB}").get("items"), "the run to be in the history")
    assert said(client, f"/v1/series/{JOB}?metric=duration")["points"]


def redis_is_away(client: httpx.Client, gate: Gate) -> None:
    """All but the history is answered from memory, and goes on to change."""
    gate.shut()
    history = client.get(f"/v1/runs/{JOB}")
    answer = order(client, "none")
    eventually(lambda: _if(said(client, f"/v1/breakers/{JOB}"), "verdict", "allow"), "the override to be gone")

    assert (history.status_code, history.headers["retry-after"]) == (503, "5")
    assert history.headers["content-type"] == "application/problem+json"
    assert answer.status_code == 200
    for path in ("/v1/overview", f"/v1/entities/{JOB}", "/v1/incidents", f"/v1/lineage/{JOB}"):
        assert client.get(path).status_code == 200
    gate.open()
    eventually(lambda: client.get(f"/v1/runs/{JOB}").status_code == 200, "the history to come back")


def kafka_is_away(client: httpx.Client, kafka: KafkaCluster) -> None:
    """Breakers are told as unknown once they are too old, commands are refused; all comes back by itself."""
    kafka.kill_node(1)
    stale = eventually(lambda: _if(said(client, f"/v1/breakers/{JOB}"), "reason", "stale"), "it to be too old")
    refused = eventually(lambda: _status(order(client, "force_open"), 503), "commands to be refused", 60)

    assert (stale["verdict"], stale["breaker"]["state"]) == ("unknown", "closed")
    assert stale["heartbeat_age"] > MAX_AGE
    assert refused is not None
    assert refused.headers["retry-after"] == "5"
    assert said(client, "/v1/overview")["detector"]["trouble"]
    assert client.get(f"/v1/entities/{JOB}").status_code == 200
    kafka.start_node(1)
    eventually(lambda: _if(said(client, f"/v1/breakers/{JOB}"), "verdict", "allow"), "it to be told again", 120)
    done = eventually(lambda: _status(order(client, "force_open"), 200), "commands to be done again", 120)
    assert done is not None
    assert json.loads(done.content)["done"]


def _if(found: dict[str, Any], name: str, value: object) -> dict[str, Any]:
    return found if found.get(name) == value else {}


def _status(answer: httpx.Response, status: int) -> httpx.Response | None:
    return answer if answer.status_code == status else None
