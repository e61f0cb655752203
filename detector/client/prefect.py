"""Prefect 3: tasks and flows that go on if their breaker lets them. `pip install 'detector[prefect]'`."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from prefect import Task

from detector.client.asking import BreakerOpen, Client

F = TypeVar("F", bound=Callable[..., Any])


def guarded(entity: str, *, client: Client | None = None, **asked: Any) -> Callable[[F], F]:
    """Above `@task`: the task runs if the entity may go on, else it fails with `BreakerOpen`, and is not retried.

    Below `@flow`, the same for a flow, whose retries ask again. What is asked is what `Client.breaker` takes.
    """
    breaker = (client or Client()).breaker(entity, **asked)

    def decorate(what: F) -> F:
        if not isinstance(what, Task):
            return breaker(what)
        held = what.with_options(retry_condition_fn=_unless_open(what.retry_condition_fn))
        held.fn = breaker(what.fn)
        return cast("F", held)

    return decorate


def _unless_open(others: Callable[..., Any] | None) -> Callable[..., Any]:
    """Whether a task is tried again: not if its breaker is open, else as it would have been."""

    def may_retry(task: Any, run: Any, state: Any) -> Any:
        if isinstance(state.data, BreakerOpen):
            return False
        return others is None or others(task, run, state)

    return may_retry
