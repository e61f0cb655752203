"""Where the state of a breaker is read: the HTTP API, the view in Redis, or a copy of the topic of breakers in memory.

A source never raises: a service that is away is an answer, too (`unknown`), and the caller decides all the same. Each
answers from any thread. What it needs (a client of Kafka or Redis) is imported when there is something to ask.
"""

import time
from collections import deque
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote, urlencode, urlsplit

import msgspec

from detector.errors import ConfigError
from detector.view import HEARTBEAT, Answer, Asked, decide, judge, unknown

if TYPE_CHECKING:
    import redis

IDLE = 4  # connections that are kept for later


class Source(Protocol):
    """What is asked for breakers."""

    def read(self, entity: str, asked: Asked, max_age: float) -> Answer:
        """The answer for one entity. Never raises, and takes no longer than it was given."""

    def close(self) -> None:
        """Let go of what is open."""


class RedisSource:
    """The view in Redis: two GETs."""

    def __init__(self, client: "redis.Redis", prefix: str) -> None:
        """`client` is closed with this."""
        self._redis, self._prefix = client, prefix

    def read(self, entity: str, asked: Asked, max_age: float) -> Answer:
        """The answer for one entity."""
        from detector.view import read

        return read(self._redis, self._prefix, entity, time.time(), max_age, asked)

    def close(self) -> None:
        """Close all connections."""
        self._redis.close()


class KafkaSource:
    """A copy of the topic of breakers in memory. Who asks before it is whole waits for it, up to `timeout` seconds."""

    def __init__(self, settings: Mapping[str, Any], topic: str, timeout: float) -> None:
        """`settings` are librdkafka's, how to reach Kafka."""
        from detector.client.copy import Copy

        self._topic, self._timeout = topic, timeout
        self._copy = Copy(settings, [topic]).start()

    def read(self, entity: str, asked: Asked, max_age: float) -> Answer:
        """The answer for one entity, from memory. While Kafka is away, heartbeats get too old to be believed."""
        from detector.core.emissions import BreakerValue

        if not self._copy.caught_up.wait(self._timeout):
            why = self._copy.trouble or f"it is not read whole within {self._timeout:g} s"
            return unknown(entity, "unreachable", f"there is no copy of {self._topic} yet: {why}")
        values = self._copy.values(self._topic)

        def beat(partition: int) -> bytes | None:
            return values.get(f"{HEARTBEAT}{partition}")

        answer = judge(BreakerValue, entity, values.get(entity), beat, time.time(), max_age, asked)
        if answer.verdict == "unknown" and self._copy.trouble:
            return msgspec.structs.replace(answer, message=f"{answer.message}; {self._copy.trouble}")
        return answer

    def close(self) -> None:
        """Follow no longer."""
        self._copy.close()


class HttpSource:
    """The HTTP API, over connections that are kept open; `token` is what it may want to see of whoever asks."""

    def __init__(self, url: str, token: str | None, timeout: float) -> None:
        """`url` is where the API is, without `/v1`. Raises `ConfigError` if it is none."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname or parts.username is not None:
            raise ConfigError(
                "the URL of the API must be like https://detector.example.org:8080, without a login in it"
            )
        self._https, self._host, self._port = parts.scheme == "https", parts.hostname, parts.port
        self._where = f"{parts.scheme}://{parts.netloc}"
        self._path = f"{parts.path.rstrip('/')}/v1/breakers/"
        self._headers = {"Accept": "application/json"} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._timeout = timeout
        self._idle: deque[HTTPConnection] = deque()

    def read(self, entity: str, asked: Asked, max_age: float) -> Answer:
        """The answer for one entity, as the API has it."""
        try:
            status, body = self._get(self._path + quote(entity, safe="") + _query(asked))
        except (OSError, HTTPException) as error:
            return unknown(
                entity, "unreachable", f"{self._where} does not answer: {str(error) or type(error).__name__}"
            )
        if status != 200:
            return unknown(entity, "unreachable", f"{self._where} refuses: {_refusal(status, body)}")
        try:
            answer = msgspec.json.decode(body, type=Answer)
        except msgspec.DecodeError as error:
            return unknown(entity, "unreadable", f"{self._where} answers what is not readable: {error}")
        return _believed(answer, asked, max_age)

    def close(self) -> None:
        """Close what is idle."""
        while self._idle:
            self._idle.pop().close()

    def _get(self, path: str) -> tuple[int, bytes]:
        """Ask over a connection that is open; if that was closed meanwhile, as servers do, over a new one."""
        while self._idle:
            try:
                return self._ask(self._idle.pop(), path)
            except TimeoutError:
                raise
            except (OSError, HTTPException, IndexError):
                continue
        return self._ask(self._connection(), path)

    def _ask(self, connection: HTTPConnection, path: str) -> tuple[int, bytes]:
        try:
            connection.request("GET", path, headers=self._headers)
            answer = connection.getresponse()
            body = answer.read()
        except BaseException:
            connection.close()
            raise
        if answer.will_close or len(self._idle) >= IDLE:
            connection.close()
        else:
            self._idle.append(connection)
        return answer.status, body

    def _connection(self) -> HTTPConnection:
        kind = HTTPSConnection if self._https else HTTPConnection
        return kind(self._host, self._port, timeout=self._timeout)


def _query(asked: Asked) -> str:
    named = [("probe", asked.probe)] if asked.probe else []
    named += [("partition", name) for name in asked.partitions] + [("column", name) for name in asked.columns]
    return f"?{urlencode(named)}" if named else ""


def _refusal(status: int, body: bytes) -> str:
    """What an API says that refuses, in the form of RFC 9457, and what to do about it."""
    try:
        said = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        said = {}
    told = str(said.get("detail") or said.get("title") or "")[:300]
    hint = "; is DETECTOR_TOKEN set and right?" if status in (401, 403) else ""
    return f"{status} {told}".rstrip() + hint


def _believed(answer: Answer, asked: Asked, max_age: float) -> Answer:
    """The same, if its heartbeat is as fresh as the caller wants it, who may be stricter than the server."""
    age = answer.heartbeat_age
    if answer.verdict == "unknown" or age is None or abs(age) <= max_age:
        return answer
    now = time.time()
    return decide(answer.entity, answer.breaker, now - age, now, max_age, asked)
