"""The lineage for people: asked for hop by hop, drawn as a tree that ends."""

from collections.abc import Mapping, Sequence

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.core.breaker import State
from detector.core.emissions import BreakerValue
from detector.graph import Fetch, Graph, told, tree, walk
from detector.view import Answer, decide
from tests.test_view import NOW, held, overridden, own, value

RAW, CLEAN, DWH, LOAD, MARTS = "dataset:a/raw", "job:a/clean", "dataset:a/dwh", "job:a/load", "job:a/marts"


def known(*edges: tuple[str, str], **changes: dict[str, object]) -> dict[str, BreakerValue]:
    """Breakers whose records name their neighbours, as these edges from above to below say."""
    names = list(dict.fromkeys(name for edge in edges for name in edge))
    return {
        name: value(
            entity=name,
            up=[above for above, below in edges if below == name],
            down=[below for above, below in edges if above == name],
            **changes.get(name.rpartition("/")[2], {}),
        )
        for name in names
    }


def fetching(breakers: Mapping[str, BreakerValue], asked: list[list[str]] | None = None) -> Fetch:
    def fetch(entities: Sequence[str]) -> Mapping[str, Answer]:
        if asked is not None:
            asked.append(list(entities))
        return {key: decide(key, breakers[key], NOW - 4, NOW) for key in entities if key in breakers}

    return fetch


CHAIN = ((LOAD, RAW), (RAW, CLEAN), (CLEAN, DWH), (RAW, MARTS))


def drawn(graph: Graph, side: str) -> list[str]:
    lines = tree(graph, side)  # type: ignore[arg-type]
    return [f"{branch.lead}{branch.node.entity}{f' ({branch.note})' if branch.note else ''}" for branch in lines]


def test_a_tree_is_drawn_for_each_side() -> None:
    graph = walk(fetching(known(*CHAIN)), RAW, ["up", "down"], 4)

    assert drawn(graph, "up") == ["└─ job:a/load"]
    assert drawn(graph, "down") == ["├─ job:a/clean", "│  └─ dataset:a/dwh", "└─ job:a/marts"]
    assert sorted(graph.edges) == sorted(CHAIN)


def test_each_hop_is_asked_for_at_once_and_nobody_twice() -> None:
    asked: list[list[str]] = []

    walk(fetching(known(*CHAIN), asked), LOAD, ["down"], 4)

    assert [hop for hop in asked if hop] == [[LOAD], [RAW], [CLEAN, MARTS], [DWH]]


def test_a_depth_ends_the_tree_and_says_so() -> None:
    graph = walk(fetching(known(*CHAIN)), LOAD, ["down"], 2)

    assert drawn(graph, "down") == ["└─ dataset:a/raw", "   ├─ job:a/clean (and so on)", "   └─ job:a/marts"]


def test_a_cycle_is_marked_and_what_comes_twice_is_drawn_once() -> None:
    edges = ((RAW, CLEAN), (CLEAN, DWH), (DWH, CLEAN), (RAW, MARTS), (MARTS, DWH))

    graph = walk(fetching(known(*edges)), RAW, ["down"], 9)

    assert drawn(graph, "down") == [
        "├─ job:a/clean",
        "│  └─ dataset:a/dwh",
        "│     └─ job:a/clean (cycle)",
        "└─ job:a/marts",
        "   └─ dataset:a/dwh (see above)",
    ]


def test_a_neighbour_without_a_record_is_unknown() -> None:
    breakers = known((RAW, CLEAN))
    del breakers[CLEAN]

    graph = walk(fetching(breakers), RAW, ["down"], 3)

    assert (graph.nodes[CLEAN].state, graph.nodes[RAW].state) == ("unknown", "closed")


@given(st.sets(st.tuples(st.sampled_from("abcdef"), st.sampled_from("abcdef"))), st.integers(1, 9))
def test_every_tree_ends_and_has_every_entity_that_is_reached(edges: set[tuple[str, str]], depth: int) -> None:
    pairs = [(f"job:a/{above}", f"job:a/{below}") for above, below in sorted(edges)] + [("job:a/a", "job:a/b")]

    graph = walk(fetching(known(*dict.fromkeys(pairs))), "job:a/a", ["up", "down"], depth)

    lines = [branch.node.entity for side in ("up", "down") for branch in tree(graph, side)]
    assert {*lines, "job:a/a"} == set(graph.nodes)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param({}, "closed", id="closed"),
        pytest.param({"state": State.OPEN, "reason": "rows", "own": own(State.OPEN)}, "open: rows", id="open"),
        pytest.param(
            {"state": State.OPEN, "reason": "held", "held_by": [held()], "own": own()},
            "held: held", id="held",
        ),
        pytest.param(
            {"state": State.OPEN, "reason": "ada", "held_by": [held()], "override": overridden("force_open")},
            "open: ada", id="opened by a person",
        ),
        pytest.param({"state": State.OPEN, "reason": "rows", "mode": "shadow"}, "open (shadow): rows", id="in shadow"),
        pytest.param({"state": State.HALF_OPEN, "reason": "a wait"}, "half-open: a wait", id="half-open"),
    ],
)  # fmt: skip
def test_the_state_of_an_entity_in_words(change: dict[str, object], expected: str) -> None:
    breakers = {RAW: msgspec.structs.replace(value(entity=RAW), **change)}

    assert told(walk(fetching(breakers), RAW, ["up"], 1).nodes[RAW]) == expected
