# mypy: ignore-errors
"""Run by a real Dagster: assets behind their breakers, what is downstream of them, and checks of them."""

import json
import sys

import dagster as dg

from detector.client.dagster import DetectorResource, breaker_check, guarded

OPEN, CLOSED, UNKNOWN = "job:airflow/bad", "job:airflow/good", "job:airflow/nobody"
tries = []


@dg.asset(retry_policy=dg.RetryPolicy(max_retries=2))
@guarded(OPEN)
def bad():
    tries.append("bad")
    return 1


@dg.asset
@guarded(CLOSED)
def good():
    return 1


@dg.asset
def strict(detector: DetectorResource):
    detector.gate(UNKNOWN, on_unknown="block")


@dg.asset
def orders():
    return 1


@dg.asset(deps=[orders])
def report():
    return 1


def materialize(*assets, **resources):
    result = dg.materialize(list(assets), raise_on_error=False, resources=resources)
    failures = [event.step_failure_data for event in result.all_events if event.is_step_failure]
    ran = [event.asset_key.to_user_string() for event in result.get_asset_materialization_events()]
    checks = {c.asset_key.to_user_string(): [c.passed, c.severity.value] for c in result.get_asset_check_evaluations()}
    retried = any(event.event_type_value == "STEP_UP_FOR_RETRY" for event in result.all_events)
    told = [data.user_failure_data.description for data in failures if data.user_failure_data]
    return {"success": result.success, "told": told, "ran": ran, "checks": checks, "retried": retried}


json.dump(
    {
        "bad": materialize(bad),
        "good": materialize(good),
        "strict": materialize(strict, detector=DetectorResource()),
        "held": materialize(orders, report, breaker_check(orders, OPEN)),
        "unknown": materialize(orders, report, breaker_check(orders, UNKNOWN)),
        "passed": materialize(orders, report, breaker_check(orders, CLOSED)),
        "tries": tries,
    },
    sys.stdout,
)
