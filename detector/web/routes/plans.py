"""What must be redone, and when nobody is called."""

from litestar import Response

from detector.core.recovery import RecoveryPlan
from detector.mutes import Told, ahead, told
from detector.web.operations import Asking, Operation, json, key, query
from detector.web.problems import not_found
from detector.web.shapes import Items, NoQuery, PlansQuery
from detector.web.sources import Sources

LIST = Operation(
    path="/v1/plans",
    tag="recovery",
    summary="Recovery plans",
    about="What must be redone after something was bad, the newest first, as far back as the control topic is kept.",
    query=PlansQuery,
    answer=Items[RecoveryPlan],
)
ONE = Operation(
    path="/v1/plans/{id}",
    tag="recovery",
    summary="One recovery plan",
    about="Its steps in the order in which they must be done.",
    answer=RecoveryPlan,
    problems=(404,),
)
WINDOWS = Operation(
    path="/v1/windows",
    tag="windows",
    summary="Mutes and maintenance",
    about="Those in force and to come; those that hold now first.",
    answer=Items[Told],
)


async def listed(sources: Sources, request: Asking) -> Response[bytes]:
    """The answer of `LIST`."""
    asked = query(request, PlansQuery)
    found = [one for one in sources.facts.plans.copy().values() if asked.open in (None, one.state == "open")]
    return json(Items[RecoveryPlan](items=sorted(found, key=lambda one: (-one.opened, one.plan))))


async def one(sources: Sources, request: Asking) -> Response[bytes]:
    """The answer of `ONE`."""
    query(request, NoQuery)
    found = sources.facts.plans.get(key(request))
    if found is None:
        raise not_found(f"No plan has the id {key(request)}: /v1/plans has those that are known.")
    return json(found)


async def windows(sources: Sources, request: Asking) -> Response[bytes]:
    """The answer of `WINDOWS`."""
    query(request, NoQuery)
    facts = sources.facts
    now = facts.clock()
    to_come = ahead(facts.windows(), now, facts.zones)
    mutes, maintenance = told(to_come, "mute", now, facts.zones), told(to_come, "maintenance", now, facts.zones)
    return json(Items[Told](items=sorted([*mutes, *maintenance], key=lambda one: not one.active)))


ROUTES = [(LIST, listed), (ONE, one), (WINDOWS, windows)]
