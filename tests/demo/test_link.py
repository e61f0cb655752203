"""The company's clock, which the author of ticks reads."""

from detector.demo.link import Clock


def test_the_clock_knows_when_it_passed_a_moment() -> None:
    clock = Clock(100.0)
    for moment in (160.0, 220.0, 280.0):
        clock.set(moment)
    passed = [clock.passed(moment) for moment in (220.0, 221.0, 280.0)]

    assert clock() == 280.0
    assert None not in passed
    assert passed == sorted(passed, key=lambda at: at or 0.0)


def test_what_was_before_its_first_moment_or_is_still_to_come_was_never_passed() -> None:
    clock = Clock(100.0)
    clock.set(160.0)
    clock.set(220.0)

    assert clock.passed(90.0) is None
    assert clock.passed(221.0) is None
