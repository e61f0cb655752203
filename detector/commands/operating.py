"""`config`, `doctor` and `reset`: what an operator does."""

import json
from typing import TYPE_CHECKING, Annotated

import typer

from detector.commands.common import FAILED, AsJson, ConfigPath, configuration, console, found, write_line

if TYPE_CHECKING:
    from rich.console import Console

    from detector.doctor import Finding

config = typer.Typer(no_args_is_help=True, help="Check, show and explain the configuration.")

RESET = """\
Snapshots in Redis and the log in Kafka do not fit, and Detector does not guess. This happens when

  - somebody moved the committed offsets of the worker's group back (a rewind),
  - the topic of the log was created again, or got another number of partitions,
  - records were deleted before they were read.

`detector reset` discards the snapshots{which}, and moves offsets that point at deleted records to the
first that is left. What the models have learned is learned again from what the log still holds; breakers are taken
over from the topic of breakers. Stop all workers first.
"""


@config.command()
def check(path: ConfigPath = None) -> None:
    """Is the configuration right? Says where it is wrong, and what is known there.

    detector config check --config detector.yaml

    DETECTOR_KAFKA__BOOTSTRAP_SERVERS=kafka:9092 detector config check
    """
    from detector.settings import rules_of

    rules_of(configuration(path))
    file = found(path)
    typer.echo(f"{file} is right" if file else "no file: the defaults are in force")


@config.command()
def show(path: ConfigPath = None) -> None:
    """What is in force: the file, the environment and the defaults together. Secrets are not shown.

    detector config show

    detector config show --config detector.yaml > in-force.yaml
    """
    from detector.config import show as written

    typer.echo(written(configuration(path)), nl=False)


@config.command()
def schema() -> None:
    """The JSON Schema of the file, for editors.

    detector config schema > detector.schema.json

    What a rule may say:

        detector config schema | jq '."$defs".Rule.properties | keys'
    """
    from detector.config import schema as made

    typer.echo(json.dumps(made(), indent=2))


def doctor(config: ConfigPath = None, as_json: AsJson = False) -> None:
    """What is wrong with the set-up, and what to do? Changes nothing. Exit code 1 if anything fails.

    detector doctor

    detector doctor --json | jq '.[] | select(.status != "ok")'
    """
    from detector.doctor import examine

    findings: list[Finding] = []
    out = console()
    for finding in examine(configuration(config), found(config)):
        findings.append(finding)
        if not as_json:
            _tell(finding, out)
    if as_json:
        import msgspec

        write_line(msgspec.json.encode(findings))
    if any(finding.status == "fail" for finding in findings):
        raise typer.Exit(FAILED)


def _tell(finding: "Finding", out: "Console") -> None:
    from rich.text import Text

    mark, style = {"ok": ("ok  ", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "bold red")}[finding.status]
    out.print(Text.assemble((mark, style), "  ", (f"{finding.what:<9}", "bold"), "  ", finding.message), soft_wrap=True)
    if finding.advice:
        out.print(Text(f"{'':17}{finding.advice}", "dim"), soft_wrap=True)


def reset(
    config: ConfigPath = None,
    partitions: Annotated[
        list[int] | None, typer.Option("--partition", min=0, help="Only this partition of the log; may be repeated.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> None:
    """Accept that state and log do not fit, and begin again from what the log holds.

    The answer to StateAheadOfLog and LogMoved. Explains, then asks.

        detector reset

        detector reset --partition 3 --yes
    """
    settings = configuration(config)
    which = "" if not partitions else f" of partition{'s' * (len(partitions) > 1)} {', '.join(map(str, partitions))}"
    if not yes:
        typer.echo(RESET.format(which=which))
        typer.confirm("Discard them?", abort=True)
    from detector import app

    for done in app.reset(settings, partitions or None):
        typer.echo(done)
