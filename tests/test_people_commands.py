"""The commands by which people say something, and look at what came of it: words, exit codes, what a pipe gets."""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from confluent_kafka import Consumer, Producer

from detector.codecs import commands as codec
from detector.core.breaker import State
from detector.core.commands import Commanded, receivers
from detector.core.emissions import BreakerValue, CommandDone
from detector.core.events import DeadLetter, Record
from detector.core.incidents import Incident, IncidentFinding
from detector.core.partition import partition_of
from detector.core.recovery import RecoveryPlan
from detector.embedded import EmbeddedBroker, EmbeddedRedis
from detector.sinks import cloudevents
from tests.core.world import World, anomalies
from tests.test_cli import JOB, OPEN, Names, Site, anomaly, closed, detector
from tests.test_plan_page import plan
from tests.test_view import held, overridden, own

TABLE = "dataset:db/orders"
CALENDARS = Path(__file__).parent / "samples" / "ical"


class Office(Site):
    """A site whose topics are all there, and which may have somebody who does what is said."""

    def __init__(self, directory: Path, broker: EmbeddedBroker, server: EmbeddedRedis) -> None:
        super().__init__(directory, broker, server)
        for topic in ("detector.commands", "detector.incidents", "detector.breakers"):
            broker.create_topic(topic, 2)

    def put(self, topic: str, *values: tuple[str, bytes | None], partition: int = 0) -> None:
        producer = Producer({"bootstrap.servers": self.broker.bootstrap})
        for key, value in values:
            producer.produce(topic, value, key, partition)
        assert producer.flush(10) == 0

    def incidents(self, *found: Incident) -> None:
        self.put("detector.incidents", *((one.id, msgspec.json.encode(one)) for one in found))

    @contextmanager
    def worker(self, world: World) -> Iterator[None]:
        """The core, fed with the commands that come, by the clock of this machine; what it says is on the topics."""
        stop = threading.Event()
        consumer = Consumer(
            {"bootstrap.servers": self.broker.bootstrap, "group.id": "w", "auto.offset.reset": "earliest"}
        )
        producer = Producer({"bootstrap.servers": self.broker.bootstrap})

        def work() -> None:
            consumer.subscribe(["detector.commands"])
            while not stop.is_set():
                message = consumer.poll(0.05)
                if message is None or message.error():
                    continue
                command = codec.decode(Record("c", 0, 0, 0.0, message.key(), message.value()))
                assert not isinstance(command, DeadLetter)
                for key in receivers(command):
                    for emission in world.put(key, Commanded(command), time.time()):
                        send = cloudevents.encode(emission, "/d", Names)
                        producer.produce(send.topic, send.value, send.key, headers=list(send.headers))
                producer.flush(10)

        thread = threading.Thread(target=work, daemon=True)
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join(10)
            consumer.close()


@pytest.fixture(scope="module")
def server() -> Iterator[EmbeddedRedis]:
    """One for all tests, since it takes longer to start than most of them take."""
    with EmbeddedRedis(tcp=True) as server:
        yield server


@pytest.fixture
def office(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, embedded_broker: EmbeddedBroker, server: EmbeddedRedis
) -> Iterator[Office]:
    monkeypatch.chdir(tmp_path)
    office = Office(tmp_path, embedded_broker, server)
    office.redis.flushall()
    yield office
    office.redis.close()


def failed(entity: str = JOB) -> World:
    """A partition that knows a job whose run has failed, now."""
    now = time.time()
    world = World()
    world.ticks(now - 600, now - 60, 60)
    _, name = entity.removeprefix("job:").split("/")
    world.run(now - 50, 10, "FAIL", name=name)
    world.tick(now)
    assert anomalies(world.said)
    return world


# ---------------------------------------------------------------- sending


def test_a_command_is_one_record_with_its_entity_as_the_key(office: Office) -> None:
    result = detector("feedback", JOB, "false-positive", "--comment", "a test", "--by", "ada", "--no-wait")

    [(key, value)] = office.records("detector.commands", 1)
    sent = json.loads(value or b"")
    assert (result.exit_code, result.stdout) == (0, f"sent     {sent['id']}\n")
    assert key == JOB.encode()
    assert {**sent, "id": "", "at": 0} == {
        "command": "feedback", "id": "", "by": "ada", "comment": "a test", "at": 0, "verdict": "false_positive",
        "entity": JOB,
    }  # fmt: skip
    assert abs(sent["at"] - time.time()) < 60


@pytest.mark.slow
def test_each_command_has_an_id_of_its_own_and_says_who_gave_it(
    office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOGNAME", "grace")

    for _ in range(2):
        detector("breaker", "probe", JOB, "--no-wait")

    sent = [json.loads(value or b"") for _, value in office.records("detector.commands", 2)]
    assert len({one["id"] for one in sent}) == 2
    assert {one["by"].partition("@")[0] for one in sent} == {"grace"}


def test_what_came_of_it_is_waited_for_and_told(office: Office) -> None:
    with office.worker(failed("job:ns/load")):
        done = detector("breaker", "override", "job:ns/load", "--force-open", "--until", "2h", "--reason", "repair")
        refused = detector("breaker", "override", "job:ns/other", "--none")

    assert done.exit_code == 0
    assert re.fullmatch(r"done     job:ns/load  the breaker stays open until .* UTC\n", done.stdout)
    assert (refused.exit_code, refused.stdout) == (1, "refused  job:ns/other  no override is in force\n")


@pytest.mark.slow
def test_programs_are_told_what_was_sent_and_what_came_of_it(office: Office) -> None:
    with office.worker(failed("job:ns/load")):
        result = detector("feedback", "job:ns/load", "expected_once", "--json")

    told = json.loads(result.stdout)
    assert told["sent"]["id"] == told["id"]
    assert [(answer["id"], answer["check"], answer["done"]) for answer in told["answers"]] == [
        (told["id"], "failed", True)
    ]


@pytest.mark.slow
def test_a_verdict_without_a_check_is_on_all_that_go_on(office: Office) -> None:
    with office.worker(failed("job:ns/load")):
        result = detector("feedback", "job:ns/load", "confirmed")

    assert (result.exit_code, result.stdout.split()[:3]) == (0, ["done", "job:ns/load", "failed"])


@pytest.mark.slow
def test_if_nobody_answers_the_command_is_not_lost(office: Office) -> None:
    result = detector("breaker", "override", JOB, "--none", "--timeout", "0.2")

    assert result.exit_code == 2
    assert "it is in detector.commands, and is done when a worker comes to it" in result.stderr
    assert len(office.records("detector.commands", 1)) == 1


@pytest.mark.slow
def test_what_others_are_told_is_no_answer(office: Office) -> None:
    other = CommandDone(id="other", command="override", by="ada", done=True, effect="so", entity=JOB)
    stop = threading.Event()

    def noise() -> None:
        while not stop.wait(0.05):
            office.say((JOB, "io.detector.command.done.v1", other))

    thread = threading.Thread(target=noise, daemon=True)
    thread.start()
    result = detector("breaker", "override", JOB, "--none", "--timeout", "0.5")
    stop.set()
    thread.join(10)

    assert (result.exit_code, result.stdout) == (2, "")


@pytest.mark.slow
def test_a_kafka_that_is_away_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "detector.yaml").write_text("kafka: {bootstrap_servers: '127.0.0.1:1'}")
    monkeypatch.chdir(tmp_path)

    result = detector("unmute", "3f9a1c2b", "--no-wait")

    assert (result.exit_code, "does not answer" in str(result.exception)) == (1, True)


FORCE = ("breaker", "override", JOB, "--force-open")
ADD = ("maintenance", "add", "job:*")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        pytest.param(
            ["feedback", JOB, "wrong"], "'wrong' is no verdict; known: confirmed", id="a verdict that is none"
        ),
        pytest.param(["feedback", "orders", "confirmed"], "write job:<namespace>/<name>", id="no entity"),
        pytest.param(["feedback", "confirmed"], "feedback --incident ID VERDICT", id="neither entity nor incident"),
        pytest.param(["feedback", JOB, "confirmed", "--incident", "a"], "feedback ENTITY VERDICT", id="both of them"),
        pytest.param(["feedback", JOB, "confirmed", "--metric", "rows"], "--metric goes with missed", id="a metric"),
        pytest.param(["breaker", "override", JOB], "write one of --force-open", id="nothing to be decided"),
        pytest.param([*FORCE, "--none"], "write one of --force-open", id="two things at once"),
        pytest.param([*FORCE, "--until", "2h"], "and why (--reason", id="without a reason"),
        pytest.param([*FORCE, "--reason", "so"], "say until when (--until 2h)", id="without an end"),
        pytest.param([*FORCE, "--until", "soon", "--reason", "so"], "write 2h, 30m, or 2026", id="a time that is none"),
        pytest.param(["mute", "orders", "--for", "2h", "--reason", "so"], "begin with job: or dataset:", id="no glob"),
        pytest.param(["mute", "job:*", "--for", "x", "--reason", "so"], "write one like 250ms", id="no duration"),
        pytest.param(["mute", "job:*", "--for", "0s", "--reason", "so"], "end: must be after start", id="no time"),
        pytest.param(["feedback", JOB, "confirmed", "--comment", "x" * 2_001], "$.comment", id="too long a comment"),
        pytest.param(["breaker", "probe", JOB, "--for", "2d"], "$.lasts", id="a probe for too long"),
        pytest.param([*ADD], "when does it end?", id="maintenance without an end"),
        pytest.param([*ADD, "--daily"], "say when it begins (--at 22:00)", id="daily, and when"),
        pytest.param([*ADD, "--at", "22:00", "--until", "2h"], "go with --daily or --weekly", id="once, by the clock"),
        pytest.param(
            [*ADD, "--daily", "--weekly", "sat", "--at", "22:00", "--lasts", "1h"], "not both", id="daily and weekly"
        ),
        pytest.param([*ADD, "--weekly", "sun,moon", "--at", "22:00", "--lasts", "1h"], "'moon' is no day", id="a day"),
        pytest.param([*ADD, "--daily", "--at", "25:00", "--lasts", "1h"], "at: must be like 03:30", id="an hour"),
        pytest.param([*ADD, "--daily", "--at", "22:00", "--lasts", "2w"], "at most a week", id="for too long"),
        pytest.param([*ADD, "--until", "2h", "--timezone", "Berlin"], "no Berlin", id="a zone that is none"),
    ],
)
def test_what_is_typed_wrong_is_told_and_not_sent(tmp_path: Path, arguments: list[str], said: str) -> None:
    result = detector(*arguments)

    assert result.exit_code == 2
    assert said in " ".join(re.sub("[│╭╮╰╯─]", "", result.output).split())


# ---------------------------------------------------------------- the one that may probe


def half_open(office: Office) -> None:
    office.breaker("job:ns/load", state=State.HALF_OPEN, reason="the wait is over")


@pytest.mark.slow
def test_who_asks_to_be_the_probe_may_go_and_nobody_else(office: Office) -> None:
    world = failed("job:ns/load")
    world.ticks(time.time() + 1, time.time() + 700, 60)
    half_open(office)

    with office.worker(world):
        first = detector("check", "job:ns/load", "--probe", "run-1")
        second = detector("check", "job:ns/load", "--probe", "run-2")

    assert (first.exit_code, "run-1 may run, once, until" in first.stdout) == (0, True)
    assert (second.exit_code, "run-1 probes, until" in second.stdout) == (1, True)


@pytest.mark.slow
def test_who_does_not_hear_that_it_is_the_probe_is_not(office: Office) -> None:
    half_open(office)
    office.broker.refuse_connections()

    result = detector("check", "job:ns/load", "--probe", "run-1")

    assert (result.exit_code, result.stdout.split()[0]) == (1, "block")


def test_a_reader_of_other_columns_may_go(office: Office) -> None:
    office.breaker(TABLE, **OPEN, scope=["column:amount"])

    codes = [detector("check", TABLE, *options).exit_code for options in ((), ("--column", "id", "--column", "note"))]

    assert codes == [1, 0]


def test_the_list_tells_what_is_held_and_what_is_overruled_from_what_is_open(office: Office) -> None:
    office.breaker(JOB, **OPEN, held_by=[held()], own=own())
    office.breaker(TABLE, **OPEN, override=overridden("force_open"))

    lines = detector("breaker", "list").stdout.splitlines()[1:]

    assert [re.split("  +", line.strip())[:2] for line in lines] == [["block", "open (override)"], ["block", "held"]]
    assert re.search(f"held by +{held().root} since", detector("breaker", "show", JOB).stdout)
    assert "force open by ada until" in detector("breaker", "show", TABLE).stdout


# ---------------------------------------------------------------- incidents


def incident(id_: str, opened: float, **change: Any) -> Incident:
    finding = IncidentFinding(entity=JOB, check="rows", episode="e", severity="critical", since=opened, summary="412")
    one = Incident(
        id=id_,
        version=1,
        state="open",
        severity="critical",
        title="412 rows",
        root=JOB,
        opened=opened,
        updated=opened,
        findings=[finding],
    )
    return msgspec.structs.replace(one, **change)


def some(office: Office) -> None:
    now = time.time()
    office.incidents(
        incident("aa11", now - 3_600, owner="team-sales", affected=["job:a/b"]),
        incident("aa22", now - 60, severity="warning", title="late"),
        incident("bb33", now - 90_000, state="resolved", resolved=now - 80_000),
        incident("aa22", now - 60, severity="warning", title="late by 5 min", version=2),
    )
    office.put("detector.incidents", ("gone", msgspec.json.encode(incident("gone", now))), ("gone", None))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param([], ["aa11", "aa22"], id="those that go on, the worst first"),
        pytest.param(["--state", "all"], ["aa11", "aa22", "bb33"], id="all"),
        pytest.param(["--state", "resolved"], ["bb33"], id="those that are over"),
        pytest.param(["--severity", "critical"], ["aa11"], id="by severity"),
        pytest.param(["--owner", "team-*"], ["aa11"], id="by owner"),
        pytest.param(["--since", "1h", "--state", "all"], ["aa22"], id="by time"),
    ],
)
def test_incidents_are_listed_as_they_are_now(office: Office, options: list[str], expected: list[str]) -> None:
    some(office)

    lines = detector("incidents", "list", "--json", *options).stdout.splitlines()

    assert [json.loads(line)["id"] for line in lines] == expected


def test_the_list_has_a_row_for_each(office: Office) -> None:
    some(office)

    lines = detector("incidents", "list").stdout.splitlines()

    assert [re.split("  +", line.strip())[:3] for line in lines] == [
        ["id", "severity", "state"],
        ["aa11", "critical", "open"],
        ["aa22", "warning", "open"],
    ]
    assert "late by 5 min" in lines[2]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        pytest.param([], "aa22", id="the newest that goes on"),
        pytest.param(["bb33"], "bb33", id="one that is over"),
        pytest.param(["b"], "bb33", id="the beginning of an id"),
    ],
)
def test_one_incident_is_shown(office: Office, asked: list[str], expected: str) -> None:
    some(office)

    lines = detector("incidents", "show", *asked).stdout.splitlines()

    assert lines[1] == f"incident {expected}"
    assert {"What broke", "Why we think so", "Who is hit", "What to do"} <= set(lines)
    assert json.loads(detector("incidents", "show", *asked, "--json").stdout)["id"] == expected


def test_the_page_has_what_was_said_of_its_episodes(office: Office) -> None:
    some(office)
    entity, type_, data = anomaly(JOB, "started", "rows: 3")
    said = msgspec.structs.replace(data, episode="e", last_values=[10_112.0, 10_480.0], observed=412.0)
    office.say((entity, type_, said), anomaly(JOB, "started", "of another incident"))

    assert (
        "     the values before, the newest last: 10,112, 10,480; now 412"
        in detector("incidents", "show").stdout.splitlines()
    )


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        pytest.param("cc", "no incident is called cc", id="there is none"),
        pytest.param("aa", "2 incidents begin with aa", id="there are two"),
    ],
)
def test_an_incident_that_is_not_the_one_is_told(office: Office, asked: str, said: str) -> None:
    some(office)

    for command in (["incidents", "show", asked], ["incidents", "ack", asked]):
        result = detector(*command)

        assert (result.exit_code, said in result.output) == (2, True)


def test_without_incidents_nothing_is_wrong(office: Office) -> None:
    assert detector("incidents", "list").stdout == ""
    assert "nothing was found wrong" in " ".join(detector("incidents", "show").output.split())


# ---------------------------------------------------------------- lineage


def neighbours(entity: str, up: list[str], down: list[str], **change: object) -> BreakerValue:
    return msgspec.structs.replace(closed(entity, time.time()), up=up, down=down, **change)


@pytest.mark.parametrize("source", ["redis", "kafka"])
def test_the_lineage_is_a_tree_from_either_place(office: Office, source: str) -> None:
    values = [neighbours(TABLE, [JOB], ["job:a/b"], **OPEN), neighbours(JOB, [], [TABLE])]
    for value in values:
        change: dict[str, Any] = {name: getattr(value, name) for name in ("up", "down", "state", "reason")}
        office.breaker(value.entity, **change)
        partition = partition_of(value.entity, 2)
        placed = msgspec.structs.replace(value, partition=partition)
        beat = b'{"partition":%d,"clock":%f}' % (partition, time.time())
        office.put(
            "detector.breakers",
            (value.entity, msgspec.json.encode(placed)),
            (f"heartbeat:{partition}", beat),
            partition=partition,
        )

    result = detector("lineage", TABLE, "--from", source)

    assert result.stdout.splitlines() == [
        f"{TABLE}  open: 412 rows, expected 9,400 to 11,800",
        "written by",
        f"└─ {JOB}  closed",
        "read by",
        "└─ job:a/b  unknown: no event of its own was seen",
    ]
    assert json.loads(detector("lineage", TABLE, "--json", "--up", "--from", source).stdout)["edges"] == [[JOB, TABLE]]


# ---------------------------------------------------------------- recovery and rules


def planned(office: Office, *plans: RecoveryPlan) -> None:
    office.say(*((one.plan, "io.detector.recovery.plan.v1", one) for one in plans))


def test_plans_that_are_open_are_told_and_others_when_they_are_named(office: Office) -> None:
    finished = msgspec.structs.replace(plan("6a1d"), state="done", incident=None)
    planned(office, plan(), plan(version=2, done_by="r-14"), finished)

    assert detector("recover", "plan").stdout.startswith("open, 1 of 2 runs done: plan 5f0c\n")
    assert detector("recover", "plan", "6a").stdout.startswith("done, 0 of 2 runs done: plan 6a1d\n")
    assert [json.loads(line)["plan"] for line in detector("recover", "plan", TABLE, "--json").stdout.splitlines()] == [
        "5f0c",
        "6a1d",
    ]
    assert detector("recover", "plan", "77").stdout == ""


def test_the_status_has_a_row_for_each_plan_and_for_each_job_of_one(office: Office) -> None:
    planned(office, plan(done_by="r-14"))

    rows = detector("recover", "status").stdout.splitlines()
    jobs = detector("recover", "status", "5f0c").stdout.splitlines()

    assert re.split("  +", rows[1].strip())[:3] == ["5f0c", "open", "1 of 2"]
    assert [re.split("  +", line.strip()) for line in jobs[2:]] == [
        ["job:ns/load", "1 of 1"],
        ["job:ns/report", "0 of 1", "job:ns/load"],
    ]


@pytest.mark.slow
def test_a_plan_is_abandoned_by_its_whole_id(office: Office) -> None:
    planned(office, plan("5f0c7c1a"))

    assert detector("recover", "abandon", "5f", "--no-wait").exit_code == 0
    assert json.loads(office.records("detector.commands", 1)[0][1] or b"")["plan"] == "5f0c7c1a"
    assert detector("recover", "abandon", "77").exit_code == 2


def test_rules_are_told_with_what_to_change(office: Office) -> None:
    said = [
        CommandDone(
            id=str(n), command="feedback", by="ada", done=True, effect="", entity=JOB, check="rows",
            episode=f"e{n}", verdict="false_positive",
        )
        for n in range(3)
    ]  # fmt: skip
    office.say(anomaly(JOB, "started", "rows: 3"), *((JOB, "io.detector.command.done.v1", one) for one in said))

    lines = detector("rules").stdout.splitlines()

    assert re.split("  +", lines[1].strip()) == ["rows", "1", "0%", "3"]
    assert lines[2].startswith("rows: lower rules[].budget for these entities")
    assert json.loads(detector("rules", "--json").stdout)["false"] == 3


# ---------------------------------------------------------------- mutes and maintenance


@pytest.mark.slow
def test_a_mute_is_listed_until_it_is_ended(office: Office) -> None:
    detector("mute", "job:airflow/*", "--for", "2h", "--reason", "OPS-71", "--by", "ada", "--no-wait")
    [before] = [json.loads(line) for line in detector("mutes", "--json").stdout.splitlines()]
    shown = detector("mutes").stdout

    detector("unmute", before["window"]["id"], "--no-wait")

    assert (before["active"], before["window"]["match"], before["window"]["owner"]) == (True, "job:airflow/*", "ada")
    assert "OPS-71" in shown
    assert detector("mutes").stdout == ""
    assert detector("maintenance", "list").stdout == ""


@pytest.mark.parametrize(
    ("options", "said"),
    [
        pytest.param(["--daily", "--at", "02:00", "--lasts", "90m"], "daily 02:00 for 1 h 30 min (UTC)", id="daily"),
        pytest.param(
            ["--weekly", "SUN,sat", "--at", "22:00", "--lasts", "4h", "--timezone", "Europe/Berlin"],
            "sat, sun 22:00 for 4 h (Europe/Berlin)", id="weekly",
        ),
        pytest.param(
            ["--from", "2999-03-01T02:00Z", "--until", "2999-03-01T06:00Z"],
            "Fri 1 Mar 02:00 UTC to Fri 1 Mar 06:00 UTC", id="once", marks=pytest.mark.slow,
        ),
        pytest.param(
            ["--until", "2999-03-01", "--daily", "--at", "02:00", "--lasts", "1h"],
            "daily 02:00 for 1 h (UTC), until Fri 1 Mar 00:00 UTC", id="daily, until a day", marks=pytest.mark.slow,
        ),
    ],
)  # fmt: skip
def test_maintenance_is_listed_in_words(office: Office, options: list[str], said: str) -> None:
    detector("maintenance", "add", "dataset:erp/*", *options, "--reason", "upgrade", "--no-wait")

    assert said in detector("maintenance", "list").stdout


@pytest.mark.slow
def test_a_worker_does_what_is_said_of_windows(office: Office) -> None:
    world = failed()
    with office.worker(world):
        added = detector("maintenance", "add", "dataset:erp/*", "--until", "2h")
        [window] = world.partition.windows
        ended = detector("maintenance", "end", window.id)
        again = detector("maintenance", "end", window.id)

    assert (added.exit_code, added.stdout) == (0, "done     maintenance of dataset:erp/*\n")
    assert (ended.exit_code, again.exit_code) == (0, 1)
    assert world.partition.windows == []


@pytest.mark.slow
def test_a_calendar_is_taken_as_maintenance_and_twice_is_once(office: Office) -> None:
    calendar = str(CALENDARS / "google.ics")
    import_ = ("maintenance", "import", calendar, "--match", "job:airflow/*")

    looked = detector(*import_, "--dry-run", "--json").stdout.splitlines()
    before = detector("maintenance", "list").stdout
    for _ in range(2):
        detector(*import_, "--no-wait")
    listed = detector("maintenance", "list", "--json").stdout.splitlines()

    assert (before, len(looked) > 0) == ("", True)
    assert [json.loads(line)["window"]["id"] for line in listed] == [
        json.loads(line)["window"]["id"] for line in looked
    ]
