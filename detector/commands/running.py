"""`run`, `backtest` and `demo`: everything that judges events."""

import signal
from pathlib import Path
from threading import Event
from types import FrameType
from typing import Annotated

import typer

from detector.commands import backtests
from detector.commands.common import (
    INTERRUPTED,
    AsJson,
    ConfigPath,
    all_readable,
    configuration,
    console,
    kafka_of,
    readable,
)

STAGES = ("ingest", "worker", "api")


def stages(text: str) -> str:
    """The stages, as typed. Raises `BadParameter`."""
    unknown = [name for name in text.split(",") if name not in STAGES]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r} is no stage; there are {', '.join(STAGES)}")
    return text


def run(
    config: ConfigPath = None,
    stages: Annotated[
        str,
        typer.Option(
            "--stages", callback=stages, metavar="NAMES", help="Which of ingest, worker and api this process is."
        ),
    ] = ",".join(STAGES),
) -> None:
    """Watch the pipelines: read events, judge them, tell the control topic. Runs until it is stopped.

    All in one process:

        detector run --config detector.yaml

    The stateless stage apart from the stateful one; start as many of each as there are partitions to share:

        detector run --stages ingest

        detector run --stages worker

    The HTTP API alone, as many as you like:

        detector run --stages api
    """
    import gc

    from detector import app, logs
    from detector.telemetry import Telemetry

    # Hundreds of thousands of states and records live here, and hardly a cycle among them: looking for cycles after
    # every 700 objects, as Python does, costs an eighth of the worker's time and a fifth of ingest's.
    gc.set_threshold(100_000, 50, 50)
    settings, stop = configuration(config), Stop()
    log = logs.logger(settings.log)
    logs.capture(log)
    telemetry = Telemetry(log, gap=settings.time.gap, watched=settings.metrics.entities)
    app.run(settings, stages.split(","), stop.event, telemetry=telemetry)
    raise typer.Exit(INTERRUPTED if stop.interrupted else 0)


class Stop:
    """Set by SIGTERM and by the first Ctrl-C; whoever presses it again does not want to wait."""

    def __init__(self) -> None:
        self.event, self.interrupted = Event(), False
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)

    def _stop(self, number: int, _: FrameType | None) -> None:
        self.interrupted = number == signal.SIGINT
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.event.set()


def _readable(file: Path | None) -> Path | None:
    return None if file is None else readable(file)


def backtest(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            callback=all_readable, metavar="FILE...", show_default=False, help="A line an event; - is a pipe."
        ),
    ] = None,
    config: ConfigPath = None,
    compare: Annotated[
        Path | None,
        typer.Option(
            "--compare", callback=_readable, metavar="FILE", help="Another configuration: what does it find instead?"
        ),
    ] = None,
    csv: Annotated[
        Path | None,
        typer.Option("--csv", callback=_readable, metavar="FILE", help="One series instead of events; - is a pipe."),
    ] = None,
    time: Annotated[str, typer.Option("--time", metavar="COLUMN", help="Of the CSV: the time.")] = "timestamp",
    value: Annotated[str, typer.Option("--value", metavar="COLUMN", help="Of the CSV: the value.")] = "value",
    metric: Annotated[
        str,
        typer.Option(
            "--metric",
            metavar="NAME",
            help="Of the CSV: what it is a series of, as rows. Not said: often is telemetry.",
        ),
    ] = "value",
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="FILE", help="Of the CSV: write each row and its score here; - is a pipe."),
    ] = None,
    plot: Annotated[Path | None, typer.Option("--plot", metavar="FILE", help="Draw a picture of it, as SVG.")] = None,
    as_json: AsJson = False,
) -> None:
    """What would Detector have said of this history? Needs no Kafka and no Redis.

    An event is OpenLineage or Detector's own JSON, or a captured record of one: {"key", "timestamp", "value"}.

        detector backtest events.jsonl --plot findings.svg

    What would another configuration have found?

        detector backtest --compare stricter.yaml events.jsonl

    A series of numbers, with a score for each row:

        detector backtest --csv series.csv --out scores.csv --plot series.svg

    Straight from a topic:

        kcat -C -e -t openlineage.events | detector backtest -
    """
    history = files or []
    if csv is not None:
        _alone(bool(history), "FILE...", "--csv")
        _alone(compare is not None, "--compare", "--csv")
        backtests.series(csv, backtests.Columns(time, value, metric), config, out, plot, as_json)
        return
    _alone(out is not None, "--out is for a series: it", "a history of events")
    _alone(
        (time, value, metric) != backtests.Columns(), "--time, --value and --metric are for a series: they", "events"
    )
    if not history:
        raise typer.BadParameter("what is the history? Name files of events, or a series with --csv")
    if compare is not None:
        _alone(plot is not None, "--plot", "--compare")
        backtests.compare(history, config, compare, as_json)
    else:
        backtests.history(history, config, plot, as_json)


def _alone(given: bool, one: str, other: str) -> None:
    if given:
        raise typer.BadParameter(f"{one} cannot go with {other}")


def demo(
    seconds: Annotated[
        str, typer.Option("--for", metavar="TIME", help="How long, as in 45s or 2m; until Ctrl-C if not said.")
    ] = "",
    seed: Annotated[int, typer.Option("--seed", help="Which story: the same number tells the same one.")] = 7,
    speed: Annotated[
        float, typer.Option("--speed", min=1, max=3_600, help="Simulated seconds for each real one.")
    ] = 600,
    as_json: AsJson = False,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="Where /metrics is served; 0: any port that is free.")
    ] = 0,
) -> None:
    """A made-up company, its pipelines and their faults, and what Detector says. Needs nothing else.

    It prints the address of its status page.

    detector demo

    detector demo --speed 60      slowly, to look around on the page

    detector demo --for 45s --seed 7 --json

    With a Prometheus that scrapes it:

    detector demo --port 8080
    """
    from detector import demo as company

    raise typer.Exit(company.main(duration(seconds), seed, as_json, console(markup=True), speed, port))


def duration(text: str) -> float | None:
    """Seconds, from `45s`, `2m`, `1h` or a bare number; None from nothing. Raises `BadParameter`."""
    if not text:
        return None
    units = {"s": 1.0, "m": 60.0, "h": 3_600.0}
    number, unit = (text[:-1], text[-1]) if text[-1] in units else (text, "s")
    try:
        return float(number) * units[unit]
    except ValueError:
        raise typer.BadParameter(f"{text!r} is no time: write 45s, 2m or 1h") from None


def local(
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="Of the status page; 0 is any.")] = 8080,
    file: Annotated[
        Path, typer.Option("--env", metavar="FILE", help="Written for other terminals, and removed in the end.")
    ] = Path("detector-local.env"),
) -> None:
    """Kafka, Redis and Detector on this machine, for events of your own. Needs nothing else; nothing is kept.

        detector local

    In another terminal, where every command, client and integration of OpenLineage then finds it:

        . ./detector-local.env

        detector emit events.jsonl

        dbt-ol run
    """
    from detector import app, local
    from detector.commands.events import Screen
    from detector.tail import Tail, Wanted

    stop = Stop()
    out = console()
    out.print("starting; the first time takes some seconds longer")
    with local.running(port, app.run) as place, local.told(place.environment(), file):
        config = place.config
        out.print(f"Kafka        {config.kafka.bootstrap_servers}, topics {', '.join(config.topics.inputs)}")
        out.print(f"Redis        {config.redis.url}")
        out.print(f"status page  {place.page}")
        out.print(f"\nIn another terminal:  . {file.absolute()}")
        out.print("Ctrl-C ends it, and nothing is kept. What it says:\n")
        with Tail(kafka_of(config), config.topics.control, Wanted()) as topic:
            screen = Screen()
            topic.skip()
            for shown in topic.follow(stop.event.is_set):
                screen.show(shown.at, shown.entity, shown.event)
    raise typer.Exit(INTERRUPTED if stop.interrupted else 0)
