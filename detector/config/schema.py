"""The keys of the configuration: their types, their defaults, and a sentence on each.

The sentences are the comments of `config/detector.yaml`, the descriptions of the JSON Schema and the tables of
`docs/configuration.md`, so they are written once, here. Durations are float seconds and sizes are bytes in the
program; people write `5s` and `16MiB`.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

DURATION = r"^(\d+(\.\d+)?(ms|s|m|h|d|w))+$"
SIZE = r"^\d+(\.\d+)?(B|[kKMGT]i?B)$"

Seconds = Annotated[float, Meta(ge=0, extra={"unit": "seconds"}, extra_json_schema={"pattern": DURATION})]
SomeSeconds = Annotated[float, Meta(gt=0, extra={"unit": "seconds"}, extra_json_schema={"pattern": DURATION})]
Bytes = Annotated[int, Meta(gt=0, extra={"unit": "bytes"}, extra_json_schema={"pattern": SIZE})]
Positive = Annotated[int, Meta(ge=1)]
Budget = Annotated[float, Meta(gt=0, le=10_000)]
TopicName = Annotated[str, Meta(min_length=1, max_length=249, pattern=r"^[A-Za-z0-9._-]+$")]
Parameter = bool | int | float | str | None
Date = Annotated[str, Meta(pattern=r"^(\d{4}-)?\d{2}-\d{2}$")]
Day = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
DAYS: tuple[Day, ...] = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Mode = Literal["enforce", "shadow", "off"]
OnUnknown = Literal["allow", "block"]
Severity = Literal["info", "warning", "critical"]


class Secret:
    """A text that nobody sees by accident: `str` and `repr` are `***`. `reveal` gives it to who must have it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        """`value` is kept as it is."""
        self._value = value

    def reveal(self) -> str:
        """The secret itself: for a client's settings, never for a log line."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


def about(description: str, example: object = None) -> Meta:
    """The sentence on a key, and what it looks like where its default does not show that."""
    return Meta(description=description, examples=None if example is None else [example])


class Table(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file."""


class Plugin(msgspec.Struct, frozen=True, kw_only=True):
    """Something of which there are kinds. Keys beside `kind` are the parameters of the kind, checked by its class."""

    kind: str
    parameters: dict[str, Parameter] = {}


class Model(Plugin, frozen=True, kw_only=True):
    """What learns the normal values of one metric. Keys beside `kind` are the model's own parameters."""

    kind: Annotated[str, about("The name of a model.")] = "baseline"


class Policy(Plugin, frozen=True, kw_only=True):
    """When a breaker opens. Keys beside `kind` are the policy's own parameters."""

    kind: Annotated[str, about("The name of a policy.")] = "window"


class Kafka(Table, frozen=True, kw_only=True):
    """The cluster that everything is read from and written to. One only: a transaction does not span two."""

    bootstrap_servers: Annotated[
        Annotated[str, Meta(min_length=1)], about("host:port of one or more brokers, with commas between.")
    ] = "127.0.0.1:9092"
    security_protocol: Annotated[
        Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"], about("How brokers are spoken to.")
    ] = "PLAINTEXT"
    sasl_mechanism: Annotated[
        Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] | None,
        about(
            "How to log in, where security_protocol is one of SASL's. OAUTHBEARER is set up in options and"
            " secret_options (sasl.oauthbearer.*).",
            "SCRAM-SHA-512",
        ),
    ] = None
    sasl_username: Annotated[str | None, about("Who logs in.", "detector")] = None
    sasl_password: Annotated[Secret | None, about("The password. Better by file: sasl_password_file.")] = None
    ssl_ca_location: Annotated[
        str | None, about("File with the authorities that signed the brokers' certificates; null: the system's.")
    ] = None
    ssl_certificate_location: Annotated[str | None, about("File with the client's own certificate (mutual TLS).")] = (
        None
    )
    ssl_key_location: Annotated[str | None, about("File with the key of that certificate.")] = None
    ssl_key_password: Annotated[
        Secret | None, about("What that key is encrypted with. Better by file: ssl_key_password_file.")
    ] = None
    options: Annotated[
        dict[str, str | int | float | bool],
        about("More settings of librdkafka for all clients. Those that exactly-once rests on are refused."),
    ] = {}
    secret_options: Annotated[
        dict[str, Secret],
        about("Settings of librdkafka that nobody may see, as client secrets; each also by file: <name>_file."),
    ] = {}


class Topics(Table, frozen=True, kw_only=True):
    """The topics. The names of the log and of what is made of it belong to one installation."""

    inputs: Annotated[
        tuple[TopicName, ...], about("What is watched: OpenLineage as JSON, run events and profiles as Avro or JSON.")
    ] = ("openlineage.events", "pipeline.run-events", "pipeline.profiles")
    log: Annotated[TopicName, about("The log: observations in one order for each entity.")] = "detector.observations"
    control: Annotated[TopicName, about("Anomalies and breaker changes, for pipelines and people.")] = (
        "detector.control"
    )
    breakers: Annotated[TopicName, about("The whole value of every breaker, compacted.")] = "detector.breakers"
    incidents: Annotated[TopicName, about("The whole value of every incident of late, compacted.")] = (
        "detector.incidents"
    )
    alerts: Annotated[
        TopicName, about("What each receiver of alerts was told of the incidents that are open there, compacted.")
    ] = "detector.alerts"
    runs: Annotated[
        TopicName, about("How every run and every load was judged: its numbers, and what was expected.")
    ] = "detector.runs"
    commands: Annotated[
        TopicName, about("What people say: feedback, overrides, mutes. Who may write to it, may let bad data pass.")
    ] = "detector.commands"
    snapshots: Annotated[TopicName, about("States, compacted: what is left when Redis is lost.")] = "detector.snapshots"
    dead_letters: Annotated[TopicName, about("Records that cannot be used, with the reason in the headers.")] = (
        "detector.dead-letters"
    )
    partitions: Annotated[
        Positive,
        about("Partitions of the log when it is created: the most workers there can ever be. Never changed after."),
    ] = 12
    replication: Annotated[
        Positive | None, about("Replicas of a topic that is created; null: three, or one for each broker if fewer.")
    ] = None
    create: Annotated[bool, about("Whether topics that are missing are created. What is there is checked always.")] = (
        True
    )

    @property
    def outside(self) -> tuple[str, ...]:
        """All topics that ingest reads: what is watched, and what people say."""
        return (*self.inputs, self.commands)

    @property
    def ours(self) -> tuple[str, ...]:
        """All topics that only Detector writes to, the log first."""
        told = self.control, self.breakers, self.incidents, self.runs
        return (self.log, *told, self.snapshots, self.dead_letters)


class Registry(Table, frozen=True, kw_only=True):
    """The Schema Registry (Confluent's API). Needed only for Avro that comes with a schema id."""

    url: Annotated[str | None, about("Its address; null: there is none.", "http://127.0.0.1:8081")] = None
    username: Annotated[str | None, about("Who logs in.")] = None
    password: Annotated[Secret | None, about("The password. Better by file: password_file.")] = None
    ca_location: Annotated[str | None, about("File with the authorities that signed its certificate.")] = None


class Redis(Table, frozen=True, kw_only=True):
    """Where snapshots of states and the view of the breakers are kept. Its maxmemory-policy must be noeviction."""

    url: Annotated[
        str,
        about(
            "redis://, rediss:// (TLS) or unix://, with the number of the database. With cluster or sentinel: one or"
            " more of their nodes, redis://a:6379,b:6379."
        ),
    ] = "redis://127.0.0.1:6379/0"
    cluster: Annotated[bool, about("Whether url names nodes of a Redis Cluster: one that answers is enough.")] = False
    sentinel: Annotated[
        str | None, about("The name of the primary that the Sentinels at url watch; null: there are none.", "mymaster")
    ] = None
    username: Annotated[str | None, about("Who logs in, where Redis has users.")] = None
    password: Annotated[Secret | None, about("The password. Better by file: password_file.")] = None
    sentinel_username: Annotated[str | None, about("Who logs in to the Sentinels, where they have users.")] = None
    sentinel_password: Annotated[
        Secret | None, about("The Sentinels' own password. Better by file: sentinel_password_file.")
    ] = None
    ca_location: Annotated[
        str | None, about("File with the authorities that signed its certificate (rediss://); null: the system's.")
    ] = None
    certificate_location: Annotated[str | None, about("File with the client's own certificate (mutual TLS).")] = None
    key_location: Annotated[str | None, about("File with the key of that certificate.")] = None
    key_password: Annotated[
        Secret | None, about("What that key is encrypted with. Better by file: key_password_file.")
    ] = None
    prefix: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]+$")],
        about("What all keys begin with: installations that share a Redis differ in it."),
    ] = "detector"


class Worker(Table, frozen=True, kw_only=True):
    """How much is done at a time. Latency and the work of a restart are what these numbers buy."""

    slot: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]+$")] | None,
        about(
            "Names this process among its like: two with one slot fence each other. null: the number at the end of the"
            " host's name (StatefulSet), else a random one.",
            "0",
        ),
    ] = None
    commit_min: Annotated[SomeSeconds, about("Time between commits while there is little to do.")] = 0.02
    commit_max: Annotated[SomeSeconds, about("The same while catching up: seldom is faster.")] = 0.2
    snapshot_interval: Annotated[SomeSeconds, about("Time between snapshots of the states to Redis.")] = 5.0
    snapshot_records: Annotated[
        Positive, about("A snapshot is taken earlier after so many records: they are replayed after a crash.")
    ] = 50_000
    snapshot_bytes: Annotated[
        Bytes, about("A snapshot is taken earlier when so much has changed: Redis stands still while it takes it.")
    ] = 16 << 20
    cache_bytes: Annotated[Bytes, about("About how much of the states is kept in memory.")] = 512 << 20
    transaction_timeout: Annotated[
        SomeSeconds, about("How long the open transaction of a dead process may hold readers back.")
    ] = 10.0
    stop_timeout: Annotated[SomeSeconds, about("How long stopping may take, last commit and snapshot included.")] = 10.0


class Time(Table, frozen=True, kw_only=True):
    """Time is data: ticks in the log, that pass when all that had arrived before them is in the log."""

    tick: Annotated[SomeSeconds, about("Time between ticks: how exactly lateness is told.")] = 5.0
    ahead: Annotated[Seconds, about("A tick this far ahead of its append time is ignored: a clock is wrong.")] = 60.0
    gap: Annotated[SomeSeconds, about("Ticks that stay away for longer mean an outage of the detector.")] = 120.0
    grace: Annotated[Seconds, about("How long nothing is called late after an outage.")] = 300.0
    heartbeat: Annotated[
        SomeSeconds, about("Time between heartbeats on the topic of breakers, without which these are not valid.")
    ] = 15.0


class State(Table, frozen=True, kw_only=True):
    """What is remembered, and how long."""

    expire_after: Annotated[SomeSeconds, about("An entity that is silent for so long is forgotten.")] = 90 * 86_400.0
    forget_lineage_after: Annotated[
        SomeSeconds, about("What was not read or written for so long is no neighbour any more: no breaker reaches it.")
    ] = 30 * 86_400.0
    backstop_interval: Annotated[
        SomeSeconds, about("Least time between two records of one entity on the topic of snapshots.")
    ] = 3_600.0


class Late(Table, frozen=True, kw_only=True):
    """When a run that did not start is late, by what is learned of the job's schedule."""

    enabled: Annotated[bool, about("Whether lateness is learned; a declared deadline holds anyway.")] = True
    min_runs: Annotated[Annotated[int, Meta(ge=2, le=16)], about("Runs to see first.")] = 5
    floor: Annotated[Seconds, about("Never late by less than this.")] = 300.0
    share: Annotated[
        Annotated[float, Meta(ge=0)], about("Nor by less than this share of the time between two runs.")
    ] = 0.05


class Hanging(Table, frozen=True, kw_only=True):
    """When a run that did not end hangs, by what is learned of the job's durations."""

    enabled: Annotated[bool, about("Whether it is learned; a declared max_duration holds anyway.")] = True
    min_runs: Annotated[Positive, about("Runs to see first.")] = 5
    factor: Annotated[Annotated[float, Meta(gt=1)], about("Longer than so many times what is usual.")] = 3.0
    floor: Annotated[Seconds, about("Never before this.")] = 600.0


class Calendar(Table, frozen=True, kw_only=True):
    """By what clock an entity lives. On a holiday as little may come as on a day of the weekend."""

    timezone: Annotated[
        str, about("Name in the tz database, by which weekdays and hours are told.", "Europe/Berlin")
    ] = "UTC"
    country: Annotated[
        str | None, about("Whose public holidays: a code of the package `holidays` (ISO 3166: US, DE).", "DE")
    ] = None
    subdivision: Annotated[str | None, about("The part of the country: a code of the same package.", "BY")] = None
    dates: Annotated[
        tuple[Date, ...],
        about("Holidays of one's own: 2026-12-24, or 12-24 for each year.", ["12-24", "2026-05-15"]),
    ] = ()


class Detection(Table, frozen=True, kw_only=True):
    """What is learned of every entity, and when it is called wrong."""

    model: Annotated[Model, about("What learns the normal values of a metric: kind, and the kind's parameters.")] = (
        Model()
    )
    budget: Annotated[
        Budget,
        about("False alarms that all metrics of one entity may raise in a quarter of a year; fewer: wider limits."),
    ] = 6.0
    metrics: Annotated[
        tuple[str, ...] | None, about("Names of the metrics that are judged; null: all.", ["rows", "duration"])
    ] = None
    together: Annotated[
        bool, about("Whether it is judged what several metrics of an entity show together, and none by itself.")
    ] = True
    calendar: Annotated[Calendar, about("Local time and holidays.")] = Calendar()
    late: Annotated[Late, about("Lateness that is learned.")] = Late()
    hanging: Annotated[Hanging, about("Hanging that is learned.")] = Hanging()


class Breaker(Table, frozen=True, kw_only=True):
    """The circuit breaker of every entity."""

    mode: Annotated[Mode, about("enforce; shadow (says what it would have done); off.")] = "enforce"
    policy: Annotated[Policy, about("When it opens: kind, and the kind's parameters.")] = Policy()
    wait: Annotated[SomeSeconds, about("How long it stays open before one run may probe; doubles with each trip.")] = (
        600.0
    )
    max_wait: Annotated[SomeSeconds, about("The most that doubling comes to.")] = 86_400.0
    on_unknown: Annotated[OnUnknown, about("What a pipeline is told to do while the detector cannot judge.")] = "allow"


class Incidents(Table, frozen=True, kw_only=True):
    """Findings of one cause are one incident."""

    wait: Annotated[
        Seconds,
        about("Nobody is called before: the cause of a finding may be found a moment later, by another worker."),
    ] = 10.0


class Check(Plugin, frozen=True, kw_only=True):
    """What is promised of each load of a dataset. Keys beside `kind` are the kind's own parameters."""

    kind: Annotated[str, about("The name of a kind of check.")]
    parameters: dict[str, Parameter | tuple[Parameter, ...]] = {}  # type: ignore[assignment]


class Deadline(Table, frozen=True, kw_only=True):
    """On each of the days a run, or a load, must have completed by this time. Either `at` or `cron` is needed."""

    at: Annotated[
        Annotated[str, Meta(pattern=r"^([01]\d|2[0-3]):[0-5]\d$")] | None,
        about("Local time of the day, HH:MM.", "03:30"),
    ] = None
    cron: Annotated[str | None, about("Instead of at and days: a cron expression of five fields, 30 3 * * 1-5.")] = None
    timezone: Annotated[str, about("Name in the tz database.", "Europe/Berlin")] = "UTC"
    days: Annotated[
        Annotated[tuple[Day, ...], Meta(min_length=1)], about("Days of the week.", ["mon", "tue", "wed", "thu", "fri"])
    ] = DAYS
    holidays: Annotated[bool, about("Whether it holds on the holidays of the entity's calendar, too.", False)] = True


class BreakerRule(Table, frozen=True, kw_only=True):
    """What differs from `breaker`; what is null does not."""

    mode: Annotated[Mode | None, about("As breaker.mode.", "shadow")] = None
    policy: Annotated[
        Policy | None, about("As breaker.policy.", {"kind": "window", "criticals": 1, "warnings": 3, "runs": 5})
    ] = None
    wait: Annotated[SomeSeconds | None, about("As breaker.wait.", "30m")] = None
    max_wait: Annotated[SomeSeconds | None, about("As breaker.max_wait.", "12h")] = None
    on_unknown: Annotated[OnUnknown | None, about("As breaker.on_unknown.", "block")] = None


class Rule(Table, frozen=True, kw_only=True):
    """What differs for the entities whose key matches. Of the rules that match, the first that has a key counts."""

    match: Annotated[
        str,
        about(
            "Pattern over the entity's key, job:<namespace>/<name> or dataset:...; * also matches /.",
            "*/nightly_*",
        ),
    ]
    calendar: Annotated[Calendar | None, about("In the place of detection.calendar, as a whole.")] = None
    deadline: Annotated[Deadline | None, about("When a run of a job, or a load of a dataset, must have completed.")] = (
        None
    )
    max_duration: Annotated[SomeSeconds | None, about("A run that takes longer hangs.", "2h")] = None
    budget: Annotated[Budget | None, about("As detection.budget.", 1)] = None
    together: Annotated[bool | None, about("As detection.together.", False)] = None
    checks: Annotated[
        tuple[Check, ...],
        about(
            "What is promised of the loads of a dataset; those of all rules that match hold.",
            [{"kind": "not_null", "column": "order_id"}, {"kind": "fresh_within", "within": "26h"}],
        ),
    ] = ()
    severity: Annotated[
        Severity | None,
        about("The worst that anything of it is told as: as info, nothing moves its breaker.", "warning"),
    ] = None
    owner: Annotated[str | None, about("Who is to be told: goes along with what is said.", "team-orders")] = None
    tags: Annotated[
        tuple[str, ...],
        about("Words to sort by; those of all rules that match are taken together.", ["finance", "pii"]),
    ] = ()
    breaker: Annotated[BreakerRule | None, about("What differs from the breaker of all others.")] = None


class Executor(Table, frozen=True, kw_only=True):
    """Who redoes the runs of recovery plans, for `detector execute`. Detector itself plans and runs nothing."""

    kind: Annotated[
        Literal["none", "airflow"], about("none: people redo them; airflow: the REST API of Airflow 3.")
    ] = "none"
    url: Annotated[str | None, about("Its address, without /api/v2.", "https://airflow.example.com")] = None
    username: Annotated[str | None, about("Who logs in for a token, at /auth/token.", "detector")] = None
    password: Annotated[Secret | None, about("The password. Better by file: password_file.")] = None
    token: Annotated[
        Secret | None, about("A token, in the place of username and password. Better by file: token_file.")
    ] = None
    ca_location: Annotated[str | None, about("File with the authorities that signed its certificate.")] = None
    namespaces: Annotated[
        tuple[str, ...],
        about("Which jobs it has: globs over the namespace of OpenLineage. Others are left to people.", ["airflow*"]),
    ] = ()
    timeout: Annotated[SomeSeconds, about("How long it has for an answer.")] = 30.0
    parallel: Annotated[Positive, about("How many runs that were asked for may go on at a time.")] = 4


class AlertMatch(Table, frozen=True, kw_only=True):
    """Which incidents a receiver is told of: all conditions must hold."""

    severity: Annotated[Severity, about("The least severity that people were called at.", "critical")] = "info"
    entities: Annotated[
        tuple[str, ...],
        about("Patterns over the keys of the entities with findings, of which one must match; none: all.", ["*/shop*"]),
    ] = ()
    owner: Annotated[str | None, about("Pattern over the owner; null: any, or none.", "team-orders")] = None
    tags: Annotated[tuple[str, ...], about("Words of which the incident must have one; none: all.", ["finance"])] = ()


class AlertSink(Table, frozen=True, kw_only=True):
    """A receiver of alerts, for `detector alert`: it is told when people are called, and when it is over."""

    kind: Annotated[
        Literal["alertmanager", "pagerduty", "webhook"],
        about(
            "alertmanager: API v2; pagerduty: Events API v2; webhook: a signed CloudEvent by POST.",
            "alertmanager",
        ),
    ]
    name: Annotated[
        Annotated[str, Meta(pattern=r"^[A-Za-z0-9._-]+$")] | None,
        about("What it is called in the log, in metrics, and in what is kept of it; null: its kind.", "oncall"),
    ] = None
    match: Annotated[AlertMatch, about("Which incidents it is told of.")] = AlertMatch()
    urls: Annotated[
        tuple[str, ...],
        about(
            "alertmanager: the addresses, without /api/v2. Of a cluster name every member; each is told.",
            ["http://alertmanager-0:9093", "http://alertmanager-1:9093"],
        ),
    ] = ()
    labels: Annotated[
        dict[str, str], about("alertmanager: labels that every alert has, to route by.", {"environment": "prod"})
    ] = {}
    resend: Annotated[SomeSeconds, about("alertmanager: time between two tellings of what goes on.", "1m")] = 60.0
    url: Annotated[
        Secret | None,
        about(
            "webhook: where to, by url_file if a token is in it; pagerduty: another address (EU).",
            "https://hooks.example.com/detector",
        ),
    ] = None
    routing_key: Annotated[
        Secret | None,
        about("pagerduty: the integration key of Events API v2. Better by file: routing_key_file.", "0123abcd"),
    ] = None
    secret: Annotated[
        Secret | None,
        about("webhook: what it is signed with, whsec_ and base64. Better by file: secret_file.", "whsec_c2VjcmV0..."),
    ] = None
    mode: Annotated[
        Literal["structured", "binary"],
        about("webhook: all of the CloudEvent in the body, or its attributes in headers.", "structured"),
    ] = "structured"
    runbook_url: Annotated[
        str | None,
        about(
            "A link for whoever is called; {entity}, {check} and {owner} are filled in.",
            "https://wiki.example.com/runbooks?of={check}",
        ),
    ] = None
    username: Annotated[str | None, about("alertmanager, webhook: who logs in, by HTTP's basic way.", "detector")] = (
        None
    )
    password: Annotated[Secret | None, about("The password. Better by file: password_file.", "...")] = None
    token: Annotated[Secret | None, about("In their place: a bearer token. Better by file: token_file.", "...")] = None
    ca_location: Annotated[
        str | None, about("File with the authorities that signed its certificate.", "/etc/ssl/ours.pem")
    ] = None
    timeout: Annotated[SomeSeconds, about("How long it has for an answer.", "10s")] = 10.0


class Profile(Table, frozen=True, kw_only=True):
    """What `detector profile` counts, and how it hides values. The daemon does not read it."""

    key: Annotated[
        Secret | None,
        about("Hashes the most frequent values, which are left out without it: 16 bytes or more. Better: key_file."),
    ] = None
    patterns: Annotated[
        dict[str, str],
        about(
            "Regular expressions by name, for the checks `matches`: the whole value has to match.",
            {"sku": "[A-Z]{3}-[0-9]+"},
        ),
    ] = {}
    references: Annotated[
        dict[str, str],
        about(
            "Where the datasets of the checks `referential` are: a file, or the address of a database, or the variable"
            " that has it (env:NAME); behind # the table, where there are several.",
            {"customers": "/data/customers.parquet"},
        ),
    ] = {}


class Token(Table, frozen=True, kw_only=True):
    """Who may ask the HTTP API."""

    name: Annotated[
        Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\n]*$")],
        about("Whose it is: a command that comes with it is this one's word.", "alice"),
    ]
    role: Annotated[Literal["reader", "operator"], about("reader asks; operator also gives commands.", "operator")] = (
        "reader"
    )
    token: Annotated[Secret | None, about("At least 16 characters. Better by file: token_file.", "***")] = None


class Http(Table, frozen=True, kw_only=True):
    """/healthz, /readyz and /metrics, which are open to all; and with the stage `api` the HTTP API and the page."""

    host: Annotated[
        str,
        about("Address to listen on. Without tokens the API answers on a loopback address only, and takes no command."),
    ] = "127.0.0.1"
    port: Annotated[Annotated[int, Meta(ge=0, le=65_535)], about("Port to listen on; 0: any that is free.")] = 8080
    status_url: Annotated[
        str | None,
        about("Where people reach the status page, for the links in alerts.", "https://detector.example.com"),
    ] = None
    tokens: Annotated[
        tuple[Token, ...],
        about(
            "Who may ask the API, each with a name, a role and a token.",
            [{"name": "alice", "role": "operator", "token_file": "/run/secrets/alice"}],
        ),
    ] = ()
    rate: Annotated[
        Annotated[float, Meta(gt=0)],
        about("Requests a second that one client may make, and twice as many at once; asking for a breaker is free."),
    ] = 50.0
    max_age: Annotated[
        SomeSeconds, about("A breaker whose partition has had no heartbeat for longer is told as unknown.")
    ] = 60.0


class Metrics(Table, frozen=True, kw_only=True):
    """What /metrics tells of single entities. Those that are unhealthy are told of anyway."""

    entities: Annotated[
        tuple[str, ...],
        about(
            "Patterns over keys: entities that have series of their own while healthy, too; 1,000 in all at most.",
            ["job:airflow/orders_*", "dataset:snowflake://*"],
        ),
    ] = ()


class Log(Table, frozen=True, kw_only=True):
    """What the process writes to standard error."""

    level: Annotated[Literal["debug", "info", "warning", "error"], about("The least that is written.")] = "info"
    format: Annotated[
        Literal["auto", "json", "console"], about("json, or console for people; auto: console on a terminal.")
    ] = "auto"


class Config(Table, frozen=True, kw_only=True):
    """The configuration of Detector. Every key has a default."""

    kafka: Kafka = Kafka()
    topics: Topics = Topics()
    registry: Registry = Registry()
    redis: Redis = Redis()
    worker: Worker = Worker()
    time: Time = Time()
    state: State = State()
    detection: Detection = Detection()
    breaker: Breaker = Breaker()
    incidents: Incidents = Incidents()
    rules: Annotated[
        tuple[Rule, ...],
        about("What differs for some entities: a list, of which each entry names entities and what differs."),
    ] = ()
    executor: Executor = Executor()
    alerts: Annotated[
        tuple[AlertSink, ...],
        about("Who is told of incidents by `detector alert`: a list of receivers. Each has its own progress."),
    ] = ()
    profile: Profile = Profile()
    http: Http = Http()
    metrics: Metrics = Metrics()
    log: Log = Log()
