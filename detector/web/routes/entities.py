"""Jobs and datasets: many of them in rows, one whole, and who waits for whom."""

import asyncio
from base64 import b64decode, urlsafe_b64encode
from bisect import bisect_right
from collections.abc import Iterator
from fnmatch import fnmatchcase

import msgspec
from litestar import Response

from detector.core.emissions import BreakerValue
from detector.graph import Graph, Side, state_of, walk
from detector.view import Answer
from detector.web.facts import Facts
from detector.web.operations import Asking, Operation, json, key, query
from detector.web.problems import Fault, Problem, not_found
from detector.web.shapes import (
    BreakerQuery,
    EntitiesQuery,
    EntityRow,
    EntityWhole,
    LineageQuery,
    NoQuery,
    Page,
)
from detector.web.sources import Sources

KEY = "Its key, as it is or percent-encoded: what follows in the path is taken whole, slashes and all."

LIST = Operation(
    path="/v1/entities",
    tag="entities",
    summary="Jobs and datasets",
    about="In the order of their keys, a page at a time.",
    query=EntitiesQuery,
    answer=Page[EntityRow],
)
ONE = Operation(
    path="/v1/entities/{entity}",
    tag="entities",
    summary="All of one entity",
    about="What a pipeline is told, the whole breaker with its anomalies and neighbours, and its open incident. " + KEY,
    answer=EntityWhole,
    problems=(404,),
)
BREAKER = Operation(
    path="/v1/breakers/{entity}",
    tag="entities",
    summary="May it go on?",
    about=(
        "The question before each run. `verdict` is allow, block or unknown; `on_unknown` says what to do about the"
        " last. It is answered from memory, for any key, whatever is away, and is not limited in its rate. " + KEY
    ),
    query=BreakerQuery,
    answer=Answer,
)
LINEAGE = Operation(
    path="/v1/lineage/{entity}",
    tag="entities",
    summary="Who waits for whom",
    about="What it is made of and what is made of it, as far as events have told; and who stands still. " + KEY,
    query=LineageQuery,
    answer=Graph,
    problems=(404,),
)


async def listed(sources: Sources, request: Asking) -> Response[bytes]:
    """The answer of `LIST`."""
    asked, facts = query(request, EntitiesQuery), sources.facts
    values = facts.values()
    keys = sorted(values)
    begin = bisect_right(keys, _place(asked.cursor)) if asked.cursor else 0
    rows: list[EntityRow] = []
    for entity in _wanted(keys[begin:], asked):
        row = _row(facts, entity, values[entity], asked)
        if row is None:
            continue
        if len(rows) == asked.limit:
            return json(Page[EntityRow](items=rows, next=urlsafe_b64encode(rows[-1].entity.encode()).decode()))
        rows.append(row)
    return json(Page[EntityRow](items=rows, next=None))


def _place(cursor: str) -> str:
    try:
        return b64decode(cursor.encode(), b"-_", validate=True).decode()
    except ValueError:
        why = "is none that a page had as next"
        raise Problem(
            422, f"The parameters cannot be used: cursor {why}", errors=[Fault(where="cursor", message=why)]
        ) from None


def _wanted(keys: list[str], asked: EntitiesQuery) -> Iterator[str]:
    part = asked.q.casefold()
    for entity in keys:
        if asked.kind is not None and not entity.startswith(f"{asked.kind}:"):
            continue
        if part and not (fnmatchcase(entity.casefold(), part) if "*" in part else part in entity.casefold()):
            continue
        yield entity


def _row(facts: Facts, entity: str, value: BreakerValue, asked: EntitiesQuery) -> EntityRow | None:
    state = state_of(value) if facts.is_fresh(value, facts.clock()) else "unknown"
    if asked.state and state not in asked.state:
        return None
    answer = facts.answer(entity)
    return EntityRow(
        entity=entity,
        kind="job" if entity.startswith("job:") else "dataset",
        state=state,
        mode=value.mode,
        verdict=answer.verdict,
        message=answer.message,
        since=value.since,
        checks=list(value.episodes),
        owner=facts.owner(entity),
    )


async def one(sources: Sources, request: Asking) -> Response[bytes]:
    """The answer of `ONE`."""
    query(request, NoQuery)
    entity, facts = key(request), sources.facts
    answer = facts.answer(entity)
    if answer.reason == "no_record":
        raise not_found(f"Nothing is known of {entity}: no event of it was seen, or it was forgotten.")
    incident = facts.open_incident_of(entity)
    whole = EntityWhole(
        **{name: getattr(answer, name) for name in Answer.__struct_fields__},
        owner=facts.owner(entity),
        incident=None if incident is None else incident.id,
    )
    return json(whole)


async def lineage(sources: Sources, request: Asking) -> Response[bytes]:
    """The answer of `LINEAGE`. In a thread: a wide graph takes a while, and others must not wait for it."""
    asked, entity = query(request, LineageQuery), key(request)
    if entity not in sources.facts.breakers:
        raise not_found(f"Nothing is known of {entity}: no event of it was seen, or it was forgotten.")
    sides: list[Side] = ["up", "down"] if asked.direction == "both" else [asked.direction]
    graph = await asyncio.to_thread(walk, sources.facts.answers, entity, sides, asked.depth)
    return Response(await asyncio.to_thread(msgspec.json.encode, graph), media_type="application/json")


ROUTES = [(LIST, listed), (ONE, one), (LINEAGE, lineage)]
