"""One partition of the log, fed by hand. Time is a number that the test moves; nothing here is a stand-in."""

from collections.abc import Iterable
from typing import cast

from detector.core.emissions import (
    Anomaly,
    BreakerChange,
    BreakerValue,
    Emission,
    Heartbeat,
    JudgedRun,
    Quarantined,
    digest,
)
from detector.core.events import (
    Assertion,
    Dataset,
    DatasetEvent,
    Event,
    Observation,
    Profile,
    Record,
    RunEvent,
    RunState,
    Tick,
    decode,
    encode,
    observations,
)
from detector.core.pipeline import rebuild, step, wanted
from detector.core.rules import Rules
from detector.core.state import Entity, Partition, dump, load

MINUTE, HOUR, DAY = 60.0, 3_600.0, 86_400.0
MONDAY = 1_768_780_800.0  # 19 January 2026, 00:00 UTC
JOB = "job:ns/load"
TABLE = "dataset:db/orders"


class World:
    """A partition, the states of its entities, all that it has `said`, and the runs that it has `judged`.

    Every record goes through the bytes of the log. With `reload`, all states are written out and read back before each
    record, as if every record were the first after a restart.
    """

    def __init__(self, rules: Rules | None = None, reload: bool = False, partition: int = 0, count: int = 1) -> None:
        self.rules = rules or Rules()
        self.reload = reload
        self.partition = Partition(partition, count, rules=self.rules.fingerprint)
        self.entities: dict[str, Entity] = {}
        self.said: list[Emission] = []
        self.judged: list[JudgedRun] = []
        self.messages: list[Emission] = []
        self.digest = b""
        self.offset = 0

    def put(
        self, key: str | None, body: Observation, arrived: float, poisoned: dict[str, str] | None = None
    ) -> list[Emission]:
        """One record of the log, appended at `arrived`. Returns what was said of it."""
        record = Record("log", self.partition.number, self.offset, arrived, key.encode() if key else None, encode(body))
        self.offset += 1
        if self.reload:
            self.restart()
        body = decode(record.value or b"").body
        keys = wanted(self.partition, record, body, self.rules)
        for wanted_key in keys:
            self.entities.setdefault(wanted_key, Entity(wanted_key))
        emitted = step(self.partition, self.entities, keys, record, body, self.rules, "topic", poisoned or {})
        self.entities = {k: e for k, e in self.entities.items() if k in self.partition.due}
        self.digest = digest(self.digest, emitted)
        said = [emission for emission in emitted if emission.topic not in ("log", "runs")]
        self.judged += [emission.data for emission in emitted if isinstance(emission.data, JudgedRun)]
        self.said += said
        for emission in emitted:
            if emission.topic == "log":
                self.messages.append(emission)
                said = said + self.put(emission.key, cast(Observation, emission.data), arrived)
        return said

    def restart(self) -> None:
        """Write all states out and read them back."""
        self.entities = {key: load(dump(entity)) for key, entity in self.entities.items()}
        rebuild(self.partition)

    def tell(self, event: Event, arrived: float | None = None) -> list[Emission]:
        """An event of the outside, in all its observations; it arrives when it happens, if nothing else is said."""
        at = event.event_time if arrived is None else arrived
        return [emission for key, body in observations(event, at) for emission in self.put(key, body, at)]

    def tick(self, at: float) -> list[Emission]:
        """A tick that is appended when it is made."""
        return self.put(None, Tick(at), at)

    def ticks(self, since: float, until: float, every: float = MINUTE) -> list[Emission]:
        """Ticks from `since` until `until`, both included."""
        said: list[Emission] = []
        while since <= until:
            said += self.tick(since)
            since += every
        return said

    def run(
        self,
        at: float,
        takes: float = 60.0,
        state: RunState = "COMPLETE",
        rows: float | None = None,
        run_id: str | None = None,
        name: str = "load",
    ) -> list[Emission]:
        """A whole run: its START and its end, with what it wrote."""
        run_id = run_id or f"run-{at}"
        written = () if rows is None else (Dataset("db", "orders", rows=rows),)
        start = RunEvent("ns", name, run_id, "START", at)
        return self.tell(start) + self.tell(RunEvent("ns", name, run_id, state, at + takes, outputs=written))

    def snapshots(self) -> dict[str, bytes]:
        """The bytes of all states."""
        return {key: dump(entity) for key, entity in sorted(self.entities.items())}


def anomalies(said: Iterable[Emission]) -> list[Anomaly]:
    """What is wrong, started, updated or ended."""
    return [emission.data for emission in said if isinstance(emission.data, Anomaly)]


def found(said: Iterable[Emission]) -> list[tuple[str, str]]:
    """(check, phase) of the anomalies."""
    return [(anomaly.check, anomaly.phase) for anomaly in anomalies(said)]


def started(said: Iterable[Emission]) -> list[str]:
    """The checks of which an episode began."""
    return [check for check, phase in found(said) if phase == "started"]


def changes(said: Iterable[Emission]) -> list[tuple[str, str]]:
    """The moves of breakers, as (from, to)."""
    return [(e.data.from_state.value, e.data.to_state.value) for e in said if isinstance(e.data, BreakerChange)]


def breakers(said: Iterable[Emission]) -> list[BreakerValue]:
    """The breakers as they were published."""
    return [emission.data for emission in said if isinstance(emission.data, BreakerValue)]


def beats(said: Iterable[Emission]) -> list[Heartbeat]:
    """The heartbeats."""
    return [emission.data for emission in said if isinstance(emission.data, Heartbeat)]


def quarantined(said: Iterable[Emission]) -> list[Quarantined]:
    """The records that were set aside."""
    return [emission.data for emission in said if isinstance(emission.data, Quarantined)]


def ready(rules: Rules | None = None, at: float = MONDAY, reload: bool = False) -> World:
    """A world whose clock runs and whose first grace is over at `at`."""
    world = World(rules, reload)
    world.ticks(at - 10 * MINUTE, at)
    world.said.clear()
    return world


def event(state: RunState, at: float, run_id: str = "r1", name: str = "load", **facts: object) -> RunEvent:
    """An event of a run."""
    return RunEvent("ns", name, run_id, state, at, **facts)  # type: ignore[arg-type]


def checked(at: float, success: bool, severity: str = "error", column: str = "") -> DatasetEvent:
    """A check that somebody ran on the table, told outside any run."""
    check = Assertion("not_null", success, column, severity)
    return DatasetEvent(Dataset("db", "orders", assertions=(check,)), at)


def profile(at: float, rows: float, grain: str = "load", **facts: object) -> Profile:
    """A profile of the table."""
    return Profile("db", "orders", at, rows, grain, **facts)  # type: ignore[arg-type]
