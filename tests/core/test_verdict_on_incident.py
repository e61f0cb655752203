"""A verdict on an incident becomes one on each of its findings, each a record of the log that can be read again."""

import pytest

from detector.core.commands import Commanded, Feedback
from detector.core.emissions import CommandDone
from detector.core.incidents import Incident
from detector.core.messages import BOARD
from tests.core.world import MINUTE, MONDAY, World, ready


def incident(world: World) -> str:
    return [e.data.id for e in world.said if isinstance(e.data, Incident)][-1]


@pytest.mark.parametrize("length", [1, 200], ids=["a short id", "the longest id"])
@pytest.mark.parametrize("name", ["load", "l" * 1_000], ids=["a short name", "the longest name"])
def test_each_finding_answers_for_itself(name: str, length: int) -> None:
    world = ready()
    world.run(MONDAY + MINUTE, 10, "FAIL", name=name)
    world.ticks(MONDAY + 2 * MINUTE, MONDAY + 4 * MINUTE)
    verdict = Feedback(id="x" * length, by="ada", verdict="confirmed", incident=incident(world))

    said = world.put(BOARD, Commanded(verdict), MONDAY + 5 * MINUTE)

    done = [emission.data for emission in said if isinstance(emission.data, CommandDone)]
    assert [(one.entity, one.check, one.done) for one in done] == [
        (None, None, True),
        (f"job:ns/{name}", "failed", True),
    ]
    assert done[1].id.startswith(f"{'x' * min(length, 150)}/")
