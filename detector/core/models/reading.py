"""What a model says of one value."""

from typing import NamedTuple


class Reading(NamedTuple):
    """The verdict on one value, made before it was learned.

    `score` is in [0, 1], and 0.5 is where an alert begins: `alert` says the same. `lower`, `expected` and `upper` are
    in the unit of the value, and infinite where nothing is known yet. `cause` is a word for what gave the highest
    score ("" where there is nothing to tell). `z` is how far off the value is in the series' usual deviations, 0 while
    these are not known: what several series show together is judged by it. `season` are the seasons that moved what was
    expected of this value, as bits: 1 the day of the week, 2 the hour of the day, 4 the turn of the month.
    `chance` is of an alert: the share of the values of healthy series that alert so strongly; 0 of models that cannot
    tell.
    """

    score: float
    alert: bool
    lower: float
    expected: float
    upper: float
    cause: str = ""
    z: float = 0.0
    season: int = 0
    chance: float = 0.0
