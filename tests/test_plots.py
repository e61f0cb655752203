"""Pictures are well-formed, need nothing else, and show what there is, however much or little that is."""

import math
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree

import pytest

from detector.core.models.reading import Reading
from detector.errors import DetectorError
from detector.findings import Finding
from detector.paper import LEFT, RIGHT, WIDTH, save
from detector.plots import MOST_LINES, series, timeline
from detector.series import NOTHING, Judged, Row

SVG = "{http://www.w3.org/2000/svg}"
MONDAY = datetime(2026, 1, 19, tzinfo=UTC).timestamp()
HOUR, DAY = 3_600.0, 86_400.0


def drawn(svg: str, tag: str, kind: str = "") -> list[ElementTree.Element]:
    """The elements of a picture; outside the legend, which stands above all that is drawn."""
    found = [one for one in ElementTree.fromstring(svg).iter(f"{SVG}{tag}") if kind in ("", one.get("class"))]
    return [one for one in found if float(one.get("cy") or one.get("y") or one.get("y1") or 100) > 60]


def words(svg: str) -> list[str]:
    return [one.text or "" for one in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def judged(*values: float | None, alerts: tuple[int, ...] = (), step: float = HOUR) -> list[Judged]:
    said = Reading(0.1, False, 90.0, 100.0, 110.0)
    return [
        Judged(Row("", "", MONDAY + at * step, x), NOTHING if x is None else said._replace(alert=at in alerts))
        for at, x in enumerate(values)
    ]


def finding(entity: str, since: float, until: float | None, check: str = "rows") -> Finding:
    return Finding(entity=entity, check=check, severity="critical", summary="few", since=since, until=until)


def test_a_series_has_its_line_its_band_and_a_dot_for_each_alert() -> None:
    svg = series(judged(100.0, 101.0, None, 30.0, 99.0, 100.0, alerts=(3,)), "rows of orders")

    assert words(svg)[0] == "rows of orders"
    assert {"5 values", "1 alert", "1 missing", "01:00", "03:00", "19 Jan"} <= set(words(svg))
    assert [len(drawn(svg, *what)) for what in (("circle", "alert"), ("polygon", "band"), ("path", "value"))] == [
        1,
        1,
        1,
    ]


def test_notes_stand_above_the_plot_at_their_times() -> None:
    svg = series(judged(*[100.0] * 5), "t", [(MONDAY + HOUR, "a spike"), (MONDAY + 3 * HOUR, "a <drop>")])
    lines = [float(one.attrib["x1"]) for one in drawn(svg, "line", "note")]

    assert {"a spike", "a <drop>"} <= set(words(svg))
    assert [round((x - LEFT) / (WIDTH - LEFT - RIGHT), 2) for x in lines] == [0.25, 0.75]


def test_a_picture_needs_nothing_else_and_is_made_for_light_and_dark() -> None:
    svg = series(judged(1.0, 2.0), "t")

    assert "prefers-color-scheme: dark" in svg
    assert [word for word in ("href", "@import", "<script", "url(http") if word in svg] == []
    assert len(drawn(svg, "rect", "paper")) == 1


def test_where_nothing_is_expected_yet_there_is_no_band() -> None:
    young = Reading(0.0, False, 0.0, 5.0, math.inf)
    svg = series([Judged(Row("", "", MONDAY + at, 5.0), young) for at in range(9)], "t")

    assert drawn(svg, "polygon") == drawn(svg, "path", "expected") == []
    assert "no band known" in words(svg)
    assert "expected" not in words(svg)


@pytest.mark.slow
def test_a_long_series_makes_no_large_picture_and_loses_no_extreme() -> None:
    values = [100.0 + at % 7 for at in range(50_000)]
    values[33_333] = 900.0
    svg = series(judged(*values, step=60.0), "t")
    heights = [float(point.split(",")[1]) for point in drawn(svg, "path", "value")[0].attrib["d"][1:].split()]

    assert len(svg) < 150_000
    assert heights.count(min(heights)) == 1


@pytest.mark.parametrize("values", [(), (None,), (5.0,), (0.0, 0.0), (-3.0, -3.0), (1e300, -1e300), (1e-12, 2e-12)])
def test_whatever_the_values_the_picture_is_whole(values: tuple[float | None, ...]) -> None:
    svg = series(judged(*values), 'a <b> & "c"\x00\x1b')

    assert "nan" not in svg
    assert "inf" not in svg.replace("info", "")
    assert words(svg)[0] == 'a <b> & "c"  '


@pytest.mark.parametrize(
    ("length", "label"),
    [
        pytest.param(9.0, "00:00:05", id="seconds"),
        pytest.param(3 * HOUR, "00:30", id="minutes"),
        pytest.param(5 * DAY, "20 Jan", id="days"),
        pytest.param(60 * DAY, "05 Feb", id="weeks"),
        pytest.param(300 * DAY, "Mar 2026", id="months"),
        pytest.param(5_000 * DAY, "2030", id="years"),
    ],
)
def test_times_are_round_and_few(length: float, label: str) -> None:
    svg = series(judged(1.0, 2.0, step=length), "t")
    labels = [one for one in drawn(svg, "text") if one.get("text-anchor") == "middle"]

    assert label in words(svg)
    assert 2 <= len(labels) <= 11


@pytest.mark.parametrize(
    ("high", "label"),
    [(0.02, "0.015"), (8.0, "6"), (2_000.0, "1500"), (45_000.0, "20k"), (3e6, "2.0M"), (3e7, "20M"), (5.0, "0")],
)
def test_heights_are_round_and_short(high: float, label: str) -> None:
    assert label in words(series(judged(0.0, high), "t"))


def test_a_timeline_has_a_line_for_each_check_of_each_entity_and_a_bar_for_each_episode() -> None:
    found = [
        finding("job:a/b", MONDAY, MONDAY + DAY),
        finding("job:a/b", MONDAY + 2 * DAY, None),
        finding("job:a/b", MONDAY, None, check="bytes"),
    ]
    svg = timeline(found, MONDAY, MONDAY + 4 * DAY, "3 anomalies")
    bars = drawn(svg, "rect", "critical")

    assert {"job:a/b · rows", "job:a/b · bytes", "20 Jan"} <= set(words(svg))
    assert len(bars) == 3
    assert max(float(bar.attrib["x"]) + float(bar.attrib["width"]) for bar in bars) == 976.0


def test_a_timeline_shows_the_lines_with_the_most_episodes_and_says_how_many_it_does_not() -> None:
    found = [finding(f"job:a/{at}", MONDAY, None) for at in range(MOST_LINES + 5)]
    found.append(finding(f"job:a/{MOST_LINES + 4}", MONDAY + 5, None))
    told = words(timeline(found, MONDAY, MONDAY + DAY, "t"))

    assert "5 more lines, with fewer episodes, are not shown" in told
    assert f"job:a/{MOST_LINES + 4} · rows" in told


def test_a_timeline_of_nothing_says_so() -> None:
    assert "no anomalies" in words(timeline([], 0.0, 0.0, "t"))


def test_a_picture_that_cannot_be_saved_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(DetectorError, match=r"nowhere.*cannot be written"):
        save("", str(tmp_path / "nowhere" / "plot.svg"))
