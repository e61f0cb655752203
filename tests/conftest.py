"""Fixtures that tests share: servers, embedded and real; and the rule that CI skips nothing.

Real servers are started when first asked for. `kafka` and `redis_server` live until the tests end, so tests keep apart
by `topic_prefix` and by flushing. KAFKA_BOOTSTRAP_SERVERS and REDIS_URL name running ones to use in their place: they
are written to, and that Redis is flushed."""

import gc
import os
import re
import uuid
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator
from pathlib import Path

import pytest
import redis as redis_py
from hypothesis import settings

from detector.embedded import EmbeddedBroker, EmbeddedRedis
from tests.services.kafka import Kafka, KafkaCluster, RunningKafka
from tests.services.redis import RedisServer
from tests.services.registry import SchemaRegistry
from tests.services.requirements import IN_CI, require

# How long an example takes says how busy the machine is, and no more.
settings.register_profile("detector", deadline=None)
settings.register_profile("quick", max_examples=10, deadline=None)  # of `make check`
settings.load_profile("detector")
TOO_LONG = 3.0  # seconds: many times what a test without the mark `slow` takes on a machine that is calm


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kafka]:
    """A real Kafka of one node, for the whole session."""
    if running := os.environ.get("KAFKA_BOOTSTRAP_SERVERS"):
        yield RunningKafka(running)
        return
    require("java", "mvn")
    with KafkaCluster(tmp_path_factory.mktemp("kafka")) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def kafka3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """A real Kafka of three nodes, for one module: for correctness under the loss of a node, never for a latency."""
    require("java", "mvn")
    with KafkaCluster(tmp_path_factory.mktemp("kafka3"), nodes=3) as cluster:
        yield cluster


@pytest.fixture(scope="session")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SchemaRegistry]:
    """A real Schema Registry with Confluent's API, for the whole session; use subjects of your own."""
    require("java", "mvn")
    with SchemaRegistry(tmp_path_factory.mktemp("registry")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A real Redis for the whole session; a test that kills it starts a `RedisServer` of its own instead."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture
def redis_url(request: pytest.FixtureRequest) -> str:
    """The URL of an empty real Redis."""
    url = os.environ.get("REDIS_URL")
    if url is None:
        server: RedisServer = request.getfixturevalue("redis_server")
        url = server.url
    with redis_py.Redis.from_url(url) as client:
        client.flushall()
    return url


@pytest.fixture
def redis(redis_url: str) -> Iterator[redis_py.Redis]:
    """A client of an empty real Redis."""
    with redis_py.Redis.from_url(redis_url) as client:
        yield client


@pytest.fixture
def embedded_broker() -> Iterator[EmbeddedBroker]:
    """An empty Kafka-protocol broker in this process: not for transactions, compaction or fencing."""
    with EmbeddedBroker() as broker:
        yield broker


@pytest.fixture
def embedded_redis() -> Iterator[EmbeddedRedis]:
    """An empty Redis-compatible server of this test's own."""
    with EmbeddedRedis() as server:
        yield server


@pytest.fixture
def topic_prefix(request: pytest.FixtureRequest) -> str:
    """A start for names of topics, groups and transactional ids that no other test has."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", request.node.name).strip("-")
    return f"{name[:40]}-{uuid.uuid4().hex[:8]}."


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether to rewrite the expected files (`make golden`) in place of comparing with them."""
    return bool(request.config.getoption("--update-golden"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="rewrite expected files instead of comparing with them"
    )


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """One more than there are cores, since many tests wait for an embedded server."""
    return (yield) + 1


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported and collected stays to the end: looking for garbage among it took an eighth of all the time."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test is a failed one, unless it says that it is of another version of Python."""
    report = yield
    if IN_CI and report.skipped and not hasattr(report, "wasxfail") and not item.get_closest_marker("other_python"):
        report.outcome, report.longrepr = "failed", f"skipped, but CI skips nothing: {_reason(report.longrepr)}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    """The same for a module that skips itself."""
    report = yield
    if IN_CI and report.skipped:
        report.outcome, report.longrepr = "failed", f"skipped, but CI skips nothing: {_reason(report.longrepr)}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """After a failure, say where the servers' logs are; where what is slow is left out, say what should be."""
    if "not slow" in config.option.markexpr:
        told = [one for kind in terminalreporter.stats.values() for one in kind if isinstance(one, pytest.TestReport)]
        for line in unmarked(told):
            terminalreporter.line(line)
    logs = sorted(_logs(config)) if terminalreporter.stats.get("failed") or terminalreporter.stats.get("error") else []
    if logs:
        terminalreporter.section("logs of the servers")
        for log in logs:
            terminalreporter.line(str(log))


def unmarked(reports: Iterable[pytest.TestReport]) -> list[str]:
    """A line for each test that took so long that it should be marked `slow`, also on a machine that is busy."""
    took = defaultdict[str, float](float)
    for report in reports:
        took[report.nodeid] += report.duration
    slowest = sorted(((seconds, name) for name, seconds in took.items() if seconds > TOO_LONG), reverse=True)
    return [f"{seconds:.1f} s, and not marked slow: {name}" for seconds, name in slowest]


def _logs(config: pytest.Config) -> list[Path]:
    """Logs for people; Kafka's own `*.log` files below `data` are not."""
    factory: pytest.TempPathFactory = config._tmp_path_factory  # type: ignore[attr-defined]
    base = factory.getbasetemp()
    return [path for path in base.glob("**/*.log") if "data" not in path.relative_to(base).parts]


def _reason(longrepr: object) -> object:
    return longrepr[2] if isinstance(longrepr, tuple) else longrepr
