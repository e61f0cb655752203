"""SQLite through Python's own driver, since DuckDB's extension for it has to be fetched from the network.

A column of SQLite holds values of any type: which it really has is asked of SQLite first, and what is mixed is text.
"""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from detector.errors import Unreadable
from detector.profiling.duck import Duck, quoted
from detector.profiling.relation import ROWS_TABLE

BATCH = 20_000
_NUMBERS = {"integer", "real"}


def copied(duck: Duck, path: str, table: str | None, query: str | None) -> tuple[int, tuple[str, ...]]:
    """Copy a table, or what a query gives, into DuckDB. Returns the rows, and notes. Raises `Unreadable`."""
    try:
        connection = sqlite3.connect(f"{Path(path).resolve().as_uri()}?mode=ro", uri=True)
        try:
            return _copied(duck, connection, path, table, query)
        finally:
            connection.close()
    except sqlite3.Error as error:  # its text may quote what was asked, or what is there
        raise Unreadable(f"{path}: SQLite cannot read it ({type(error).__name__})") from None


def _copied(
    duck: Duck, connection: sqlite3.Connection, path: str, table: str | None, query: str | None
) -> tuple[int, tuple[str, ...]]:
    source = f"({query.rstrip().rstrip(';')})" if query is not None else quoted(_chosen(connection, path, table))
    names = [column[0] for column in connection.execute(f"SELECT * FROM {source} LIMIT 0").description]
    types = [_type(connection, source, name) for name in names]
    mixed = [name for name, (_, is_mixed) in zip(names, types, strict=True) if is_mixed]
    columns = ", ".join(f"{quoted(name)} {kind}" for name, (kind, _) in zip(names, types, strict=True))
    duck.rows(f"CREATE OR REPLACE TABLE {ROWS_TABLE} ({columns})", path)
    wanted = ", ".join(
        f"CAST({quoted(n)} AS TEXT)" if kind == "VARCHAR" else quoted(n)
        for n, (kind, _) in zip(names, types, strict=True)
    )
    values = ", ".join(f"unnest(${at}::{kind}[])" for at, (kind, _) in enumerate(types, 1))
    rows = 0
    for batch in _batches(connection, f"SELECT {wanted} FROM {source}"):
        duck.rows(f"INSERT INTO {ROWS_TABLE} SELECT {values}", path, [list(c) for c in zip(*batch, strict=True)])
        rows += len(batch)
    notes = (f"values of several types are in {', '.join(mixed)}: taken as text",) if mixed else ()
    return rows, notes


def _batches(connection: sqlite3.Connection, query: str) -> Iterator[list[tuple[Any, ...]]]:
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    cursor = connection.execute(query)
    while batch := cursor.fetchmany(BATCH):
        yield batch


def _chosen(connection: sqlite3.Connection, path: str, wanted: str | None) -> str:
    found = [
        str(name)
        for (name,) in connection.execute(
            "SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite_%' ORDER BY 1"
        )
    ]
    if wanted is None and len(found) == 1:
        return found[0]
    if wanted in found:
        return str(wanted)
    why = "say which table, with --table" if wanted is None else f"there is no table {wanted}"
    raise Unreadable(f"{path}: {why}; there are: {', '.join(found[:20]) or 'none'}")


def _type(connection: sqlite3.Connection, source: str, name: str) -> tuple[str, bool]:
    """The type of DuckDB that holds what is in a column, and whether it is a mixture."""
    query = f"SELECT DISTINCT typeof({quoted(name)}) FROM {source} WHERE {quoted(name)} IS NOT NULL"
    found = {str(kind) for (kind,) in connection.execute(query)}
    if found <= _NUMBERS and found:
        return ("BIGINT" if found == {"integer"} else "DOUBLE"), False
    return ("BLOB", False) if found == {"blob"} else ("VARCHAR", len(found) > 1)
