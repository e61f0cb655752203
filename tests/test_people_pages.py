"""What docs/incidents.md, docs/lineage.md and docs/recovery.md show is what is shown, of what the core says."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from detector.core.recovery import RecoveryPlan
from detector.graph import title, told, tree, walk
from detector.plan_page import lines
from detector.view import decide
from tests.core.world import World
from tests.test_incident_page import NIGHT, evidence, incidents, known, mended, spoiled
from tests.test_incident_page import told as page_of

DOCS = Path(__file__).parent.parent / "docs"


def incident() -> Iterator[str]:
    night = spoiled()
    yield from page_of(incidents(night)[-1], known(night), evidence=evidence(night))


def lineage() -> Iterator[str]:
    breakers = known(spoiled())
    answers = {key: decide(key, breaker, NIGHT, NIGHT) for key, breaker in breakers.items()}
    graph = walk(lambda keys: {key: answers[key] for key in keys if key in answers}, ROOT, ["up", "down"], 4)
    yield f"{ROOT}  {told(graph.nodes[ROOT])}"
    for side in ("up", "down"):
        yield title(graph, side)
        for branch in tree(graph, side):
            yield f"{branch.lead}{branch.node.entity}  {told(branch.node)}"


def recovery() -> Iterator[str]:
    yield from lines(plans(mended())[-1])


ROOT = "dataset:warehouse/raw.orders"


def plans(world: World) -> list[RecoveryPlan]:
    return [emission.data for emission in world.said if isinstance(emission.data, RecoveryPlan)]


@pytest.mark.parametrize(
    ("name", "shown"),
    [("incidents", incident), ("lineage", lineage), ("recovery", recovery)],
    ids=["incidents", "lineage", "recovery"],
)
def test_a_page_shows_what_is_shown(name: str, shown: object, update_golden: bool) -> None:
    page = DOCS / f"{name}.md"
    text = page.read_text(encoding="utf-8")
    block = re.compile(r"(<!-- shown -->\n+```\n\$ detector [^\n]*\n)(.*?)(```\n)", re.DOTALL)
    assert callable(shown)
    expected = "".join(f"{line}\n" for line in shown())
    if update_golden:
        page.write_text(block.sub(lambda found: found[1] + expected + found[3], text), encoding="utf-8")
        return

    found = block.search(text)
    assert found is not None
    assert found.group(2) == expected
