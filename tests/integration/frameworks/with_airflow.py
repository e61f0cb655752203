# mypy: ignore-errors
"""Run by a real Airflow: what each piece does with an open breaker, a closed one, and one that nobody knows."""

import json
import sys
from types import SimpleNamespace

from airflow.sdk import DAG
from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from detector.client.airflow import DetectorGate, DetectorSensor, before, entity_of, guarded

OPEN, CLOSED, UNKNOWN = "job:airflow/bad", "job:airflow/good", "job:airflow/nobody"


def outcome(act):
    try:
        return act()
    except (AirflowFailException, AirflowSkipException, ValueError) as error:
        return f"{type(error).__name__}: {error}"


def refused(**options):
    return outcome(lambda: DetectorSensor(task_id="s", entity=OPEN, **options))


context = {"ti": SimpleNamespace(dag_id="shop", task_id="load")}
with DAG("shop", schedule=None):
    gates = {name: DetectorGate(task_id=f"gate-{name[-3:]}", entity=name) for name in (OPEN, CLOSED, UNKNOWN)}
    sensors = {name: DetectorSensor(task_id=f"wait-{name[-3:]}", entity=name) for name in (OPEN, CLOSED, UNKNOWN)}
    strict = DetectorGate(task_id="strict", entity=UNKNOWN, on_unknown="block")

json.dump(
    {
        "gates": {name: outcome(lambda gate=gate: gate.execute(context)) for name, gate in gates.items()},
        "sensors": {name: sensor.poke(context) for name, sensor in sensors.items()},
        "reads of a job": gates[OPEN].get_openlineage_facets_on_start(),
        "strict": outcome(lambda: strict.execute(context)),
        "decorated": {name: outcome(guarded(name)(lambda: "loaded")) for name in (OPEN, CLOSED, UNKNOWN)},
        "before": {name: outcome(lambda name=name: before(name)(context)) for name in (OPEN, CLOSED)},
        "skips": [refused(soft_fail=True), refused(never_fail=True)],
        "mode": sensors[OPEN].mode,
        "named": entity_of(context["ti"]),
    },
    sys.stdout,
)
