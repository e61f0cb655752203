"""What is compiled does not need a place to be kept in."""

from typing import Any

import numpy as np
from numba import njit

from detector.core.models.compiled import compiled, scratch

NOTE = np.dtype([("count", "i8"), ("share", "f4"), ("told", "?")], align=True)


def test_what_cannot_be_kept_is_compiled_all_the_same() -> None:
    # Numba keeps a function beside its file, and refuses one that has none: as it does where nothing can be written.
    names: dict[str, object] = {"compiled": compiled}
    exec("@compiled\ndef twice(x):\n    return 2 * x\n", names)
    twice = names["twice"]

    assert twice(21.0) == 42.0  # type: ignore[operator]
    assert twice.signatures  # type: ignore[attr-defined]


@njit
def _noted(times: int, out: Any) -> None:
    note = scratch(NOTE)
    for _ in range(times):
        note.count += 1
        note.share += 0.5
        note.told = note.count > 1
    out[0], out[1], out[2] = note.count, note.share, note.told


def test_a_scratch_record_is_of_zeros_at_each_call() -> None:
    out = np.empty((3, 3))
    for times in (2, 0, 1):
        _noted(times, out[times])

    assert out.tolist() == [[0, 0, 0], [1, 0.5, 0], [2, 1.0, 1]]
