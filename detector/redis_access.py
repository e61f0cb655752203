"""How Redis is reached: one server, the primary that Sentinels name, or a cluster. Whoever uses it sees no difference.

All clients connect when they are first used, and again after a lost connection; they give up after a few seconds, since
whoever asks has something better to do than to wait. What they read is not decoded.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from threading import Lock
from types import TracebackType
from typing import Any, Final, Self, cast
from urllib.parse import SplitResult, urlsplit

import redis
from redis.backoff import ExponentialBackoff, NoBackoff
from redis.cluster import ClusterNode, RedisCluster
from redis.commands.core import Script
from redis.exceptions import ClusterError, RedisClusterException
from redis.retry import Retry
from redis.sentinel import Sentinel

from detector.config.schema import Redis, Secret

CONNECTS, ANSWERS = 5.0, 10.0  # seconds
PORT, SENTINELS_PORT = 6379, 26379


def connect(config: Redis, within: float | None = None) -> redis.Redis:
    """A client for what the configuration names. Who is in a hurry has an answer, or none, `within` so many seconds."""
    options: dict[str, Any] = {
        "username": config.username,
        "password": _word(config.password),
        "socket_timeout": ANSWERS if within is None else within / 2,
        "socket_connect_timeout": CONNECTS if within is None else within / 2,
        "health_check_interval": 30,
    }
    if within is not None:
        options["retry"] = Retry(NoBackoff(), 1)  # once more, since a connection that was idle may be dead
    tls = _tls(config)
    if config.cluster:
        nodes = [ClusterNode(*node) for node in nodes_of(config.url, PORT)]  # type: ignore[no-untyped-call]
        return cast(redis.Redis, Cluster({**options, **tls, "startup_nodes": nodes}))
    if config.sentinel is not None:
        return _primary(config, config.sentinel, {**options, **tls})
    tls.pop("ssl", None)  # what rediss:// says already
    return redis.Redis.from_url(config.url, **options, **tls)


def infos(client: redis.Redis, section: str | None = None) -> list[Mapping[str, Any]]:
    """What each server that states are written to says of itself: one, or the primaries of a cluster."""
    asked = [] if section is None else [section]
    if isinstance(client, Cluster):
        return list(client.info(*asked, target_nodes=RedisCluster.PRIMARIES).values())
    return [client.info(*asked)]


def nodes_of(url: str, port: int) -> list[tuple[str, int]]:
    """The hosts and ports in an address that may name several. Raises `ValueError`."""
    nodes = [urlsplit(f"//{one}") for one in urlsplit(url).netloc.split(",")]
    return [(_host(node), node.port or port) for node in nodes]


def _host(node: SplitResult) -> str:
    if not node.hostname:
        raise ValueError("names no host")
    return node.hostname


def _word(secret: Secret | None) -> str | None:
    return secret.reveal() if secret else None


def _tls(config: Redis) -> dict[str, Any]:
    if not config.url.startswith("rediss://"):
        return {}
    named = {
        "ssl_ca_certs": config.ca_location,
        "ssl_certfile": config.certificate_location,
        "ssl_keyfile": config.key_location,
        "ssl_password": _word(config.key_password),
    }
    return {"ssl": True, **{name: value for name, value in named.items() if value is not None}}


def _primary(config: Redis, name: str, options: dict[str, Any]) -> redis.Redis:
    """Asks the Sentinels at each new connection who the primary is. One that does not answer is passed over at once."""
    login = {"username": config.sentinel_username, "password": _word(config.sentinel_password)}
    asks = {**options, **login, "socket_timeout": CONNECTS, "retry": Retry(NoBackoff(), 0)}
    sentinel = Sentinel(nodes_of(config.url, SENTINELS_PORT), sentinel_kwargs=asks, **options)  # type: ignore[no-untyped-call]
    database = urlsplit(config.url).path.strip("/") or "0"
    return cast(redis.Redis, sentinel.master_for(name, db=int(database)))  # type: ignore[no-untyped-call]


class Cluster:
    """A client of a Redis Cluster that behaves as that of one server does.

    redis-py's own asks for the nodes as soon as it is made, and raises errors that are no `RedisError`.
    """

    # A slot that moves or has no primary is asked for again, but for no longer than a server that is away would be.
    _RETRY: Final = Retry(ExponentialBackoff(cap=0.5, base=0.05), 5)

    def __init__(self, options: Mapping[str, Any]) -> None:
        self._options, self._lock = options, Lock()
        self._made: RedisCluster | None = None

    def __getattr__(self, name: str) -> Any:
        return partial(self._call, name)

    def register_script(self, script: str) -> Script:
        """See `redis.Redis`; in bytes, since a text would be encoded by what the cluster says of itself."""
        return Script(cast(Any, self), script.encode())

    def scan_iter(self, *arguments: Any, **named: Any) -> Iterator[Any]:
        """See `redis.Redis`: the keys of all nodes."""
        with _as_one_server():
            yield from self._client().scan_iter(*arguments, **named)

    def pipeline(self, *arguments: Any, **named: Any) -> Any:
        """See `redis.Redis`."""
        pipe = self._call("pipeline", *arguments, **named)
        pipe.execute = _as_one_server()(pipe.execute)
        return pipe

    def close(self) -> None:
        """Nothing more will be asked; whoever asks all the same connects anew."""
        with self._lock:
            made, self._made = self._made, None
        if made is not None:
            made.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _call(self, name: str, *arguments: Any, **named: Any) -> Any:
        with _as_one_server():
            return getattr(self._client(), name)(*arguments, **named)

    def _client(self) -> RedisCluster:
        with self._lock:
            if self._made is None:
                self._made = RedisCluster(**{"retry": self._RETRY, **self._options})
            return self._made


@contextmanager
def _as_one_server() -> Iterator[None]:
    """What goes wrong between the nodes is a connection that fails."""
    try:
        yield
    except (RedisClusterException, ClusterError) as error:
        raise redis.ConnectionError(str(error)) from error
