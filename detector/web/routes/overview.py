"""Everything at a glance."""

from collections import Counter
from heapq import nlargest
from typing import Any, Final, Literal

from litestar import Response

from detector import __version__
from detector.core.emissions import SEVERITIES, Severity
from detector.graph import Standing, state_of
from detector.web.access import Who
from detector.web.operations import Asking, Operation, json, query
from detector.web.shapes import Health, NoQuery, Overview, Wrong, You
from detector.web.sources import Sources

LATE: Final = frozenset({"late", "deadline"})
NEWEST: Final = 100
STATES: Final[tuple[Standing, ...]] = ("closed", "open", "held", "half_open", "unknown")

OVERVIEW = Operation(
    path="/v1/overview",
    tag="overview",
    summary="Everything at a glance",
    about=(
        "How many jobs and datasets are in which state, the open incidents, what is late or wrong now, and how Detector"
        " itself is. `late` are runs and loads that are late, `wrong` is everything else that goes on."
    ),
    answer=Overview,
)


async def overview(sources: Sources, request: Asking) -> Response[bytes]:
    """The answer of `OVERVIEW`."""
    query(request, NoQuery)
    who: Who = request.scope["state"]["who"]
    facts = sources.facts
    now = facts.clock()
    counts: Counter[tuple[str, Standing]] = Counter()
    found: list[Wrong] = []
    for entity, value in facts.values().items():
        state = state_of(value) if facts.is_fresh(value, now) else "unknown"
        counts[entity.partition(":")[0], state] += 1
        found += [
            Wrong(entity=entity, check=check, severity=one.severity, since=one.since, count=one.count)
            for check, one in value.episodes.items()
        ]
    late, wrong = [one for one in found if one.check in LATE], [one for one in found if one.check not in LATE]
    incidents = [one.severity for one in facts.incidents.copy().values() if one.state == "open"]
    kinds: tuple[Literal["job", "dataset"], ...] = ("job", "dataset")
    levels: tuple[Severity, ...] = SEVERITIES
    return json(
        Overview(
            at=now,
            you=You(name=who.name, role=who.role),
            entities={kind: {state: counts[kind, state] for state in STATES} for kind in kinds},
            incidents={level: incidents.count(level) for level in levels},
            late=nlargest(NEWEST, late, key=_newest),
            late_count=len(late),
            wrong=nlargest(NEWEST, wrong, key=_newest),
            wrong_count=len(wrong),
            plans=sum(plan.state == "open" for plan in facts.plans.copy().values()),
            detector=_health(sources),
        )
    )


def _newest(one: Wrong) -> tuple[Any, ...]:
    return one.since, one.entity, one.check


def _health(sources: Sources) -> Health:
    verdict, ages = sources.health.verdict(), dict(sources.facts.ages())
    return Health(
        version=__version__,
        ready=verdict.ready,
        problems=[*verdict.stuck, *verdict.troubles],
        caught_up=sources.feed.caught_up,
        trouble=sources.feed.trouble,
        oldest=round(max(ages.values()), 3) if ages else None,
        heartbeats={str(partition): round(age, 3) for partition, age in ages.items()},
        stale=sources.facts.stale(),
    )


ROUTES = [(OVERVIEW, overview)]
