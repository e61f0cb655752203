"""Waiting for what must happen, with a deadline, in place of sleeping for as long as it once took."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def eventually(probe: Callable[[], T], what: str, timeout: float = 30.0) -> T:
    """The first truthy answer of `probe`. Raises `TimeoutError` that says `what` was waited for and the last answer."""
    deadline = time.monotonic() + timeout
    while not (answer := probe()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout:g} s for {what}; last answer: {answer!r}")
        time.sleep(0.01)
    return answer
