"""Several Redis servers of the tests that belong together: a cluster, or a primary and replicas with Sentinels."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import redis

from detector.embedded import Child, free_port
from tests.services.redis import RedisServer, binary
from tests.services.waiting import eventually

SLOTS: Final = 16_384
NAME: Final = "mymaster"


@dataclass
class RedisCluster:
    """A cluster at `url`: `servers` are its primaries, and, with `replicas`, as many more that follow them."""

    servers: list[RedisServer]
    replicas: list[RedisServer]

    @property
    def url(self) -> str:
        return "redis://" + ",".join(f"127.0.0.1:{server.port}" for server in self.servers)

    def kill_primary_of(self, key: str) -> None:
        """Kill the node that has this key."""
        with redis.RedisCluster(port=self.servers[0].port, host="127.0.0.1") as client:
            port = client.get_node_from_key(key).port
        next(one for one in (*self.servers, *self.replicas) if one.port == port).kill()


@contextmanager
def redis_cluster(directory: Path, primaries: int = 3, replicas: bool = False) -> Iterator[RedisCluster]:
    """A running cluster; a primary that is gone for a second is replaced by its replica."""
    settings: dict[str, Any] = {
        "cluster_enabled": "yes",
        "cluster_node_timeout": 1_000,
        "cluster_replica_validity_factor": 0,
    }
    count = primaries * (2 if replicas else 1)
    with ExitStack() as stack:
        servers = [
            stack.enter_context(RedisServer(directory / f"node-{n}", **settings, cluster_port=free_port()))
            for n in range(count)
        ]
        made = RedisCluster(servers[:primaries], servers[primaries:])
        _join(made)
        yield made


def _join(cluster: RedisCluster) -> None:
    """What `redis-cli --cluster create` does."""
    clients = [redis.Redis(port=server.port) for server in (*cluster.servers, *cluster.replicas)]
    primaries, share = len(cluster.servers), SLOTS // len(cluster.servers)
    for n, client in enumerate(clients[:primaries]):
        last = SLOTS - 1 if n == primaries - 1 else (n + 1) * share - 1
        _run(client, "CLUSTER ADDSLOTSRANGE", n * share, last)
    for server in (*cluster.servers[1:], *cluster.replicas):
        bus = int(server.setting("cluster-port"))
        _run(clients[0], "CLUSTER MEET", "127.0.0.1", server.port, bus)
    eventually(lambda: all(_known(client) == len(clients) for client in clients), "the nodes to know each other")
    for n, client in enumerate(clients[primaries:]):
        _run(client, "CLUSTER REPLICATE", _run(clients[n], "CLUSTER MYID"))
    eventually(lambda: all(_state(client) == "ok" for client in clients), "the cluster to be complete")
    eventually(lambda: all(_follows(client) for client in clients[primaries:]), "the replicas to follow")
    for client in clients:
        client.close()


def _run(client: redis.Redis, *command: object) -> Any:
    return client.execute_command(*command)  # type: ignore[no-untyped-call]


def _known(client: redis.Redis) -> int:
    return int(_run(client, "CLUSTER INFO")["cluster_known_nodes"])


def _state(client: redis.Redis) -> str:
    return str(_run(client, "CLUSTER INFO")["cluster_state"])


def _follows(client: redis.Redis) -> bool:
    return client.info("replication").get("master_link_status") == "up"


@dataclass
class Watched:
    """A primary, a replica, and Sentinels at `url`."""

    primary: RedisServer
    replica: RedisServer
    url: str

    def fail_over(self) -> None:
        """Kill the primary, and wait until the replica is the primary."""
        self.primary.kill()
        with redis.Redis(port=self.replica.port) as client:
            eventually(lambda: client.info("replication")["role"] == "master", "the replica to be the primary")


@contextmanager
def watched(directory: Path) -> Iterator[Watched]:
    """Running servers; a primary that is gone for half a second is replaced."""
    with ExitStack() as stack:
        primary = stack.enter_context(RedisServer(directory / "primary"))
        replica = stack.enter_context(RedisServer(directory / "replica", replicaof=f"127.0.0.1 {primary.port}"))
        with redis.Redis(port=replica.port) as client:
            eventually(lambda: _follows(client), "the replica to follow")
        ports = [free_port() for _ in range(3)]
        for port in ports:
            child = _sentinel(directory / f"sentinel-{port}", port, primary.port)
            stack.callback(child.kill)
        for port in ports:
            eventually(lambda port=port: _sees_all(port), f"the Sentinel at {port} to know all others")  # type: ignore[misc]
        yield Watched(primary, replica, "redis://" + ",".join(f"127.0.0.1:{port}" for port in ports))


def _sentinel(directory: Path, port: int, primary: int) -> Child:
    directory.mkdir()
    lines = [
        f"port {port}",
        "bind 127.0.0.1",
        f"dir {directory}",
        f"sentinel monitor {NAME} 127.0.0.1 {primary} 2",
        f"sentinel down-after-milliseconds {NAME} 500",
        f"sentinel failover-timeout {NAME} 2000",
    ]
    file = directory / "sentinel.conf"
    file.write_text("\n".join(lines) + "\n")
    return Child([binary(), str(file), "--sentinel"], cwd=directory, log=directory / "sentinel.log")


def _sees_all(port: int) -> bool:
    try:
        with redis.Redis(port=port) as client:
            state = _run(client, "SENTINEL MASTER", NAME)
            return int(state["num-other-sentinels"]) == 2 and int(state["num-slaves"]) == 1
    except redis.RedisError:
        return False
