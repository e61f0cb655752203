"""What a site of the tests knows: breakers, incidents, plans and events as topics tell them, without any Kafka."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from detector.config import Topics, Zones
from detector.core.breaker import State
from detector.core.commands import AddWindow, AnyCommand
from detector.core.emissions import (
    Anomaly,
    BreakerValue,
    CommandDone,
    Emission,
    Heartbeat,
    HeldBy,
    JudgedRun,
    OpenEpisode,
)
from detector.core.events import Record
from detector.core.incidents import Entry, Incident, IncidentFinding
from detector.core.messages import Redo
from detector.core.recovery import PlanStep, RecoveryPlan
from detector.core.windows import Window
from detector.errors import Unreachable
from detector.history import Judgement, Past
from detector.sinks import cloudevents
from detector.telemetry import Telemetry
from detector.web import Facts, Sources

NOW = 1_790_000_000.0
TOPICS = Topics()
ROOT, HELD, JOB = "dataset:db/raw.orders", "dataset:db/daily", "job:airflow/orders.load"
SLASHES = "dataset:s3://lake/raw//orders"
INCIDENT, PLAN = "5f0c7c1a9b2d4e6f8a0b1c2d3e4f5a6b", "9b2d4e6f8a0b1c2d3e4f5a6b5f0c7c1a"
PARTITIONS = 4


def breaker(entity: str, state: State = State.CLOSED, partition: int = 0, **more: object) -> BreakerValue:
    """A breaker in mode enforce."""
    given: dict[str, object] = {
        "on_unknown": "allow",
        "since": NOW - 600,
        "retry_at": None,
        "reason": "",
        "cause": None,
        "trips": 0,
        "sequence": 1,
        "warming_up": False,
        **more,
    }
    return BreakerValue(entity=entity, state=state, mode="enforce", partition=partition, **given)  # type: ignore[arg-type]


class Feed:
    """As `detector.feed.Feed`, of which a test decides how it is."""

    def __init__(self) -> None:
        self.caught_up, self.trouble = True, None


class Desk:
    """Answers commands as a test says; keeps what it was given."""

    def __init__(self, answers: Callable[[AnyCommand], list[CommandDone]]) -> None:
        self.given: list[AnyCommand] = []
        self.answers, self.away = answers, ""

    async def give(self, command: AnyCommand, patience: float) -> list[CommandDone]:
        self.given.append(command)
        await asyncio.sleep(0)
        if self.away:
            raise Unreachable(self.away)
        return self.answers(command) if patience else []


class History:
    """The runs of one entity, unless it is away."""

    def __init__(self) -> None:
        self.past: list[Past] = []
        self.away = False

    def add(self, run_id: str, ended: float, rows: float, unusual: bool = False) -> None:
        run = JudgedRun(
            entity=ROOT, kind="load", state="COMPLETE", severity="info", reason="", ended=ended, run_id=run_id
        )
        self.past.insert(0, Past(run=run, judgements={"rows": Judgement(rows, 900.0, 1_000.0, 1_100.0, unusual)}))

    def runs(self, entity: str, limit: int, before: float) -> list[Past]:
        if self.away:
            raise Unreachable("Redis does not answer: refused")
        return [one for one in self.past if one.run.entity == entity and one.run.ended < before][:limit]


def done(command: AnyCommand) -> list[CommandDone]:
    """It was done."""
    kind = type(command).__struct_config__.tag
    return [CommandDone(id=command.id, command=str(kind), by=command.by, done=True, effect="so be it")]


@dataclass
class Known:
    """The facts, and how to tell them more."""

    telemetry: Telemetry = field(default_factory=Telemetry)
    feed: Feed = field(default_factory=Feed)
    desk: Desk = field(default_factory=lambda: Desk(done))
    history: History = field(default_factory=History)
    now: float = NOW
    offsets: list[int] = field(default_factory=lambda: [0] * PARTITIONS)

    def __post_init__(self) -> None:
        def owner(entity: str) -> str | None:
            return "team-orders" if "orders" in entity else None

        self.facts = Facts(TOPICS, Zones(), owner, 60.0, lambda: self.now)
        self.facts.begin(TOPICS.control, PARTITIONS)
        self.facts.begin(TOPICS.commands, 1)
        for partition in range(PARTITIONS):
            self.beat(partition, NOW)

    @property
    def sources(self) -> Sources:
        return Sources(self.facts, self.feed, self.desk, self.history, self.telemetry.health)

    def beat(self, partition: int, clock: float) -> None:
        beat = msgspec.json.encode(Heartbeat(partition=partition, clock=clock))
        self.facts.put(TOPICS.breakers, f"heartbeat:{partition}", beat)

    def breaker(self, value: BreakerValue) -> None:
        self.facts.put(TOPICS.breakers, value.entity, msgspec.json.encode(value))

    def incident(self, value: Incident) -> None:
        self.facts.put(TOPICS.incidents, value.id, msgspec.json.encode(value))

    def say(self, emission: Emission, partition: int = 0) -> None:
        """An event of the control topic."""
        send = cloudevents.encode(emission, "/detector", TOPICS)
        at = self.offsets[partition]
        self.offsets[partition] += 1
        self.facts.heard(Record(TOPICS.control, partition, at, self.now, send.key, send.value, send.headers))

    def order(self, command: AnyCommand) -> None:
        """A record of the topic of commands."""
        self.facts.heard(Record(TOPICS.commands, 0, 0, self.now, b"", msgspec.json.encode(command), ()))


def company() -> Known:
    """A site with something of each kind."""
    known = Known()
    held = HeldBy(
        root=ROOT, path=[ROOT, JOB], since=NOW - 500, until=NOW + 500, reason="3 rows", bad_since=NOW - 600, epoch=1
    )
    episode = OpenEpisode(id="e1", since=NOW - 600, severity=2, count=1, run_id="r1", checks=["rows"])
    late = OpenEpisode(id="e2", since=NOW - 60, severity=1, count=1, run_id=None)
    known.breaker(breaker(ROOT, State.OPEN, 1, reason="3 rows, usually 1,000", episodes={"rows": episode}, down=[JOB]))
    known.breaker(breaker(JOB, up=[ROOT], down=[HELD], episodes={"late": late}))
    known.breaker(breaker(HELD, State.OPEN, 2, reason=f"held: {ROOT}", held_by=[held], up=[JOB]))
    known.breaker(breaker(SLASHES, partition=3))
    finding = IncidentFinding(
        entity=ROOT, check="rows", episode="e1", severity="critical", since=NOW - 600, summary="3 rows", run_id="r1"
    )
    incident = Incident(
        id=INCIDENT,
        version=2,
        state="open",
        severity="critical",
        title="3 rows, usually 1,000",
        root=ROOT,
        opened=NOW - 600,
        updated=NOW - 500,
        findings=[finding],
        affected=[HELD],
        timeline=[Entry(at=NOW - 600, text="opened")],
        summary="orders are short",
    )
    known.incident(incident)
    known.incident(
        msgspec.structs.replace(incident, id="0" * 32, state="resolved", opened=NOW - 9_000, resolved=NOW - 8_000)
    )
    anomaly = Anomaly(
        phase="started", episode="e1", entity=ROOT, check="rows", severity="critical", summary="3 rows", since=NOW - 600
    )
    known.say(Emission("a1", "control", ROOT, "io.detector.anomaly.started.v1", NOW - 600, anomaly), 1)
    step = PlanStep(job=JOB, runs=[Redo(why="bad", run_id="r1")])
    plan = RecoveryPlan(
        plan=PLAN,
        version=1,
        root=ROOT,
        incident=INCIDENT,
        state="open",
        opened=NOW,
        steps=[step],
        summary="1 run to redo",
    )
    known.say(Emission("p1", "control", PLAN, "io.detector.recovery.plan.v1", NOW, plan), 2)
    window = Window(id="w1", match="job:*", start=NOW - 60, end=NOW + 60, kind="mute", reason="known", owner="alice")
    known.order(AddWindow(id="c1", by="alice", window=window))
    for number in range(3):
        known.history.add(f"r{number}", NOW - 900 + 100 * number, 3 if number == 2 else 1_000 + number, number == 2)
    return known


def now() -> float:
    """What the machine's clock says."""
    return time.time()
