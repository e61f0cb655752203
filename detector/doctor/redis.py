"""Redis: does it answer, does it keep what it is given, and what does the view of the breakers say?"""

import time
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import redis

from detector.config import Config
from detector.core.emissions import Heartbeat
from detector.core.text import duration
from detector.doctor.finding import Finding, clocks
from detector.redis_access import infos
from detector.settings import redis_client
from detector.view import HEARTBEAT, MAX_AGE, escaped, key_of

OLDEST = (6, 2)
NEARLY_FULL = 0.8


def examine(config: Config) -> Iterator[Finding]:
    """Look at Redis."""
    client = redis_client(config)
    try:
        for info in infos(client):
            yield from _server(config, info)
        seconds, micros = client.time()
        ahead = abs(seconds + micros / 1e6 - time.time())
        yield clocks("Redis and this machine", ahead, config.time.ahead)
        yield from _view(config, client)
    except redis.RedisError as error:
        yield Finding(
            "redis",
            "fail",
            f"{config.redis.url} does not answer: {error}",
            "Does it run, and are redis.url, redis.username and redis.password right?",
        )


def _server(config: Config, info: Mapping[str, Any]) -> Iterator[Finding]:
    name = "Valkey" if "valkey_version" in info else "Redis"
    version = str(info.get("valkey_version") or info.get("redis_version"))
    if tuple(int(part) for part in str(info.get("redis_version", "0.0")).split(".")[:2]) < OLDEST:
        yield Finding("redis", "fail", f"{name} {version} is too old", "Use Redis 6.2 or later, or Valkey.")
    else:
        yield Finding("redis", "ok", f"{name} {version} at {config.redis.url}")
    policy = info.get("maxmemory_policy", "noeviction")
    if policy == "noeviction":
        yield Finding("redis", "ok", "evicts nothing (maxmemory-policy noeviction)")
    else:
        advice = "CONFIG SET maxmemory-policy noeviction, and the same in redis.conf."
        yield Finding("redis", "fail", f"maxmemory-policy is {policy}: it silently drops states", advice)
    if info.get("role") not in (None, "master"):
        advice = "Name the primary in redis.url, or the Sentinels that know it (redis.sentinel)."
        yield Finding("redis", "fail", "is a replica, which cannot be written", advice)
    if info.get("cluster_enabled") and not config.redis.cluster:
        yield Finding("redis", "fail", "is a node of a cluster", "Set redis.cluster: true.")
    most, used = int(info.get("maxmemory", 0)), int(info.get("used_memory", 0))
    if most and used > NEARLY_FULL * most:
        yield Finding("redis", "warn", f"{used / most:.0%} of maxmemory is used", "Raise maxmemory before it is full.")


def _view(config: Config, client: redis.Redis) -> Iterator[Finding]:
    """What `detector check` would say of heartbeats."""
    pattern = escaped(key_of(config.redis.prefix, HEARTBEAT)) + "*"
    keys = list(client.scan_iter(match=pattern, count=1_000))
    values = client.mget(keys) if keys else []
    now = time.time()
    ages = [now - msgspec.json.decode(value, type=Heartbeat).clock for value in values if value is not None]
    stale = [age for age in ages if abs(age) > MAX_AGE]
    if not ages:
        yield Finding("view", "warn", "no heartbeat: `detector check` answers unknown", "Is a worker running?")
    elif stale:
        told = (
            f"{len(stale)} of {len(ages)} partitions have no fresh heartbeat, the oldest is {duration(max(stale))} old"
        )
        yield Finding("view", "warn", told, "Their breakers are unknown: is a worker running, and does time go on?")
    else:
        yield Finding("view", "ok", f"all {len(ages)} partitions have a fresh heartbeat")
