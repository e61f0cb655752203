"""Commands come in by one topic only, each goes to those that it is for, and a broken one tells nobody what it said."""

from typing import Any

import msgspec
import pytest

from detector.codecs import Decoder
from detector.core.commands import AddWindow, Commanded, Feedback, SetOverride
from detector.core.events import Envelope, decode
from detector.core.messages import BOARD
from detector.core.partition import partition_of
from detector.ingest import LARGE, Destination, Ingest
from detector.pace import Pace
from tests.fakes.cluster import LOG, Cluster, FakeStore
from tests.fakes.member import FakeMember
from tests.test_checkpoint import START, Told, breakers, give, tick, worker, written

PARTITIONS = 3
COMMANDS = "commands"
OVERRIDE = {
    "command": "override",
    "id": "1",
    "by": "alice",
    "comment": "the quarter ends today",
    "entity": "dataset:db/orders",
    "state": "force_closed",
    "until": START + 3_600,
}
MUTE = {
    "command": "window",
    "id": "2",
    "by": "alice",
    "window": {"id": "w", "match": "job:*", "start": START, "end": START + 3_600, "kind": "mute"},
}


class Inside:
    """An ingest with one place of an input and one of the commands, and the log that it writes."""

    def __init__(self) -> None:
        self.cluster = Cluster(PARTITIONS)
        self.member = FakeMember(self.cluster, {("events", 0): [], (COMMANDS, 0): []})
        to, told = Destination(LOG, PARTITIONS, COMMANDS), Told()
        self.ingest = Ingest(self.member, Decoder(), to, "dead", "test", Pace(0.0, 0.0), told)  # type: ignore[arg-type]
        self.member.on_assigned(list(self.member.topics))

    def say(self, value: Any, topic: str = COMMANDS) -> None:
        """One record, read and committed."""
        self.member.put(topic, value if isinstance(value, bytes) else msgspec.json.encode(value), START)
        self.ingest.turn()

    def log(self) -> list[tuple[int, bytes | None, Envelope]]:
        """(partition, key, envelope) of what is in the log."""
        return [(r.partition, r.key, decode(r.value or b"")) for log in self.cluster.records for r in log]

    def letters(self) -> list[tuple[str, str]]:
        """(reason, message) of the dead letters."""
        names = ("class.name", "message")
        found = [dict(send.headers) for send in self.cluster.written if send.topic == "dead"]
        return [tuple((h[f"__connect.errors.exception.{n}"] or b"").decode() for n in names) for h in found]  # type: ignore[misc]


def test_a_command_to_an_entity_goes_to_its_partition_under_its_key() -> None:
    inside = Inside()
    inside.say(OVERRIDE)
    command = msgspec.convert(OVERRIDE, SetOverride)
    key = "dataset:db/orders"

    assert inside.log() == [(partition_of(key, PARTITIONS), key.encode(), Envelope(Commanded(command)))]


def test_a_verdict_on_an_incident_goes_to_the_board() -> None:
    inside = Inside()
    said = {"command": "feedback", "id": "1", "by": "alice", "incident": "5f0c", "verdict": "confirmed"}
    inside.say(said)
    command = msgspec.convert(said, Feedback)

    assert inside.log() == [(partition_of(BOARD, PARTITIONS), BOARD.encode(), Envelope(Commanded(command)))]


def test_a_mute_goes_to_every_partition_once() -> None:
    inside = Inside()
    inside.say(MUTE)
    command = msgspec.convert(MUTE, AddWindow)

    assert inside.log() == [(partition, None, Envelope(Commanded(command))) for partition in range(PARTITIONS)]


def test_after_an_abort_a_mute_is_in_every_partition_once_all_the_same() -> None:
    inside = Inside()
    inside.member.aborts = 1
    inside.say(MUTE)
    assert inside.log() == []
    for _ in range(3):
        inside.ingest.turn()

    assert [partition for partition, _, _ in inside.log()] == list(range(PARTITIONS))


@pytest.mark.parametrize("said", [OVERRIDE, MUTE], ids=["override", "mute"])
def test_what_looks_like_a_command_is_none_on_any_other_topic(said: dict[str, Any]) -> None:
    inside = Inside()
    inside.say(said, "events")

    assert inside.log() == []
    assert len(inside.letters()) == 1


def test_an_event_is_no_command() -> None:
    inside = Inside()
    inside.say({"kind": "run_event", "job": "load", "run_id": "r", "state": "FAIL", "event_time": START})

    assert inside.log() == []
    assert inside.letters() == [("command", "this is no command: Object missing required field `command`")]


SECRET = "hunter2"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param({"command": SECRET}, "Invalid value - at `$.command`", id="no such command"),
        pytest.param({"state": SECRET}, "Invalid enum value - at `$.state`", id="no such state"),
        pytest.param({"state": f"{SECRET} - at `x"}, "Invalid enum value - at `$.state`", id="a value like a path"),
        pytest.param({"entity": SECRET}, "Expected `str` matching regex - at `$.entity`", id="no entity"),
        pytest.param({"comment": {SECRET: 1}}, "Expected `str`, got `object` - at `$.comment`", id="no text"),
        pytest.param({"until": SECRET}, "Expected `float | null`, got `str` - at `$.until`", id="no time"),
        pytest.param({"id": ""}, "Expected `str` of length >= 1 - at `$.id`", id="no id"),
        pytest.param(
            {**MUTE, "window": {**MUTE["window"], "recurrence": {"without": [SECRET]}}},  # type: ignore[dict-item]
            "Invalid isoformat string - at `$.window.recurrence`",
            id="no date",
        ),
        pytest.param(
            {**MUTE, "window": {**MUTE["window"], "end": 0}},  # type: ignore[dict-item]
            "end: must be after start, and both be seconds since 1970 - at `$.window`",
            id="a window that never is",
        ),
        pytest.param(
            {**MUTE, "window": {**MUTE["window"], "match": "*" * 3_000}},  # type: ignore[dict-item]
            "Expected `str` of length <= 2100 - at `$.window.match`",
            id="a pattern without end",
        ),
    ],
)
def test_a_bad_command_is_set_aside_with_the_path_and_without_its_values(change: dict[str, Any], says: str) -> None:
    inside = Inside()
    inside.say({**OVERRIDE, "comment": SECRET, **change})

    assert inside.log() == []
    assert inside.letters() == [("command", f"this is no command: {says}")]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "empty"),
        (b"{", "json"),
        (b"\xff", "json"),
        (b'{"command":"feedback","comment":"\\ud800"}', "json"),
        (b"[" * 50_000, "command"),
        (b'{"command":"feedback","comment":"' + b"x" * LARGE + b'"}', "size"),
    ],
    ids=["nothing", "cut off", "not UTF-8", "half a character", "nested without end", "too large"],
)
def test_what_is_not_even_json_is_set_aside(value: bytes, reason: str) -> None:
    inside = Inside()
    inside.say(value)
    inside.say(OVERRIDE)

    assert [found for found, _ in inside.letters()] == [reason]
    assert len(inside.log()) == 1


def test_a_command_is_done_and_answered_and_a_second_time_it_is_not() -> None:
    inside = Inside()
    tick(inside.cluster, START)
    inside.say(OVERRIDE)
    inside.say(OVERRIDE)
    inside.say({**OVERRIDE, "id": "3", "state": "none"})
    give(inside.cluster, worker(inside.cluster, FakeStore()), range(PARTITIONS)).finish()
    answers = [msgspec.json.decode(value or b"") for _, _, value in written(inside.cluster, "control")]

    assert sorted((answer["id"], answer["by"], answer["done"]) for answer in answers) == [
        ("1", "alice", True),
        ("3", "alice", True),
    ]
    assert breakers(inside.cluster)["dataset:db/orders"].override is None
