"""How many declared deadlines were met, month by month: a fold of what the control topic says of each deadline.

Every event has the figures of its month so far, and of the months before it, so the last one of an entity says all that
is known. Of two that differ, the one that has counted more deadlines is right: who lost its state begins anew.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from detector.core.emissions import Sla

TYPE = "sla"


class Attainment(msgspec.Struct, kw_only=True):
    """How many deadlines of one entity and one month were met. `owner` is who was to be told of late."""

    entity: str
    month: str
    met: int
    missed: int
    owner: str | None = None

    @property
    def share(self) -> float:
        """Of 1."""
        return self.met / max(self.met + self.missed, 1)


def attained(events: Iterable[Mapping[str, Any]], month: str | None = None) -> list[Attainment]:
    """What the data of events says, by entity and month; of one month only, if it is named. What is no such event is
    passed over."""
    found: dict[tuple[str, str], Attainment] = {}
    for event in events:
        try:
            told = msgspec.convert(event, Sla)
        except msgspec.ValidationError:
            continue
        for name, figures in told.months.items():
            before = found.get((told.entity, name))
            if before is None or before.met + before.missed <= figures.met + figures.missed:
                found[told.entity, name] = Attainment(
                    entity=told.entity, month=name, met=figures.met, missed=figures.missed, owner=told.owner
                )
    return [one for _, one in sorted(found.items()) if month in (None, one.month)]
