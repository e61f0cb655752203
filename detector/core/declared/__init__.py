"""Declared checks: what the owner of a dataset promises of each load, by kind. To add one, write its class in `kinds`
and name it here."""

from detector.core.declared.kinds import (
    Between,
    FreshWithin,
    InSet,
    Matches,
    MeanBetween,
    NotNull,
    Referential,
    RowCountBetween,
    SumMatches,
    Unique,
)

LoadCheck = NotNull | Unique | Between | MeanBetween | InSet | Matches | RowCountBetween | SumMatches | Referential
Check = LoadCheck | FreshWithin

KINDS: dict[str, type[Check]] = {
    kind.kind: kind
    for kind in (
        NotNull,
        Unique,
        Between,
        MeanBetween,
        InSet,
        Matches,
        RowCountBetween,
        SumMatches,
        Referential,
        FreshWithin,
    )
}

__all__ = ["KINDS", "Check", "FreshWithin", "LoadCheck"]
