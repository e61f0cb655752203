"""What was published wins: whatever is lost or changes between, nothing stays open that nobody will ever close.

Here workers are replaced by those of another configuration, which find other things in the same log; Redis loses all of
it while the log has been shortened; states rot. So the outcome is not that of a quiet run. But once all is well again,
whoever was told that something began must have been told that it is over, under the same name.
"""

from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec
import pytest

from detector.checkpoint import Limits
from detector.core.emissions import BreakerValue
from detector.core.events import Dataset, RunEvent, encode, observations
from detector.core.incidents import LEVELS, Incident
from detector.core.partition import partition_of
from detector.core.policies import window
from detector.core.rules import Rules, Settings
from tests.fakes.cluster import FakeLog
from tests.test_checkpoint import PARTITIONS, Schedule, Worker, breakers, fill, tick, worker

RULES = (
    Rules(),
    Rules(fingerprint="the same by another name"),
    Rules(Settings(policy=window.Window(criticals=2, warnings=3, runs=3)), fingerprint="lenient"),
    Rules(Settings(mode="shadow"), fingerprint="shadow"),
)


class Losses(Schedule):
    """Everything that a schedule has, and what no replay can mend."""

    def new(self) -> Worker:
        self.members += 1
        limits = Limits(
            snapshot_records=self.random.choice((5, 20, 1_000)), backstop=self.random.choice((0.0, 3_600.0))
        )
        chaos, rules = Random(self.random.random()), self.random.choice(RULES)
        return worker(self.cluster, self.store, self.members, chaos, rules, limits)

    def do_shorten_the_log(self) -> None:
        for partition, log in enumerate(self.cluster.records):
            committed = self.cluster.committed.get(partition)
            if committed is not None and self.random.random() < 0.3:
                low = self.random.randint(self.cluster.low.get(partition, 0), committed.offset)
                self.cluster.low[partition] = low
                self.cluster.records[partition] = [record for record in log if record.offset >= low]
        self.zombies = [zombie for zombie in self.zombies if not self.is_lost(zombie)]
        for at, each in enumerate(self.workers):
            if self.is_lost(each):
                self.crash(at)

    def is_lost(self, worker: Worker) -> bool:
        """Whether Kafka has no record any more where the worker would read on: that ends it."""
        low = self.cluster.low
        return any(position < low.get(partition, 0) for partition, position in worker.log.positions.items())

    def do_lose_everything(self) -> None:
        if self.random.random() < 0.5:
            self.store.flush()
            self.do_shorten_the_log()
        if self.random.random() < 0.5:  # as if the backstop topic were an hour behind
            self.cluster.written = [send for send in self.cluster.written if send.topic != "snapshots"]

    do_lose_everything_again = do_lose_everything

    def do_rot(self) -> None:
        for _, states, _ in self.store.snapshots.values():
            for key in sorted(states):
                if self.random.random() < 0.2:
                    states[key] = b"\x01rubbish"

    def live(self) -> None:
        """Now and then all that there is was judged, so that there is much to lose."""
        for _ in range(6):
            self.run(25)
            self.store.away = False
            self.at = fill(self.cluster, self.random, 4, self.at, reads=True)
            self.finish()

    def be_well(self) -> None:
        """Good runs of everything, for long enough that what somebody has said for a time is over, too."""
        self.store.away = False
        for _ in range(32):
            self.at += 900.0
            for job in range(4):
                self.good_run(job)
            self.finish()

    def good_run(self, job: int) -> None:
        """One run like those before, of one that writes each table."""
        inputs, rows = (Dataset("db", f"table{job % 3}"),), 1_000.0 + self.random.gauss(0, 10)
        outputs = (Dataset("db", f"table{(job + 1) % 3}", rows=rows),)
        for event in (
            RunEvent("ns", f"job{job}", f"run-{self.at}-{job}", "START", self.at),
            RunEvent(
                "ns", f"job{job}", f"run-{self.at}-{job}", "COMPLETE", self.at + 10, inputs=inputs, outputs=outputs
            ),
        ):
            for key, body in observations(event, self.at):
                self.cluster.append(partition_of(key, PARTITIONS), key, encode(body), self.at)

    def finish(self) -> None:
        tick(self.cluster, self.at)
        tick(self.cluster, self.at + 60)
        length = -1
        while length != (length := sum(record.offset for log in self.cluster.records for record in log[-1:])):
            for each in self.workers:
                each.log.chaos = None
                each.finish()
        tick(self.cluster, self.at + 120)
        for each in self.workers * 2:
            each.finish()


def last_incidents(schedule: Schedule) -> dict[str, Incident]:
    found: dict[str, Incident] = {}
    for partition in range(PARTITIONS):
        values = FakeLog(schedule.cluster, 0).compacted("incidents", partition)
        found.update((key, msgspec.json.decode(value, type=Incident)) for key, value in values.items())
    return found


def events(schedule: Schedule, kind: str) -> Iterator[dict[str, Any]]:
    for send in schedule.cluster.written:
        headers = dict(send.headers)
        if send.topic == "control" and headers["ce_type"] == f"io.detector.{kind}.v1".encode():
            yield msgspec.json.decode(send.value or b"")


def what_is_left(schedule: Schedule) -> list[str]:
    """What somebody was told of, and what is not over."""
    left = [
        f"incident {key} of {i.root}: {i.state}" for key, i in last_incidents(schedule).items() if i.state == "open"
    ]
    values: list[BreakerValue] = list(breakers(schedule.cluster).values())
    left += [f"{value.entity}: {value.state}" for value in values if value.state != "closed" or value.held_by]
    left += [f"{value.entity}: {check}" for value in values for check in value.episodes]
    over = {event["episode"] for event in events(schedule, "anomaly.ended")}
    left += [f"{e['entity']}: {e['check']}" for e in events(schedule, "anomaly.started") if e["episode"] not in over]
    over = {e["id"] for kind in ("resolved", "merged") for e in events(schedule, f"incident.{kind}")}
    left += [f"incident {e['id']}" for e in events(schedule, "incident.opened") if e["id"] not in over]
    holds = dict[tuple[str, str], bool]()
    for event in events(schedule, "breaker.held"):
        holds[event["entity"], event["root"]] = event["held"]
    return left + [f"{entity} is held by {root}" for (entity, root), held in holds.items() if held]


def called_twice(schedule: Schedule) -> list[str]:
    """The incidents for which people were called again, although it was no worse."""
    called, twice = dict[str, int](), list[str]()
    for send in schedule.cluster.written:
        kind = dict(send.headers).get("ce_type", b"").decode()
        if send.topic == "control" and ".incident." in kind:
            incident = msgspec.json.decode(send.value or b"", type=Incident)
            if "reopened" in kind:
                called.pop(incident.id, None)
            if incident.pages and LEVELS.index(incident.severity) <= called.get(incident.id, 0):
                twice.append(incident.id)
            if incident.pages:
                called[incident.id] = LEVELS.index(incident.severity)
    return twice


def check_losses(seeds: range) -> None:
    for seed in seeds:
        schedule = Losses(seed)
        schedule.live()
        schedule.be_well()

        assert (what_is_left(schedule), called_twice(schedule)) == ([], []), f"seed {seed}"


def test_after_any_loss_all_that_began_is_over_once_all_is_well_again() -> None:
    check_losses(range(40))


@pytest.mark.crash
def test_after_many_losses_all_that_began_is_over_once_all_is_well_again() -> None:
    check_losses(range(1_000, 1_400))
