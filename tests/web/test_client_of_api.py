"""What pipelines ask with is answered by the real API, over one connection, and with a token where one is wanted."""

import httpx

from detector.client import Client
from detector.core.breaker import State
from tests.web.conftest import READER, Serve
from tests.web.known import ROOT, SLASHES, Known, breaker


def test_the_answer_is_the_one_that_the_api_has(reader: httpx.Client) -> None:
    with Client(url=str(reader.base_url), token=READER) as client:
        answers = [client.check(entity) for entity in (ROOT, SLASHES, "job:a/none")]

    assert [(answer.entity, answer.verdict, answer.outcome) for answer in answers] == [
        (ROOT, "block", "blocked"),
        (SLASHES, "allow", "allowed"),
        ("job:a/none", "unknown", "allowed_although_unknown"),
    ]
    assert answers[0].message == "open for 10 min: 3 rows, usually 1,000"


def test_who_names_the_columns_it_reads_is_asked_for_these(reader: httpx.Client, known: Known) -> None:
    known.breaker(breaker("dataset:db/wide", State.OPEN, scope=["column:price"]))

    with Client(url=str(reader.base_url), token=READER) as client:
        answers = [client.check("dataset:db/wide", columns=columns) for columns in (("name",), ("name", "price"))]

    assert [answer.verdict for answer in answers] == ["allow", "block"]


def test_without_a_token_the_answer_says_what_is_missing(serve: Serve, reader: httpx.Client) -> None:
    with Client(url=str(reader.base_url)) as client:
        answer = client.check(ROOT)

    assert (answer.verdict, answer.reason) == ("unknown", "unreachable")
    assert "refuses: 401" in answer.message
    assert "is DETECTOR_TOKEN set and right?" in answer.message


def test_on_the_machine_no_token_is_needed(serve: Serve) -> None:
    with Client(url=str(serve().base_url)) as client:
        assert client.check(ROOT).verdict == "block"
