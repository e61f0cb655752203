"""One thing that was looked at."""

from typing import Literal

import msgspec

from detector.core.text import duration

SKEW = 5.0

Status = Literal["ok", "warn", "fail"]


class Finding(msgspec.Struct, frozen=True):
    """What was looked at, how it is, and what to do about it."""

    what: str
    status: Status
    message: str
    advice: str = ""


def clocks(whose: str, ahead: float, most: float) -> Finding:
    """What it means that one clock is `ahead` seconds ahead of another, of which `most` is what is accepted."""
    if ahead <= SKEW:
        return Finding("clocks", "ok", f"{whose} agree")
    status: Status = "fail" if ahead > most else "warn"
    return Finding("clocks", status, f"{whose} differ by {duration(ahead)}", "Let both follow NTP.")
