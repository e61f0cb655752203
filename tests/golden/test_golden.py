"""Whole stories, from the events that clients send to all that is said of them.

A case is a folder. A line of `records.jsonl` is a record of an outside topic, `{"at": time, "value": event}`, or
`{"ticks": seconds, "until": time}`: ticks from the last one on. The first line says what it is about. `config.yaml`, if
there is one, is a configuration. `expected.jsonl` is what is said, but for heartbeats; `make golden` rewrites it, to be
reviewed like code. Ids are numbered, so that they are readable and do not change with what is said before them.
"""

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest

from detector.codecs import Decoder
from detector.config import load
from detector.core.emissions import Emission, Heartbeat
from detector.core.events import DeadLetter, Record
from detector.settings import rules_of
from tests.core.world import World

CASES = sorted(path.parent for path in Path(__file__).parent.glob("*/records.jsonl"))
HEX = re.compile(r"\b[0-9a-f]{32}\b")


def seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def play(case: Path) -> World:
    """Let a world see the records of a case."""
    config = case / "config.yaml"
    world, decoder = World(rules_of(load(config.read_text() if config.exists() else ""))), Decoder()
    clock = 0.0
    for number, line in enumerate((case / "records.jsonl").read_text().splitlines()):
        told: dict[str, Any] = json.loads(line)
        if "ticks" in told:
            until = seconds(told["until"])
            world.ticks(clock + told["ticks"] if clock else until, until, told["ticks"])
            clock = world.partition.clock
        elif "value" in told:
            at = seconds(told["at"])
            event = decoder.decode(Record("events", 0, number, at, None, json.dumps(told["value"]).encode()))
            assert not isinstance(event, DeadLetter), event.message
            world.tell(event, at)
    return world


def readable(emissions: list[Emission]) -> str:
    """A line of JSON for each emission, times as people write them, ids numbered in the order of their coming."""
    lines, ids = [], dict[str, str]()
    for emission in emissions:
        if isinstance(emission.data, Heartbeat):
            continue
        when = datetime.fromtimestamp(emission.time, UTC).isoformat().replace("+00:00", "Z")
        told = {"id": emission.id, "time": when, "topic": emission.topic, "key": emission.key, "type": emission.type}
        data = None if emission.data is None else msgspec.to_builtins(emission.data)
        line = json.dumps({**told, "data": data}, ensure_ascii=False)
        lines.append(HEX.sub(lambda found: ids.setdefault(found[0], f"#{len(ids) + 1}"), line))
    return "".join(f"{line}\n" for line in lines)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_story_is_told_as_it_was_expected(case: Path, update_golden: bool) -> None:
    expected, told = case / "expected.jsonl", readable(play(case).said)
    if update_golden:
        expected.write_text(told)

    assert told.splitlines() == expected.read_text().splitlines()


def test_every_story_says_what_it_is_about() -> None:
    assert len(CASES) >= 9
    for case in CASES:
        assert json.loads((case / "records.jsonl").read_text().splitlines()[0])["about"].endswith(".")
