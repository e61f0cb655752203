"""What was declared of time: by when a run or a load must have completed, and how old the last load may be.

A promise needs no event to be broken, so time alone asks for it; and, as all that time tells, it trips no breaker.
How many deadlines of a month were met is counted, and said with each.
"""

from datetime import UTC, datetime

from detector.core.declared import Check
from detector.core.emissions import SEVERITIES, Attained, Sla
from detector.core.rules import Promise
from detector.core.state import NEVER
from detector.core.text import moment, rounded
from detector.core.turn import CRITICAL, DECLARED, Turn

SLA = "io.detector.sla.v1"
DEADLINE = "deadline"
KEEP_MADE, MOST = 64, 60  # deadlines that are kept, and that are counted after a gap
INSTANT = 1e-3


def due(turn: Turn, grace_until: float) -> float:
    """When a promise of an entity that has one is next to be looked at, in seconds since 1970."""
    if turn.now == 0:
        return NEVER
    return max(min(_deadline_at(turn), _stale_at(turn)), grace_until)


def on_time(turn: Turn, grace_until: float) -> None:
    """Time has come for a promise; what is no longer declared is over at once."""
    if turn.entity.judgement.episodes:
        _forget(turn)
    if not turn.settings.is_promised or turn.now < grace_until:
        return
    if turn.now >= _deadline_at(turn):
        _deadline(turn)
    if turn.now >= _stale_at(turn):
        _stale(turn)


def completed(turn: Turn, at: float, run_id: str | None = None) -> None:
    """A run of a job, or a load of a dataset, has completed at a time that is believed."""
    runs, intent, deadline = turn.entity.runs, turn.entity.intent, turn.settings.deadline
    owed = DEADLINE in turn.entity.judgement.episodes
    runs.completed = max(runs.completed, at)
    if turn.entity.judgement.episodes:
        turn.over(DEADLINE, f"a {_what(turn)} completed at {moment(at)}", run_id)
        _fresh(turn, run_id)
    if deadline is None:
        return
    made = deadline.after(at - INSTANT, turn.settings.calendar)
    if owed and _is_late(turn, deadline, at):
        intent.spent = at
    elif made > runs.deadline_checked and made not in intent.made:
        intent.made = sorted([*intent.made, made])[-KEEP_MADE:]


def _is_late(turn: Turn, deadline: Promise, at: float) -> bool:
    """Whether what completed after a deadline that was missed was meant for it: it is nearer to it than to the next."""
    calendar = turn.settings.calendar
    return at - deadline.before(at, calendar) < deadline.after(at, calendar) - at


def _what(turn: Turn) -> str:
    return "run" if turn.entity.key.startswith("job:") else "load"


def named(check: Check) -> str:
    """What findings of a declared check are called."""
    return f"{DECLARED}{check.called}"


def _forget(turn: Turn) -> None:
    known = {named(check) for check in turn.settings.checks}
    for name in list(turn.entity.judgement.episodes):
        if name.startswith(DECLARED) and name not in known:
            turn.over(name, "it is no longer declared")
            turn.entity.intent.checks.pop(name, None)
    if turn.settings.deadline is None:
        turn.over(DEADLINE, "none is declared any more")


# ---------------------------------------------------------------- deadlines


def _deadline_at(turn: Turn) -> float:
    deadline = turn.settings.deadline
    if deadline is None:
        return NEVER
    runs = turn.entity.runs
    if runs.deadline_checked == 0:
        runs.deadline_checked = turn.now
    return deadline.after(runs.deadline_checked, turn.settings.calendar)


def _deadline(turn: Turn) -> None:
    """A declared deadline has passed: something must have completed since the one before it."""
    deadline, runs, intent = turn.settings.deadline, turn.entity.runs, turn.entity.intent
    if deadline is None:
        return
    passed = _passed(turn, deadline)
    for at in passed:
        _count(turn, deadline, at)
    reached = passed[-1]
    met = _is_met(turn, deadline, reached)
    runs.deadline_checked = turn.now
    intent.made = [at for at in intent.made if at > turn.now]
    if not met and runs.completed > reached:  # too late, but there
        if _is_late(turn, deadline, runs.completed):
            _spend(turn, deadline)
    elif not met:
        _missed(turn, reached)


def _passed(turn: Turn, deadline: Promise) -> list[float]:
    """The deadlines since they were last looked at, ascending: after a long gap the last ones only."""
    calendar, found = turn.settings.calendar, list[float]()
    at = deadline.before(turn.now + INSTANT, calendar)
    while at > turn.entity.runs.deadline_checked and len(found) < MOST:
        found.append(at)
        at = deadline.before(at, calendar)
    # Where all days are holidays, the two directions leave out other ones.
    return found[::-1] or [deadline.after(turn.entity.runs.deadline_checked, calendar)]


def _missed(turn: Turn, reached: float) -> None:
    last = turn.entity.runs.completed
    so_far = f"the last one completed at {moment(last)}" if last else "none was ever seen"
    turn.find(
        DEADLINE,
        CRITICAL,
        f"no {_what(turn)} has completed by {moment(reached)}, the declared deadline; {so_far}",
        expected=reached,
        unit="time",
        direction="high",
    )


def _spend(turn: Turn, deadline: Promise) -> None:
    """What has completed too late while nobody looked keeps no other deadline."""
    intent, last = turn.entity.intent, turn.entity.runs.completed
    intent.spent, kept = last, deadline.after(last - INSTANT, turn.settings.calendar)
    intent.made = [at for at in intent.made if at != kept]


def _is_met(turn: Turn, deadline: Promise, at: float) -> bool:
    """Whether something completed in time. What did before the deadline was declared is known of the last only."""
    intent, last = turn.entity.intent, turn.entity.runs.completed
    return at in intent.made or (last != intent.spent and deadline.before(at, turn.settings.calendar) < last <= at)


def _count(turn: Turn, deadline: Promise, at: float) -> None:
    """Say whether one deadline was met, with the figures of its month so far."""
    intent, last, met = turn.entity.intent, turn.entity.runs.completed, _is_met(turn, deadline, at)
    month = f"{datetime.fromtimestamp(at, UTC).astimezone(deadline.zone):%Y-%m}"
    intent.count(month, met)
    kept, missed = intent.months[month]
    share = 100 * kept / (kept + missed)
    data = Sla(
        entity=turn.entity.key,
        deadline=at,
        met=met,
        completed=last or None,
        month=month,
        months={name: Attained(met=found[0], missed=found[1]) for name, found in sorted(intent.months.items())},
        owner=turn.settings.owner,
        summary=f"{turn.entity.key}: the deadline of {moment(at)} was {'met' if met else 'missed'};"
        f" {kept} of {kept + missed} in {month} ({share:.4g} %)",
    )
    turn.say(SLA, data)


# ---------------------------------------------------------------- freshness


def _stale_at(turn: Turn) -> float:
    """When the first check of freshness fails that does not fail yet."""
    fresh = turn.settings.fresh
    if not fresh:
        return NEVER
    intent, open_ = turn.entity.intent, turn.entity.judgement.episodes
    if intent.watched == 0:
        intent.watched = turn.now
    last = max(turn.entity.runs.completed, intent.watched)
    return min((last + check.within for check in fresh if named(check) not in open_), default=NEVER)


def _stale(turn: Turn) -> None:
    for check in turn.settings.fresh:
        if named(check) in turn.entity.judgement.episodes:
            continue
        outcome = check.evaluate(turn.entity.runs.completed, turn.entity.intent.watched, turn.now)
        if outcome.status == "failed":
            turn.find(
                named(check),
                SEVERITIES.index(check.severity),
                outcome.sentence,
                observed=rounded(outcome.observed),
                upper=rounded(outcome.upper),
                unit="seconds",
                direction="high",
            )


def _fresh(turn: Turn, run_id: str | None) -> None:
    for check in turn.settings.fresh:
        outcome = check.evaluate(turn.entity.runs.completed, turn.entity.intent.watched, turn.now)
        if outcome.status == "passed":
            turn.over(named(check), f"passes again ({outcome.sentence})", run_id)
