"""A control topic of one partition with its group, and an executor that runs nothing: both small, both real."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar

import msgspec

from detector.core.events import Record
from detector.core.recovery import RecoveryPlan
from detector.errors import ExecutorBusy, RedoRefused
from detector.executors import Requested, Status
from detector.plans import TYPE, Ask

PLACE = ("control", 0)


@dataclass
class Topic:
    """The records, and the position that the group has committed."""

    records: list[Record] = field(default_factory=list)
    committed: int = 0

    def say(self, plan: RecoveryPlan) -> None:
        """As the detector says it."""
        self.put(msgspec.json.encode(plan))

    def put(self, value: bytes, type_: str = TYPE) -> None:
        """Any event."""
        attributes = {"specversion": "1.0", "id": str(len(self.records)), "source": "/d", "type": type_}
        headers = tuple((f"ce_{name}", text.encode()) for name, text in attributes.items())
        self.records.append(Record(*PLACE, len(self.records), 0.0, b"key", value, headers))


@dataclass
class FakeReader:
    """A member of the group; `at_once` is how many records a poll gives."""

    topic: Topic
    at_once: int = 2
    places: frozenset[tuple[str, int]] = frozenset({PLACE})
    at: int = field(init=False)

    def __post_init__(self) -> None:
        self.at = self.topic.committed

    @property
    def caught_up(self) -> bool:
        return self.at == len(self.topic.records)

    def poll(self, timeout: float) -> list[Record]:
        assert timeout > 0
        found = self.topic.records[self.at : self.at + self.at_once]
        self.at += len(found)
        return found

    def commit(self, positions: Mapping[tuple[str, int], int]) -> None:
        self.topic.committed = positions[PLACE]


@dataclass
class FakeExecutor:
    """Runs by name, and what became of each; asked twice, a run is made once. `refused` are jobs that it refuses."""

    kind: ClassVar[str] = "fake"
    runs: dict[str, Status] = field(default_factory=dict)
    made: list[Ask] = field(default_factory=list)
    asked: list[Ask] = field(default_factory=list)
    refused: frozenset[str] = frozenset()
    busy: int = 0

    def redo(self, ask: Ask) -> Requested:
        self._answers()
        self.asked.append(ask)
        if ask.job in self.refused:
            raise RedoRefused("not this one")
        name = f"{ask.plan} {ask.job} {ask.run.why} {ask.run.nominal_time}"
        if name not in self.runs:
            self.runs[name] = "running"
            self.made.append(ask)
        return Requested(name, "asked for")

    def status(self, requested: Requested) -> Status:
        self._answers()
        return self.runs[requested.id]

    def check(self) -> None:
        self._answers()

    def close(self) -> None:
        """Nothing to give back."""

    @property
    def going(self) -> list[str]:
        """The runs that go on."""
        return [name for name, status in self.runs.items() if status == "running"]

    def _answers(self) -> None:
        if self.busy:
            self.busy -= 1
            raise ExecutorBusy("not now", 1.0)
