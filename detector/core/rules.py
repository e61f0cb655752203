"""What the configuration says of an entity, in the form that the core reads: plain values, looked up by key."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, tzinfo
from fnmatch import fnmatchcase
from typing import Literal

from detector.core.breaker import Mode
from detector.core.calendar import Calendar
from detector.core.cron import Cron
from detector.core.declared import Check, FreshWithin, LoadCheck
from detector.core.models import Model
from detector.core.models.baseline import Baseline
from detector.core.policies import Policy
from detector.core.policies.window import Window
from detector.core.schedule import Deadline, Lateness

DAY = 86_400.0
ADDED = ("checks", "tags")  # what several rules say of one entity
Promise = Deadline | Cron


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
    entity lives. `checks` are declared of a dataset; `of_loads` and `fresh` are these, by what they are held against.
    `worst` is the worst severity that a finding has. `owner` and `tags` are for people.
    """

    model: Callable[[], Model] = Baseline
    budget: float = 6.0
    metrics: frozenset[str] | None = None
    together: bool = True
    calendar: Calendar = field(default_factory=Calendar)
    late: Lateness | None = field(default_factory=Lateness)
    hanging: Hanging | None = field(default_factory=Hanging)
    deadline: Promise | None = None
    max_duration: float | None = None
    mode: Mode = "enforce"
    policy: Policy = field(default_factory=Window)
    wait: float = 600.0
    max_wait: float = DAY
    on_unknown: Literal["allow", "block"] = "allow"
    checks: tuple[Check, ...] = ()
    worst: int = 2
    owner: str | None = None
    tags: tuple[str, ...] = ()

    announced: str = field(init=False, default="")
    of_loads: tuple[LoadCheck, ...] = field(init=False, default=())
    fresh: tuple[FreshWithin, ...] = field(init=False, default=())
    is_promised: bool = field(init=False, default=False)

    def __post_init__(self) -> None:
        """`announced` is what readers of a breaker must be told anew when it changes. What `is_promised` is to come by
        a time, so that its absence is news.
        """
        object.__setattr__(self, "announced", f"{self.mode}/{self.on_unknown}")
        object.__setattr__(self, "of_loads", tuple(c for c in self.checks if not isinstance(c, FreshWithin)))
        object.__setattr__(self, "fresh", tuple(c for c in self.checks if isinstance(c, FreshWithin)))
        object.__setattr__(self, "is_promised", self.deadline is not None or bool(self.fresh))


@dataclass(slots=True)
class Rules:
    """The settings of every entity, and the rules of time.

    `overrides` are (glob over the entity's key, changed settings); the first that names a setting wins, but checks and
    tags of all are taken together, and of checks that are called the same the first. `fingerprint`
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
        """`declared` are the entities that are named whole and have a promise: watched before their first event."""
        kinds = ("job:", "dataset:")
        whole = {p for p, _ in self.overrides if p.startswith(kinds) and not any(c in p for c in "*?[")}
        self.declared = tuple(sorted(key for key in whole if self.of(key).is_promised))

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
                changes = {**override, **changes, **_added(changes, override)}
        if key.startswith("job:"):
            changes.pop("checks", None)  # those are of datasets
        return replace(self.default, **changes) if changes else self.default  # type: ignore[arg-type]


def _added(first: dict[str, object], more: dict[str, object]) -> dict[str, object]:
    """What two rules have of what is taken together."""
    found: dict[str, object] = {}
    for name in [name for name in ADDED if name in first and name in more]:
        values = (*first[name], *more[name])  # type: ignore[misc]
        found[name] = tuple({getattr(value, "called", value): value for value in reversed(values)}.values())[::-1]
    return found
