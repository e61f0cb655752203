"""How entities move into a log with another number of partitions: the new log begins with their states.

So it stands for itself. Whoever replays it from its start comes to the same, as of any log; there is no snapshot that
it needs, and no moment in which half of it is somewhere else. Each entity says at once where its breaker stands, since
the topic of breakers is a new one, too, and the record names the partition.
"""

from collections.abc import Sequence

from msgspec.structs import fields

from detector.core.events import Begun, Carried
from detector.core.messages import BOARD
from detector.core.state import Entity, Partition, load
from detector.core.turn import Turn

_PARTS = tuple(field.name for field in fields(Entity) if field.name not in ("key", "at"))


def begun(partitions: Sequence[Partition], of: str) -> Begun:
    """What all partitions of a new log begin with, of all those of the log with the id `of`.

    Their clocks differ by a tick or so. Of the latest, no entity sees time go back, and what was due is due still.
    """
    rules = {partition.rules for partition in partitions}
    windows = {window.id: window for partition in partitions for window in partition.windows}
    return Begun(
        of=of,
        clock=max(partition.clock for partition in partitions),
        grace_until=max(partition.grace_until for partition in partitions),
        rules=rules.pop() if len(rules) == 1 else "",
        windows=sorted(windows.values(), key=lambda window: (window.start, window.id)),
    )


def on_begun(partition: Partition, body: Begun) -> None:
    """Time stands where it stood; a heartbeat comes with the first tick."""
    partition.clock, partition.grace_until, partition.rules = body.clock, body.grace_until, body.rules
    partition.windows = list(body.windows)


def on_carried(turn: Turn, body: Carried) -> None:
    """Be what the state says, and publish it. Raises `ValueError` for the state of another, and `SnapshotTooNew`."""
    entity, carried = turn.entity, load(body.state)
    if carried.key != entity.key:
        raise ValueError("the state is of another entity")
    for name in _PARTS:
        setattr(entity, name, getattr(carried, name))
    if entity.key != BOARD:
        turn.announce()
        turn.unpublished = True
        turn.publish()
