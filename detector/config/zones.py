"""Time zones by name, from the package `tzdata` only: what a machine has in /usr/share may be of another year."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import resources
from zoneinfo import ZoneInfo

from detector.config.reading import did_you_mean


@cache
def names() -> frozenset[str]:
    """The names of the tz database."""
    return frozenset((resources.files("tzdata") / "zones").read_text(encoding="utf-8").split())


@cache
def zone(name: str) -> ZoneInfo:
    """The zone of that name: the same object each time. Raises `ValueError` for a name that is none."""
    if name not in names():
        near = did_you_mean(name, sorted(names()))
        raise ValueError(f"the tz database has no {name}{'; names are like Europe/Berlin' if near == ';' else near}")
    with (resources.files("tzdata") / "zoneinfo").joinpath(*name.split("/")).open("rb") as file:
        return ZoneInfo.from_file(file, key=name)


class Zones(Mapping[str, ZoneInfo]):
    """All zones by name, each read when it is first asked for."""

    def __getitem__(self, name: str) -> ZoneInfo:
        if name not in names():
            raise KeyError(name)
        return zone(name)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(names()))

    def __len__(self) -> int:
        return len(names())
