"""From what a person names (files, a database, a DataFrame) to rows that can be profiled."""

import glob
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from detector.errors import Unreadable
from detector.profiling import sqlite
from detector.profiling.duck import Duck, Retyped, quoted, text
from detector.profiling.relation import ROWS_TABLE, Relation, fields_of
from detector.profiling.sampling import Sample, ranges, share_of

FORMATS: Final = {
    "parquet": (".parquet", ".pq", ".parq"),
    "csv": (".csv", ".tsv", ".txt"),
    "json": (".json", ".jsonl", ".ndjson"),
    "duckdb": (".duckdb", ".ddb"),
    "sqlite": (".sqlite", ".sqlite3"),
}
PACKED: Final = (".gz", ".zst")
SERVERS: Final = {"postgres": "postgres", "postgresql": "postgres", "mysql": "mysql"}
_URL = re.compile(r"^([a-z][a-z0-9+]*)://")
_PASSWORD = re.compile(r"^[a-z0-9+]+://[^/@:]*:[^/@]+@|password=", re.IGNORECASE)


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """How a source is read: its format (None: by its name), one table or a query of it, and how much."""

    format: str | None = None
    table: str | None = None
    query: str | None = None
    header: bool | None = None
    sample: Sample = Sample()


def opened(duck: Duck, source: object, asked: Asked) -> Relation:
    """The rows of a source: names of files, an address of a database, or a DataFrame. Raises `Unreadable`."""
    if isinstance(source, str | Path):
        source = [source]
    if isinstance(source, list | tuple) and source and all(isinstance(one, str | Path) for one in source):
        return _named(duck, [str(one) for one in source], asked)
    duck.register("frame", source)
    return staged(duck, "frame", f"the {type(source).__name__}", asked)


def _named(duck: Duck, names: list[str], asked: Asked) -> Relation:
    if len(names) == 1 and names[0].startswith("env:"):
        return _server(duck, _from_environment(names[0][4:]), asked)
    if len(names) == 1 and (scheme := _URL.match(names[0])) and scheme[1] in SERVERS:
        if _PASSWORD.search(names[0]):
            raise Unreadable(
                "a password on the command line is there for all to see: put it into PGPASSWORD or MYSQL_PWD, or the"
                " whole address into a variable, and name that: detector profile env:ORDERS_DB"
            )
        return _server(duck, names[0], asked)
    files = _files(names)
    kind = asked.format or _format(files[0])
    about = files[0] if len(files) == 1 else f"{len(files)} files ({files[0]}, ...)"
    if kind in ("duckdb", "sqlite"):
        if len(files) > 1:
            raise Unreadable(f"{about}: of databases only one at a time")
        return _duckdb(duck, files[0], asked) if kind == "duckdb" else _sqlite(duck, files[0], asked)
    return _from_files(duck, files, kind, about, asked)


def _from_environment(name: str) -> str:
    try:
        return os.environ[name]
    except KeyError:
        raise Unreadable(f"env:{name}: there is no such variable") from None


def _files(names: Sequence[str]) -> list[str]:
    """The files that are meant: names, globs, and folders for all that is in them."""
    found: list[str] = []
    for name in names:
        if _URL.match(name) and not name.startswith("file://"):
            found.append(name)
            continue
        path = name.removeprefix("file://")
        pattern = f"{glob.escape(path)}/**/*.*" if Path(path).is_dir() else path
        here = [path] if Path(path).is_file() else sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 - a pattern may begin anywhere
        here = [one for one in here if Path(one).is_file()]
        if Path(path).is_dir():
            here = [one for one in here if not Path(one).name.startswith(("_", ".")) and _by_name(one)]
        if not here:
            raise Unreadable(f"{name}: there is no such file")
        found += here
    return list(dict.fromkeys(found))


def _by_name(path: str) -> str | None:
    name = path.lower()
    for packed in PACKED:
        name = name.removesuffix(packed)
    return next((kind for kind, endings in FORMATS.items() if name.endswith(endings)), None)


def _format(path: str) -> str:
    """By the first bytes where they say it, else by the name."""
    if not _URL.match(path):
        with Path(path).open("rb") as file:
            start = file.read(16)
        for magic, at, kind in ((b"PAR1", 0, "parquet"), (b"SQLite format 3", 0, "sqlite"), (b"DUCK", 8, "duckdb")):
            if start[at:].startswith(magic):
                return kind
    by_name = _by_name(path)
    if by_name is not None:
        return by_name
    raise Unreadable(f"{path}: its name does not say what it is: --format parquet, csv, json, duckdb or sqlite")


# ---------------------------------------------------------------- files


def _from_files(duck: Duck, files: list[str], kind: str, about: str, asked: Asked) -> Relation:
    if remote := next((file for file in files if _URL.match(file)), None):
        duck.load("httpfs", remote)
        size = None
    else:
        size = float(sum(Path(file).stat().st_size for file in files))
    listed = f"[{', '.join(text(file) for file in files)}]"
    if kind == "parquet":
        return _parquet(duck, listed, about, size, asked)
    if kind == "csv":
        header = "" if asked.header is None else f", header = {str(asked.header).lower()}"
        scan = f"read_csv({listed}, union_by_name = true{header}%s)"
    elif kind == "json":
        scan = f"read_json({listed}, union_by_name = true%s)"
    else:
        raise Unreadable(f"--format {kind}: parquet, csv, json, duckdb and sqlite are known")
    try:
        return staged(duck, scan % "", about, asked, size, fresh_types=True)
    except Retyped:  # what was guessed from the first rows does not hold: look at all of them
        return staged(duck, scan % ", sample_size = -1", about, asked, size, fresh_types=True)


def _parquet(duck: Duck, listed: str, about: str, size: float | None, asked: Asked) -> Relation:
    plain = f"read_parquet({listed}, union_by_name = true)"
    if asked.query is not None:
        return staged(duck, plain, about, asked, size)
    fields, left_out = fields_of(duck, plain, about)
    rows = int(duck.row(f"SELECT count(*) FROM {plain}", about)[0])
    numbered = f"read_parquet({listed}, union_by_name = true, file_row_number = true)"
    relation = Relation(numbered, "hash(file_row_number)", about, fields, left_out, rows, size)
    share = share_of(asked.sample, rows, size)
    if share >= 1:
        return relation
    files = duck.rows(f"SELECT num_rows FROM parquet_file_metadata({listed})", about)
    where = ranges([int(count) for (count,) in files], share)
    return relation._replace(sql=f"(SELECT * FROM {numbered} WHERE {where})", sampled=share)


def staged(
    duck: Duck, scan: str, about: str, asked: Asked, size: float | None = None, fresh_types: bool = False
) -> Relation:
    """The rows of a scan, read once into a table of the temporary folder, or those of a query of it."""
    if asked.query is not None:
        duck.rows(f"CREATE OR REPLACE TEMP VIEW data AS SELECT * FROM {scan}", about)
        scan, size = f"({asked.query.rstrip().rstrip(';')})", None
    share = 1.0
    rows = None
    if asked.sample.is_wanted(size):
        rows = int(duck.row(f"SELECT count(*) FROM {scan}", about)[0])
        share = share_of(asked.sample, rows, size)
    some = f" USING SAMPLE {100 * share:.6f} PERCENT (bernoulli, 42)" if share < 1 else ""
    duck.rows(f"CREATE OR REPLACE TABLE {ROWS_TABLE} AS SELECT * FROM {scan}{some}", about)
    return _table(duck, ROWS_TABLE, about)._replace(
        rows=_count(duck, about) if rows is None else rows, bytes=size, sampled=share, fresh_types=fresh_types
    )


def _count(duck: Duck, about: str) -> int:
    return int(duck.row(f"SELECT count(*) FROM {ROWS_TABLE}", about)[0])


def _table(duck: Duck, name: str, about: str) -> Relation:
    fields, left_out = fields_of(duck, name, about)
    return Relation(name, "hash(rowid)", about, fields, left_out, 0)


# ---------------------------------------------------------------- databases


def _duckdb(duck: Duck, path: str, asked: Asked) -> Relation:
    duck.rows(f"ATTACH {text(path)} AS source (READ_ONLY)", path)
    return _of_database(duck, path, asked, columnar=True)


def _server(duck: Duck, url: str, asked: Asked) -> Relation:
    scheme = _URL.match(url)
    if scheme is None or scheme[1] not in SERVERS:
        raise Unreadable("the address of a database begins with postgres:// or mysql://")
    kind = SERVERS[scheme[1]]
    about = re.sub(r"//[^/]*@", "//", url).partition("?")[0]
    duck.load(kind, about)
    duck.rows(f"ATTACH {text(url)} AS source (TYPE {kind}, READ_ONLY)", about)
    return _of_database(duck, about, asked, columnar=False)


def _of_database(duck: Duck, about: str, asked: Asked, columnar: bool) -> Relation:
    if asked.query is not None:
        duck.rows("USE source", about)
        query = asked.query.rstrip().rstrip(";")
        duck.rows(f"CREATE OR REPLACE TABLE rows.main.{ROWS_TABLE} AS {query}", about)
        duck.rows("USE rows", about)
        return _table(duck, ROWS_TABLE, about)._replace(rows=_count(duck, about))
    schema, name, is_view = _chosen(duck, about, asked.table)
    table, about = f"source.{quoted(schema)}.{quoted(name)}", f"{about}, table {schema}.{name}"
    rows = int(duck.row(f"SELECT count(*) FROM {table}", about)[0])
    if not columnar or is_view or share_of(asked.sample, rows, None) < 1:
        return staged(duck, table, about, asked)
    return _table(duck, table, about)._replace(rows=rows)


def _chosen(duck: Duck, about: str, wanted: str | None) -> tuple[str, str, bool]:
    """The schema and the name of the table that is meant, and whether it is a view."""
    found = duck.rows(
        "SELECT table_schema, table_name, table_type = 'VIEW' FROM information_schema.tables"
        " WHERE table_catalog = 'source' ORDER BY ALL",
        about,
    )
    if wanted is None and len(found) == 1:
        return found[0][0], found[0][1], bool(found[0][2])
    fits = [one for one in found if wanted in (one[1], f"{one[0]}.{one[1]}")]
    if len(fits) == 1:
        return fits[0][0], fits[0][1], bool(fits[0][2])
    there = ", ".join(f"{schema}.{name}" for schema, name, _ in found[:20]) or "none"
    why = "say which table, with --table" if wanted is None else f"there is no one table {wanted}"
    raise Unreadable(f"{about}: {why}; there are: {there}")


def _sqlite(duck: Duck, path: str, asked: Asked) -> Relation:
    size = float(Path(path).stat().st_size)
    rows_, notes = sqlite.copied(duck, path, asked.table, asked.query)
    relation = _table(duck, ROWS_TABLE, path)._replace(rows=rows_, notes=notes)
    return relation._replace(bytes=size if asked.table is None and asked.query is None else None)
