"""Who may ask, and how often: tokens, roles, a listener without any, and other spellings of a path."""

import json
import socket

import httpx
import pytest

from detector.config import Http, Secret, Token
from detector.web.access import Access, Limit, is_loopback
from detector.web.problems import Problem
from tests.web.conftest import OPERATOR, READER, TOKENS, Serve
from tests.web.known import INCIDENT, JOB, Known

COMMAND = {"command": "acknowledge", "incident": INCIDENT}


def raw(client: httpx.Client, path: str) -> bytes:
    """The first line of the answer to a path that no client would send."""
    host, port = client.base_url.host, client.base_url.port
    with socket.create_connection((host, port or 80), timeout=10) as connection:
        connection.sendall(f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n".encode())
        return connection.makefile("rb").readline()


# ---------------------------------------------------------------- with tokens


@pytest.mark.parametrize("path", ["/v1/overview", f"/v1/breakers/{JOB}", "/v1/events", "/v1/none", "/v1/", "/v1"])
def test_nothing_is_told_without_a_token(serve: Serve, path: str) -> None:
    answer = serve("", tokens=TOKENS).get(path)

    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, 'Bearer realm="detector"')
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("//v1/overview", id="a slash too many"),
        pytest.param("/v1//overview", id="in the middle"),
        pytest.param("/%76%31/overview", id="letters encoded"),
        pytest.param("/v1%2Foverview", id="a slash encoded"),
        pytest.param("/static/../v1/overview", id="up and down"),
        pytest.param("/static//v1/overview", id="below the files of the page"),
        pytest.param("/healthz/../v1/overview", id="below what is open"),
        pytest.param("/v1/docs/../overview", id="below the documents"),
        pytest.param("/v1/overview?x=/v1/docs", id="in the question"),
        pytest.param("http://127.0.0.1/v1/overview", id="with the host in it"),
    ],
)
def test_no_spelling_of_a_path_leads_past_the_token(serve: Serve, path: str) -> None:
    client = serve("", tokens=TOKENS)

    assert raw(client, path).split()[1] in (b"401", b"404", b"400")


@pytest.mark.parametrize(
    "header",
    [
        pytest.param("Bearer wrong-0123456789abc", id="another token"),
        pytest.param(f"Bearer {READER}x", id="one with more behind it"),
        pytest.param(f"Basic {READER}", id="another scheme"),
        pytest.param("Bearer", id="none"),
        pytest.param("Bearer \u00fc", id="letters that no token has"),
    ],
)
def test_what_is_no_token_is_none(serve: Serve, header: str) -> None:
    answer = serve("", tokens=TOKENS).get("/v1/overview", headers=[(b"authorization", header.encode())])

    assert answer.status_code == 401
    assert READER not in answer.text


def test_the_scheme_may_be_written_in_any_case(serve: Serve) -> None:
    client = serve("", tokens=TOKENS)

    assert client.get("/v1/overview", headers={"authorization": f"bearer {READER}"}).status_code == 200


def test_a_reader_may_not_write(reader: httpx.Client, known: Known) -> None:
    answer = reader.post("/v1/commands", json=COMMAND)

    assert (answer.status_code, known.desk.given) == (403, [])
    assert "The token of dashboard may read only" in json.loads(answer.content)["detail"]


@pytest.mark.parametrize("path", ["/v1/docs", "/v1/docs.css", "/v1/openapi.json", "/healthz", "/readyz", "/metrics"])
def test_what_tells_of_no_pipeline_needs_no_token(serve: Serve, path: str) -> None:
    assert serve("", tokens=TOKENS).get(path).status_code == 200


# ---------------------------------------------------------------- without tokens


def test_whoever_is_on_the_machine_may_read_without_tokens(serve: Serve) -> None:
    assert serve().get("/v1/overview").status_code == 200


def test_nobody_may_write_without_tokens(serve: Serve, known: Known) -> None:
    answer = serve().post("/v1/commands", json=COMMAND)

    assert (answer.status_code, known.desk.given) == (403, [])
    assert "http.tokens" in json.loads(answer.content)["detail"]


@pytest.mark.parametrize("host", ["evil.example", "localhost.evil.example", "127.0.0.1.evil.example", ""])
def test_a_name_of_another_site_that_leads_here_is_refused(serve: Serve, host: str) -> None:
    """A page of that site could read the API otherwise: to the browser it is the page's own."""
    for path in ("/v1/overview", f"/v1/breakers/{JOB}"):
        assert serve().get(path, headers={"host": host}).status_code in (400, 403)


@pytest.mark.parametrize("host", ["localhost:8080", "127.0.0.1:8080", "[::1]:8080", "detector.localhost"])
def test_names_of_the_machine_are_answered(serve: Serve, host: str) -> None:
    assert serve().get("/v1/overview", headers={"host": host}).status_code == 200


@pytest.mark.parametrize("path", ["/v1/overview", f"/v1/breakers/{JOB}", "/v1/docs", "/", "/static/x.js"])
def test_an_open_address_without_tokens_answers_nobody(serve: Serve, path: str) -> None:
    client = serve(host="0.0.0.0")

    answer = client.get(path)

    assert answer.status_code == 401
    assert "token_file" in json.loads(answer.content)["detail"]
    assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("host", "is_so"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("10.0.0.1", False),
        ("example.com", False),
    ],
)
def test_which_addresses_are_loopback(host: str, is_so: bool) -> None:
    assert is_loopback(host) == is_so


def test_tokens_are_not_kept_as_they_are() -> None:
    access = Access(Http(tokens=(Token(name="a", token=Secret(OPERATOR)),)))

    assert OPERATOR not in repr(vars(access))


# ---------------------------------------------------------------- how often


def test_more_requests_than_allowed_are_told_when_to_come_again(serve: Serve) -> None:
    client = serve(READER, tokens=TOKENS, rate=2)

    answers = [client.get("/v1/plans") for _ in range(20)]

    over = [answer for answer in answers if answer.status_code == 429]
    assert answers[3].status_code == 200
    assert over
    assert over[0].headers["retry-after"] == "1"


def test_breakers_may_be_asked_for_as_often_as_one_likes(serve: Serve) -> None:
    client = serve(READER, tokens=TOKENS, rate=1)

    assert {client.get(f"/v1/breakers/{JOB}").status_code for _ in range(20)} == {200}


def test_tokens_cannot_be_tried_as_often_as_one_likes(serve: Serve) -> None:
    client = serve("wrong-0123456789abc", tokens=TOKENS, rate=1)

    assert [client.get(f"/v1/breakers/{JOB}").status_code for _ in range(20)][-1] == 429


def test_one_client_does_not_use_up_what_another_has() -> None:
    limit = Limit(1.0, lambda: 0.0)
    limit.take("a")
    limit.take("a")

    limit.take("b")
    with pytest.raises(Problem):
        limit.take("a")


def test_who_waits_may_ask_again() -> None:
    now = 0.0
    limit = Limit(1.0, lambda: now)
    limit.take("a")
    limit.take("a")
    now = 1.0

    limit.take("a")


# ---------------------------------------------------------------- what goes with an answer


def test_pages_are_guarded_and_no_other_site_may_read(reader: httpx.Client) -> None:
    headers = reader.get("/v1/docs", headers={"origin": "https://other.example"}).headers

    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert not [name for name in headers if name.startswith("access-control")]
    assert "server" not in headers


def test_what_a_token_reads_is_kept_by_nobody(reader: httpx.Client) -> None:
    for path in ("/v1/overview", f"/v1/breakers/{JOB}"):
        assert reader.get(path).headers["cache-control"] == "no-store"
