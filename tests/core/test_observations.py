"""What of an event goes into the log, and to whom."""

from detector.core.events import (
    Columns,
    Dataset,
    DatasetEvent,
    DatasetObserved,
    JobEvent,
    JobObserved,
    RunEvent,
    RunObserved,
    observations,
)

COLUMNS: Columns = (("*", "dataset:db/raw", "deleted"), ("id", "dataset:db/raw", "id"))
RAW = Dataset("db", "raw", columns_from=(("id", "dataset:db/source", "id"),), tags=("raw",), subset=("day=1",))
TOLD = Dataset("db", "told", columns_from=COLUMNS)
NOWHERE = Dataset("db", "nowhere", columns_from=())
UNKNOWN = Dataset("db", "unknown")
OUTPUTS = (TOLD, NOWHERE, UNKNOWN)


def test_a_run_knows_where_the_columns_of_its_outputs_come_from_or_that_it_does_not() -> None:
    event = RunEvent(
        "ns", "load", "r", "COMPLETE", 1.0, inputs=(RAW,), outputs=OUTPUTS, owners=("me",), tags=("env=prod",)
    )

    _, job = next(observations(event, 2.0))

    assert isinstance(job, RunObserved)
    assert job.columns_from == {TOLD.key: COLUMNS, NOWHERE.key: ()}
    assert (job.owners, job.tags) == (("me",), ("env=prod",))


def test_a_job_outside_any_run_knows_the_same() -> None:
    event = JobEvent("ns", "load", 1.0, (RAW,), OUTPUTS, owners=("me",), tags=("env=prod",))

    _, job = next(observations(event, 2.0))

    assert isinstance(job, JobObserved)
    assert job.columns_from == {TOLD.key: COLUMNS, NOWHERE.key: ()}
    assert (job.owners, job.tags) == (("me",), ("env=prod",))


def test_a_dataset_hears_of_its_columns_from_who_writes_or_describes_it_and_not_from_who_reads_it() -> None:
    run = RunEvent("ns", "load", "r", "COMPLETE", 1.0, inputs=(RAW, UNKNOWN), outputs=(TOLD,))
    described = JobEvent("ns", "load", 1.0, (RAW, UNKNOWN), (TOLD,))

    for event in (run, described):
        seen = [body.dataset for _, body in observations(event, 2.0) if isinstance(body, DatasetObserved)]
        assert seen == [Dataset("db", "raw", tags=("raw",), subset=("day=1",)), UNKNOWN, TOLD]
    assert [body for _, body in observations(DatasetEvent(RAW, 1.0), 2.0)] == [
        DatasetObserved("described", 1.0, 2.0, RAW, None, None, None)
    ]
