"""`lineage`: who writes and reads what, and who of them stands still."""

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from detector.commands.breakers import Entity, MaxAge, Source
from detector.commands.common import AsJson, ConfigPath, configuration, console, kafka_of, redis_of, write_line
from detector.errors import Unreachable
from detector.view import MAX_AGE, Answer

if TYPE_CHECKING:
    from rich.text import Text

    from detector.config import Config
    from detector.graph import Fetch, Graph, Node, Side

STYLES = {"open": "bold red", "held": "red", "half_open": "yellow", "closed": "green", "unknown": "magenta"}


def lineage(
    entity: Entity,
    config: ConfigPath = None,
    up: Annotated[bool, typer.Option("--up", help="Only where it comes from.")] = False,
    down: Annotated[bool, typer.Option("--down", help="Only where it goes.")] = False,
    depth: Annotated[int, typer.Option("--depth", metavar="N", min=1, help="So many hops.")] = 4,
    as_json: AsJson = False,
    max_age: MaxAge = MAX_AGE,
    source: Annotated[Source, typer.Option("--from", help="Where to look: Kafka is slower.")] = Source.REDIS,
) -> None:
    """What an entity is made of, and what is made of it, as far as events have told; and who stands still.

    detector lineage dataset:warehouse/raw.orders

    Who waits, if this one is bad?

    detector lineage dataset:warehouse/raw.orders --down --depth 10

    detector lineage job:dbt/daily --up --json | jq '.nodes[] | select(.state == "open") | .entity'
    """
    from detector.graph import walk

    sides: list[Side] = [side for side, wanted in (("up", up), ("down", down)) if wanted] or ["up", "down"]  # type: ignore[misc]
    graph = walk(_fetch(configuration(config), max_age, source), entity, sides, depth)
    if as_json:
        import msgspec

        write_line(msgspec.json.encode(graph))
        return
    show(graph, sides)


def _fetch(settings: "Config", max_age: float, source: Source) -> "Fetch":
    """How to ask for some entities: Redis each time, or the topic once."""
    if source is Source.KAFKA:
        from detector.latest import breakers

        known = breakers(kafka_of(settings), settings.topics.breakers, time.time(), max_age)
        return lambda entities: {entity: known[entity] for entity in entities if entity in known}
    from redis import RedisError

    from detector.view import read_some

    client = redis_of(settings)

    def fetch(entities: Sequence[str]) -> Mapping[str, Answer]:
        try:
            return read_some(client, settings.redis.prefix, entities, time.time(), max_age)
        except RedisError as error:
            raise Unreachable(f"Redis does not answer: {error} (`--from kafka` does without)") from None

    return fetch


def show(graph: "Graph", sides: "Sequence[Side]") -> None:
    """A tree for each side."""
    from rich.text import Text

    from detector.graph import title, tree

    out = console()
    first = graph.nodes[graph.entity]
    out.print(_line("", first, f"part of {first.parent}" if first.parent else ""), soft_wrap=True)
    for side in sides:
        branches = list(tree(graph, side))
        out.print(Text(f"{title(graph, side)}{'' if branches else ' nobody that is known'}", "bold"), soft_wrap=True)
        for branch in branches:
            out.print(_line(branch.lead, branch.node, branch.note), soft_wrap=True)


def _line(lead: str, node: "Node", note: str) -> "Text":
    from rich.text import Text

    from detector.graph import told

    return Text.assemble(
        (lead, "dim"),
        (node.entity, "bold"),
        "  ",
        (told(node), STYLES[node.state]),
        (f"  ({note})" if note else "", "dim"),
    )
