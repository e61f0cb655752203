"""A running API that knows of a small company, and clients of it with and without a token."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx
import pytest

from detector.config import Http, Secret, Token
from detector.web import Web
from tests.web.known import Known, company

READER, OPERATOR = "reader-0123456789", "operator-0123456789"
TOKENS = (
    Token(name="dashboard", role="reader", token=Secret(READER)),
    Token(name="alice", role="operator", token=Secret(OPERATOR)),
)
Serve = Callable[..., httpx.Client]
Listening = Callable[[Web], Web]


@pytest.fixture
def known() -> Known:
    return company()


@pytest.fixture(scope="session")
def aside() -> Iterator[ThreadPoolExecutor]:
    """Where servers are stopped while the next test runs: each takes a fifth of a second, longer than most tests."""
    with ThreadPoolExecutor() as pool:
        yield pool


@pytest.fixture
def listening(aside: ThreadPoolExecutor) -> Iterator[Listening]:
    """Start a server that ends with the test."""
    with ExitStack() as stack:
        yield stack.enter_context
        aside.submit(stack.pop_all().close)


@pytest.fixture
def serve(known: Known, listening: Listening) -> Iterator[Serve]:
    """Start the API with these settings; a client of it with this token."""
    with ExitStack() as stack:

        def start(token: str = "", **settings: object) -> httpx.Client:
            web = listening(Web(Http(port=0, **settings), known.telemetry, known.sources))  # type: ignore[arg-type]
            headers = {"authorization": f"Bearer {token}"} if token else {}
            address = web.address.replace("0.0.0.0", "127.0.0.1")
            client = httpx.Client(base_url=address, timeout=10, verify=False, headers=headers)
            return stack.enter_context(client)

        yield start


@pytest.fixture
def reader(serve: Serve) -> httpx.Client:
    return serve(READER, tokens=TOKENS)


@pytest.fixture
def operator(serve: Serve) -> httpx.Client:
    return serve(OPERATOR, tokens=TOKENS)
