"""OpenLineage, rule by rule."""

import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given

from detector.core.events import Assertion, Dataset, DatasetEvent, DeadLetter, Field, JobEvent, RunEvent, Statistics
from tests.codecs.records import (
    AT,
    decode,
    event,
    refusal,
    run_document,
    with_input,
    with_job_facets,
    with_output,
    with_run_facets,
)
from tests.strategies import documents, restructured

NAN = float("nan")


def test_a_run_event_of_its_envelope_alone() -> None:
    expected = RunEvent("airflow", "orders.load", "01a15708-c115-7f0f-9844-ac4163b7618a", "COMPLETE", AT)

    assert event(run_document()) == expected


def test_a_dataset_event_describes_a_dataset_outside_any_run() -> None:
    schema = {"fields": [{"name": "id", "type": "BIGINT"}]}
    document = {
        "eventTime": "2026-10-20T01:59:08.941Z",
        "dataset": {"namespace": "pg", "name": "orders", "facets": {"schema": schema}},
    }

    assert event(document) == DatasetEvent(Dataset("pg", "orders", schema=(Field("id", "BIGINT"),)), AT)


def test_a_job_event_describes_a_job_outside_any_run() -> None:
    document = {
        "eventTime": "2026-10-20T01:59:08.941Z",
        "job": {"namespace": "airflow", "name": "load", "facets": {"sourceCodeLocation": {"version": "8f14e45"}}},
        "inputs": [{"namespace": "pg", "name": "raw"}],
        "outputs": [{"namespace": "pg", "name": "orders"}],
    }

    expected = JobEvent("airflow", "load", AT, (Dataset("pg", "raw"),), (Dataset("pg", "orders"),), "8f14e45")
    assert event(document) == expected


# ---------------------------------------------------------------- the envelope


@pytest.mark.parametrize(
    ("sent", "state"),
    [
        pytest.param({"eventType": "START"}, "START", id="a state is kept"),
        pytest.param({"eventType": "complete"}, "COMPLETE", id="a state may be in small letters"),
        pytest.param({"eventType": "RESTARTED"}, "OTHER", id="a state that we do not know is OTHER"),
        pytest.param({"eventType": None}, "OTHER", id="no state is OTHER"),
        pytest.param({"eventType": 7}, "OTHER", id="a state that is no text is OTHER"),
    ],
)
def test_state(sent: dict[str, Any], state: str) -> None:
    assert event(run_document(**sent)).state == state


def test_a_missing_state_is_other() -> None:
    document = run_document()
    del document["eventType"]

    assert event(document).state == "OTHER"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        pytest.param("2026-10-20T01:59:08Z", AT - 0.941, id="whole seconds"),
        pytest.param("2026-10-20T01:59:08.941+00:00", AT, id="an offset of nothing"),
        pytest.param("2026-10-20T07:29:08.941+05:30", AT, id="an offset of half hours"),
        pytest.param("2026-10-19T18:59:08.941-07:00", AT, id="an offset to the west"),
        pytest.param("2026-10-20T01:59:08.941", AT, id="no offset is UTC"),
        pytest.param("2026-10-20 01:59:08.941Z", AT, id="a blank for the T"),
        pytest.param("2026-10-20t01:59:08.941z", AT, id="small letters"),
        pytest.param("2026-10-20T01:59:08.941000999Z", AT, id="nanoseconds are cut off"),
        pytest.param("2026-10-20T01:59Z", AT - 8.941, id="no seconds, as Java has it"),
        pytest.param("2026-10-20T03:59:08.941+02:00[Europe/Berlin]", AT, id="the zone's name behind, as Java has it"),
        pytest.param("2016-12-31T23:59:60Z", 1_483_228_800.0, id="a leap second is the next one"),
        pytest.param("1970-01-01T00:00:00Z", 0.0, id="the first time there is"),
        pytest.param("2199-12-31T23:59:59Z", 7_258_118_399.0, id="the last second that is believed"),
    ],
)
def test_time(text: str, seconds: float) -> None:
    assert event(run_document(eventTime=text)).event_time == seconds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        pytest.param("yesterday", "eventTime: not an RFC 3339 time", id="no time"),
        pytest.param("", "eventTime: not an RFC 3339 time", id="nothing"),
        pytest.param("2026-13-20T01:59:08Z", "eventTime: not an RFC 3339 time", id="a month of 13"),
        pytest.param("9999-12-31T23:59:60Z", "eventTime: not an RFC 3339 time", id="a leap second at the end of time"),
        pytest.param("2026-10-20", "eventTime: has no time of day", id="a date"),
        pytest.param("1969-12-31T23:59:59Z", "eventTime: not between 1970 and 2199", id="before 1970"),
        pytest.param("2200-01-01T00:00:00Z", "eventTime: not between 1970 and 2199", id="after 2199"),
        pytest.param("0001-01-01T00:00:00", "eventTime: not between 1970 and 2199", id="the least that Java has"),
    ],
)
def test_a_time_that_cannot_be_is_refused(text: str, message: str) -> None:
    reason, told = refusal(run_document(eventTime=text))

    assert (reason, told.startswith(message)) == ("time", True), told


def without(document: dict[str, Any], *path: str) -> dict[str, Any]:
    """A copy of `document` that lacks what is at `path`."""
    copy = json.loads(json.dumps(document))
    holder = copy
    for key in path[:-1]:
        holder = holder[key]
    del holder[path[-1]]
    return dict(copy)


@pytest.mark.parametrize(
    ("document", "reason", "path"),
    [
        pytest.param(without(run_document(), "eventTime"), "envelope", "eventTime", id="no time"),
        pytest.param(without(run_document(), "job"), "envelope", "job", id="a run without a job"),
        pytest.param(without(run_document(), "job", "name"), "envelope", "$.job", id="a job without a name"),
        pytest.param(without(run_document(), "job", "namespace"), "envelope", "$.job", id="a job without a namespace"),
        pytest.param(without(run_document(), "run"), "envelope", "run", id="a RunEvent without a run"),
        pytest.param(without(run_document(), "run", "runId"), "envelope", "$.run", id="a run without an id"),
        pytest.param(run_document(run={"runId": ""}), "envelope", "run.runId", id="an empty run id"),
        pytest.param(run_document(run={"runId": 7}), "envelope", "$.run.runId", id="a run id that is a number"),
        pytest.param(run_document(run={"runId": "x" * 1025}), "envelope", "run.runId", id="a run id of 1,025"),
        pytest.param(run_document(eventTime=1.5), "envelope", "$.eventTime", id="a time that is a number"),
        pytest.param(run_document(inputs={}), "envelope", "$.inputs", id="inputs that are no list"),
        pytest.param(
            run_document(inputs=[{"name": "x"}]), "envelope", "$.inputs[0]", id="an input without a namespace"
        ),
        pytest.param(with_output(name=3), "envelope", "$.outputs[0].name", id="an output's name that is a number"),
        pytest.param(with_output(name=""), "name", "outputs[0].name", id="an output without a name"),
        pytest.param(run_document(job={"namespace": "a", "name": ""}), "name", "job.name", id="an empty name"),
        pytest.param(
            run_document(job={"namespace": "a", "name": "n" * 1001}), "name", "job.name", id="a name of 1,001"
        ),
        pytest.param(
            run_document(job={"namespace": "a" * 1001, "name": "n"}), "name", "job.namespace", id="a namespace of 1,001"
        ),
        pytest.param(
            run_document(job={"namespace": "a", "name": "n\nb"}), "name", "job.name", id="a line break in a name"
        ),
        pytest.param(
            run_document(job={"namespace": "a\x00", "name": "n"}), "name", "job.namespace", id="a zero in a namespace"
        ),
        pytest.param(
            run_document(job={"namespace": "a", "name": "\ud800"}), "name", "job.name", id="half a surrogate pair"
        ),
        pytest.param(with_input(name="a\x7f"), "name", "inputs[0].name", id="a control character in an input's name"),
    ],
)
def test_a_wrong_envelope_is_refused_with_its_path(document: dict[str, Any], reason: str, path: str) -> None:
    found, message = refusal(document)

    assert found == reason, message
    assert path in message


def test_the_message_of_a_refusal_holds_no_value() -> None:
    secret = "hunter2"
    refused = [
        run_document(run={"runId": {secret: secret}}),
        run_document(eventTime=secret),
        run_document(job={"namespace": "a", "name": f"{secret}\n"}),
        run_document(inputs=secret),
        {"hello": secret},
    ]

    assert not any(secret in refusal(document)[1] for document in refused)


def test_a_run_id_may_be_any_text_of_up_to_1024_characters() -> None:
    for run_id in ("manual__2026-11-22T20:50:21+00:00", "x" * 1024, "Lauf №7"):
        assert event(run_document(run={"runId": run_id})).run_id == run_id


def test_names_may_hold_blanks_letters_of_any_script_and_1000_characters() -> None:
    for name in ("a b", "s3 path/ä", "n" * 1000, "no-break\u00a0space", "soft\u00adhyphen", "日本語"):
        assert event(run_document(job={"namespace": "", "name": name})).name == name


def test_of_a_key_that_is_there_twice_the_last_counts() -> None:
    text = json.dumps(run_document())
    twice = text[:-1] + ', "eventType": "FAIL", "job": {"namespace": "a", "namespace": "b", "name": "n"}}'

    found = event(twice)

    assert (found.state, found.namespace, found.name) == ("FAIL", "b", "n")


def test_a_facet_that_is_there_twice_counts_once() -> None:
    facets = '{"outputStatistics": {"rowCount": 1}, "outputStatistics": {"rowCount": 2, "rowCount": 3}}'
    text = json.dumps(with_output(outputFacets="HERE")).replace('"HERE"', facets)

    assert event(text).outputs[0].rows == 3.0


def test_null_stands_for_missing_everywhere() -> None:
    document = run_document(inputs=None, outputs=[{"namespace": "pg", "name": "o", "facets": None}], dataset=None)
    document["job"]["facets"] = None
    document["run"]["facets"] = {"nominalTime": None, "parent": {"job": None}, "errorMessage": {"message": None}}

    found = event(document)

    assert (found.inputs, found.outputs) == ((), (Dataset("pg", "o"),))
    assert (found.nominal_time, found.parent, found.error) == (None, None, None)


# ---------------------------------------------------------------- facets of a run and of a job


def test_nominal_time_is_its_start() -> None:
    facet = {"nominalStartTime": "2026-10-20T02:00:00+00:00", "nominalEndTime": "2026-10-21T02:00:00Z"}

    assert event(with_run_facets(nominalTime=facet)).nominal_time == 1_792_461_600.0


def test_a_nominal_time_that_is_none_is_left_out() -> None:
    for text in ("soon", "0001-01-01T00:00:00Z", "2026-10-20"):
        assert event(with_run_facets(nominalTime={"nominalStartTime": text})).nominal_time is None


def test_the_parent_is_the_job_that_started_this_one() -> None:
    facet = {"run": {"runId": "x"}, "job": {"namespace": "airflow", "name": "orders"}, "root": {"job": {"name": "r"}}}

    assert event(with_run_facets(parent=facet)).parent == "job:airflow/orders"


def test_an_error_is_its_first_line_without_data() -> None:
    facet = {"message": "KeyError: 'alice@example.org'\n  at row 17", "programmingLanguage": "python"}

    assert event(with_run_facets(errorMessage=facet)).error == "KeyError: '?'"


def test_an_extraction_error_makes_the_lineage_incomplete() -> None:
    facet = {"totalTasks": 2, "failedTasks": 1, "errors": [{"errorMessage": "cannot parse"}]}

    assert event(with_run_facets(extractionError=facet)).incomplete
    assert not event(run_document()).incomplete


@pytest.mark.parametrize(
    ("facet", "streaming", "snapshots"),
    [
        pytest.param({"processingType": "BATCH", "integration": "SPARK"}, False, False, id="a batch job ends"),
        pytest.param({"processingType": "STREAMING"}, True, False, id="a streaming job does not"),
        pytest.param({"processingType": "SERVICE"}, True, False, id="nor does a service"),
        pytest.param({"processingType": "streaming"}, True, False, id="in small letters, too"),
        pytest.param(
            {
                "processingType": "STREAMING",
                "emissionPattern": {"eventTrigger": "PERIODIC", "eventContentMode": "COMPLETE_SNAPSHOT"},
            },
            True,
            True,
            id="an event may say all of its window",
        ),
        pytest.param(
            {"processingType": "STREAMING", "emissionPattern": {"eventContentMode": "ACCUMULATIVE"}},
            True,
            False,
            id="or only what is new",
        ),
    ],
)
def test_job_type(facet: dict[str, Any], streaming: bool, snapshots: bool) -> None:
    found = event(with_job_facets(jobType=facet))

    assert (found.streaming, found.snapshot_windows) == (streaming, snapshots)


def test_the_version_of_the_code_is_that_of_its_location() -> None:
    facet = {"type": "git", "url": "https://example.org", "version": "8f14e45", "branch": "main"}

    assert event(with_job_facets(sourceCodeLocation=facet)).code_version == "8f14e45"


def test_deleted_facets_are_not_there() -> None:
    gone = {"_deleted": True}
    document = run_document(
        run={
            "runId": "r",
            "facets": {
                "nominalTime": {**gone, "nominalStartTime": "2026-10-20T02:00:00Z"},
                "parent": {**gone, "job": {"namespace": "a", "name": "b"}},
                "errorMessage": {**gone, "message": "x"},
                "extractionError": gone,
            },
        },
        job={
            "namespace": "a",
            "name": "n",
            "facets": {
                "jobType": {**gone, "processingType": "STREAMING"},
                "sourceCodeLocation": {**gone, "version": "1"},
                "ownership": {**gone, "owners": [{"name": "me"}]},
                "tags": {**gone, "tags": [{"key": "a"}]},
            },
        },
        inputs=[
            {
                "namespace": "pg",
                "name": "o",
                "facets": {
                    "schema": {**gone, "fields": [{"name": "id"}]},
                    "version": {**gone, "datasetVersion": "1"},
                    "symlinks": {**gone, "identifiers": [{"namespace": "x", "name": "y", "type": "TABLE"}]},
                    "lifecycleStateChange": {**gone, "lifecycleStateChange": "DROP"},
                    "columnLineage": {**gone, "dataset": [{"namespace": "pg", "name": "raw", "field": "x"}]},
                    "ownership": {**gone, "owners": [{"name": "me"}]},
                    "tags": {**gone, "tags": [{"key": "a"}]},
                    "dataQualityMetrics": {**gone, "rowCount": 1, "columnMetrics": {"a": {"count": 1}}},
                    "dataQualityAssertions": {**gone, "assertions": [{"assertion": "a", "success": True}]},
                },
                "inputFacets": {
                    "inputStatistics": {**gone, "rowCount": 1},
                    "dataQualityMetrics": {**gone, "rowCount": 1},
                    "dataQualityAssertions": {**gone, "assertions": [{"assertion": "a", "success": True}]},
                    "subset": {**gone, "inputCondition": {"type": "location", "locations": ["s3://a"]}},
                },
                "outputFacets": {"subset": {**gone, "outputCondition": {"type": "location", "locations": ["s3://a"]}}},
            }
        ],
    )

    assert event(document) == RunEvent("a", "n", "r", "COMPLETE", AT, inputs=(Dataset("pg", "o"),))


def test_unknown_facets_and_fields_pass() -> None:
    document = with_output(facets={"acme_cost": {"usd": [1, {"x": None}]}}, fancy=True)
    document["run"]["facets"] = {"processing_engine": {"version": "3.5", "name": "spark"}, "tags": {"tags": []}}
    document["trace"] = {"deep": [[[1]]]}

    assert event(document).outputs == (Dataset("pg", "orders"),)


# ---------------------------------------------------------------- facets of datasets


def test_output_statistics_are_what_the_run_wrote() -> None:
    facet = {"rowCount": 10_000, "size": 800_321, "fileCount": 3}

    assert event(with_output(outputFacets={"outputStatistics": facet})).outputs == (
        Dataset("pg", "orders", 10_000.0, 800_321.0, 3.0),
    )


def test_input_statistics_are_what_the_run_read() -> None:
    facet = {"rowCount": 10_000, "size": 800_321, "fileCount": 3}

    assert event(with_input(inputFacets={"inputStatistics": facet})).inputs == (
        Dataset("pg", "orders", 10_000.0, 800_321.0, 3.0),
    )


def test_zero_rows_are_measured() -> None:
    assert event(with_output(outputFacets={"outputStatistics": {"rowCount": 0}})).outputs[0].rows == 0.0


def test_what_the_run_moved_goes_before_what_the_dataset_holds() -> None:
    found = event(
        with_input(
            inputFacets={"inputStatistics": {"rowCount": 5}, "dataQualityMetrics": {"rowCount": 7, "bytes": 70}},
            facets={"dataQualityMetrics": {"rowCount": 9, "bytes": 90, "fileCount": 99}},
        )
    )

    # Files are told of the whole dataset only, in a facet that the input's own quality metrics stand in for.
    assert (found.inputs[0].rows, found.inputs[0].bytes, found.inputs[0].files) == (5.0, 70.0, None)


def test_rows_of_the_quality_metrics_count_where_no_statistics_are() -> None:
    found = event(with_output(facets={"dataQualityMetrics": {"rowCount": 9, "bytes": 90, "fileCount": 2}}))

    assert (found.outputs[0].rows, found.outputs[0].bytes, found.outputs[0].files) == (9.0, 90.0, 2.0)


@pytest.mark.parametrize("wrong", ["-1", "NaN", "Infinity", "1e999", '"12"', "true", "[1]", "1" + "0" * 400])
def test_a_count_that_cannot_be_is_not_measured_and_the_others_stand(wrong: str) -> None:
    text = json.dumps(with_output(outputFacets={"outputStatistics": {"rowCount": "HERE", "size": 5}}))

    found = event(text.replace('"HERE"', wrong))

    assert (found.outputs[0].rows, found.outputs[0].bytes) == (None, 5.0)


def test_a_version_is_a_text_whether_sent_as_text_or_number() -> None:
    for version in ("8841", 8841):
        assert event(with_output(facets={"version": {"datasetVersion": version}})).outputs[0].version == "8841"


def test_a_change_of_the_lifecycle_is_kept() -> None:
    facet = {"lifecycleStateChange": "truncate"}

    assert event(with_output(facets={"lifecycleStateChange": facet})).outputs[0].lifecycle == "TRUNCATE"


def test_nested_columns_are_named_with_their_path() -> None:
    address = {"name": "address", "type": "struct", "fields": [{"name": "city", "type": "varchar"}]}
    facet = {"fields": [{"name": "id", "type": "int", "ordinal_position": 1}, address]}

    expected = (Field("id", "int", 1), Field("address", "struct"), Field("address.city", "varchar"))
    assert event(with_output(facets={"schema": facet})).outputs[0].schema == expected


def test_an_empty_schema_is_one_that_is_not_known() -> None:
    assert event(with_output(facets={"schema": {"fields": []}})).outputs[0].schema is None


@pytest.mark.parametrize(
    ("identifiers", "expected"),
    [
        pytest.param([], ("s3://lake", "orders/"), id="no symlink: its own name"),
        pytest.param(
            [{"namespace": "glue", "name": "shop.orders", "type": "TABLE"}],
            ("glue", "shop.orders"),
            id="the table that it is the place of",
        ),
        pytest.param(
            [
                {"namespace": "x", "name": "y", "type": "LOCATION"},
                {"namespace": "glue", "name": "first", "type": "TABLE"},
                {"namespace": "hive", "name": "second", "type": "TABLE"},
            ],
            ("glue", "first"),
            id="the first table of several",
        ),
        pytest.param(
            [{"namespace": "x", "name": "y", "type": "LOCATION"}], ("s3://lake", "orders/"), id="a place is no table"
        ),
        pytest.param(
            [{"namespace": "glue", "name": "a\nb", "type": "TABLE"}], ("s3://lake", "orders/"), id="a name that is none"
        ),
        pytest.param([{"namespace": "glue", "type": "TABLE"}], ("s3://lake", "orders/"), id="a table without a name"),
    ],
)
def test_symlinks_give_one_table_one_name(identifiers: list[dict[str, str]], expected: tuple[str, str]) -> None:
    dataset = {"namespace": "s3://lake", "name": "orders/", "facets": {"symlinks": {"identifiers": identifiers}}}

    found = event(run_document(outputs=[dataset])).outputs[0]

    assert (found.namespace, found.name) == expected


def test_a_table_under_two_names_in_one_event_is_one_dataset() -> None:
    link = {"identifiers": [{"namespace": "glue", "name": "orders", "type": "TABLE"}]}
    document = run_document(
        outputs=[
            {"namespace": "s3://lake", "name": "orders/", "facets": {"symlinks": link}},
            {"namespace": "glue", "name": "orders", "outputFacets": {"outputStatistics": {"rowCount": 5}}},
        ]
    )

    assert event(document).outputs == (Dataset("glue", "orders", 5.0, aliases=("dataset:s3://lake/orders/",)),)


def test_a_dataset_that_is_there_twice_is_merged_without_adding_up() -> None:
    def mention(rows: int | None, **facets: Any) -> dict[str, Any]:
        statistics = {} if rows is None else {"outputStatistics": {"rowCount": rows}}
        return {"namespace": "pg", "name": "orders", "outputFacets": statistics, "facets": facets}

    checked = {"assertions": [{"assertion": "unique", "success": True}]}
    document = run_document(
        outputs=[
            mention(None, version={"datasetVersion": "7"}, dataQualityAssertions=checked),
            mention(5, schema={"fields": [{"name": "id"}]}, dataQualityAssertions=checked),
            mention(6),
        ]
    )

    expected = Dataset("pg", "orders", 5.0, None, None, (Field("id"),), "7", None, (Assertion("unique", True),))
    assert event(document).outputs == (expected,)


def test_what_was_measured_of_an_output_is_read_at_the_output_too() -> None:
    measured = {"rowCount": 7, "bytes": 70, "columnMetrics": {"a": {"count": 7, "nullCount": 2}}}
    failed = {"assertion": "not_null", "success": False, "column": "a"}
    here = {"dataQualityMetrics": measured, "dataQualityAssertions": {"assertions": [failed]}}
    found = event(with_output(outputFacets={"outputStatistics": {"rowCount": 5}, **here})).outputs[0]

    assert (found.rows, found.bytes) == (5.0, 70.0)
    assert found.profile == Statistics(("a",), ("count", "null_count"), np.array([7.0, 2.0]).tobytes())
    assert found.assertions == (Assertion("not_null", False, "a"),)


def test_an_assertion_keeps_its_severity_and_drops_its_values() -> None:
    told = {"assertion": "not_null", "success": False, "column": "a", "severity": "WARN", "actual": "17", "name": "n"}
    found = event(with_input(inputFacets={"dataQualityAssertions": {"assertions": [told]}}))

    assert found.inputs[0].assertions == (Assertion("not_null", False, "a", "warn"),)


def test_assertions_of_both_facets_are_joined_without_repeats() -> None:
    a, b = {"assertion": "a", "success": True}, {"assertion": "b", "success": True}
    found = event(
        with_input(
            facets={"dataQualityAssertions": {"assertions": [a, a]}},
            inputFacets={"dataQualityAssertions": {"assertions": [a, b]}},
        )
    )

    # Twice in one facet are two checks of one kind; in both facets it is one that was told twice.
    assert found.inputs[0].assertions == (Assertion("a", True), Assertion("a", True), Assertion("b", True))


# ---------------------------------------------------------------- wrong facets


@pytest.mark.parametrize("wrong", [7, "text", [], [1], True, {"fields": 3}, {"fields": [3, {"type": "x"}]}, {}])
def test_a_wrong_facet_is_not_there_and_the_event_stands(wrong: Any) -> None:
    names = (
        *("schema", "version", "symlinks", "lifecycleStateChange", "dataQualityMetrics", "dataQualityAssertions"),
        *("columnLineage", "ownership", "tags"),
    )
    document = with_output(
        facets=dict.fromkeys(names, wrong),
        outputFacets={"outputStatistics": wrong, "subset": wrong},
        inputFacets=wrong,
    )
    document["run"]["facets"] = dict.fromkeys(("nominalTime", "parent", "errorMessage", "extractionErrors"), wrong)
    document["job"]["facets"] = dict.fromkeys(("jobType", "sourceCodeLocation", "ownership", "tags"), wrong)

    found = event(document)

    assert found == RunEvent(
        "airflow", "orders.load", document["run"]["runId"], "COMPLETE", AT, outputs=(Dataset("pg", "orders"),)
    )


def test_one_wrong_facet_leaves_the_others() -> None:
    document = with_output(
        facets={"schema": "wrong", "version": {"datasetVersion": "7"}},
        outputFacets={"outputStatistics": {"rowCount": 5}},
    )

    assert event(document).outputs == (Dataset("pg", "orders", 5.0, version="7"),)


def test_one_wrong_member_of_a_facet_leaves_the_others() -> None:
    metrics = {
        "rowCount": 5,
        "columnMetrics": {"day": {"count": 5, "min": "2026-10-20"}, "n": {"min": 1, "quantiles": {"0.5": [], "1": 2}}},
    }
    schema = {"fields": [{"name": "id", "type": {"complex": 1}}, {"type": "no name"}, {"name": "b", "type": "int"}]}

    found = event(with_input(facets={"schema": schema, "dataQualityMetrics": metrics})).inputs[0]

    assert found.schema == (Field("id"), Field("b", "int"))
    assert found.rows == 5.0
    assert found.profile is not None
    assert (found.profile.columns, found.profile.statistics) == (("day", "n"), ("count", "min", "q1"))


def test_nan_as_python_writes_it_is_not_measured() -> None:
    metrics = {"rowCount": 5, "columnMetrics": {"a": {"count": 5, "min": NAN, "max": float("inf")}}}

    profile = event(with_input(inputFacets={"dataQualityMetrics": metrics})).inputs[0].profile

    assert (profile.columns, profile.statistics) == (("a",), ("count",))


def test_half_a_surrogate_pair_outside_of_names_becomes_a_question_mark() -> None:
    document = with_output(facets={"schema": {"fields": [{"name": "a\ud800"}]}})

    assert event(document).outputs[0].schema == (Field("a?"),)


def test_columns_that_share_no_quantile_are_too_many_numbers_and_are_left_out() -> None:
    columns = {f"c{i}": {"quantiles": {f"0.{i:05}": 1}} for i in range(3000)}

    found = event(with_input(facets={"dataQualityMetrics": {"rowCount": 5, "columnMetrics": columns}})).inputs[0]

    assert (found.rows, found.profile) == (5.0, None)


def test_columns_that_share_nothing_may_be_few_and_many_columns_may_have_little_in_common() -> None:
    few = {f"c{i}": {"quantiles": {f"0.{i:02}": 1}} for i in range(30)}
    many = {f"c{i}": {"nullCount": 0} for i in range(1000)} | {"n": {"min": 0, "max": 9, "quantiles": {"0.5": 5}}}

    for columns in (few, many):
        found = event(with_input(facets={"dataQualityMetrics": {"columnMetrics": columns}})).inputs[0]
        assert found.profile is not None
        assert found.profile.columns == tuple(columns)


def test_a_quantile_whose_fraction_is_a_page_long_is_none() -> None:
    columns = {"c": {"count": 1, "quantiles": {"0.5" + "0" * 10_000: 1}}}

    found = event(with_input(facets={"dataQualityMetrics": {"columnMetrics": columns}})).inputs[0]

    assert found.profile is not None
    assert found.profile.statistics == ("count",)


def test_inner_columns_whose_names_repeat_a_long_one_are_left_out() -> None:
    table = {"name": "n" * 900, "fields": [{"name": "x"}] * 10_000}

    found = event(with_output(facets={"schema": {"fields": [table, {"name": "after"}]}})).outputs[0]

    assert found.schema == (Field("n" * 900), Field("after"))


def test_a_schema_nested_without_end_costs_nothing() -> None:
    field: dict[str, Any] = {"name": "leaf"}
    for _ in range(200):
        field = {"name": "n" * 90, "fields": [field]}

    found = event(with_output(facets={"schema": {"fields": [field]}})).outputs[0]

    assert found.schema is None or sum(len(f.name) for f in found.schema) < 20_000


@pytest.mark.parametrize(
    "text",
    [
        pytest.param('{"run": ' + "[" * 100_000, id="arrays nested without end"),
        pytest.param('{"run": ' + '{"a":' * 100_000, id="objects nested without end"),
        pytest.param('{"run": {"runId": "a"', id="cut off"),
        pytest.param('{"run": {"runId": "a"}} and more', id="something behind"),
        pytest.param("{'run': 1}", id="Python's quotes"),
        pytest.param("{" + "9" * 5000 + "}", id="no key"),
        pytest.param('{"x": ' + "9" * 5000 + "}", id="an integer without end, and nothing of ours"),
    ],
)
def test_what_is_no_json_of_ours_is_a_dead_letter(text: str) -> None:
    assert refusal(text)[0] in {"json", "format"}


def test_bytes_that_are_not_utf8_pass_where_nobody_reads_them() -> None:
    value = json.dumps(run_document(note="HERE")).encode().replace(b"HERE", b"\xff\xfe")

    assert event(value).name == "orders.load"


@pytest.mark.parametrize(
    "value",
    [
        pytest.param(json.dumps(run_document(note=NAN)).encode().replace(b"note", b"\xff"), id="a key"),
        pytest.param(run_document(inputs="\ud800"), id="half a pair in the place of a list"),
    ],
)
def test_what_is_not_utf8_elsewhere_in_the_envelope_is_no_json(value: bytes | dict[str, Any]) -> None:
    assert refusal(value) == ("json", "not UTF-8")


def test_bytes_that_are_not_utf8_are_no_name() -> None:
    value = json.dumps(run_document(job={"namespace": "a", "name": "HERE"})).encode().replace(b"HERE", b"\xff\xfe")

    assert refusal(value)[0] == "name"


# ---------------------------------------------------------------- properties


@given(documents)
def test_any_document_by_the_specification_gives_an_event(document: dict[str, Any]) -> None:
    found = event(document)

    kind = RunEvent if "run" in document else DatasetEvent if "dataset" in document else JobEvent
    assert type(found) is kind


@given(documents)
def test_the_second_look_gives_what_the_first_gives(document: dict[str, Any]) -> None:
    # NaN in a field that nobody knows is what sends a document to the second look.
    assert decode({**document, "unknown": NAN}) == decode(document)


@given(restructured(documents))
def test_a_document_changed_anywhere_gives_an_event_or_a_dead_letter_that_says_why(value: bytes) -> None:
    found = decode(value)

    assert not isinstance(found, DeadLetter) or found.reason in {"envelope", "format", "json", "name", "time"}
