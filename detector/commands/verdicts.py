"""`feedback` and `rules`: what people think of what was found, and what follows for each rule."""

import time
from typing import TYPE_CHECKING, Annotated, get_args

import typer

from detector.commands.common import AsJson, ConfigPath, configuration, console, entity, kafka_of, write_line
from detector.commands.sending import PATIENCE, By, Comment, Timeout, Wait, give, said
from detector.core.commands import Feedback, Verdict

if TYPE_CHECKING:
    from detector.precision import Rule


def feedback(
    words: Annotated[list[str], typer.Argument(metavar="[ENTITY] VERDICT", help="Of which entity, and what it was.")],
    config: ConfigPath = None,
    incident: Annotated[
        str, typer.Option("--incident", metavar="ID", help="Of all that an incident has, in the place of ENTITY.")
    ] = "",
    check: Annotated[
        str, typer.Option("--check", metavar="CHECK", show_default="all that go on", help="Of this anomaly only.")
    ] = "",
    metric: Annotated[
        str, typer.Option("--metric", metavar="METRIC", help="With missed: what should have been told.")
    ] = "",
    comment: Comment = "",
    by: By = "",
    wait: Wait = True,
    timeout: Timeout = PATIENCE,
    as_json: AsJson = False,
) -> None:
    """Was it right to tell this? Exit code 0: done. 1: refused. 2: no answer in time.

    It was a fault. Nothing is released, the rule counts as right:

        detector feedback dataset:warehouse/raw.orders confirmed --comment 'half of the file was missing'

    It was so this once, and is no fault. The anomaly ends, what it stopped goes on, nothing is learned of it:

        detector feedback --incident latest expected_once --comment 'Black Friday'

    It is so from now on. The anomaly ends, and such values are the new normal:

        detector feedback dataset:warehouse/raw.orders new_normal --check rows

    Nobody should have been told. The anomaly ends, and the check gets less easily alarmed:

        detector feedback job:airflow/orders.load false_positive

    Something was wrong, and nobody was told:

        detector feedback job:airflow/orders.load missed --metric rows_out
    """
    about, verdict = _parsed(words, incident)
    if metric and verdict != "missed":
        raise typer.BadParameter("--metric goes with missed; the anomaly that is meant is named with --check")
    if incident:
        from detector.commands.incidents import id_of

        incident = id_of(config, incident)
    command = Feedback(
        **said(by, comment),
        verdict=verdict,
        entity=about,
        incident=incident or None,
        check=check or None,
        metric=metric or None,
    )
    give(config, [command], wait, timeout, as_json)


def _parsed(words: list[str], incident: str) -> tuple[str | None, Verdict]:
    """The entity, if one is named, and the verdict. Raises `BadParameter`."""
    if len(words) != (1 if incident else 2):
        raise typer.BadParameter("write detector feedback ENTITY VERDICT, or detector feedback --incident ID VERDICT")
    verdict = words[-1].replace("-", "_")
    for known in get_args(Verdict):
        if verdict == known:
            return (None if incident else entity(words[0])), known
    raise typer.BadParameter(f"{words[-1]!r} is no verdict; known: {', '.join(get_args(Verdict))}")


def rules(
    config: ConfigPath = None,
    since: Annotated[
        str, typer.Option("--since", metavar="TIME", help="Only what came later: 30d, 12h (ago), or 2026-03-01.")
    ] = "30d",
    glob: Annotated[str, typer.Option("--entity", metavar="GLOB", help="Only entities that match.")] = "*",
    as_json: AsJson = False,
) -> None:
    """How often is each rule right, by what people said, and what to change where it is not?

    detector rules --since 90d

    detector rules --entity 'dataset:warehouse/*' --json | jq 'select(.proposal != "") | .proposal'
    """
    from detector.commands.seeds import moment
    from detector.precision import fold
    from detector.tail import Tail, Wanted

    settings, now = configuration(config), time.time()
    wanted = Wanted(glob, "anomaly.started,command.done")
    with Tail(kafka_of(settings), settings.topics.control, wanted) as topic:
        found = fold(shown.event for shown in topic.since(moment(since, now, 0.0)))
    if as_json:
        import msgspec

        for rule in found:
            write_line(msgspec.json.encode(rule))
        return
    _table(found)


def _table(found: "list[Rule]") -> None:
    from rich.table import Table

    shown = Table(box=None, pad_edge=False, header_style="bold")
    for name in ("rule", "told", "right", "confirmed", "false", "expected", "missed"):
        shown.add_column(name, no_wrap=True, justify="left" if name == "rule" else "right")
    for one in found:
        right = "" if one.precision is None else f"{one.precision:.0%}"
        numbers = (one.confirmed, one.false, one.expected, one.missed)
        shown.add_row(one.rule, f"{one.told:,}", right, *(f"{number:,}" if number else "" for number in numbers))
    if found:
        console().print(shown)
    for one in found:
        if one.proposal:
            typer.echo(f"{one.rule}: {one.proposal}")
    judged = sum(one.confirmed + one.false + one.expected + one.missed for one in found)
    typer.echo(f"{sum(one.told for one in found):,} anomalies, {judged:,} verdicts", err=True)
