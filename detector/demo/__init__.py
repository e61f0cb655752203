"""`detector demo`: a company of pipelines with faults, and Detector watching it, on a machine with only Python."""

import json
import signal
import threading
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from secrets import token_urlsafe

from rich.console import Console

from detector.config import Config, Http, Kafka, Log, Metrics, Redis, Secret, Time, Token, Topics, Worker
from detector.demo import wire
from detector.demo.link import FRESH, Breakers, Clock, Listener, Outlet
from detector.demo.live import SPEED, TICK, Demo
from detector.demo.screen import Screen, Status, opened, summary
from detector.embedded import EmbeddedBroker, EmbeddedRedis
from detector.settings import redis_client
from detector.telemetry import Telemetry

PARTITIONS = 4
NEXT_STEPS = """
Next:
  detector local                     the same for events of your own: dbt, Airflow, Spark; needs nothing else
  detector doctor                    looks at your own Kafka and Redis, and says what is missing
  detector backtest events.jsonl     judges a history of yours; needs neither
  detector run                       watches your pipelines
  detector check job:airflow/load    may this pipeline go on? exit code 0 yes, 1 no, 2 unknown"""


def main(seconds: float | None, seed: int, as_json: bool, console: Console, speed: float = SPEED, port: int = 0) -> int:
    """Run the demo for `seconds` after its warm-up (None: until Ctrl-C). Returns the exit code.

    `port` is where its health and metrics are served, 0: any that is free. With `as_json` the only thing on standard
    output is one JSON object; what happens goes to standard error. Raises `DetectorError`.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # whoever stops it wants the servers stopped, too
    told = Console(stderr=True, highlight=False) if as_json else console
    with opened(told) as screen, prepared(seed, seconds, screen, speed, port) as demo:
        demo.run()
    for line in summary(demo.story, demo.status, NEXT_STEPS):
        told.print(line, markup=False, soft_wrap=not told.is_terminal)
    if as_json:
        console.file.write(json.dumps({**demo.story.as_json(), "seed": seed}) + "\n")
    return 0


@contextmanager
def prepared(seed: int, seconds: float | None, screen: Screen, speed: float = SPEED, port: int = 0) -> Iterator[Demo]:
    """The servers, and a demo on them that is ready to `run`. Raises `EmbeddedUnavailable`."""
    token = token_urlsafe(18)  # whoever sees the demo's screen is its operator
    with EmbeddedBroker() as broker, EmbeddedRedis() as server:
        config = configuration(broker.bootstrap, server.url, token, port)
        telemetry = Watched(token, watched=config.metrics.entities)
        names = config.topics
        for name in (*names.outside, *names.ours):
            broker.create_topic(name, PARTITIONS)
        with redis_client(config) as client:

            def daemon(clock: Clock, stop: threading.Event) -> None:
                from detector import app

                app.run(config, app.STAGES, stop, clock=clock, telemetry=telemetry, embedded=True)

            def connect(clock: Clock) -> tuple[Outlet, Listener, Breakers]:
                listener = Listener(broker.bootstrap, names.control, names.breakers)
                return Outlet(broker.bootstrap), listener, Breakers(client, config.redis.prefix, clock)

            demo = Demo(seed, seconds, daemon, connect, screen, speed)
            telemetry.status = demo.status
            yield demo


class Watched(Telemetry):
    """The daemon's telemetry, which tells the screen where its page and its metrics are served."""

    status: Status | None = None

    def __init__(self, token: str, watched: Collection[str] = ()) -> None:
        """`token` is an operator's."""
        super().__init__(watched=watched)
        self._token = token

    def started(self, stages: Sequence[str], slot: str, address: str) -> None:
        """The daemon begins to work."""
        super().started(stages, slot, address)
        if self.status is not None:
            self.status.address, self.status.page = address, f"{address}/#token={self._token}"


def configuration(bootstrap: str, redis_url: str, token: str, port: int = 0) -> Config:
    """How Detector runs here. Times are simulated: a tick every half a minute of them is some twenty a second.

    `token` is what the operator of the page has.
    """
    return Config(
        kafka=Kafka(bootstrap_servers=bootstrap, options={"log_level": 0}),
        topics=Topics(inputs=(wire.OPENLINEAGE, wire.NATIVE), partitions=PARTITIONS),
        redis=Redis(url=redis_url),
        worker=Worker(slot="demo"),
        time=Time(tick=TICK, gap=6 * 3_600.0),
        http=Http(port=port, max_age=FRESH, tokens=(Token(name="demo", role="operator", token=Secret(token)),)),
        metrics=Metrics(entities=("*",)),
        log=Log(level="error"),
    )
