"""Who is to blame for a finding: hand-made cases."""

import pytest

from detector.demo.company import BY_KEY, DAY, HOUR, entity_of
from detector.demo.faults import Fault, Kind
from detector.demo.judge import Finding, Judge

AT = 1_772_409_600.0
STAGE, FACTS, BOARD = "job:spark/stage_orders", "job:dbt/fct_orders", "job:airflow/board_report.refresh"


def fault(kind: Kind, key: str = STAGE, cleared: float | None = None) -> Fault:
    return Fault(kind, BY_KEY[key], AT - 60, injected_at=AT, cleared_at=cleared)


@pytest.mark.parametrize(
    ("kind", "entity", "check"),
    [
        pytest.param("failed_run", STAGE, "failed", id="a failed run is found at the job"),
        pytest.param("retries", STAGE, "failed", id="retries are found at the first failure"),
        pytest.param("late", STAGE, "late", id="a run that never starts is late"),
        pytest.param("late", STAGE, "deadline", id="or misses its declared deadline"),
        pytest.param("hanging_run", STAGE, "hanging", id="a hanging run is found as such"),
        pytest.param("slow_run", STAGE, "duration", id="a slow run is found by its duration"),
        pytest.param("zero_rows", STAGE, "rows_out", id="a bad load may be found at the job"),
        pytest.param("short_load", entity_of("stg.order_items"), "rows", id="or at any dataset that it writes"),
    ],
)
def test_a_finding_of_the_right_kind_at_the_right_place_finds_the_fault(kind: Kind, entity: str, check: str) -> None:
    judge, faulty = Judge(), fault(kind)
    finding = Finding(entity, check, AT + 300)

    assert judge.take(finding, [faulty]) is faulty
    assert judge.found == {faulty: finding}
    assert judge.false_alarms == []


@pytest.mark.parametrize(
    "finding",
    [
        pytest.param(Finding(STAGE, "duration", AT + 300), id="another check at the faulted job"),
        pytest.param(Finding(FACTS, "late", AT + 300), id="a reader that waits"),
        pytest.param(Finding(BOARD, "late", AT + 5 * HOUR), id="a dashboard five steps on, hours later"),
    ],
)
def test_a_consequence_is_a_symptom_and_does_not_count_as_found(finding: Finding) -> None:
    judge, faulty = Judge(), fault("failed_run")

    assert judge.take(finding, [faulty]) is faulty
    assert judge.symptoms == [(faulty, finding)]
    assert judge.found == {}


@pytest.mark.parametrize(
    ("finding", "cleared"),
    [
        pytest.param(Finding(STAGE, "failed", AT - 1), None, id="before the fault"),
        pytest.param(Finding("job:spark/stage_stock", "late", AT + 60), None, id="on another branch"),
        pytest.param(Finding("job:airflow/ingest_orders.load", "late", AT + 60), None, id="upstream"),
        pytest.param(Finding(FACTS, "late", AT + 4 * HOUR), AT + HOUR, id="hours after an hourly job was well again"),
        pytest.param(Finding(BOARD, "late", AT + 5 * DAY), AT + HOUR, id="days after, for a job of workdays"),
    ],
)
def test_what_no_fault_explains_is_a_false_alarm(finding: Finding, cleared: float | None) -> None:
    judge = Judge()

    assert judge.take(finding, [fault("failed_run", cleared=cleared)]) is None
    assert judge.false_alarms == [finding]


def test_a_fault_that_never_came_about_explains_nothing() -> None:
    held = Fault("failed_run", BY_KEY[STAGE], AT)

    assert Judge().take(Finding(STAGE, "failed", AT + 60), [held]) is None


def test_the_second_finding_of_a_fault_is_a_symptom() -> None:
    judge, faulty = Judge(), fault("short_load")
    judge.take(Finding(STAGE, "rows_out", AT), [faulty])
    judge.take(Finding(entity_of("stg.orders"), "rows", AT), [faulty])

    assert len(judge.found) == 1
    assert len(judge.symptoms) == 1
