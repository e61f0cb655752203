"""A series in a CSV is judged row by row, as the model would have judged it live, and nothing is guessed."""

import gzip
import io
import math
from pathlib import Path

import pytest

from detector.config import zone
from detector.core.calendar import Calendar
from detector.core.models.reading import Reading
from detector.errors import DetectorError
from detector.series import NOTHING, Episode, Judged, Row, episodes, judge, read, write, write_file

MIDNIGHT = 1_388_534_400.0  # 2014-01-01 in UTC


class Doubled:
    """A model that knows the last value only: more than twice that is an alert."""

    def __init__(self) -> None:
        self.seen: list[tuple[float, float]] = []

    def judge_one(self, at: float, x: float) -> Reading:
        last = self.seen[-1][1] if self.seen else math.inf
        self.seen.append((at, x))
        return Reading(0.9 if x > 2 * last else 0.1, x > 2 * last, -math.inf, last, 2 * last)


def csv(tmp_path: Path, text: str, name: str = "series.csv") -> str:
    path = tmp_path / name
    path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
    return str(path)


def rows(*values: float | None) -> list[Row]:
    """A row an hour."""
    return [Row(f"{at}", "" if x is None else f"{x}", at * 3_600.0, x) for at, x in enumerate(values)]


def alerts(flags: str) -> list[Judged]:
    """A row an hour: `x` is an alert, `.` is none, and a space is a value that is missing."""
    said = Reading(0.1, False, 0.0, 1.0, 2.0)
    return [
        Judged(row, NOTHING if flag == " " else said._replace(alert=flag == "x", score=0.5 + 0.01 * row.at / 3_600))
        for row, flag in zip(rows(*(None if flag == " " else 1.0 for flag in flags)), flags, strict=True)
    ]


# ---------------------------------------------------------------- reading


@pytest.mark.parametrize(
    ("time", "at"),
    [
        pytest.param("2014-01-01 00:05:00", MIDNIGHT + 300, id="without an offset it is UTC"),
        pytest.param("2014-01-01T00:05:00Z", MIDNIGHT + 300, id="ISO 8601 in UTC"),
        pytest.param("2014-01-01T01:05:00.250+01:00", MIDNIGHT + 300.25, id="ISO 8601 with an offset"),
        pytest.param("2014-01-01", MIDNIGHT, id="a day"),
        pytest.param("1388534700", MIDNIGHT + 300, id="seconds since 1970"),
        pytest.param(" 1388534700.5 ", MIDNIGHT + 300.5, id="seconds with a fraction and blanks around"),
    ],
)
def test_a_time_is_read_as_iso_8601_or_as_seconds(tmp_path: Path, time: str, at: float) -> None:
    assert read(csv(tmp_path, f"timestamp,value\n{time},5\n")) == [Row(time, "5", at, 5.0)]


@pytest.mark.parametrize("missing", ["0,", "0,  ", "0,nan", "0", "0,inf"])
def test_an_empty_value_is_missing(tmp_path: Path, missing: str) -> None:
    assert [row.x for row in read(csv(tmp_path, f"timestamp,value\n{missing}\n1,7\n"))] == [None, 7.0]


def test_other_columns_blank_lines_and_what_spreadsheets_add_do_not_disturb(tmp_path: Path) -> None:
    text = '\ufefflabel,when , rows\r\n"a, b",0,5\r\n\r\n,1,-6e2\r\n,,\r\n'

    assert [row.x for row in read(csv(tmp_path, text), "when", "rows")] == [5.0, -600.0]


def test_gzip_is_read_by_name(tmp_path: Path) -> None:
    assert read(csv(tmp_path, "timestamp,value\n0,5\n", "series.csv.gz")) == [Row("0", "5", 0.0, 5.0)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("ts,value\n", r"no column 'timestamp'; there are 'ts', 'value'; choose with --time", id="time"),
        pytest.param("timestamp,x,y\n", r"no column 'value'; there are 'timestamp', 'x', 'y'.*--value", id="value"),
        pytest.param("", "no column 'timestamp'; there are none, the file is empty", id="nothing"),
        pytest.param("timestamp,value\n0,1\nsoon,2\n", "line 3: 'soon' is no time: write ISO 8601", id="a bad time"),
        pytest.param("timestamp,value\n\n,2\n", "line 3: '' is no time", id="no time, after a blank line"),
        pytest.param("timestamp,value\n1388534700000,2\n", "line 2: .* are these milliseconds?", id="milliseconds"),
        pytest.param("timestamp,value\n-1,2\n", "line 2: '-1' is no time", id="before 1970"),
        pytest.param("timestamp,value\nnan,2\n", "line 2: 'nan' is no time", id="no number"),
        pytest.param("timestamp,value\n0,5 rows\n", "line 2: '5 rows' is no number; leave it empty", id="a bad value"),
        pytest.param("value,timestamp\n5\n", "line 2: has no column 'timestamp'", id="a short line"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_line_or_the_columns(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DetectorError, match=rf"series\.csv: .*{message}"):
        read(csv(tmp_path, text))


def test_a_file_that_is_no_text_or_not_there_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\xff\xfe")
    for name in ("picture.csv", "nowhere.csv"):
        with pytest.raises(DetectorError, match=rf"{name}: cannot be read"):
            read(str(tmp_path / name))


# ---------------------------------------------------------------- judging


def test_the_model_sees_each_value_once_in_the_order_of_time_and_no_missing_one() -> None:
    model, given = Doubled(), rows(1.0, None, 3.0, 2.0)
    shuffled = [given[2], given[0], given[3], given[1]]

    judged = judge(shuffled, model)

    assert model.seen == [(0.0, 1.0), (7_200.0, 3.0), (10_800.0, 2.0)]
    assert [one.row for one in judged] == shuffled
    assert [one.reading.alert for one in judged] == [True, False, False, False]
    assert judged[3].reading == NOTHING


def test_the_model_sees_what_the_clock_on_the_wall_shows() -> None:
    model = Doubled()
    judge(rows(1.0, 2.0), model, Calendar(zone("Asia/Kolkata")))

    assert [at for at, _ in model.seen] == [19_800.0, 23_400.0]


@pytest.mark.parametrize(
    ("flags", "found"),
    [
        pytest.param("....", [], id="no alert, no episode"),
        pytest.param(".x..x.", [(1, 1, 1), (4, 4, 1)], id="a good value ends an episode"),
        pytest.param(".xxx.", [(1, 3, 3)], id="alerts that follow each other are one"),
        pytest.param(".x x.", [(1, 3, 2)], id="a missing value says nothing, so it ends nothing"),
        pytest.param("..xx", [(2, 3, 2)], id="an episode may last to the end"),
    ],
)
def test_alerts_are_told_as_episodes(flags: str, found: list[tuple[int, int, int]]) -> None:
    def place(one: Judged) -> int:
        return int(one.row.at / 3_600)

    assert [(place(e.first), place(e.last), e.rows) for e in episodes(alerts(flags))] == found


def test_an_episode_shows_its_worst_row_and_is_the_same_whatever_the_order_of_the_rows() -> None:
    judged = alerts(".xxx.")

    assert episodes(reversed(judged)) == episodes(judged) == [Episode(judged[1], judged[3], judged[3], 3)]


# ---------------------------------------------------------------- writing


def test_each_row_is_written_with_its_texts_and_what_is_not_known_is_empty() -> None:
    said = Reading(score=0.75, alert=True, lower=-math.inf, expected=2.0, upper=4.123456789012)
    out = io.StringIO()

    write([Judged(Row("1 Jan, 14", "05.0", 0.0, 5.0), said), Judged(Row("x", "", 1.0, None), NOTHING)], out)

    assert out.getvalue().splitlines() == [
        "timestamp,value,score,expected,lower,upper,alert",
        '"1 Jan, 14",05.0,0.75,2,,4.12345679,1',
        "x,,0,,,,0",
    ]


def test_a_file_that_cannot_be_written_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"nowhere.*cannot be written"):
        write_file([], str(tmp_path / "nowhere" / "scores.csv"))
