"""DuckDB in a folder of its own: bounded in memory, spilling to disk, and silent about values.

DuckDB quotes in its errors what it could not read: lines of the file, values of a column. Whoever reads a log may not
be allowed to read the data, so of an error only its class, the file and the number of the line are told.
"""

import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from detector.errors import Unreadable

MEMORY = "2GiB"
_LINE = (re.compile(r"CSV Error on Line: (\d+)"), re.compile(r"in (?:line|record/value) (\d+)"))
_TYPED = {"ParserException", "BinderException", "CatalogException"}  # what somebody typed, and names: not what was read
_HINTS = (
    ("No files found", "there is no such file"),
    ("set lock on file", "another process has it open for writing: close it there, or profile a copy"),
    ("No magic bytes", "it is no Parquet file"),
    ("Out of Memory", "it needs more memory than --memory allows"),
    ("Malformed JSON", "it is no valid JSON"),
    ("No space left", "the disk is full"),
    ("Permission denied", "it may not be read by this user"),
    ("password authentication failed", "the password is wrong"),
    ("Connection refused", "nothing listens there"),
    ("could not translate host name", "there is no such host"),
)


class Retyped(Unreadable):
    """A value is of another type than those before it: the types must be looked for in all of the file."""


class Duck:
    """A connection, with a temporary folder that is gone with it. Use as a context manager."""

    def __init__(self, memory: str = MEMORY) -> None:
        """Raises `Unreadable` where there is no DuckDB."""
        duckdb = library()
        self.folder = Path(tempfile.mkdtemp(prefix="detector-profile-"))
        self._errors = duckdb.Error
        try:
            self._connection = duckdb.connect(str(self.folder / "rows.duckdb"))
            self._connection.execute(f"SET memory_limit = {text(memory)}")
        except duckdb.Error as error:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise Unreadable(f"--memory {memory}: DuckDB does not take it ({type(error).__name__})") from None
        self._connection.execute(f"SET temp_directory = {text(str(self.folder / 'spilled'))}")
        self._connection.execute("SET enable_progress_bar = false")
        self._connection.execute("SET preserve_insertion_order = false")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Remove all that was kept."""
        self._connection.close()
        shutil.rmtree(self.folder, ignore_errors=True)

    def register(self, name: str, frame: object) -> None:
        """A DataFrame as a table. Raises `Unreadable` for what is none."""
        try:
            self._connection.register(name, frame)
        except (self._errors, ModuleNotFoundError) as error:
            wanting = "No module named 'pyarrow'" in str(error)
            why = (
                "pip install pyarrow"
                if wanting
                else "pandas, polars and Arrow tables are, and what has __arrow_c_stream__"
            )
            raise Unreadable(f"a {type(frame).__name__} is nothing that DuckDB reads: {why}") from None

    def rows(self, query: str, about: str, parameters: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What a query gives. Raises `Unreadable`, with `about` for what is read."""
        try:
            found: list[tuple[Any, ...]] = self._connection.execute(query, parameters or None).fetchall()
            return found
        except self._errors as error:
            raise without_values(error, about) from None

    def row(self, query: str, about: str) -> tuple[Any, ...]:
        """The one row that a query gives."""
        return self.rows(query, about)[0]

    def load(self, extension: str, about: str) -> None:
        """An extension of DuckDB, installed if need be. Raises `Unreadable` with what to do."""
        try:
            self._connection.execute(f"LOAD {extension}")
        except self._errors:
            try:
                self._connection.execute(f"INSTALL {extension}")
                self._connection.execute(f"LOAD {extension}")
            except self._errors:
                raise Unreadable(
                    f"{about}: DuckDB's extension {extension} is not there, and could not be fetched from"
                    f' extensions.duckdb.org. Where there is a network: python -c "import duckdb;'
                    f" duckdb.sql('INSTALL {extension}')\"; elsewhere export to Parquet or CSV and profile that"
                ) from None


def library() -> Any:
    """DuckDB. Raises `Unreadable` where it is not installed."""
    try:
        import duckdb
    except ImportError:
        raise Unreadable("DuckDB is not installed: pip install 'detector[profile]'") from None
    return duckdb


def without_values(error: Exception, about: str) -> Unreadable:
    """The error in our words: what DuckDB says may quote rows."""
    said, name = str(error), type(error).__name__
    if name in _TYPED:
        return Unreadable(f"{about}: {said.splitlines()[0]}")
    line = next((found[1] for pattern in _LINE if (found := pattern.search(said))), None)
    where = f"{about}, line {line}" if line else about
    if name == "ConversionException":
        return Retyped(f"{where}: a value is of another type than its column")
    hint = next((hint for words, hint in _HINTS if words in said), f"DuckDB cannot read it ({name})")
    return Unreadable(f"{where}: {hint}")


def quoted(name: str) -> str:
    """A name, as SQL has it."""
    return '"' + name.replace('"', '""') + '"'


def text(value: str) -> str:
    """A text, as SQL has it."""
    return "'" + value.replace("'", "''") + "'"
