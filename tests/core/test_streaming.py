"""Streaming jobs have no ends to be judged by and no schedule: they are judged by the windows that they report."""

from detector.core.events import Dataset
from tests.core.world import DAY, HOUR, JOB, MINUTE, MONDAY, World, changes, event, found, ready, started


def window(world: World, number: int, rows: float | None = 100, whole: bool = True) -> list[str]:
    """A report of the streaming run. Returns what it starts."""
    written = () if rows is None else (Dataset("db", "events", rows=rows),)
    at = MONDAY + number * MINUTE
    told = event("RUNNING", at, outputs=written, streaming=True, snapshot_windows=whole)
    return started(world.tell(told))


def streaming(windows: int = 10) -> World:
    world = ready()
    world.tell(event("START", MONDAY, streaming=True))
    for number in range(1, windows + 1):
        window(world, number)
    world.said.clear()
    return world


def test_each_window_is_judged_and_the_run_goes_on() -> None:
    world = streaming()

    assert window(world, 11, rows=1) == ["rows_out"]
    assert "r1" in world.entities[JOB].runs.open


def test_a_window_that_is_told_twice_is_judged_once() -> None:
    world = streaming()
    window(world, 11, rows=1)
    world.said.clear()
    window(world, 11, rows=1)

    assert found(world.said) == []


def test_a_report_without_numbers_does_not_judge_the_last_ones_again() -> None:
    world = streaming()
    window(world, 11, rows=1)
    world.said.clear()
    window(world, 12, rows=None)

    assert found(world.said) == []


def test_reports_that_accumulate_are_not_judged() -> None:
    world = ready()
    world.tell(event("START", MONDAY, streaming=True))
    for number in range(20):
        window(world, number, rows=10.0**number, whole=False)

    assert started(world.said) == []


def test_the_end_of_a_streaming_run_is_not_judged_by_its_numbers() -> None:
    world = streaming()
    total = (Dataset("db", "events", rows=1_000_000),)
    world.tell(event("COMPLETE", MONDAY + HOUR, outputs=total, streaming=True))

    assert [check for check in started(world.said) if check == "rows_out"] == []
    assert "duration" not in world.entities[JOB].series


def test_a_streaming_run_that_fails_has_failed() -> None:
    world = streaming()

    assert started(world.tell(event("FAIL", MONDAY + HOUR))) == ["failed"]


def test_good_windows_close_the_breaker_again() -> None:
    world = streaming()
    world.tell(event("FAIL", MONDAY + HOUR, streaming=True))
    world.tick(MONDAY + HOUR + MINUTE)
    world.tell(event("START", MONDAY + 2 * HOUR, "r2", streaming=True))
    told = event(
        "RUNNING",
        MONDAY + 2 * HOUR + MINUTE,
        "r2",
        outputs=(Dataset("db", "events", rows=100),),
        streaming=True,
        snapshot_windows=True,
    )

    assert changes(world.tell(told))[-1] == ("half_open", "closed")


def test_a_streaming_job_is_never_late_and_never_hangs() -> None:
    world = ready()
    for number in range(8):
        at = MONDAY + number * HOUR
        world.tell(event("START", at, f"r{number}", streaming=True))
        world.tell(event("COMPLETE", at + 60, f"r{number}", streaming=True))
    world.tell(event("START", MONDAY + 8 * HOUR, "r8", streaming=True))
    world.ticks(MONDAY + 8 * HOUR, MONDAY + 3 * DAY, every=HOUR)

    assert started(world.said) == []
