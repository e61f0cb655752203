"""The OpenAPI document is valid, says what there is, and is kept: requests made up from it, against the real server."""

import json
import re
from typing import Any

import httpx
import jsonschema
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from detector.config import Http
from detector.web import Web
from detector.web.documents import rendered
from detector.web.routes import ROUTES
from tests.strategies import how_many
from tests.web.conftest import OPERATOR, TOKENS, Listening
from tests.web.known import INCIDENT, JOB, PLAN, ROOT, Known, company

DOCUMENT: dict[str, Any] = json.loads(rendered()[0])
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    ignored_auth,
    unsupported_method,
]
NEVER_ENDS = "/v1/events"
EXAMPLES = how_many(0.15)
SCHEMA = schemathesis.openapi.from_dict(
    {**DOCUMENT, "paths": {p: v for p, v in DOCUMENT["paths"].items() if p != NEVER_ENDS}}
)
OPERATIONS = {one.label: one for one in (found.ok() for found in SCHEMA.get_all_operations())}  # type: ignore[union-attr]


# ---------------------------------------------------------------- made up requests


@pytest.mark.parametrize("mode", [GenerationMode.POSITIVE, GenerationMode.NEGATIVE], ids=["as it says", "otherwise"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_the_server_keeps_what_the_document_says(operation: str, mode: GenerationMode, listening: Listening) -> None:
    known = company()
    web = listening(Web(Http(port=0, tokens=TOKENS, rate=1e6), known.telemetry, known.sources))

    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],
    )
    @given(st.data())
    def conforms(data: st.DataObject) -> None:
        case = data.draw(OPERATIONS[operation].as_strategy(generation_mode=mode))
        case.call_and_validate(
            base_url=web.address, headers={"Authorization": f"Bearer {OPERATOR}"}, checks=CHECKS, verify=False
        )

    conforms()


def test_no_made_up_request_without_a_token_writes(known: Known) -> None:
    with Web(Http(port=0, tokens=TOKENS, rate=1e6), known.telemetry, known.sources) as web:

        @settings(max_examples=EXAMPLES, database=None, deadline=None, derandomize=True, phases=[Phase.generate])
        @given(OPERATIONS["POST /v1/commands"].as_strategy())
        def is_refused(case: schemathesis.Case) -> None:
            case.headers.pop("Authorization", None)
            assert case.call(base_url=web.address, verify=False).status_code == 401

        is_refused()

    assert known.desk.given == []


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/v1/entities", "Page_EntityRow_"),
        (f"/v1/entities/{ROOT}", "EntityWhole"),
        (f"/v1/breakers/{ROOT}", "Answer"),
        (f"/v1/lineage/{ROOT}", "Graph"),
        ("/v1/incidents?state=all", "Page_IncidentRow_"),
        (f"/v1/incidents/{INCIDENT}", "IncidentWhole"),
        ("/v1/plans", "Items_RecoveryPlan_"),
        (f"/v1/plans/{PLAN}", "RecoveryPlan"),
        ("/v1/windows", "Items_Told_"),
        ("/v1/overview", "Overview"),
        (f"/v1/runs/{ROOT}", "Page_RunRow_"),
        (f"/v1/series/{ROOT}", "Metrics"),
        (f"/v1/series/{ROOT}?metric=rows", "Series"),
    ],
)
def test_full_answers_are_as_the_document_says(reader: httpx.Client, path: str, named: str) -> None:
    """Made up keys are of nothing that is known: this is what answers have in them."""
    schema = {"$ref": f"#/components/schemas/{named}", "components": DOCUMENT["components"]}

    jsonschema.validate(reader.get(path).json(), schema, cls=jsonschema.Draft202012Validator)


# ---------------------------------------------------------------- the document


def test_the_document_is_one() -> None:
    assert DOCUMENT["openapi"] == "3.1.0"
    for name, schema in DOCUMENT["components"]["schemas"].items():
        jsonschema.Draft202012Validator.check_schema({**schema, "$id": f"urn:{name}"})


def test_all_routes_are_in_it_and_no_others() -> None:
    paths = {operation.path for operation, _ in ROUTES}

    assert set(DOCUMENT["paths"]) == {*paths, "/v1/breakers/{entity}", NEVER_ENDS}


def test_examples_of_commands_are_commands(operator: httpx.Client) -> None:
    content = DOCUMENT["paths"]["/v1/commands"]["post"]["requestBody"]["content"]["application/json"]

    for example in content["examples"].values():
        assert operator.post("/v1/commands", json=example["value"]).status_code == 200


def test_each_route_says_what_it_refuses_and_how_to_log_in() -> None:
    assert DOCUMENT["security"] == [{"token": []}]
    for methods in DOCUMENT["paths"].values():
        for operation in methods.values():
            assert operation["description"]
            assert {"401", "403", "422", "500"} <= set(operation["responses"])


def test_the_page_has_all_of_it_and_loads_nothing_from_elsewhere(reader: httpx.Client) -> None:
    page = reader.get("/v1/docs").text

    assert not [path for path in DOCUMENT["paths"] if f"<code>{path}</code>" not in page]
    assert not [name for name in DOCUMENT["components"]["schemas"] if f'id="{name}"' not in page]
    assert "<script" not in page
    assert "style=" not in page
    assert not re.search(r"(src|href)=\"(?![/#])", page)


def test_the_document_is_served_as_it_is(reader: httpx.Client) -> None:
    assert reader.get("/v1/openapi.json").json() == DOCUMENT
    assert reader.get(f"/v1/breakers/{JOB}").status_code == 200
