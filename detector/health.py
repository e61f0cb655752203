"""Is the process alive, and is it of use? Stages report facts; `decide` makes the verdict of facts and a time.

Alive means that the loops go round. It is no question of Kafka or Redis: a restart does not bring them back, and the
states in memory would be lost. Ready means that breakers can be relied on: something is assigned, nothing waits, and
time does not stand still.
"""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

PATIENCE: Final = 60.0  # seconds after which who has not said again that it waits does so no more
STUCK: Final = 300.0  # a loop may be busy for long: a replay, or Kafka's answers that do not come, one after the other
GAP: Final = 120.0


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known at a moment. Times are monotonic seconds.

    `stages` are those that this process is; `turns` says when each loop last went round, `assigned` how many partitions
    each has, `waits` who waits, for what, and when that was last said. `lag` is how far time in the log is behind, in
    seconds, and `lag_at` when that was so.
    """

    stages: tuple[str, ...] = ()
    turns: Mapping[str, float] = field(default_factory=dict)
    assigned: Mapping[str, int] = field(default_factory=dict)
    waits: Mapping[str, tuple[str, float]] = field(default_factory=dict)
    lag: float | None = None
    lag_at: float = 0.0
    stopping: bool = False


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is wrong, in words. `stuck` asks for a restart; `troubles` ask for patience or an operator."""

    stuck: tuple[str, ...]
    troubles: tuple[str, ...]

    @property
    def alive(self) -> bool:
        """Whether all loops go round."""
        return not self.stuck

    @property
    def ready(self) -> bool:
        """Whether nothing at all is wrong."""
        return not self.stuck and not self.troubles


def decide(facts: Facts, now: float, gap: float = GAP, stuck_after: float = STUCK) -> Verdict:
    """The verdict at `now` (monotonic seconds). Time that is more than `gap` seconds behind stands still."""
    stuck = tuple(
        f"{stage} has not gone round for {now - at:.0f} s"
        for stage, at in sorted(facts.turns.items())
        if now - at > stuck_after
    )
    troubles = [f"{stage} has not started" for stage in facts.stages if stage not in facts.turns]
    troubles += [f"{stage} has no partitions" for stage, count in sorted(facts.assigned.items()) if count == 0]
    troubles += [f"{who} waits: {why}" for who, (why, at) in sorted(facts.waits.items()) if now - at <= PATIENCE]
    if facts.lag is not None and (behind := facts.lag + now - facts.lag_at) > gap:
        troubles.append(f"time stands still for {behind:.0f} s: is ingest running, and does it keep up?")
    if facts.stopping:
        troubles.append("stopping")
    return Verdict(stuck, tuple(troubles))


class Health:
    """The facts, as the stages' threads report them and the server's thread reads them; `stages` are to be expected."""

    def __init__(self, gap: float = GAP, clock: Callable[[], float] = time.monotonic) -> None:
        """`gap` is in seconds (`time.gap`); `clock` gives monotonic seconds."""
        self._gap, self._clock = gap, clock
        self.stages: tuple[str, ...] = ()
        self._lock = threading.Lock()
        self._turns: dict[str, float] = {}
        self._assigned: dict[str, int] = {}
        self._waits: dict[str, tuple[str, float]] = {}
        self._lag: float | None = None
        self._lag_at = 0.0
        self._stopping = False

    def alive(self, stage: str, assigned: int | None = None) -> None:
        """The stage went round; it has so many partitions (None: that is no question for it)."""
        with self._lock:
            self._turns[stage] = self._clock()
            if assigned is not None:
                self._assigned[stage] = assigned

    def waits(self, who: str, why: str) -> None:
        """Somebody waits for something. To be said again while it is so, at least once a minute."""
        with self._lock:
            self._waits[who] = why, self._clock()

    def goes_on(self, who: str) -> None:
        """Whoever waited under this name does no more."""
        with self._lock:
            self._waits.pop(who, None)

    def only_these_wait(self, kind: str, waits: Mapping[str, str]) -> None:
        """Of those whose name begins with `kind` and a blank, these wait now, for what the texts say."""
        with self._lock:
            now = self._clock()
            gone = [who for who in self._waits if who.startswith(f"{kind} ")]
            for who in gone:
                del self._waits[who]
            self._waits.update({f"{kind} {name}": (why, now) for name, why in waits.items()})

    def lag(self, seconds: float) -> None:
        """How far time in the log is behind."""
        with self._lock:
            self._lag, self._lag_at = seconds, self._clock()

    def stopping(self) -> None:
        """The process was told to stop: send nobody here any more."""
        with self._lock:
            self._stopping = True

    def facts(self) -> Facts:
        """All of it at one moment."""
        with self._lock:
            turns, assigned, waits = dict(self._turns), dict(self._assigned), dict(self._waits)
            return Facts(self.stages, turns, assigned, waits, self._lag, self._lag_at, self._stopping)

    def verdict(self) -> Verdict:
        """What is wrong now."""
        return decide(self.facts(), self._clock(), self._gap)
