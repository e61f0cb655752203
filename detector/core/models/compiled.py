"""Functions of plain numbers and arrays, compiled by Numba at their first call."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

from numba import njit
from numba.core import cgutils
from numba.extending import intrinsic

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function, **options: Any) -> Function:
    """Compile a function; what was compiled is kept for the next process, beside the code or in the user's cache.

    Whether that is still right Numba sees by the file of the function alone: so what it calls stands in the same file.
    Who may write to neither place (a container without rights) compiles at each start, which takes some 4 s: Numba
    itself would refuse. A division by zero gives an infinity, or NaN, as in numpy.
    """
    try:
        return cast("Function", njit(cache=True, error_model="numpy", **options)(function))
    except RuntimeError:  # Numba: "cannot cache function: no locator available"
        return cast("Function", njit(error_model="numpy", **options)(function))


def part(function: Function) -> Function:
    """Compile a part of other functions: it becomes code of those that call it, and no call is made."""
    return compiled(function, forceinline=True)


def fused(function: Function) -> Function:
    """The same of a short formula, where a product may be added at once, without being rounded before."""
    return compiled(function, forceinline=True, fastmath={"contract"})


def _scratch(_: Any, dtype: Any) -> Any:
    """A record of zeros that lasts as long as the call. Where only parts know of it, its fields are in registers."""

    def made(context: Any, builder: Any, signature: Any, _: Any) -> Any:
        kind = context.get_data_type(signature.return_type)
        memory = cgutils.alloca_once(builder, kind)  # type: ignore[no-untyped-call]
        cgutils.memset(builder, memory, cgutils.intp_t(kind.count), 0)  # type: ignore[no-untyped-call]
        return memory

    return dtype.dtype(dtype), made


scratch: Any = intrinsic(_scratch)
