"""The company's events as bytes on the topics that Detector reads: some teams speak OpenLineage, dbt's native Avro."""

from datetime import UTC, datetime
from typing import Any

import msgspec

from detector.core.events import Dataset, RunEvent

PRODUCER = "https://acorn-outdoor.example/pipelines"
_FACETS = "https://openlineage.io/spec/facets"
_RUN_EVENT = "https://openlineage.io/spec/2-0-2/OpenLineage.json#/$defs/RunEvent"


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
