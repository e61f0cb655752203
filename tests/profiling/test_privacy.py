"""A value that is planted in the data is in nothing that leaves: profiles, errors, screens, topics."""

import hashlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from typer.testing import CliRunner, Result

from detector import profiling
from detector.__main__ import app
from detector.core.text import value_hash
from detector.errors import Unreadable
from detector.profiling.asked import asks_of
from detector.profiling.hashing import STRANGER, Hasher

CANARY = "canary-4111111111111111"
KEY = b"0123456789abcdef-of-the-tests"


def command(*arguments: str, key: bool = True) -> Result:
    env = {"COLUMNS": "200", "DETECTOR_PROFILE__KEY": KEY.decode() if key else ""}
    return CliRunner().invoke(
        app, ["profile", *arguments], prog_name="detector", env=env if key else {"COLUMNS": "200"}
    )


def csv(path: Path) -> None:
    path.write_text("id,card\n" + "".join(f"{i},{CANARY}\n" for i in range(50)))


def torn_csv(path: Path) -> None:
    path.write_text("id,n\n" + "".join(f"{i},1\n" for i in range(30_000)) + f'30000,"{CANARY}\n')


def ragged_csv(path: Path) -> None:
    path.write_text("id,n\n" + "".join(f"{i},1\n" for i in range(30_000)) + f"1,{CANARY},{CANARY},{CANARY}\n")


def json_lines(path: Path) -> None:
    path.write_text("".join(json.dumps({"id": i, "card": {"number": CANARY}}) + "\n" for i in range(50)))


def torn_json(path: Path) -> None:
    path.write_text(json.dumps({"id": 1, "card": CANARY}) + "\n" + f'{{"id": {CANARY}')


def parquet(path: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute(
            f"COPY (SELECT i AS id, '{CANARY}' AS card FROM range(50) t(i)) TO '{path}' (FORMAT parquet)"
        )


def torn_parquet(path: Path) -> None:
    parquet(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:60] + b"\xff" * 40 + whole[100:])


def cut_parquet(path: Path) -> None:
    parquet(path)
    path.write_bytes(path.read_bytes()[:-30])


def duck(path: Path) -> None:
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"CREATE TYPE card AS ENUM ('{CANARY}')")
        connection.execute(f"CREATE TABLE t AS SELECT i AS id, '{CANARY}'::card AS card FROM range(50) t(i)")


def sqlite(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (id INTEGER, card)")
        connection.executemany("INSERT INTO t VALUES (?, ?)", [(i, CANARY) for i in range(50)])
    connection.close()


def torn_sqlite(path: Path) -> None:
    sqlite(path)
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + b"\xff" * 100 + whole[4196:])


MADE: dict[str, Callable[[Path], None]] = {
    "whole.csv": csv,
    "torn.csv": torn_csv,
    "ragged.csv": ragged_csv,
    "whole.jsonl": json_lines,
    "torn.jsonl": torn_json,
    "whole.parquet": parquet,
    "torn.parquet": torn_parquet,
    "cut.parquet": cut_parquet,
    "whole.duckdb": duck,
    "whole.sqlite": sqlite,
    "torn.sqlite": torn_sqlite,
}


@pytest.mark.parametrize("name", MADE)
@pytest.mark.parametrize(
    "key", [pytest.param(True, id="with a key", marks=pytest.mark.slow), pytest.param(False, id="without a key")]
)
def test_no_value_leaves(name: str, key: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    MADE[name](tmp_path / name)

    for output in ([], ["--json"], ["--out", "profile.json", "--dataset", "dataset:file/x"]):
        result = command(name, *output, key=key)

        said = result.output + (Path("profile.json").read_text() if Path("profile.json").exists() else "")
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            assert isinstance(result.exception, Unreadable)
            said += str(result.exception)
        assert said
        for secret in (CANARY, CANARY[:12], hashlib.blake2b(CANARY.encode(), digest_size=8).hexdigest()):
            assert secret not in said


@pytest.mark.parametrize("name", [name for name in MADE if name.startswith("whole")])
def test_a_frequent_value_is_known_by_its_keyed_hash(name: str, tmp_path: Path) -> None:
    MADE[name](tmp_path / name)

    found = profiling.profile(tmp_path / name, "dataset:file/x", key=KEY)

    assert found.columns[1].top == {Hasher(KEY).of(CANARY): 50.0}


def test_without_a_key_it_is_said_how_to_have_frequent_values(tmp_path: Path) -> None:
    csv(tmp_path / "x.csv")

    found = profiling.profile(tmp_path / "x.csv", "dataset:file/x")

    assert [column.top for column in found.columns] == [{}, {}]
    assert "openssl rand -hex 32" in found.notes[-1]


def test_a_query_that_is_wrong_is_told_and_a_value_that_it_meets_is_not(tmp_path: Path) -> None:
    csv(tmp_path / "x.csv")

    wrong = command(str(tmp_path / "x.csv"), "--query", "SELECT nothing FROM data")
    meets = command(str(tmp_path / "x.csv"), "--query", "SELECT card::INTEGER FROM data")

    assert 'Referenced column "nothing" not found' in str(wrong.exception)
    assert isinstance(meets.exception, Unreadable)
    assert CANARY not in str(meets.exception)


def test_of_private_columns_only_counts_are_told(tmp_path: Path) -> None:
    csv(tmp_path / "x.csv")

    found = profiling.profile(tmp_path / "x.csv", "dataset:file/x", key=KEY, private=["ca*", "id"])

    assert [set(column.statistics) for column in found.columns] == [{"count", "null_count", "distinct"}] * 2
    assert [column.top for column in found.columns] == [{}, {}]


def test_a_short_key_is_refused() -> None:
    with pytest.raises(ValueError, match="16 are the least"):
        Hasher(b"short")


def test_keys_make_different_hashes_and_the_same_key_the_same() -> None:
    assert Hasher(KEY).of("x") == Hasher(KEY).of("x") != Hasher(KEY + b"!").of("x")
    assert Hasher(KEY).of("x") != value_hash("x")


@pytest.mark.parametrize("key", [KEY, None], ids=["with a key", "without a key"])
def test_declared_values_are_known_to_the_check_and_others_are_not(key: bytes | None) -> None:
    declared = asks_of(None, "dataset:a/b", {}).of("status")
    declared.in_set = frozenset({value_hash("new"), value_hash("paid")})

    top = Hasher(key).top([("paid", 5.0), ("new", 3.0), (CANARY, 2.0), ("other", 1.0)], declared.in_set)

    assert top[value_hash("paid")] == 5.0
    assert sum(top.values()) == 11.0
    assert (STRANGER in top) == (key is None)
    assert value_hash(CANARY) not in top
