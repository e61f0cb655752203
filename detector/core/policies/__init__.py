"""Policies: when a breaker trips. Adding one is a file here and a name in `POLICIES`; `tests/contracts` tests it."""

from typing import ClassVar, Protocol

from detector.core.breaker import Outcome, Verdict
from detector.core.policies.consecutive import Consecutive
from detector.core.policies.rate import Rate
from detector.core.policies.weighted import Weighted
from detector.core.policies.window import Window


class Policy(Protocol):
    """Says of the outcomes of the last runs, the newest last, whether they trip the breaker. It remembers nothing.

    `keeps` is how many outcomes it looks at, at most `limits.MOST_RUNS`: so many are kept of each entity. A bad last
    run may trip and a good one may recover, never the other way round.
    """

    kind: ClassVar[str]

    @property
    def keeps(self) -> int: ...
    def verdict(self, outcomes: list[Outcome]) -> Verdict: ...


POLICIES: dict[str, type[Policy]] = {policy.kind: policy for policy in (Window, Consecutive, Rate, Weighted)}
