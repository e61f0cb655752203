"""Log lines: JSON for machines, colours for people, and nobody's secrets."""

import io
import json
import logging
from collections.abc import Iterator
from datetime import datetime

import pytest

from detector import logs
from detector.config import Log, Secret

WORD = "hunter2"


class Terminal(io.StringIO):
    """A stream that says that a person looks at it."""

    def isatty(self) -> bool:
        return True


def written(log: Log, stream: io.StringIO, **told: object) -> str:
    logs.logger(log, stream).warning("something_happened", **told)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("form", "stream", "json_", "coloured"),
    [
        pytest.param("auto", io.StringIO, True, False, id="auto in a pipe"),
        pytest.param("auto", Terminal, False, True, id="auto on a terminal"),
        pytest.param("json", Terminal, True, False, id="json on a terminal"),
        pytest.param("console", io.StringIO, False, False, id="console in a pipe"),
    ],
)
def test_the_form_of_a_line(form: str, stream: type[io.StringIO], json_: bool, coloured: bool) -> None:
    line = written(Log(format=form), stream(), entity="job:a/b")  # type: ignore[arg-type]

    assert line.count("\n") == 1
    assert (line.startswith("{"), "\x1b[" in line) == (json_, coloured)
    assert "something_happened" in line
    assert "job:a/b" in line


def test_a_line_for_machines_has_a_level_and_a_time_in_utc() -> None:
    line = json.loads(written(Log(), io.StringIO(), count=5, ratio=0.5, names=["ä", "b"]))

    assert datetime.fromisoformat(line.pop("timestamp")).utcoffset() is not None
    assert line == {
        "event": "something_happened",
        "level": "warning",
        "count": 5,
        "ratio": 0.5,
        "names": ["ä", "b"],
    }


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        ("debug", ["debug", "info", "warning", "error"]),
        ("info", ["info", "warning", "error"]),
        ("warning", ["warning", "error"]),
        ("error", ["error"]),
    ],
)
def test_the_least_that_is_written(level: str, expected: list[str]) -> None:
    stream = io.StringIO()
    log = logs.logger(Log(level=level), stream)  # type: ignore[arg-type]
    for name in ("debug", "info", "warning", "error"):
        getattr(log, name)("event")

    assert [json.loads(line)["level"] for line in stream.getvalue().splitlines()] == expected


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_secret_is_never_written(form: str) -> None:
    told = {"bare": Secret(WORD), "within": {"a": [Secret(WORD)]}, "other": object()}

    line = written(Log(format=form), io.StringIO(), **told)  # type: ignore[arg-type]

    assert WORD not in line
    assert "***" in line


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_traceback_shows_where_and_no_local_variable(form: str) -> None:
    stream = io.StringIO()
    word = f"hunt{'er'}2"
    try:
        raise ValueError(f"{len(word)} letters")
    except ValueError as error:
        logs.logger(Log(format=form), stream).error("failed", exc_info=error)  # type: ignore[arg-type]

    assert "test_logs.py" in stream.getvalue()
    assert "ValueError: 7 letters" in stream.getvalue()
    assert WORD not in stream.getvalue()


@pytest.mark.parametrize("name", ["job:a/\x1b[31mred", "job:a/two\nlines", "job:a/\rback"])
@pytest.mark.parametrize("form", ["json", "console"])
def test_a_name_from_outside_cannot_write_to_the_terminal(form: str, name: str) -> None:
    line = written(Log(format=form), Terminal(), entity=name)  # type: ignore[arg-type]

    assert line.count("\n") == 1
    assert "\x1b[31mred" not in line
    assert "\r" not in line


def test_names_in_other_scripts_stay_readable() -> None:
    assert "entity=job:a/übergabe_日報" in written(Log(format="console"), io.StringIO(), entity="job:a/übergabe_日報")


def test_a_silent_logger_writes_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    log = logs.silent()
    log.info("a")
    log.error("b", exc_info=ValueError("c"))

    assert capfd.readouterr() == ("", "")


# ---------------------------------------------------------------- what libraries say


@pytest.fixture
def captured() -> Iterator[io.StringIO]:
    """What is written once the process's own logging is captured; afterwards it is as it was."""
    root, stream = logging.getLogger(), io.StringIO()
    handlers, level = root.handlers[:], root.level
    # `capture` closes the handlers that it replaces: pytest's own must outlive it.
    root.handlers.clear()
    try:
        logs.capture(logs.logger(Log(level="debug"), stream))
        yield stream
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)


@pytest.mark.parametrize(
    ("level", "expected"),
    [(logging.INFO, []), (logging.WARNING, ["warning"]), (logging.ERROR, ["error"]), (logging.CRITICAL, ["error"])],
)
def test_what_a_library_logs_becomes_a_line_of_the_same_shape(
    level: int, expected: list[str], captured: io.StringIO
) -> None:
    logging.getLogger("a.library").log(level, "%d retries", 3)

    lines = [json.loads(line) for line in captured.getvalue().splitlines()]
    assert [line["level"] for line in lines] == expected
    assert all(line.items() >= {"logger": "a.library", "message": "3 retries"}.items() for line in lines)


def test_an_exception_that_a_library_logs_has_its_traceback(captured: io.StringIO) -> None:
    try:
        raise OSError("gone")
    except OSError:
        logging.getLogger("a.library").exception("failed")

    assert "OSError: gone" in json.loads(captured.getvalue())["exception"]


def test_what_a_library_says_over_and_over_is_told_once_in_a_while_with_how_often() -> None:
    stream, now = io.StringIO(), [0.0]
    forward = logs.Forward(logs.logger(Log(), stream), clock=lambda: now[0])
    for second in (0.0, 1.0, 2.0, logs.QUIET):
        now[0] = second
        for text in (f"FAIL client {second}: refused", f"GETPID client {second}: retrying"):
            forward.handle(logging.LogRecord("librdkafka", logging.ERROR, __file__, 1, text, (), None))

    lines = [json.loads(line) for line in stream.getvalue().splitlines()]
    assert [line["message"].split()[0] for line in lines] == ["FAIL", "GETPID", "FAIL", "GETPID"]
    assert [line.get("repeated") for line in lines] == [None, None, 2, 2]


def test_a_line_that_cannot_be_made_ends_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    record = logging.LogRecord("a.library", logging.WARNING, __file__, 1, "%d retries", ("many",), None)

    logs.Forward(logs.logger(Log(), stream)).handle(record)

    assert stream.getvalue() == ""
    assert "Logging error" in capsys.readouterr().err
