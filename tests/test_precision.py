"""How often each rule is right, and what is proposed where it is not."""

import re
from typing import Any, get_args

import msgspec
import pytest

from detector.config import Config
from detector.core.commands import VERDICTS
from detector.precision import _PROPOSALS, CALENDAR, DONE, FEW, MISSED, NUMBERS, STARTED, Rule, fold
from tests.core.world import JOB


def anomaly(check: str = "rows_out", entity: str = JOB) -> dict[str, Any]:
    return {"type": STARTED, "data": {"check": check, "entity": entity, "episode": "e"}}


def verdict(said: str, episode: str | None, check: str = "rows_out", **more: Any) -> dict[str, Any]:
    data = {"verdict": said, "check": check, "entity": JOB, "episode": episode, "done": True, **more}
    return {"type": DONE, "data": data}


def one(*events: dict[str, Any]) -> Rule:
    [rule] = fold(events)
    return rule


def test_a_rule_counts_what_it_told_and_what_was_said_of_it() -> None:
    said = [verdict(word, f"e{number}") for number, word in enumerate(VERDICTS)]

    rule = one(anomaly(), anomaly(), *said)

    assert (rule.rule, rule.told, rule.confirmed, rule.false, rule.expected, rule.missed) == ("rows_out", 2, 1, 1, 2, 1)
    assert rule.precision == 0.5


def test_of_several_verdicts_on_one_anomaly_the_last_counts() -> None:
    rule = one(verdict("false_positive", "e1"), verdict("confirmed", "e1"))

    assert (rule.confirmed, rule.false, rule.precision) == (1, 0, 1.0)


def test_what_was_missed_has_no_episode_and_counts_each_time() -> None:
    assert one(verdict("missed", None), verdict("missed", None)).missed == 2


def test_all_columns_are_one_rule_and_what_tells_most_is_first() -> None:
    events = [anomaly("late"), anomaly("null_share(amount):load"), anomaly("null_share(id)")]

    assert [(rule.rule, rule.told) for rule in fold(events)] == [("null_share", 2), ("late", 1)]


@pytest.mark.parametrize(
    "event",
    [
        pytest.param(verdict("confirmed", "e1", done=False), id="refused"),
        pytest.param(verdict("confirmed", "e1", entity=None), id="of an incident, which its entities answer, too"),
        pytest.param({"type": DONE, "data": {"done": True, "command": "override", "entity": JOB}}, id="no verdict"),
        pytest.param(verdict("perhaps", "e1"), id="a verdict that a newer release has"),
        pytest.param({"type": DONE, "data": None}, id="no data"),
    ],
)
def test_what_is_no_verdict_is_left_out(event: dict[str, Any]) -> None:
    assert fold([event]) == []


def many(said: str, check: str = "rows_out", count: int = FEW) -> list[dict[str, Any]]:
    return [verdict(said, f"{said}{number}", check) for number in range(count)]


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        pytest.param(many("false_positive", count=FEW - 1), "", id="too few to say"),
        pytest.param(many("confirmed"), "", id="it is right"),
        pytest.param([*many("confirmed", count=4), *many("false_positive")], "", id="it is mostly right"),
        pytest.param(many("false_positive"), f"{NUMBERS} ({JOB}: 3)", id="numbers that are false"),
        pytest.param(many("false_positive", "late"), f"{_PROPOSALS['late']} ({JOB}: 3)", id="late that is not"),
        pytest.param(many("expected_once"), f"{CALENDAR} ({JOB}: 3)", id="it was so once, often"),
        pytest.param(many("missed"), MISSED, id="too little is told"),
    ],
)
def test_what_is_proposed(events: list[dict[str, Any]], expected: str) -> None:
    assert one(*events).proposal == expected


@pytest.mark.parametrize("text", [*_PROPOSALS.values(), NUMBERS, CALENDAR, MISSED])
def test_a_proposal_names_keys_that_the_configuration_has(text: str) -> None:
    keys = re.findall(r"(?:rules\[\]|detection)(?:\.\w+)+", text)

    assert keys
    for key in keys:
        assert has(Config, key.replace("[]", "").split(".")), key


def has(kind: Any, path: list[str]) -> bool:
    if not path:
        return True
    kinds = (kind, *get_args(kind), *(inner for outer in get_args(kind) for inner in get_args(outer)))
    structs = [one for one in kinds if isinstance(one, type) and issubclass(one, msgspec.Struct)]
    fields = [field for struct in structs for field in msgspec.structs.fields(struct) if field.name == path[0]]
    return any(has(field.type, path[1:]) for field in fields)
