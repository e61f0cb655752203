"""Prefect 3: flows and tasks that go on if their breaker lets them. `pip install 'detector[prefect]'`."""

from collections.abc import Callable
from functools import wraps
from inspect import iscoroutinefunction
from typing import Any, TypeVar, cast

from prefect.states import Failed, State

from detector.client.asking import LOG, BreakerOpen, Client, Permission, told

F = TypeVar("F", bound=Callable[..., Any])


def guarded(entity: str, *, client: Client | None = None, **asked: Any) -> Callable[[F], F]:
    """Below `@task` or `@flow`: the function runs if the entity may go on. Else it is `Failed`, and is not retried.

    What is asked is what `Client.check` takes.
    """
    asks = client or Client()

    def decorate(function: F) -> F:
        if iscoroutinefunction(function):

            @wraps(function)
            async def asks_beside(*args: Any, **named: Any) -> Any:
                answer = await asks.acheck(entity, **asked)
                return await function(*args, **named) if _may(answer) else _failed(answer)

            return cast("F", asks_beside)

        @wraps(function)
        def asks_first(*args: Any, **named: Any) -> Any:
            answer = asks.check(entity, **asked)
            return function(*args, **named) if _may(answer) else _failed(answer)

        return cast("F", asks_first)

    return decorate


def _may(answer: Permission) -> bool:
    if answer.allowed and answer.verdict == "unknown":
        LOG.warning("%s goes on although nobody knows whether it may: %s", answer.entity, answer.message)
    return answer.allowed


def _failed(answer: Permission) -> State:
    return Failed(data=BreakerOpen(answer), message=told(answer))
