"""`execute`: recovery plans, to people or to an executor."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from detector.commands.common import INTERRUPTED, AsJson, ConfigPath, configuration, console, kafka_of, write_line
from detector.commands.running import Stop

if TYPE_CHECKING:
    from detector.config import Config
    from detector.core.messages import Redo
from detector.core.recovery import RecoveryPlan


def execute(
    config: ConfigPath = None,
    apply: Annotated[
        bool, typer.Option("--apply/--dry-run", help="Ask the executor, and go on; or say what would be asked now.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Let an executor redo what the open recovery plans say: without --apply nothing is asked for.

    What would be asked for now? Looks once, and moves nobody's position.

        detector execute

    Ask for it, and for what its turn comes to later. Runs until it is stopped.

        detector execute --apply
    """
    settings = configuration(config)
    if apply:
        _apply(settings)
    plans = _open_plans(settings)
    globs = settings.executor.namespaces if settings.executor.kind != "none" else ()
    if as_json:
        _as_json(plans, globs)
    else:
        _as_text(plans, globs)


def _apply(settings: "Config") -> None:
    from detector import app, logs
    from detector.telemetry import Telemetry

    stop, log = Stop(), logs.logger(settings.log)
    logs.capture(log)
    app.execute(settings, stop.event, Telemetry(log))
    raise typer.Exit(INTERRUPTED if stop.interrupted else 0)


def _open_plans(settings: "Config") -> "list[RecoveryPlan]":
    """The newest version of each plan that is open, by the order of their beginnings."""
    import msgspec

    from detector.core.recovery import RecoveryPlan
    from detector.plans import TYPE
    from detector.tail import Tail, Wanted

    newest: dict[str, RecoveryPlan] = {}
    with Tail(kafka_of(settings), settings.topics.control, Wanted("*", TYPE)) as topic:
        for shown in topic.last(None):
            try:
                plan = msgspec.convert(shown.event["data"], RecoveryPlan)
            except msgspec.ValidationError as error:
                typer.echo(f"an event about {shown.entity} is no plan: {error}", err=True)
                continue
            if plan.plan not in newest or plan.version >= newest[plan.plan].version:
                newest[plan.plan] = plan
    return sorted((plan for plan in newest.values() if plan.state == "open"), key=lambda plan: (plan.opened, plan.plan))


def _as_json(plans: "Sequence[RecoveryPlan]", globs: Sequence[str]) -> None:
    import msgspec

    from detector.plans import in_namespaces, ready

    for plan in plans:
        for ask in ready(plan):
            ours = in_namespaces(ask.job, globs)
            write_line(msgspec.json.encode({"plan": ask.plan, "job": ask.job, "run": ask.run, "ours": ours}))


def _as_text(plans: "Sequence[RecoveryPlan]", globs: Sequence[str]) -> None:
    from detector.plans import in_namespaces, ready, waiting

    screen = console()
    if not plans:
        screen.print("no plan is open")
    for plan in plans:
        screen.print(f"plan {plan.plan}, version {plan.version}: {plan.summary}", soft_wrap=True)
        for ask in ready(plan):
            who = "ask " if in_namespaces(ask.job, globs) else "hand"
            screen.print(f"  {who}  {ask.job}  {_run(ask.run)}", soft_wrap=True)
        for step in waiting(plan):
            screen.print(f"  wait  {step.job}  after {', '.join(step.after)}", soft_wrap=True)


def _run(run: "Redo") -> str:
    """Which run it is, for people."""
    if run.nominal_time is None:
        return f"{run.why}: run {run.run_id}"
    return f"{run.why}: {datetime.fromtimestamp(run.nominal_time, UTC):%Y-%m-%d %H:%M:%S} UTC"
