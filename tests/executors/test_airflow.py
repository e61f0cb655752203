"""The executor for Airflow: which run is meant, what is done with it, and what Airflow's answers mean."""

from datetime import datetime
from typing import Any, Literal

import httpx
import pytest

from detector.core.messages import Redo
from detector.errors import ConfigError, ExecutorBusy, RedoRefused, Unreachable
from detector.executors import EXECUTORS, Access, Airflow
from detector.executors.airflow import Do, as_status, decide, task_status
from detector.executors.seam import Status
from detector.plans import Ask
from tests.fakes.airflow import FakeAirflow

Why = Literal["failed", "missed", "bad", "blocked"]
MONDAY = "2026-11-23T00:00:00+00:00"
TUESDAY = "2026-11-24T00:00:00+00:00"


@pytest.fixture
def airflow() -> FakeAirflow:
    return FakeAirflow()


def ask(name: str = "orders", why: Why = "failed", at: str | None = MONDAY, plan: str = "p1", **run: Any) -> Ask:
    nominal = None if at is None else datetime.fromisoformat(at).timestamp()
    return Ask(plan, f"job:airflow/{name}", Redo(why=why, nominal_time=nominal, **run))


# ---------------------------------------------------------------- what is done with a run


@pytest.mark.parametrize(
    ("why", "status", "was_asked", "what"),
    [
        pytest.param("failed", "failed", False, "clear", id="a failed run is cleared"),
        pytest.param("failed", "running", False, "wait", id="a failed run that goes on again is left alone"),
        pytest.param("failed", "success", False, "nothing", id="somebody has redone a failed run"),
        pytest.param("failed", "failed", True, "give up", id="a failed run that failed again is for people"),
        pytest.param("bad", "success", False, "clear", id="a bad run is cleared although it has succeeded"),
        pytest.param("bad", "success", True, "nothing", id="a bad run that was redone is done"),
        pytest.param("bad", "failed", True, "give up", id="a bad run that failed when it was redone is for people"),
        pytest.param("bad", "running", True, "wait", id="a bad run that is being redone is left alone"),
        pytest.param("blocked", "success", False, "clear", id="a run that was held may have ended in success"),
        pytest.param("blocked", "failed", False, "clear", id="a run that was held may have failed"),
        pytest.param("missed", "success", False, "nothing", id="a run that was missed has come by itself"),
        pytest.param("missed", "failed", False, "clear", id="a run that was missed has come and failed"),
    ],
)
def test_what_is_done_with_a_run_that_exists(why: str, status: Status, was_asked: bool, what: Do) -> None:
    assert decide(why, status, was_asked) == what


@pytest.mark.parametrize(
    ("states", "goes_on", "status"),
    [
        pytest.param(["success", "success"], False, "success", id="all have succeeded"),
        pytest.param(["success", "failed"], False, "failed", id="one has failed"),
        pytest.param(["failed", "running"], True, "running", id="one goes on"),
        pytest.param(["upstream_failed"], False, "failed", id="its turn never came"),
        pytest.param(["skipped"], False, "failed", id="it was skipped, so it did not run"),
        pytest.param([None], True, "running", id="it waits for its turn"),
        pytest.param([None], False, "failed", id="it waits in a run that has ended"),
        pytest.param(["up_for_retry"], True, "running", id="it will be tried again"),
        pytest.param(["a state of a newer release"], True, "running", id="nobody knows: it is left alone"),
        pytest.param([], True, "unknown", id="there is no such task"),
    ],
)
def test_all_instances_of_a_task_are_looked_at(states: list[str | None], goes_on: bool, status: Status) -> None:
    assert as_status([task_status(state, goes_on) for state in states]) == status


# ---------------------------------------------------------------- a run that exists


def test_a_failed_run_is_cleared_with_what_failed_after_it_and_its_note_says_so(airflow: FakeAirflow) -> None:
    run = airflow.run("orders", MONDAY, note="called the source")

    requested = airflow.executor().redo(ask())

    assert airflow.said("POST") == [
        (
            "dags/orders/clearTaskInstances",
            {"dry_run": False, "dag_run_id": run["dag_run_id"], "only_failed": True, "reset_dag_runs": True},
        )
    ]
    assert run["note"] == "called the source\nDetector cleared the run for plan p1."
    assert requested.id == "dags/orders/dagRuns/scheduled__2026-11-23T00%3A00%3A00%2B00%3A00"


@pytest.mark.parametrize(
    ("why", "tasks", "left"),
    [
        pytest.param(
            "failed",
            {"load": ["failed"], "mail": ["upstream_failed"], "log": ["success"]},
            {"load": [None], "mail": [None], "log": ["success"]},
            id="with a failed task goes what failed for it",
        ),
        pytest.param(
            "blocked",
            {"load": ["failed"], "mail": ["upstream_failed"]},
            {"load": [None], "mail": [None]},
            id="and with one that was held by failing",
        ),
        pytest.param(
            "blocked",
            {"load": ["skipped"], "mail": ["skipped"]},
            {"load": [None], "mail": ["skipped"]},
            id="one that was held by skipping goes alone",
        ),
        pytest.param(
            "blocked",
            {"load": ["skipped"], "mail": ["failed"]},
            {"load": [None], "mail": [None]},
            id="also where something else failed",
        ),
        pytest.param(
            "bad",
            {"load": ["success"], "mail": ["failed"]},
            {"load": [None], "mail": ["failed"]},
            id="a bad one goes alone: the plan has the others",
        ),
        pytest.param(
            "failed",
            {"load": ["success", "failed", "failed", "success"]},
            {"load": ["success", None, None, "success"]},
            id="of a mapped task those instances that failed",
        ),
    ],
)
def test_of_a_dag_no_more_is_cleared_than_must_be(
    airflow: FakeAirflow, why: Why, tasks: dict[str, list[str | None]], left: dict[str, list[str | None]]
) -> None:
    run = airflow.run("orders", MONDAY, "success")
    airflow.tasks[run["dag_run_id"]] = tasks
    executor = airflow.executor()

    requested = executor.redo(ask("orders.load", why))

    assert tasks == left
    assert requested.id.endswith("#load")
    assert run["note"] == "Detector cleared load for plan p1."
    assert executor.status(requested) == "running"


@pytest.mark.parametrize(
    ("why", "left"),
    [
        pytest.param("failed", {"load": ["success"], "mail": [None]}, id="of a failed one what failed"),
        pytest.param("blocked", {"load": ["success"], "mail": [None]}, id="of a held one too"),
        pytest.param("bad", {"load": [None], "mail": [None]}, id="of a bad one all"),
    ],
)
def test_of_a_job_that_is_a_whole_dag_its_tasks_are_cleared(
    airflow: FakeAirflow, why: Why, left: dict[str, list[str | None]]
) -> None:
    run = airflow.run("orders", MONDAY)
    tasks = airflow.tasks[run["dag_run_id"]] = {"load": ["success"], "mail": ["failed"]}

    airflow.executor().redo(ask("orders", why))

    assert tasks == left


def test_asked_twice_a_run_is_redone_once(airflow: FakeAirflow) -> None:
    run = airflow.run("orders", MONDAY, "success")
    executor = airflow.executor()
    first = executor.redo(ask(why="bad"))
    second = executor.redo(ask(why="bad"))
    run["state"] = "success"
    third = executor.redo(ask(why="bad"))

    assert first.id == second.id == third.id
    assert ("goes on" in second.message, "has succeeded" in third.message) == (True, True)
    assert len(airflow.said("POST")) == 1


def test_what_failed_again_is_for_people_and_another_plan_may_try_once_more(airflow: FakeAirflow) -> None:
    run = airflow.run("orders", MONDAY)
    executor = airflow.executor()
    executor.redo(ask())
    run["state"] = "failed"

    with pytest.raises(RedoRefused, match="was redone for this plan already, and did not succeed"):
        executor.redo(ask())

    executor.redo(ask(plan="p2"))
    assert len(airflow.said("POST")) == 2


def test_a_plan_whose_id_begins_another_is_another(airflow: FakeAirflow) -> None:
    run = airflow.run("orders", MONDAY)
    executor = airflow.executor()
    executor.redo(ask(plan="p10"))
    run["state"] = "failed"

    assert executor.redo(ask(plan="p1")).message.endswith("cleared the run")


def test_who_dies_between_the_two_requests_asks_again(airflow: FakeAirflow) -> None:
    run = airflow.run("orders", MONDAY)
    executor = airflow.executor()
    executor.redo(ask())
    run["note"] = None

    assert "goes on already" in executor.redo(ask()).message


def test_a_long_note_keeps_its_end(airflow: FakeAirflow) -> None:
    run = airflow.run("orders", MONDAY, note="x" * 1_000)

    airflow.executor().redo(ask())

    assert len(run["note"]) == 1_000
    assert run["note"].endswith("for plan p1.")


# ---------------------------------------------------------------- which run is meant


@pytest.mark.parametrize(
    ("dags", "name", "dag", "task"),
    [
        pytest.param(["orders"], "orders", "orders", "", id="a DAG"),
        pytest.param(["orders"], "orders.load", "orders", "load", id="a task"),
        pytest.param(["orders"], "orders.group.load", "orders", "group.load", id="a task of a group"),
        pytest.param(["shop.orders"], "shop.orders.load", "shop.orders", "load", id="a DAG with a dot"),
        pytest.param(["shop", "shop.orders"], "shop.orders", "shop.orders", "", id="the longest name counts"),
    ],
)
def test_the_longest_name_of_a_dag_that_there_is_counts(
    airflow: FakeAirflow, dags: list[str], name: str, dag: str, task: str
) -> None:
    for one in dags:
        run = airflow.run(one, MONDAY)
        airflow.tasks[run["dag_run_id"]] = {task or "a": ["failed"]}

    requested = airflow.executor().redo(ask(name))

    assert (requested.id.split("/")[1], requested.id.partition("#")[2]) == (dag, task)


def test_what_somebody_started_by_hand_is_found_by_its_interval_on_any_page(airflow: FakeAirflow) -> None:
    for hour in range(8):
        airflow.run("orders", f"2026-11-24T{hour:02}:00:00+00:00", "success", run_type="manual")
    by_hand = airflow.run("orders", "2026-11-24T09:30:00+00:00", data_interval_start="2026-11-23T00:00:00Z")

    requested = airflow.executor().redo(ask())

    assert by_hand["dag_run_id"] in requested.message


def test_without_a_time_airflows_own_name_of_the_run_will_do(airflow: FakeAirflow) -> None:
    run = airflow.run("orders", MONDAY)

    assert airflow.executor().redo(ask(at=None, run_id=run["dag_run_id"])).message.startswith(run["dag_run_id"])


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        pytest.param(ask("none.load"), "has no DAG for none.load", id="no DAG"),
        pytest.param(ask("orders.none"), "has no task none", id="no task"),
        pytest.param(ask(at=None, run_id="0198c0de"), "had no nominal time", id="an id of OpenLineage"),
        pytest.param(ask(at=None), "had no nominal time", id="neither a time nor an id"),
        pytest.param(ask(at=TUESDAY), "no run of orders at 2026-11-24T00:00:00", id="a failed run that is gone"),
        pytest.param(ask(at=TUESDAY, why="bad"), "was it deleted", id="a bad run that is gone"),
    ],
)
def test_what_airflow_does_not_have_is_refused(asked: Ask, said: str, airflow: FakeAirflow) -> None:
    airflow.run("orders", MONDAY)

    with pytest.raises(RedoRefused, match=said):
        airflow.executor().redo(asked)

    assert airflow.said("POST") == []


# ---------------------------------------------------------------- a run that does not exist


def test_a_run_that_never_came_is_made_once(airflow: FakeAirflow) -> None:
    airflow.run("orders", MONDAY, "success")
    executor = airflow.executor()

    first = executor.redo(ask("orders.load", "missed", TUESDAY))
    made = airflow.dags["orders"][1]
    airflow.tasks[made["dag_run_id"]] = {"load": ["queued"]}
    second = executor.redo(ask("orders.load", "missed", TUESDAY))

    assert airflow.said("POST") == [
        ("dags/orders/dagRuns", {"logical_date": TUESDAY, "note": "Detector made this run for plan p1."})
    ]
    assert first.id == second.id
    assert first.message.endswith("made")


def test_a_run_that_was_made_and_failed_is_for_people(airflow: FakeAirflow) -> None:
    airflow.run("orders", MONDAY, "success")
    executor = airflow.executor()
    executor.redo(ask("orders", "blocked", TUESDAY))
    airflow.dags["orders"][1]["state"] = "failed"

    with pytest.raises(RedoRefused, match="did not succeed"):
        executor.redo(ask("orders", "blocked", TUESDAY))


def test_who_was_quicker_is_found(airflow: FakeAirflow) -> None:
    airflow.run("orders", MONDAY, "success")
    airflow.before_post = lambda: airflow.dags["orders"].append(
        {**airflow.dags["orders"][0], "dag_run_id": "theirs", "logical_date": "2026-11-24T00:00:00Z", "state": "queued"}
    )

    assert airflow.executor().redo(ask("orders", "missed", TUESDAY)).message == "theirs of orders goes on already"


def test_a_conflict_that_is_not_about_the_time_is_refused(airflow: FakeAirflow) -> None:
    airflow.run("orders", MONDAY, "success")
    airflow.before_post = lambda: (409, {"detail": "the name is taken"})

    with pytest.raises(RedoRefused, match="409: the name is taken"):
        airflow.executor().redo(ask("orders", "missed", TUESDAY))


@pytest.mark.parametrize(
    ("days", "interval"),
    [
        pytest.param(0.0, {}, id="a schedule of moments: Airflow knows"),
        pytest.param(
            1.0,
            {"data_interval_start": "2026-11-24T00:00:00+00:00", "data_interval_end": "2026-11-25T00:00:00+00:00"},
            id="a schedule of days: Airflow would take the day before",
        ),
    ],
)
def test_a_run_that_is_made_has_the_interval_of_the_schedule(
    airflow: FakeAirflow, days: float, interval: dict[str, str]
) -> None:
    for day in (20, 21, 22, 23):
        airflow.run("orders", f"2026-11-{day}T00:00:00+00:00", "success", days)

    airflow.executor().redo(ask("orders", "missed", TUESDAY))

    ((_, body),) = airflow.said("POST")
    assert {key: value for key, value in body.items() if key.startswith("data_")} == interval


def test_a_schedule_of_uneven_intervals_is_left_to_airflows_own_backfill(airflow: FakeAirflow) -> None:
    airflow.run("orders", "2026-11-20T00:00:00+00:00", "success", 3)
    airflow.run("orders", MONDAY, "success", 1)

    with pytest.raises(RedoRefused, match="airflow backfill create --dag-id orders --from-date 2026-11-24T00:00:00"):
        airflow.executor().redo(ask("orders", "missed", TUESDAY))


def test_of_a_paused_dag_it_is_said_that_it_waits(airflow: FakeAirflow) -> None:
    airflow.run("orders", MONDAY)
    airflow.paused.add("orders")

    assert "until somebody unpauses it" in airflow.executor().redo(ask()).message
    assert "until somebody unpauses it" in airflow.executor().redo(ask(why="missed", at=TUESDAY)).message


# ---------------------------------------------------------------- what answers mean


@pytest.mark.parametrize(
    ("broken", "error", "said"),
    [
        pytest.param(httpx.ConnectError("refused"), ExecutorBusy, "does not answer: ConnectError", id="away"),
        pytest.param(httpx.ReadTimeout("late"), ExecutorBusy, "does not answer: ReadTimeout", id="slow"),
        pytest.param((503, {"detail": "Database is locked."}), ExecutorBusy, "503: Database is locked", id="busy"),
        pytest.param((429, {}), ExecutorBusy, "429", id="too much"),
        pytest.param((400, {"detail": "has import errors"}), RedoRefused, "400: has import errors", id="refused"),
        pytest.param((422, {"detail": [{"msg": "no date"}, 7]}), RedoRefused, "422: no date; 7", id="a wrong value"),
        pytest.param((403, {"detail": "Forbidden"}), RedoRefused, "403: Forbidden", id="no right"),
        pytest.param((200, lambda: {"text": "<html>"}), Unreachable, "is no Airflow", id="something else"),
        pytest.param((302, lambda: {"text": "elsewhere"}), Unreachable, "something else", id="a redirect"),
        pytest.param((500, lambda: {"text": "oh"}), ExecutorBusy, "500: oh", id="an error that is no JSON"),
    ],
)
def test_an_answer_says_whether_to_wait_to_leave_it_or_to_end(
    broken: Any, error: type[Exception], said: str, airflow: FakeAirflow
) -> None:
    airflow.run("orders", MONDAY)
    airflow.broken.append(broken)

    with pytest.raises(error, match=said):
        airflow.executor().redo(ask())


@pytest.mark.parametrize(("header", "seconds"), [("7", 7.0), ("86400", 300.0), ("Wed, 25 Nov 2026", 10.0)])
def test_airflow_may_say_when_to_come_back(header: str, seconds: float, airflow: FakeAirflow) -> None:
    airflow.broken.append((503, lambda: {"text": "", "headers": {"Retry-After": header}}))

    with pytest.raises(ExecutorBusy) as caught:
        airflow.executor().check()

    assert caught.value.retry_after == seconds


@pytest.mark.parametrize("refusal", [(401, {"detail": "Token Expired"}), (403, {"detail": "Invalid JWT token"})])
def test_a_token_that_is_out_of_date_is_renewed(refusal: Any, airflow: FakeAirflow) -> None:
    executor = airflow.executor()
    executor.check()
    airflow.broken.append(refusal)

    executor.check()

    assert airflow.logins == 2


@pytest.mark.parametrize(
    "access",
    [{"password": "wrong"}, {"username": "", "password": "", "token": "an old one"}],
    ids=["a login", "a token"],
)
def test_whoever_is_not_let_in_is_told_so(access: dict[str, str], airflow: FakeAirflow) -> None:
    with pytest.raises(Unreachable) as caught:
        airflow.executor(**access).check()

    assert not {"wrong", "an old one"} & set(str(caught.value).split())


def test_a_run_that_was_deleted_meanwhile_is_unknown(airflow: FakeAirflow) -> None:
    airflow.run("orders", MONDAY)
    executor = airflow.executor()
    requested = executor.redo(ask())
    airflow.dags["orders"].clear()

    assert executor.status(requested) == "unknown"


def test_authorities_that_cannot_be_read_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"executor.ca_location: /none cannot be used"):
        Airflow(Access(url="https://airflow", token="t", ca_location="/none"))


def test_access_shows_no_secret() -> None:
    assert "hunter2" not in repr(Access(url="http://a", username="me", password="hunter2", token="hunter2"))


def test_an_executor_is_in_the_registry_under_its_kind() -> None:
    assert {"airflow": Airflow} == EXECUTORS
