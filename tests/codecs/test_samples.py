"""What real clients sent: nothing of it is refused, and what comes out is what one reads in the JSON by hand."""

import json
from collections import Counter
from datetime import UTC, datetime
from functools import cache
from struct import unpack
from typing import Any

import msgspec
import pytest

from detector.codecs.facets import DatasetFacets, InputFacets, JobFacets, OutputFacets, RunFacets
from detector.core.events import Assertion, Dataset, Field, RunEvent, observations
from tests.codecs.records import SAMPLES, event, sample

FILES = sorted(path.name for path in SAMPLES.glob("*.jsonl"))
# All that we read, by their names on the wire.
FACETS = {
    field.encode_name
    for kind in (DatasetFacets, InputFacets, OutputFacets, JobFacets, RunFacets)
    for field in msgspec.structs.fields(kind)
}
DUCKDB = "duckdb:///srv/dbt/shop/shop.duckdb"
COLUMNS = (Field("id", "BIGINT", 1), Field("customer_id", "INTEGER", 2), Field("amount", "DOUBLE", 3))


@cache
def read(name: str) -> list[RunEvent]:
    return [event(value) for value in sample(name)]


@cache
def documents(name: str) -> list[dict[str, Any]]:
    return [json.loads(value) for value in sample(name)]


def cells(dataset: Dataset) -> dict[str, dict[str, float]]:
    """What is measured of each column, by its name and the statistic's."""
    table = dataset.profile
    assert table is not None
    numbers = unpack(f"<{len(table.values) // 8}d", table.values)
    width = len(table.statistics)
    return {
        column: {
            name: value
            for name, value in zip(table.statistics, numbers[i * width : (i + 1) * width], strict=True)
            if value == value
        }
        for i, column in enumerate(table.columns)
    }


@pytest.mark.parametrize("name", FILES)
def test_every_event_has_the_identity_state_and_time_that_its_json_has(name: str) -> None:
    told = [
        (
            d["job"]["namespace"],
            d["job"]["name"],
            d["run"]["runId"],
            d["eventType"],
            datetime.fromisoformat(d["eventTime"]).timestamp(),
        )
        for d in documents(name)
    ]

    found = [(e.namespace, e.name, e.run_id, e.state, e.event_time) for e in read(name)]

    assert found == told


@pytest.mark.parametrize("name", FILES)
def test_every_event_has_the_datasets_and_columns_that_its_json_has(name: str) -> None:
    def told(side: list[dict[str, Any]]) -> list[Any]:
        return [
            (
                d["namespace"],
                d["name"],
                tuple(
                    (f["name"], f.get("type", ""), f.get("ordinal_position", 0))
                    for f in d.get("facets", {}).get("schema", {}).get("fields", [])
                ),
            )
            for d in side
        ]

    def found(side: tuple[Dataset, ...]) -> list[Any]:
        return [(d.namespace, d.name, tuple((f.name, f.type, f.position) for f in d.schema or ())) for d in side]

    for document, decoded in zip(documents(name), read(name), strict=True):
        assert found(decoded.inputs) == told(document.get("inputs", []))
        assert found(decoded.outputs) == told(document.get("outputs", []))


@pytest.mark.parametrize("name", FILES)
def test_every_statistic_of_every_column_is_kept(name: str) -> None:
    ours = {"count": "count", "nullCount": "null_count", "distinctCount": "distinct", "sum": "sum"}

    def told(dataset: dict[str, Any]) -> dict[str, dict[str, float]]:
        columns = dataset["inputFacets"]["dataQualityMetrics"]["columnMetrics"]
        return {
            column: {ours.get(key, key): float(value) for key, value in metrics.items() if key != "quantiles"}
            | {f"q{float(key):g}": value for key, value in metrics.get("quantiles", {}).items()}
            for column, metrics in columns.items()
        }

    for document, decoded in zip(documents(name), read(name), strict=True):
        for dataset, kept in zip(document.get("inputs", []), decoded.inputs, strict=True):
            if "dataQualityMetrics" in dataset.get("inputFacets", {}):
                assert cells(kept) == told(dataset)
            else:
                assert kept.profile is None


@pytest.mark.parametrize("name", FILES)
def test_every_run_has_the_plan_parent_and_error_that_its_json_has(name: str) -> None:
    def told(document: dict[str, Any]) -> tuple[Any, ...]:
        run, job = document["run"].get("facets", {}), document["job"].get("facets", {})
        nominal = run.get("nominalTime", {}).get("nominalStartTime")
        parent = run.get("parent", {}).get("job")
        return (
            nominal and datetime.fromisoformat(nominal).timestamp(),
            parent and f"job:{parent['namespace']}/{parent['name']}",
            "errorMessage" in run,
            job.get("jobType", {}).get("processingType") == "STREAMING",
            job.get("sourceCodeLocation", {}).get("version"),
        )

    found = [
        (e.nominal_time, e.parent, e.error is not None, e.streaming or e.incomplete, e.code_version) for e in read(name)
    ]

    assert found == [told(document) for document in documents(name)]


@pytest.mark.parametrize("name", FILES)
def test_every_dataset_has_the_counts_versions_and_changes_that_its_json_has(name: str) -> None:
    def told(d: dict[str, Any]) -> tuple[Any, ...]:
        of_dataset, of_input, of_output = (d.get(key, {}) for key in ("facets", "inputFacets", "outputFacets"))
        moved = of_input.get("inputStatistics") or of_output.get("outputStatistics") or {}
        measured = of_input.get("dataQualityMetrics", {})
        return (
            moved.get("rowCount", measured.get("rowCount")),
            moved.get("size", measured.get("bytes")),
            moved.get("fileCount", measured.get("fileCount")),
            of_dataset.get("version", {}).get("datasetVersion"),
            of_dataset.get("lifecycleStateChange", {}).get("lifecycleStateChange"),
        )

    for document, decoded in zip(documents(name), read(name), strict=True):
        found = [(d.rows, d.bytes, d.files, d.version, d.lifecycle) for d in (*decoded.inputs, *decoded.outputs)]

        assert found == [told(d) for d in (*document.get("inputs", []), *document.get("outputs", []))]


@pytest.mark.parametrize("name", FILES)
def test_every_assertion_is_kept_with_its_outcome(name: str) -> None:
    def told(dataset: dict[str, Any]) -> set[Assertion]:
        facets = [dataset.get(key, {}).get("dataQualityAssertions", {}) for key in ("facets", "inputFacets")]
        return {
            Assertion(a["assertion"], a["success"], a.get("column", ""), a.get("severity", "error"))
            for facet in facets
            for a in facet.get("assertions", [])
        }

    for document, decoded in zip(documents(name), read(name), strict=True):
        assert [set(d.assertions) for d in decoded.inputs] == [told(d) for d in document.get("inputs", [])]
        assert not any(d.assertions for d in decoded.outputs)


@pytest.mark.parametrize("name", FILES)
def test_every_job_has_the_owners_and_tags_that_its_json_has(name: str) -> None:
    def told(document: dict[str, Any]) -> tuple[Any, ...]:
        facets = document["job"].get("facets", {})
        owners = tuple(owner["name"] for owner in facets.get("ownership", {}).get("owners", []))
        return owners, tuple(tag["key"] for tag in facets.get("tags", {}).get("tags", []))

    found = [(e.owners, e.tags) for e in read(name)]

    assert found == [told(document) for document in documents(name)]


@pytest.mark.parametrize("name", FILES)
def test_every_column_comes_from_where_its_json_says(name: str) -> None:
    def told(dataset: dict[str, Any]) -> Any:
        facet = dataset.get("facets", {}).get("columnLineage")
        return facet and {
            (column, f"dataset:{source['namespace']}/{source['name']}", source["field"])
            for column, of_one in facet["fields"].items()
            for source in of_one["inputFields"]
        } | {
            ("*", f"dataset:{source['namespace']}/{source['name']}", source["field"])
            for source in facet.get("dataset", [])
        }

    for document, decoded in zip(documents(name), read(name), strict=True):
        found = [d.columns_from and set(d.columns_from) for d in (*decoded.inputs, *decoded.outputs)]

        assert found == [told(d) for d in (*document.get("inputs", []), *document.get("outputs", []))]


@pytest.mark.parametrize("name", FILES)
def test_every_event_is_seen_by_its_job_and_by_each_of_its_datasets(name: str) -> None:
    for document, decoded in zip(documents(name), read(name), strict=True):
        told = [f"job:{document['job']['namespace']}/{document['job']['name']}"]
        told += [f"dataset:{d['namespace']}/{d['name']}" for side in ("inputs", "outputs") for d in document[side]]

        assert [entity for entity, _ in observations(decoded, 0.0)] == told


def test_the_samples_have_no_facet_that_somebody_forgot_to_read() -> None:
    left_out = {
        *(
            "airflow",
            "dbt_model",
            "dbt_node",
            "dbt_run",
            "dbt_version",
            "airflowDagRun",
            "airflowState",
            "environment-properties",
            "spark_applicationDetails",
            "spark_jobDetails",
            "spark_properties",
            "test",
            "unknownSourceAttribute",
        ),  # of one tool
        *("dataSource", "processing_engine", "sql"),  # nothing that is judged
    }
    there = set()
    for document in (d for name in FILES for d in documents(name)):
        there |= set(document["run"].get("facets", {})) | set(document["job"].get("facets", {}))
        for dataset in (*document["inputs"], *document["outputs"]):
            for key in ("facets", "inputFacets", "outputFacets"):
                there |= set(dataset.get(key, {}))

    assert there - left_out == there & FACETS
    assert left_out <= there


def test_airflow_gives_two_tasks_of_one_dag_with_their_logical_time() -> None:
    events = read("airflow-success.jsonl")

    assert Counter((e.name, e.state) for e in events) == {
        ("orders_etl.extract", "START"): 1,
        ("orders_etl.extract", "COMPLETE"): 1,
        ("orders_etl.transform", "START"): 1,
        ("orders_etl.transform", "COMPLETE"): 1,
    }
    assert {e.run_id for e in events} == {documents("airflow-success.jsonl")[i]["run"]["runId"] for i in (0, 2)}
    assert {e.parent for e in events} == {"job:airflow-shop/orders_etl"}
    assert {e.nominal_time for e in events} == {datetime(2026, 11, 20, tzinfo=UTC).timestamp()}
    assert {(e.owners, e.tags) for e in events} == {(("airflow",), ("shop",))}
    assert not any(e.inputs or e.outputs or e.streaming or e.error for e in events)


def test_airflow_tells_the_rows_of_a_task_and_that_its_gate_failed_and_never_that_the_dag_began() -> None:
    events = read("airflow-gate.jsonl")

    assert [(e.name, e.state) for e in events] == [
        ("shop.load_orders", "START"),
        ("shop.load_orders", "COMPLETE"),
        ("shop.may_it_be_sent", "START"),
        ("shop.may_it_be_sent", "FAIL"),
        ("shop", "FAIL"),
    ]
    assert [(d.namespace, d.name, d.rows) for e in events for d in e.outputs] == [("shop", "orders", 495.0)]
    assert [e.error for e in events[3:]] == [events[3].error, "task_failure"]
    assert "495" not in (events[3].error or ""), "numbers go"


def test_spark_tells_rows_when_it_has_written_them_and_that_each_load_overwrites() -> None:
    events = read("spark.jsonl")
    write = "orders.execute_insert_into_hadoop_fs_relation_command.spark_orders"

    assert [(e.name, e.state) for e in events] == [
        ("orders", "START"),
        (write, "START"),
        (write, "RUNNING"),
        (write, "RUNNING"),
        (write, "COMPLETE"),
        ("orders", "COMPLETE"),
    ]
    assert {e.parent for e in events if e.name == write} == {"job:spark/orders"}
    written = [d for e in events for d in e.outputs]
    assert [(d.rows, d.bytes, d.files) for d in written] == [*[(None,) * 3] * 2, *[(505.0, 6748.0, 1.0)] * 2]
    assert {(d.namespace, d.name, d.lifecycle) for d in written} == {("file", "/srv/shop/spark/orders", "OVERWRITE")}
    read_by_it = [d for e in events for d in e.inputs]
    assert {(d.name, d.rows, d.bytes, d.files) for d in read_by_it} == {
        ("/srv/shop/spark/orders.csv", None, 7640.0, 1.0)
    }


def test_the_client_gives_38_runs_of_two_jobs() -> None:
    events = read("client-first-20-days.jsonl")

    assert len(events) == 80
    assert len({e.run_id for e in events}) == 38
    assert Counter(e.name for e in events) == {"orders_daily": 38, "orders_daily.load": 42}
    assert Counter(e.state for e in events) == {"START": 38, "RUNNING": 4, "COMPLETE": 34, "FAIL": 2, "ABORT": 2}
    assert Counter(e.parent for e in events) == {None: 38, "job:nightly/orders_daily": 42}
    assert [e.error for e in events if e.error] == ["IO Error: disk full"]


def test_the_client_counts_rows_bytes_and_files_of_every_load() -> None:
    outputs = [d for e in read("client-first-20-days.jsonl") for d in e.outputs]

    assert len(outputs) == 17
    assert sum(d.rows or 0 for d in outputs) == 84_072
    assert (outputs[0].rows, outputs[0].bytes, outputs[0].files) == (5076.0, 324_864.0, 1.0)
    assert [d.version for d in outputs[:3]] == ["0", "1", "2"]
    assert {d.lifecycle for d in outputs} == {"OVERWRITE"}
    assert outputs[0].schema == (*COLUMNS, Field("status", "VARCHAR", 4))
    assert outputs[0].columns_from == tuple(
        (column, "dataset:duckdb://warehouse/main.stg_orders", column)
        for column in ("amount", "customer_id", "id", "status")
    )


def test_the_first_load_of_the_client_has_the_statistics_that_it_sent() -> None:
    first = next(d for e in read("client-first-20-days.jsonl") for d in e.inputs if d.profile)

    assert first.profile is not None
    assert first.profile.columns == ("amount", "customer_id", "id", "status")
    assert first.profile.statistics == (
        *("count", "null_count", "distinct", "sum", "min", "max"),
        *("q0.01", "q0.25", "q0.5", "q0.75", "q0.99"),
    )
    assert cells(first)["amount"] == {
        "count": 5076,
        "null_count": 91,
        "distinct": 3733,
        "sum": 234020.07999999952,
        "min": 7.39,
        "max": 148.34,
        "q0.01": 7.6384,
        "q0.25": 15.87,
        "q0.5": 33.19,
        "q0.75": 69.73,
        "q0.99": 144.6928,
    }
    assert cells(first)["status"] == {"count": 5076, "null_count": 0, "distinct": 3}
    assert first.assertions == (Assertion("not_null", True, "amount"), Assertion("unique", True, "id"))


def test_dbt_gives_30_runs_of_21_jobs_below_its_invocations() -> None:
    events = read("dbt.jsonl")

    assert len(events) == 58
    assert len({e.run_id for e in events}) == 30
    assert len({e.name for e in events}) == 21
    assert Counter(e.state for e in events) == {"START": 30, "COMPLETE": 20, "FAIL": 8}
    assert Counter(e.parent for e in events) == {
        None: 11,
        "job:dbt-shop/dbt-run-shop": 31,
        "job:dbt-shop/model.shop.stg_orders": 16,
    }


def test_dbt_repeats_each_assertion_in_two_facets_and_we_keep_it_once() -> None:
    asserted = Counter(a for e in read("dbt.jsonl") for d in e.inputs for a in d.assertions)

    assert asserted == {
        Assertion("accepted_values", False, "status"): 4,
        Assertion("not_null", False, "amount", "warn"): 4,
        Assertion("not_null", True, "id"): 4,
        Assertion("unique", True, "id"): 4,
        Assertion("no_negative", True): 2,
        Assertion("no_negative", False): 2,
    }


def test_dbt_reads_and_writes_the_tables_of_its_models() -> None:
    events = read("dbt.jsonl")

    assert Counter(d.name for e in events for d in e.outputs) == {
        "shop.main.stg_orders": 8,
        "shop.main.customer_totals": 5,
        "shop.main.orders_inc": 4,
        "shop.main.broken": 1,
    }
    assert Counter(d.name for e in events for d in e.inputs) == {
        "shop.main.stg_orders": 15,
        "shop.main.customer_totals": 8,
        "shop.main.raw_orders": 2,
    }
    assert {d.namespace for e in events for d in (*e.inputs, *e.outputs)} == {DUCKDB}
    totals = next(d for e in events for d in e.outputs if d.name == "shop.main.customer_totals" and d.columns_from)
    assert totals.columns_from == (
        ("customer_id", f"dataset:{DUCKDB}/shop.main.stg_orders", "customer_id"),
        ("total", f"dataset:{DUCKDB}/shop.main.stg_orders", "amount"),
    )
    assert all(d.rows is None for e in events for d in (*e.inputs, *e.outputs)), "dbt on duckdb counts no rows"
