"""The lineage as far as it is known, for people: who writes what, who reads it, and who of them stands still.

No part of the detector has the whole graph. Each breaker's record names its neighbours, so the graph is asked for hop
by hop, from one entity on. `walk` is given how to ask; it knows neither Redis nor Kafka.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Literal

import msgspec

from detector.core.breaker import State
from detector.core.emissions import BreakerValue
from detector.view import Answer

Side = Literal["up", "down"]
Standing = Literal["closed", "open", "held", "half_open", "unknown"]
Fetch = Callable[[Sequence[str]], Mapping[str, Answer]]
MOST = 10_000


class Node(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One entity. `state` is what a reader of it obeys, `held` where it is so because of `held_by`; `hops` from the
    first one.
    """

    entity: str
    state: Standing
    hops: int = 0
    mode: str = "enforce"
    message: str = ""
    held_by: list[str] = []
    up: list[str] = []
    down: list[str] = []
    parent: str | None = None


class Graph(msgspec.Struct, kw_only=True):
    """What is up and down of `entity`. `nodes` are all that were asked for; `edges` lead from above to below.

    `more` are those, on each side, that have neighbours further away, which were not asked for.
    """

    entity: str
    nodes: dict[str, Node]
    edges: list[tuple[str, str]]
    more: dict[Side, list[str]]


def walk(fetch: Fetch, entity: str, sides: Sequence[Side], depth: int) -> Graph:
    """The graph from one entity on, to these sides, so many hops: of each hop all entities are asked for at once."""
    nodes = {entity: _node(entity, fetch([entity]).get(entity), 0)}
    edges: dict[tuple[str, str], None] = {}
    more: dict[Side, list[str]] = {}
    for side in sides:
        outermost = [entity]
        seen = {entity}
        for hop in range(1, depth + 1):
            found: dict[str, None] = {}
            for key in outermost:
                for neighbour in _next(nodes[key], side):
                    edges[(neighbour, key) if side == "up" else (key, neighbour)] = None
                    if neighbour not in seen and len(seen) < MOST:
                        found[neighbour] = None
                        seen.add(neighbour)
            answers = fetch([key for key in found if key not in nodes])
            nodes |= {key: _node(key, answers.get(key), hop) for key in found if key not in nodes}
            outermost = list(found)
        more[side] = [key for key in outermost if not seen.issuperset(_next(nodes[key], side))]
    return Graph(entity=entity, nodes=nodes, edges=list(edges), more=more)


def _next(node: Node, side: Side) -> list[str]:
    return node.up if side == "up" else node.down


def state_of(value: BreakerValue) -> Standing:
    """What a reader obeys, as one word: `held` where it is open for no reason of its own."""
    stopped = value.state is State.OPEN and value.waits_for and not (value.own and value.own.state is State.OPEN)
    return "held" if stopped and value.override is None else value.state.value


def _node(entity: str, answer: Answer | None, hops: int) -> Node:
    value = answer.breaker if answer is not None else None
    if answer is None or value is None:
        return Node(entity=entity, state="unknown", hops=hops, message="no event of its own was seen")
    return Node(
        entity=entity,
        state="unknown" if answer.verdict == "unknown" else state_of(value),
        hops=hops,
        mode=value.mode,
        message=answer.message if answer.verdict == "unknown" else value.reason,
        held_by=[held.root for held in value.waits_for],
        up=value.up,
        down=value.down,
        parent=value.parent,
    )


# ---------------------------------------------------------------- for people

TITLES: dict[tuple[str, Side], str] = {
    ("job", "up"): "reads",
    ("job", "down"): "writes",
    ("dataset", "up"): "written by",
    ("dataset", "down"): "read by",
}


class Branch(msgspec.Struct, frozen=True):
    """A line of the tree: what stands before the entity, the entity, and what is to be said of it."""

    lead: str
    node: Node
    note: str


def tree(graph: Graph, side: Side) -> Iterator[Branch]:
    """One side of the graph as a tree. What is in it twice is drawn once, and what leads back is marked."""
    drawn: set[str] = set()
    more = set(graph.more[side])

    def below(key: str, lead: str, path: tuple[str, ...]) -> Iterator[Branch]:
        known = [name for name in _next(graph.nodes[key], side) if name in graph.nodes]
        for at, name in enumerate(known):
            last = at == len(known) - 1
            note = "cycle" if name in path else "see above" if name in drawn else ""
            node = graph.nodes[name]
            yield Branch(lead + ("└─ " if last else "├─ "), node, note or ("and so on" if name in more else ""))
            if not note and name not in more:
                drawn.add(name)
                yield from below(name, lead + ("   " if last else "│  "), (*path, name))

    yield from below(graph.entity, "", (graph.entity,))


def title(graph: Graph, side: Side) -> str:
    """What a side of the graph is."""
    return TITLES["job" if graph.entity.startswith("job:") else "dataset", side]


def told(node: Node) -> str:
    """The state in words; of one that is not closed, why."""
    shadow = "" if node.mode == "enforce" or node.state in ("closed", "unknown") else f" ({node.mode})"
    message = node.message.removeprefix("held: ")
    why = f": {message}" if message and node.state != "closed" else ""
    return f"{node.state.replace('_', '-')}{shadow}{why}"
