"""What the API answers, as a program meets it: over a real connection, from facts as topics tell them."""

import json
from typing import Any
from urllib.parse import quote

import httpx
import msgspec
import pytest

from detector.core.breaker import State
from detector.core.commands import Acknowledge, EndWindow
from detector.core.emissions import BreakerValue
from detector.core.incidents import Incident
from detector.errors import DetectorError
from tests.web.known import HELD, INCIDENT, JOB, NOW, PLAN, ROOT, SLASHES, TOPICS, Known, breaker


def got(client: httpx.Client, path: str) -> dict[str, Any]:
    """The body of an answer that must be one."""
    answer = client.get(path)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = json.loads(answer.content)
    return found


def refused(answer: httpx.Response, status: int) -> dict[str, Any]:
    """The problem that an answer must be."""
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    found: dict[str, Any] = json.loads(answer.content)
    assert found["status"] == status
    return found


# ---------------------------------------------------------------- breakers


def test_a_breaker_says_what_a_pipeline_is_told(reader: httpx.Client) -> None:
    said = got(reader, f"/v1/breakers/{ROOT}")

    assert (said["verdict"], said["reason"], said["heartbeat_age"]) == ("block", "open", 0.0)
    assert said["message"] == "open for 10 min: 3 rows, usually 1,000"
    assert msgspec.convert(said["breaker"], BreakerValue).episodes["rows"].id == "e1"


@pytest.mark.parametrize(
    "asked", [pytest.param(SLASHES, id="as it is"), pytest.param(quote(SLASHES, safe=""), id="encoded")]
)
@pytest.mark.parametrize("route", ["breakers", "entities", "lineage"])
def test_a_key_keeps_its_slashes(reader: httpx.Client, route: str, asked: str) -> None:
    assert got(reader, f"/v1/{route}/{asked}")["entity"] == SLASHES


def test_what_nobody_knows_is_an_answer_too(reader: httpx.Client) -> None:
    said = got(reader, "/v1/breakers/job:a/none")

    assert (said["verdict"], said["reason"], said["breaker"]) == ("unknown", "no_record", None)


def test_a_breaker_without_a_fresh_heartbeat_is_unknown(reader: httpx.Client, known: Known) -> None:
    known.now = NOW + 61

    said = got(reader, f"/v1/breakers/{ROOT}")

    assert (said["verdict"], said["reason"], said["heartbeat_age"]) == ("unknown", "stale", 61.0)
    assert got(reader, "/v1/overview")["entities"]["dataset"]["unknown"] == 3


def test_who_asks_may_be_the_probe_and_may_read_a_part(reader: httpx.Client, known: Known) -> None:
    known.breaker(breaker("dataset:db/wide", State.OPEN, scope=["column:price"]))

    assert got(reader, "/v1/breakers/dataset:db/wide?column=name")["reason"] == "out_of_scope"
    assert got(reader, "/v1/breakers/dataset:db/wide?column=name&column=price")["verdict"] == "block"


def test_a_record_of_a_newer_release_is_said_to_be_unreadable(reader: httpx.Client, known: Known) -> None:
    known.facts.put(TOPICS.breakers, JOB, b'{"entity": 5}')

    assert got(reader, f"/v1/breakers/{JOB}")["reason"] == "unreadable"


def test_a_breaker_that_is_gone_is_unknown(reader: httpx.Client, known: Known) -> None:
    known.facts.put(TOPICS.breakers, JOB, None)

    assert got(reader, f"/v1/breakers/{JOB}")["reason"] == "no_record"
    refused(reader.get(f"/v1/entities/{JOB}"), 404)


# ---------------------------------------------------------------- entities


def test_entities_come_in_pages_and_each_comes_once(reader: httpx.Client) -> None:
    found, cursor = list[str](), ""
    while True:
        page = got(reader, f"/v1/entities?limit=3&cursor={cursor}")
        found += [row["entity"] for row in page["items"]]
        if page["next"] is None:
            break
        cursor = page["next"]

    assert found == sorted([HELD, ROOT, SLASHES, JOB])


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        pytest.param("kind=job", [JOB], id="of a kind"),
        pytest.param("state=open", [ROOT], id="in a state"),
        pytest.param("state=open&state=held", [HELD, ROOT], id="in one of several states"),
        pytest.param("state=open,held", [HELD, ROOT], id="the same with a comma"),
        pytest.param("q=ORDERS", [ROOT, SLASHES, JOB], id="a part of the key"),
        pytest.param("q=dataset:db/*", [HELD, ROOT], id="a glob"),
        pytest.param("q=nothing", [], id="none"),
    ],
)
def test_entities_are_found(reader: httpx.Client, asked: str, found: list[str]) -> None:
    assert [row["entity"] for row in got(reader, f"/v1/entities?{asked}")["items"]] == found


def test_a_row_says_who_owns_it_and_what_is_unusual(reader: httpx.Client) -> None:
    (row,) = got(reader, f"/v1/entities?q={ROOT}")["items"]

    assert (row["state"], row["verdict"], row["checks"], row["owner"]) == ("open", "block", ["rows"], "team-orders")


def test_an_entity_names_its_open_incident(reader: httpx.Client) -> None:
    assert got(reader, f"/v1/entities/{HELD}")["incident"] == INCIDENT
    assert got(reader, f"/v1/entities/{SLASHES}")["incident"] is None


def test_the_overview_counts(reader: httpx.Client) -> None:
    said = got(reader, "/v1/overview")

    assert said["entities"]["dataset"] == {"closed": 1, "open": 1, "held": 1, "half_open": 0, "unknown": 0}
    assert said["incidents"] == {"info": 0, "warning": 0, "critical": 1}
    assert [one["entity"] for one in said["late"]] == [JOB]
    assert [(one["entity"], one["check"]) for one in said["wrong"]] == [(ROOT, "rows")]
    assert (said["plans"], said["detector"]["oldest"], said["detector"]["caught_up"]) == (1, 0.0, True)


def test_the_lineage_goes_as_far_as_is_asked(reader: httpx.Client) -> None:
    whole = got(reader, f"/v1/lineage/{ROOT}?direction=down")
    near = got(reader, f"/v1/lineage/{ROOT}?depth=1")

    assert whole["edges"] == [[ROOT, JOB], [JOB, HELD]]
    assert near["more"] == {"up": [], "down": [JOB]}


# ---------------------------------------------------------------- incidents, plans, windows


def test_incidents_are_open_ones_unless_others_are_asked_for(reader: httpx.Client) -> None:
    def ids(state: str) -> list[str]:
        return [row["id"] for row in got(reader, f"/v1/incidents?state={state}")["items"]]

    assert (ids("open"), ids("resolved"), ids("all")) == ([INCIDENT], ["0" * 32], [INCIDENT, "0" * 32])
    (row,) = got(reader, "/v1/incidents")["items"]
    assert (row["findings_count"], row["findings_open"], row["affected_count"]) == (1, 1, 1)


def test_incidents_come_in_pages(reader: httpx.Client) -> None:
    first = got(reader, "/v1/incidents?state=all&limit=1")
    second = got(reader, f"/v1/incidents?state=all&limit=1&cursor={first['next']}")

    assert [one["id"] for page in (first, second) for one in page["items"]] == [INCIDENT, "0" * 32]
    assert second["next"] is None


def test_an_incident_comes_whole_with_its_evidence(reader: httpx.Client) -> None:
    said = got(reader, f"/v1/incidents/{INCIDENT}")

    assert msgspec.convert(said, Incident).affected == [HELD]
    assert said["evidence"]["e1"]["summary"] == "3 rows"


def test_an_incident_is_a_page_for_people_too(reader: httpx.Client) -> None:
    answer = reader.get(f"/v1/incidents/{INCIDENT}?format=text")

    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.text.startswith(f"CRITICAL, open for 10 min: {ROOT}\n")


def test_plans_are_found_by_state_and_id(reader: httpx.Client) -> None:
    assert [one["plan"] for one in got(reader, "/v1/plans?open=true")["items"]] == [PLAN]
    assert got(reader, "/v1/plans?open=false")["items"] == []
    assert got(reader, f"/v1/plans/{PLAN}")["steps"][0]["job"] == JOB
    refused(reader.get("/v1/plans/none"), 404)


def test_windows_are_there_until_they_end(reader: httpx.Client, known: Known) -> None:
    (told,) = got(reader, "/v1/windows")["items"]
    known.order(EndWindow(id="c2", by="alice", window="w1"))

    assert (told["window"]["id"], told["active"]) == ("w1", True)
    assert got(reader, "/v1/windows")["items"] == []


# ---------------------------------------------------------------- history


def test_runs_come_in_pages_the_newest_first(reader: httpx.Client) -> None:
    first = got(reader, f"/v1/runs/{ROOT}?limit=2")
    second = got(reader, f"/v1/runs/{ROOT}?limit=2&before={first['next']}")

    assert [one["run_id"] for one in first["items"]] == ["r2", "r1"]
    assert first["items"][0]["judgements"]["rows"]["unusual"]
    assert ([one["run_id"] for one in second["items"]], second["next"]) == (["r0"], None)


def test_a_series_has_its_band_the_oldest_first(reader: httpx.Client) -> None:
    said = got(reader, f"/v1/series/{ROOT}?metric=rows&limit=2")

    assert [(point["value"], point["unusual"]) for point in said["points"]] == [(1_001, False), (3, True)]
    assert (said["points"][0]["lower"], said["points"][0]["upper"]) == (900, 1_100)
    assert got(reader, f"/v1/series/{ROOT}")["metrics"] == [{"metric": "rows", "unit": said["unit"]}]
    refused(reader.get(f"/v1/series/{ROOT}?metric=none"), 404)


def test_while_redis_is_away_only_the_history_is(reader: httpx.Client, known: Known) -> None:
    known.history.away = True

    for path in (f"/v1/runs/{ROOT}", f"/v1/series/{ROOT}"):
        answer = reader.get(path)
        assert "Redis" in refused(answer, 503)["detail"]
        assert answer.headers["retry-after"] == "5"
    for path in (f"/v1/breakers/{ROOT}", f"/v1/entities/{ROOT}", "/v1/incidents"):
        got(reader, path)


# ---------------------------------------------------------------- commands


def test_a_command_bears_the_name_of_the_token(operator: httpx.Client, known: Known) -> None:
    answer = operator.post("/v1/commands", json={"command": "acknowledge", "incident": INCIDENT, "by": "mallory"})

    (given,) = known.desk.given
    assert isinstance(given, Acknowledge)
    assert (given.by, given.incident) == ("alice", INCIDENT)
    said = json.loads(answer.content)
    assert (said["id"], said["done"], said["effect"]) == (given.id, True, "so be it")


def test_a_command_keeps_its_id(operator: httpx.Client, known: Known) -> None:
    operator.post("/v1/commands", json={"command": "acknowledge", "incident": INCIDENT, "id": "mine"})

    assert [given.id for given in known.desk.given] == ["mine"]


def test_a_command_that_nobody_answers_is_accepted(operator: httpx.Client) -> None:
    answer = operator.post("/v1/commands?wait=0", json={"command": "acknowledge", "incident": INCIDENT})

    assert (answer.status_code, json.loads(answer.content)["done"]) == (202, None)


def test_a_command_while_kafka_is_away_can_be_sent_again(operator: httpx.Client, known: Known) -> None:
    known.desk.away = "Kafka at 127.0.0.1:9092 does not answer"

    answer = operator.post("/v1/commands", json={"command": "acknowledge", "incident": INCIDENT, "id": "mine"})

    assert "Send it again with this id" in refused(answer, 503)["detail"]
    assert answer.headers["retry-after"] == "5"


@pytest.mark.parametrize(
    ("body", "where", "why"),
    [
        pytest.param({"command": "override", "entity": JOB}, "body", "state", id="a field is missing"),
        pytest.param({"command": "override", "entity": 5, "state": "none"}, "entity", "str", id="a wrong type"),
        pytest.param({"command": "reboot"}, "command", "reboot", id="no command"),
        pytest.param({}, "body", "command", id="nothing"),
        pytest.param([], "body", "object", id="a list"),
        pytest.param(
            {"command": "acknowledge", "incident": "x", "untill": 5}, "untill", "known", id="a field too many"
        ),
    ],
)
def test_what_is_no_command_is_refused_with_what_is_wrong(
    operator: httpx.Client, known: Known, body: object, where: str, why: str
) -> None:
    said = refused(operator.post("/v1/commands", json=body), 422)

    assert (said["errors"][0]["where"], why in said["errors"][0]["message"]) == (where, True)
    assert known.desk.given == []


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        pytest.param(b"{", "application/json", 422, id="no JSON"),
        pytest.param(b"\xff", "application/json", 422, id="no text"),
        pytest.param(b"[" * 60_000, "application/json", 422, id="too deep"),
        pytest.param(b"{}", "text/plain", 415, id="another type, which a form of another site could send"),
        pytest.param(b" " * 70_000, "application/json", 413, id="too large"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused(operator: httpx.Client, content: bytes, kind: str, status: int) -> None:
    refused(operator.post("/v1/commands", content=content, headers={"content-type": kind}), status)


# ---------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "/v1/none", 404, id="no such page"),
        pytest.param("GET", "/v1/incidents/none", 404, id="no such incident"),
        pytest.param("GET", "/v1/lineage/job:a/none", 404, id="no such entity"),
        pytest.param("DELETE", "/v1/entities", 405, id="no such method"),
        pytest.param("POST", f"/v1/breakers/{JOB}", 405, id="writing a breaker"),
        pytest.param("POST", "/v1/events", 405, id="writing events"),
        pytest.param("GET", "/v1/entities?limit=many", 422, id="no number"),
        pytest.param("GET", "/v1/entities?limit=0", 422, id="too few"),
        pytest.param("GET", "/v1/entities?limit=5&limit=6", 422, id="twice"),
        pytest.param("GET", "/v1/entities?colour=red", 422, id="no such parameter"),
        pytest.param("GET", "/v1/entities?cursor=!", 422, id="no cursor"),
        pytest.param("GET", "/v1/incidents?cursor=!", 422, id="no cursor of incidents"),
        pytest.param("GET", f"/v1/breakers/{JOB}?colour=red", 422, id="no such parameter of a breaker"),
        pytest.param("GET", f"/v1/breakers/{JOB}?probe=a&probe=b", 422, id="two probes"),
    ],
)
def test_what_is_wrong_is_a_problem(operator: httpx.Client, method: str, path: str, status: int) -> None:
    answer = operator.request(method, path)

    refused(answer, status)
    assert status != 405 or "GET" in answer.headers["allow"]


@pytest.mark.parametrize("path", [f"/v1/breakers/{JOB}", "/v1/overview", "/v1/entities", "/v1/docs", "/v1/events"])
def test_only_the_head_may_be_asked_for(reader: httpx.Client, path: str) -> None:
    answer = reader.head(path)

    assert (answer.status_code, answer.content) == (200, b"")


def test_a_fault_of_ours_is_a_problem_that_says_nothing_else(reader: httpx.Client, known: Known) -> None:
    known.facts.ages = _fail  # type: ignore[method-assign]

    said = refused(reader.get("/v1/overview"), 500)

    assert said["detail"] == "This is a fault of Detector, not of the request: its log says more."
    assert known.telemetry.registry.get_sample_value(
        "detector_http_requests_total", {"route": "/v1/overview", "status": "5xx"}
    )


def _fail() -> Any:
    raise DetectorError("a secret of the program")


def test_requests_are_counted_by_route_and_not_by_what_was_asked(reader: httpx.Client, known: Known) -> None:
    for path in (f"/v1/entities/{JOB}", f"/v1/entities/{ROOT}", "/v1/entities/job:a/none", "/v1/x", "/v1/y"):
        reader.get(path)

    def count(route: str, status: str) -> float | None:
        labels = {"route": route, "status": status}
        return known.telemetry.registry.get_sample_value("detector_http_requests_total", labels)

    one = "/v1/entities/{entity}"
    assert (count(one, "2xx"), count(one, "4xx"), count("other", "4xx")) == (2, 1, 2)
