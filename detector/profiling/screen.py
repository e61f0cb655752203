"""A profile as a table for people: columns in columns, what is estimated marked, and the notes below."""

from collections.abc import Iterable, Sequence

from detector.core.text import number
from detector.profiling.result import Column, DatasetProfile

WIDEST = 40
HEAD = ("column", "type", "nulls", "distinct", "min", "median", "max", "mean", "std", "besides")


def table(found: DatasetProfile) -> tuple[str, list[tuple[str, ...]]]:
    """What stands above the table, and its rows, the head first."""
    who = found.identity
    size = f", {number(found.size, 'bytes')}" if found.size is not None else ""
    sampled = f", of which {100 * found.sampled:.3g} % were looked at" if found.sampled < 1 else ""
    partition = f" ({who.partition})" if who.partition else ""
    head = f"dataset:{who.namespace}/{who.name}{partition}: {found.rows:,.0f} rows{size}{sampled}"
    return head, [HEAD, *(_row(column) for column in found.columns)]


def lines(rows: Sequence[Sequence[str]]) -> Iterable[str]:
    """Rows as lines, numbers to the right."""
    widths = [max(len(row[place]) for row in rows) for place in range(len(rows[0]))]
    for row in rows:
        cells = [
            f"{cell:<{width}}" if place < 2 or place == len(row) - 1 else f"{cell:>{width}}"
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        yield "  ".join(cells).rstrip()


def _row(column: Column) -> tuple[str, ...]:
    rows, nulls = column.of("count") or 0.0, column.of("null_count") or 0.0
    share = f"{100 * nulls / rows:.3g} %" if rows else "-"
    amounts = [_told(column, name) for name in ("min", "q0.5", "max", "mean", "std")]
    return (_short(column.name), _short(column.type), share, _told(column, "distinct"), *amounts, _besides(column))


def _told(column: Column, name: str) -> str:
    value = column.of(name)
    if value is None:
        return "-"
    whole = value == int(value) and abs(value) < 1e12
    return f"{'~' if name in column.estimated else ''}{f'{value:,.0f}' if whole else f'{value:,.4g}'}"


def _besides(column: Column) -> str:
    """What only some kinds of columns have."""
    found = []
    if (longest := column.of("length_max")) is not None:
        found.append(f"length {column.of('length_min') or 0:,.0f} to {longest:,.0f}")
    for name, word in (
        ("empty_count", "empty"),
        ("negative_count", "below 0"),
        ("zero_count", "0"),
        ("nan_count", "NaN"),
    ):
        if count := column.of(name):
            found.append(f"{count:,.0f} are {word}")
    if (true := column.of("true_count")) is not None and column.values:
        found.append(f"{100 * true / column.values:.3g} % are true")
    for name, value in column.statistics.items():
        if name.startswith(("matches:", "missing_in:")):
            found.append(f"{name.removesuffix('_count')} {value:,.0f}")
    return ", ".join(found)


def _short(text: str) -> str:
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…"
