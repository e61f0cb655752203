"""Calendars of others as windows: what Google and Outlook export, rules of recurrence, errors that name the line."""

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given
from hypothesis import strategies as st

from detector.config import zone
from detector.core.windows import FOREVER, Recurrence, Window, is_active
from detector.errors import CalendarError
from detector.ical import Wanted, read, read_file

SAMPLES = Path(__file__).parent / "samples" / "ical"
ZONES = {name: zone(name) for name in ("UTC", "Europe/Berlin", "America/New_York")}
HOUR, DAY = 3_600.0, 86_400.0


def utc(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


NOW = utc("2026-01-15")
JOBS = Wanted("job:warehouse/*", NOW)


def calendar(*events: str, head: str = "") -> str:
    """A calendar of these events, each given by its lines but for BEGIN, END and UID."""
    texts = [f"BEGIN:VEVENT\nUID:e{number}\n{event}\nEND:VEVENT\n" for number, event in enumerate(events, 1)]
    return f"BEGIN:VCALENDAR\nVERSION:2.0\nPRODID:-//test//EN\n{head}{''.join(texts)}END:VCALENDAR\n"


def windows(*lines: str, wanted: Wanted = JOBS, head: str = "") -> list[Window]:
    """The windows of one event."""
    return read(calendar("\n".join(lines), head=head), wanted)


def told(found: list[Window]) -> list[tuple[str, str]]:
    """From when until when the windows are, in UTC."""
    return [(_told(window.start), _told(window.end)) for window in found]


def _told(at: float) -> str:
    return f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M}"


# ---------------------------------------------------------------- what is exported


def test_a_calendar_of_google() -> None:
    found = read_file(SAMPLES / "google.ics", JOBS)
    weekly, late, upgrade, moved, *closes = found

    assert weekly == Window(
        id="3kq8v1m2n4p5r6s7t8u9@google.com",
        match="job:warehouse/*",
        start=utc("2026-01-04 01:00"),
        recurrence=Recurrence(
            days=(6,), at="02:00", lasts=2 * HOUR, without=("2026-01-18", "2026-01-25", "2026-02-01")
        ),
        zone="Europe/Berlin",
        reason="Warehouse: weekly vacuum",
        owner="Data platform",
    )
    assert (late.id, late.reason) == (f"{weekly.id}/2026-02-01T02:00", "Warehouse: weekly vacuum (late)")
    assert told([late, upgrade, moved]) == [
        ("2026-02-01 21:00", "2026-02-01 23:30"),
        ("2026-01-20 21:00", "2026-01-21 01:00"),
        ("2026-02-13 23:00", "2026-02-15 23:00"),
    ]
    assert {window.reason for window in closes} == {"Month-end close"}
    assert told(closes)[:3] == [
        ("2026-02-04 22:00", "2026-02-05 00:00"),
        ("2026-03-04 22:00", "2026-03-05 00:00"),
        ("2026-04-01 21:00", "2026-04-01 23:00"),
    ]


def test_a_calendar_of_outlook() -> None:
    locked, *firmware, closed = read_file(SAMPLES / "outlook.ics", Wanted("*", NOW, "America/New_York", "it", "mute"))

    assert locked.recurrence == Recurrence(
        days=(0, 1, 2, 3, 4),
        at="18:00",
        lasts=HOUR / 2,
        until=utc("2026-03-31 22:00"),
        without=("2026-01-06", "2026-01-07"),
    )
    assert (locked.zone, locked.owner, locked.kind) == ("America/New_York", "Byron, Ada", "mute")
    assert locked.id.endswith("00000010000000A1B2C3D4E5F60718293A4B5C6D7E8F90")
    assert told(firmware) == [("2026-01-24 14:00", "2026-01-24 16:00"), ("2026-02-07 14:00", "2026-02-07 16:00")]
    assert told([closed]) == [("2026-01-19 05:00", "2026-01-20 05:00")]
    assert closed.owner == "it"


@pytest.mark.parametrize("name", ["google.ics", "outlook.ics"])
def test_reading_again_gives_the_same_ids(name: str) -> None:
    first = {window.id for window in read_file(SAMPLES / name, JOBS)}
    later = [window.id for window in read_file(SAMPLES / name, Wanted("*", NOW + 7 * DAY))]

    assert len(set(later)) == len(later)
    assert len(set(later) - first) <= 1


# ---------------------------------------------------------------- single events


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param(
            ["DTSTART:20260201T100000Z", "DTEND:20260201T113000Z"],
            ("2026-02-01 10:00", "2026-02-01 11:30"),
            id="in UTC",
        ),
        pytest.param(
            ["DTSTART:20260201T100000Z", "DURATION:PT1H30M"], ("2026-02-01 10:00", "2026-02-01 11:30"), id="for so long"
        ),
        pytest.param(
            ["DTSTART;TZID=Europe/Berlin:20260701T100000", "DTEND;TZID=America/New_York:20260701T060000"],
            ("2026-07-01 08:00", "2026-07-01 10:00"),
            id="from one zone to another",
        ),
        pytest.param(["DTSTART;VALUE=DATE:20260201"], ("2026-02-01 00:00", "2026-02-02 00:00"), id="a day"),
        pytest.param(
            ["DTSTART;VALUE=DATE:20260201", "DTEND;VALUE=DATE:20260204"],
            ("2026-02-01 00:00", "2026-02-04 00:00"),
            id="days",
        ),
        pytest.param(
            ["DTSTART;TZID=Europe/Berlin:20260328T220000", "DTEND;TZID=Europe/Berlin:20260329T040000"],
            ("2026-03-28 21:00", "2026-03-29 02:00"),
            id="in the night in which the clock goes forward",
        ),
        pytest.param(
            ["DTSTART;TZID=W. Europe Standard Time:20260201T100000", "DURATION:PT1H"],
            ("2026-02-01 09:00", "2026-02-01 10:00"),
            id="in a zone by Windows' name",
        ),
        pytest.param(
            ["DTSTART;TZID=/mozilla.org/20050126_1/Europe/Berlin:20260201T100000", "DURATION:PT1H"],
            ("2026-02-01 09:00", "2026-02-01 10:00"),
            id="in a zone with a prefix",
        ),
        pytest.param(
            ["DTSTART:20260110T100000Z", "DTEND:20260115T000001Z"],
            ("2026-01-10 10:00", "2026-01-15 00:00"),
            id="under way",
        ),
    ],
)
def test_an_event_is_a_window_that_is_once(lines: list[str], expected: tuple[str, str]) -> None:
    assert told(windows(*lines)) == [expected]


def test_times_without_a_zone_are_in_that_of_the_calendar_or_in_the_one_that_is_wanted() -> None:
    event = ("DTSTART:20260201T100000", "DURATION:PT1H")
    there = Wanted("*", NOW, "America/New_York")

    assert told(windows(*event)) == [("2026-02-01 10:00", "2026-02-01 11:00")]
    assert told(windows(*event, wanted=there)) == [("2026-02-01 15:00", "2026-02-01 16:00")]
    assert told(windows(*event, wanted=there, head="X-WR-TIMEZONE:Europe/Berlin\n")) == [
        ("2026-02-01 09:00", "2026-02-01 10:00")
    ]


def test_a_zone_of_the_calendars_own_name_is_where_the_calendar_says() -> None:
    head = (
        "BEGIN:VTIMEZONE\nTZID:Our office\nX-LIC-LOCATION:Europe/Berlin\nBEGIN:STANDARD\nDTSTART:19700101T000000\n"
        "TZOFFSETFROM:+0100\nTZOFFSETTO:+0100\nEND:STANDARD\nEND:VTIMEZONE\n"
    )

    found = windows("DTSTART;TZID=Our office:20260701T100000", "DURATION:PT1H", head=head)

    assert (found[0].zone, told(found)) == ("Europe/Berlin", [("2026-07-01 08:00", "2026-07-01 09:00")])


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(["DTSTART:20260101T100000Z", "DURATION:PT1H"], id="an event that is over"),
        pytest.param(["DTSTART:20260201T100000Z", "DURATION:PT1H", "STATUS:CANCELLED"], id="a cancelled event"),
        pytest.param(
            ["DTSTART:20250101T100000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;UNTIL=20250201T000000Z"],
            id="a series that is over",
        ),
        pytest.param(
            ["DTSTART:20260201T100000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;UNTIL=20260101T000000Z"],
            id="a series of none",
        ),
        pytest.param(
            ["DTSTART:20250101T100000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=9"], id="a count that is over"
        ),
    ],
)
def test_what_is_over_or_cancelled_is_left_out(lines: list[str]) -> None:
    assert windows(*lines) == []


def test_who_has_organized_it_is_the_owner() -> None:
    event = ("DTSTART:20260201T100000Z", "DURATION:PT1H")

    assert windows(*event, "ORGANIZER:mailto:ada@example.com")[0].owner == "ada@example.com"
    assert windows(*event, wanted=Wanted("*", NOW, owner="on-call"))[0].owner == "on-call"


# ---------------------------------------------------------------- recurring events


@pytest.mark.parametrize(
    ("lines", "recurrence"),
    [
        pytest.param(
            ["DTSTART;TZID=Europe/Berlin:20260120T020000", "DURATION:PT2H", "RRULE:FREQ=DAILY"],
            Recurrence(at="02:00", lasts=2 * HOUR),
            id="every day",
        ),
        pytest.param(
            ["DTSTART;TZID=Europe/Berlin:20260120T020000", "DURATION:PT2H", "RRULE:FREQ=WEEKLY"],
            Recurrence(days=(1,), at="02:00", lasts=2 * HOUR),
            id="every week on the day of the first",
        ),
        pytest.param(
            ["DTSTART;TZID=Europe/Berlin:20260120T020000", "DURATION:PT2H", "RRULE:FREQ=WEEKLY;WKST=SU;BYDAY=TH,TU"],
            Recurrence(days=(1, 3), at="02:00", lasts=2 * HOUR),
            id="on these days of each week",
        ),
        pytest.param(
            ["DTSTART;TZID=Europe/Berlin:20260120T020000", "DURATION:PT2H", "RRULE:FREQ=DAILY;BYDAY=SA,SU;INTERVAL=1"],
            Recurrence(days=(5, 6), at="02:00", lasts=2 * HOUR),
            id="daily, on these days",
        ),
        pytest.param(
            ["DTSTART;TZID=Europe/Berlin:20260120T020000", "DURATION:PT2H", "RRULE:FREQ=DAILY;UNTIL=20260131"],
            Recurrence(at="02:00", lasts=2 * HOUR, until=utc("2026-01-31 22:59:59.999999")),
            id="until the end of a day",
        ),
        pytest.param(
            [
                "DTSTART;TZID=Europe/Berlin:20260120T020000",
                "DURATION:PT2H",
                "RRULE:FREQ=DAILY",
                "EXDATE:20260122T010000Z",
            ],
            Recurrence(at="02:00", lasts=2 * HOUR, without=("2026-01-22",)),
            id="without one, told in another zone",
        ),
        pytest.param(
            ["DTSTART;VALUE=DATE:20260120", "RRULE:FREQ=WEEKLY;BYDAY=TU", "EXDATE;VALUE=DATE:20260127,20260203"],
            Recurrence(days=(1,), without=("2026-01-27", "2026-02-03")),
            id="whole days without two",
        ),
    ],
)
def test_what_is_daily_or_weekly_is_one_window_that_recurs(lines: list[str], recurrence: Recurrence) -> None:
    (window,) = windows(*lines)

    assert (window.id, window.recurrence, window.end) == ("e1", recurrence, FOREVER)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        pytest.param(["RRULE:FREQ=WEEKLY;INTERVAL=2;COUNT=3"], ["01-20", "02-03", "02-17"], id="every other week"),
        pytest.param(["RRULE:FREQ=DAILY;COUNT=3"], ["01-20", "01-21", "01-22"], id="so many times"),
        pytest.param(
            ["RRULE:FREQ=MONTHLY;BYDAY=-1FR;UNTIL=20260401T000000Z"], ["01-30", "02-27", "03-27"], id="last Fridays"
        ),
        pytest.param(
            ["RRULE:FREQ=YEARLY;BYMONTH=1,7;BYMONTHDAY=20;UNTIL=20270101"], ["01-20", "07-20"], id="twice a year"
        ),
        pytest.param(
            ["RRULE:FREQ=DAILY;COUNT=4", "EXDATE:20260121T020000Z", "EXDATE;VALUE=DATE:20260123"],
            ["01-20", "01-22"],
            id="without a time and without a day",
        ),
        pytest.param(
            ["RDATE:20260301T020000Z,20260401T020000Z"], ["01-20", "03-01", "04-01"], id="dates without a rule"
        ),
        pytest.param(
            ["RRULE:FREQ=WEEKLY;UNTIL=20260127T020000Z", "RDATE:20260301T020000Z"],
            ["01-20", "01-27", "03-01"],
            id="a rule and a date",
        ),
    ],
)
def test_every_other_rule_is_read_ahead(lines: list[str], expected: list[str]) -> None:
    found = windows("DTSTART:20260120T020000Z", "DURATION:PT1H", *lines)

    assert [begin[5:] for begin, _ in told(found)] == [f"{day} 02:00" for day in expected]
    assert len({window.id for window in found}) == len(found)


def test_a_rule_without_an_end_is_read_for_400_days() -> None:
    found = windows("DTSTART:20200101T020000Z", "DURATION:PT1H", "RRULE:FREQ=MONTHLY")

    assert told(found)[0][0] == "2026-02-01 02:00"
    assert told(found)[-1][0] == "2027-02-01 02:00"


def test_a_date_that_is_added_may_say_how_long_it_is() -> None:
    periods = "RDATE;VALUE=PERIOD:20260301T020000Z/PT3H,20260401T020000Z/20260401T023000Z"

    found = windows("DTSTART:20260120T020000Z", "DURATION:PT1H", periods)

    assert told(found)[1:] == [("2026-03-01 02:00", "2026-03-01 05:00"), ("2026-04-01 02:00", "2026-04-01 02:30")]


@pytest.mark.parametrize("rule", ["FREQ=DAILY", "FREQ=DAILY;COUNT=5"], ids=["a window that recurs", "read ahead"])
@pytest.mark.parametrize(
    ("instead", "expected"),
    [
        pytest.param("DTSTART;TZID=America/New_York:20260122T050000", ["20", "21", "22 10", "23", "24"], id="moved"),
        pytest.param("DTSTART:20260122T020000Z\nSTATUS:CANCELLED", ["20", "21", "23", "24"], id="cancelled"),
    ],
)
def test_one_of_a_series_may_be_moved_or_cancelled(rule: str, instead: str, expected: list[str]) -> None:
    series = f"DTSTART:20260120T020000Z\nDURATION:PT1H\nRRULE:{rule}"
    text = calendar(series, f"RECURRENCE-ID:20260122T020000Z\nDURATION:PT1H\n{instead}").replace("UID:e2", "UID:e1")

    found = read(text, JOBS)

    hours = [utc("2026-01-20") + hour * HOUR for hour in range(5 * 24)]
    active = [at for at in hours if any(is_active(window, "job:warehouse/a", at, ZONES) for window in found)]
    assert [f"{datetime.fromtimestamp(at, UTC):%d %H}" for at in active] == [
        day if " " in day else f"{day} 02" for day in expected
    ]


days = st.lists(st.sampled_from(["MO", "TU", "WE", "TH", "FR", "SA", "SU"]), unique=True, max_size=4)


@given(
    days,
    st.sampled_from(["DAILY", "WEEKLY"]),
    st.dates(date(2026, 1, 1), date(2026, 12, 31)),
    st.integers(0, 23),
    st.lists(st.integers(0, 30), max_size=3),
    st.sampled_from(["Europe/Berlin", "America/New_York", "UTC"]),
)
def test_a_window_that_recurs_is_what_the_rule_says(
    by: list[str], freq: str, first: date, hour: int, out: list[int], name: str
) -> None:
    """Against dateutil's reading of the same rule, with the same days taken out, in the middle of each hour."""
    begin = datetime.combine(first, datetime.min.time()) + timedelta(hours=hour)
    rule = f"FREQ={freq}" + (f";BYDAY={','.join(by)}" if by else "")
    without = [begin + timedelta(days=day) for day in out]
    text = f"DTSTART;TZID={name}:{begin:%Y%m%dT%H%M%S}\nDURATION:PT1H\nRRULE:{rule}"
    text += "".join(f"\nEXDATE;TZID={name}:{one:%Y%m%dT%H%M%S}" for one in without)
    expected = {at for at in rrulestr(rule, dtstart=begin).xafter(begin, count=40, inc=True) if at not in without}

    (window,) = windows(*text.split("\n"))

    for day in range(14):
        middle = (begin + timedelta(days=day, minutes=30)).replace(tzinfo=zone(name))
        if middle.astimezone(UTC).astimezone(zone(name)).hour == hour:  # not in an hour that is skipped
            held = is_active(window, "job:warehouse/a", middle.timestamp(), ZONES)
            assert held is (begin + timedelta(days=day) in expected)


# ---------------------------------------------------------------- what is wrong


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        pytest.param("DTSTART:2026BAD\nDURATION:PT1H", "line 7, event 'Deploy': DTSTART: ", id="no time"),
        pytest.param("DURATION:PT1H", "line 4, event 'Deploy': DTSTART: is missing", id="no start"),
        pytest.param(
            "DTSTART;TZID=Mars/Olympus:20260120T020000\nDURATION:PT1H",
            "line 7, event 'Deploy': DTSTART: the tz database has no Mars/Olympus; names are like Europe/Berlin",
            id="no zone",
        ),
        pytest.param(
            "DTSTART:20260120T020000Z\nDTEND;TZID=Mars/Olympus:20260120T030000",
            "line 8, event 'Deploy': DTEND: the tz database has no Mars/Olympus",
            id="no zone of the end",
        ),
        pytest.param(
            "DTSTART:20260120T020000Z", "line 4, event 'Deploy': DURATION: is needed, or a DTEND", id="no end"
        ),
        pytest.param(
            "DTSTART:20260120T020000Z\nDTEND:20260120T010000Z",
            "line 8, event 'Deploy': DTEND: must be after DTSTART",
            id="an end before the start",
        ),
        pytest.param(
            "DTSTART:20260120T020000Z\nDURATION:PT1H\nRRULE:FREQ=SOMETIMES",
            "line 9, event 'Deploy': RRULE: Expected frequency, got: SOMETIMES",
            id="no rule",
        ),
        pytest.param(
            "DTSTART:20260120T020000Z\nDURATION:PT1H\nRRULE:INTERVAL=2",
            "line 9, event 'Deploy': RRULE: ",
            id="half a rule",
        ),
        pytest.param(
            "DTSTART:20260120T020000Z\nDURATION:PT1H\nRRULE:FREQ=MONTHLY;INTERVAL=0",
            "line 9, event 'Deploy': RRULE: INTERVAL must be 1 or more",
            id="a rule that stands still",
        ),
        pytest.param(
            "DTSTART:20260120T020000Z\nDURATION:PT1H\nRRULE:FREQ=MINUTELY",
            "line 9, event 'Deploy': RRULE: MINUTELY is too often for a window",
            id="every minute",
        ),
        pytest.param(
            "DTSTART:20260120T020000Z\nDURATION:PT1M\nRRULE:FREQ=HOURLY",
            "line 9, event 'Deploy': RRULE: makes more than 1,000 windows in 400 days",
            id="every hour",
        ),
        pytest.param(
            "DTSTART:20260120T020000Z\nDURATION:PT1H\nRRULE:FREQ=DAILY\nRRULE:FREQ=WEEKLY",
            "line 9, event 'Deploy': RRULE: stands twice",
            id="two rules",
        ),
        pytest.param(
            "DTSTART:20260120T020000Z\nDURATION:PT1H\nRECURRENCE-ID;RANGE=THISANDFUTURE:20260120T020000Z",
            "line 9, event 'Deploy': RECURRENCE-ID: RANGE is not understood",
            id="all that follow",
        ),
        pytest.param(
            "DTSTART:20260120T020000Z\nDURATION:P9999D", "line 7, event 'Deploy': DTSTART: it lasts", id="years"
        ),
        pytest.param(
            "DTSTART:99990120T020000Z\nDURATION:P1D", "line 7, event 'Deploy': DTSTART: is too far", id="far away"
        ),
    ],
)
def test_what_is_wrong_with_an_event_is_told_with_its_line(lines: str, said: str) -> None:
    with pytest.raises(CalendarError) as caught:
        read(calendar(f"SUMMARY:Deploy\n{lines}"), JOBS)

    assert str(caught.value).startswith(said)


def test_two_events_of_one_name_are_refused() -> None:
    event = "DTSTART:20260120T020000Z\nDURATION:PT1H"

    with pytest.raises(CalendarError, match=r"^line 5, an event: UID: another event has it, too$"):
        read(calendar(event, event).replace("UID:e2", "UID:e1"), JOBS)


def test_an_event_without_a_name_is_refused() -> None:
    text = calendar("DTSTART:20260120T020000Z\nDURATION:PT1H").replace("UID:e1\n", "")

    with pytest.raises(CalendarError, match=r"^line 4, an event: UID: is missing$"):
        read(text, JOBS)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "line 1: a calendar begins with BEGIN:VCALENDAR, and here is nothing", id="nothing"),
        pytest.param("<html>", "line 1: is no line of a calendar: '<html>'", id="something else"),
        pytest.param("UID:1\n", "line 1: a calendar begins with BEGIN:VCALENDAR, not with 'UID:1'", id="half of it"),
        pytest.param("BEGIN:VEVENT\nEND:VEVENT\nUID:1", "line 2: a calendar begins with", id="an event alone"),
        pytest.param(
            calendar("DTSTART:20260120T020000Z").replace("END:VEVENT\n", ""),
            "line 7: END:VCALENDAR ends BEGIN:VEVENT of line 4",
            id="an event without an end",
        ),
        pytest.param(
            calendar("DTSTART:20260120T020000Z")[:-15],
            "line 1: BEGIN:VCALENDAR has no end: is the file cut",
            id="cut off",
        ),
        pytest.param(calendar("what is this"), "line 6: is no line of a calendar: 'what is this'", id="no line"),
    ],
)
def test_what_is_no_calendar_is_told_with_its_line(text: str, said: str) -> None:
    with pytest.raises(CalendarError) as caught:
        read(text, JOBS)

    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        pytest.param(None, "cannot be read (No such file or directory)", id="no file"),
        pytest.param(b"\xff\xfe", "is not UTF-8", id="of another encoding"),
        pytest.param(b"BEGIN", "line 1: is no line of a calendar: 'BEGIN'", id="no calendar"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "windows.ics"
    if content is not None:
        path.write_bytes(content)

    with pytest.raises(CalendarError) as caught:
        read_file(path, JOBS)

    assert str(caught.value) == f"{path}: {said}"


def test_a_byte_order_mark_and_several_calendars_in_a_file_are_fine(tmp_path: Path) -> None:
    one = calendar("DTSTART:20260201T100000Z\nDURATION:PT1H")
    path = tmp_path / "windows.ics"
    path.write_bytes(b"\xef\xbb\xbf" + (one + one.replace("UID:e1", "UID:other")).replace("\n", "\r\n").encode())

    assert [window.id for window in read_file(path, JOBS)] == ["e1", "other"]


TEXTS = [(SAMPLES / name).read_text(encoding="utf-8").splitlines() for name in ("google.ics", "outlook.ics")]


@given(st.sampled_from(TEXTS), st.data())
def test_whatever_a_calendar_says_it_is_read_or_refused(lines: list[str], data: st.DataObject) -> None:
    """Lines are taken out, doubled, exchanged and garbled: no other exception comes than ours."""
    changed = list(lines)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(changed) - 1))
        change = data.draw(st.sampled_from(["drop", "double", "swap", "garble"]))
        if change == "drop":
            del changed[at]
        elif change == "double":
            changed.insert(at, changed[at])
        elif change == "swap":
            other = data.draw(st.integers(0, len(changed) - 1))
            changed[at], changed[other] = changed[other], changed[at]
        else:
            place = data.draw(st.integers(0, len(changed[at])))
            changed[at] = (
                changed[at][:place] + data.draw(st.sampled_from('0:;=,/Z9-T\\"\x00é')) + changed[at][place + 1 :]
            )
    try:
        found = read("\r\n".join(changed), JOBS)
    except CalendarError:
        return

    assert all(window.end > NOW for window in found)
