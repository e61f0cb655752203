"""`run`, `backtest` and `demo`: everything that judges events."""

import signal
from pathlib import Path
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detector.commands.common import INTERRUPTED, AsJson, ConfigPath, configuration, console, readable, write_line

if TYPE_CHECKING:
    from detector.backtest import Summary

STAGES = ("ingest", "worker")


def stages(text: str) -> str:
    """The stages, as typed. Raises `BadParameter`."""
    unknown = [name for name in text.split(",") if name not in STAGES]
    if unknown:
        raise typer.BadParameter(f"{unknown[0]!r} is no stage; there are {' and '.join(STAGES)}")
    return text


def run(
    config: ConfigPath = None,
    stages: Annotated[
        str,
        typer.Option("--stages", callback=stages, metavar="NAMES", help="Which of ingest and worker this process is."),
    ] = ",".join(STAGES),
) -> None:
    """Watch the pipelines: read events, judge them, tell the control topic. Runs until it is stopped.

    All in one process:

        detector run --config detector.yaml

    The stateless stage apart from the stateful one; start as many of each as there are partitions to share:

        detector run --stages ingest

        detector run --stages worker
    """
    import gc

    from detector import app, logs
    from detector.telemetry import Telemetry

    # Hundreds of thousands of states and records live here, and hardly a cycle among them: looking for cycles after
    # every 700 objects, as Python does, costs an eighth of the worker's time and a fifth of ingest's.
    gc.set_threshold(100_000, 50, 50)
    settings, stop = configuration(config), _Stop()
    log = logs.logger(settings.log)
    logs.capture(log)
    app.run(settings, stages.split(","), stop.event, telemetry=Telemetry(log, gap=settings.time.gap))
    raise typer.Exit(INTERRUPTED if stop.interrupted else 0)


class _Stop:
    """Set by SIGTERM and by the first Ctrl-C; whoever presses it again does not want to wait."""

    def __init__(self) -> None:
        self.event, self.interrupted = Event(), False
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)

    def _stop(self, number: int, _: FrameType | None) -> None:
        self.interrupted = number == signal.SIGINT
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self.event.set()


def _all_readable(files: list[Path]) -> list[Path]:
    return [readable(file) for file in files]


def backtest(
    files: Annotated[
        list[Path],
        typer.Argument(callback=_all_readable, metavar="FILE...", help="A line an event; - is a pipe."),
    ],
    config: ConfigPath = None,
    as_json: AsJson = False,
) -> None:
    """What would Detector have said of this history? Needs no Kafka and no Redis.

    An event is OpenLineage or Detector's own JSON, or a captured record of one: {"key", "timestamp", "value"}.

    A history, judged with another configuration:

        detector backtest --config stricter.yaml events.jsonl

    Straight from a topic:

        kcat -C -e -t openlineage.events | detector backtest -
    """
    from detector import backtest as history

    out = write_line if as_json else _Readable()
    summary = history.run([str(file) for file in files], configuration(config), out)
    if not as_json:
        typer.echo(told(summary), err=True)


class _Readable:
    """Writes the lines of JSON that a backtest makes as `detector tail` does."""

    def __init__(self) -> None:
        from detector.commands.events import Screen

        self._screen = Screen()

    def __call__(self, line: bytes) -> None:
        import msgspec

        event: dict[str, Any] = msgspec.json.decode(line)
        if "summary" not in event:
            data = event["data"] or {}
            self._screen.show(0.0, data.get("entity", event["subject"]), event)


def told(summary: "Summary") -> str:
    """What was read and what was found, in two sentences."""
    dead = "".join(f", {count:,} not readable ({reason})" for reason, count in summary.dead_lettered.items())
    return (
        f"{_count(summary.read, 'line')}{dead}: {_count(summary.runs, 'run')} of {_count(summary.jobs, 'job')},"
        f" {_count(summary.datasets, 'dataset')}. {_count(summary.findings, 'anomaly', 'anomalies')}."
    )


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def demo(
    seconds: Annotated[
        str, typer.Option("--for", metavar="TIME", help="How long, as in 45s or 2m; until Ctrl-C if not said.")
    ] = "",
    seed: Annotated[int, typer.Option("--seed", help="Which story: the same number tells the same one.")] = 7,
    as_json: AsJson = False,
) -> None:
    """A made-up company, its pipelines and their faults, and what Detector says. Needs nothing else.

    detector demo

    detector demo --for 45s --seed 7 --json
    """
    from detector import demo as company

    raise typer.Exit(company.main(duration(seconds), seed, as_json, console(markup=True)))


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
