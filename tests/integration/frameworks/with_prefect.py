# mypy: ignore-errors
"""Run by a real Prefect with its own server for the time of the test: tasks and a flow behind their breakers."""

import json
import sys

from prefect import flow, task
from prefect.testing.utilities import prefect_test_harness

from detector.client import BreakerOpen
from detector.client.prefect import guarded

OPEN, CLOSED, UNKNOWN = "job:airflow/bad", "job:airflow/good", "job:airflow/nobody"
ran = []


@guarded(OPEN)
@task(retries=2, retry_delay_seconds=0)
def bad():
    ran.append("bad")


@guarded(CLOSED)
@task(retries=1, retry_delay_seconds=0)
def good():
    ran.append("good")
    if ran.count("good") == 1:
        raise RuntimeError("once")
    return "loaded"


@guarded(UNKNOWN)
@task
async def nobody():
    ran.append("nobody")
    return "loaded"


@flow
def load():
    state = bad(return_state=True)
    try:
        bad()
        raised = "nothing"
    except BreakerOpen as error:
        raised = f"BreakerOpen: {error}"
    return {"state": [state.type.value, state.message], "raised": raised, "good": good()}


@flow
async def load_beside():
    return await nobody()


@flow
@guarded(OPEN)
def whole():
    ran.append("whole")


async def beside():
    return await load_beside()


with prefect_test_harness(server_startup_timeout=120):
    import asyncio

    found = load()
    found["beside"] = asyncio.run(beside())
    state = whole(return_state=True)
    found["whole"] = [state.type.value, state.message]

json.dump({**found, "ran": ran}, sys.stdout)
