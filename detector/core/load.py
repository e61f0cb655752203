"""The values of one load, and what was said of each by itself."""

from collections.abc import Collection, Mapping

import msgspec

from detector.core.models.baseline import read
from detector.core.models.kernel import LOWER, SIDE, UPPER, Array, Z
from detector.core.models.reading import Reading


class Load(msgspec.Struct):
    """Values by metric. `said` has a row for each, as `kernel` makes it; `alone` are the readings of models that judge
    one series, by the place of the metric. `unusual` are the metrics that are told as such.
    """

    metrics: list[str]
    values: Array
    said: Array
    alone: Mapping[int, Reading] = {}
    unusual: Collection[str] = ()

    def reading(self, place: int) -> Reading:
        """What was said of the value in this place."""
        return self.alone.get(place) or read(self.said[place].tolist())

    @property
    def bands(self) -> Array:
        """A row of (lower, expected, upper) for each value."""
        return self.said[:, LOWER : UPPER + 1]

    @property
    def side(self) -> Array:
        """-1 for what is below its band, 1 for what is above it, and 0 within."""
        return self.said[:, SIDE]

    @property
    def z(self) -> Array:
        """How far off each value is, in usual deviations; 0 where these are not known yet."""
        return self.said[:, Z]
