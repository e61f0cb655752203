"""Incidents: many in rows, one whole, for programs or for people."""

import msgspec
from litestar import Response

from detector.core.incidents import Incident
from detector.incident_page import page as page_of
from detector.web.operations import Asking, Operation, json, key, query, text
from detector.web.problems import Fault, Problem, not_found
from detector.web.shapes import IncidentQuery, IncidentRow, IncidentsQuery, IncidentWhole, Page
from detector.web.sources import Sources

LIST = Operation(
    path="/v1/incidents",
    tag="incidents",
    summary="Incidents",
    about="All findings of one cause are one. The newest first, a page at a time.",
    query=IncidentsQuery,
    answer=Page[IncidentRow],
)
ONE = Operation(
    path="/v1/incidents/{id}",
    tag="incidents",
    summary="One incident",
    about="Whole: findings, timeline, who is hit, what to do, and as `evidence` the numbers that were found.",
    query=IncidentQuery,
    answer=IncidentWhole,
    others=("text/plain",),
    problems=(404,),
)


async def listed(sources: Sources, request: Asking) -> Response[bytes]:
    """The answer of `LIST`."""
    asked = query(request, IncidentsQuery)
    found = [one for one in sources.facts.incidents.copy().values() if asked.state in ("all", one.state)]
    found.sort(key=_order)
    if asked.cursor:
        place = _place(asked.cursor)
        found = [one for one in found if _order(one) > place]
    rows, more = found[: asked.limit], len(found) > asked.limit
    following = f"{rows[-1].opened!r}/{rows[-1].id}" if more else None
    return json(Page[IncidentRow](items=[IncidentRow.of(one) for one in rows], next=following))


def _order(one: Incident) -> tuple[float, str]:
    return -one.opened, one.id


def _place(cursor: str) -> tuple[float, str]:
    opened, _, id_ = cursor.partition("/")
    try:
        return -float(opened), id_
    except ValueError:
        why = "is none that a page had as next"
        raise Problem(
            422, f"The parameters cannot be used: cursor {why}", errors=[Fault(where="cursor", message=why)]
        ) from None


async def one(sources: Sources, request: Asking) -> Response[bytes]:
    """The answer of `ONE`."""
    asked, facts = query(request, IncidentQuery), sources.facts
    found = facts.incidents.get(key(request))
    if found is None:
        raise not_found(f"No incident has the id {key(request)}: /v1/incidents?state=all has those that are kept.")
    evidence = facts.evidence(found)
    if asked.format == "text":
        lines = page_of(found, facts.around(found), facts.clock(), evidence)
        return text("".join(f"{line.text}\n" for line in lines))
    return json(IncidentWhole(**msgspec.structs.asdict(found), evidence=evidence))


ROUTES = [(LIST, listed), (ONE, one)]
