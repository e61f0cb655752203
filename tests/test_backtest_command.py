"""`detector backtest` as it is typed: histories, series, comparisons, pictures; and what it refuses."""

import csv
import io
import json
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import pytest
from rich.console import Console
from typer.testing import CliRunner, Result

from detector.__main__ import app
from detector.commands import histories
from detector.core.models.baseline import Baseline
from detector.core.models.reading import Reading
from detector.findings import Finding, compare
from detector.series import Judged, Row, episodes

SAMPLES = Path(__file__).parent / "samples" / "openlineage"
HISTORY = str(SAMPLES / "client-first-20-days.jsonl")


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that no configuration is found."""
    monkeypatch.chdir(tmp_path)


def backtest(*arguments: str, input: bytes | None = None) -> Result:  # noqa: A002
    """Run the command, as if its output went into a pipe."""
    return CliRunner().invoke(app, ["backtest", *arguments], prog_name="detector", env={"COLUMNS": "120"}, input=input)


def series() -> str:
    """Daily values that hardly vary for 100 days, none on day 50, and a tenth of them on day 90."""
    lines = [f"2026-{1 + day // 28:02}-{1 + day % 28:02},{1_000 + 7 * (day % 5)}" for day in range(100)]
    lines[50], lines[90] = lines[50].partition(",")[0] + ",", lines[90].partition(",")[0] + ",100"
    return "\n".join(["day,rows", *lines, ""])


def screen(width: int = 120) -> Console:
    return Console(file=io.StringIO(), width=width, color_system=None, force_terminal=True, markup=False)


def shown(console: Console) -> list[str]:
    assert isinstance(console.file, io.StringIO)
    return [" ".join(line.split()) for line in console.file.getvalue().splitlines()]


# ---------------------------------------------------------------- a series


def test_each_row_of_a_series_is_written_with_its_score() -> None:
    Path("in.csv").write_text(series())

    result = backtest("--csv", "in.csv", "--time", "day", "--value", "rows", "--out", "scores.csv")

    rows = list(csv.DictReader(Path("scores.csv").read_text().splitlines()))
    assert result.exit_code == 0
    assert [f"{row['timestamp']},{row['value']}" for row in rows] == series().splitlines()[1:]
    assert {at: row["alert"] for at, row in enumerate(rows) if row["alert"] != "0"} == {90: "1"}
    assert all(0 <= float(row["score"]) <= 1 for row in rows)
    assert 100 < float(rows[90]["lower"]) < float(rows[90]["expected"]) < float(rows[90]["upper"])
    assert (rows[50]["score"], rows[50]["expected"], rows[50]["lower"], rows[50]["upper"]) == ("0", "", "", "")


@pytest.mark.parametrize(("said", "often"), [([], 4_000.0), (["--metric", "rows"], 0.0)], ids=["not", "rows"])
def test_often_is_telemetry_unless_it_is_said_what_it_is(said: list[str], often: float) -> None:
    hours = [(1_767_225_600.0 + 3_600 * n, 1_000.0 + n * 37 % 90) for n in range(300)]
    text = "timestamp,value\n" + "".join(f"{at},{x}\n" for at, x in hours)
    told = backtest("--csv", "-", "--out", "-", *said, input=text.encode()).stdout
    model = Baseline(dense_below=often)

    scores = [float(row["score"]) for row in csv.DictReader(io.StringIO(told))]
    assert scores == pytest.approx([model.judge_one(at, x).score for at, x in hours], abs=1e-8)


def test_a_series_is_told_to_people_by_its_alerts() -> None:
    result = backtest("--csv", "-", "--time", "day", "--value", "rows", "--metric", "rows", input=series().encode())

    assert result.exit_code == 0
    assert "2026-04-07" in result.stdout
    assert result.stdout.endswith("100 rows, 1 without a value. 1 anomaly in 1 row.\n")


def test_a_series_is_told_to_programs_in_lines_of_json() -> None:
    result = backtest("--csv", "-", "--time", "day", "--value", "rows", "--json", input=series().encode())

    episode, last = [json.loads(line) for line in result.stdout.splitlines()]
    assert (episode["from"], episode["to"], episode["worst"]["value"]) == ("2026-04-07", "2026-04-07", 100.0)
    assert episode["worst"]["lower"] > 100
    assert last["summary"] == {"metric": "value", "rows": 100, "missing": 1, "alerts": 1, "episodes": 1}


def test_scores_go_into_a_pipe_when_asked() -> None:
    result = backtest("--csv", "-", "--time", "day", "--value", "rows", "--out", "-", input=series().encode())

    assert len(list(csv.DictReader(result.stdout.splitlines()))) == 100


def test_the_model_of_the_configuration_judges() -> None:
    Path("wide.yaml").write_text("detection: {model: {kind: baseline, effect: 100.0}}")
    result = backtest(
        "--csv", "-", "--time", "day", "--value", "rows", "--config", "wide.yaml", input=series().encode()
    )

    assert result.stdout == "100 rows, 1 without a value. No anomalies.\n"


def test_the_calendar_of_the_configuration_holds_for_a_series() -> None:
    """The tenth of the usual rows is of 7 April, which is as quiet here as each Sunday."""
    days = [line.split(",") for line in series().splitlines()]
    quiet = [
        day if day == "day" else f"{day},{100 if date.fromisoformat(day).weekday() == 6 else x}" for day, x in days
    ]
    quiet[0] = "day,rows"
    Path("in.csv").write_text("\n".join(quiet))
    Path("with.yaml").write_text("detection: {calendar: {dates: [04-07]}}")

    told = [
        backtest("--csv", "in.csv", "--time", "day", "--value", "rows", "--metric", "rows", *more).stdout
        for more in ([], ["--config", "with.yaml"])
    ]

    assert "2026-04-07" in told[0]
    assert "2026-04-07" not in told[1]


def test_a_column_that_is_not_there_is_an_error_that_names_those_that_are() -> None:
    Path("in.csv").write_text(series())

    result = backtest("--csv", "in.csv")

    assert result.exit_code == 1
    assert "in.csv: no column 'timestamp'; there are 'day', 'rows'" in str(result.exception)


def test_seconds_since_1970_are_shown_as_dates_and_only_the_worst_of_very_many() -> None:
    said = Reading(0.6, True, 1.0, 2.0, 3.0, "level")
    good = said._replace(score=0.1, alert=False)
    judged = [Judged(Row(f"{at}", "9", float(at), 9.0), good if at % 2 else said) for at in range(400)]
    judged[200] = judged[200]._replace(reading=said._replace(score=0.9))
    console = screen()

    histories.show_series(judged, episodes(judged), "rows", as_json=False, screen=console)

    lines = shown(console)
    assert lines[0] == "from to length rows expected score cause"
    assert "1970-01-01 00:03:20 1970-01-01 00:03:20 1 9 1 to 3 0.90 level" in lines
    assert lines[-1] == "400 rows. 200 anomalies in 200 rows. The 50 with the highest scores are shown."
    assert len(lines) == 53


@pytest.mark.parametrize(
    ("lower", "upper", "told"),
    [
        (9_400.0, 11_800.5, "9,400 to 11,800.5"),
        (float("-inf"), 3e7, "at most 30,000,000"),
        (0.0012345678, float("inf"), "at least 0.00123457"),
        (float("-inf"), float("inf"), "any"),
    ],
)
def test_a_band_is_told_by_the_sides_that_it_has(lower: float, upper: float, told: str) -> None:
    assert histories.band(lower, upper) == told


# ---------------------------------------------------------------- two configurations


def test_what_another_configuration_finds_instead_goes_to_programs_in_lines_of_json() -> None:
    Path("strict.yaml").write_text("rules: [{match: 'job:nightly/*', max_duration: 1m}]")

    result = backtest("--compare", "strict.yaml", HISTORY)

    *compared, last = [json.loads(line) for line in result.stdout.splitlines()]
    assert {one["found_by"] for one in compared} == {"b", "both"}
    assert {one["check"] for one in compared if one["found_by"] == "b"} == {"hanging"}
    assert {one["check"] for one in compared if one["found_by"] == "both"} == {"failed", "aborted"}
    assert all(one["a"] == [] and one["b"] for one in compared if one["found_by"] == "b")
    only_b = len(compared) - 4
    assert last["summary"] == {"a": "the defaults", "b": "strict.yaml", "only_a": 0, "only_b": only_b, "both": 4}


@pytest.mark.slow
def test_a_configuration_compared_with_itself_finds_the_same() -> None:
    Path("detector.yaml").write_text("{}")

    result = backtest("--compare", "detector.yaml", "--json", HISTORY)

    last = json.loads(result.stdout.splitlines()[-1])["summary"]
    assert last == {"a": "detector.yaml", "b": "detector.yaml", "only_a": 0, "only_b": 0, "both": 4}


def test_people_see_first_what_only_one_has_found() -> None:
    def finding(entity: str, severity: str = "warning") -> Finding:
        return Finding(entity=entity, check="rows", severity=severity, summary="few [bold]", since=0.0)  # type: ignore[arg-type]

    a, b = [finding("job:a/1"), finding("job:a/2")], [finding("job:a/2", "critical"), finding("job:a/3")]
    console = screen()

    histories.show_compared(compare(a, b), "a.yaml", "b.yaml", as_json=False, screen=console)

    assert shown(console) == [
        "A is a.yaml, B is b.yaml.",
        "found by when (UTC) entity check severity what was found",
        "only A 01 Jan 00:00 job:a/1 rows warning few [bold]",
        "only B 01 Jan 00:00 job:a/3 rows warning few [bold]",
        "both 01 Jan 00:00 job:a/2 rows warning / critical few [bold]",
        "Only A: 1. Only B: 1. Both: 1.",
    ]


# ---------------------------------------------------------------- histories and pictures


def test_findings_are_told_once_more_in_a_table() -> None:
    console = screen()

    histories.show_findings(
        [Finding(entity="job:a/b", check="rows", severity="critical", summary="few", since=1_793_498_551.0)], console
    )

    assert shown(console) == [
        "",
        "when (UTC) entity check severity what was found",
        "01 Nov 02:02 job:a/b rows critical few",
    ]


def test_no_findings_make_no_table() -> None:
    console = screen()

    histories.show_findings([], console)

    assert shown(console) == []


def test_a_history_and_a_series_can_be_drawn() -> None:
    Path("in.csv").write_text(series())

    of_events = backtest(HISTORY, "--plot", "events.svg")
    of_series = backtest("--csv", "in.csv", "--time", "day", "--value", "rows", "--plot", "series.svg")

    assert (of_events.exit_code, of_series.exit_code) == (0, 0)
    titles = [ElementTree.parse(name).getroot()[0].text for name in ("events.svg", "series.svg")]
    assert titles == ["4 anomalies in client-first-20-days.jsonl", "value of in.csv"]


def test_an_empty_history_can_be_drawn() -> None:
    assert backtest("-", "--plot", "events.svg", input=b"").exit_code == 0
    assert Path("events.svg").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param([], "what is the history", id="nothing to judge"),
        pytest.param(["--csv", "-", HISTORY], "FILE... cannot go with --csv", id="events and a series"),
        pytest.param(["--csv", "-", "--compare", HISTORY], "--compare cannot go with --csv", id="a series compared"),
        pytest.param([HISTORY, "--compare", HISTORY, "--plot", "x.svg"], "--plot cannot go with", id="drawn compared"),
        pytest.param([HISTORY, "--out", "x.csv"], "--out is for a series", id="scores of events"),
        pytest.param([HISTORY, "--value", "x"], "are for a series", id="columns of events"),
        pytest.param(["--csv", "nowhere.csv"], "nowhere.csv is no file", id="a series that is not there"),
        pytest.param([HISTORY, "--compare", "nowhere.yaml"], "nowhere.yaml is no file", id="no configuration"),
    ],
)
def test_what_does_not_go_together_is_refused(arguments: list[str], message: str) -> None:
    result = backtest(*arguments, input=b"")

    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", " ").split())
