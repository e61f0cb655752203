"""The commands as people and scripts meet them: words, exit codes, and what a pipe gets."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, Producer
from typer.testing import CliRunner, Result

from detector import __version__
from detector.__main__ import app
from detector.config import load
from detector.core.breaker import State
from detector.core.emissions import Anomaly, Attained, BreakerChange, BreakerValue, Data, Emission, OpenEpisode, Sla
from detector.core.messages import Redo
from detector.core.partition import partition_of
from detector.core.recovery import PlanStep, RecoveryPlan
from detector.embedded import EmbeddedBroker, EmbeddedRedis
from detector.plans import TYPE
from detector.sinks import cloudevents

COMMANDS = [
    *(
        "run",
        "backtest",
        "demo",
        "check",
        "gate",
        "breaker list",
        "breaker show",
        "breaker report",
        "tail",
        "emit",
        "seed",
    ),
    *("sla", "import odcs", "import dbt", "execute", "alert"),
    *("config check", "config show", "config schema", "doctor", "reset"),
    *("incidents list", "incidents show", "incidents ack", "lineage", "rules", "feedback"),
    *("breaker override", "breaker probe", "mute", "unmute", "mutes"),
    *("maintenance add", "maintenance import", "maintenance end", "maintenance list"),
    *("recover plan", "recover status", "recover abandon"),
]
JOB = "job:airflow/orders.load"
SAMPLES = Path(__file__).parent / "samples" / "openlineage"


def detector(*arguments: str, input: bytes | str | None = None) -> Result:  # noqa: A002
    """Run a command in this process, as if its output went into a pipe."""
    return CliRunner().invoke(app, arguments, prog_name="detector", env={"COLUMNS": "120"}, input=input)


def process(*arguments: str, cwd: Path, **env: str) -> "subprocess.Popen[str]":
    """The same in a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "detector", *arguments],
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent), **env},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def ended(child: "subprocess.Popen[str]") -> tuple[int, str, str]:
    """Exit code, output and errors of a process."""
    out, err = child.communicate(timeout=60)
    return child.returncode, out, err


# ---------------------------------------------------------------- help


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_how_a_command_is_used(command: str) -> None:
    result = detector(*command.split(), "--help")

    assert result.exit_code == 0
    assert len(re.findall(rf"detector {command}\b(?! \[)", result.output)) >= 2
    assert result.output.isascii() or not re.search("[\U0001f000-\U0001ffff❄]", result.output)


def test_help_lists_every_command_and_where_to_begin() -> None:
    result = detector("--help")

    assert all(command.split()[0] in result.output for command in COMMANDS)
    assert "detector demo" in result.output


def test_the_version_is_told() -> None:
    assert detector("--version").output == f"detector {__version__}\n"


@pytest.mark.parametrize("shell", ["bash", *(pytest.param(other, marks=pytest.mark.slow) for other in ("zsh", "fish"))])
def test_a_shell_completes_commands(shell: str, tmp_path: Path) -> None:
    asked = {"COMP_WORDS": "detector br", "COMP_CWORD": "1"}
    asked |= {"_TYPER_COMPLETE_ARGS": "detector br", "_TYPER_COMPLETE_FISH_ACTION": "get-args"}

    code, out, _ = ended(process(cwd=tmp_path, _DETECTOR_COMPLETE=f"complete_{shell}", **asked))

    assert (code, "breaker" in out) == (0, True)


# ---------------------------------------------------------------- a site with both services


class Site:
    """A directory with a configuration, a broker and a Redis."""

    def __init__(self, directory: Path, broker: EmbeddedBroker, server: EmbeddedRedis) -> None:
        self.directory, self.broker, self.redis = directory, broker, server.client()
        for topic in ("openlineage.events", "detector.control"):
            broker.create_topic(topic, 2)
        file = directory / "detector.yaml"
        file.write_text(f"kafka: {{bootstrap_servers: '{broker.bootstrap}'}}\nredis: {{url: '{server.url}'}}\n")

    def breaker(self, entity: str = JOB, beat: float | None = 0.0, **change: object) -> None:
        """Let Redis have a breaker, and a heartbeat that is `beat` seconds old."""
        now = time.time()
        value = msgspec.structs.replace(closed(entity, now), **change)
        stored = {**msgspec.to_builtins(value), "offset": 4, "topic_id": "t"}
        self.redis.set(f"detector:{{view}}:breaker:{entity}", msgspec.json.encode(stored))
        if beat is not None:
            self.redis.set("detector:{view}:heartbeat:0", json.dumps({"partition": 0, "clock": now - beat}))

    def say(self, *said: tuple[str, str, Data]) -> None:
        """Let the control topic have events: (entity, type, data)."""
        producer = Producer({"bootstrap.servers": self.broker.bootstrap})
        for number, (entity, type_, data) in enumerate(said):
            send = cloudevents.encode(Emission(str(number), "control", entity, type_, 60.0 * number, data), "/d", Names)
            producer.produce(send.topic, send.value, send.key, headers=list(send.headers))
            assert producer.flush(10) == 0

    def feedback(self, entity: str, episode: str, verdict: str) -> None:
        """Let the control topic have what a person said of an episode."""
        producer = Producer({"bootstrap.servers": self.broker.bootstrap})
        data = {
            "command": "feedback",
            "entity": entity,
            "episode": episode,
            "verdict": verdict,
            "by": "ada",
            "done": True,
        }
        named = {"specversion": "1.0", "id": "f", "source": "/d", "type": "io.detector.command.done.v1"}
        headers: list[tuple[str, str | bytes | None]] = [(f"ce_{name}", value) for name, value in named.items()]
        producer.produce("detector.control", json.dumps(data), entity, headers=headers)
        assert producer.flush(10) == 0

    def records(self, topic: str, count: int) -> list[tuple[bytes | None, bytes | None]]:
        """The first records of a topic."""
        consumer = Consumer(
            {"bootstrap.servers": self.broker.bootstrap, "group.id": "t", "auto.offset.reset": "earliest"}
        )
        consumer.subscribe([topic])
        try:
            found = consumer.consume(count, 30)
        finally:
            consumer.close()
        return [(message.key(), message.value()) for message in found]


class Names:
    control = "detector.control"
    breakers = "detector.breakers"
    incidents = "detector.incidents"
    runs = "detector.runs"
    log = "detector.observations"


def closed(entity: str, now: float) -> BreakerValue:
    return BreakerValue(
        entity=entity,
        state=State.CLOSED,
        mode="enforce",
        on_unknown="block",
        since=now - 3_600,
        retry_at=None,
        reason="a good run",
        cause=None,
        trips=0,
        sequence=4,
        warming_up=False,
        partition=0,
    )


OPEN: dict[str, Any] = {"state": State.OPEN, "reason": "412 rows, expected 9,400 to 11,800"}


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedRedis]:
    """One for all tests, since it takes longer to start than most of them take."""
    with EmbeddedRedis(tcp=True) as server:
        yield server


@pytest.fixture
def site(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, embedded_broker: EmbeddedBroker, server: EmbeddedRedis
) -> Iterator[Site]:
    monkeypatch.chdir(tmp_path)
    site = Site(tmp_path, embedded_broker, server)
    site.redis.flushall()
    yield site
    site.redis.close()


# ---------------------------------------------------------------- execute


PLAN = RecoveryPlan(
    plan="5f0c",
    version=2,
    root="dataset:db/raw.orders",
    incident=None,
    state="open",
    opened=0.0,
    steps=[
        PlanStep(job=JOB, runs=[Redo(why="failed", run_id="r1", nominal_time=0.0), Redo(why="failed", run_id="r2")]),
        PlanStep(job="job:dbt/marts", runs=[Redo(why="missed", nominal_time=0.0)]),
        PlanStep(job="job:airflow/report", after=[JOB], runs=[Redo(why="bad", nominal_time=0.0)]),
    ],
    summary="4 runs to redo since raw.orders was empty",
)
AIRFLOW = (
    "executor: {kind: airflow, url: 'http://127.0.0.1:1', namespaces: [airflow], username: me, password: hunter2}\n"
)


def plan(site: Site, *plans: RecoveryPlan) -> None:
    """Let the control topic have plans."""
    producer = Producer({"bootstrap.servers": site.broker.bootstrap})
    for one in plans:
        attributes = {"specversion": "1.0", "id": f"{one.plan}{one.version}", "source": "/d", "type": TYPE}
        headers: list[tuple[str, str | bytes | None]] = [(f"ce_{name}", text) for name, text in attributes.items()]
        producer.produce("detector.control", msgspec.json.encode(one), one.root, headers=headers)
    assert producer.flush(10) == 0


def with_airflow(site: Site) -> None:
    file = site.directory / "detector.yaml"
    file.write_text(file.read_text() + AIRFLOW)


def test_execute_says_what_would_be_asked_for_and_asks_for_nothing(site: Site) -> None:
    with_airflow(site)
    plan(site, msgspec.structs.replace(PLAN, version=1, steps=[]), PLAN)

    result = detector("execute")

    assert result.exit_code == 0
    assert result.stdout.splitlines() == [
        "plan 5f0c, version 2: 4 runs to redo since raw.orders was empty",
        "  ask   job:airflow/orders.load  failed: 1970-01-01 00:00:00 UTC",
        "  ask   job:airflow/orders.load  failed: run r2",
        "  hand  job:dbt/marts  missed: 1970-01-01 00:00:00 UTC",
        "  wait  job:airflow/report  after job:airflow/orders.load",
    ]


def test_execute_tells_programs_the_same(site: Site) -> None:
    with_airflow(site)
    plan(site, PLAN)

    told = [json.loads(line) for line in detector("execute", "--dry-run", "--json").stdout.splitlines()]

    assert [(one["plan"], one["job"], one["ours"]) for one in told] == [
        ("5f0c", JOB, True),
        ("5f0c", JOB, True),
        ("5f0c", "job:dbt/marts", False),
    ]
    assert told[0]["run"] == {"why": "failed", "run_id": "r1", "nominal_time": 0.0}


def test_without_an_executor_all_is_for_people(site: Site) -> None:
    plan(site, PLAN)

    lines = detector("execute").stdout.splitlines()

    assert [line.split()[0] for line in lines] == ["plan", "hand", "hand", "hand", "wait"]


def test_of_plans_that_are_over_nothing_is_said(site: Site) -> None:
    plan(site, PLAN, msgspec.structs.replace(PLAN, version=3, state="done"))

    assert detector("execute").stdout == "no plan is open\n"


def test_an_event_that_is_no_plan_is_told_and_left_out(site: Site) -> None:
    producer = Producer({"bootstrap.servers": site.broker.bootstrap})
    attributes = {"specversion": "1.0", "id": "1", "source": "/d", "type": TYPE}
    producer.produce("detector.control", b"{}", "e", headers={f"ce_{name}": text for name, text in attributes.items()})
    assert producer.flush(10) == 0

    result = detector("execute")

    assert (result.exit_code, result.stdout) == (0, "no plan is open\n")
    assert result.stderr.startswith("an event about e is no plan: Object missing required field `plan`")


@pytest.mark.slow
def test_execute_needs_somebody_to_ask(site: Site) -> None:
    code, _, err = ended(process("execute", "--apply", cwd=site.directory))

    assert code == 1
    assert err.startswith("detector: executor.kind: is none, so there is nobody to ask; known: airflow\n")


@pytest.mark.slow
def test_execute_waits_for_an_executor_that_is_away_and_stops_when_it_is_told_to(site: Site) -> None:
    with_airflow(site)
    plan(site, PLAN)
    child = process("execute", "--apply", cwd=site.directory)
    assert child.stderr is not None
    lines = []
    for line in child.stderr:
        lines.append(json.loads(line))
        if lines[-1]["event"] == "executor_waits":
            child.terminate()
    code, _, _ = ended(child)

    assert [line["event"] for line in lines] == ["executing", "plan_taken", "executor_waits", "stopped"]
    assert code == 0


# ---------------------------------------------------------------- check


@pytest.mark.parametrize(
    ("breaker", "code", "line"),
    [
        pytest.param(
            {}, 0, r"allow   job:airflow/orders.load  closed for 1 h: a good run \(heartbeat 0.\d s old\)", id="go"
        ),
        pytest.param(OPEN, 1, r"block   job:airflow/orders.load  open for 1 h: 412 rows, expected .*", id="stop"),
        pytest.param({"beat": 90.0}, 2, r"unknown job:airflow/orders.load  .*; its setting .* to block", id="stale"),
        pytest.param(
            {**OPEN, "mode": "shadow"}, 0, r"allow .* in shadow mode, which stops nobody; it is open.*", id="shadow"
        ),
    ],
)
def test_check_says_it_in_a_line_and_an_exit_code(site: Site, breaker: dict, code: int, line: str) -> None:
    site.breaker(**breaker)

    result = detector("check", JOB)

    assert result.exit_code == code
    assert re.fullmatch(line, result.stdout.rstrip("\n")), result.stdout


def test_check_answers_programs_in_json(site: Site) -> None:
    site.breaker(**OPEN)

    answer = json.loads(detector("check", JOB, "--json").stdout)

    assert (answer["verdict"], answer["breaker"]["state"]) == ("block", "open")


def test_check_believes_an_older_heartbeat_if_it_may(site: Site) -> None:
    site.breaker(beat=90.0)

    assert detector("check", JOB, "--max-age", "100").exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "config", "said"),
    [
        pytest.param([JOB], "redis: {url: 'redis://127.0.0.1:1'}", "Redis does not answer", id="Redis is away"),
        pytest.param([JOB], "kafkaa: {}", "kafkaa: unknown key", id="the configuration is wrong"),
        pytest.param([JOB, "-c", "nowhere.yaml"], "", "nowhere.yaml: cannot be read", id="there is no such file"),
        pytest.param(["orders"], "", "write job:<namespace>/<name>", id="this is no entity"),
        pytest.param(["job:orders"], "", "write job:<namespace>/<name>", id="this has no namespace"),
    ],
)
def test_check_never_says_stop_because_it_cannot_know(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], config: str, said: str
) -> None:
    (tmp_path / "detector.yaml").write_text(config)
    monkeypatch.chdir(tmp_path)

    result = detector("check", *arguments)

    assert result.exit_code == 2
    assert said in result.output


def test_check_asks_kafka_if_told_so(site: Site) -> None:
    site.broker.create_topic("detector.breakers", 3)
    partition, now = partition_of(JOB, 3), time.time()
    value = msgspec.structs.replace(closed(JOB, now), partition=partition)
    producer = Producer({"bootstrap.servers": site.broker.bootstrap})
    for key, data in ((JOB, msgspec.structs.replace(value, **OPEN)), (JOB, value), ("job:a/other", value)):
        producer.produce("detector.breakers", msgspec.json.encode(data), key, partition)
    producer.produce(
        "detector.breakers", b'{"partition":%d,"clock":%f}' % (partition, now), f"heartbeat:{partition}", partition
    )
    producer.flush(10)

    assert detector("check", JOB, "--from", "kafka").stdout.startswith(
        "allow   job:airflow/orders.load  closed for 1 h"
    )

    producer.produce("detector.breakers", None, JOB, partition)
    producer.flush(10)

    assert detector("check", JOB, "--from", "kafka").exit_code == 2


@pytest.mark.slow
def test_check_of_a_kafka_that_is_away_is_unknown(tmp_path: Path) -> None:
    (tmp_path / "detector.yaml").write_text("kafka: {bootstrap_servers: '127.0.0.1:1'}")

    code, out, err = ended(process("check", JOB, "--from", "kafka", cwd=tmp_path))

    assert (code, err) == (2, "")
    assert "Kafka does not answer" in out


# ---------------------------------------------------------------- breaker


def test_the_list_has_a_line_for_each_breaker(site: Site) -> None:
    site.breaker()
    site.breaker("dataset:[red]a[/red]/b", **OPEN)

    lines = detector("breaker", "list").stdout.splitlines()

    assert [re.split(r"  +", line.strip()) for line in lines] == [
        ["answer", "state", "for", "entity", "reason"],
        ["block", "open", "1 h", "dataset:[red]a[/red]/b", "412 rows, expected 9,400 to 11,800"],
        ["allow", "closed", "1 h", JOB, "a good run"],
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param(["--state", "open"], ["dataset:a/b"], id="by state"),
        pytest.param(["--entity", "job:*"], [JOB], id="by entity"),
        pytest.param(["--state", "half_open"], [], id="none"),
    ],
)
def test_the_list_can_be_narrowed(site: Site, options: list[str], expected: list[str]) -> None:
    site.breaker()
    site.breaker("dataset:a/b", **OPEN)

    lines = detector("breaker", "list", "--json", *options).stdout.splitlines()

    assert [json.loads(line)["entity"] for line in lines] == expected


def test_a_state_that_does_not_exist_is_refused(site: Site) -> None:
    result = detector("breaker", "list", "--state", "ajar")

    assert (result.exit_code, "half_open" in result.output) == (2, True)


def test_show_tells_all_that_is_known(site: Site) -> None:
    episode = OpenEpisode(id="5f0c", since=0.0, severity=2, count=3, run_id="r")
    site.breaker(**OPEN, retry_at=0.0, cause="5f0c", trips=2, episodes={"rows_out": episode})

    shown = detector("breaker", "show", JOB).stdout

    assert shown.startswith("block   job:airflow/orders.load  open for 1 h")
    for told in ("probe from", "anomaly 5f0c", "2 without a recovery", "anomaly rows_out", "seen 3 times"):
        assert told in shown


# ---------------------------------------------------------------- import

CONTRACT = Path(__file__).parent / "samples" / "contracts" / "orders.odcs.yaml"
PROJECT = Path(__file__).parent / "samples" / "dbt"


def test_a_contract_is_printed_as_rules_and_counted_beside() -> None:
    result = detector("import", "odcs", str(CONTRACT), "--server", "staging")

    assert result.exit_code == 0
    assert len(load(result.stdout).rules) == 2
    assert "match: dataset:postgres://staging-db:5432/dwh.public.ORDERS" in result.stdout
    assert result.stderr == "2 datasets, 14 checks, 1 deadlines; 11 not translated\n"


@pytest.mark.parametrize("path", [".", "manifest.json", "models/marts.yml"])
def test_a_project_a_manifest_or_a_file_of_dbt_is_printed_as_rules(path: str) -> None:
    options = ["--namespace", "snowflake://acme", "--namespace", "stripe=postgres://s:1", "--models", "DWH.PUBLIC"]
    result = detector("import", "dbt", str(PROJECT / path), *options)

    assert result.exit_code == 0
    assert load(result.stdout).rules
    assert "not translated" in result.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(["odcs", "nowhere.yaml"], "there is no nowhere.yaml", id="no file"),
        pytest.param(["dbt", str(PROJECT), "--namespace", "s=x"], "give one --namespace for all", id="of one source"),
        pytest.param(["dbt", str(PROJECT), "--namespace", "a", "--namespace", "b"], "one namespace for all", id="two"),
    ],
)
def test_import_says_what_was_typed_wrong(options: list[str], said: str) -> None:
    result = detector("import", *options)

    assert result.exit_code == 2
    assert said in " ".join(result.stderr.replace("│", "").split())


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(["odcs", str(CONTRACT)], "name one with --server: production, staging", id="which server"),
        pytest.param(["dbt", str(CONTRACT.with_suffix(".json")), "--namespace", "x"], "is no manifest", id="no JSON"),
    ],
)
def test_import_fails_with_what_to_do(options: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "orders.odcs.json").write_text("{")
    options = [str(tmp_path / "orders.odcs.json") if option.endswith(".json") else option for option in options]
    code, out, err = ended(process("import", *options, cwd=tmp_path))

    assert (code, out) == (1, "")
    assert said in err


# ---------------------------------------------------------------- tail


def anomaly(entity: str, phase: str, summary: str) -> tuple[str, str, Data]:
    data = Anomaly(
        phase=phase,  # type: ignore[arg-type]
        episode="5f0c",
        entity=entity,
        check="rows",
        severity="info" if phase == "ended" else "critical",
        summary=summary,
        since=0.0,
    )
    return entity, f"io.detector.anomaly.{phase}.v1", data


def opened(entity: str) -> tuple[str, str, Data]:
    data = BreakerChange(
        entity=entity,
        from_state=State.CLOSED,
        to_state=State.OPEN,
        mode="enforce",
        reason="rows",
        cause=None,
        retry_at=None,
        trips=1,
        sequence=1,
        summary=f"{entity} is open: rows: 412, expected 9,400",
    )
    return entity, "io.detector.breaker.state_changed.v1", data


STORY = (
    anomaly(JOB, "started", "rows: 412, expected 9,400"),
    opened(JOB),
    anomaly("job:dbt/[bold]daily[/bold]", "started", "rows: 3"),
    anomaly(JOB, "ended", "rows: back to normal, after 2 h"),
)


def test_tail_writes_a_line_for_each_event_in_order(site: Site) -> None:
    site.say(*STORY)

    result = detector("tail", "--no-follow")

    assert result.stdout.splitlines() == [
        "01 Jan 00:00:00  critical     job:airflow/orders.load  rows: 412, expected 9,400",
        "01 Jan 00:01:00  open         job:airflow/orders.load  rows: 412, expected 9,400",
        "01 Jan 00:02:00  critical     job:dbt/[bold]daily[/bold]  rows: 3",
        "01 Jan 00:03:00  ended        job:airflow/orders.load  rows: back to normal, after 2 h",
    ]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param(["-n", "1"], [3], id="the last one"),
        pytest.param(["-n", "0"], [], id="none of them"),
        pytest.param(["--from-start", "-n", "1"], [0, 1, 2, 3], id="all of them"),
        pytest.param(["--type", "breaker"], [1], id="by the beginning of the type"),
        pytest.param(["--type", "anomaly.started"], [0, 2], id="by more of the type"),
        pytest.param(["--type", "io.detector.anomaly.ended.v1"], [3], id="by the whole type"),
        pytest.param(["--type", "*ended*"], [3], id="by a glob"),
        pytest.param(["--type", "breaker,anomaly.ended"], [1, 3], id="by one of several types"),
        pytest.param(["--entity", "job:dbt/*"], [2], id="by entity"),
        pytest.param(["--entity", "job:dbt/*", "--type", "breaker"], [], id="by both"),
    ],
)
def test_tail_shows_what_is_wanted(site: Site, options: list[str], expected: list[int]) -> None:
    site.say(*STORY)

    lines = detector("tail", "--no-follow", "--json", *options).stdout.splitlines()

    assert [int(json.loads(line)["id"]) for line in lines] == expected


def deadline(entity: str, met: int, missed: int) -> tuple[str, str, Data]:
    data = Sla(
        entity=entity,
        deadline=0.0,
        met=missed == 0,
        completed=None,
        month="2026-11",
        months={"2026-10": Attained(met=31, missed=0), "2026-11": Attained(met=met, missed=missed)},
        owner="team-orders",
        summary="",
    )
    return entity, "io.detector.sla.v1", data


def test_sla_says_how_many_deadlines_were_met(site: Site) -> None:
    site.say(*STORY, deadline(JOB, 16, 0), deadline(JOB, 16, 1), deadline("dataset:db/orders", 3, 0))

    told = detector("sla", "--month", "2026-11")
    rows = [line.split() for line in told.stdout.splitlines()]

    assert rows == [
        ["entity", "month", "met", "missed", "attained", "owner"],
        ["dataset:db/orders", "2026-11", "3", "0", "100.0", "%", "team-orders"],
        [JOB, "2026-11", "16", "1", "94.1", "%", "team-orders"],
    ]
    assert told.stderr == "20 deadlines, 1 missed\n"
    lines = detector("sla", "--entity", "job:*", "--json").stdout.splitlines()

    assert [(json.loads(line)["month"], json.loads(line)["attained"]) for line in lines] == [
        ("2026-10", 1.0),
        ("2026-11", 0.941176),
    ]


@pytest.mark.parametrize("month", ["november", "2026-13", "2026-1"])
def test_sla_refuses_what_is_no_month(month: str) -> None:
    result = detector("sla", "--month", month)

    assert result.exit_code == 2
    assert "is no month: write one like 2026-11" in " ".join(result.stderr.replace("│", "").split())


@pytest.mark.slow
def test_tail_follows_until_ctrl_c_and_then_is_quiet(site: Site) -> None:
    child = process("tail", "--json", cwd=site.directory)
    assert child.stdout is not None
    site.say(*STORY[:1])

    first = child.stdout.readline()
    child.send_signal(signal.SIGINT)
    code, _, err = ended(child)

    assert json.loads(first)["id"] == "0"
    assert (code, err) == (130, "")


@pytest.mark.slow
def test_tail_of_nothing_says_what_is_missing(site: Site) -> None:
    (site.directory / "detector.yaml").write_text("kafka: {bootstrap_servers: '127.0.0.1:1'}")

    code, out, err = ended(process("tail", cwd=site.directory))

    assert (code, out) == (1, "")
    assert err.startswith("detector: Kafka at 127.0.0.1:1 does not answer")
    assert "detector doctor" in err


# ---------------------------------------------------------------- breaker report


def moved(before: str, after: str, entity: str = JOB, mode: str = "shadow") -> tuple[str, str, Data]:
    _, type_, data = opened(entity)
    change = {"from_state": State(before), "to_state": State(after), "mode": mode, "cause": "5f0c"}
    return entity, type_, msgspec.structs.replace(data, **change)


SHADOWED = (moved("closed", "open"), moved("open", "half_open"), moved("half_open", "closed"))


def test_the_report_has_a_row_for_each_entity_and_a_sentence_for_each_mode(site: Site) -> None:
    site.say(*SHADOWED, moved("closed", "open", "job:dbt/[red]", "enforce"), moved("open", "unknown", "job:dbt/[red]"))
    site.feedback(JOB, "5f0c", "confirmed")

    lines = detector("breaker", "report", "--since", "1970-01-01").stdout.splitlines()

    assert re.split("  +", lines[0].rstrip()) == ["entity", "would have opened", "lost", "opened", "lost", "missed"]
    assert re.split("  +", lines[1].rstrip()) == [JOB, "1: 1 confirmed", "2 min"]
    assert re.split("  +", lines[2].rstrip()) == ["job:dbt/[red]", "1: 1 not judged", "1 min"]
    assert re.fullmatch(
        r"in shadow: would have opened once in \d+ days, 1 confirmed, 2 min of freshness lost", lines[3]
    )
    assert re.fullmatch(r"enforced: opened once in \d+ days, 1 not judged, 1 min of freshness lost", lines[4])


def test_the_report_is_json_for_programs(site: Site) -> None:
    site.say(*SHADOWED, moved("closed", "open", "job:dbt/daily"))
    site.feedback(JOB, "5f0c", "false_positive")

    result = detector("breaker", "report", "--since", "1970-01-01", "--entity", "job:airflow/*", "--json")

    report = json.loads(result.stdout)
    assert [line["entity"] for line in report["entities"]] == [JOB]
    assert (report["total"]["shadow"]["opened"], report["total"]["shadow"]["false"]) == (1, 1)
    assert (report["since"], report["until"] > report["since"]) == (0.0, True)


@pytest.mark.parametrize("since", [(), ("--since", "1h")])
def test_the_report_of_nothing_says_so(site: Site, since: tuple[str, ...]) -> None:
    result = detector("breaker", "report", *since)

    within = "1 h" if since else "30 days"
    told = f"in shadow: would never have opened in {within}\nenforced: never opened in {within}\n"
    assert (result.exit_code, result.stdout) == (0, told)


def test_the_report_refuses_a_time_that_is_none(site: Site) -> None:
    result = detector("breaker", "report", "--since", "last week")

    assert (result.exit_code, "no time" in result.stderr) == (2, True)


# ---------------------------------------------------------------- emit


@pytest.mark.slow
def test_emit_sends_captured_records_as_they_were(site: Site) -> None:
    lines = (SAMPLES / "dbt.jsonl").read_bytes().splitlines()

    result = detector("emit", str(SAMPLES / "dbt.jsonl"))

    assert (result.exit_code, result.stderr) == (0, f"{len(lines)} delivered, 0 failed\n")
    sent = sorted((json.loads(line)["key"].encode(), json.loads(line)["value"].encode()) for line in lines)
    assert sorted(site.records("openlineage.events", len(lines))) == sent


@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("*.jsonl")), ids=lambda path: path.stem)
def test_emit_keys_events_as_the_client_did(sample: Path) -> None:
    from detector.emit import outgoing

    captured = [json.loads(line) for line in sample.read_bytes().splitlines()]

    keys = [(outgoing(record["value"].encode()).key or b"").decode() for record in captured]

    assert keys == [record["key"] for record in captured]


@pytest.mark.parametrize(
    ("event", "key"),
    [
        pytest.param({"state": "START", "run_id": "r"}, b"run:a/b", id="a run of our own"),
        pytest.param({"kind": "profile", "rows": 3}, b"dataset:a/b", id="a profile"),
    ],
)
def test_emit_keys_our_own_events_alike(event: dict, key: bytes) -> None:
    from detector.emit import outgoing

    own = {"namespace": "a", "name": "b", "event_time": 5.0, **event}

    assert outgoing(json.dumps(own).encode()).key == key


def test_emit_tells_which_lines_it_did_not_send(site: Site) -> None:
    good = b'{"namespace":"a","name":"b","run_id":"r","state":"START","event_time":5}\n'

    result = detector("emit", input=good + b"\n" + b'{"a":1}\n' + b"no json\n" + b'{"value":null}\n')

    assert result.exit_code == 1
    told = result.stderr.splitlines()
    assert [line.partition(":")[0] for line in told] == ["line 3", "line 4", "line 5", "1 delivered, 3 failed"]


def test_emit_to_another_topic(site: Site) -> None:
    site.broker.create_topic("elsewhere", 1)

    detector("emit", "--topic", "elsewhere", input=b'{"value_base64":"AAE=","key":"k"}\n')

    assert site.records("elsewhere", 1) == [(b"k", b"\x00\x01")]


def test_emit_of_a_file_that_is_not_there(site: Site) -> None:
    result = detector("emit", "nowhere.jsonl")

    assert (result.exit_code, "nowhere.jsonl is no file" in result.output) == (2, True)


# ---------------------------------------------------------------- config, errors, pipes


def test_config_check_of_a_good_file(site: Site) -> None:
    assert detector("config", "check").output == "detector.yaml is right\n"


@pytest.mark.slow
def test_config_check_of_a_model_that_does_not_exist(site: Site) -> None:
    with (site.directory / "detector.yaml").open("a") as file:
        file.write("\ndetection: {model: {kind: crystal_ball}}\n")

    code, out, err = ended(process("config", "check", cwd=site.directory))

    assert (code, out) == (1, "")
    assert err.startswith("detector: detection.model.kind: unknown value 'crystal_ball'; known: baseline, band")


def test_a_breaker_that_never_moved_is_not_closed_since_1970(site: Site) -> None:
    site.breaker(since=0.0, sequence=0)

    assert "closed since it was first seen" in detector("check", JOB).output
    assert re.search(r"allow +closed +always +" + JOB, detector("breaker", "list").output)
    assert "1970" not in detector("breaker", "show", JOB).output


def test_config_check_of_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    assert detector("config", "check").output == "no file: the defaults are in force\n"


def test_a_wrong_configuration_is_one_clear_line_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "detector.yaml").write_text("breaker: {wiat: 5s}")

    code, out, err = ended(process("config", "check", cwd=tmp_path))

    assert (code, out) == (1, "")
    first, second = err.splitlines()
    assert first.startswith("detector: detector.yaml: breaker.wiat: unknown key")
    assert "detector config schema" in second


def test_the_environment_names_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "other.yaml").write_text("redis: {prefix: mine}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DETECTOR_CONFIG", "other.yaml")

    result = detector("config", "show")

    assert (result.exit_code, "prefix: mine" in result.stdout) == (0, True)


def test_config_show_hides_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "detector.yaml").write_text("redis: {password: hunter2}")
    monkeypatch.chdir(tmp_path)

    result = detector("config", "show")

    assert "password: '***'" in result.stdout
    assert "hunter2" not in result.output


def test_config_schema_is_json(tmp_path: Path) -> None:
    assert "$defs" in json.loads(detector("config", "schema").stdout)


def test_a_reader_that_leaves_early_is_no_error(site: Site) -> None:
    shell = f"{sys.executable} -m detector config schema | head -1"

    done = subprocess.run(["/bin/sh", "-c", shell], capture_output=True, text=True, timeout=60, check=False)

    assert (done.stdout, done.stderr) == ("{\n", "")


@pytest.mark.parametrize("wish", [{}, {"FORCE_COLOR": "1", "NO_COLOR": "1"}], ids=["a pipe", "NO_COLOR"])
def test_no_colours_where_nobody_looks(site: Site, wish: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    site.say(*STORY)
    site.breaker()
    for name, value in wish.items():
        monkeypatch.setenv(name, value)

    told = [detector(*command).stdout for command in (["tail", "--no-follow"], ["check", JOB])]

    assert all(told)
    assert not any("\x1b" in text for text in told)


# ---------------------------------------------------------------- running, resetting


def test_backtest_tells_people_what_it_would_have_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    result = detector("backtest", str(SAMPLES / "client-first-20-days.jsonl"))

    assert result.exit_code == 0
    assert result.stderr == "80 lines: 38 runs of 2 jobs, 2 datasets. 4 anomalies.\n"
    line = r"01 Nov 02:02:31  critical     job:nightly/orders_daily.load  .*disk full; downstream: .*"
    assert [said for said in result.stdout.splitlines() if re.fullmatch(line, said)]


def test_backtest_tells_programs_the_same_from_a_pipe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)

    result = detector("backtest", "-", "--json", input=(SAMPLES / "client-first-20-days.jsonl").read_bytes())

    *events, last = [json.loads(line) for line in result.stdout.splitlines()]
    assert {event["specversion"] for event in events} == {"1.0"}
    assert last["summary"]["findings"] == 4


def test_a_stage_that_does_not_exist_is_refused() -> None:
    result = detector("run", "--stages", "ingest,wroker")

    assert (result.exit_code, "'wroker' is no stage" in result.output) == (2, True)


@pytest.mark.parametrize("text", ["soon", "5x", "m"])
def test_a_time_that_is_none_is_refused(text: str) -> None:
    assert detector("demo", "--for", text).exit_code == 2


def test_reset_explains_and_does_nothing_without_a_yes(site: Site) -> None:
    result = detector("reset", "--partition", "3", input="n\n")

    assert result.exit_code == 1
    assert "discards the snapshots of partition 3" in result.output
    assert "Stop all workers first" in result.output
