"""`detector state reshard`: a new log with another number of partitions, which begins with the states of the old one.

1. drain: this process is the only worker, and goes on until it has committed all that stands in the old log.
2. carry: one transaction writes what each new partition begins with, the state of each entity to the partition that it
   belongs in now, the incidents as they were published, and where ingest goes on. All of it is there or nothing is: who
   dies in between has changed nothing, and does it again.

The old log, its topics and what Redis has of it stay as they are. What was not ingested yet is ingested into the new
log, from the very positions that were committed with the old one: no event is lost, and none is in both.
"""

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

import msgspec
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition

from detector.archive.standing import Groups, Standing
from detector.broker import ANSWER, PRODUCER, TRANSACTIONAL, Member, Place, Settings, insist
from detector.checkpoint import Checkpoint
from detector.config.schema import Topics
from detector.core.carrying import begun
from detector.core.events import Carried, encode
from detector.core.messages import BOARD
from detector.core.partition import partition_of
from detector.errors import CannotReshard, Unreachable
from detector.latest import is_empty, messages
from detector.seams import LARGEST, Committed, Send
from detector.worker import Worker

Told = Callable[[int, int], None]
PATIENCE = 60.0  # seconds for a service to come back, and for a transaction that somebody left open to end
TRANSACTION = 900.0  # as long as Kafka lets one be, if nobody has said otherwise
LOOK = 200  # entities between two looks at the group
STAGES = ("worker", "ingest", "history", "execute", "alert")  # those whose groups are named after the log
MADE_ANEW = ("breakers", "snapshots")  # by the workers, of the states


def next_name(log: str) -> str:
    """The name of the log after this one: `detector.observations.v2`, `.v3` and so on."""
    found = re.fullmatch(r"(.+)\.v(\d+)", log)
    return f"{found[1]}.v{int(found[2]) + 1}" if found else f"{log}.v2"


def renamed(topics: Topics, to: str, partitions: int, alike: Sequence[str]) -> Topics:
    """The topics of the new log: what has as many partitions as the log (`alike`) is new, too, and named after it.

    Raises `CannotReshard` for the name of the old one.
    """
    if to == topics.log:
        raise CannotReshard(f"{to} is the old log: name another one with --to")
    version = re.search(r"\.v\d+$", to)
    mark = version[0] if version else f".{to}"
    names = {key: re.sub(r"\.v\d+$", "", getattr(topics, key)) + mark for key in alike}
    return msgspec.structs.replace(topics, log=to, partitions=partitions, **names)


def moved(group: str, log: str, to: str) -> str | None:
    """What a group that is named after the old log is called after the new one; None for the group of somebody else."""
    stage = group.removeprefix(f"{log}.")
    return f"{to}.{stage}" if stage != group and stage.partition(".")[0] in STAGES else None


def carried(checkpoint: Checkpoint, of: str, topic: str, partitions: int) -> Iterator[Send]:
    """The records that the new log begins with. `checkpoint` holds the whole old one, with the id `of`.

    Raises `CannotReshard` for a state that is too large for a record, and what reading states raises.
    """
    beginning = encode(begun([held.partition for held in checkpoint.held.values()], of))
    for number in range(partitions):
        yield Send(topic, None, beginning, partition=number)
    for number in sorted(checkpoint.held):
        for key, due, state in checkpoint.states(number):
            value = encode(Carried(state, due))
            send = Send(topic, key.encode(), value, partition=partition_of(key, partitions))
            if send.size > LARGEST:
                raise CannotReshard(f"the state of {key} is {len(state):,} bytes, too large for a record of the log")
            yield send


def copied(settings: Settings, topic: str, to: str, partitions: int) -> Iterator[Send]:
    """The last record of each key, as it was published, for the new topic: it is where the board of incidents is.

    Raises `Unreachable`.
    """
    last: dict[bytes, Send] = {}
    place = partition_of(BOARD, partitions)
    for message in messages(settings, topic):
        key, value = message.key() or b"", message.value()
        last.pop(key, None)
        if value is not None:
            last[key] = Send(to, key, value, tuple(message.headers() or ()), place)  # type: ignore[arg-type]
    yield from last.values()


class Drain:
    """The only worker of the old log, until nothing is left there to judge."""

    def __init__(
        self, member: Member, checkpoint: Checkpoint, loop: Worker, groups: Groups, places: list[Place]
    ) -> None:
        self._member, self._checkpoint, self._loop = member, checkpoint, loop
        self._groups, self._places = groups, places

    def run(self, group: str, told: Told) -> dict[Place, int]:
        """Judge what is left; returns where the old log ends. Raises `CannotReshard` where that does not come about."""
        deadline, before = time.monotonic() + PATIENCE, -1
        while True:
            self._loop.turn()
            done = sum(held.position for held in self._checkpoint.held.values())
            if done != before:
                deadline, before = time.monotonic() + PATIENCE, done
            if self._is_still():
                there = self._groups.standing(group, self._places)
                ends = {place: there[place].end for place in self._places}
                told(done, max(sum(ends.values()), done))
                if all(self._member.ends[place] >= end for place, end in ends.items()):
                    self._checkpoint.snapshot()
                    return ends
            if time.monotonic() > deadline:
                raise CannotReshard(self._why())

    def _is_still(self) -> bool:
        """Whether nothing more comes, as far as this member sees."""
        checkpoint = self._checkpoint
        held = checkpoint.held.values()
        at_rest = not checkpoint.waiting and not checkpoint.uncommitted() and not any(h.muted for h in held)
        return at_rest and len(held) == len(self._places) and all(p in self._member.ends for p in self._places)

    def _why(self) -> str:
        waiting = "; ".join(f"partition {number}: {why}" for number, why in self._checkpoint.waiting.items())
        missing = len(self._places) - len(self._checkpoint.held)
        told = waiting or (f"{missing} partitions were not given to this process" if missing else "it has no end")
        return f"the old log cannot be judged to its end: {told}"

    def still(self, sends: Iterable[Send], known: int, told: Told) -> Iterator[Send]:
        """The same records, while this member stays in the group, and keeps all of the log.

        Raises `CannotReshard` otherwise.
        """
        self._member.pause(self._places)
        for number, send in enumerate(sends):
            if number % LOOK == 0:
                self._member.poll(0, 2)
                self._refuse_others()
                told(min(number, known), known)
            yield send

    def _refuse_others(self) -> None:
        if len(self._checkpoint.held) < len(self._places):
            raise CannotReshard("another worker has come: stop all of them, and do it again")

    def refuse_changes(self, group: str, ends: Mapping[Place, int]) -> None:
        """Raises `CannotReshard` if the old log does not end where it ended, or somebody else works on it."""
        self._refuse_others()
        there = self._groups.standing(group, self._places)
        if any(there[place].end != end for place, end in ends.items()):
            raise CannotReshard("something was written to the old log meanwhile: stop what writes there, do it again")


class Carrier:
    """Writes what a new log begins with, in one transaction. Of two at once, the second ends what the first began.

    Raises `Unreachable` where Kafka gives no transaction. What is not committed by `write` is taken back.
    """

    def __init__(self, settings: Settings, log: str) -> None:
        named = {"transactional.id": f"{log}.reshard", "transaction.timeout.ms": int(TRANSACTION * 1_000)}
        self._settings = settings
        self._producer = Producer({**settings, **PRODUCER, **TRANSACTIONAL, **named, "linger.ms": 5})
        try:
            # What one before has begun is over after this, one way or the other.
            insist(lambda: self._producer.init_transactions(ANSWER), PATIENCE)
        except KafkaException as error:
            raise Unreachable(f"Kafka gives no transaction to {log}.reshard: {error.args[0].str()}") from None

    def write(
        self, sends: Iterable[Send], positions: Mapping[str, Mapping[Place, Committed]], check: Callable[[], None]
    ) -> int:
        """Write all of it and let groups go on at their positions, unless `check` raises; returns how many records.

        Raises `Unreachable`, and what making the records raises. Nothing is written then.
        """
        producer = self._producer
        try:
            producer.begin_transaction()
            count = self._produce(producer, sends)
            for group, places in positions.items():
                self._place(producer, group, places)
            check()
            insist(lambda: producer.commit_transaction(ANSWER), TRANSACTION)
        except KafkaException as error:
            self._take_back()
            raise Unreachable(f"the new log was not written: {error.args[0].str()}") from None
        except BaseException:
            self._take_back()
            raise
        return count

    def _take_back(self) -> None:
        """If Kafka cannot be asked to, the next `Carrier` does it, or Kafka itself after `TRANSACTION`."""
        with suppress(KafkaException):
            self._producer.abort_transaction(ANSWER)

    def _produce(self, producer: Producer, sends: Iterable[Send]) -> int:
        count = 0
        for count, send in enumerate(sends, 1):  # noqa: B007 - it is what is returned
            while True:
                try:
                    partition = -1 if send.partition is None else send.partition
                    producer.produce(send.topic, send.value, send.key, partition, headers=list(send.headers))
                    producer.poll(0)
                    break
                except BufferError:
                    producer.poll(0.05)
        return count

    def _place(self, producer: Producer, group: str, positions: Mapping[Place, Committed]) -> None:
        """Nobody is told where a group is while a transaction is about to move it: so who comes now is too early for
        the old positions, and for none.
        """
        consumer = Consumer({**self._settings, "group.id": group, "enable.auto.commit": False})
        try:
            offsets = [TopicPartition(*place, at.offset, metadata=at.metadata) for place, at in positions.items()]
            metadata = consumer.consumer_group_metadata()
            insist(lambda: producer.send_offsets_to_transaction(offsets, metadata, ANSWER), TRANSACTION)
        finally:
            consumer.close()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done, as far as it can be told before. `entities` are those of each new partition.

    `unjudged` and `unread` count offsets, control markers among them: of the old log, which is judged to its end first,
    and of outside topics, which are read into the new one.
    """

    log: str
    partitions: int
    entities: list[int]
    unjudged: int
    unread: int


def left(standing: Mapping[Place, Standing]) -> int:
    """How many offsets a group has before it."""
    return sum(max(at.end - (at.low if at.committed is None else at.committed), 0) for at in standing.values())


def refuse_members(groups: Groups, logs: Sequence[str], besides: Sequence[str] = ()) -> None:
    """Raises `CannotReshard` while anything works on one of these logs, but for `besides`."""
    for name in groups.names():
        if name not in besides and any(moved(name, log, "") is not None for log in logs):
            members = groups.members(name)
            if members:
                raise CannotReshard(
                    f"{name} has {members} member{'s' * (members > 1)}: stop everything of Detector first. One that was"
                    " killed is counted until its session ends (45 s by Kafka's default)"
                )


def positions(groups: Groups, old: Topics, new: Topics, topic_id: str) -> dict[str, dict[Place, Committed]]:
    """Where each group of the new log is to go on: where that of the old one was, in all that both have. The workers
    begin with the new log, which has this id.

    Raises `Unreachable`.
    """
    start = Committed(0, f"::{topic_id}")
    found = {f"{new.log}.worker": dict.fromkeys(groups.partitions([new.log]), start)}
    places = groups.partitions(sorted({*old.ours, *old.outside} & {*new.ours, *new.outside}))
    for name in groups.names():
        named = moved(name, old.log, new.log)
        if named is not None:
            there = groups.standing(name, places)
            known = {place: Committed(at.committed) for place, at in there.items() if at.committed is not None}
            found[named] = found.get(named, {}) | known
    return {name: placed for name, placed in found.items() if placed}


def refuse_begun(settings: Settings, log: str) -> None:
    """Raises `CannotReshard` if the new log has records. Those of a transaction that was taken back are none."""
    if not is_empty(settings, log):
        raise CannotReshard(
            f"{log} has records already. If this was resharded before, it is done: change the topics in the"
            " configuration, and start. Else name another log with --to"
        )
