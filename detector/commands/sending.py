"""What the commands share that tell the detector something: who says it, when it ends, and what came of it."""

import getpass
import socket
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any
from uuid import uuid4

import typer

from detector.commands.common import FAILED, coloured, configuration, kafka_of, write_line

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from detector.core.commands import AnyCommand
    from detector.core.emissions import CommandDone

NO_ANSWER = 2
PATIENCE = 20.0

By = Annotated[str, typer.Option("--by", metavar="NAME", show_default="$USER@host", help="Who says so.")]
Comment = Annotated[str, typer.Option("--comment", metavar="TEXT", help="Why: kept with what came of it.")]
Reason = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why: shown to whoever asks.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for what comes of it, or only send it.")]
Timeout = Annotated[float, typer.Option("--timeout", metavar="SECONDS", min=0, help="How long to wait for that.")]


def said(by: str, comment: str = "") -> dict[str, Any]:
    """What each command has: an id of its own, who says it, and why."""
    return {"id": str(uuid4()), "by": by or me(), "comment": comment, "at": round(time.time(), 3)}


def me() -> str:
    """`alice@host`: who runs this."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError):  # a container may run as a number that has no name
        user = "somebody"
    return f"{user}@{socket.gethostname()}"


def give(
    config: "Path | None", given: "Sequence[AnyCommand]", wait: bool, patience: float, as_json: bool
) -> "list[CommandDone]":
    """Send commands, tell what came of them, and end with the code for it: 0 done, 1 refused, 2 nobody answered."""
    from detector.orders import Orders

    for command in given:
        _look(command)
    settings = configuration(config)
    orders = Orders(kafka_of(settings), settings.topics.commands, settings.topics.control)
    if wait:
        answers = orders.give(given, patience)
    else:
        orders.send(given)
        answers = {command.id: [] for command in given}
    for command in given:
        _tell(command, answers[command.id], wait, as_json)
    found = [answer for command in given for answer in answers[command.id]]
    if wait and not all(answers.values()):
        if not as_json:
            typer.echo(
                f"no answer within {patience:g} s: it is in {settings.topics.commands}, and is done when a worker comes"
                " to it (`detector doctor` says whether one runs)",
                err=True,
            )
        raise typer.Exit(NO_ANSWER)
    if not all(answer.done for answer in found):
        raise typer.Exit(FAILED)
    return found


def _look(command: "AnyCommand") -> None:
    """Refuse here what would be set aside there, and be waited for in vain. Raises `BadParameter`."""
    import msgspec

    from detector.core.commands import AnyCommand

    try:
        msgspec.json.decode(msgspec.json.encode(command), type=AnyCommand)
    except msgspec.ValidationError as error:
        raise typer.BadParameter(f"this is no command: {error}") from None


def _tell(command: "AnyCommand", answers: "list[CommandDone]", wait: bool, as_json: bool) -> None:
    if as_json:
        import msgspec

        write_line(msgspec.json.encode({"id": command.id, "sent": command, "answers": answers}))
        return
    for answer in answers:
        word = f"{'done' if answer.done else 'refused':<7}"
        if coloured():
            word = typer.style(word, fg=typer.colors.GREEN if answer.done else typer.colors.RED, bold=True)
        typer.echo("  ".join(part for part in (word, _what(answer), answer.effect) if part))
    if not answers and not wait:
        typer.echo(f"sent     {command.id}")


def _what(answer: "CommandDone") -> str:
    """What the answer is of."""
    about = answer.entity or answer.incident or ""
    return f"{about} {answer.check}" if answer.check else about


# ---------------------------------------------------------------- times


def span(text: str) -> float:
    """Seconds of `30m`, `2h`, `1d`. Raises `BadParameter`."""
    from detector.config.units import seconds

    try:
        return seconds(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from None


def ahead(text: str, now: float) -> float:
    """A time in seconds since 1970, of `2h` (from now) or of ISO 8601 (UTC, if it names no zone).

    Raises `BadParameter`.
    """
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        try:
            return round(now + span(text), 3)
        except typer.BadParameter:
            raise typer.BadParameter(f"{text!r} is no time: write 2h, 30m, or 2026-03-01T06:00Z") from None
    return (when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp()
