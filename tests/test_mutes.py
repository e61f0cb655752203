"""Which mutes and windows are in force, by what the topic of commands has."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.config.zones import Zones
from detector.core.commands import AddWindow, AnyCommand, EndWindow
from detector.core.windows import Recurrence, Window
from detector.mutes import fold, told
from tests.core.world import DAY, HOUR, MONDAY

NOW, ZONES = MONDAY, Zones()


def window(id_: str = "a", start: float = NOW - HOUR, end: float = NOW + HOUR, **more: object) -> Window:
    return Window(id=id_, match="job:*", start=start, end=end, owner="ada", **more)  # type: ignore[arg-type]


def added(one: Window) -> AddWindow:
    return AddWindow(id=f"add {one.id}", by="ada", window=one)


def ended(id_: str) -> EndWindow:
    return EndWindow(id=f"end {id_}", by="ada", window=id_)


def ids(*commands: AnyCommand | bytes | None) -> list[str]:
    values = [one if isinstance(one, bytes) or one is None else msgspec.json.encode(one) for one in commands]
    return [one.id for one in fold(values, NOW, ZONES)]


NIGHTLY = Recurrence(at="02:00", lasts=HOUR)


@pytest.mark.parametrize(
    ("commands", "expected"),
    [
        pytest.param([], [], id="nothing was said"),
        pytest.param([added(window("a")), added(window("b"))], ["a", "b"], id="what was added"),
        pytest.param([added(window("a")), added(window("b")), ended("a")], ["b"], id="and not ended"),
        pytest.param([ended("a"), added(window("a"))], ["a"], id="what was ended before it was added again"),
        pytest.param([added(window("a", end=NOW))], [], id="what is past is none"),
        pytest.param([added(window("a", start=NOW + DAY, end=NOW + 2 * DAY))], ["a"], id="what is to come is one"),
        pytest.param([added(window("a", recurrence=NIGHTLY, end=NOW + DAY))], ["a"], id="what comes once more"),
        pytest.param([added(window("a", recurrence=NIGHTLY, end=NOW + HOUR))], [], id="what never comes again"),
        pytest.param([added(window("a")), added(window("a", end=NOW - 1))], [], id="what was added anew counts"),
        pytest.param([added(window("a", zone="Mars/Olympus", recurrence=NIGHTLY))], [], id="a zone that is none"),
        pytest.param([b"{", None, b'{"command":"dance"}', added(window("a"))], ["a"], id="no commands between"),
    ],
)
def test_what_is_in_force(commands: list[AnyCommand | bytes | None], expected: list[str]) -> None:
    assert ids(*commands) == expected


@given(st.lists(st.tuples(st.booleans(), st.sampled_from("abc"))))
def test_the_last_word_on_each_counts(said: list[tuple[bool, str]]) -> None:
    commands = [added(window(id_)) if adds else ended(id_) for adds, id_ in said]

    last = {id_: adds for adds, id_ in said}
    assert set(ids(*commands)) == {id_ for id_, adds in last.items() if adds}


def test_those_that_hold_now_are_first_with_when_that_changes() -> None:
    windows = [window("later", start=NOW + DAY, end=NOW + 2 * DAY), window("now"), window("mute", kind="mute")]

    found = told(windows, "maintenance", NOW, ZONES)

    assert [(one.window.id, one.active, one.changes) for one in found] == [
        ("now", True, NOW + HOUR),
        ("later", False, NOW + DAY),
    ]
