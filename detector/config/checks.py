"""What types cannot say: keys that belong together, names that must differ, settings that would break a promise."""

import re
from collections.abc import Iterator
from datetime import date
from typing import Final
from urllib.parse import unquote, urlsplit

import msgspec

from detector.config import alerts
from detector.config.cron import parse_cron
from detector.config.schema import (
    DAYS,
    BreakerRule,
    Calendar,
    Config,
    Deadline,
    Executor,
    Http,
    Kafka,
    Redis,
    Registry,
    Rule,
    Secret,
    Time,
    Topics,
    Worker,
)
from detector.config.zones import zone
from detector.errors import ConfigError

# What exactly-once and the order of the log rest on, and what has a key of its own. Each with what to say.
_REFUSED: Final = {
    "acks": "Detector writes with acks=all",
    "request.required.acks": "Detector writes with acks=all",
    "auto.offset.reset": "Detector says itself where reading begins",
    "bootstrap.servers": "use kafka.bootstrap_servers",
    "metadata.broker.list": "use kafka.bootstrap_servers",
    "enable.auto.commit": "positions are committed with what was made of the records",
    "enable.auto.offset.store": "positions are committed with what was made of the records",
    "enable.idempotence": "Detector writes idempotently",
    "group.id": "each stage has its own group",
    "isolation.level": "Detector reads only what is committed",
    "partitioner": "an entity must be on the partition that its key has",
    "partition.assignment.strategy": "the broker assigns (group.protocol=consumer)",
    "sasl.mechanism": "use kafka.sasl_mechanism",
    "sasl.mechanisms": "use kafka.sasl_mechanism",
    "sasl.password": "use kafka.sasl_password",
    "sasl.username": "use kafka.sasl_username",
    "security.protocol": "use kafka.security_protocol",
    "ssl.ca.location": "use kafka.ssl_ca_location",
    "ssl.certificate.location": "use kafka.ssl_certificate_location",
    "ssl.key.location": "use kafka.ssl_key_location",
    "ssl.key.password": "use kafka.ssl_key_password",
    "transaction.timeout.ms": "use worker.transaction_timeout",
    "transactional.id": "use worker.slot",
}
SHORTEST_TOKEN: Final = 16
TOKEN: Final = re.compile(r"[!-~]+")
_SECRET_OPTION: Final = re.compile(r"password|secret|\.pem$|jaas")


def check(config: Config) -> None:
    """Refuse what cannot work. Raises `ConfigError` that names the path."""
    for problem in _problems(config):
        raise ConfigError(problem)


def without_credentials(config: Config) -> Config:
    """Name and password out of the addresses into keys of their own, so that an address can be shown and logged.

    Raises `ConfigError` for an address that holds a password where it cannot be taken out.
    """
    replace = msgspec.structs.replace
    redis = replace(config.redis, **_apart(config.redis.url, config.redis, "redis"))
    registry = config.registry
    if registry.url is not None:
        registry = replace(registry, **_apart(registry.url, registry, "registry"))
    executor = config.executor
    if executor.url is not None:
        executor = replace(executor, **_apart(executor.url, executor, "executor"))
    return replace(config, redis=redis, registry=registry, executor=executor)


def _apart(url: str, table: Redis | Registry | Executor, path: str) -> dict[str, object]:
    if "," in url:
        if "@" in url or "password" in url:
            raise ConfigError(f"{path}.url: with more than one address, put the password into {path}.password")
        return {}
    try:
        parts = urlsplit(url)
        name, word, _ = parts.username, parts.password, parts.port
    except ValueError:
        # Without the error's text: what it takes for a port may be a password with a slash in it.
        raise ConfigError(f"{path}.url: is no address; a password goes into {path}.password") from None
    if "password" in parts.query:
        raise ConfigError(f"{path}.url: put the password into {path}.password, not behind a question mark")
    if "@" in parts.path + parts.query + parts.fragment:
        raise ConfigError(f"{path}.url: put the password into {path}.password: it has a character that ends an address")
    # Not put together of its parts again: that takes the two slashes out of unix:///path.
    changes: dict[str, object] = {"url": url.replace(parts.netloc, parts.netloc.rpartition("@")[2], 1)}
    if name and table.username is None:
        changes["username"] = unquote(name)
    if word and table.password is None:
        changes["password"] = Secret(unquote(word))
    return changes


def _problems(config: Config) -> Iterator[str]:
    yield from _kafka(config.kafka)
    yield from _topics(config.topics)
    yield from _addresses(config)
    yield from _worker(config.worker)
    yield from _time(config.time)
    yield from _calendar(config.detection.calendar, "detection.calendar")
    if config.breaker.wait > config.breaker.max_wait:
        yield "breaker.wait: must not be more than breaker.max_wait"
    for at, rule in enumerate(config.rules):
        yield from _rule(rule, f"rules[{at}]")
    yield from _waits(config)
    yield from _executor(config.executor)
    yield from alerts.problems(config)
    yield from _http(config.http)


def _kafka(kafka: Kafka) -> Iterator[str]:
    if kafka.security_protocol.startswith("SASL") and kafka.sasl_mechanism is None:
        yield f"kafka.sasl_mechanism: is needed with security_protocol {kafka.security_protocol}"
    if kafka.sasl_mechanism is not None and not kafka.security_protocol.startswith("SASL"):
        yield "kafka.sasl_mechanism: has no effect unless security_protocol is SASL_SSL or SASL_PLAINTEXT"
    if kafka.sasl_mechanism == "OAUTHBEARER":
        yield from _oauthbearer(kafka)
    elif kafka.sasl_mechanism is not None and not (kafka.sasl_username and kafka.sasl_password):
        yield f"kafka.sasl_username and kafka.sasl_password: are needed with sasl_mechanism {kafka.sasl_mechanism}"
    yield from _kafka_tls(kafka)
    for name, value in kafka.options.items():
        if name == "group.protocol" and value != "consumer":
            yield f"kafka.options.{name}: only consumer is supported (Kafka 4.0 or later), not {value}"
        if _SECRET_OPTION.search(name) and name not in _REFUSED:
            yield f"kafka.options.{name}: put it into kafka.secret_options, whose values are never shown"
    for table, names in (("options", kafka.options), ("secret_options", kafka.secret_options)):
        for name in names:
            if name in _REFUSED:
                yield f"kafka.{table}.{name}: cannot be set: {_REFUSED[name]}"


def _kafka_tls(kafka: Kafka) -> Iterator[str]:
    if (kafka.ssl_certificate_location is None) != (kafka.ssl_key_location is None):
        yield "kafka.ssl_certificate_location and kafka.ssl_key_location: one is of no use without the other"
    if kafka.ssl_ca_location is not None and not kafka.security_protocol.endswith("SSL"):
        yield "kafka.ssl_ca_location: has no effect unless security_protocol is SSL or SASL_SSL"


def _oauthbearer(kafka: Kafka) -> Iterator[str]:
    """The client fetches tokens by itself only when told where; else it waits for ever for somebody to bring one."""
    named = {*kafka.options, *kafka.secret_options}
    if "enable.sasl.oauthbearer.unsecure.jwt" in named:
        return
    if kafka.options.get("sasl.oauthbearer.method") != "oidc":
        yield "kafka.options: needs sasl.oauthbearer.method: oidc with sasl_mechanism OAUTHBEARER"
    for name in ("sasl.oauthbearer.client.id", "sasl.oauthbearer.token.endpoint.url"):
        if name not in named:
            yield f"kafka.options: needs {name} with sasl_mechanism OAUTHBEARER"


def _topics(topics: Topics) -> Iterator[str]:
    if not topics.inputs:
        yield "topics.inputs: name at least one topic"
    seen: dict[str, str] = {}
    names = ("log", "control", "breakers", "incidents", "alerts", "runs", "commands", "snapshots", "dead_letters")
    ours = {key: getattr(topics, key) for key in names}
    for key, name in [*ours.items(), *((f"inputs[{at}]", name) for at, name in enumerate(topics.inputs))]:
        if name in seen:
            yield f"topics.{key}: {name} is topics.{seen[name]} already"
        seen[name] = key


def _addresses(config: Config) -> Iterator[str]:
    registry = config.registry.url
    yield from _redis(config.redis)
    # The client itself knows mock://, a registry in memory.
    if registry is not None and not registry.startswith(("http://", "https://", "mock://")):
        yield "registry.url: must begin with http:// or https://"


def _redis(redis: Redis) -> Iterator[str]:
    url = urlsplit(redis.url)
    several = redis.cluster or redis.sentinel is not None
    if url.scheme not in ("redis", "rediss", "unix"):
        yield "redis.url: must begin with redis://, rediss:// or unix://"
    elif url.scheme == "unix":
        if not url.path:
            yield "redis.url: names no socket"
        if several:
            yield "redis.url: nodes of a cluster and Sentinels are reached by redis:// or rediss://"
    else:
        yield from _hosts(url.netloc, several)
    if several and url.query:
        yield "redis.url: nothing may stand behind a question mark with redis.cluster or redis.sentinel"
    if redis.cluster and redis.sentinel is not None:
        yield "redis.sentinel: a cluster has no Sentinels; only one of them can be"
    if redis.cluster and url.path.strip("/") not in ("", "0"):
        yield "redis.url: a cluster has only database 0"
    if redis.sentinel is not None and not (url.path.strip("/") or "0").isdigit():
        yield "redis.url: ends with the number of the database; the name of the primary goes into redis.sentinel"
    if redis.sentinel is None and (redis.sentinel_username or redis.sentinel_password):
        yield "redis.sentinel_username and redis.sentinel_password: have no effect without redis.sentinel"
    yield from _redis_tls(redis)


def _hosts(netloc: str, several: bool) -> Iterator[str]:
    nodes = netloc.split(",")
    if len(nodes) > 1 and not several:
        yield "redis.url: names several servers: set redis.cluster: true, or redis.sentinel if they are Sentinels"
    for node in nodes:
        try:
            parts = urlsplit(f"//{node}")
            if not parts.hostname:
                yield "redis.url: names no host"
            _ = parts.port
        except ValueError:
            yield f"redis.url: {node} is no address"


def _redis_tls(redis: Redis) -> Iterator[str]:
    keys = ("ca_location", "certificate_location", "key_location", "key_password")
    for key in keys:
        if getattr(redis, key) is not None and not redis.url.startswith("rediss://"):
            yield f"redis.{key}: has no effect unless redis.url begins with rediss://"
    if (redis.certificate_location is None) != (redis.key_location is None):
        yield "redis.certificate_location and redis.key_location: one is of no use without the other"


def _worker(worker: Worker) -> Iterator[str]:
    if worker.commit_min > worker.commit_max:
        yield "worker.commit_min: must not be more than worker.commit_max"
    if worker.transaction_timeout < max(1.0, 5 * worker.commit_max):
        yield "worker.transaction_timeout: must be at least 1s and five times worker.commit_max"


def _time(time: Time) -> Iterator[str]:
    if time.gap < 3 * time.tick:
        yield "time.gap: must be at least three times time.tick, or every late tick is an outage"


def _rule(rule: Rule, path: str) -> Iterator[str]:
    if not rule.match.startswith(("job:", "dataset:", "*", "?", "[")):
        yield f"{path}.match: {rule.match} matches nothing; entities are job:<namespace>/<name> and dataset:..."
    if rule == Rule(match=rule.match) or rule == Rule(match=rule.match, breaker=BreakerRule()):
        yield f"{path}: changes nothing; give it a calendar, a deadline, checks, a breaker or another of its keys"
    if rule.checks and rule.match.startswith("job:"):
        yield f"{path}.checks: are of datasets, and match begins with job:"
    if rule.calendar is not None:
        yield from _calendar(rule.calendar, f"{path}.calendar")
    if rule.deadline is not None:
        yield from _deadline(rule.deadline, f"{path}.deadline")
    waits = rule.breaker
    if waits is not None and waits.wait is not None and waits.max_wait is not None and waits.wait > waits.max_wait:
        yield f"{path}.breaker.wait: must not be more than max_wait"


def _deadline(deadline: Deadline, path: str) -> Iterator[str]:
    yield from _zone(deadline.timezone, f"{path}.timezone")
    if deadline.cron is None:
        if deadline.at is None:
            yield f"{path}.at: is missing, and so is cron"
        return
    if deadline.at is not None or deadline.days != DAYS:
        yield f"{path}.cron: stands in the place of at and days; give one of them"
    try:
        parse_cron(deadline.cron)
    except ValueError as error:
        yield f"{path}.cron: {error}"


def _waits(config: Config) -> Iterator[str]:
    """A rule may give one of the two and another rule the other: refused is what no rule can make right."""
    rules = [(f"rules[{at}].breaker", rule.breaker) for at, rule in enumerate(config.rules) if rule.breaker]
    longest = max([config.breaker.max_wait, *(rule.max_wait for _, rule in rules if rule.max_wait)])
    shortest = min([config.breaker.wait, *(rule.wait for _, rule in rules if rule.wait)])
    for path, rule in rules:
        if rule.wait is not None and rule.wait > longest:
            yield f"{path}.wait: must not be more than breaker.max_wait"
        if rule.max_wait is not None and rule.max_wait < shortest:
            yield f"{path}.max_wait: must not be less than breaker.wait"


def _executor(executor: Executor) -> Iterator[str]:
    if executor.kind == "none":
        return
    if executor.url is None:
        yield f"executor.url: is needed with kind {executor.kind}"
    elif not executor.url.startswith(("http://", "https://")):
        yield "executor.url: must begin with http:// or https://"
    elif not urlsplit(executor.url).hostname:
        yield "executor.url: names no host"
    if not executor.namespaces:
        yield f"executor.namespaces: name the namespaces of the jobs that {executor.kind} has"
    named = executor.username is not None or executor.password is not None
    if executor.token is not None and named:
        yield "executor.token: is given, and a username or a password, too; only one of them can be"
    elif executor.token is None and not (executor.username and executor.password):
        yield f"executor: needs username and password, or a token, with kind {executor.kind}"


def _http(http: Http) -> Iterator[str]:
    seen: dict[str, int] = {}
    for at, token in enumerate(http.tokens):
        path = f"http.tokens[{at}]"
        if token.token is None:
            yield f"{path}.token: is missing; give it, or better a token_file"
        elif len(token.token.reveal()) < SHORTEST_TOKEN:
            yield f"{path}.token: must have at least {SHORTEST_TOKEN} characters (`openssl rand -hex 32` makes one)"
        elif not TOKEN.fullmatch(token.token.reveal()):
            yield f"{path}.token: must be of letters, digits and signs of ASCII, without blanks"
        if token.name in seen:
            yield f"{path}.name: {token.name} is http.tokens[{seen[token.name]}] already"
        seen[token.name] = at
    values = [token.token for token in http.tokens]
    for at, value in enumerate(values):
        if value in values[:at]:
            yield f"http.tokens[{at}].token: is that of http.tokens[{values.index(value)}], too"


def _calendar(calendar: Calendar, path: str) -> Iterator[str]:
    """Countries are looked up where the holidays are made: most who read the configuration need none."""
    yield from _zone(calendar.timezone, f"{path}.timezone")
    if calendar.subdivision is not None and calendar.country is None:
        yield f"{path}.subdivision: is needed only with a country"
    for at, text in enumerate(calendar.dates):
        try:
            date.fromisoformat(text if len(text) == len("2024-12-24") else f"2024-{text}")
        except ValueError:
            yield f"{path}.dates[{at}]: there is no {text}"


def _zone(name: str, path: str) -> Iterator[str]:
    try:
        zone(name)
    except ValueError as error:
        yield f"{path}: {error}"
