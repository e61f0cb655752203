"""What the company sends is what Detector reads."""

import pytest

from detector.codecs import Decoder
from detector.core.events import Record, RunEvent
from detector.demo.company import BY_KEY, completed, failed, plan, started
from detector.demo.wire import NATIVE, OPENLINEAGE, encode, times

MONDAY = 1_772_409_600.0


@pytest.mark.parametrize("key", ["job:dbt/fct_orders", "job:airflow/ingest_orders.load", "job:spark/stage_stock"])
def test_every_event_comes_back_as_it_was(key: str) -> None:
    job = BY_KEY[key]
    run = plan(7, job, job.next_slot(MONDAY))
    for sent in (started(run, run.start), completed(run, run.end), failed(run, "FAIL", run.end, "disk full")):
        topic, _, value = encode(sent)
        read = Decoder().decode(Record(topic, 0, 0, 0.0, None, value))
        assert isinstance(read, RunEvent)

        assert topic == (NATIVE if job.namespace == "dbt" else OPENLINEAGE)
        assert (sent.state, sent.run_id, sent.error, sent.nominal_time) == (
            read.state,
            read.run_id,
            read.error,
            read.nominal_time,
        )
        assert sent.event_time == pytest.approx(read.event_time, abs=0.001)
        assert {d.key for d in sent.inputs} == {d.key for d in read.inputs}
        assert {d.key: d.rows for d in sent.outputs} == {d.key: d.rows for d in read.outputs}


def test_some_events_come_twice_and_always_the_same_ones() -> None:
    job = BY_KEY["job:spark/stage_stock"]
    runs = [plan(7, job, slot) for slot in job.slots(MONDAY, MONDAY + 14 * 86_400)]
    repeated = [times(started(run, run.start)) for run in runs]

    assert 0.02 < repeated.count(2) / len(repeated) < 0.15
    assert repeated == [times(completed(run, run.end)) for run in runs]
