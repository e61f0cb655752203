"""The configuration: what is written is what is in force, and whatever is wrong is said with its path."""

import ast
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import suppress
from importlib import resources
from pathlib import Path
from typing import Any

import jsonschema
import msgspec.inspect as inspection
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.config import Config, Secret, fingerprint, load, load_file, plugin, reference, schema, show, zone
from detector.config import Plugin as Chosen
from detector.config.reading import parse
from detector.config.units import seconds, size, write_seconds, write_size
from detector.core.models import MODELS
from detector.core.policies import POLICIES
from detector.core.policies.window import Window
from detector.errors import ConfigError

ROOT = Path(__file__).parent.parent
FILE = ROOT / "config" / "detector.yaml"
WORD = "hunter2"
AIRFLOW, JOBS = "kind: airflow", "url: 'https://a', namespaces: [airflow]"
SASL = "security_protocol: SASL_SSL, sasl_mechanism: PLAIN, sasl_username: me"


def refused(text: str, env: dict[str, str] | None = None, files: dict[str, str] | None = None) -> str:
    with pytest.raises(ConfigError) as caught:
        load(text, env, (files or {}).__getitem__)
    return str(caught.value)


# ---------------------------------------------------------------- the reference file


def test_the_reference_file_is_what_the_code_makes() -> None:
    assert FILE.read_text(encoding="utf-8") == reference(), "python -m detector.config > config/detector.yaml"


def test_the_reference_file_says_the_defaults() -> None:
    assert load_file(FILE, {}) == load("") == Config()


def test_every_key_of_the_reference_file_has_a_comment_above() -> None:
    lines = FILE.read_text(encoding="utf-8").splitlines()
    keys = [at for at, line in enumerate(lines) if re.match(r"#? *(- )?[a-z_]+:( |$)", line)]

    bare = [lines[at] for at in keys if not re.match(r"#? *# [A-Za-z/]", lines[at - 1])]

    assert len(keys) > 80
    assert bare == []


def test_the_example_of_a_rule_in_the_reference_file_is_one() -> None:
    text = FILE.read_text(encoding="utf-8")
    commented = text[text.index("rules: []") :].partition("\n\n")[0]
    example = commented.replace("rules: []", "rules:").replace("\n#", "\n")

    (rule,) = load(example).rules

    assert rule.match == "*/nightly_*"
    assert None not in (rule.deadline, rule.max_duration, rule.breaker)


def test_every_key_is_in_the_reference_file() -> None:
    text = FILE.read_text(encoding="utf-8")

    assert [path for path in keys() if not re.search(rf"^#? *(- )?{path.split('.')[-1]}:", text, re.MULTILINE)] == []


def tables(kind: Any = Config) -> Iterator[tuple[str, inspection.Type]]:
    """Every key below a table, with its type."""
    for field in inspection.type_info(kind).fields:  # type: ignore[attr-defined]
        yield field.name, field.type
        inner = plain(field.type)
        if isinstance(inner, inspection.StructType) and not issubclass(inner.cls, Chosen):
            yield from ((f"{field.name}.{path}", of) for path, of in tables(inner.cls))


def plain(kind: inspection.Type) -> inspection.Type:
    """The type below null, a list, and what is said of it."""
    match kind:
        case inspection.Metadata():
            return plain(kind.type)
        case inspection.UnionType():
            return plain(next(one for one in kind.types if not isinstance(one, inspection.NoneType)))
        case inspection.VarTupleType():
            return plain(kind.item_type)
    return kind


def keys() -> list[str]:
    """The paths of all keys that are no tables."""
    return [path for path, kind in tables() if not isinstance(plain(kind), inspection.StructType)]


def test_every_key_is_used() -> None:
    """A key that nothing reads is a promise that nobody keeps: it is looked for where the configuration comes in."""
    used: set[str] = set()
    for path in (ROOT / "detector").rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if "config" in path.parts or ("detector.config" not in text and path.name != "cloudevents.py"):
            continue
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Attribute):
                used.add(node.attr)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                used.add(node.value)  # for getattr

    assert [path for path in keys() if path.split(".")[-1] not in used] == []


# ---------------------------------------------------------------- the file


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "kafka:\n", "rules:\n", "kafka: {options:}", "{}"])
def test_what_is_empty_changes_nothing(text: str) -> None:
    assert load(text) == Config()


def test_a_file_needs_only_what_differs() -> None:
    config = load("breaker: {mode: off, wait: 1h30m}\nworker: {snapshot_bytes: 1.5MiB, slot: '0'}\n")

    assert (config.breaker.mode, config.breaker.wait, config.breaker.max_wait) == ("off", 5_400.0, 86_400.0)
    assert (config.worker.snapshot_bytes, config.worker.slot) == (3 << 19, "0")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("breakr: {}", "breakr: unknown key, did you mean breaker? known: kafka, ", id="no such table"),
        pytest.param("breaker: {wiat: 5s}", "breaker.wiat: unknown key, did you mean wait? known: ", id="no such key"),
        pytest.param("breaker: {zzz: 5s}", "breaker.zzz: unknown key; known: mode, policy, ", id="nothing is near"),
        pytest.param("kafka: {1: 2}", "kafka.1: unknown key; known", id="a number for a key"),
        pytest.param("redis: {url_file: x}", "redis.url_file: unknown key", id="by file what is no secret"),
        pytest.param("rules: [{mach: 'job:*'}]", "rules[0].mach: unknown key, did you mean match?", id="in a list"),
        pytest.param("rules: [{max_duration: 2h}]", "rules[0].match: is missing", id="what must be there"),
        pytest.param("breaker: 5", "breaker: expected a table, got a whole number", id="no table"),
        pytest.param("rules: {}", "rules: expected a list, got a table", id="no list"),
        pytest.param("rules: [null]", "rules[0]: expected a table, got null", id="null in a list"),
        pytest.param("topics: {inputs: a}", "topics.inputs: expected a list, got a text", id="a text for a list"),
        pytest.param("detection: {metrics: a}", "detection.metrics: expected a list or null, got a text", id="or null"),
        pytest.param("topics: {partitions: true}", "topics.partitions: expected a whole number, got ", id="truth"),
        pytest.param("topics: {partitions: 1.5}", "topics.partitions: expected a whole number, got a num", id="part"),
        pytest.param("topics: {create: yes}", "topics.create: expected true or false, got a text", id="YAML 1.1's yes"),
        pytest.param("worker: {slot: 0}", "worker.slot: expected a text or null, got a whole number", id="a number"),
        pytest.param("redis: {url: null}", "redis.url: expected a text, got null", id="null where it means nothing"),
        pytest.param("topics: {partitions: 0}", "topics.partitions: expected a whole number >= 1", id="too small"),
        pytest.param("http: {port: 70000}", "http.port: expected a whole number <= 65535", id="too large"),
        pytest.param("detection: {late: {min_runs: 1}}", "detection.late.min_runs: expected a whole num", id="deep"),
        pytest.param("detection: {late: {share: 1e400}}", "detection.late.share: is too large a number", id="infinite"),
        pytest.param("breaker: {mode: on}", "breaker.mode: unknown value 'on'; known: enforce, off, ", id="choice"),
        pytest.param("log: {level: INFO}", "log.level: unknown value 'INFO', did you mean info?", id="case"),
        pytest.param(
            "breaker: {mode: [off]}", "breaker.mode: unknown value ['off'], did you", id="a list for a choice"
        ),
        pytest.param("topics: {inputs: [a b]}", "topics.inputs[0]: expected a text of letters, digits", id="a topic"),
        pytest.param("breaker: {wait: 5}", "breaker.wait: 5 is no duration; write one like 250ms", id="no unit"),
        pytest.param("breaker: {wait: 5 s}", "breaker.wait: '5 s' is no duration", id="a blank"),
        pytest.param("breaker: {wait: 0s}", "breaker.wait: expected a number > 0", id="no time at all"),
        pytest.param("breaker: {wait: -5s}", "breaker.wait: '-5s' is no duration", id="negative"),
        pytest.param("breaker: {wait: 99999d}", "breaker.wait: '99999d' is longer than a hundred years", id="longest"),
        pytest.param("worker: {cache_bytes: 5}", "worker.cache_bytes: 5 is no size; write one like", id="a bare size"),
        pytest.param("worker: {cache_bytes: 5mb}", "worker.cache_bytes: '5mb' is no size", id="no unit of size"),
        pytest.param(f"worker: {{cache_bytes: {'9' * 400}TiB}}", "worker.cache_bytes: '999", id="a size without end"),
        pytest.param("a: 1\na: 2", "line 2, column 1: a stands twice", id="a key twice"),
        pytest.param("kafka: {options: {b: 1, b: 2}}", "line 1, column 25: b stands twice", id="twice, deeper"),
        pytest.param("? [a]\n: 1", "line 1, column 3: a key is a word", id="a list for a key"),
        pytest.param("a: b: c", "line 1, column 5: mapping values are not allowed here", id="no YAML"),
        pytest.param("!!python/object:os.system {}", "line 1, column 1: could not determine", id="code"),
        pytest.param("a: " + "[" * 3_000, "this is not YAML: ", id="too deep"),
        pytest.param("- 1", "a configuration is made of tables", id="a list for all"),
    ],
)
def test_what_is_wrong_is_said_with_its_path(text: str, said: str) -> None:
    assert refused(text).startswith(said)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("time: {gap: 10s}", "time.gap: must be at least three times time.tick", id="gap and tick"),
        pytest.param("worker: {commit_min: 1s}", "worker.commit_min: must not be more than", id="least and most"),
        pytest.param("worker: {commit_max: 9s}", "worker.transaction_timeout: must be at least", id="a commit in time"),
        pytest.param("breaker: {wait: 2d}", "breaker.wait: must not be more than breaker.max_wait", id="wait"),
        pytest.param("topics: {inputs: []}", "topics.inputs: name at least one topic", id="nothing to watch"),
        pytest.param("topics: {log: detector.control}", "topics.control: detector.control is topics.log ", id="one"),
        pytest.param("topics: {inputs: [a, a]}", "topics.inputs[1]: a is topics.inputs[0] already", id="twice"),
        pytest.param("topics: {inputs: [detector.observations]}", "topics.inputs[0]: ", id="the log as an input"),
        pytest.param("kafka: {bootstrap_servers: ''}", "kafka.bootstrap_servers: expected a text of len", id="nowhere"),
        pytest.param("kafka: {sasl_mechanism: PLAIN}", "kafka.sasl_mechanism: has no effect unless", id="no effect"),
        pytest.param("kafka: {security_protocol: SASL_SSL}", "kafka.sasl_mechanism: is needed", id="how to log in"),
        pytest.param(f"kafka: {{{SASL}}}", "kafka.sasl_username and kafka.sasl_password: are needed", id="no word"),
        pytest.param("kafka: {options: {acks: 1}}", "kafka.options.acks: cannot be set: Detector writes", id="acks"),
        pytest.param("kafka: {options: {group.protocol: classic}}", "kafka.options.group.protocol: only", id="groups"),
        pytest.param("kafka: {options: {a: [1]}}", "kafka.options.a: expected a text, a number", id="no single value"),
        pytest.param("kafka: {options: {a: }}", "kafka.options.a: has no value", id="no value"),
        pytest.param("redis: {url: 'http://h'}", "redis.url: must begin with redis://", id="another service"),
        pytest.param("redis: {url: 'redis:///0'}", "redis.url: names no host", id="no host"),
        pytest.param("redis: {url: 'redis://h:99999'}", "redis.url: is no address", id="no port"),
        pytest.param("registry: {url: here}", "registry.url: must begin with http://", id="no registry"),
        pytest.param(
            "http: {tokens: [{token: 0123456789abcdef}]}", "http.tokens[0].name: is missing", id="whose token"
        ),
        pytest.param("http: {tokens: [{name: a}]}", "http.tokens[0].token: is missing; give it", id="no token"),
        pytest.param(
            "http: {tokens: [{name: a, token: short}]}",
            "http.tokens[0].token: must have at least 16",
            id="a short token",
        ),
        pytest.param(
            "http: {tokens: [{name: a, token: 'with blanks in it 0123'}]}",
            "http.tokens[0].token: must be of letters",
            id="a token that no header can have",
        ),
        pytest.param(
            "http: {tokens: [{name: a, role: admin, token: 0123456789abcdefx}]}",
            "http.tokens[0].role: unknown value 'admin'",
            id="no such role",
        ),
        pytest.param(
            f"http: {{tokens: [{{name: a, token: {WORD}0123456789}}, {{name: a, token: {WORD}9876543210}}]}}",
            "http.tokens[1].name: a is http.tokens[0] already",
            id="two of one name",
        ),
        pytest.param(
            f"http: {{tokens: [{{name: a, token: {WORD}0123456789}}, {{name: b, token: {WORD}0123456789}}]}}",
            "http.tokens[1].token: is that of http.tokens[0], too",
            id="one token for two",
        ),
        pytest.param("executor: {kind: dagster}", "executor.kind: unknown value 'dagster'", id="no executor"),
        pytest.param("executor: {kind: airflow}", "executor.url: is needed with kind airflow", id="where it is"),
        pytest.param(f"executor: {{{AIRFLOW}, url: 'a:8080'}}", "executor.url: must begin with http://", id="its url"),
        pytest.param(f"executor: {{{AIRFLOW}, url: 'http://'}}", "executor.url: names no host", id="its host"),
        pytest.param(f"executor: {{{AIRFLOW}, url: 'http://a'}}", "executor.namespaces: name the", id="its jobs"),
        pytest.param(f"executor: {{{AIRFLOW}, {JOBS}}}", "executor: needs username and password, or a", id="its login"),
        pytest.param(f"executor: {{{AIRFLOW}, {JOBS}, username: a}}", "executor: needs username and", id="half of it"),
        pytest.param(
            f"executor: {{{AIRFLOW}, {JOBS}, username: a, token: b}}", "executor.token: is given, and", id="two logins"
        ),
        pytest.param("rules: [{match: 'job:*'}]", "rules[0]: changes nothing; give it a calendar", id="no effect"),
        pytest.param("rules: [{match: 'job:*', breaker: {}}]", "rules[0]: changes nothing", id="an empty breaker"),
        pytest.param("detection: {calendar: {timezone: Mars}}", "detection.calendar.timezone: the tz ", id="a zone"),
        pytest.param("detection: {calendar: {subdivision: BY}}", "detection.calendar.subdivision: is need", id="part"),
        pytest.param("detection: {calendar: {dates: ['02-30']}}", "detection.calendar.dates[0]: there is", id="a day"),
        pytest.param("detection: {calendar: {dates: [1]}}", "detection.calendar.dates[0]: expected a te", id="no day"),
        pytest.param(
            "detection: {calendar: {dates: [x]}}", "detection.calendar.dates[0]: expected a text like", id="x"
        ),
        pytest.param(
            "rules: [{match: '*', calendar: {dates: [2026-02-29]}}]",
            "rules[0].calendar.dates[0]: there is no 2026-02-29",
            id="no leap year",
        ),
        pytest.param("rules: [{match: orders, max_duration: 2h}]", "rules[0].match: orders matches nothing", id="who"),
    ],
)
def test_what_cannot_work_together_is_refused(text: str, said: str) -> None:
    assert refused(text).startswith(said)


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        pytest.param("deadline: {}", "rules[0].deadline.at: is missing, and so is cron", id="when"),
        pytest.param("deadline: {cron: 3 * *}", "rules[0].deadline.cron: '3 * *' has 3 fields; five are", id="fields"),
        pytest.param("deadline: {cron: 61 * * * *}", "rules[0].deadline.cron: minute: '61' is not", id="no minute"),
        pytest.param("deadline: {cron: 0 3 * * *, at: 03:30}", "rules[0].deadline.cron: stands in the", id="both"),
        pytest.param("deadline: {cron: 0 3 * * *, days: [mon]}", "rules[0].deadline.cron: stands in the", id="days"),
        pytest.param("checks: [{kind: unique, column: a}]", "rules[0].checks: are of datasets, and match", id="a job"),
        pytest.param(
            "severity: error", "rules[0].severity: unknown value 'error'; known: critical, info", id="how bad"
        ),
        pytest.param("deadline: {at: 24:00}", "rules[0].deadline.at: expected a text like 03:30", id="no time"),
        pytest.param("deadline: {at: 3:30}", "rules[0].deadline.at: expected a text like 03:30", id="one digit"),
        pytest.param("deadline: {at: 03:30, days: []}", "rules[0].deadline.days: ", id="never"),
        pytest.param("deadline: {at: 03:30, days: [monday]}", "rules[0].deadline.days[0]: unknown value", id="a day"),
        pytest.param("deadline: {at: 03:30, timezone: Mars}", "rules[0].deadline.timezone: the tz data", id="a zone"),
        pytest.param("deadline: {at: 03:30, timezone: ../etc}", "rules[0].deadline.timezone: ", id="a path"),
        pytest.param("breaker: {wait: 2h, max_wait: 1h}", "rules[0].breaker.wait: must not be more", id="both waits"),
        pytest.param("breaker: {wait: 2d}", "rules[0].breaker.wait: must not be more than breaker.max_wait", id="wait"),
        pytest.param("breaker: {max_wait: 1s}", "rules[0].breaker.max_wait: must not be less than", id="the most"),
    ],
)
def test_a_rule_that_cannot_work_is_refused(rule: str, said: str) -> None:
    assert refused(f"rules: [{{match: 'job:*', {rule}}}]").startswith(said)


def test_a_rule_may_rely_on_another_rule() -> None:
    rules = "[{match: 'job:a/*', breaker: {wait: 2d}}, {match: 'job:*', breaker: {max_wait: 7d}}]"

    assert len(load(f"rules: {rules}").rules) == 2


@pytest.mark.parametrize(
    ("written", "port"), [("8081", 8081), ("0081", 81), ("+81", 81)], ids=["plain", "a zero before it", "a sign"]
)
def test_numbers_have_the_base_of_ten(written: str, port: int) -> None:
    assert load(f"http: {{port: {written}}}").http.port == port


# ---------------------------------------------------------------- kinds


def test_a_kind_is_made_with_its_parameters() -> None:
    chosen = load("breaker: {policy: {kind: window, criticals: 2}}").breaker.policy

    assert plugin(POLICIES, chosen, "breaker.policy") == Window(criticals=2)


@pytest.mark.parametrize(
    ("model", "said"),
    [
        pytest.param("kind: bnad", "detection.model.kind: unknown value 'bnad', did you mean band?", id="no kind"),
        pytest.param(
            "kind: band, widht: 4", "detection.model.widht: unknown key, did you mean width?", id="no parameter"
        ),
        pytest.param(
            "kind: band, width: wide", "detection.model.width: expected a number, got a text", id="of another type"
        ),
        pytest.param("kind: band, width: -1", "detection.model: ", id="refused by the kind"),
        pytest.param("width: 4", "detection.model.width: unknown key; known: kind, budget", id="of another kind"),
    ],
)
def test_a_kind_that_cannot_be_made_is_refused(model: str, said: str) -> None:
    chosen = load(f"detection: {{model: {{{model}}}}}").detection.model

    with pytest.raises(ConfigError) as caught:
        plugin(MODELS, chosen, "detection.model")

    assert str(caught.value).startswith(said)


def test_a_parameter_is_a_single_value() -> None:
    assert refused("detection: {model: {width: [1]}}").startswith("detection.model.width: expected a text, a number")


# ---------------------------------------------------------------- the environment


@pytest.mark.parametrize(
    ("name", "value", "path", "expected"),
    [
        pytest.param("HTTP__PORT", "9", "http.port", 9, id="a number"),
        pytest.param("BREAKER__MODE", "off", "breaker.mode", "off", id="a choice"),
        pytest.param("BREAKER__WAIT", "5m", "breaker.wait", 300.0, id="a duration"),
        pytest.param("WORKER__SLOT", "0", "worker.slot", "0", id="a text that looks like a number"),
        pytest.param("REDIS__PASSWORD", "007", "redis.password", Secret("007"), id="a password of digits"),
        pytest.param("REDIS__PASSWORD", "null", "redis.password", Secret("null"), id="a password that is a word"),
        pytest.param("TOPICS__CREATE", "false", "topics.create", False, id="truth"),
        pytest.param("TOPICS__INPUTS", "a, b", "topics.inputs", ("a", "b"), id="a list with commas"),
        pytest.param("TOPICS__INPUTS", "[a, b]", "topics.inputs", ("a", "b"), id="a list in brackets"),
        pytest.param("DETECTION__LATE__MIN_RUNS", "7", "detection.late.min_runs", 7, id="three levels"),
        pytest.param("DETECTION__MODEL__WIDTH", "4.5", "detection.model.parameters", {"width": 4.5}, id="of a kind"),
        pytest.param("DETECTION__METRICS", "null", "detection.metrics", None, id="null for a list"),
        pytest.param("REGISTRY__URL", "null", "registry.url", None, id="null for a text"),
        pytest.param("HTTP__PORT", "", "http.port", 8080, id="an empty variable is none"),
        pytest.param(
            "KAFKA__OPTIONS__FETCH_WAIT_MAX_MS", "5", "kafka.options", {"fetch.wait.max.ms": "5"}, id="with dots"
        ),
        pytest.param(
            *("KAFKA__SECRET_OPTIONS__SASL_OAUTHBEARER_CLIENT_SECRET", WORD, "kafka.secret_options"),
            {"sasl.oauthbearer.client.secret": Secret(WORD)},
            id="a secret with dots",
        ),
    ],
)
def test_a_variable_overrides_a_key(name: str, value: str, path: str, expected: object) -> None:
    found: object = load("registry: {url: 'http://h'}\nhttp: {port: 8080}", {f"DETECTOR_{name}": value})
    for key in path.split("."):
        found = getattr(found, key)

    assert found == expected


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        pytest.param("BREAKER__WIAT", "5s", "DETECTOR_BREAKER__WIAT: unknown key, did you mean wait?", id="a key"),
        pytest.param("BREAKR__WAIT", "5s", "DETECTOR_BREAKR__WAIT: unknown key, did you mean breaker?", id="a table"),
        pytest.param("BREAKER_WAIT", "5s", "DETECTOR_BREAKER_WAIT: unknown variable, did you mean D", id="one line"),
        pytest.param("KAFKA", "x", "DETECTOR_KAFKA: kafka cannot be given as one value", id="a whole table"),
        pytest.param("RULES", "[]", "DETECTOR_RULES: rules cannot be given as one value; only a file", id="rules"),
        pytest.param("RULES__0", "x", "DETECTOR_RULES__0: rules has no keys below it", id="one rule"),
        pytest.param("REDIS__PASSWORD__X", WORD, "DETECTOR_REDIS__PASSWORD__X: redis.password has no keys", id="deep"),
    ],
)
def test_a_variable_that_is_none_of_ours_is_refused(name: str, value: str, said: str) -> None:
    assert refused("", {f"DETECTOR_{name}": value}).startswith(said)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        pytest.param("HTTP__PORT", "x", id="type"),
        pytest.param("HTTP__PORT", "70000", id="range"),
        pytest.param("BREAKER__WAIT", "5", id="unit"),
        pytest.param("TIME__GAP", "1s", id="what must fit"),
        pytest.param("REDIS__PASSWORD_FILE", "nowhere", id="a file"),
        pytest.param("REDIS__URL", "http://h", id="an address"),
    ],
)
def test_a_wrong_value_names_the_variable_that_it_came_from(name: str, value: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=rf"\(from DETECTOR_{name}\)$"):
        load_file(None, {f"DETECTOR_{name}": value})


@pytest.mark.parametrize("name", ["DETECTOR_PORT", "DETECTOR_HTTP_PORT", "DETECTOR_SERVICE_HOST", "DETECTOR_CONFIG"])
def test_what_kubernetes_sets_for_a_service_of_that_name_is_left_alone(name: str) -> None:
    assert load("", {name: "tcp://10.0.0.1:80"}) == Config()


# ---------------------------------------------------------------- secrets


SECRETS = {
    "in the file": (f"redis: {{password: {WORD}}}", {}, {}),
    "in an address": (f"redis: {{url: 'redis://me:{WORD}@h:6379/0'}}", {}, {}),
    "in the environment": ("", {"DETECTOR_REDIS__PASSWORD": WORD}, {}),
    "in a file of its own": ("redis: {password_file: word}", {}, {"word": f"{WORD}\n"}),
    "in a file that the environment names": ("", {"DETECTOR_REDIS__PASSWORD_FILE": "word"}, {"word": f"{WORD}\r\n"}),
    "the variable before the file": ("redis: {password: a}", {"DETECTOR_REDIS__PASSWORD_FILE": "word"}, {"word": WORD}),
    "the variable before a file": ("redis: {password_file: a}", {"DETECTOR_REDIS__PASSWORD": WORD}, {}),
}


@pytest.mark.parametrize(("text", "env", "files"), SECRETS.values(), ids=SECRETS)
def test_a_secret_reaches_the_client_and_nobody_else(text: str, env: dict[str, str], files: dict[str, str]) -> None:
    config = load(text, env, files.__getitem__)

    assert config.redis.password is not None
    assert config.redis.password.reveal() == WORD
    assert WORD not in f"{config} {config!r} {show(config)} {config.redis.password} {config.redis.url}"


def test_a_token_may_be_in_a_file_and_is_shown_to_nobody() -> None:
    config = load("http: {tokens: [{name: a, token_file: word}]}", {}, {"word": f"{WORD}-0123456789\n"}.__getitem__)

    (token,) = config.http.tokens
    assert token.token is not None
    assert token.token.reveal() == f"{WORD}-0123456789"
    assert WORD not in f"{config!r} {show(config)}"


@pytest.mark.parametrize(
    ("url", "kept"),
    [
        ("unix:///run/redis.sock?db=1", "unix:///run/redis.sock?db=1"),
        ("rediss://me:hunter2@redis:6380/2", "rediss://redis:6380/2"),
    ],
)
def test_an_address_is_what_was_written_without_the_name_and_the_password(url: str, kept: str) -> None:
    assert load(f"redis: {{url: '{url}'}}").redis.url == kept


@pytest.mark.parametrize(
    ("key", "text", "env"),
    [
        ("password", f"username: me, password: {WORD}", {}),
        ("password", "username: me, password_file: word", {}),
        ("password", "username: me", {"DETECTOR_EXECUTOR__PASSWORD_FILE": "word"}),
        ("password", f"url: 'https://me:{WORD}@airflow:8080'", {}),
        ("token", f"token: {WORD}", {}),
        ("token", "token_file: word", {}),
        ("token", "", {"DETECTOR_EXECUTOR__TOKEN": WORD}),
    ],
)
def test_the_login_of_an_executor_is_secret_however_it_is_given(key: str, text: str, env: dict[str, str]) -> None:
    where = text if "url" in text else f"url: https://airflow:8080, {text}"

    config = load(
        f"executor: {{kind: airflow, namespaces: [airflow], {where}}}", env, {"word": f"{WORD}\n"}.__getitem__
    )

    assert getattr(config.executor, key).reveal() == WORD
    assert config.executor.url == "https://airflow:8080"
    assert WORD not in f"{config!r} {show(config)}"


def test_secrets_of_librdkafka_are_secrets_too() -> None:
    text = "kafka: {secret_options: {sasl.oauthbearer.client.secret: hunter2, ssl.keystore.password_file: word}}"

    config = load(text, {}, {"word": WORD}.__getitem__)

    assert {name: secret.reveal() for name, secret in config.kafka.secret_options.items()} == {
        "sasl.oauthbearer.client.secret": WORD,
        "ssl.keystore.password": WORD,
    }
    assert WORD not in f"{config!r} {show(config)}"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(f"redis: {{password: [{WORD}]}}", id="a list"),
        pytest.param(f"redis: {{pasword: {WORD}}}", id="a misspelt key"),
        pytest.param(f"redis: {{url: 'redis://me:{WORD}/x@h'}}", id="a slash in an address"),
        pytest.param(f"redis: {{url: 'redis://me:{WORD}#x@h'}}", id="a hash in an address"),
        pytest.param(f"redis: {{url: 'redis://me:12/{WORD}@h'}}", id="a port and a slash in an address"),
        pytest.param(f"redis: {{url: 'redis://h?password={WORD}'}}", id="behind a question mark"),
        pytest.param(f"registry: {{url: 'http://me:{WORD}@a,http://b'}}", id="two addresses"),
        pytest.param(f"kafka: {{options: {{sasl.oauthbearer.client.secret: {WORD}}}}}", id="an option that is shown"),
        pytest.param(f"kafka: {{options: {{sasl.password: {WORD}}}}}", id="an option with a key of its own"),
        pytest.param(f"kafka: {{sasl_password: {{a: {WORD}}}}}", id="a table"),
        pytest.param(f"kafka: {{secret_options: {{a.password: [{WORD}]}}}}", id="a list of secrets"),
    ],
)
def test_an_error_shows_no_secret(text: str) -> None:
    assert WORD not in refused(text)


@pytest.mark.parametrize(
    "text", ["redis: {password: 0123}", "kafka: {secret_options: {sasl.oauthbearer.client.secret: 0123}}"]
)
def test_a_password_of_digits_must_be_quoted_since_its_zeros_are_lost_otherwise(text: str) -> None:
    said = refused(text)

    assert "put it in quotes" in said
    assert "123" not in said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(None, "redis.password_file: word cannot be read (No such file or directory)", id="away"),
        pytest.param(b"\n", "redis.password_file: word is empty", id="empty"),
        pytest.param(b"\xffsecret", "redis.password_file: word is not UTF-8", id="no text"),
    ],
)
def test_a_secret_that_cannot_be_had_is_refused(content: bytes | None, said: str, tmp_path: Path) -> None:
    file = tmp_path / "detector.yaml"
    file.write_text("redis: {password_file: word}")
    if content is not None:
        (tmp_path / "word").write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        load_file(file, {})

    assert str(caught.value) == f"{file}: {said}"


def test_a_secret_is_given_once() -> None:
    said = refused("redis: {password: a, password_file: b}", files={"b": "c"})

    assert said == "redis.password_file: password is given, too; only one of them can be"


def test_secrets_are_compared_and_not_seen() -> None:
    assert Secret(WORD) == Secret(WORD) != Secret("other")
    assert f"{Secret(WORD)} {Secret(WORD)!r} {[Secret(WORD)]}" == "*** *** [***]"
    assert len({Secret(WORD), Secret(WORD)}) == 1


# ---------------------------------------------------------------- files


def test_secrets_are_looked_for_beside_the_file(tmp_path: Path) -> None:
    (tmp_path / "word").write_text(WORD)
    (tmp_path / "detector.yaml").write_text("redis: {password_file: word}")

    config = load_file(tmp_path / "detector.yaml", {"DETECTOR_HTTP__PORT": "9"})

    assert (config.redis.password, config.http.port) == (Secret(WORD), 9)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(None, "cannot be read (No such file or directory)", id="away"),
        pytest.param(b"\xff", "is not UTF-8", id="no text"),
        pytest.param(b"breaker: {wiat: 5s}", "breaker.wiat: unknown key", id="wrong"),
    ],
)
def test_an_error_names_the_file(content: bytes | None, said: str, tmp_path: Path) -> None:
    file = tmp_path / "detector.yaml"
    if content is not None:
        file.write_bytes(content)

    with pytest.raises(ConfigError) as caught:
        load_file(file, {})

    assert str(caught.value).startswith(f"{file}: {said}")


def test_no_file_is_all_defaults() -> None:
    assert load_file(None, {}) == Config()


# ---------------------------------------------------------------- for people, editors and other programs


FULL = """
kafka: {bootstrap_servers: 'a:1,b:2', options: {fetch.wait.max.ms: 5, debug: all}}
topics: {inputs: [a, b], replication: 2, create: false}
worker: {slot: '0', commit_min: 5ms, cache_bytes: 1000B}
detection: {model: {kind: band, width: 4}, metrics: [rows], late: {share: 0.25}}
breaker: {mode: off, on_unknown: block}
rules:
  - match: job:a/*
    deadline: {at: 03:30, days: [mon]}
    max_duration: 90m
    breaker: {mode: shadow, wait: 5m}
"""


@pytest.mark.parametrize("text", ["", FULL])
def test_what_is_shown_is_what_is_in_force(text: str) -> None:
    config = load(text)

    assert load(show(config)) == config


def test_what_is_shown_is_read_alike_by_others() -> None:
    """By those that take YAML 1.1: there `off` is false and `03:30` is a number."""
    import yaml

    found = yaml.safe_load(show(load(FULL)))

    assert (found["breaker"]["mode"], found["rules"][0]["deadline"]["at"]) == ("off", "03:30")


@pytest.mark.parametrize("text", [FILE.read_text(encoding="utf-8"), FULL, "redis: {password_file: word}"])
def test_the_json_schema_accepts_what_is_right(text: str) -> None:
    jsonschema.validate(parse(text), json.loads(json.dumps(schema())), jsonschema.Draft202012Validator)


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("breakr: {}", id="no such table"),
        pytest.param("breaker: {wiat: 5s}", id="no such key"),
        pytest.param("breaker: {wait: 5}", id="no unit"),
        pytest.param("breaker: {mode: on}", id="a choice"),
        pytest.param("http: {port: 70000}", id="too large"),
        pytest.param("topics: {inputs: [a b]}", id="no topic"),
        pytest.param("worker: {cache_bytes: 5mb}", id="no size"),
        pytest.param("rules: [{max_duration: 2h}]", id="no match"),
        pytest.param("rules: [{match: 'job:*', deadline: {at: 24:00}}]", id="no time"),
        pytest.param("detection: {model: {width: [1]}}", id="no single value"),
        pytest.param("redis: {url_file: x}", id="by file what is no secret"),
    ],
)
def test_the_json_schema_refuses_what_is_wrong(text: str) -> None:
    refused(text)

    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(parse(text), json.loads(json.dumps(schema())), jsonschema.Draft202012Validator)


def test_the_json_schema_describes_every_key() -> None:
    tables_of = json.loads(json.dumps(schema()))["$defs"]
    bare = [f"{name}.{key}" for name, t in tables_of.items() for key, of in t["properties"].items() if "$ref" not in of]

    assert [
        path for path in bare if "description" not in tables_of[path.split(".")[0]]["properties"][path.split(".")[1]]
    ] == []


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("breaker: {wait: 11m}", id="a wait"),
        pytest.param("breaker: {policy: {kind: window, criticals: 2}}", id="a policy"),
        pytest.param("detection: {model: {kind: band, width: 4}}", id="a model"),
        pytest.param("detection: {metrics: [rows]}", id="metrics"),
        pytest.param("time: {gap: 3m}", id="what an outage is"),
        pytest.param("state: {expire_after: 1d}", id="what is forgotten"),
        pytest.param("rules: [{match: 'job:*', max_duration: 2h}]", id="a rule"),
        pytest.param("detection: {calendar: {timezone: Europe/Berlin}}", id="a zone"),
        pytest.param("detection: {calendar: {country: DE}}", id="holidays"),
    ],
)
def test_the_fingerprint_changes_with_what_decides(text: str) -> None:
    assert fingerprint(load(text)) != fingerprint(load(""))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("kafka: {bootstrap_servers: 'a:1'}", id="where Kafka is"),
        pytest.param("redis: {url: 'redis://h', password: hunter2}", id="where Redis is"),
        pytest.param("worker: {commit_max: 100ms, slot: '1', cache_bytes: 1MiB}", id="how fast"),
        pytest.param("topics: {inputs: [a]}", id="what is read"),
        pytest.param("time: {tick: 1s}", id="how often time is told"),
        pytest.param("state: {backstop_interval: 2h}", id="what is kept for the worst"),
        pytest.param("executor: {parallel: 2, timeout: 1s}", id="who redoes runs"),
        pytest.param("log: {level: debug}\nhttp: {port: 9}", id="how it tells of itself"),
        pytest.param("breaker: {wait: 600s}", id="the default in other words"),
    ],
)
def test_the_fingerprint_does_not_change_with_what_does_not_decide(text: str) -> None:
    assert fingerprint(load(text)) == fingerprint(load(""))


# ---------------------------------------------------------------- units


@pytest.mark.parametrize(
    ("text", "expected"), [("250ms", 0.25), ("5s", 5), ("1h30m", 5_400), ("1.5d", 129_600), ("1w", 604_800), ("0s", 0)]
)
def test_durations(text: str, expected: float) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [("5B", 5), ("512KiB", 1 << 19), ("1MB", 10**6), ("1kB", 1_000), ("1KB", 1_000), ("1TiB", 1 << 40)],
)
def test_sizes(text: str, expected: int) -> None:
    assert size(text) == expected


@given(st.integers(0, 36_525 * 86_400_000))
def test_a_duration_is_read_as_it_was_written(milliseconds: int) -> None:
    assert seconds(write_seconds(milliseconds / 1_000)) == milliseconds / 1_000


@given(st.integers(1, 1 << 50))
def test_a_size_is_read_as_it_was_written(count: int) -> None:
    assert size(write_size(count)) == count


@given(st.text(max_size=60))
def test_any_text_is_a_configuration_or_an_error_in_words(text: str) -> None:
    with suppress(ConfigError):
        assert isinstance(load(text), Config)


def test_the_tz_database_comes_with_the_package() -> None:
    """Deadlines must not depend on what an image has."""
    dependencies = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]

    assert any(line.startswith("tzdata") for line in dependencies)


def test_a_zone_is_that_of_the_package_whatever_the_machine_has(tmp_path: Path) -> None:
    """A /usr/share in which Berlin is what Kathmandu is elsewhere."""
    there = tmp_path / "Europe" / "Berlin"
    there.parent.mkdir()
    there.write_bytes((resources.files("tzdata") / "zoneinfo" / "Asia" / "Kathmandu").read_bytes())
    code = """if True:
        from datetime import datetime
        from zoneinfo import ZoneInfo
        from detector.config import zone
        when = datetime(2026, 7, 1)
        print(ZoneInfo("Europe/Berlin").utcoffset(when), zone("Europe/Berlin").utcoffset(when))
    """

    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONTZPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
    )

    assert done.stdout.split() == ["5:45:00", "2:00:00"]


def test_a_zone_is_the_same_object_each_time() -> None:
    """So that two deadlines, and two settings, that say the same are equal."""
    assert zone("Europe/Berlin") is zone("Europe/Berlin")
    assert str(zone("Europe/Berlin")) == "Europe/Berlin"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("Europe/Berln", "the tz database has no Europe/Berln, did you mean Europe/Berlin?"),
        ("europe/berlin", "the tz database has no europe/berlin, did you mean Europe/Berlin?"),
        ("Mars", "the tz database has no Mars; names are like Europe/Berlin"),
        ("../zones", "the tz database has no ../zones; names are like Europe/Berlin"),
    ],
)
def test_a_zone_that_is_none_is_refused_with_the_nearest(name: str, said: str) -> None:
    with pytest.raises(ValueError) as caught:
        zone(name)

    assert str(caught.value) == said
