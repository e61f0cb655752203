"""Recovery plans by what the control topic says of them."""

from typing import Any

import msgspec

from detector.core.messages import Redo
from detector.core.recovery import PlanStep, RecoveryPlan
from detector.plan_page import PLAN, about, counts, fold, lines
from tests.core.world import DAY, MONDAY


def plan(id_: str = "5f0c", version: int = 1, done_by: str | None = None, opened: float = MONDAY) -> RecoveryPlan:
    first = Redo(why="bad", run_id="r-12", nominal_time=MONDAY - DAY, done_by=done_by)
    return RecoveryPlan(
        plan=id_,
        version=version,
        root="dataset:db/orders",
        incident="ab12",
        state="open",
        opened=opened,
        steps=[
            PlanStep(job="job:ns/load", runs=[first]),
            PlanStep(job="job:ns/report", after=["job:ns/load"], runs=[Redo(why="blocked", nominal_time=MONDAY)]),
        ],
        summary="dataset:db/orders is good again: redo 2 runs of 2 jobs (1 bad, 1 blocked)",
        last_good_run="r-11",
        last_good_version="7",
    )


def said(one: RecoveryPlan) -> dict[str, Any]:
    return {"type": PLAN, "data": msgspec.to_builtins(one)}


def test_the_newest_version_of_each_counts_whatever_the_order() -> None:
    events = [said(plan(version=2, done_by="r-14")), said(plan()), said(plan("6a1d", opened=MONDAY + DAY))]

    assert [(one.plan, one.version) for one in fold(events)] == [("6a1d", 1), ("5f0c", 2)]


def test_what_is_no_plan_is_left_out() -> None:
    newer = {"type": PLAN, "data": {"plan": "x", "steps": "of another kind"}}

    assert fold([newer, {"type": PLAN, "data": None}, {"type": "other", "data": msgspec.to_builtins(plan())}]) == []


def test_a_plan_is_found_by_its_entities_and_by_the_beginnings_of_ids() -> None:
    asked = ("dataset:db/orders", "job:ns/report", "5f", "ab12", "job:ns/other", "77")

    assert [about(plan(), text) for text in asked] == [True, True, True, True, False, False]


def test_a_plan_is_told_in_the_order_in_which_it_must_be_done() -> None:
    told = list(lines(plan(done_by="r-14")))

    assert counts(plan(done_by="r-14")) == (1, 2)
    assert told == [
        "open, 1 of 2 runs done: plan 5f0c",
        "dataset:db/orders is good again: redo 2 runs of 2 jobs (1 bad, 1 blocked)",
        "  of incident ab12",
        "  dataset:db/orders was last good with run r-11, version 7",
        "  1. job:ns/load",
        "       done  for Sun 18 Jan 00:00 UTC, run r-12: it read or wrote what was bad, by run r-14",
        "  2. job:ns/report, after job:ns/load",
        "       todo  for Mon 19 Jan 00:00 UTC: it was held back",
    ]
