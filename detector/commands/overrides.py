"""`breaker override` and `breaker probe`: a person decides in the place of a breaker."""

import time
from typing import Annotated, Literal

import typer

from detector.commands.breakers import Entity
from detector.commands.common import AsJson, ConfigPath
from detector.commands.sending import PATIENCE, By, Reason, Timeout, Wait, ahead, give, said, span
from detector.core.commands import RequestProbe, SetOverride


def override(
    entity: Entity,
    config: ConfigPath = None,
    force_open: Annotated[bool, typer.Option("--force-open", help="Nobody may go on.")] = False,
    force_closed: Annotated[bool, typer.Option("--force-closed", help="Everybody may go on.")] = False,
    none: Annotated[bool, typer.Option("--none", help="The breaker decides again.")] = False,
    until: Annotated[str, typer.Option("--until", metavar="TIME", help="2h (from now), or 2026-03-01T06:00Z.")] = "",
    reason: Reason = "",
    by: By = "",
    wait: Wait = True,
    timeout: Timeout = PATIENCE,
    as_json: AsJson = False,
) -> None:
    """Let a breaker be open or closed for a time, whatever it finds itself. It ends by itself.

    What is downstream may go on, though the data is not right:

        detector breaker override dataset:warehouse/raw.orders --force-closed --until 2h --reason 'known, see OPS-71'

    Nobody may read it while it is repaired:

        detector breaker override dataset:warehouse/raw.orders --force-open --until 2026-03-01T06:00Z --reason repair

    It is over earlier:

        detector breaker override dataset:warehouse/raw.orders --none
    """
    state = _state(force_open, force_closed, none)
    if state != "none" and not (until and reason):
        raise typer.BadParameter("say until when (--until 2h) and why (--reason ...): others will ask")
    end = ahead(until, time.time()) if until else None
    give(config, [SetOverride(**said(by, reason), entity=entity, state=state, until=end)], wait, timeout, as_json)


def _state(force_open: bool, force_closed: bool, none: bool) -> Literal["force_open", "force_closed", "none"]:
    if force_open + force_closed + none != 1:
        raise typer.BadParameter("write one of --force-open, --force-closed and --none")
    if none:
        return "none"
    return "force_open" if force_open else "force_closed"


def probe(
    entity: Entity,
    config: ConfigPath = None,
    lasts: Annotated[str, typer.Option("--for", metavar="TIME", help="How long its run has to be judged.")] = "1h",
    by: By = "",
    wait: Wait = True,
    timeout: Timeout = PATIENCE,
    as_json: AsJson = False,
) -> None:
    """Ask to be the one run that a half-open breaker lets through. Exit code 0: you are, or none is needed.

    The first who asks is, until the run is judged, or the time is over:

        detector breaker probe job:airflow/orders.load --for 30m && ./load.sh

    In the name of a scheduler's run, as in `detector check --probe`:

        detector breaker probe job:airflow/orders.load --by "$RUN_ID"
    """
    give(config, [RequestProbe(**said(by), entity=entity, lasts=span(lasts))], wait, timeout, as_json)
