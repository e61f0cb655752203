"""Durations and sizes as people write them: `5s`, `1h30m`, `16MiB`."""

import re
from typing import Final

from detector.config.schema import DURATION, SIZE

_LONGEST: Final = 36_525.0 * 86_400.0
_LARGEST: Final = 1 << 50
_SECONDS: Final = {"w": 604_800.0, "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 0.001}
_BYTES: Final = {
    "B": 1,
    **{f"{letter}iB": 1024**power for power, letter in enumerate("KMGT", 1)},
    **{f"{letter}B": 1000**power for power, letter in enumerate("kMGT", 1)},
    "KB": 1000,
}


def seconds(text: object) -> float:
    """Seconds of a duration. Raises `ValueError` for what is none."""
    if not isinstance(text, str) or not re.fullmatch(DURATION, text):
        raise ValueError(f"{text!r} is no duration; write one like 250ms, 5s, 10m, 2h or 1d")
    parts = re.findall(r"(\d+(?:\.\d+)?)(ms|[smhdw])", text)
    found = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if found > _LONGEST:
        raise ValueError(f"{text!r} is longer than a hundred years")
    return round(found, 3)


def size(text: object) -> int:
    """Bytes of a size. Raises `ValueError` for what is none."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([A-Za-z]+)", text) if isinstance(text, str) else None
    if found is None or not re.fullmatch(SIZE, found.group()) or found[2] not in _BYTES:
        raise ValueError(f"{text!r} is no size; write one like 512KiB, 16MiB or 2GiB")
    bytes_ = float(found[1]) * _BYTES[found[2]]
    if bytes_ > _LARGEST:
        raise ValueError(f"{text!r} is more than 1024TiB")
    return int(bytes_)


def write_seconds(value: float) -> str:
    """The shortest way to write a duration in one unit: `seconds` reads it back."""
    milliseconds = round(value * 1000)
    for unit, length in _SECONDS.items():
        step = round(length * 1000)
        if milliseconds % step == 0 and (milliseconds or unit == "s") and unit != "w":
            return f"{milliseconds // step}{unit}"
    return f"{milliseconds}ms"


def write_size(value: int) -> str:
    """The shortest way to write a size in one unit: `size` reads it back."""
    for unit in ("TiB", "GiB", "MiB", "KiB"):
        if value and value % _BYTES[unit] == 0:
            return f"{value // _BYTES[unit]}{unit}"
    return f"{value}B"
