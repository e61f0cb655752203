"""What the configuration means to the core and to the clients."""

from datetime import UTC, datetime, time

import pytest

from detector.config import load, zone
from detector.core.cron import Cron
from detector.core.declared.kinds import FreshWithin, InSet
from detector.core.models.band import Band
from detector.core.models.baseline import Baseline
from detector.core.policies import Policy
from detector.core.policies.consecutive import Consecutive
from detector.core.policies.rate import Rate
from detector.core.policies.weighted import Weighted
from detector.core.policies.window import Window
from detector.core.rules import Hanging, Rules, Settings
from detector.core.schedule import Deadline, Lateness
from detector.errors import ConfigError
from detector.settings import code_fingerprint, kafka_settings, redis_client, registry_of, rules_of


def test_without_a_configuration_the_rules_are_those_of_the_core() -> None:
    rules, core = rules_of(load("")), Rules()
    names = ("metrics", "together", "late", "hanging", "deadline", "max_duration", "mode", "policy", "wait")

    assert [getattr(core.default, name) for name in names] == [getattr(rules.default, name) for name in names]
    assert repr(rules.default.model()) == repr(Baseline()) == repr(core.default.model())
    assert (core.ahead, core.gap, core.grace, core.heartbeat, core.expire_after) == (
        rules.ahead,
        rules.gap,
        rules.grace,
        rules.heartbeat,
        rules.expire_after,
    )


def test_every_key_reaches_the_core() -> None:
    rules = rules_of(
        load("""
            time: {tick: 2s, ahead: 30s, gap: 5m, grace: 10m, heartbeat: 20s}
            state: {expire_after: 30d}
            detection:
              model: {kind: band, width: 4, alpha: 0.2, floor: 0.1, warmup: 9, new_normal_after: 5}
              metrics: [rows, duration]
              together: false
              late: {min_runs: 7, floor: 1m, share: 0.1}
              hanging: {min_runs: 6, factor: 2.5, floor: 2m}
            breaker:
              mode: shadow
              policy: {kind: window, criticals: 2, warnings: 3, runs: 4}
              wait: 15m
              max_wait: 6h
              on_unknown: block
        """)
    )
    default = rules.default

    assert (rules.ahead, rules.gap, rules.grace, rules.heartbeat) == (30, 300, 600, 20)
    assert rules.expire_after == 30 * 86_400
    assert default.model() == Band(alpha=0.2, width=4, floor=0.1, warmup=9, new_normal_after=5)
    assert default.metrics == frozenset({"rows", "duration"})
    assert default.together is False
    assert default.late == Lateness(7, 60, 0.1)
    assert default.hanging == Hanging(6, 2.5, 120)
    assert default.policy == Window(criticals=2, warnings=3, runs=4)
    assert (default.mode, default.wait, default.max_wait, default.on_unknown) == ("shadow", 900, 21_600, "block")


@pytest.mark.parametrize(
    ("written", "policy"),
    [
        ("{kind: consecutive, runs: 3, severity: critical}", Consecutive(3, "critical")),
        ("{kind: rate, failure_rate_threshold: 25, runs: 20, min_runs: 10}", Rate(25, 20, 10)),
        ("{kind: weighted, warning: 1, critical: 4, threshold: 4, runs: 6}", Weighted(1, 4, 4, 6)),
    ],
    ids=["consecutive", "rate", "weighted"],
)
def test_a_policy_is_chosen_by_its_kind_for_all_and_in_a_rule(written: str, policy: Policy) -> None:
    everywhere = rules_of(load(f"breaker: {{policy: {written}}}"))
    there = rules_of(load(f"rules: [{{match: 'job:a/*', breaker: {{policy: {written}}}}}]"))

    assert everywhere.default.policy == policy
    assert (there.of("job:a/load").policy, there.of("job:b/load").policy) == (policy, Window())


def test_what_is_switched_off_is_off() -> None:
    default = rules_of(load("detection: {late: {enabled: false}, hanging: {enabled: false}}")).default

    assert default.late is None
    assert default.hanging is None


RULES = """
rules:
  - match: job:airflow/nightly_orders
    deadline: {at: "03:30", timezone: Europe/Berlin, days: [mon, sat], holidays: false}
  - match: job:airflow/nightly_*
    max_duration: 2h
    together: false
    breaker: {mode: "off", wait: 1h}
  - match: job:*
    breaker: {mode: shadow, on_unknown: block, policy: {kind: window, criticals: 3, runs: 5}}
"""


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        pytest.param("dataset:db/orders", {}, id="an entity that no rule names has the defaults"),
        pytest.param(
            "job:dbt/orders",
            {"mode": "shadow", "on_unknown": "block", "policy": Window(criticals=3, runs=5)},
            id="a glob matches across slashes",
        ),
        pytest.param(
            "job:airflow/nightly_load",
            {"mode": "off", "wait": 3_600.0, "max_duration": 7_200.0, "together": False, "on_unknown": "block"},
            id="the first rule that has a key counts, others add theirs",
        ),
        pytest.param(
            "job:airflow/nightly_orders",
            {"deadline": Deadline(time(3, 30), zone("Europe/Berlin"), frozenset({0, 5}), False), "mode": "off"},
            id="a deadline has a time zone and days",
        ),
    ],
)
def test_rules_say_what_differs(key: str, expected: dict[str, object]) -> None:
    settings = rules_of(load(RULES)).of(key)

    assert expected == {name: getattr(settings, name) for name in expected}
    assert expected or settings == Settings(model=settings.model)


def test_a_deadline_is_at_the_local_time_on_both_sides_of_a_change_of_clocks() -> None:
    deadline = rules_of(load(RULES)).of("job:airflow/nightly_orders").deadline
    assert deadline is not None
    winter, summer = datetime(2026, 3, 27, tzinfo=UTC).timestamp(), datetime(2026, 3, 29, tzinfo=UTC).timestamp()

    assert datetime.fromtimestamp(deadline.after(winter), UTC) == datetime(2026, 3, 28, 2, 30, tzinfo=UTC)
    assert datetime.fromtimestamp(deadline.after(summer), UTC) == datetime(2026, 3, 30, 1, 30, tzinfo=UTC)


def test_jobs_that_are_named_whole_and_have_a_deadline_are_watched_before_their_first_event() -> None:
    assert rules_of(load(RULES)).declared == ("job:airflow/nightly_orders",)


def test_a_calendar_is_that_of_the_first_rule_that_has_one_as_a_whole() -> None:
    rules = rules_of(
        load("""
            detection: {calendar: {timezone: America/New_York, country: US}}
            rules:
              - match: "*:de/*"
                calendar: {timezone: Europe/Berlin}
              - match: job:*
                max_duration: 1h
        """)
    )
    here, there = rules.of("job:de/load").calendar, rules.of("job:us/load").calendar

    assert (str(here.zone), here.holidays) == ("Europe/Berlin", frozenset())
    assert (str(there.zone), len(there.holidays) > 1_000) == ("America/New_York", True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("detection: {calendar: {country: us}}", "detection.calendar.country: unknown value 'us', did you mean US?"),
        (
            "rules: [{match: '*', calendar: {country: AT, subdivision: X}}]",
            "rules[0].calendar.subdivision: unknown value 'X'; known: 1, 2, 3, 4, 5, 6, 7, 8, 9",
        ),
        ("detection: {model: {kind: bend}}", "detection.model.kind: unknown value 'bend'"),
        ("detection: {model: {kind: band, alhpa: 0.1}}", "detection.model.alhpa: unknown key"),
        ("detection: {model: {kind: band, alpha: 2}}", "detection.model: alpha: must be above 0 and at most 1"),
        ("breaker: {policy: {kind: window, criticals: 9}}", "breaker.policy: criticals: must be from 1 to runs"),
        ("breaker: {policy: {kind: rate, runs: 2}}", "breaker.policy: min_runs: must be from 1 to runs"),
        ("breaker: {policy: {kind: rate, runs: many}}", "breaker.policy.runs: expected a whole number, got a text"),
        (
            "breaker: {policy: {kind: rate, criticals: 2}}",
            "breaker.policy.criticals: unknown key; known: kind, failure_",
        ),
        (
            "breaker: {policy: {kind: weighted, threshold: 99}}",
            "breaker.policy: threshold: must be above 0 and at most",
        ),
        (
            "rules: [{match: 'job:*', breaker: {policy: {kind: consecutive, severity: info}}}]",
            "rules[0].breaker.policy: severity: must be warning or critical",
        ),
        (
            "rules: [{match: 'job:*', max_duration: 1h}, {match: 'job:*', breaker: {policy: {kind: never}}}]",
            "rules[1].breaker.policy.kind: unknown value 'never'",
        ),
    ],
)
def test_a_wrong_model_or_policy_is_an_error_that_names_the_path(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        rules_of(load(text))

    assert str(caught.value).startswith(message)


def test_the_fingerprint_is_that_of_what_decides_and_of_nothing_else() -> None:
    plain = rules_of(load("")).fingerprint

    assert plain == rules_of(load("http: {port: 9999}")).fingerprint
    assert plain != rules_of(load("breaker: {wait: 11m}")).fingerprint
    assert plain.endswith(code_fingerprint())
    assert len(code_fingerprint()) == 8


# ---------------------------------------------------------------- the clients


def test_librdkafka_is_told_how_to_reach_the_cluster() -> None:
    settings = kafka_settings(
        load("""
            kafka:
              bootstrap_servers: "a:9092,b:9092"
              security_protocol: SASL_SSL
              sasl_mechanism: SCRAM-SHA-512
              sasl_username: detector
              sasl_password: "007"
              ssl_ca_location: /etc/ca.pem
              options: {socket.keepalive.enable: true}
              secret_options: {sasl.oauthbearer.client.secret: hush}
        """)
    )

    assert settings == {
        "client.id": "detector",
        "bootstrap.servers": "a:9092,b:9092",
        "security.protocol": "sasl_ssl",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": "detector",
        "sasl.password": "007",
        "ssl.ca.location": "/etc/ca.pem",
        "socket.keepalive.enable": True,
        "sasl.oauthbearer.client.secret": "hush",
    }


def test_a_redis_client_logs_in_and_gives_up_after_a_while() -> None:
    with redis_client(load("redis: {url: 'redis://me:secret@10.0.0.1:6380/2'}")) as client:
        asked = client.connection_pool.connection_kwargs

    assert (asked["host"], asked["port"], asked["db"]) == ("10.0.0.1", 6380, 2)
    assert (asked["username"], asked["password"]) == ("me", "secret")
    assert 0 < asked["socket_timeout"] <= 10


def test_there_is_a_registry_where_one_is_named() -> None:
    assert registry_of(load("")) is None
    assert registry_of(load("registry: {url: 'mock://here', username: me, password: secret}")) is not None


# ---------------------------------------------------------------- what is declared


def test_what_is_declared_reaches_the_core() -> None:
    settings = rules_of(
        load("""
            rules:
              - match: dataset:db/orders
                deadline: {cron: "30 3 * * mon-fri", timezone: Europe/Berlin, holidays: false}
                severity: warning
                owner: team-orders
                tags: [finance]
                checks:
                  - {kind: in_set, column: status, values: [new, 1, true], severity: warning}
                  - {kind: fresh_within, within: 26h, name: daily}
        """)
    ).of("dataset:db/orders")
    deadline = settings.deadline
    assert isinstance(deadline, Cron)

    assert (deadline.minutes, deadline.hours, deadline.holidays) == ((30,), (3,), False)
    assert deadline.weekdays == frozenset(range(5))
    assert (settings.worst, settings.owner, settings.tags) == (1, "team-orders", ("finance",))
    assert settings.checks == (
        InSet(column="status", values=("new", 1, True), severity="warning"),
        FreshWithin(within=26 * 3_600.0, name="daily"),
    )


@pytest.mark.parametrize(
    ("check", "said"),
    [
        pytest.param("{column: a}", "rules[0].checks[0].kind: is missing", id="no kind"),
        pytest.param("{kind: not_nul}", "rules[0].checks[0].kind: unknown value 'not_nul', did you mean", id="a word"),
        pytest.param("{kind: not_null}", "rules[0].checks[0].column: is missing", id="no column"),
        pytest.param("{kind: not_null, colum: a}", "rules[0].checks[0].colum: unknown key, did you mean", id="a key"),
        pytest.param("{kind: unique, column: 5}", "rules[0].checks[0].column: expected a text, got a whole", id="type"),
        pytest.param(
            "{kind: unique, column: [a]}", "rules[0].checks[0].column: expected a text, got a list", id="list"
        ),
        pytest.param("{kind: not_null, column: a, at_most: 2}", "rules[0].checks[0].at_most: expected", id="no share"),
        pytest.param("{kind: between, column: a}", "rules[0].checks[0]: needs a min, a max, or both", id="no bound"),
        pytest.param("{kind: fresh_within, within: 5}", "rules[0].checks[0].within: 5 is no duration", id="no unit"),
        pytest.param(
            "{kind: in_set, column: a, values: [[b]]}", "rules[0].checks[0].values[0]: expected a t", id="deep"
        ),
        pytest.param("{kind: in_set, column: a, values: []}", "rules[0].checks[0].values: expected a list", id="empty"),
        pytest.param(
            "{kind: unique, column: a, severity: bad}", "rules[0].checks[0].severity: unknown va", id="how bad"
        ),
        pytest.param(
            "{kind: unique, column: a}, {kind: unique, column: a, tolerance: 0.1}",
            "rules[0].checks[1]: is called unique(a), as rules[0].checks[0] is; give it a name",
            id="two of one name",
        ),
    ],
)
def test_a_check_that_cannot_be_made_is_refused_with_its_path(check: str, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        rules_of(load(f"rules: [{{match: 'dataset:*', checks: [{check}]}}]"))

    assert str(caught.value).startswith(said)
