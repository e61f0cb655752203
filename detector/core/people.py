"""What people's commands do to one entity: verdicts, overrides, the right to probe. Each is answered, done or not."""

import msgspec

from detector.core import breaker as breakers
from detector.core.breaker import Override, Probe, State
from detector.core.commands import AnyCommand, Command, Feedback, RequestProbe, SetOverride
from detector.core.emissions import CommandDone
from detector.core.ledger import hash_of
from detector.core.messages import VerdictTold
from detector.core.state import NEVER, Episode
from detector.core.teaching import teach
from detector.core.text import moment
from detector.core.turn import Turn
from detector.core.verdicts import OVER

COMMAND_DONE = "io.detector.command.done.v1"
KEEP_COMMANDS = 64
LONGEST_OVERRIDE = 90 * 86_400.0


def once(turn: Turn, command: AnyCommand) -> bool:
    """Whether this command was not heard before: its sender may have sent it twice."""
    hashed, known = hash_of(command.id), turn.entity.judgement.commands
    if hashed in known:
        return False
    turn.entity.judgement.commands = [*known[1 - KEEP_COMMANDS :], hashed]
    return True


def on_command(turn: Turn, command: AnyCommand) -> None:
    """Do what the command says, and say what came of it."""
    match command:
        case SetOverride():
            answer(turn, command, *_override(turn, command))
        case RequestProbe():
            answer(turn, command, *_probe(turn, command))
        case Feedback():
            _feedback(turn, command)
        case _:
            answer(turn, command, False, "this is no command to an entity")


def answer(
    turn: Turn, command: Command, done: bool, effect: str, check: str | None = None, episode: str | None = None
) -> None:
    """Say on the control topic what came of a command, and who gave it."""
    data = CommandDone(
        id=command.id,
        command=type(command).__struct_config__.tag,  # type: ignore[arg-type]
        by=command.by,
        done=done,
        effect=effect,
        entity=getattr(command, "entity", None),
        incident=getattr(command, "incident", None),
        check=check,
        episode=episode,
        verdict=getattr(command, "verdict", None),
        comment=command.comment,
        sent_at=command.at,
    )
    turn.say(COMMAND_DONE, data)


# ---------------------------------------------------------------- overrides and probes


def _override(turn: Turn, command: SetOverride) -> tuple[bool, str]:
    judgement = turn.entity.judgement
    if command.state == "none":
        if judgement.override is None:
            return False, "no override is in force"
        judgement.override = None
        turn.unpublished = True
        return True, f"the breaker decides again: it is {turn.signal().state.value.replace('_', '-')}"
    if command.until is None or not turn.now < command.until <= turn.now + LONGEST_OVERRIDE:
        return False, "an override needs an end (until), later than now, and within 90 days"
    judgement.override = Override(
        state=command.state, owner=command.by, reason=command.comment, until=command.until, since=turn.now
    )
    turn.unpublished = True
    word = "stays open" if command.state == "force_open" else "stays closed"
    return True, f"the breaker {word} until {moment(command.until)}"


def _probe(turn: Turn, command: RequestProbe) -> tuple[bool, str]:
    judgement, told = turn.entity.judgement, turn.signal()
    if told.state is State.CLOSED:
        return True, "the breaker is closed: no probe is needed"
    if told.state is not State.HALF_OPEN:
        return False, f"the breaker is {told.state.value}: {told.reason}"
    if judgement.probe is not None and judgement.probe.holder != command.by:
        return False, f"{judgement.probe.holder} probes, until {moment(judgement.probe.until)}"
    judgement.probe = Probe(holder=command.by, until=turn.now + command.lasts)
    turn.unpublished = True
    return True, f"{command.by} may run, once, until {moment(judgement.probe.until)}"


def on_time(turn: Turn) -> None:
    """What somebody has said for a time is over."""
    judgement = turn.entity.judgement
    if judgement.override is not None and turn.now >= judgement.override.until:
        judgement.override = None
        turn.unpublished = True
    if judgement.probe is not None and turn.now >= judgement.probe.until:
        judgement.probe = None
        turn.unpublished = True


def due(turn: Turn) -> float:
    """When the next of these is over."""
    judgement = turn.entity.judgement
    override, probe = judgement.override, judgement.probe
    until = NEVER if override is None else override.until
    return until if probe is None else min(until, probe.until)


# ---------------------------------------------------------------- verdicts


def _feedback(turn: Turn, command: Feedback) -> None:
    """One verdict on the anomaly that is named; or on each that goes on."""
    episodes = turn.entity.judgement.episodes
    checks = [command.check] if command.check else sorted(episodes)
    if command.verdict == "missed" and command.check is None:
        checks = [command.metric or ""]  # what was missed has no name
    if not checks:
        answer(turn, command, False, "no anomaly goes on: name the one that is meant with `check`")
        return
    for check in checks:
        episode = episodes.get(check)
        effect = _judge(turn, command, check, episode)
        answer(turn, command, True, effect, check, episode.id if episode else None)


def _judge(turn: Turn, command: Feedback, check: str, episode: Episode | None) -> str:
    """Teach the models, tell the board, and let the breaker go if what opened it was nothing."""
    run_id = episode.run_id if episode else None
    effect = teach(turn, command.verdict, episode, check, metric=command.metric)
    told = turn.entity.key, check, episode.id if episode else "", command.verdict, command.by, turn.now
    turn.report(VerdictTold(*told, command.comment))
    if command.verdict in OVER and command.metric is None:
        turn.over(check, OVER[command.verdict], run_id)  # what is a fact, too: nothing is taught, but it is no fault
    if command.verdict in OVER and check not in turn.entity.judgement.episodes:
        _close(turn, episode, command)
    return effect


def _close(turn: Turn, episode: Episode | None, command: Feedback) -> None:
    """What opened the breaker was nothing: it need not wait for a good run, if nothing else is wrong."""
    judgement, turn.excused = turn.entity.judgement, True
    judgement.outcomes = [
        msgspec.structs.replace(outcome, severity=0) if episode and outcome.run == _hash(episode) else outcome
        for outcome in judgement.outcomes
    ]
    breaker = judgement.breaker
    if breaker.state in (State.OPEN, State.HALF_OPEN) and episode is not None and breaker.cause == episode.id:
        turn.moves(breakers.recover(breaker, turn.now, f"{command.by} says: {command.verdict.replace('_', ' ')}"))


def _hash(episode: Episode) -> int:
    return hash_of(episode.run_id) if episode.run_id else -1
