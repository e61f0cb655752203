"""The company's plan is a function of the seed and of time, and looks like one that a person would run."""

import pytest

from detector.demo.company import (
    BY_KEY,
    DATASETS,
    DAY,
    HOUR,
    JOBS,
    WORKDAYS,
    WRITER,
    Job,
    Output,
    downstream,
    entity_of,
    history,
    plan,
    weekday,
)

MONDAY = 1_772_409_600.0  # 2 March 2026, 00:00 UTC


def test_the_same_seed_and_time_give_the_same_events() -> None:
    assert history(7, MONDAY, MONDAY + DAY) == history(7, MONDAY, MONDAY + DAY)


def test_another_seed_gives_other_numbers_for_the_same_runs() -> None:
    one, other = history(7, MONDAY, MONDAY + DAY), history(8, MONDAY, MONDAY + DAY)

    assert len(one) == len(other)
    assert one != other


def test_history_is_the_sum_of_its_parts_so_that_a_longer_one_tells_the_same_story() -> None:
    noon = MONDAY + DAY / 2
    parts = history(7, MONDAY, noon) + history(7, noon, MONDAY + DAY)

    assert history(7, MONDAY, MONDAY + DAY) == sorted(parts, key=lambda event: event.event_time)


def test_events_are_in_the_order_of_their_times() -> None:
    times = [event.event_time for event in history(7, MONDAY, MONDAY + DAY)]

    assert times == sorted(times)


def test_a_second_attempt_is_another_run_of_the_same_slot() -> None:
    job = JOBS[0]
    slot = job.next_slot(MONDAY)
    first, second = plan(7, job, slot), plan(7, job, slot, attempt=2)

    assert first.slot == second.slot
    assert first.run_id != second.run_id


def test_about_twenty_jobs_and_thirty_datasets_and_each_is_used() -> None:
    used = {name for job in JOBS for name in (*job.reads, *(output.dataset for output in job.writes))}

    assert 20 <= len(JOBS) <= 25
    assert len(DATASETS) == 30
    assert used == DATASETS.keys()
    assert len(BY_KEY) == len(JOBS)


def test_every_dataset_has_one_writer_at_most() -> None:
    assert len(WRITER) == sum(len(job.writes) for job in JOBS)


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_when_all_goes_well_what_a_job_reads_is_written_before_it_starts(job: Job) -> None:
    """Or else the company would wait for itself, and every day would be an anomaly."""
    for slot in job.slots(MONDAY + 7 * DAY, MONDAY + 9 * DAY):
        for writer in [WRITER[name] for name in job.reads if name in WRITER]:
            needed = writer.last_slot(slot)
            assert needed is not None
            assert plan(7, writer, needed).end < plan(7, job, slot).start


def test_what_is_downstream_of_the_orders_goes_as_far_as_the_dashboards() -> None:
    ingest = BY_KEY["job:airflow/ingest_orders.load"]

    assert {entity_of("live_sales"), entity_of("board_report"), "job:dbt/fct_orders"} <= downstream(ingest)
    assert entity_of("stock_wall") not in downstream(ingest)
    assert ingest.key not in downstream(ingest)


def test_slots_know_hours_days_and_workdays() -> None:
    hourly = Job("n", "h", (), (Output("live_sales", 1),), minute=5, seconds=60)
    daily = Job("n", "d", (), (Output("live_sales", 1),), minute=30, seconds=60, hour=6, days=WORKDAYS)
    week = list(daily.slots(MONDAY, MONDAY + 7 * DAY))

    assert list(hourly.slots(MONDAY, MONDAY + 2 * HOUR)) == [MONDAY + 300, MONDAY + HOUR + 300]
    assert [weekday(slot) for slot in week] == [0, 1, 2, 3, 4]
    assert daily.last_slot(week[0] - 1) == week[-1] - 7 * DAY
    assert daily.next_slot(week[-1] + 1) == week[0] + 7 * DAY
