"""What people tell the detector, as records of `detector.commands`: in one order, replayable, with a name on each.

A command is one JSON object, `{"command": "feedback", "id": "...", "by": "alice", ...}`. `id` is chosen by the sender:
a command that comes twice is done once. `by` and `comment` are kept with what came of it, which is said on the control
topic as `io.detector.command.done.v1`, also when nothing could be done.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from detector.core.messages import BOARD
from detector.core.windows import Window

Verdict = Literal["confirmed", "expected_once", "new_normal", "false_positive", "missed"]
VERDICTS: tuple[Verdict, ...] = ("confirmed", "expected_once", "new_normal", "false_positive", "missed")
Name = Annotated[str, Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(max_length=2_000)]
EntityKey = Annotated[str, Meta(max_length=2_100, pattern=r"^(job|dataset):[\s\S]*/[\s\S]+$")]
Check = Annotated[str, Meta(max_length=4_200)]  # it has the name of a column and of a grain in it
MAX_PROBE = 86_400.0


class Command(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="command"):
    """What all commands have: who sent it, and why. `at` is when, by the sender's clock: for the record only."""

    id: Name
    by: Name
    comment: Text = ""
    at: float | None = None


class Feedback(Command, frozen=True, kw_only=True, omit_defaults=True, tag="feedback"):
    """What somebody thinks of an anomaly: of one entity, or of all that an incident has.

    `check` is the name of the anomaly (it may be over); without one, the verdict is on all that go on. `missed` names
    the metric that should have been told, or none.
    """

    verdict: Verdict
    entity: EntityKey | None = None
    incident: Name | None = None
    check: Check | None = None
    metric: Text | None = None


class SetOverride(Command, frozen=True, kw_only=True, omit_defaults=True, tag="override"):
    """A breaker is open, or closed, whatever it finds: until `until`. `none` takes that back."""

    entity: EntityKey
    state: Literal["force_open", "force_closed", "none"]
    until: float | None = None


class RequestProbe(Command, frozen=True, kw_only=True, omit_defaults=True, tag="probe"):
    """`by` asks to be the one whose run probes a half-open breaker: the first who asks is. For `lasts` seconds."""

    entity: EntityKey
    lasts: Annotated[float, Meta(gt=0, le=MAX_PROBE)] = 3_600.0


class Acknowledge(Command, frozen=True, kw_only=True, omit_defaults=True, tag="acknowledge"):
    """Somebody looks after an incident: it calls nobody else, unless it gets worse."""

    incident: Name


class AddWindow(Command, frozen=True, kw_only=True, omit_defaults=True, tag="window"):
    """A mute (nobody is called), or maintenance (what is wrong is expected, and nothing stops)."""

    window: Window


class EndWindow(Command, frozen=True, kw_only=True, omit_defaults=True, tag="end_window"):
    """A mute or maintenance is over, or does not come."""

    window: Name


class AbandonPlan(Command, frozen=True, kw_only=True, omit_defaults=True, tag="abandon_plan"):
    """Nobody will go on with a recovery plan."""

    plan: Name


AnyCommand = Feedback | SetOverride | RequestProbe | Acknowledge | AddWindow | EndWindow | AbandonPlan


class Commanded(msgspec.Struct, array_like=True, tag="command"):
    """An entity, the board of incidents, or, without a key, a whole partition: somebody has given a command."""

    command: AnyCommand


def receivers(command: AnyCommand) -> list[str | None]:
    """Who must hear of it: keys of the log; None is every partition of it."""
    match command:
        case Feedback(entity=None) | Acknowledge() | AbandonPlan():
            return [BOARD]
        case Feedback(entity=str(entity)) | SetOverride(entity=entity) | RequestProbe(entity=entity):
            return [entity]
        case AddWindow() | EndWindow():
            return [None]
    raise AssertionError(command)  # the match above is exhaustive
