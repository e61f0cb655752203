"""Snapshots as wholes: out of Redis while workers write, and into it, all of a partition or nothing."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import redis

from detector.archive.backup import backup, contents
from detector.archive.copies import Copies, Entities
from detector.archive.file import Begin, States, read
from detector.archive.restore import Log, plan, restore
from detector.archive.standing import Standing
from detector.core.state import Entity, PartitionHead, dump
from detector.embedded import EmbeddedRedis
from detector.errors import BackupRefused, SnapshotMoved, SnapshotTooNew
from detector.seams import Head
from detector.store import RedisStore

LOG, PREFIX, NOW = "detector.observations", "detector", 1_790_000_000.0


def quietly(_done: int, _total: int) -> None:
    """Nobody watches."""


class Installation:
    """A Redis with the states of a log of two partitions."""

    def __init__(self, client: redis.Redis) -> None:
        self.redis, self.store = client, RedisStore(client, PREFIX, LOG)
        self.copies = Copies(client, self.store, PREFIX, LOG)

    def save(self, partition: int, at: int, states: Mapping[str, bytes], expect: int | None = None) -> None:
        head = Head(at, "topic-1", 2, "fingerprint", b"digest", PartitionHead(NOW, 0.0, 0.0, 0, ""))
        self.store.snapshot(partition, head, states, dict.fromkeys(states, 5.0), expect)

    def entities(self, partition: int) -> dict[str, bytes]:
        """What Redis has of a partition, read as a worker reads it."""
        head, due = self.store.open(partition)
        found = self.store.load(partition, list(due), head.at) if head and due else []
        return {key: state or b"" for key, state in zip(due, found, strict=True)}

    def backup(self, path: Path) -> Path:
        backup(self.copies, LOG, path, NOW, quietly)
        return path

    def restore(self, path: Path, log: Log | None = None) -> None:
        restore(path, plan(path, log or standing(), self.copies), self.copies, quietly)


@pytest.fixture
def installed(embedded_redis: EmbeddedRedis) -> Iterator[Installation]:
    with redis.Redis.from_url(embedded_redis.url) as client:
        yield Installation(client)


def states(*names: str, size: int = 0) -> dict[str, bytes]:
    keys = [f"job:a/{name}" for name in names]
    return {key: dump(Entity(key, at=3, together=b"x" * size)) for key in keys}


def standing(committed: int | None = 100, low: int = 0, topic_id: str = "topic-1", of: str = "topic-1") -> Log:
    there = Standing(committed=committed, of=of, low=low, end=100)
    return Log(LOG, topic_id, 2, {0: there, 1: there})


def test_what_was_saved_comes_back_after_redis_was_lost(installed: Installation, tmp_path: Path) -> None:
    first, second = states("a", "b"), states("c")
    installed.save(0, 10, first)
    installed.save(1, 20, second)
    before = installed.store.open(0)
    path = installed.backup(tmp_path / "states")
    installed.redis.flushall()
    installed.restore(path)

    assert (installed.entities(0), installed.entities(1)) == (first, second)
    assert installed.store.open(0) == before
    assert installed.redis.ttl(installed.store.keys(0)[1]) == -1


def test_a_restore_replaces_all_that_is_there(installed: Installation, tmp_path: Path) -> None:
    old = states("a", "b")
    installed.save(0, 10, old)
    path = installed.backup(tmp_path / "states")
    installed.save(0, 30, {**states("c"), "job:a/a": states("a", size=9)["job:a/a"]}, expect=10)
    installed.restore(path)

    assert installed.entities(0) == old
    assert sorted(installed.redis.keys()) == sorted(key.encode() for key in installed.store.keys(0))


def test_a_backup_is_of_one_moment_while_workers_write(installed: Installation) -> None:
    before = states(*map(str, range(200)), size=100)
    installed.save(0, 10, before)
    found: Entities = []
    with installed.copies.frozen(0) as frozen:
        assert frozen is not None
        for some in frozen.entities():
            installed.save(0, 10 + len(found) + len(some), states("new", size=len(found)), expect=10 + len(found))
            found += some

        assert (frozen.head.at, {key: state for key, _, state in found}) == (10, before)
    assert len(installed.redis.keys()) == 2  # the copies are gone


@pytest.mark.slow
def test_large_states_are_read_a_few_at_a_time(installed: Installation, tmp_path: Path) -> None:
    installed.save(0, 10, states(*map(str, range(40)), size=1 << 20))
    path = installed.backup(tmp_path / "states")

    pieces = [len(frame.entities) for frame in read(path) if isinstance(frame, States)]
    assert sum(pieces) == 40
    assert max(pieces[1:]) <= 4


def test_what_is_in_a_file_is_told(installed: Installation, tmp_path: Path) -> None:
    installed.save(0, 10, states("a", "b"))
    installed.save(1, 20, states("large", size=1_000))
    found = contents(installed.backup(tmp_path / "states"), largest=1)

    assert (found.log, found.topic_id, found.of_partitions, found.entities) == (LOG, "topic-1", 2, 3)
    assert [(part.partition, part.at, part.entities, part.clock) for part in found.partitions] == [
        (0, 10, 2, NOW),
        (1, 20, 1, NOW),
    ]
    assert list(found.largest) == ["job:a/large"]


def test_without_states_there_is_nothing_to_save(installed: Installation, tmp_path: Path) -> None:
    with pytest.raises(BackupRefused, match="Redis has no states"):
        installed.backup(tmp_path / "states")
    assert list(tmp_path.iterdir()) == []


def test_other_installations_in_the_same_redis_are_left_out(installed: Installation, tmp_path: Path) -> None:
    installed.save(0, 10, states("a"))
    other = RedisStore(installed.redis, PREFIX, f"{LOG}-2")
    other.snapshot(0, Head(5, "t", 1, "", b"", PartitionHead(0.0, 0.0, 0.0, 0, "")), states("b"), {}, None)
    path = installed.backup(tmp_path / "states")

    assert [frame.partition for frame in read(path) if isinstance(frame, Begin)] == [0]
    assert contents(path).entities == 1


def test_a_state_that_redis_lacks_is_no_part_of_a_backup(installed: Installation, tmp_path: Path) -> None:
    installed.save(0, 10, states("a", "b"))
    installed.redis.hdel(installed.store.keys(0)[1], "job:a/b")

    with pytest.raises(BackupRefused, match="the index names job:a/b"):
        installed.backup(tmp_path / "states")


def test_a_worker_that_writes_meanwhile_ends_a_restore(installed: Installation, tmp_path: Path) -> None:
    installed.save(0, 10, states("a"))
    path = installed.backup(tmp_path / "states")
    steps = plan(path, standing(), installed.copies)
    installed.save(0, 30, states("b"), expect=10)

    with pytest.raises(BackupRefused, match="stop all workers"):
        restore(path, steps, installed.copies, quietly)
    assert set(installed.entities(0)) == {"job:a/a", "job:a/b"}


def test_what_was_not_put_in_place_leaves_nothing(installed: Installation) -> None:
    with installed.copies.staged(0) as staged:
        staged.put([("job:a/a", 5.0, b"state")])
        with pytest.raises(SnapshotMoved):
            staged.place(b"head", b"something else")

    assert installed.redis.keys() == []


def test_what_a_restore_would_do_is_told_before(installed: Installation, tmp_path: Path) -> None:
    installed.save(0, 10, states("a", "b"))
    path = installed.backup(tmp_path / "states")
    installed.save(0, 60, {}, expect=10)
    [step] = plan(path, standing(committed=100), installed.copies)

    assert (step.partition, step.entities, step.at, step.replay, step.now) == (0, 2, 10, 90, 60)


@pytest.mark.parametrize(
    ("log", "why"),
    [
        pytest.param(standing(topic_id="topic-2"), "its offsets mean other records", id="another topic of that name"),
        pytest.param(Log(LOG, "topic-1", 3, standing().standing), "of a log of 2 partitions", id="another number"),
        pytest.param(standing(committed=9), "somebody rewound", id="the group is behind the file"),
        pytest.param(standing(committed=None), "have committed nothing", id="the group is not there"),
        pytest.param(standing(of="topic-0"), "of another topic of that name", id="the group is of another topic"),
        pytest.param(standing(low=11), "was deleted", id="the records are not there any more"),
    ],
)
def test_what_cannot_be_rolled_forward_is_refused(log: Log, why: str, installed: Installation, tmp_path: Path) -> None:
    installed.save(0, 10, states("a"))
    path = installed.backup(tmp_path / "states")
    before = installed.entities(0)

    with pytest.raises(BackupRefused, match=why):
        installed.restore(path, log)
    assert installed.entities(0) == before


def test_a_state_of_a_later_release_is_refused_and_a_corrupt_one_is_left_to_the_worker(
    installed: Installation, tmp_path: Path
) -> None:
    newer, [corrupt] = states("a"), states("b").values()
    installed.save(0, 10, {"job:a/b": corrupt[:-1] + b"?"})
    path = installed.backup(tmp_path / "corrupt")
    [step] = plan(path, standing(), installed.copies)
    installed.save(0, 11, {key: b"\x63" + state[1:] for key, state in newer.items()}, expect=10)
    path = installed.backup(tmp_path / "newer")

    assert step.unreadable == 1
    with pytest.raises(SnapshotTooNew, match="format 99"):
        plan(path, standing(), installed.copies)
