"""What a dataset's entity says: of what runs wrote to it, of checks that others ran, and of profiles."""

import pytest

from detector.core.events import Assertion, Dataset, DatasetEvent, JobEvent
from detector.core.ledger import KEEP_ENDED
from tests.core.world import DAY, HOUR, MONDAY, TABLE, World, anomalies, checked, event, found, profile, ready, started


def asserted(*told: tuple[str, bool], severity: str = "error") -> Dataset:
    return Dataset("db", "orders", assertions=tuple(Assertion(name, ok, severity=severity) for name, ok in told))


def learned(rows: float = 1_000) -> World:
    """A table with sixteen hourly loads, each with a profile."""
    world = ready(at=MONDAY - 6 * HOUR)
    for number in range(-6, 10):
        world.run(MONDAY + number * HOUR, rows=rows, run_id=f"r{number}")
        world.tell(profile(MONDAY + number * HOUR + 61, rows, run_id=f"r{number}"))
    world.tick(MONDAY + 10 * HOUR - 600)
    world.said.clear()
    return world


def test_a_short_load_is_found_with_the_numbers_to_judge_it() -> None:
    world = learned()
    at = MONDAY + 10 * HOUR
    found_at_table = [a for a in anomalies(world.run(at, rows=20, run_id="short")) if a.entity == TABLE]
    anomaly = found_at_table[0]

    assert (anomaly.check, anomaly.severity, anomaly.direction) == ("rows", "critical", "low")
    assert (anomaly.observed, anomaly.samples, anomaly.run_id) == (20, 16, "short")
    assert anomaly.expected == pytest.approx(1_000, rel=0.01)
    assert anomaly.lower is not None
    assert 700 < anomaly.lower < 1_000
    assert anomaly.last_values == [1_000] * 8
    assert anomaly.previous_good_run == "r9"
    assert anomaly.summary.startswith("rows: 20 rows, 2 % of what is usual; expected ")


def test_two_jobs_may_write_one_dataset_in_one_run_id_space() -> None:
    world = ready()
    world.run(MONDAY, rows=10, name="a", run_id="r1")
    world.run(MONDAY + 5, rows=10, name="b", run_id="r2")

    assert len(world.entities[TABLE].judgement.outcomes) == 2


@pytest.mark.parametrize(
    ("checks", "severity", "expected"),
    [
        pytest.param([("a", True), ("b", True)], "error", [], id="all pass"),
        pytest.param([("a", False)], "error", ["assertion"], id="one fails"),
        pytest.param([("a", False)], "warn", [], id="one that its owner calls a warning is no failure"),
        pytest.param([("a", True), ("a", False)], "error", ["assertion"], id="told twice, failed once"),
        pytest.param([("a", False), ("a", True)], "error", ["assertion"], id="told twice, failed first"),
    ],
)
def test_a_check_that_failed_is_found_once_however_often_it_is_told(
    checks: list[tuple[str, bool]], severity: str, expected: list[str]
) -> None:
    world = ready()
    world.tell(event("START", MONDAY, inputs=(asserted(*checks, severity=severity),)))
    world.tell(event("COMPLETE", MONDAY, inputs=(asserted(*checks, severity=severity),)))

    assert found(world.said) == [(check, "started") for check in expected]


def test_a_check_that_failed_counts_though_the_end_of_its_run_does_not_speak_of_it() -> None:
    world = ready()
    world.tell(event("START", MONDAY, inputs=(asserted(("unique", False)),)))
    world.tell(event("COMPLETE", MONDAY + 9))

    assert started(world.said) == ["assertion"]
    assert world.entities[TABLE].judgement.breaker.state == "open"


def test_one_check_that_passes_does_not_mend_another_that_fails() -> None:
    world = ready()
    world.tell(event("COMPLETE", MONDAY, "r1", inputs=(asserted(("unique", False)),)))
    world.tell(event("COMPLETE", MONDAY + 1_000, "r2", inputs=(asserted(("not_null", True)),)))

    assert found(world.said) == [("assertion", "started")]
    assert world.entities[TABLE].judgement.breaker.state == "open"
    world.tell(event("COMPLETE", MONDAY + 2_000, "r3", inputs=(asserted(("unique", True)),)))

    assert found(world.said)[1:] == [("assertion", "ended")]
    assert world.entities[TABLE].judgement.breaker.state == "closed"


def test_a_check_that_nobody_runs_any_more_holds_the_breaker_for_a_week() -> None:
    world = ready()
    world.tell(event("COMPLETE", MONDAY, "r1", inputs=(asserted(("dropped", False)),)))
    world.tick(MONDAY + 8 * DAY)
    world.tell(event("COMPLETE", MONDAY + 8 * DAY, "r2", inputs=(asserted(("kept", True)),)))

    assert world.entities[TABLE].judgement.breaker.state == "closed"


def test_a_check_that_fails_opens_the_breaker_of_the_dataset_alone() -> None:
    world = ready()
    world.tell(event("COMPLETE", MONDAY, inputs=(asserted(("unique", False)),)))

    assert world.entities[TABLE].judgement.breaker.state == "open"
    assert world.entities["job:ns/load"].judgement.breaker.state == "closed"


def test_a_check_that_fails_late_is_found_though_it_had_passed() -> None:
    world = ready()
    world.tell(event("COMPLETE", MONDAY, inputs=(asserted(("unique", True)),)))

    assert started(world.tell(event("OTHER", MONDAY + 1, inputs=(asserted(("unique", False)),)))) == ["assertion"]
    assert found(world.tell(event("OTHER", MONDAY + 2, inputs=(asserted(("unique", False)),)))) == []


def test_checks_of_a_run_that_failed_count_all_the_same() -> None:
    world = ready()
    said = world.tell(event("FAIL", MONDAY, inputs=(asserted(("unique", False)),)))

    assert started(said) == ["failed", "assertion"]


def test_checks_told_outside_any_run_begin_and_end_an_episode() -> None:
    world = ready()
    world.tell(checked(MONDAY, success=False))
    world.tell(checked(MONDAY + 60, success=False))
    world.tell(checked(MONDAY + 120, success=True))

    assert found(world.said) == [("assertion", "started"), ("assertion", "updated"), ("assertion", "ended")]


def test_one_check_on_two_columns_is_two_checks() -> None:
    both = (Assertion("not_null", False, "id"), Assertion("not_null", True, "name"))
    world = ready()
    said = world.tell(DatasetEvent(Dataset("db", "orders", assertions=both), MONDAY))

    assert [a.summary for a in anomalies(said)] == ["1 of 2 checks failed: not_null(id)"]


def test_thousands_of_checks_are_bounded_in_state_and_in_words() -> None:
    world = ready()
    many = tuple((f"check {n}", False) for n in range(20_000))
    said = world.tell(event("COMPLETE", MONDAY, inputs=(asserted(*many),)))

    assert len(anomalies(said)[0].summary) < 300
    assert len(world.snapshots()[TABLE]) < 50_000


def test_profiles_at_different_grains_are_different_series() -> None:
    world = ready()
    for number in range(10):
        world.tell(profile(MONDAY + number * HOUR, 1_000, "load"))
        world.tell(profile(MONDAY + number * HOUR + 1, 10, "window"))

    assert started(world.said) == []
    assert set(world.entities[TABLE].series) == {"profile_rows:load", "profile_rows:window"}


def test_a_profile_of_few_rows_is_found_and_names_its_run() -> None:
    world = learned()
    said = world.tell(profile(MONDAY + 11 * HOUR, 20, run_id="r11"))

    assert [(a.check, a.run_id) for a in anomalies(said)] == [("profile_rows:load", "r11")]


def test_a_profile_that_is_told_twice_is_judged_once() -> None:
    world = learned()
    world.tell(profile(MONDAY + 11 * HOUR, 20))

    assert anomalies(world.tell(profile(MONDAY + 11 * HOUR, 20))) == []


def test_more_partitions_than_are_remembered_are_all_judged_though_they_share_one_time() -> None:
    world = ready()
    for number in range(3 * KEEP_ENDED):
        world.tell(profile(MONDAY, 100, "partition", partition=str(number)))
    said = world.tell(profile(MONDAY, 1, "partition", partition="last"))

    assert started(said) == ["profile_rows:partition"]


def test_many_profiles_do_not_hide_a_run_whose_events_come_late() -> None:
    world = learned()
    for number in range(2 * KEEP_ENDED):
        world.tell(profile(MONDAY + 11 * HOUR + number, 100, "window"))
    said = world.tell(event("COMPLETE", MONDAY + 10 * HOUR, "late", outputs=(Dataset("db", "orders", rows=3),)))

    assert "rows" in started(said)


def test_a_run_and_its_profile_count_once_as_the_worse_of_them() -> None:
    world = learned()
    at = MONDAY + 11 * HOUR
    world.run(at, rows=700, run_id="r11")  # a warning
    world.tell(profile(at + 61, 700, run_id="r11"))  # the same one again

    assert [(o.severity) for o in world.entities[TABLE].judgement.outcomes][-2:] == [0, 1]
    assert world.entities[TABLE].judgement.breaker.state == "closed"


def test_a_good_profile_does_not_excuse_the_run_that_it_is_of() -> None:
    world = learned()
    at = MONDAY + 11 * HOUR
    world.tick(at)
    world.run(at, rows=3, run_id="r11")
    world.tick(at + 120)
    world.tell(profile(at + 121, 1_000, run_id="r11"))

    assert world.entities[TABLE].judgement.breaker.state == "open"
    world.tick(at + 600)
    world.tell(profile(at + 601, 1_000, run_id="r11"))

    assert world.entities[TABLE].judgement.breaker.state == "half_open"


def test_who_reads_a_dataset_is_downstream_of_it() -> None:
    world = ready()
    world.tell(event("COMPLETE", MONDAY, "r1", "reader", inputs=(Dataset("db", "orders"),)))
    said = world.tell(checked(MONDAY + 60, success=False))

    assert anomalies(said)[0].downstream == ["job:ns/reader"]


def test_static_facts_of_a_job_name_what_is_downstream_of_it() -> None:
    world = ready()
    world.tell(JobEvent("ns", "load", MONDAY, outputs=(Dataset("db", "orders"),)))
    said = world.tell(event("FAIL", MONDAY + DAY))

    assert anomalies(said)[0].downstream == [TABLE]
