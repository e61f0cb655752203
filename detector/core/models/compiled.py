"""Functions of plain numbers and arrays, compiled by Numba at their first call."""

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Compile a function; what was compiled is kept for the next process, beside the code or in the user's cache.

    Who may write to neither (a container without rights) compiles at each start, which takes some 4 s: Numba itself
    would refuse.
    """
    try:
        return cast("Function", njit(cache=True)(function))
    except RuntimeError:  # Numba: "cannot cache function: no locator available"
        return cast("Function", njit(function))
