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
from detector.core.commands import AddWindow, Commanded
from detector.core.emissions import BreakerValue
from detector.core.events import Assertion, Dataset, RunEvent, encode, observations
from detector.core.incidents import LEVELS, Incident
from detector.core.partition import partition_of
from detector.core.policies import window
from detector.core.rules import DAY, Rules, Settings
from detector.core.windows import Window
from tests.fakes.cluster import Cluster, FakeLog, FakeStore
from tests.strategies import how_many
from tests.test_checkpoint import PARTITIONS, START, Schedule, Worker, append, breakers, fill, give, tick, worker

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
        kind = (dict(send.headers).get("ce_type") or b"").decode()
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
    check_losses(range(how_many(0.4)))


@pytest.mark.slow
def test_after_many_losses_all_that_began_is_over_once_all_is_well_again() -> None:
    check_losses(range(1_000, 1_400))


# ---------------------------------------------------------------- one loss, one test

TABLE, REPORT, MADE = "dataset:db/orders", "job:ns/report", "dataset:db/report"


def shop() -> tuple[Cluster, FakeStore, Worker]:
    """A table that somebody reads, and a partition that has judged it."""
    cluster, store = Cluster(1), FakeStore()
    for number in range(3):
        at = START + 600 * number
        tick(cluster, at)
        append(cluster, RunEvent("ns", "load", f"l{number}", "COMPLETE", at, outputs=(Dataset("db", "orders"),)))
        reads, writes = (Dataset("db", "orders"),), (Dataset("db", "report"),)
        append(cluster, RunEvent("ns", "report", f"r{number}", "COMPLETE", at + 60, inputs=reads, outputs=writes))
    only = give(cluster, worker(cluster, store), [0])
    only.finish()
    return cluster, store, only


def spoil(cluster: Cluster, only: Worker, at: float) -> None:
    """The table is bad."""
    bad = Dataset("db", "orders", assertions=(Assertion("not_null", False, "id", "error"),))
    tick(cluster, at)
    append(cluster, RunEvent("ns", "load", f"l{at}", "COMPLETE", at, outputs=(bad,)))
    only.finish()
    let_pass(cluster, only, at, 60.0)


def mend(cluster: Cluster, only: Worker, at: float) -> None:
    """The table is good again."""
    good = Dataset("db", "orders", assertions=(Assertion("not_null", True, "id", "error"),))
    append(cluster, RunEvent("ns", "load", f"l{at}", "COMPLETE", at, outputs=(good,)))
    only.finish()
    let_pass(cluster, only, at, 60.0)


def let_pass(cluster: Cluster, only: Worker, since: float, seconds: float) -> None:
    """Time goes by, in steps that are no outage."""
    for step in range(1, int(seconds // 20) + 1):
        tick(cluster, since + 20 * step)
    only.finish()


def lose_all_but_what_was_published(cluster: Cluster, store: FakeStore) -> Worker:
    """Redis, the backstop topic and the log are gone up to the committed offset."""
    store.flush()
    cluster.written = [send for send in cluster.written if send.topic != "snapshots" or b"windows" in (send.key or b"")]
    cluster.low[0], cluster.records[0] = cluster.committed[0].offset, []
    return give(cluster, worker(cluster, store, member=99), [0])


def told(cluster: Cluster) -> list[Incident]:
    """What the control topic said of incidents."""
    sent = [s for s in cluster.written if s.topic == "control" and b".incident." in (dict(s.headers)["ce_type"] or b"")]
    return [msgspec.json.decode(send.value or b"", type=Incident) for send in sent]


def held(cluster: Cluster) -> set[str]:
    """Who is held."""
    return {key for key, value in breakers(cluster).items() if value.held_by}


def test_an_incident_goes_on_under_its_id_calls_nobody_again_and_ends() -> None:
    cluster, store, only = shop()
    spoil(cluster, only, START + 3_600)
    (before,) = told(cluster)
    only = lose_all_but_what_was_published(cluster, store)
    let_pass(cluster, only, START + 3_700, 600.0)
    mend(cluster, only, START + 4_500)
    let_pass(cluster, only, START + 4_600, 60.0)
    after = told(cluster)[1:]

    assert before.pages
    assert {incident.id for incident in after} == {before.id}
    assert (after[-1].state, [incident.pages for incident in after]) == ("resolved", [False] * len(after))


def test_those_below_stay_held_beyond_the_lease_that_they_had_and_are_let_go_in_the_end() -> None:
    cluster, store, only = shop()
    spoil(cluster, only, START + 3_600)
    before = held(cluster)
    only = lose_all_but_what_was_published(cluster, store)
    let_pass(cluster, only, START + 3_700, 7 * 3_600.0)
    long_after = held(cluster)
    mend(cluster, only, START + 3_700 + 7 * 3_600.0)

    assert before == long_after == {REPORT, MADE}
    assert held(cluster) == set()


def test_an_anomaly_that_no_published_incident_has_is_found_from_the_record_of_its_entity() -> None:
    cluster, store, only = shop()
    spoil(cluster, only, START + 3_600)
    (before,) = told(cluster)
    cluster.written = [
        s for s in cluster.written if s.topic not in ("control", "incidents")
    ]  # as if it had not come yet
    only = lose_all_but_what_was_published(cluster, store)
    let_pass(cluster, only, START + 3_700, 60.0)
    found = {member.episode for incident in told(cluster) for member in incident.findings}

    assert {member.episode for member in before.findings} <= found


@pytest.mark.parametrize("more", [False, True], ids=["at once", "with records to come"])
def test_what_was_published_is_taken_over_later_if_it_cannot_be_read_now(more: bool) -> None:
    cluster, store, only = shop()
    spoil(cluster, only, START + 3_600)
    before = breakers(cluster)
    only = lose_all_but_what_was_published(cluster, store)
    cluster.unread = True
    if more:
        tick(cluster, START + 3_700)
    for _ in range(3):
        only.turn()
    waiting = dict(only.checkpoint.waiting)
    cluster.unread = False
    let_pass(cluster, only, START + 3_700, 60.0)

    assert waiting
    assert {key: value.state for key, value in breakers(cluster).items()} == {k: v.state for k, v in before.items()}
    assert held(cluster) == {REPORT, MADE}


def test_a_mute_outlives_the_loss_of_everything_else() -> None:
    cluster, store, only = shop()
    mute = Window(id="w", match="dataset:*", start=START, end=START + 90_000, kind="mute", owner="alice", reason="move")
    cluster.append(0, None, encode(Commanded(AddWindow(id="1", by="alice", window=mute))), START + 2_000)
    only.finish()
    only = lose_all_but_what_was_published(cluster, store)
    let_pass(cluster, only, START + 3_000, 60.0)
    spoil(cluster, only, START + 3_600)

    assert [(incident.pages, incident.quiet) for incident in told(cluster)] == [(False, "mute by alice: move")]


def test_a_snapshot_from_before_the_first_record_that_is_left_is_no_obstacle_to_the_next() -> None:
    cluster, store, first = shop()
    spoil(cluster, first, START + 3_600)
    old = dict(store.snapshots)
    mend(cluster, first, START + 4_500)
    store.snapshots = old
    cluster.low[0], cluster.records[0] = cluster.committed[0].offset, []
    second = give(cluster, worker(cluster, store, member=99), [0])
    let_pass(cluster, second, START + 4_700, 60.0)

    assert second.told.count("guard_refused") == 0
    assert store.snapshots[0][0].at == cluster.committed[0].offset


def test_a_bad_table_that_is_forgotten_lets_its_readers_go_and_its_incident_end() -> None:
    rules = Rules(expire_after=DAY)
    cluster, store = Cluster(1), FakeStore()
    only = give(cluster, worker(cluster, store, rules=rules), [0])
    reads = (Dataset("db", "orders"),)
    tick(cluster, START)
    append(cluster, RunEvent("ns", "report", "r", "COMPLETE", START + 60, inputs=reads))
    only.finish()
    spoil(cluster, only, START + 600)
    assert held(cluster) == {REPORT}
    for hour in range(1, 60):
        tick(cluster, START + 600 + 3_600.0 * hour)
        append(cluster, RunEvent("ns", "report", f"r{hour}", "RUNNING", START + 600 + 3_600.0 * hour))
        only.finish()

    assert TABLE not in breakers(cluster)
    assert (held(cluster), told(cluster)[-1].state) == (set(), "resolved")
