# mypy: ignore-errors
"""What a real Airflow runs for the tests of the executor: loads, and a report of them. It sees no Detector."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from airflow.sdk import DAG, task
from airflow.timetables.interval import CronDataIntervalTimetable

ROOT = Path(os.environ["SHOP"])
MIDNIGHT = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
DAILY = {
    "schedule": CronDataIntervalTimetable("0 0 * * *", timezone="UTC"),
    "start_date": MIDNIGHT - timedelta(days=2),
    "catchup": True,
}


def tell(what, start, end):
    with (ROOT / "ran").open("a") as out:
        out.write(f"{what} {start:%F} {end:%F}\n")


with DAG("shop.orders", **DAILY):

    @task
    def load(data_interval_start=None, data_interval_end=None):
        if not (ROOT / "mended").exists():
            raise RuntimeError("the source is away")
        tell("load", data_interval_start, data_interval_end)

    @task
    def mail(data_interval_start=None, data_interval_end=None):
        tell("mail", data_interval_start, data_interval_end)

    load() >> mail()

with DAG("report", **DAILY):

    @task
    def build(data_interval_start=None, data_interval_end=None):
        tell("build", data_interval_start, data_interval_end)

    build()

with DAG("broken", schedule=None):

    @task
    def fail():
        raise RuntimeError("as ever")

    fail()
