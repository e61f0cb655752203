"""The command line: `detector --help` says what there is."""

import sys
from typing import Annotated

import typer

from detector import __version__
from detector.commands import (
    alerting,
    breakers,
    events,
    executing,
    gating,
    graphs,
    imports,
    incidents,
    operating,
    overrides,
    profiling,
    quiet,
    recoveries,
    reports,
    running,
    seeds,
    slas,
    states,
    verdicts,
)
from detector.commands.common import FAILED, explain, extra_of
from detector.errors import DetectorError

app = typer.Typer(
    name="detector",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

ASK, TELL, RUN, LOOK = "Ask", "Tell it", "Run", "Look after it"
app.command(rich_help_panel=ASK)(breakers.check)
app.command(rich_help_panel=ASK)(gating.gate)
app.add_typer(breakers.breaker, name="breaker", rich_help_panel=ASK)
app.command(rich_help_panel=ASK)(events.tail)
app.add_typer(incidents.incidents, name="incidents", rich_help_panel=ASK)
app.command(rich_help_panel=ASK)(graphs.lineage)
app.add_typer(recoveries.recover, name="recover", rich_help_panel=ASK)
app.command(rich_help_panel=ASK)(verdicts.rules)
breakers.breaker.command()(reports.report)
app.command(rich_help_panel=ASK)(slas.sla)
breakers.breaker.command()(overrides.override)
breakers.breaker.command()(overrides.probe)
app.command(rich_help_panel=TELL)(verdicts.feedback)
app.command(rich_help_panel=TELL)(quiet.mute)
app.command(rich_help_panel=TELL)(quiet.unmute)
app.command(rich_help_panel=TELL)(quiet.mutes)
app.add_typer(quiet.maintenance, name="maintenance", rich_help_panel=TELL)
app.command(rich_help_panel=RUN)(running.demo)
app.command(rich_help_panel=RUN)(running.local)
app.command(rich_help_panel=RUN)(running.run)
app.command(rich_help_panel=RUN)(executing.execute)
app.command(rich_help_panel=RUN)(alerting.alert)
app.command(rich_help_panel=RUN)(running.backtest)
app.command(rich_help_panel=RUN)(seeds.seed)
app.command(rich_help_panel=RUN)(events.emit)
app.command(rich_help_panel=RUN)(profiling.profile)
app.command(rich_help_panel=LOOK)(operating.doctor)
app.add_typer(operating.config, name="config", rich_help_panel=LOOK)
app.add_typer(imports.imports, name="import", rich_help_panel=LOOK)
app.add_typer(states.state, name="state", rich_help_panel=LOOK)
app.command(rich_help_panel=LOOK)(operating.reset)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"detector {__version__}")
        raise typer.Exit


@app.callback()
def _detector(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Watches data pipelines by the events that they already emit: what is wrong, and may this one go on?

    Begin with `detector demo`, which needs nothing else; then `detector doctor` for your own Kafka and Redis.
    """


def main() -> None:
    """Run a command; what is wrong is said in words, with what to do, and not as a traceback."""
    try:
        app(prog_name="detector")
    except DetectorError as error:
        sys.exit(explain(error))
    except ModuleNotFoundError as error:
        extra = extra_of(error)
        if extra is None:
            raise
        typer.echo(f"detector: this needs more than is installed: pip install 'detector[{extra}]'", err=True)
        sys.exit(FAILED)


if __name__ == "__main__":
    main()
