"""The company's events as bytes on the topics that Detector reads: some teams speak OpenLineage, dbt's native Avro."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from detector.codecs.encoding import encode_run_event
from detector.core.events import Dataset, RunEvent

OPENLINEAGE, NATIVE = "openlineage.events", "pipeline.run-events"
PRODUCER = "https://acorn-outdoor.example/pipelines"
_FACETS = "https://openlineage.io/spec/facets"
_RUN_EVENT = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"


def encode(event: RunEvent) -> tuple[str, bytes, bytes]:
    """The topic, the key and the value of the record that says this."""
    if event.namespace == "dbt":
        return NATIVE, f"{event.namespace}/{event.name}".encode(), encode_run_event(event)
    return OPENLINEAGE, f"run:{event.namespace}/{event.name}".encode(), openlineage(event)


def times(event: RunEvent) -> int:
    """How often a record is sent: one event of sixteen comes twice, since clients repeat what was not acknowledged."""
    return 2 if event.run_id.endswith("7") else 1


def openlineage(event: RunEvent) -> bytes:
    """A run event as OpenLineage's clients write it."""
    facets: dict[str, Any] = {}
    if event.nominal_time is not None:
        facets["nominalTime"] = _facet("1-0-1/NominalTimeRunFacet", nominalStartTime=_time(event.nominal_time))
    if event.error is not None:
        facets["errorMessage"] = _facet("1-0-1/ErrorMessageRunFacet", message=event.error, programmingLanguage="PYTHON")
    return msgspec.json.encode(
        {
            "eventType": event.state,
            "eventTime": _time(event.event_time),
            "run": {"runId": event.run_id, "facets": facets},
            "job": {"namespace": event.namespace, "name": event.name, "facets": {}},
            "inputs": [{"namespace": dataset.namespace, "name": dataset.name} for dataset in event.inputs],
            "outputs": [_output(dataset) for dataset in event.outputs],
            "producer": PRODUCER,
            "schemaURL": _RUN_EVENT,
        }
    )


def _output(dataset: Dataset) -> dict[str, Any]:
    facets: dict[str, Any] = {}
    if dataset.version is not None:
        facets["version"] = _facet("1-0-1/DatasetVersionDatasetFacet", datasetVersion=dataset.version)
    measured: dict[str, Any] = {}
    if dataset.rows is not None:
        statistics = _facet("1-0-2/OutputStatisticsOutputDatasetFacet", rowCount=int(dataset.rows))
        measured["outputStatistics"] = statistics
    return {"namespace": dataset.namespace, "name": dataset.name, "facets": facets, "outputFacets": measured}


def _facet(schema: str, **fields: Any) -> dict[str, Any]:
    name = schema.partition("/")[2]
    return {"_producer": PRODUCER, "_schemaURL": f"{_FACETS}/{schema}.json#/$defs/{name}", **fields}


def _time(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
