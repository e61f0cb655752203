"""`recover`: what must be redone after something was bad, and how far that is."""

from typing import TYPE_CHECKING, Annotated

import typer

from detector.commands.common import AsJson, ConfigPath, configuration, console, kafka_of, write_line
from detector.commands.sending import PATIENCE, By, Reason, Timeout, Wait, give, said

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from detector.core.recovery import RecoveryPlan

SHORT = 8
ASKED = "An entity of it, its id or that of its incident (or the beginning)."
Which = Annotated[str, typer.Argument(metavar="[ENTITY|PLAN|INCIDENT]", show_default="all that are open", help=ASKED)]
Plan = Annotated[str, typer.Argument(metavar="PLAN", help="Its id, or the beginning of it.")]

recover = typer.Typer(no_args_is_help=True, help="What must be redone after something was bad.")


@recover.command()
def plan(which: Which = "", config: ConfigPath = None, as_json: AsJson = False) -> None:
    """The runs to redo, in the order in which they must be done. Detector plans, and redoes nothing by itself.

    detector recover plan

    detector recover plan dataset:warehouse/raw.orders

    detector recover plan 5f0c7c1a --json | jq -r '.steps[] | .job as $job | .runs[] | "\\($job) \\(.nominal_time)"'
    """
    found = _found(config, which)
    if as_json:
        _json(found)
        return
    from detector.plan_page import lines

    for number, one in enumerate(found):
        typer.echo("\n" * bool(number) + "\n".join(lines(one)))
    if not found:
        typer.echo("nothing is to be redone" if not which else f"no plan has to do with {which}", err=True)


@recover.command()
def status(which: Which = "", config: ConfigPath = None, as_json: AsJson = False) -> None:
    """How far plans are: a row for each; of one, a row for each job.

    detector recover status

    detector recover status 5f0c7c1a
    """
    from detector.core.text import moment
    from detector.plan_page import counts

    found = _found(config, which)
    if as_json:
        _json(found)
        return
    if which and len(found) == 1:
        _steps(found[0])
        return
    rows = []
    for one in found:
        done, of = counts(one)
        rows.append((one.plan[:SHORT], one.state, f"{done} of {of}", moment(one.opened), one.root))
    _table(("plan", "state", "done", "since", "of"), rows)
    typer.echo(f"{len(found)} plans", err=True)


def _steps(found: "RecoveryPlan") -> None:
    rows = []
    for step in found.steps:
        done = sum(redo.done_by is not None for redo in step.runs)
        rows.append((step.job, f"{done} of {len(step.runs)}", ", ".join(step.after)))
    typer.echo(found.summary)
    _table(("job", "done", "after"), rows)


def _table(names: tuple[str, ...], rows: "Sequence[tuple[str, ...]]") -> None:
    from rich.table import Table

    if not rows:
        return
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in names:
        shown.add_column(name, no_wrap=name != names[-1])
    for row in rows:
        shown.add_row(*row)
    console().print(shown)


@recover.command()
def abandon(
    plan: Plan,
    config: ConfigPath = None,
    reason: Reason = "",
    by: By = "",
    wait: Wait = True,
    timeout: Timeout = PATIENCE,
    as_json: AsJson = False,
) -> None:
    """Give a plan up: nobody will redo what is left of it.

    detector recover abandon 5f0c7c1a

    detector recover abandon 5f0c7c1a --reason 'the day is closed' --by alice
    """
    from detector.core.commands import AbandonPlan

    found = [one for one in _plans(config) if one.plan.startswith(plan)]
    if len(found) != 1:
        many = f"{len(found)} plans begin with" if found else "no plan is called"
        raise typer.BadParameter(f"{many} {plan}: `detector recover status` has those that are open")
    give(config, [AbandonPlan(**said(by, reason), plan=found[0].plan)], wait, timeout, as_json)


def _found(config: "Path | None", which: str) -> "list[RecoveryPlan]":
    from detector.plan_page import about

    found = _plans(config)
    return [one for one in found if about(one, which)] if which else [one for one in found if one.state == "open"]


def _plans(config: "Path | None") -> "list[RecoveryPlan]":
    from detector.plan_page import PLAN, fold
    from detector.tail import Tail, Wanted

    settings = configuration(config)
    with Tail(kafka_of(settings), settings.topics.control, Wanted(type=PLAN)) as topic:
        return fold(shown.event for shown in topic.last(None))


def _json(found: "list[RecoveryPlan]") -> None:
    import msgspec

    for one in found:
        write_line(msgspec.json.encode(one))
