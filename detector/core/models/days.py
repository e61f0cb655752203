"""The way to the kernel of whoever lives by a calendar with holidays.

What its own weekday finds unusual on a holiday may be what a day of the weekend would have brought.
"""

import numpy as np

from detector.core.models import kernel
from detector.core.models.kernel import ALERT, Array


def judge_many(
    heads: Array,
    seasons: Array,
    rows: Array,
    at: float,
    values: Array,
    parameters: Array,
    taught: Array,
    out: Array,
    like: tuple[int, ...] = (),
) -> int:
    """As `kernel.judge_many`, on a day that may be `like` other weekdays (0 is Monday) than its own. A row comes once.

    What is usual for its own weekday is judged and learned as on any day. For the rest the least odd of all verdicts
    holds, and nothing is learned: neither do Wednesdays become quiet by a Christmas, nor is it a season when it is
    quiet again a week later, on New Year's Day.
    """
    if not like:
        return kernel.judge_many(heads, seasons, rows, at, values, parameters, taught, out)
    before = heads[rows], seasons[rows]
    alerts = kernel.judge_many(heads, seasons, rows, at, values, parameters, taught, out)
    if not alerts:
        return 0
    odd = np.flatnonzero(out[:, ALERT])
    heads[rows[odd]], seasons[rows[odd]] = before[0][odd], before[1][odd]
    taught, places = taught[odd] if len(taught) else taught, np.arange(len(odd))
    weekday = (int(at // kernel.DAY) + 3) % 7
    for other in like:
        back = (weekday - other) % 7 * kernel.DAY
        heads_then, seasons_then = before[0][odd], before[1][odd]
        heads_then["at"] -= back  # the value before is as far away as it was
        said = np.empty((len(odd), kernel.WIDTH))
        kernel.judge_many(heads_then, seasons_then, places, at - back, values[odd], parameters, taught, said)
        better = (said[:, 1] < out[odd, 1]) | ((said[:, 1] == out[odd, 1]) & (said[:, 0] < out[odd, 0]))
        out[odd[better]] = said[better]
    return int(np.count_nonzero(out[odd, ALERT]))
