"""Each source that can be named, and what is said of one that cannot be read."""

import gzip
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from detector import profiling
from detector.errors import Unreadable
from detector.profiling import DatasetProfile, profile_source
from detector.profiling.asked import Asks
from detector.profiling.counting import Wanted
from detector.profiling.hashing import Hasher
from detector.profiling.sampling import Sample, parsed, ranges, share_of
from detector.profiling.sources import Asked

ROWS = [(1, "ann", 2.5), (2, "bob", None), (3, "", -1.0)]


def profile(*sources: Path | str, **asked: object) -> DatasetProfile:
    who = profiling.identity("dataset:file/rows")
    names = [str(source) for source in sources]
    return profile_source(names, who, Asked(**asked), Wanted(Hasher(None), Asks()), {})  # type: ignore[arg-type]


def csv(path: Path) -> None:
    path.write_text("id,name,amount\n" + "".join(f'{i},"{n}",{"" if a is None else a}\n' for i, n, a in ROWS))


def packed(path: Path) -> None:
    with gzip.open(path, "wt") as file:
        file.write("id,name,amount\n" + "".join(f'{i},"{n}",{"" if a is None else a}\n' for i, n, a in ROWS))


def lines(path: Path) -> None:
    path.write_text("".join(json.dumps({"id": i, "name": n, "amount": a}) + "\n" for i, n, a in ROWS))


def array(path: Path) -> None:
    path.write_text(json.dumps([{"id": i, "name": n, "amount": a} for i, n, a in ROWS]))


def parquet(path: Path) -> None:
    with duckdb.connect() as connection:
        _filled(connection)
        connection.execute(f"COPY orders TO '{path}' (FORMAT parquet)")


def duck(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        _filled(connection)


def _filled(connection: duckdb.DuckDBPyConnection) -> None:
    connection.execute("CREATE TABLE orders (id BIGINT, name VARCHAR, amount DOUBLE)")
    connection.execute("INSERT INTO orders VALUES (1, 'ann', 2.5), (2, 'bob', NULL), (3, '', -1.0)")


def sqlite(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE orders (id INTEGER, name TEXT, amount REAL)")
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?)", ROWS)
    connection.close()


MADE: dict[str, Callable[[Path], None]] = {
    "orders.csv": csv,
    "orders.csv.gz": packed,
    "orders.jsonl": lines,
    "orders.json": array,
    "orders.parquet": parquet,
    "orders.duckdb": duck,
    "orders.sqlite": sqlite,
    "database.db": sqlite,
    "without-a-name": parquet,
}


@pytest.mark.parametrize("name", MADE)
def test_the_same_rows_are_the_same_statistics_wherever_they_are(name: str, tmp_path: Path) -> None:
    MADE[name](tmp_path / name)

    found = profile(tmp_path / name)

    assert found.rows == 3
    assert [(column.name, column.type) for column in found.columns] == [
        ("id", "BIGINT"),
        ("name", "VARCHAR"),
        ("amount", "DOUBLE"),
    ]
    ids, names, amounts = (column.statistics for column in found.columns)
    assert (ids["sum"], ids["distinct"], ids["q0.5"]) == (6, 3, 2)
    assert (names["length_max"], names["distinct"]) == (3, 2 if "csv" in name else 3)  # a CSV has no empty texts
    assert (amounts["null_count"], amounts["min"], amounts["negative_count"]) == (1, -1.0, 1)


def test_files_of_a_glob_and_of_a_folder_are_one_dataset(tmp_path: Path) -> None:
    (tmp_path / "day=1").mkdir()
    for place in ("day=1/a.parquet", "day=1/b.parquet"):
        parquet(tmp_path / place)
    (tmp_path / "day=1" / "_SUCCESS").touch()

    of_glob, of_folder = profile(tmp_path / "*" / "*.parquet"), profile(tmp_path)

    assert of_glob.rows == of_folder.rows == 6
    assert of_glob.size == sum(file.stat().st_size for file in tmp_path.rglob("*.parquet"))


def test_columns_that_only_some_files_have_are_null_in_the_others(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id\n1\n2\n")
    (tmp_path / "b.csv").write_text("id,more\n3,7\n")

    found = profile(tmp_path / "a.csv", tmp_path / "b.csv")

    assert [(c.name, c.of("null_count")) for c in found.columns] == [("id", 0), ("more", 2)]


def test_a_csv_whose_numbers_turn_to_text_far_down_is_read_whole(tmp_path: Path) -> None:
    """That is a bad load, and the profile has to say so, rather than fail."""
    file = tmp_path / "late.csv"
    file.write_text("n,m\n" + "".join(f"{i},1\n" for i in range(40_000)) + "none,1\n")

    found = profile(file)

    assert (found.rows, found.columns[0].type) == (40_001, "VARCHAR")


def test_without_a_header_the_first_line_is_data(tmp_path: Path) -> None:
    (tmp_path / "x.csv").write_text("ann,ulm\nbob,bonn\n")

    found = profile(tmp_path / "x.csv", header=False)

    assert (found.rows, [column.name for column in found.columns]) == (2, ["column0", "column1"])


@pytest.mark.parametrize("make", [duck, sqlite], ids=["DuckDB", "SQLite"])
def test_of_a_database_a_table_or_a_query_is_meant(make: Callable[[Path], None], tmp_path: Path) -> None:
    file = tmp_path / "shop.db"
    make(file)
    connect = duckdb.connect if make is duck else sqlite3.connect
    connection = connect(str(file))
    connection.execute("CREATE TABLE other (x BIGINT)")
    connection.execute("CREATE VIEW few AS SELECT id FROM orders WHERE id > 1")
    if isinstance(connection, sqlite3.Connection):
        connection.commit()
    connection.close()

    with pytest.raises(Unreadable, match=r"say which table, with --table; there are: .*orders"):
        profile(file)
    assert profile(file, table="orders").rows == 3
    assert profile(file, table="few").rows == 2
    assert profile(file, query="SELECT name FROM orders WHERE id = 1;").columns[0].of("length_max") == 3
    with pytest.raises(Unreadable, match=r"no .*table nothing"):
        profile(file, table="nothing")


def test_a_query_of_files_calls_them_data(tmp_path: Path) -> None:
    csv(tmp_path / "orders.csv")

    assert profile(tmp_path / "orders.csv", query="SELECT amount FROM data WHERE id < 3").rows == 2


def test_what_sqlite_mixes_is_text_and_that_is_said(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "mixed.db") as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.executemany("INSERT INTO t VALUES (?)", [(1,), ("one",), (b"\xff",), (2.5,)])
    connection.close()

    found = profile(tmp_path / "mixed.db")

    assert (found.columns[0].type, found.rows) == ("VARCHAR", 4)
    assert found.notes[0] == "values of several types are in x: taken as text"


def test_the_values_of_an_enumeration_are_no_type(tmp_path: Path) -> None:
    with duckdb.connect(str(tmp_path / "x.duckdb")) as connection:
        connection.execute("CREATE TYPE mood AS ENUM ('secret, one', 'it''s (two)')")
        connection.execute('CREATE TABLE t (m mood, s STRUCT("a, b" mood, n INTEGER), l mood[])')
        connection.execute("INSERT INTO t VALUES ('secret, one', {'a, b': 'secret, one', 'n': 1}, ['secret, one'])")

    found = profile(tmp_path / "x.duckdb")

    assert [(c.name, c.type) for c in found.columns] == [
        ("m", "ENUM"),
        ("s.a, b", "ENUM"),
        ("s.n", "INTEGER"),
        ("l", "ENUM[]"),
    ]


# ---------------------------------------------------------------- what cannot be read


def refusal(source: str) -> str:
    with pytest.raises(Unreadable) as told:
        profile(source)
    return str(told.value)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        pytest.param("nothing.parquet", "nothing.parquet: there is no such file", id="no file"),
        pytest.param("*.parquet", "*.parquet: there is no such file", id="a glob without files"),
        pytest.param(
            "postgres://me:hidden@db/shop", "a password on the command line is there for all", id="a password"
        ),
        pytest.param("env:NO_SUCH", "env:NO_SUCH: there is no such variable", id="no variable"),
    ],
)
def test_what_is_not_there_is_said_with_what_to_do(
    source: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    told = refusal(source)

    assert told.startswith(message)
    assert "hidden" not in told


@pytest.mark.slow  # DuckDB asks for an extension several times
@pytest.mark.parametrize(
    ("source", "extension"),
    [("postgres://db/shop", "postgres"), ("mysql://db/shop", "mysql"), ("s3://lake/x.parquet", "httpfs")],
)
def test_an_extension_that_is_not_there_is_said(
    source: str, extension: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))  # where extensions would be

    told = refusal(source)

    if "extension" not in told and _has_network():
        pytest.skip("this machine reaches extensions.duckdb.org")
    assert told.startswith(f"{source}: DuckDB's extension {extension} is not there")


def _has_network() -> bool:
    try:
        with duckdb.connect() as connection:
            connection.execute("INSTALL httpfs")
    except duckdb.Error:
        return False
    return True


def test_a_name_that_says_nothing_asks_for_the_format(tmp_path: Path) -> None:
    (tmp_path / "orders.dat").write_text("a\n1\n")

    with pytest.raises(Unreadable, match="--format"):
        profile(tmp_path / "orders.dat")
    assert profile(tmp_path / "orders.dat", format="csv").rows == 1


def test_the_folder_of_the_rows_is_gone_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "scratch"))
    (tmp_path / "scratch").mkdir()
    csv(tmp_path / "orders.csv")

    profile(tmp_path / "orders.csv")
    with pytest.raises(Unreadable):
        profile(tmp_path / "nothing.csv")

    assert list((tmp_path / "scratch").iterdir()) == []


# ---------------------------------------------------------------- DataFrames


def test_a_dataframe_of_pandas_is_profiled() -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"id": [1, 2, 3], "name": ["ann", "bob", None], "amount": [2.5, None, -1.0]})

    _is_that_of_the_rows(profiling.profile(frame, "dataset:memory/frame"))


def test_a_dataframe_of_polars_is_profiled() -> None:
    pytest.importorskip("pyarrow")
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame({"id": [1, 2, 3], "name": ["ann", "bob", None], "amount": [2.5, None, -1.0]})

    _is_that_of_the_rows(profiling.profile(frame, "dataset:memory/frame"))


def test_an_arrow_table_is_profiled() -> None:
    arrow = pytest.importorskip("pyarrow")
    frame = arrow.table({"id": [1, 2, 3], "name": ["ann", "bob", None], "amount": [2.5, None, -1.0]})

    _is_that_of_the_rows(profiling.profile(frame, "dataset:memory/frame"))


def _is_that_of_the_rows(found: DatasetProfile) -> None:
    assert (found.rows, found.size) == (3, None)
    assert found.columns[0].of("sum") == 6
    assert found.columns[1].of("null_count") == 1
    assert (found.columns[2].of("min"), found.columns[2].of("null_count")) == (-1.0, 1)


def test_a_relation_of_duckdb_is_no_dataframe_of_this_connection() -> None:
    with pytest.raises(Unreadable, match="a list is nothing that DuckDB reads"):
        profiling.profile([1, 2], "dataset:memory/frame")


# ---------------------------------------------------------------- samples


@pytest.mark.parametrize(
    "name", ["big.duckdb", *(pytest.param(name, marks=pytest.mark.slow) for name in ("big.parquet", "big.csv"))]
)
def test_of_a_sample_counts_are_those_of_all_rows(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    with duckdb.connect(str(file) if name == "big.duckdb" else ":memory:") as connection:
        connection.execute(
            "CREATE TABLE t AS SELECT i AS id, i % 4 AS code, CASE WHEN i % 10 > 0 THEN i / 1.0 END AS x"
            " FROM range(200000) t(i)"
        )
        if name != "big.duckdb":
            connection.execute(f"COPY t TO '{file}'")

    found = profile(file, sample=parsed("10%"))

    columns = {column.name: column for column in found.columns}
    assert found.rows == 200_000
    assert 0.05 < found.sampled < 0.15
    assert columns["x"].of("null_count") == pytest.approx(20_000, rel=0.1)
    assert columns["x"].of("mean") == pytest.approx(100_000, rel=0.05)
    assert columns["id"].of("distinct") == pytest.approx(200_000, rel=0.01)
    assert columns["code"].of("distinct") == 4
    assert any("a sample" in note for note in found.notes)
    assert json.loads(found.to_json())["sampled"] == found.sampled


@pytest.mark.parametrize(
    ("given", "sample"),
    [("1%", Sample(share=0.01)), ("100,000", Sample(rows=100_000)), ("all", Sample(share=1.0))],
)
def test_how_much_is_looked_at_is_said_as_people_say_it(given: str, sample: Sample) -> None:
    assert parsed(given) == sample


@pytest.mark.parametrize("given", ["0%", "200%", "half", "-1", "0", "1.5"])
def test_what_is_no_sample_is_refused(given: str) -> None:
    with pytest.raises(ValueError, match="is no sample"):
        parsed(given)


def test_what_is_very_large_is_sampled_unasked() -> None:
    assert share_of(Sample(), 10**9, 80 << 30) == 1 / 40
    assert share_of(Sample(), 10**9, 4 << 30) == 1
    assert share_of(Sample(share=1.0), 10**9, 80 << 30) == 1
    assert share_of(Sample(rows=10**6), 10**9, 80 << 30) == 0.001
    assert share_of(Sample(), 10**9, None) == 0.05


def test_ranges_are_at_even_distances() -> None:
    where = ranges([10_000], 0.1)

    assert where.startswith("file_row_number BETWEEN 0 AND 99 OR file_row_number BETWEEN 1000 AND 1099")
    assert where.count("BETWEEN") == 10
