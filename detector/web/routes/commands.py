"""What people tell the detector: feedback, overrides, mutes. The name on a command is that of the token."""

import time
from typing import Any, Final
from uuid import uuid4

import msgspec
from litestar import Response

from detector.core.commands import AnyCommand
from detector.errors import Unreachable
from detector.web.operations import Asking, Operation, json, query
from detector.web.problems import Fault, Problem, away, invalid
from detector.web.shapes import CommandQuery, Done
from detector.web.sources import Sources

LARGEST: Final = 65_536
GIVE = Operation(
    path="/v1/commands",
    method="POST",
    tag="commands",
    summary="Give a command",
    about=(
        "As on the topic of commands: `feedback`, `override`, `probe`, `acknowledge`, `window`, `end_window`,"
        " `abandon_plan`. Who gives it is the name of the token. With an `id` of your own it can be sent again without"
        " fear: a command that comes twice is done once. Answered with what came of it, or with 202 when nobody said"
        " that in time; needs a token whose role is operator."
    ),
    query=CommandQuery,
    body=AnyCommand,
    body_examples={
        "feedback": {
            "command": "feedback",
            "verdict": "false_positive",
            "entity": "job:airflow/orders.load",
            "comment": "the source was late",
        },
        "override": {
            "command": "override",
            "entity": "job:airflow/orders.load",
            "state": "force_closed",
            "until": 1_790_000_000.0,
            "comment": "checked by hand",
        },
        "acknowledge": {"command": "acknowledge", "incident": "5f0c7c1a9b2d4e6f8a0b1c2d3e4f5a6b"},
    },
    answer=Done,
    accepted=True,
    problems=(403, 413, 415, 503),
)


async def give(sources: Sources, request: Asking) -> Response[bytes]:
    """The answer of `GIVE`."""
    asked = query(request, CommandQuery)
    command = _command(await _body(request), request.scope["state"]["who"].name)
    try:
        answers = await sources.desk.give(command, asked.wait)
    except Unreachable as error:
        raise away(f"The command {command.id} may not have been taken: {error}. Send it again with this id.") from None
    if not answers:
        waiting = "nobody has said yet what came of it: it is done when a worker comes to it"
        return json(Done(id=command.id, done=None, effect=waiting, answers=[]), 202)
    effect = "; ".join(dict.fromkeys(answer.effect for answer in answers))
    return json(Done(id=command.id, done=all(one.done for one in answers), effect=effect, answers=answers))


async def _body(request: Asking) -> dict[str, Any]:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json":
        raise Problem(415, "Send the command as JSON, with `Content-Type: application/json`.")
    try:
        found = msgspec.json.decode(await request.body())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Problem(422, f"The body is not JSON: {error}", errors=[Fault(where="body", message="not JSON")]) from None
    if not isinstance(found, dict):
        raise Problem(422, "The body is no object.", errors=[Fault(where="body", message="Expected an object")])
    return found


def _command(body: dict[str, Any], by: str) -> AnyCommand:
    """As the topic has it, checked as a worker would: what it set aside would be waited for in vain."""
    said = {"id": str(uuid4()), **body, "by": by, "at": round(time.time(), 3)}
    try:
        command: AnyCommand = msgspec.convert(said, AnyCommand)
    except msgspec.ValidationError as error:
        raise invalid(error, "body") from None
    known = {field.encode_name for field in msgspec.structs.fields(type(command))} | {"command"}
    unknown = sorted(body.keys() - known)
    if unknown:
        why = f"unknown key; known: {', '.join(sorted(known - {'by', 'at'}))}"
        raise Problem(
            422, f"The body cannot be used: {unknown[0]}: {why}", errors=[Fault(where=unknown[0], message=why)]
        )
    return command


ROUTES = [(GIVE, give)]
