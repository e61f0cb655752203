"""What a person's verdict on an anomaly changes in what is judged next. docs/feedback.md has it as a table.

Nothing that was learned is rewritten but for a new normal. A false positive makes the side of the band wider on which
the value lay, something that was missed makes it narrower: both are factors of what the model has learned, so they move
along with level, seasons and noise, and stay until a person says otherwise. They are found by asking the model how far
out the same value would be, if it came next.
"""

import math

from detector.core.commands import Verdict
from detector.core.judge import model_of
from detector.core.lessons import MAX_TAUGHT, Told
from detector.core.models import Model, kernel
from detector.core.models.baseline import Baseline
from detector.core.models.estimator import Estimator
from detector.core.models.taught import LEAST, MOST, NARROWER, PATIENCE, RAISED, WIDER, Taught
from detector.core.sentences import DENSE, label
from detector.core.state import Episode
from detector.core.text import number, unit_of
from detector.core.together import forget
from detector.core.turn import APART, Turn
from detector.core.verdicts import BY_CHECK, OVER, Word

NAMED, LONGEST = 3, 100
AT_ONCE = DENSE[:3]  # one value far out of a dense stream shows in all of them
DENSE_HOLDS = 12  # alerts of a dense stream that a confirmed value stays unlearned for: it has no count of its own
STUCK, ZEROS, FIRST, RANGE = (
    kernel.CAUSES[cause] for cause in (kernel.STUCK, kernel.ONLY_ZEROS, kernel.FIRST_LARGE, kernel.RANGE)
)
SUMS = (*(kernel.CAUSES[cause] for cause in (kernel.OUTLIERS, kernel.DRIFT, kernel.NOISE)), STUCK, ZEROS, *DENSE)


def teach(turn: Turn, verdict: Verdict, episode: Episode | None, check: str, *, metric: str | None = None) -> str:
    """Take a verdict on an anomaly to heart: on the one called `check`, which may have ended a while ago (then
    `episode` is None), or, if something was `missed`, on the last value of a metric. Returns what changes, in words.
    """
    counts = turn.entity.lessons.counts
    counts[verdict] = counts.get(verdict, 0) + 1
    if verdict == "missed":
        return _nothing(check) if metric is None and _is_fact(check) else _missed(turn, check, metric)
    told = _told(turn, episode, check, metric)
    said = [_of_value(turn, verdict, name, told[name], episode is not None) for name in told]
    for one in sorted({check, *(episode.checks if episode else ())}):
        learn = BY_CHECK.get(one.partition(":")[0])
        if learn is not None and metric in (None, one):
            said.append(learn(turn, Word(verdict, one, episode is not None)))
    if not said:
        return _nothing(check)
    if verdict in OVER and episode is not None and _is_all(turn, episode, metric):
        turn.over(check, OVER[verdict])
    more = f"; and {len(said) - NAMED} more in the same way" if len(said) > NAMED else ""
    return "; ".join(said[:NAMED]) + more


def _is_all(turn: Turn, episode: Episode, metric: str | None) -> bool:
    """Whether nothing is left of an anomaly when a verdict was given on this metric of it."""
    if metric is None:
        return True
    if metric in episode.checks:
        episode.checks.remove(metric)
        turn.unpublished = True
    of = [name for name, told in turn.entity.lessons.told.items() if told.episode == episode.id]
    return not episode.checks or of == [metric]


def _name(metric: str) -> str:
    """A metric as it is read; that of a column is told as it is spelled."""
    return metric[:LONGEST] if "(" in metric else label(metric)


def _is_fact(check: str) -> bool:
    return check in APART or check.startswith("declared:")


def _nothing(check: str) -> str:
    """What is a fact, or was declared, or is not known any more."""
    if _is_fact(check):
        return f"{label(check)}: noted; nothing is learned of what is a fact or was declared"
    return f"{label(check)}: noted; nothing is known any more of what was told, so nothing changes"


def _told(turn: Turn, episode: Episode | None, check: str, metric: str | None) -> dict[str, Told]:
    """The values that an anomaly was told of: all of it, or one metric. Of several that have ended, the last."""
    lessons = turn.entity.lessons
    named = {name: told for name, told in lessons.told.items() if name in turn.entity.series}
    of = episode.id if episode else next((t.episode for t in reversed(named.values()) if t.check == check), None)
    return {name: told for name, told in named.items() if told.episode == of and metric in (None, name)}


# ---------------------------------------------------------------- of a value


def _of_value(turn: Turn, verdict: str, metric: str, told: Told, goes_on: bool) -> str:
    model = model_of(turn, metric)
    if verdict == "new_normal":
        return _renew(turn, metric, told, model)
    if verdict == "false_positive":
        return _widen(turn, metric, told, model)
    model.unlearn(told.at)
    value = f"{_name(metric)}: {number(told.observed, unit_of(metric))}"
    if told.cause == FIRST or told.cause in DENSE[2:]:
        return f"{value} stays unlearned, but is no longer the first of its kind"
    if isinstance(model, Estimator) and model.learns_all:
        return f"{value} is learned already, since this estimator of River's learns all values"
    is_dense = isinstance(model, Baseline) and model.is_dense
    left = DENSE_HOLDS if is_dense else 0
    if verdict == "confirmed" and goes_on and _keep(turn, metric, patience=PATIENCE, left=left):
        return f"{value} stays unlearned, and takes {PATIENCE} times as many values as usual to become the new normal"
    return f"{value} stays unlearned, and the same value is told again"


def _renew(turn: Turn, metric: str, told: Told, model: Model) -> str:
    lessons = turn.entity.lessons
    if told.cause in (STUCK, ZEROS):
        _keep(turn, metric, causes=(told.cause,), limit=MOST)
    model.renew(told.at, told.observed, told.cause)
    forget(turn, metric)
    if metric in lessons.series:
        _keep(turn, metric, patience=1, left=0)
    return f"{_name(metric)}: {number(told.observed, unit_of(metric))} is the new normal from now on"


def _widen(turn: Turn, metric: str, told: Told, model: Model) -> str:
    far = model.how_far(told.at, told.observed)
    model.excuse(told.at, told.cause)
    taught = turn.entity.lessons.of(metric)
    if told.cause in (FIRST, RANGE):
        return f"{_name(metric)}: values as large as {number(told.observed, unit_of(metric))} are known from now on"
    if told.cause in SUMS and not isinstance(model, Estimator):
        limit = min(RAISED * taught.cause(told.cause), MOST)
        causes = AT_ONCE if told.cause in AT_ONCE else (told.cause,)
        if not _keep(turn, metric, causes=causes, limit=limit):
            return _full(metric)
        return f"{_name(metric)}: the limit of {told.cause} is {limit:.3g} times as high from now on"
    if math.isnan(far):
        return f"{_name(metric)}: noted; too little is known to say how wide its band would have to be"
    side = math.copysign(1.0, told.observed - told.expected if far == 0 else far)
    before = taught.of(side)
    wanted = math.ceil(1e4 * WIDER * abs(far)) / 1e4
    if wanted <= before:  # it is not its distance that made it unusual
        wanted = WIDER if before <= 1 else RAISED * before
    return _bound(turn, metric, side, min(wanted, MOST), reached=wanted <= MOST)


def _missed(turn: Turn, check: str, metric: str | None) -> str:
    found = _last(turn, metric or (check if check in turn.entity.series else None))
    if found is None:
        name = metric or check
        return f"{_name(name)}: noted; no value of it is known that could have been told, so nothing changes"
    name, x, far = found
    value = f"{_name(name)}: {number(x, unit_of(name))}"
    wanted = math.floor(1e4 * NARROWER * abs(far)) / 1e4
    if wanted >= turn.entity.lessons.of(name).of(far):
        return f"{value} lies outside of its band, and is told without being taught"
    return _bound(turn, name, far, max(wanted, LEAST), reached=wanted >= LEAST)


def _bound(turn: Turn, metric: str, side: float, factor: float, *, reached: bool) -> str:
    """Keep the factor of one side."""
    kept = _keep(turn, metric, low=factor) if side < 0 else _keep(turn, metric, high=factor)
    if not kept:
        return _full(metric)
    where = "below" if side < 0 else "above"
    but = "" if reached else ", which is as far as it goes: the same value is not reached by it"
    return f"{_name(metric)}: the band is {factor:.3g} times as wide {where} from now on{but}"


def _full(metric: str) -> str:
    return f"{_name(metric)}: noted; {MAX_TAUGHT} series of it were taught already, so nothing changes"


def _keep(
    turn: Turn,
    metric: str,
    *,
    low: float | None = None,
    high: float | None = None,
    causes: tuple[str, ...] = (),
    limit: float = 1.0,
    patience: int | None = None,
    left: int | None = None,
) -> bool:
    """Change some of what was taught of a series. False where there is no room for it."""
    lessons = turn.entity.lessons
    taught = lessons.of(metric)
    changed = Taught(
        taught.low if low is None else low,
        taught.high if high is None else high,
        {**taught.causes, **dict.fromkeys(causes, limit)},
        taught.patience if patience is None else patience,
        taught.left if left is None else left,
    )
    return lessons.take(metric, changed)


def _last(turn: Turn, metric: str | None) -> tuple[str, float, float] | None:
    """The last value of a series and how far out it is; or of that of the last load which is farthest out."""
    names = [metric] if metric else sorted(turn.entity.series)
    found = [(name, *_last_of(turn, name)) for name in names if name in turn.entity.series]
    newest = max((at for _, at, _, _ in found if at < math.inf), default=0.0)
    known = [(name, x, far) for name, at, x, far in found if at in (newest, math.inf) and abs(far) > 0]
    return max(known, key=lambda one: (abs(one[2]), one[0]), default=None)


def _last_of(turn: Turn, metric: str) -> tuple[float, float, float]:
    """When the last value of a series came (infinite where only that it is the last one is known), it, and how far out
    it is; NaN where it is not known.
    """
    model, kept = model_of(turn, metric), turn.entity.series.last.get(metric)
    if isinstance(model, Baseline) and not model.is_dense:
        at, x = model.last
        return at, x, model.how_far(at, x)
    x = kept[-1] if kept else math.nan
    at = model.last[0] if isinstance(model, Baseline) else 0.0
    return math.inf, x, model.how_far(at, x)
