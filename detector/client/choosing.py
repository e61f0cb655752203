"""Which source is asked: what the caller says, else the environment, else the file that everything else reads, too."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import msgspec

from detector.client.sources import HttpSource, KafkaSource, RedisSource, Source
from detector.errors import ConfigError

if TYPE_CHECKING:
    from detector.config import Config

Kind = Literal["http", "redis", "kafka"]
KINDS: tuple[Kind, ...] = ("http", "redis", "kafka")
PLACES = (Path("detector.yaml"), Path("/etc/detector/detector.yaml"))
TIMEOUT = 2.0


class Where(msgspec.Struct, frozen=True, kw_only=True):
    """What the caller says of where breakers are read; what is None is looked for.

    `url` and `token` are of the HTTP API, `redis` is a URL, `kafka` are addresses of brokers, `config` is a
    detector.yaml.
    """

    source: Kind | None = None
    url: str | None = None
    token: str | None = None
    redis: str | None = None
    kafka: str | None = None
    config: Path | None = None

    def __repr__(self) -> str:
        """Without the token."""
        return f"Where(source={self.source!r})"


def configuration(where: Where, env: Mapping[str, str]) -> "Config":
    """The configuration, with what the caller says in it. Raises `ConfigError`."""
    from detector.config import load_file

    said = {"DETECTOR_REDIS__URL": where.redis, "DETECTOR_KAFKA__BOOTSTRAP_SERVERS": where.kafka}
    return load_file(file_of(where, env), {**env, **{name: value for name, value in said.items() if value}})


def file_of(where: Where, env: Mapping[str, str]) -> Path | None:
    """The file that is read, if there is one."""
    named = where.config or (Path(env["DETECTOR_CONFIG"]) if env.get("DETECTOR_CONFIG") else None)
    return named or next((place for place in PLACES if place.exists()), None)


def kind_of(where: Where, env: Mapping[str, str]) -> Kind:
    """Which kind of source is meant: the first that anybody names; Redis, if nobody does. Raises `ConfigError`."""
    said = where.source or env.get("DETECTOR_SOURCE")
    if said:
        if said not in KINDS:
            raise ConfigError(f"DETECTOR_SOURCE: {said!r} is no source; known: {', '.join(KINDS)}")
        return said
    named: dict[Kind, str | None] = {"http": where.url, "redis": where.redis, "kafka": where.kafka}
    for kind, given in named.items():
        if given:
            return kind
    if env.get("DETECTOR_URL"):
        return "http"
    tables = _tables(where, env)
    return "kafka" if "kafka" in tables and "redis" not in tables else "redis"


def _tables(where: Where, env: Mapping[str, str]) -> set[str]:
    """Of which services the environment or the file says something."""
    from detector.config import parse

    given = {name.removeprefix("DETECTOR_").partition("__")[0].lower() for name in env if "__" in name}
    named = given & {"redis", "kafka"}
    file = file_of(where, env)
    if file is None or not file.exists():
        return named
    return named | parse(file.read_text(encoding="utf-8")).keys()


def source_of(where: Where, timeout: float = TIMEOUT) -> Source:
    """The source that is meant; close it. Raises `ConfigError`."""
    env = os.environ
    kind = kind_of(where, env)
    if kind == "http":
        return http_source(where, env, timeout)
    from detector.settings import kafka_settings, redis_client

    config = configuration(where, env)
    if kind == "redis":
        return RedisSource(redis_client(config, timeout), config.redis.prefix)
    return KafkaSource(kafka_settings(config), config.topics.breakers, timeout)


def http_source(where: Where, env: Mapping[str, str], timeout: float) -> HttpSource:
    """The HTTP API. Raises `ConfigError` where nobody says where it is."""
    url = where.url or env.get("DETECTOR_URL")
    if not url:
        raise ConfigError("DETECTOR_URL: is not set; it says where the API is, like http://detector.example.org:8080")
    return HttpSource(url, where.token or _token(env), timeout)


def _token(env: Mapping[str, str]) -> str | None:
    file = env.get("DETECTOR_TOKEN_FILE")
    if not file:
        return env.get("DETECTOR_TOKEN") or None
    try:
        return Path(file).read_text(encoding="utf-8").strip() or None
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "is not UTF-8"
        raise ConfigError(f"DETECTOR_TOKEN_FILE: {file} cannot be read ({reason})") from None
