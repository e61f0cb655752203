"""Which rows belong together and when all were seen: times and positions, no Kafka."""

import math
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.profiling.windows import Closed, Counted, Position, Tumbling, Windows
from tests.strategies import examples

NEVER = -math.inf


def began(windows: Windows, *partitions: int) -> Windows:
    for partition in partitions:
        windows.begin(partition, Position(0, NEVER))
    return windows


def fed(windows: Windows, partition: int, times: Iterable[float], offset: int = 0) -> None:
    for place, at in enumerate(times, offset):
        rows = windows.accepts(partition, place, at)
        if rows is not None:
            rows.add({"x": 1}, 1)


def told(closed: list[Closed]) -> list[tuple[float, float, int]]:
    return [(one.start, one.end, one.rows.rows) for one in closed]


def test_a_window_is_closed_when_time_has_come_past_its_end_and_the_grace() -> None:
    windows = began(Tumbling(60, 10), 0)
    fed(windows, 0, [600, 659, 660])

    assert windows.closed(now=0) == []
    fed(windows, 0, [669.9], 3)
    assert windows.closed(now=0) == []
    fed(windows, 0, [670], 4)
    assert told(windows.closed(now=0)) == [(600, 660, 2)]
    assert windows.closed(now=0) == []


def test_the_slowest_partition_says_how_far_time_has_come() -> None:
    windows = began(Tumbling(60, 0), 0, 1)
    fed(windows, 0, [600, 800])

    assert windows.closed(now=10_000) == []
    fed(windows, 1, [610, 700])
    assert told(windows.closed(now=10_000)) == [(600, 660, 2)]


def test_a_partition_that_was_read_to_its_end_has_come_as_far_as_the_clock() -> None:
    windows = began(Tumbling(60, 10), 0, 1)
    fed(windows, 0, [600, 800])

    windows.ended(1)

    assert told(windows.closed(now=700)) == [(600, 660, 1)]
    assert windows.closed(now=729) == []
    windows.ended(0)
    assert told(windows.closed(now=730)) == [(660, 720, 0)]


def test_a_window_in_which_nothing_came_is_told() -> None:
    windows = began(Tumbling(60, 0), 0)
    fed(windows, 0, [600, 800])

    assert told(windows.closed(now=0)) == [(600, 660, 1), (660, 720, 0), (720, 780, 0)]


def test_a_topic_that_has_gone_quiet_is_told_for_a_while_and_not_for_ever() -> None:
    windows = began(Tumbling(60, 0), 0)
    fed(windows, 0, [600])
    windows.ended(0)

    quiet = told(windows.closed(now=60 * 1_000))
    fed(windows, 0, [60 * 2_000, 60 * 2_001], 1)

    assert len(quiet) == 1 + 60
    assert told(windows.closed(now=0)) == [(60 * 2_000, 60 * 2_001, 1)]


def test_what_comes_after_its_window_is_late_and_left_out() -> None:
    windows = began(Tumbling(60, 0), 0)
    fed(windows, 0, [600, 660])
    windows.closed(now=0)

    assert windows.accepts(0, 2, 659) is None
    assert windows.late == 1
    assert windows.positions() == {0: Position(1, 660)}


def test_a_position_is_the_first_record_of_what_is_open() -> None:
    windows = began(Tumbling(60, 0), 0, 1)
    fed(windows, 0, [600, 700, 605, 640])
    fed(windows, 1, [610, 699])

    windows.closed(now=0)

    assert windows.positions() == {0: Position(1, 660), 1: Position(1, 660)}


def test_before_the_first_record_nothing_is_told() -> None:
    windows = began(Tumbling(60, 0), 0)
    windows.ended(0)

    assert windows.closed(now=1_000_000) == []


def test_partitions_that_are_far_ahead_wait() -> None:
    windows = began(Tumbling(60, 0), 0, 1)
    fed(windows, 0, [600, 600 + 60 * 30])
    fed(windows, 1, [600])

    assert windows.ahead(now=0) == {0}
    windows.ended(1)
    assert windows.ahead(now=10_000) == set()


@examples(2)
@given(
    times=st.lists(st.lists(st.integers(0, 600), max_size=30), min_size=1, max_size=3),
    crash=st.integers(0, 60),
    grace=st.sampled_from([0, 30, 600]),
)
def test_what_dies_goes_on_and_every_row_is_in_one_window_or_late(
    times: list[list[int]], crash: int, grace: int
) -> None:
    """Begun again at the positions that were kept, the windows that follow have the rows that they would have had."""
    whole, windows = began(Tumbling(60, grace), *range(len(times))), began(Tumbling(60, grace), *range(len(times)))
    expected = _all(whole, times, dict.fromkeys(range(len(times)), 0), 10**9)

    first = _all(windows, times, dict.fromkeys(range(len(times)), 0), crash)
    again = Tumbling(60, grace)
    for partition, position in windows.positions().items():
        again.begin(partition, position)
    second = _all(again, times, {p: position.offset for p, position in windows.positions().items()}, 10**9)

    assert [window[:2] for window in first + second] == [window[:2] for window in expected]
    assert sum(window[2] for window in first + second) >= sum(window[2] for window in expected)


def _all(windows: Windows, times: list[list[int]], begin: dict[int, int], most: int) -> list[tuple[float, float, int]]:
    """Partitions are read by turns, up to so many records; who reads all of them has come to their end."""
    found: list[tuple[float, float, int]] = []
    read = 0
    for place in range(max(map(len, times), default=0)):
        for partition, all_of in enumerate(times):
            if begin[partition] <= place < len(all_of):
                if read >= most:
                    return found
                fed(windows, partition, [all_of[place]], place)
                read += 1
        found += told(windows.closed(now=0))
    if most == 10**9:
        for partition in range(len(times)):
            windows.ended(partition)
        found += told(windows.closed(now=2_000))
    return found


# ---------------------------------------------------------------- by rows


def test_so_many_rows_of_a_partition_are_a_window() -> None:
    windows = began(Counted(2), 0, 1)
    fed(windows, 0, [10, 30, 20])
    fed(windows, 1, [5])

    assert [(one.start, one.end, one.rows.rows, one.partition) for one in windows.closed(now=0)] == [(10, 30, 2, 0)]
    assert windows.positions() == {0: Position(2, NEVER), 1: Position(0, NEVER)}


def test_a_window_of_rows_that_is_full_is_told_at_once() -> None:
    windows = began(Counted(2), 0)
    fed(windows, 0, [10, 30])

    assert [one.rows.rows for one in windows.closed(now=0)] == [2]
    assert windows.positions() == {0: Position(2, NEVER)}


def test_a_window_is_longer_than_nothing() -> None:
    with pytest.raises(ValueError, match="longer than nothing"):
        Tumbling(0, 1)
