"""What the configuration says of an entity, in the form that the core reads: plain values, looked up by key."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from fnmatch import fnmatchcase
from typing import Literal

from detector.core.breaker import Mode
from detector.core.calendar import Calendar
from detector.core.models import Model
from detector.core.models.baseline import Baseline
from detector.core.policies import Policy
from detector.core.policies.window import Window
from detector.core.schedule import Deadline, Lateness

DAY = 86_400.0


@dataclass(frozen=True, slots=True)
class Hanging:
    """A run hangs when it takes longer than `factor` times what is usual and than `floor` seconds."""

    min_runs: int = 5
    factor: float = 3.0
    floor: float = 600.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What holds for one entity. Times are in seconds; None switches a check off.

    `budget` is how many false alarms all metrics of an entity may raise in a quarter of a year. `metrics` are the names
    of the metrics that are judged, or None for all; `together` says whether also all of them at once. `deadline` and
    `max_duration` are declared; `late` and `hanging` say how the learned ones are read. `calendar` is by what clock the
    entity lives.
    """

    model: Callable[[], Model] = Baseline
    budget: float = 6.0
    metrics: frozenset[str] | None = None
    together: bool = True
    calendar: Calendar = field(default_factory=Calendar)
    late: Lateness | None = field(default_factory=Lateness)
    hanging: Hanging | None = field(default_factory=Hanging)
    deadline: Deadline | None = None
    max_duration: float | None = None
    mode: Mode = "enforce"
    policy: Policy = field(default_factory=Window)
    wait: float = 600.0
    max_wait: float = DAY
    on_unknown: Literal["allow", "block"] = "allow"
    owner: str | None = None
    tags: tuple[str, ...] = ()

    announced: str = field(init=False, default="")

    def __post_init__(self) -> None:
        """`announced` is what readers of a breaker must be told anew when it changes."""
        object.__setattr__(self, "announced", f"{self.mode}/{self.on_unknown}")


@dataclass(slots=True)
class Rules:
    """The settings of every entity, and the rules of time.

    `overrides` are (glob over the entity's key, changed settings); the first that names a setting wins. `fingerprint`
    stands for all of it (code included). A tick more than `ahead` seconds after its append time is ignored; ticks that
    stay away for longer than `gap` mean an outage, after which lateness waits for `grace`; a partition's heartbeat is
    sent every `heartbeat` seconds; an entity that is silent for `expire_after` is forgotten. A neighbour in the lineage
    that was not heard of for `forget_lineage` is one no more; nobody is called for an incident before `incident_wait`.
    `zones` are time zones by name, for mutes and maintenance.
    """

    default: Settings = field(default_factory=Settings)
    overrides: tuple[tuple[str, dict[str, object]], ...] = ()
    fingerprint: str = "default"
    ahead: float = 60.0
    gap: float = 120.0
    grace: float = 300.0
    heartbeat: float = 15.0
    expire_after: float = 90 * DAY
    forget_lineage: float = 30 * DAY
    incident_wait: float = 10.0
    zones: Mapping[str, tzinfo] = field(default_factory=lambda: {"UTC": UTC})
    declared: tuple[str, ...] = field(init=False)
    _known: dict[str, Settings] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        """`declared` are the jobs that are named whole and have a deadline: watched before their first event."""
        whole = {p for p, _ in self.overrides if p.startswith("job:") and not any(c in p for c in "*?[")}
        self.declared = tuple(sorted(key for key in whole if self.of(key).deadline is not None))

    def of(self, key: str) -> Settings:
        """The settings of the entity with this key."""
        settings = self._known.get(key)
        if settings is None:
            if len(self._known) > 100_000:
                self._known.clear()
            settings = self._known[key] = self._merge(key)
        return settings

    def _merge(self, key: str) -> Settings:
        changes: dict[str, object] = {}
        for pattern, override in self.overrides:
            if fnmatchcase(key, pattern):
                changes = {**override, **changes}
        return replace(self.default, **changes) if changes else self.default  # type: ignore[arg-type]
