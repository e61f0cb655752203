"""How many deadlines were met, folded out of events of the control topic."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as some

from detector.sla import Attainment, attained

LOAD, TABLE = "job:airflow/load", "dataset:db/orders"


def passed(entity: str, owner: str | None = None, **months: tuple[int, int]) -> dict[str, Any]:
    """What is said of a deadline; months as `nov=(met, missed)`."""
    numbers = {"sep": "2026-09", "oct": "2026-10", "nov": "2026-11"}
    return {
        "entity": entity,
        "deadline": 1.0,
        "met": True,
        "completed": None,
        "month": numbers[list(months)[-1]],
        "months": {numbers[name]: {"met": met, "missed": missed} for name, (met, missed) in months.items()},
        "owner": owner,
        "summary": "",
    }


def test_the_last_event_of_an_entity_says_all_of_its_months() -> None:
    events = [passed(LOAD, oct=(20, 1)), passed(TABLE, oct=(3, 0)), passed(LOAD, "team", oct=(20, 2), nov=(1, 0))]

    assert attained(events) == [
        Attainment(entity=TABLE, month="2026-10", met=3, missed=0),
        Attainment(entity=LOAD, month="2026-10", met=20, missed=2, owner="team"),
        Attainment(entity=LOAD, month="2026-11", met=1, missed=0, owner="team"),
    ]


def test_one_month_may_be_asked_for() -> None:
    found = attained([passed(LOAD, oct=(20, 2), nov=(1, 0))], "2026-11")

    assert [(one.month, one.met) for one in found] == [("2026-11", 1)]


def test_an_entity_that_lost_its_state_takes_nothing_back() -> None:
    assert [one.met for one in attained([passed(LOAD, oct=(20, 2)), passed(LOAD, oct=(1, 0))])] == [20]


def test_what_is_no_such_event_is_passed_over() -> None:
    assert attained([{}, {"entity": LOAD}, {"months": 3}]) == []


def test_the_share_of_no_deadline_is_nothing() -> None:
    assert Attainment(entity=LOAD, month="2026-11", met=0, missed=0).share == 0
    assert Attainment(entity=LOAD, month="2026-11", met=3, missed=1).share == 0.75


@given(some.lists(some.booleans(), min_size=1, max_size=40), some.randoms())
def test_events_may_come_in_any_order(outcomes: list[bool], chance: Any) -> None:
    met = [sum(outcomes[: number + 1]) for number in range(len(outcomes))]
    events = [passed(LOAD, nov=(kept, number + 1 - kept)) for number, kept in enumerate(met)]
    chance.shuffle(events)

    assert [(one.met, one.missed) for one in attained(events)] == [(sum(outcomes), len(outcomes) - sum(outcomes))]
