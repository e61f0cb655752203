"""`gate`: a command behind its breaker."""

import os
import signal
import subprocess
import sys
import time
from enum import StrEnum
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Self, cast

import typer

from detector.client import Permission, settle
from detector.client.asking import ASK_AGAIN, told
from detector.commands.breakers import Columns, Entity, From, MaxAge, Partitions, Probe, Source, ask
from detector.commands.common import FAILED, ConfigPath, entity
from detector.commands.sending import span
from detector.view import MAX_AGE, Asked, unknown

if TYPE_CHECKING:
    from pathlib import Path

    from detector.client import OnUnknown, Run

NOT_RUN, NOT_FOUND, KILLED = 126, 127, 128
LAST_WORDS = 5.0
PASSED_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
FROM_THE_TERMINAL = (signal.SIGINT, signal.SIGQUIT)


class Then(StrEnum):
    """What to do when nobody knows."""

    ALLOW = "allow"
    BLOCK = "block"


def datasets(names: list[str] | None) -> list[str]:
    """Datasets, as typed. Raises `BadParameter`."""
    for name in names or ():
        if not entity(name).startswith("dataset:"):
            raise typer.BadParameter(f"{name!r} is no dataset: write dataset:<namespace>/<name>")
    return names or []


def gate(
    entity: Entity,
    command: Annotated[
        list[str], typer.Argument(metavar="-- COMMAND...", show_default=False, help="What is run if it may.")
    ],
    config: ConfigPath = None,
    max_age: MaxAge = MAX_AGE,
    source: From = None,
    on_unknown: Annotated[
        Then | None,
        typer.Option(show_default="what the breaker says, else allow", help="Whether it runs when nobody knows."),
    ] = None,
    wait: Annotated[
        str, typer.Option("--wait", metavar="TIME", help="Wait for up to 30m, 2h, 1d until it may run.")
    ] = "0s",
    probe: Probe = "",
    partitions: Partitions = None,
    columns: Columns = None,
    emit: Annotated[bool, typer.Option("--emit", help="Tell the detector of the run: a job only.")] = False,
    inputs: Annotated[
        list[str] | None,
        typer.Option("--input", callback=datasets, metavar="DATASET", help="With --emit: what it reads; repeatable."),
    ] = None,
    outputs: Annotated[
        list[str] | None,
        typer.Option("--output", callback=datasets, metavar="DATASET", help="With --emit: what it writes; repeatable."),
    ] = None,
) -> None:
    """Run a command, if its breaker lets it. 1: it was not started; else its own exit code.

    In a crontab, or wherever a command stands:

        detector gate job:cron/orders.load -- ./load.sh --full

    Come back in an hour at most, when it has been mended:

        detector gate job:cron/orders.load --wait 1h -- ./load.sh

    What nobody knows to be good is not loaded:

        detector gate job:cron/orders.load --on-unknown block -- ./load.sh

    A job that nobody watches yet tells of itself when it starts and when it ends:

        detector gate job:cron/orders.load --emit --output dataset:warehouse/orders -- ./load.sh
    """
    if emit and not entity.startswith("job:"):
        raise typer.BadParameter(f"{entity} is no job, and only jobs have runs", param_hint="--emit")
    asked = Asked(probe=probe or None, partitions=tuple(partitions or ()), columns=tuple(columns or ()))
    answer = _awaited(entity, config, max_age, source, asked, on_unknown, span(wait))
    if not answer.allowed:
        typer.echo(f"detector: {told(answer)}", err=True)
        raise typer.Exit(FAILED)
    if answer.verdict == "unknown":
        typer.echo(f"detector: {entity} runs although nobody knows whether it may: {answer.message}", err=True)
    if not emit:
        _become(command)
    raise typer.Exit(_told_of(entity, command, config, probe or None, inputs or [], outputs or []))


def _awaited(
    entity: str,
    config: "Path | None",
    max_age: float,
    source: Source | None,
    asked: Asked,
    on_unknown: Then | None,
    wait: float,
) -> Permission:
    """The answer, when it is to go on, or when nobody waits any longer."""
    until, silent = time.monotonic() + wait, True
    overruled = cast("OnUnknown | None", on_unknown and on_unknown.value)
    while True:
        try:
            answer = ask(entity, config, max_age, source, asked)
        except Exception as error:  # noqa: BLE001 - as `check`: what fails here must not look like bad data
            answer = unknown(entity, "unreachable", f"{type(error).__name__}: {error}")
        permission = settle(answer, overruled=overruled)
        left = until - time.monotonic()
        if permission.allowed or left <= 0:
            return permission
        if silent:
            typer.echo(f"detector: {entity} waits, up to {wait:g} s: {answer.message}", err=True)
            silent = False
        time.sleep(min(ASK_AGAIN, left))


def _become(command: list[str]) -> None:
    """Be the command: its signals and its exit code are its own."""
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        os.execvp(command[0], command)
    except OSError as error:
        raise typer.Exit(_cannot(command, error)) from None


def _cannot(command: list[str], error: OSError) -> int:
    typer.echo(f"detector: {command[0]} cannot be run: {error.strerror}", err=True)
    return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_RUN


def _told_of(
    job: str, command: list[str], config: "Path | None", run_id: str | None, inputs: list[str], outputs: list[str]
) -> int:
    """Run the command, and tell of its run; its exit code, as a shell has it."""
    from detector.client import Emitter

    emitter = Emitter(config=config)
    run = emitter.run(job, run_id=run_id, inputs=inputs, outputs=outputs).start()
    try:
        return _ended(command, run)
    finally:
        if lost := emitter.close(LAST_WORDS):
            typer.echo(f"detector: Kafka does not answer: {lost} events of this run are lost", err=True)


def _ended(command: list[str], run: "Run") -> int:
    with _Signals() as signals:
        try:
            process = subprocess.Popen(command)
        except OSError as error:
            run.fail(f"{type(error).__name__}: it cannot be run")
            return _cannot(command, error)
        signals.pass_on_to(process)
        code = process.wait()
    if code == 0:
        run.complete()
    elif code < 0 and -code in signals.seen:
        run.abort(signal.Signals(-code).name)
    else:
        run.fail(f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit code {code}")
    return KILLED - code if code < 0 else code


class _Signals:
    """What this process is told while it waits, the command is told; also what came before there was a command."""

    def __init__(self) -> None:
        self.seen: list[int] = []
        self._process: subprocess.Popen[bytes] | None = None

    def pass_on_to(self, process: "subprocess.Popen[bytes]") -> None:
        """The command is there."""
        self._process = process
        for number in self.seen:
            process.send_signal(number)

    def __enter__(self) -> Self:
        self._before = {number: signal.signal(number, self._take) for number in PASSED_ON}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _take(self, number: int, _: FrameType | None) -> None:
        self.seen.append(number)
        told_by_the_terminal = number in FROM_THE_TERMINAL and _in_foreground()
        if self._process is not None and not told_by_the_terminal:
            self._process.send_signal(number)


def _in_foreground() -> bool:
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError):
        return False
