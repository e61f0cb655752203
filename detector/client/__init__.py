"""What a pipeline imports: may it go on, and what it tells of itself. Light: neither numpy nor the daemon is needed.

    from detector.client import breaker

    with breaker("job:airflow/orders.load"):
        load()

`check`, `acheck`, `breaker` and `guarded` ask one `Client`, which is made from the environment when it is first asked;
make one of your own to say where and how. `Emitter` tells of runs and profiles. docs/client.md has all of it.
"""

from functools import cache
from typing import Any

from detector.client.asking import Breaker, BreakerOpen, Client, OnUnknown, Outcome, Permission, settle
from detector.client.emitting import Emitter
from detector.client.telling import Run
from detector.view import Answer

__all__ = [
    "Answer",
    "Breaker",
    "BreakerOpen",
    "Client",
    "Emitter",
    "OnUnknown",
    "Outcome",
    "Permission",
    "Run",
    "acheck",
    "breaker",
    "check",
    "default",
    "guarded",
    "settle",
]


@cache
def default() -> Client:
    """The client of this process, as the environment or a detector.yaml says."""
    return Client()


def check(entity: str, **asked: Any) -> Permission:
    """May this entity's pipeline go on? As `Client.check`, which says what can be asked."""
    return default().check(entity, **asked)


async def acheck(entity: str, **asked: Any) -> Permission:
    """The same, beside the event loop."""
    return await default().acheck(entity, **asked)


def breaker(entity: str, *, wait: float = 0.0, **asked: Any) -> Breaker:
    """A `with`, an `async with` or a decorator: raises `BreakerOpen` where the pipeline may not go on."""
    return default().breaker(entity, wait=wait, **asked)


guarded = breaker
