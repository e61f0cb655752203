"""From the configuration, as people write it, to what the rest of the program reads: rules, and settings of clients.

What the core decides by is imported late: a pipeline that only asks for a breaker needs an address, and not the models.
"""

from collections.abc import Callable, Mapping
from datetime import time
from fnmatch import fnmatchcase
from functools import cache, partial
from hashlib import blake2b
from importlib import resources
from typing import TYPE_CHECKING, Any

from detector import __version__
from detector.config import (
    BreakerRule,
    Check,
    Config,
    Deadline,
    Rule,
    Secret,
    Zones,
    declared,
    fingerprint,
    parse_cron,
    plugin,
    zone,
)
from detector.config.schema import DAYS
from detector.errors import ConfigError

if TYPE_CHECKING:
    import redis

    from detector.alerting import Receiver
    from detector.codecs import SchemaRegistry
    from detector.config import AlertSink
    from detector.core.declared import Check as LoadCheck
    from detector.core.rules import Promise, Rules, Settings
    from detector.executors import Executor
    from detector.sinks import Sink

SEVERITIES = ("info", "warning", "critical")  # as the core numbers them


# ---------------------------------------------------------------- the core


def rules_of(config: Config) -> "Rules":
    """What the core decides by. Raises `ConfigError` for a model, a policy or a country that does not exist, and for
    values that a model or a policy refuses.

    The fingerprint stands for all of it, code included: two workers that differ in it may decide differently.
    """
    from detector.core.rules import Rules

    return Rules(
        default=_default(config),
        overrides=tuple((rule.match, _override(rule, f"rules[{at}]")) for at, rule in enumerate(config.rules)),
        fingerprint=f"{fingerprint(config)}-{code_fingerprint()}",
        ahead=config.time.ahead,
        gap=config.time.gap,
        grace=config.time.grace,
        heartbeat=config.time.heartbeat,
        expire_after=config.state.expire_after,
        forget_lineage=config.state.forget_lineage_after,
        incident_wait=config.incidents.wait,
        zones=Zones(),
    )


def _default(config: Config) -> "Settings":
    from detector.calendars import calendar_of
    from detector.core.models import MODELS, Model
    from detector.core.policies import POLICIES
    from detector.core.rules import Hanging, Settings
    from detector.core.schedule import Lateness

    detection, breaker = config.detection, config.breaker
    late, hanging = detection.late, detection.hanging
    plugin(MODELS, detection.model, "detection.model")  # refuse it here and now, and not at the first event
    model: Callable[..., Model] = MODELS[detection.model.kind]
    return Settings(
        model=partial(model, **detection.model.parameters),
        budget=detection.budget,
        metrics=None if detection.metrics is None else frozenset(detection.metrics),
        together=detection.together,
        calendar=calendar_of(detection.calendar, "detection.calendar"),
        late=Lateness(late.min_runs, late.floor, late.share) if late.enabled else None,
        hanging=Hanging(hanging.min_runs, hanging.factor, hanging.floor) if hanging.enabled else None,
        mode=breaker.mode,
        policy=plugin(POLICIES, breaker.policy, "breaker.policy"),
        wait=breaker.wait,
        max_wait=breaker.max_wait,
        on_unknown=breaker.on_unknown,
    )


def _override(rule: Rule, path: str) -> dict[str, object]:
    """The settings that a rule changes, by their names in the core."""
    from detector.calendars import calendar_of

    changed: dict[str, object] = {}
    if rule.calendar is not None:
        changed["calendar"] = calendar_of(rule.calendar, f"{path}.calendar")
    if rule.deadline is not None:
        changed["deadline"] = _deadline(rule.deadline)
    if rule.max_duration is not None:
        changed["max_duration"] = rule.max_duration
    if rule.budget is not None:
        changed["budget"] = rule.budget
    if rule.together is not None:
        changed["together"] = rule.together
    if rule.checks:
        changed["checks"] = _checks(rule.checks, f"{path}.checks")
    if rule.severity is not None:
        changed["worst"] = SEVERITIES.index(rule.severity)
    if rule.owner is not None:
        changed["owner"] = rule.owner
    if rule.tags:
        changed["tags"] = rule.tags
    return changed | _breaker(rule.breaker or BreakerRule(), path)


def owner_of(rules: tuple[Rule, ...], entity: str) -> str | None:
    """Who is to be told of an entity: the first rule that matches and names somebody."""
    return next((rule.owner for rule in rules if rule.owner is not None and fnmatchcase(entity, rule.match)), None)


def _checks(chosen: tuple[Check, ...], path: str) -> "tuple[LoadCheck, ...]":
    from detector.core.declared import KINDS

    made: dict[str, LoadCheck] = {}
    for at, one in enumerate(chosen):
        check = declared(KINDS, one, f"{path}[{at}]")
        if check.called in made:
            other = list(made).index(check.called)
            raise ConfigError(f"{path}[{at}]: is called {check.called}, as {path}[{other}] is; give it a name")
        made[check.called] = check
    return tuple(made.values())


def _deadline(promised: Deadline) -> "Promise":
    from detector.core import schedule
    from detector.core.cron import Cron

    if promised.cron is not None:
        return Cron(*parse_cron(promised.cron), zone(promised.timezone), promised.holidays)
    days = frozenset(DAYS.index(day) for day in promised.days)
    clock = time.fromisoformat(promised.at or "")
    return schedule.Deadline(clock, zone(promised.timezone), days, promised.holidays)


def _breaker(rule: BreakerRule, path: str) -> dict[str, object]:
    from detector.core.policies import POLICIES

    names = ("mode", "wait", "max_wait", "on_unknown")
    changed = {name: getattr(rule, name) for name in names if getattr(rule, name) is not None}
    if rule.policy is not None:
        changed["policy"] = plugin(POLICIES, rule.policy, f"{path}.breaker.policy")
    return changed


@cache
def code_fingerprint() -> str:
    """Stands for the code that decides: the release, the source of `core` as it is installed, and the tables of zones
    and holidays; 8 hex digits.
    """
    from detector.calendars import releases

    found = blake2b(f"{__version__}\0{releases()}\0".encode(), digest_size=4)
    for name, source in sorted(_sources(resources.files("detector") / "core", "core")):
        found.update(name.encode() + b"\0" + source + b"\0")
    return found.hexdigest()


def _sources(folder: Any, path: str) -> list[tuple[str, bytes]]:
    """The names and the text of all Python files below a folder of the package."""
    found: list[tuple[str, bytes]] = []
    for entry in folder.iterdir():
        if entry.is_dir():
            found += _sources(entry, f"{path}/{entry.name}")
        elif entry.name.endswith(".py"):
            found.append((f"{path}/{entry.name}", entry.read_bytes()))
    return found


# ---------------------------------------------------------------- the clients


def kafka_settings(config: Config) -> dict[str, str | int | float | bool]:
    """How librdkafka reaches the cluster: for every client alike."""
    kafka = config.kafka
    named: Mapping[str, str | None] = {
        "bootstrap.servers": kafka.bootstrap_servers,
        "security.protocol": kafka.security_protocol.lower(),
        "sasl.mechanism": kafka.sasl_mechanism,
        "sasl.username": kafka.sasl_username,
        "sasl.password": kafka.sasl_password.reveal() if kafka.sasl_password else None,
        "ssl.ca.location": kafka.ssl_ca_location,
        "ssl.certificate.location": kafka.ssl_certificate_location,
        "ssl.key.location": kafka.ssl_key_location,
        "ssl.key.password": kafka.ssl_key_password.reveal() if kafka.ssl_key_password else None,
    }
    return {
        "client.id": "detector",
        **{name: value for name, value in named.items() if value is not None},
        **kafka.options,
        **{name: secret.reveal() for name, secret in kafka.secret_options.items()},
    }


def redis_client(config: Config, within: float | None = None) -> "redis.Redis":
    """A client of Redis, whether it is one server, watched by Sentinels, or a cluster.

    Who is in a hurry has an answer, or none, `within` so many seconds.
    """
    from detector.redis_access import connect

    return connect(config.redis, within)


def registry_of(config: Config) -> "SchemaRegistry | None":
    """The Schema Registry, if there is one; `close` it. Raises `ConfigError` for settings that its client refuses."""
    from detector.codecs import SchemaRegistry

    registry = config.registry
    if registry.url is None:
        return None
    settings = {}
    if registry.username is not None:
        word = registry.password.reveal() if registry.password else ""
        settings["basic.auth.user.info"] = f"{registry.username}:{word}"
    if registry.ca_location is not None:
        settings["ssl.ca.location"] = registry.ca_location
    return SchemaRegistry(registry.url, settings)


def executor_of(config: Config) -> "Executor":
    """Who redoes runs; `close` it. Raises `ConfigError` where nobody does."""
    from detector.executors import EXECUTORS, Access

    executor = config.executor
    if executor.kind not in EXECUTORS:
        raise ConfigError(
            f"executor.kind: is {executor.kind}, so there is nobody to ask; known: {', '.join(EXECUTORS)}"
        )
    access = Access(
        url=executor.url or "",
        username=executor.username or "",
        password=executor.password.reveal() if executor.password else "",
        token=executor.token.reveal() if executor.token else "",
        ca_location=executor.ca_location,
        timeout=executor.timeout,
    )
    return EXECUTORS[executor.kind](access)


def receivers_of(config: Config) -> "list[Receiver]":
    """Who is told of incidents; `close` their sinks. Raises `ConfigError` where there is nobody to tell."""
    from detector.alerting import Receiver
    from detector.alerts import Links, Match

    if not config.alerts:
        raise ConfigError("alerts: names nobody to tell; docs/alerts.md has examples")
    return [
        Receiver(
            name=wanted.name or wanted.kind,
            sink=_sink(wanted),
            match=Match(wanted.match.severity, wanted.match.entities, wanted.match.owner, wanted.match.tags),
            links=Links(config.http.status_url, wanted.runbook_url),
        )
        for wanted in config.alerts
    ]


def _sink(wanted: "AlertSink") -> "Sink":
    from detector.sinks import Access, Alertmanager, PagerDuty, Webhook

    access = Access(
        username=wanted.username or "",
        password=_word(wanted.password),
        token=_word(wanted.token),
        ca_location=wanted.ca_location,
        timeout=wanted.timeout,
    )
    if wanted.kind == "alertmanager":
        return Alertmanager(wanted.urls, access, wanted.labels, wanted.resend)
    if wanted.kind == "pagerduty":
        return PagerDuty(_word(wanted.routing_key), access, _word(wanted.url) or None)
    return Webhook(_word(wanted.url), _word(wanted.secret), access, mode=wanted.mode)


def _word(secret: Secret | None) -> str:
    return "" if secret is None else secret.reveal()
