"""What is profiled, as DuckDB sees it: rows that can be scanned as often as there are columns.

Parquet and the tables of DuckDB are columnar and are scanned where they are: a query for each column reads that column
only, which is several times faster than one query for all. What is read row by row (CSV, JSON, other databases, views)
is read once, into a table in the temporary folder.
"""

from collections.abc import Iterator
from typing import NamedTuple

from detector.profiling.duck import Duck, quoted

NUMBERS = (
    *("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL", "BIGNUM"),
    *("UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"),
)
REALS = ("FLOAT", "DOUBLE")
TEXTS = ("VARCHAR", "ENUM", "CHAR", "JSON")
NESTED = ("MAP", "UNION")
MOST_COLUMNS = 2_000  # of which so many statistics are a record that the log can carry
DEEPEST = 4
ROWS_TABLE = '"rows"'


class Field(NamedTuple):
    """A column, or a field within one (`address.city`): how SQL reaches it, and its type."""

    name: str
    sql: str
    type: str
    kind: str


class Relation(NamedTuple):
    """Rows to profile. `sql` goes after FROM, `place` is an expression that differs from row to row.

    `rows` are all there are, of which the share `sampled` is looked at; `fresh_types` says that types were guessed from
    values, so that a column of nothing but nulls has none.
    """

    sql: str
    place: str
    about: str
    fields: tuple[Field, ...]
    left_out: int
    rows: int
    bytes: float | None = None
    sampled: float = 1.0
    fresh_types: bool = False
    notes: tuple[str, ...] = ()


def fields_of(duck: Duck, scan: str, about: str) -> tuple[tuple[Field, ...], int]:
    """The columns of a scan, and how many are left out because there are too many."""
    described = duck.rows(f"DESCRIBE SELECT * FROM {scan}", about)
    found = [field for name, kind, *_ in described for field in _flat(name, quoted(name), kind, 0)]
    return tuple(found[:MOST_COLUMNS]), max(len(found) - MOST_COLUMNS, 0)


def _flat(name: str, sql: str, kind: str, depth: int) -> Iterator[Field]:
    """A column, or the fields of one that is a struct."""
    if kind.startswith("STRUCT(") and kind.endswith(")") and depth < DEEPEST:
        for piece in _split(kind[len("STRUCT(") : -1]):
            inner, inner_kind = _member(piece)
            yield from _flat(
                f"{name}.{inner}",
                f"struct_extract({sql}, '{inner.replace(chr(39), chr(39) * 2)}')",
                inner_kind,
                depth + 1,
            )
        return
    yield Field(name, sql, without_values(kind), _kind(kind))


def _kind(kind: str) -> str:
    word = kind.split("(", maxsplit=1)[0]
    if kind.endswith("]") or kind.startswith(("MAP(", "UNION(")):
        return "list" if not kind.startswith("UNION(") else "other"
    if word in NUMBERS:
        return "real" if word in REALS else "number"
    if word in TEXTS:
        return "text"
    if word == "BLOB":
        return "bytes"
    if word == "BOOLEAN":
        return "boolean"
    return "time" if word.startswith(("TIMESTAMP", "DATE")) else "other"


def without_values(kind: str) -> str:
    """A type without the values of an enumeration, which are data.

    >>> without_values("STRUCT(a ENUM('x', 'y'), b INTEGER)")
    'STRUCT(a ENUM, b INTEGER)'
    """
    found = kind
    while (start := found.find("ENUM(")) >= 0:
        end = start + len("ENUM(")
        quote = False
        while end < len(found) and (quote or found[end] != ")"):
            quote ^= found[end] == "'"
            end += 1
        found = found[: start + len("ENUM")] + found[end + 1 :]
    return found


def _member(piece: str) -> tuple[str, str]:
    """The name and the type of a field: `"a b" INTEGER`."""
    if not piece.startswith('"'):
        name, _, kind = piece.partition(" ")
        return name, kind
    end = 1
    while piece[end] != '"' or piece[end + 1 : end + 2] == '"':
        end += 2 if piece[end] == '"' else 1
    return piece[1:end].replace('""', '"'), piece[end + 1 :].strip()


def _split(within: str) -> list[str]:
    """The fields of a struct, which may hold commas within brackets and quotes."""
    pieces, depth, start, quote = [], 0, 0, ""
    for at, character in enumerate(within):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character == "," and depth == 0:
            pieces.append(within[start:at].strip())
            start = at + 1
        else:
            depth += (character in "([") - (character in ")]")
    return [*pieces, within[start:].strip()]
