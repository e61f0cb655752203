"""What is kept of an entity's declared intent: how its checks went, and how many of its deadlines were met."""

import msgspec

KEEP_MONTHS = 13


class Standing(msgspec.Struct, array_like=True):
    """How a declared check of loads stands: in profiles of which grains it fails.

    `evaluated` is when it was last known how it goes (0: never), `seen` when it was first looked at; `lacks` is what
    was said to be missing since.
    """

    failing: list[str] = []
    evaluated: float = 0.0
    seen: float = 0.0
    lacks: str = ""


class Intent(msgspec.Struct, array_like=True):
    """The state of all that was declared.

    `watched` is since when the freshness of a dataset is watched. `made` are the deadlines to come for which a run, or
    a load, has completed; `spent` is when one completed that was too late for its deadline, and so counts for no other.
    `months` counts the deadlines that were met and missed in a month, `2026-11`.
    """

    checks: dict[str, Standing] = {}
    watched: float = 0.0
    made: list[float] = []
    months: dict[str, tuple[int, int]] = {}
    spent: float = 0.0

    def count(self, month: str, met: bool) -> None:
        """One more deadline of this month was met, or missed."""
        before = self.months.get(month, (0, 0))
        self.months[month] = (before[0] + met, before[1] + (not met))
        for old in sorted(self.months)[:-KEEP_MONTHS]:
            del self.months[old]
