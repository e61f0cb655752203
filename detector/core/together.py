"""What the series of an entity show together and none by itself: metrics that part, and many that move a little.

Two questions are asked of each load. Do the metrics that have gone together still do? And have the series as a whole
moved further than they usually do? Where one series is unusual by itself, that is told, and this is silent. It is a
warning at most: no single number is wrong.
"""

import math
import statistics
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import NamedTuple

import numpy as np

from detector.core.emissions import Contributor
from detector.core.load import Load
from detector.core.models.kernel import CAUSES, NEW_NORMAL, NOISE
from detector.core.models.reading import Reading
from detector.core.models.relations import Pair
from detector.core.models.together import FEWEST, UNIT, Crowd, Together, weight
from detector.core.text import number, rounded, unit_of
from detector.core.turn import INFO, KEEP_CONTRIBUTORS, WARNING, Calm, Part, Turn

CHECK = "together"
CROWD = "crowd "
APART = "\0"  # between the names of two metrics
NAMED, LONGEST = 3, 100
OFF = 2.0  # deviations from which a series of a crowd is counted as off


class _Judged(NamedTuple):
    """One question that was asked of a load."""

    name: str
    of: Pair | Crowd
    bad: bool

    @property
    def reading(self) -> Reading:
        return self.of.reading


def judge_together(turn: Turn, load: Load, alone: Collection[str], related: Mapping[str, float], crowd: str) -> int:
    """Judge what the values of one load show together, and learn it. Returns its severity; `Turn.tell` says it.

    `alone` are the metrics that are unusual by themselves: they are told, and nothing is learned of them. `related` are
    those that may go together in pairs, with their values. `crowd` names which series these are: those of each grain of
    a profile are a crowd of their own.
    """
    if not load.metrics:
        return INFO
    if not turn.settings.together:
        turn.calm[CHECK] = Calm("it is not watched any more")
        return INFO
    state = _state(turn)
    judged = _judge(state, turn.at, load, alone, related, crowd)
    bad = [] if alone else [one for one in judged if one.bad]
    if not (bad or state.open):
        return INFO
    before, well = bool(state.open), {one.name for one in judged if not one.bad}
    well |= {name for name in state.open if APART in name} - {APART.join(pair) for pair in state.relations.pairs}
    state.open = sorted({name for name in state.open if name not in well} | {one.name for one in bad})
    if bad:
        worst = max(bad, key=lambda one: (one.reading.score, one.name))
        if isinstance(worst.of, Pair):
            turn.parts.append(_of_pair(state, load, worst.of))
        else:
            turn.parts.append(_of_crowd(load, worst.of))
        return WARNING
    if before and not state.open:
        renewed = any(one.reading.cause == CAUSES[NEW_NORMAL] for one in judged)
        turn.calm[CHECK] = Calm(
            "how they go together now is the new normal" if renewed else "back to normal", {}, renewed
        )
    return INFO


def calm_down(turn: Turn, *, renew: bool) -> None:
    """What was told is over; how it was at last is the new normal, if so."""
    state = _state(turn)
    if renew:
        crowds = [name.removeprefix(CROWD) for name in state.open if name.startswith(CROWD)]
        state.renew(_pairs_of(state.open), crowds)
    state.open = []


def forget(turn: Turn, metric: str) -> None:
    """A metric has a new normal: what went together with it is learned anew."""
    state = _state(turn)
    state.relations.forget(metric)
    state.open = [name for name in state.open if metric not in name.split(APART)]


def _pairs_of(names: Collection[str]) -> set[tuple[str, str]]:
    return {(first, second) for name in names for first, apart, second in [name.partition(APART)] if apart}


def _state(turn: Turn) -> Together:
    """What is known of the entity; what cannot be read begins anew."""
    entity = turn.entity
    if entity.watch is None:
        entity.watch = Together()
        if entity.together:
            with suppress(ValueError):
                entity.watch.restore(entity.together)
    return entity.watch


def _judge(
    state: Together, at: float, load: Load, alone: Collection[str], related: Mapping[str, float], crowd: str
) -> list[_Judged]:
    pairs = state.relations.judge(at, related, alone, _pairs_of(state.open))
    judged = [_Judged(APART.join(pair.metrics), pair, pair.broken) for pair in pairs]
    moved = state.judge_crowd(crowd, at, load.z) if len(load.metrics) >= FEWEST else None
    return judged if moved is None else [*judged, _Judged(f"{CROWD}{crowd}", moved, moved.left)]


# ---------------------------------------------------------------- two that part


def _of_pair(state: Together, load: Load, pair: Pair) -> Part:
    places = {metric: place for place, metric in enumerate(load.metrics)}
    signs = dict(
        zip(pair.metrics, (1.0, 1.0 if pair.positive else -1.0), strict=True)
    )  # it may just have been given up
    signs |= {metric: sign for metric, sign in state.relations.connected(pair.metrics[0]).items() if metric in places}
    z = load.z.tolist()
    shares = _shares({metric: sign * z[places[metric]] for metric, sign in signs.items()})
    first = max((0, 1), key=lambda side: (shares[pair.metrics[side]], -side))
    metric, other = pair.metrics[first], pair.metrics[1 - first]
    value, beside = (float(load.values[places[one]]) for one in (metric, other))
    lower, expected, upper = pair.fits[first]
    how = "as closely as they did" if pair.reading.cause == CAUSES[NOISE] else "any more"
    contributors = _contributors(shares, load, places)
    evidence = {
        "observed": rounded(value),
        "expected": rounded(expected),
        "lower": rounded(lower),
        "upper": rounded(upper),
        "unit": unit_of(metric),
        "score": rounded(pair.reading.score),
        "direction": "low" if value < expected else "high",
        "samples": pair.samples,
        "contributors": contributors,
    }
    brief = f"{_named(metric)} and {_named(other)} do not go together {how}"
    told = f"{_told(metric, lower)} to {_told(metric, upper)} fit {_named(other)} {_told(other, beside)}"
    summary = f"{brief}: {_named(metric)} {_told(metric, value)}, where {told} ({pair.samples} runs seen)"
    return Part(CHECK, WARNING, summary, brief, contributors, evidence)


def _shares(moved: Mapping[str, float]) -> dict[str, float]:
    """How much each of the metrics that go together has to do with it: the shares add up to 1.

    Each is measured by its distance from where most of them are, in its own deviations: the one that left is named, and
    not those that it left. Of an even number what was expected, 0, has a vote, too.
    """
    votes = list(moved.values())
    middle = statistics.median(votes if len(votes) % 2 else [*votes, 0.0])
    return _as_shares({metric: (z - middle) ** 2 for metric, z in moved.items()})


def _as_shares(parts: Mapping[str, float]) -> dict[str, float]:
    total = math.fsum(parts.values())
    return {metric: part / total if total > 0 else 1 / len(parts) for metric, part in parts.items()}


# ---------------------------------------------------------------- many that move a little


def _of_crowd(load: Load, crowd: Crowd) -> Part:
    z = load.z.tolist()
    places = {metric: place for place, metric in enumerate(load.metrics) if z[place] != 0.0}
    shares = _as_shares({metric: weight(z[place]) for metric, place in places.items()})
    contributors = _contributors(shares, load, places)
    off = int(np.count_nonzero(np.abs(load.z) >= OFF))
    worst = ", ".join(
        f"{_named(one.metric)} {_told(one.metric, one.observed)} (expected {_told(one.metric, one.expected)})"
        for one in contributors[:NAMED]
    )
    evidence = {
        "observed": rounded(crowd.spread),
        "expected": rounded(crowd.reading.expected / UNIT),
        "upper": rounded(crowd.reading.upper / UNIT),
        "score": rounded(crowd.reading.score),
        "direction": "high",
        "samples": crowd.samples,
        "contributors": contributors,
    }
    brief = f"{off} of {len(places)} series are a little off"
    summary = f"{brief}, and none by enough to be unusual alone: {worst}, ... ({crowd.samples} loads seen)"
    return Part(CHECK, WARNING, summary, brief, contributors, evidence)


def _contributors(shares: Mapping[str, float], load: Load, places: Mapping[str, int]) -> list[Contributor]:
    """The largest shares first, with what was expected of each series by itself."""
    largest = sorted(shares, key=lambda metric: (-shares[metric], metric))[:KEEP_CONTRIBUTORS]
    return [
        _contributor(metric, shares[metric], float(load.values[places[metric]]), load.reading(places[metric]))
        for metric in largest
    ]


def _contributor(metric: str, share: float, value: float, reading: Reading) -> Contributor:
    return Contributor(
        metric=metric,
        severity="info",  # by itself it is nothing
        observed=rounded(value),
        expected=rounded(reading.expected),
        lower=rounded(reading.lower),
        upper=rounded(reading.upper),
        score=rounded(reading.score),
        direction="low" if value < reading.expected else "high",
        share=rounded(share),
    )


def _named(metric: str) -> str:
    return metric[:LONGEST] if "(" in metric else metric.replace("_", " ")


def _told(metric: str, value: float | None) -> str:
    unit = unit_of(metric)
    return number(math.inf if value is None else value, None if unit == "rows" else unit)
