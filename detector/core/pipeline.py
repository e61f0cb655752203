"""The flow of one record of the log: which entities it concerns, what each does, what is said.

`step` is a function of the states and the record alone. It owns the states that it is given and changes them in
place: the caller must not use what it held before. If an entity's turn raises, `step` raises `StepFailed` with the
entity's name, and the states are to be thrown away (the checkpoint replays them from the last snapshot). What a newer
release has learned of a history raises `SnapshotTooNew`.
"""

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase
from heapq import heapify, heappop, heappush
from types import MappingProxyType
from typing import get_args

import msgspec

from detector.core import board, carrying, datasets, jobs, lineage, people, promises, recovery, seeding
from detector.core import breaker as breakers
from detector.core.breaker import State
from detector.core.commands import AddWindow, Commanded, EndWindow
from detector.core.emissions import Emission, Heartbeat, Quarantined
from detector.core.events import (
    AliasTold,
    Begun,
    Carried,
    DatasetObserved,
    JobObserved,
    Observation,
    Profiled,
    Record,
    RunObserved,
    Seed,
    Tick,
)
from detector.core.messages import BOARD, Blame, BoardMessage, Hold, Release
from detector.core.partition import partition_of
from detector.core.rules import DAY, Rules
from detector.core.state import NEVER, Entity, Partition
from detector.core.turn import BREAKER, Place, Turn
from detector.core.windows import Window, active, next_change
from detector.errors import SnapshotTooNew

MAX_DUE = 2_000
MAX_WINDOWS, MAX_WINDOWS_BYTES = 1_000, 1 << 20  # each snapshot of a partition has all of them
WINDOWS = "windows:all"
POISON_LIMIT = 3
POISON_REST = 3_600.0
HEARTBEAT = "io.detector.heartbeat.v1"
QUARANTINED = "io.detector.entity.quarantined.v1"
OBSERVED = (RunObserved, DatasetObserved, JobObserved)
BOARD_MESSAGES = get_args(BoardMessage)
NO_POISON: Mapping[str, str] = MappingProxyType({})


class StepFailed(Exception):
    """The turn of one entity at one record raised; the cause is the exception."""

    def __init__(self, key: str) -> None:
        """`key` names the entity."""
        super().__init__(key)
        self.key = key


def wanted(partition: Partition, record: Record, body: Observation, rules: Rules) -> list[str]:
    """The entities whose states `step` needs for this record: those that are not in the index are new.

    May be asked again before `step`: the answer is the same. After a change of the configuration a tick concerns every
    entity of the partition, some at a time, so that each breaker is told of anew under the new rules.
    """
    if record.key is None and isinstance(body, Commanded | Begun):
        return []
    if not isinstance(body, Tick):
        return [(record.key or b"").decode()]
    if not accepted(partition, record, body, rules):
        return []
    if partition.rules != rules.fingerprint:
        for key in sorted(partition.due):
            schedule(partition, key, 0.0)
        partition.rules = rules.fingerprint
    return _unborn(partition, rules) + _due_keys(partition, body.at)


def step(
    partition: Partition,
    entities: Mapping[str, Entity],
    keys: Sequence[str],
    record: Record,
    body: Observation,
    rules: Rules,
    topic_id: str,
    poisoned: Mapping[str, str] = NO_POISON,
) -> list[Emission]:
    """Let every entity that the record concerns have its turn, in a fixed order. Raises `StepFailed`.

    `keys` are what `wanted` says, and `entities` holds the states of all of them, new ones included. `poisoned` maps
    entities whose turn at this record raised before to the error: they keep their state and are quarantined instead.
    """
    emissions: list[Emission] = []
    place = Place(topic_id, partition.number, record.offset, record.timestamp)
    if isinstance(body, Tick):
        _advance(partition, record, body, rules, place, emissions)
    elif isinstance(body, Commanded) and not keys:
        _rule(partition, body, place, rules, emissions)
    elif isinstance(body, Begun):
        carrying.on_begun(partition, body)
    now = partition.clock or record.timestamp
    at = _time_of(body, now)
    for key in keys:
        turn = Turn(entities[key], rules.of(key), rules, place, now, at, emissions, windows=partition.windows)
        if key in poisoned:
            _quarantine(turn, poisoned[key], partition, isinstance(body, Tick))
        else:
            _take(turn, partition, record, body)
        turn.entity.at = record.offset + 1
    return emissions


def _take(turn: Turn, partition: Partition, record: Record, body: Observation) -> None:
    entity = turn.entity
    try:
        if isinstance(body, Carried):
            carrying.on_carried(turn, body)
            schedule(partition, entity.key, body.due)
        elif entity.key == BOARD:
            _take_board(turn, partition, body)
        else:
            _take_entity(turn, partition, record, body)
    except (MemoryError, SnapshotTooNew):
        raise
    except Exception as error:
        raise StepFailed(entity.key) from error


def _take_board(turn: Turn, partition: Partition, body: Observation) -> None:
    board.hear(turn)
    if isinstance(body, Tick):
        board.on_time(turn)
    elif isinstance(body, Commanded):
        if people.once(turn, body.command):
            done = board.on_command(turn, body.command)
            people.answer(turn, body.command, done is not None, done or "nothing of that name is open")
    elif isinstance(body, BOARD_MESSAGES):
        board.on_message(turn, body)
    # Before the first tick, time is that of records, which may be ahead of the clock that comes: look again then.
    schedule(partition, BOARD, board.due(turn) if partition.clock else 0.0)


def _take_entity(turn: Turn, partition: Partition, record: Record, body: Observation) -> None:
    entity = turn.entity
    if turn.windows:
        maintenance = active(_maintenance(turn), entity.key, turn.now, turn.rules.zones)
        turn.quiet = maintenance.reason or "maintenance" if maintenance else ""
    turn.announce()
    if isinstance(body, Tick):
        _on_time(turn, partition)
    else:
        _observe(turn, body)
        entity.seen = max(entity.seen, record.timestamp)
        if entity.judgement.poisoned:
            entity.judgement.poisoned = 0
    lineage.settle(turn)
    if not entity.seen:
        entity.seen = turn.now  # a state that was made of a published breaker has not seen anything
    if isinstance(body, Tick) and turn.now >= _expires_at(turn):
        _expire(turn, partition)
    else:
        turn.publish()
        schedule(partition, entity.key, _due(turn, partition))


def _observe(turn: Turn, body: Observation) -> None:
    match body:
        case RunObserved():
            jobs.on_run(turn, body)
        case DatasetObserved():
            datasets.on_dataset(turn, body)
        case Profiled():
            datasets.on_profile(turn, body)
        case JobObserved():
            jobs.on_job(turn, body)
        case Seed():
            seeding.on_seed(turn, body)
        case AliasTold():
            lineage.meet(turn, up=(body.of,), down=(body.of,), at=turn.believed(body.at))
        case Hold():
            lineage.on_hold(turn, body)
        case Release():
            lineage.on_release(turn, body)
        case Blame():
            recovery.on_blame(turn, body)
        case Commanded():
            if people.once(turn, body.command):
                people.on_command(turn, body.command)


def _time_of(body: Observation, now: float) -> float:
    if isinstance(body, OBSERVED):
        return body.event_time
    return body.profile.event_time if isinstance(body, Profiled) else now


# ---------------------------------------------------------------- time


def accepted(partition: Partition, record: Record, tick: Tick, rules: Rules) -> bool:
    """Whether a tick moves the clock: one that is behind is a repeat; one far ahead of its append time is a lie."""
    return partition.clock < tick.at <= record.timestamp + rules.ahead


def _advance(
    partition: Partition, record: Record, tick: Tick, rules: Rules, place: Place, emissions: list[Emission]
) -> None:
    if tick.at > record.timestamp + rules.ahead:
        partition.ignored_ticks += 1
    if not accepted(partition, record, tick, rules):
        return
    if partition.clock == 0 or tick.at - partition.clock > rules.gap:
        partition.grace_until = tick.at + rules.grace
    partition.clock = tick.at
    if tick.at >= partition.heartbeat_at + rules.heartbeat:
        partition.heartbeat_at = tick.at
        beat = Heartbeat(partition=partition.number, clock=tick.at)
        told_as, key = place.emission_id(len(emissions)), f"heartbeat:{partition.number}"
        emissions.append(Emission(told_as, "breakers", key, HEARTBEAT, tick.at, beat, partition.number))


def _rule(partition: Partition, body: Commanded, place: Place, rules: Rules, emissions: list[Emission]) -> None:
    """A mute or maintenance begins or ends, for all entities of the partition. One partition answers for all."""
    command, before = body.command, partition.windows
    if isinstance(command, AddWindow):
        done, effect = _add(partition, command.window, rules)
    elif isinstance(command, EndWindow):
        partition.windows = [window for window in before if window.id != command.window]
        done = len(partition.windows) < len(before)
        effect = "it is over" if done else f"no mute or maintenance is called {command.window}"
    else:
        return
    old, new = frozenset(before), frozenset(partition.windows)
    changed = [w.match for w in before if w not in new] + [w.match for w in partition.windows if w not in old]
    for key in sorted(partition.due):
        if key == BOARD or any(fnmatchcase(key, match) for match in changed):
            schedule(partition, key, 0.0)  # what was quiet may have to be told now
    if place.partition == 0:
        now = partition.clock
        people.answer(Turn(Entity(WINDOWS), rules.default, rules, place, now, now, emissions), command, done, effect)


def _add(partition: Partition, new: Window, rules: Rules) -> tuple[bool, str]:
    if new.zone not in rules.zones:
        return False, f"the tz database has no {new.zone}"
    now, zones = partition.clock, rules.zones
    kept = [w for w in partition.windows if w.id != new.id and next_change([w], now, zones) < NEVER]
    if len(kept) >= MAX_WINDOWS:
        return False, f"there are {MAX_WINDOWS} already: end one first"
    if len(msgspec.msgpack.encode([*kept, new])) > MAX_WINDOWS_BYTES:
        return False, "all of them together are too large: end one first, or say less in each"
    partition.windows = sorted([*kept, new], key=lambda window: (window.start, window.id))
    return True, f"{new.kind} of {new.match}"


def _maintenance(turn: Turn) -> list[Window]:
    return [window for window in turn.windows if window.kind == "maintenance"]


def _grace(turn: Turn, partition: Partition) -> float:
    """Until when nothing is called late: after an outage of ours, and in maintenance."""
    if not turn.quiet:
        return partition.grace_until
    return max(partition.grace_until, next_change(_maintenance(turn), turn.now, turn.rules.zones) + turn.rules.grace)


def _on_time(turn: Turn, partition: Partition) -> None:
    turn.moves(breakers.on_time(turn.entity.judgement.breaker, turn.now))
    people.on_time(turn)
    lineage.on_time(turn, partition.grace_until)
    recovery.on_time(turn)
    if turn.entity.key.startswith("job:"):
        jobs.on_time(turn, _grace(turn, partition))
    promises.on_time(turn, _grace(turn, partition))


def _due(turn: Turn, partition: Partition) -> float:
    breaker, grace_until = turn.entity.judgement.breaker, _grace(turn, partition)
    times = [_expires_at(turn), people.due(turn), lineage.due(turn, partition.grace_until)]
    if turn.settings.is_promised:
        times.append(promises.due(turn, grace_until))
    if breaker.state is State.OPEN and breaker.retry_at is not None:
        times.append(breaker.retry_at)
    if turn.entity.key.startswith("job:"):
        times.append(jobs.due(turn, grace_until))
    return min(times)


def _expires_at(turn: Turn) -> float:
    """Forgotten at the end of the day: the index need not change with every record. What was promised stays."""
    if turn.settings.is_promised:
        return NEVER
    return (turn.entity.seen + turn.rules.expire_after) // DAY * DAY + DAY


def _expire(turn: Turn, partition: Partition) -> None:
    """The entity was silent for so long that it is forgotten: its episodes end, its breaker becomes a tombstone."""
    for check in sorted(turn.entity.judgement.episodes):
        turn.over(check, "the entity was forgotten after a long silence")
    lineage.leave(turn)
    turn.emissions.append(Emission(turn.next_id(), "breakers", turn.entity.key, BREAKER, turn.at, None))
    forget(partition, turn.entity.key)


def schedule(partition: Partition, key: str, at: float) -> None:
    """Enter into the index when an entity next wants the time."""
    due = partition.due
    if due.get(key) == at:
        return
    due[key] = at
    partition.changed.add(key)
    if at < NEVER:
        heappush(partition.queue, (at, key))
    if len(partition.queue) > 2 * len(due) + 1_000:
        rebuild(partition)


def forget(partition: Partition, key: str) -> None:
    """Take an entity out of the index."""
    partition.due.pop(key, None)
    partition.changed.add(key)


def rebuild(partition: Partition) -> None:
    """Make the queue anew from the due times."""
    partition.queue = [(at, key) for key, at in partition.due.items() if at < NEVER]
    heapify(partition.queue)


def _due_keys(partition: Partition, at: float) -> list[str]:
    """The entities that are due, the longest due first; the rest of a crowd waits for the next tick."""
    due: list[tuple[float, str]] = []
    queue = partition.queue
    while queue and queue[0][0] <= at and len(due) < MAX_DUE:
        entry = heappop(queue)
        if partition.due.get(entry[1]) == entry[0] and (not due or due[-1] != entry):
            due.append(entry)
    for entry in due:
        heappush(queue, entry)
    return [key for _, key in due]


def _unborn(partition: Partition, rules: Rules) -> list[str]:
    """Declared entities of this partition that no event has spoken of yet: they are watched all the same."""
    return [
        key
        for key in rules.declared
        if key not in partition.due and partition_of(key, partition.count) == partition.number
    ]


# ---------------------------------------------------------------- poison


def _quarantine(turn: Turn, error: str, partition: Partition, tick: bool) -> None:
    """The turn raised twice: that is its outcome. The state stays, the record is set aside, and it is said.

    What it waits for stays too; but an entity that fails on a tick would fail on each: it has a rest, and the runs that
    wait to be judged, which may be what fails, are dropped.
    """
    judgement, runs = turn.entity.judgement, turn.entity.runs
    for waiting in [run for run in runs.open.values() if run.ended is not None]:
        del runs.open[waiting.id]
    judgement.poisoned += 1
    turn.say(
        QUARANTINED,
        Quarantined(
            entity=turn.entity.key,
            partition=turn.place.partition,
            offset=turn.place.offset,
            error=error,
            failures=judgement.poisoned,
            summary=f"{turn.entity.key}: a record could not be judged ({error}); it was set aside",
        ),
    )
    if judgement.poisoned >= POISON_LIMIT and turn.settings.mode != "off" and turn.entity.key != BOARD:
        turn.moves(
            breakers.lose(judgement.breaker, turn.now, f"{judgement.poisoned} records in a row could not be judged")
        )
        turn.publish()
    if not tick:
        turn.entity.seen = max(turn.entity.seen, turn.place.appended)
    if tick or turn.entity.key not in partition.due:
        schedule(partition, turn.entity.key, turn.now + POISON_REST)
