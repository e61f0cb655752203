"""`detector local`: a Kafka-protocol broker, a Redis-compatible server and Detector, for events of one's own.

For trying it out on a machine with only Python: nothing is kept when it ends, and the broker is librdkafka's mock
cluster (docs/decisions/0005). Other terminals find it by a file of environment variables, which every command and
client reads.
"""

import json
import os
import shlex
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from secrets import token_urlsafe

from detector.config import Config, Http, Kafka, Log, Redis, Secret, Token, Topics, Worker
from detector.embedded import EmbeddedBroker, EmbeddedRedis
from detector.errors import DetectorError
from detector.telemetry import Telemetry

PARTITIONS = 4
START = 60.0  # seconds, of which the first start on a machine needs some to compile the models
STOP = 15.0


class Started(Telemetry):
    """The daemon's telemetry, which tells when it has begun, and where it serves its page."""

    def __init__(self) -> None:
        """Not yet."""
        super().__init__()
        self.begun = threading.Event()
        self.address = ""

    def started(self, stages: object, slot: str, address: str) -> None:
        """The daemon begins to work."""
        super().started(stages, slot, address)  # type: ignore[arg-type]
        self.address = address
        self.begun.set()


class Place:
    """Where all of it is, while it runs."""

    def __init__(self, config: Config, address: str, token: str) -> None:
        self.config, self.address, self._token = config, address, token

    @property
    def page(self) -> str:
        """The status page, with an operator's rights."""
        return f"{self.address}/#token={self._token}"

    def environment(self) -> dict[str, str]:
        """What commands, clients and OpenLineage's integrations find it by."""
        bootstrap = self.config.kafka.bootstrap_servers
        transport = {
            "type": "kafka",
            "topic": self.config.topics.inputs[0],
            "config": {"bootstrap.servers": bootstrap},
            "flush": True,
        }
        return {
            "DETECTOR_KAFKA__BOOTSTRAP_SERVERS": bootstrap,
            "DETECTOR_REDIS__URL": self.config.redis.url,
            "DETECTOR_URL": self.address,
            "DETECTOR_TOKEN": self._token,
            "OPENLINEAGE__TRANSPORT": json.dumps(transport),
        }


def configuration(bootstrap: str, redis_url: str, port: int, token: str) -> Config:
    """Defaults, but for where things are. `token` is an operator's."""
    return Config(
        kafka=Kafka(bootstrap_servers=bootstrap, options={"log_level": 0}),
        topics=Topics(partitions=PARTITIONS),
        redis=Redis(url=redis_url),
        worker=Worker(slot="local"),
        http=Http(port=port, tokens=(Token(name="local", role="operator", token=Secret(token)),)),
        log=Log(level="error"),
    )


@contextmanager
def running(port: int, run: Callable[..., None]) -> Iterator[Place]:
    """All of it, until the end of the `with`. `run` is `app.run`. Raises what ends it, also `EmbeddedUnavailable`."""
    token, telemetry, stop = token_urlsafe(18), Started(), threading.Event()
    failure: list[BaseException] = []
    with EmbeddedBroker() as broker, EmbeddedRedis(tcp=True) as server:
        config = configuration(broker.bootstrap, server.url, port, token)
        for name in (*config.topics.outside, *config.topics.ours):
            broker.create_topic(name, PARTITIONS)

        def work() -> None:
            try:
                run(config, stop=stop, telemetry=telemetry, embedded=True)
            except BaseException as error:  # noqa: BLE001 - it is raised below, in the thread of who called
                failure.append(error)
            telemetry.begun.set()

        thread = threading.Thread(target=work, name="detector", daemon=True)
        thread.start()
        try:
            if not telemetry.begun.wait(START):
                raise DetectorError(f"Detector did not begin within {START:.0f} s")
            if not failure:
                yield Place(config, telemetry.address, token)
        finally:
            stop.set()
            thread.join(STOP)
    if failure:
        raise failure[0]


@contextmanager
def told(environment: Mapping[str, str], path: Path) -> Iterator[None]:
    """A file to be read by a shell, for its owner only, until the end of the `with`. Raises `DetectorError`."""
    lines = [f"export {name}={shlex.quote(value)}\n" for name, value in environment.items()]
    try:
        path.unlink(missing_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as out:
            out.writelines(lines)
    except OSError as error:
        raise DetectorError(f"{path}: cannot be written: {error.strerror}") from None
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
