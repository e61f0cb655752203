"""Of an error stay its class and the words that errors are made of: no row, key, name or password."""

import pytest

from detector.redaction import LONGEST_ERROR, first_line


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        pytest.param("KeyError: 'Miller'\n  at row 17", "KeyError: '?'", id="what is quoted goes, and all but a line"),
        pytest.param("Cannot parse value: Miller, Anna", "Cannot parse value: ?", id="so does what is not quoted"),
        pytest.param("Failed to read row miller, 12", "Failed to read row ?, #", id="in small letters, too"),
        pytest.param("the value Miller is not allowed", "the value ? is not allowed", id="and in the middle"),
        pytest.param("Connection refused", "Connection refused", id="what says what happened stays"),
        pytest.param(
            "psycopg.errors.UniqueViolation: Key (email)=(a@b.c) exists",
            "psycopg.errors.UniqueViolation: Key (email)=? exists",
            id="a class that does not end in Error is of known words",
        ),
        pytest.param(
            "Job aborted: java.lang.NullPointerException: null",
            "Job aborted: java.lang.NullPointerException: null",
            id="the class of the cause stays",
        ),
        pytest.param("cannot log in to postgres://ann:pw@db/x", "cannot log in to postgres://db/?", id="no login"),
        pytest.param("müller 山田 failed", "? failed", id="names of all alphabets"),
        pytest.param("Miller", "?", id="nothing but data"),
        pytest.param(" \n", None, id="nothing"),
        pytest.param(
            "AirflowFailException: dataset:shop/orders may not go on: open for 2 s: rows: 503 rows",
            "stopped by a breaker of Detector",
            id="a refusal of ours is known",
        ),
    ],
)
def test_of_an_error_stays_what_is_no_data(error: str, kept: str | None) -> None:
    assert first_line(error) == kept


def test_an_error_of_megabytes_is_short_and_quickly_read() -> None:
    assert len(first_line("error " * 1_000_000) or "") == LONGEST_ERROR


def test_what_was_kept_once_is_kept_again() -> None:
    once = first_line("psycopg.Error: row Miller (a, b) of 'x' = 5, then 7 of quuxen.schnee@x; see line 3")

    assert first_line(once) == once
