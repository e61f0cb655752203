"""`alert`: incidents to those who are called for them."""

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from detector.commands.common import (
    FAILED,
    INTERRUPTED,
    AsJson,
    ConfigPath,
    configuration,
    console,
    kafka_of,
    write_line,
)
from detector.commands.running import Stop, duration

if TYPE_CHECKING:
    from detector.alerting import Receiver
    from detector.alerts import Told
    from detector.config import Config
    from detector.core.incidents import Incident
    from detector.sinks import Action, Alert

UPDATE = 15.0  # seconds between two tellings of a test alert


def alert(
    config: ConfigPath = None,
    test: Annotated[
        bool, typer.Option("--test", help="Send a test alert to each receiver, resolve it, and say what came of it.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be sent now. Nobody is told, and nothing is kept.")
    ] = False,
    for_: Annotated[
        str, typer.Option("--for", metavar="TIME", help="With --test: how long the alert goes on, as in 90s.")
    ] = "0s",
    port: Annotated[
        int | None,
        typer.Option("--port", help="Where health and metrics are served, in the place of http.port; 0: any."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Tell those who are called: incidents to Alertmanager, PagerDuty, a webhook (`alerts`). Runs until it is stopped.

    Beside `detector run` on one host, on a port of its own:

        detector alert --port 8081

    Does it arrive? A critical test alert to each receiver, and its end. Alertmanager tells nobody of what is over
    within its group_wait, so let it last longer:

        detector alert --test

        detector alert --test --for 90s

    What would be sent now?

        detector alert --dry-run
    """
    if test and dry_run:
        raise typer.BadParameter("--test sends, and --dry-run does not: choose one")
    settings = configuration(config)
    if test:
        raise typer.Exit(_test(settings, duration(for_) or 0.0, as_json))
    if dry_run:
        _dry_run(settings, as_json)
    else:
        _run(settings, port)


def _run(settings: "Config", port: int | None) -> None:
    from detector import app, logs
    from detector.telemetry import Telemetry

    if port is not None:
        settings = msgspec.structs.replace(settings, http=msgspec.structs.replace(settings.http, port=port))
    stop, log = Stop(), logs.logger(settings.log)
    logs.capture(log)
    app.alert(settings, stop.event, Telemetry(log))
    raise typer.Exit(INTERRUPTED if stop.interrupted else 0)


# ---------------------------------------------------------------- --dry-run


def _dry_run(settings: "Config", as_json: bool) -> None:
    from detector.alerting import would_tell
    from detector.settings import receivers_of

    receivers = receivers_of(settings)
    incidents, told = _incidents(settings), _told(settings)
    count = 0
    for receiver in receivers:
        for one in would_tell(incidents, told.get(receiver.name, {}), receiver, time.time()):
            count += 1
            _say(receiver, one, as_json)
        receiver.sink.close()
    typer.echo(f"{count} to tell to {len(receivers)} receivers", err=True)


def _say(receiver: "Receiver", alert: "Alert", as_json: bool) -> None:
    if as_json:
        write_line(msgspec.json.encode({"sink": receiver.name, "kind": receiver.sink.kind, "alert": alert}))
        return
    words = f"{receiver.name:<14}  {alert.action:<11}  {alert.severity:<8}  {alert.title}"
    console().print(words, soft_wrap=True)


def _incidents(settings: "Config") -> "dict[str, Incident]":
    from detector.core.incidents import Incident
    from detector.latest import fold

    found: dict[str, Incident] = {}
    for key, value in fold(kafka_of(settings), settings.topics.incidents).items():
        try:
            found[key] = msgspec.json.decode(value, type=Incident)
        except msgspec.DecodeError:
            typer.echo("an incident of a newer release is left out", err=True)
    return found


def _told(settings: "Config") -> "Mapping[str, Mapping[str, Told]]":
    """What each receiver was told. No topic of alerts: nobody was told anything yet."""
    from detector.alerts import Told
    from detector.errors import Unreachable
    from detector.latest import fold

    try:
        values = fold(kafka_of(settings), settings.topics.alerts)
    except Unreachable as error:
        typer.echo(f"{error}; so nobody was told anything", err=True)
        return {}
    found: dict[str, dict[str, Told]] = {}
    for key, value in values.items():
        sink, _, incident = key.partition("/")
        found.setdefault(sink, {})[incident] = msgspec.json.decode(value, type=Told)
    return found


# ---------------------------------------------------------------- --test


def _test(settings: "Config", lasts: float, as_json: bool) -> int:
    """Each receiver is told that a test began, and after a while that it is over. Returns the exit code."""
    from detector.settings import receivers_of

    receivers = receivers_of(settings)
    began = time.time()
    results = [(one, _tried(one, "trigger", began, as_json)) for one in receivers]
    _wait(lasts, [one for one, worked in results if worked], began)
    results = [(one, worked and _tried(one, "resolve", began, as_json)) for one, worked in results]
    for receiver in receivers:
        receiver.sink.close()
    return 0 if all(worked for _, worked in results) else FAILED


def _wait(lasts: float, receivers: "list[Receiver]", began: float) -> None:
    from detector.errors import DetectorError

    while (left := began + lasts - time.time()) > 0:
        time.sleep(min(left, UPDATE))
        for receiver in receivers:
            try:
                receiver.sink.flush(time.time())
            except DetectorError as error:
                typer.echo(f"{receiver.name}: {error}", err=True)


def _tried(receiver: "Receiver", action: "Action", began: float, as_json: bool) -> bool:
    from detector.errors import SinkBusy, SinkRefused

    receiver.sink.add(_example(receiver, action, began))
    said, worked = "taken", True
    try:
        receiver.sink.flush(time.time())
    except (SinkBusy, SinkRefused) as error:
        said, worked = str(error), False
    said = said if receiver.sink.trouble is None or not worked else f"taken, but {receiver.sink.trouble}"
    result = {"sink": receiver.name, "kind": receiver.sink.kind, "action": action, "worked": worked, "message": said}
    _show(result, as_json)
    return worked


def _show(result: Mapping[str, object], as_json: bool) -> None:
    if as_json:
        write_line(msgspec.json.encode(result))
        return
    mark = "ok    " if result["worked"] else "failed"
    console().print(f"{mark}  {result['sink']}  {result['action']}: {result['message']}", soft_wrap=True)


def _example(receiver: "Receiver", action: "Action", began: float) -> "Alert":
    """An incident that never was."""
    from detector.alerts import alert_of, told_of
    from detector.core.incidents import Incident

    clock: Callable[[], float] = time.time
    over = action == "resolve"
    incident = Incident(
        id=f"detector-test-{int(began * 1_000)}",
        version=2 if over else 1,
        state="resolved" if over else "open",
        severity="critical",
        title="this is a test of `detector alert --test`; nothing is wrong",
        root="job:detector/test",
        opened=began,
        updated=clock(),
        resolved=clock() if over else None,
        called="critical",
        called_at=began,
        owner=receiver.match.owner if receiver.match.owner and receiver.match.owner.isidentifier() else None,
        tags=list(receiver.match.tags[:1]),
    )
    return alert_of(action, told_of(receiver.name, incident, clock()), incident, receiver.links, clock())
