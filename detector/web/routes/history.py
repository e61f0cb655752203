"""How it was: the judged runs of an entity, and its series with what was expected. The only routes that ask Redis."""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from math import inf
from typing import Final

from litestar import Response

from detector.core.emissions import JudgedRun
from detector.errors import Unreachable
from detector.history import Judgement, Past, metrics, series
from detector.web.operations import Asking, Operation, json, key, query
from detector.web.problems import away, not_found
from detector.web.shapes import Metric, Metrics, Page, RunRow, RunsQuery, Series, SeriesQuery
from detector.web.sources import Sources

MOST: Final = 500
PATIENCE: Final = 3.0  # seconds
# Threads of its own: a Redis that hangs must not take those of other routes.
POOL: Final = ThreadPoolExecutor(4, "history")
AWAY: Final = (
    "The history of runs is in Redis, which does not answer ({}). Breakers, entities and incidents do without."
)

RUNS = Operation(
    path="/v1/runs/{entity}",
    tag="history",
    summary="Judged runs",
    about="Runs, loads and profiles as they were judged, the newest first: each number, and what was expected of it.",
    query=RunsQuery,
    answer=Page[RunRow],
    problems=(503,),
)
SERIES = Operation(
    path="/v1/series/{entity}",
    tag="history",
    summary="A series with its band",
    about="Without `metric`: which metrics there are. With one: its values, the oldest first, and what was expected.",
    query=SeriesQuery,
    answer=Metrics,
    or_answer=Series,
    problems=(404, 503),
)


async def runs(sources: Sources, request: Asking) -> Response[bytes]:
    """The answer of `RUNS`."""
    asked = query(request, RunsQuery)
    past = await _past(sources, key(request), asked.limit + 1, inf if asked.before is None else asked.before)
    rows = [_row(one.run, one.judgements) for one in past[: asked.limit]]
    return json(Page[RunRow](items=rows, next=repr(rows[-1].ended) if len(past) > asked.limit else None))


async def shown(sources: Sources, request: Asking) -> Response[bytes]:
    """The answer of `SERIES`."""
    asked, entity = query(request, SeriesQuery), key(request)
    past = await _past(sources, entity, MOST, inf)
    units = metrics(past)
    if not asked.metric:
        return json(Metrics(metrics=[Metric(metric=name, unit=unit) for name, unit in units.items()]))
    if asked.metric not in units:
        raise not_found(f"{entity} has no metric {asked.metric}: without `metric` this says which there are.")
    points = series(past, asked.metric)[-asked.limit :]
    return json(Series(metric=asked.metric, unit=units[asked.metric], points=points))


async def _past(sources: Sources, entity: str, limit: int, before: float) -> list[Past]:
    """In a thread: Redis is asked, and may be slow. Raises a `Problem`."""
    asked = asyncio.get_running_loop().run_in_executor(POOL, sources.history.runs, entity, limit, before)
    try:
        async with asyncio.timeout(PATIENCE):
            return await asked
    except Unreachable as error:
        raise away(AWAY.format(error)) from None
    except TimeoutError:
        raise away(AWAY.format(f"no answer within {PATIENCE:g} s")) from None


def _row(run: JudgedRun, judgements: Mapping[str, Judgement]) -> RunRow:
    names = [name for name in RunRow.__struct_fields__ if name != "judgements"]
    return RunRow(**{name: getattr(run, name) for name in names}, judgements=dict(judgements))


ROUTES = [(RUNS, runs), (SERIES, shown)]
