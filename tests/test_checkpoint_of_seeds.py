"""Crashes, zombies and losses of Redis while histories are learned among live events: one quiet pass says the same."""

from functools import cache

import pytest

from detector.core.events import Dataset, Event, RunEvent, Seed, decode, encode
from detector.core.partition import partition_of
from detector.core.rules import Rules
from detector.seams import Send
from detector.seed import Summary, learn, matching
from tests.fakes.cluster import Cluster, FakeStore
from tests.test_checkpoint import START, Schedule, give, quiet, worker, written

DAY = 86_400.0


@cache
def history(jobs: int, days: int) -> tuple[Send, ...]:
    """What so many days have taught of the jobs and tables of the schedules."""
    events: list[Event] = [
        RunEvent(
            "ns",
            f"job{number}",
            f"old-{day}",
            "COMPLETE",
            START - (days - day) * DAY - number,
            outputs=(Dataset("db", f"table{number % 3}", rows=1_000.0 + (7 * day + number) % 40),),
        )
        for day in range(days)
        for number in range(jobs)
    ]
    return tuple(learn(events, Rules(), "log", matching([]), Summary()))


class SeedingSchedule(Schedule):
    """The same accidents, with histories in between: long and short ones, of some entities or of all, and again."""

    def do_seed(self) -> None:
        for send in history(self.random.randrange(1, 5), self.random.choice((3, 20, 40))):
            key = (send.key or b"").decode()
            self.cluster.append(partition_of(key, self.cluster.partitions), key, send.value or b"", self.at)


def test_what_a_newer_release_has_learned_refuses_the_partition_and_loses_nothing() -> None:
    cluster, store = Cluster(1), FakeStore()
    send = history(1, 20)[0]
    seed = decode(send.value or b"").body
    assert isinstance(seed, Seed)
    newer = Seed(b"\x02" + seed.state[1:], seed.since, seed.until)
    cluster.append(0, (send.key or b"").decode(), encode(newer), START)
    old = give(cluster, worker(cluster, store), [0])

    old.turn()
    old.commit()

    assert "knows formats up to 1" in old.checkpoint.waiting[0]
    assert (written(cluster), cluster.written, cluster.committed) == ([], [], {})


@pytest.mark.slow
def test_schedules_of_accidents_say_and_keep_what_a_quiet_run_does() -> None:
    outcomes = {b'"taken":true': 0, b'"taken":false': 0, b'"samples":40': 0}
    for seed in range(60):
        schedule = SeedingSchedule(seed)
        schedule.run(80)
        schedule.end()
        expected, store = quiet(schedule.cluster)

        assert written(schedule.cluster) == expected, f"seed {seed}"
        for partition, (head, states, due) in store.snapshots.items():
            found = schedule.store.snapshots[partition]
            assert found[0].digest == head.digest, f"seed {seed}"
            assert (found[1], found[2]) == (states, due), f"seed {seed}"
        for told in outcomes:
            outcomes[told] += sum(told in (value or b"") for _, _, value in expected)

    assert all(count > 0 for count in outcomes.values()), outcomes
