"""What OpenLineage tells of names, owners, tags, parts and columns."""

import json
from typing import Any

import pytest
from hypothesis import given

from detector.codecs.checks import MOST_ALIASES, MOST_COLUMNS, MOST_OWNERS, MOST_PARTS, MOST_TAGS
from detector.core.events import Dataset, DatasetEvent, JobEvent, RunEvent
from tests.codecs.records import decode, event, run_document, with_input, with_job_facets, with_output
from tests.strategies import documents

RAW = "dataset:pg/raw"


def source(field: str, name: str = "raw", namespace: str = "pg", **more: Any) -> dict[str, Any]:
    return {"namespace": namespace, "name": name, "field": field, **more}


def output(**facets: Any) -> Dataset:
    """The output of a run event with these facets."""
    found: Dataset = event(with_output(facets=facets)).outputs[0]
    return found


def lineage(**facet: Any) -> Any:
    """Where the columns of an output with this facet come from."""
    return output(columnLineage=facet).columns_from


def link(name: str, namespace: str = "glue", kind: str = "TABLE") -> dict[str, str]:
    return {"namespace": namespace, "name": name, "type": kind}


# ---------------------------------------------------------------- columns


def test_a_column_comes_from_the_columns_that_its_lineage_names() -> None:
    transformed: dict[str, Any] = {"transformations": [{"type": "INDIRECT", "subtype": "JOIN", "masking": False}]}

    found = lineage(
        fields={
            "total": {"inputFields": [source("price"), source("amount", **transformed)]},
            "id": {"inputFields": [source("id")]},
        }
    )

    assert found == (("id", RAW, "id"), ("total", RAW, "amount"), ("total", RAW, "price"))


def test_a_column_that_acts_on_the_whole_dataset_acts_on_every_column() -> None:
    filtered = source("deleted", transformations=[{"type": "INDIRECT", "subtype": "FILTER"}])

    found = lineage(fields={"id": {"inputFields": [source("id")]}}, dataset=[filtered])

    assert found == (("*", RAW, "deleted"), ("id", RAW, "id"))


def test_a_source_that_is_told_twice_is_one() -> None:
    assert lineage(fields={"a": {"inputFields": [source("x"), source("x")]}}) == (("a", RAW, "x"),)


@pytest.mark.parametrize(
    "facet",
    [
        pytest.param(None, id="no facet"),
        pytest.param({}, id="nothing in it"),
        pytest.param({"fields": {}, "dataset": []}, id="no columns, as an empty schema"),
        pytest.param({"_deleted": True, "fields": {"a": {"inputFields": [source("x")]}}}, id="deleted"),
    ],
)
def test_where_columns_come_from_is_not_known_when_no_column_is_told(facet: dict[str, Any] | None) -> None:
    assert output(columnLineage=facet).columns_from is None


def test_columns_that_come_from_nowhere_are_known_to_do_so() -> None:
    assert lineage(fields={"loaded_at": {"inputFields": []}}) == ()


@pytest.mark.parametrize(
    "wrong",
    [
        pytest.param(
            {"fields": {"b": {"inputFields": [source("x"), {"namespace": "pg", "name": "raw"}]}}}, id="no field"
        ),
        pytest.param({"fields": {"b": {"inputFields": [source("x"), 3]}}}, id="a number for a source"),
        pytest.param({"fields": {"b": {"inputFields": [source("")]}}}, id="a column without a name"),
        pytest.param({"fields": {"b": {"inputFields": [source("x" * 1001)]}}}, id="a column with a page for a name"),
        pytest.param({"fields": {"b": {"inputFields": [source("x", name="")]}}}, id="a dataset without a name"),
        pytest.param({"fields": {"b": {"inputFields": [source("x", name="a\nb")]}}}, id="a dataset of two lines"),
        pytest.param({"fields": {"b": {"inputFields": None}}}, id="null for sources"),
        pytest.param({"fields": {"b": {}}}, id="no sources"),
        pytest.param({"fields": {"": {"inputFields": [source("x")]}}}, id="no own name"),
        pytest.param({"fields": {"b": 7}}, id="a number for a column"),
        pytest.param({"dataset": "x"}, id="a text for a list"),
        pytest.param({"dataset": [source("x"), None]}, id="null for a source of the whole"),
    ],
)
def test_of_a_lineage_that_is_wrong_somewhere_nothing_is_kept(wrong: dict[str, Any]) -> None:
    right = {"a": {"inputFields": [source("x")]}}
    facet = {**wrong, "fields": {**right, **wrong.get("fields", {})}}

    found = output(columnLineage=facet, version={"datasetVersion": "7"})

    assert (found.columns_from, found.version) == (None, "7")


def test_what_nobody_reads_of_a_lineage_may_be_wrong() -> None:
    text = json.dumps(with_output(facets={"columnLineage": {"fields": {"a": {"inputFields": [source("x", odd=1)]}}}}))

    found = event(text.replace('"odd": 1', '"odd": NaN, "transformations": 3'))

    assert found.outputs[0].columns_from == (("a", RAW, "x"),)


def test_half_a_surrogate_pair_in_a_column_is_a_question_mark_as_in_the_schema() -> None:
    found = output(
        schema={"fields": [{"name": "a\ud800"}]},
        columnLineage={"fields": {"a\ud800": {"inputFields": [source("x\udfff")]}}},
    )

    assert found.schema is not None
    assert found.columns_from == ((found.schema[0].name, RAW, "x?"),)


@pytest.mark.parametrize(
    ("count", "known"),
    [pytest.param(MOST_COLUMNS, True, id="as many as there may be"), pytest.param(MOST_COLUMNS + 1, False, id="more")],
)
def test_too_many_sources_are_none_at_all(count: int, known: bool) -> None:
    found = lineage(fields={"a": {"inputFields": [source(f"c{i}") for i in range(count - 1)]}}, dataset=[source("x")])

    assert found is None or len(found) == count
    assert (found is not None) == known


def test_long_names_that_many_sources_repeat_are_none_at_all() -> None:
    long = {"n" * 900: {"inputFields": [source(f"c{i}") for i in range(1000)]}}

    found = event(
        run_document(
            outputs=[
                {"namespace": "pg", "name": "a", "facets": {"columnLineage": {"fields": long}}},
                {"namespace": "pg", "name": "b"},
            ]
        )
    )

    assert [d.columns_from for d in found.outputs] == [None, None]


def test_the_source_of_a_column_has_the_name_that_the_input_has() -> None:
    document = run_document(
        inputs=[{"namespace": "s3://lake", "name": "raw/", "facets": {"symlinks": {"identifiers": [link("raw")]}}}],
        outputs=[
            {
                "namespace": "pg",
                "name": "orders",
                "facets": {
                    "columnLineage": {
                        "fields": {"a": {"inputFields": [source("x", "raw/", "s3://lake"), source("y", "other")]}}
                    }
                },
            }
        ],
    )

    for found in (event(document), event({**document, "run": None, "eventType": None, "schemaURL": None})):
        assert found.outputs[0].columns_from == (("a", "dataset:glue/raw", "x"), ("a", "dataset:pg/other", "y"))


def test_a_table_that_reads_itself_by_its_place_reads_itself() -> None:
    facets = {
        "symlinks": {"identifiers": [link("orders")]},
        "columnLineage": {"fields": {"a": {"inputFields": [source("a", "orders/", "s3://lake")]}}},
    }
    dataset = {"namespace": "s3://lake", "name": "orders/", "facets": facets}

    found = event({"eventTime": "2026-10-20T01:59:08.941Z", "dataset": dataset})

    assert isinstance(found, DatasetEvent)
    assert found.dataset.columns_from == (("a", "dataset:glue/orders", "a"),)


def test_a_name_that_a_dataset_of_the_event_has_is_not_taken_for_another_ones() -> None:
    alias = {"symlinks": {"identifiers": [link("raw", "pg", "LOCATION")]}}
    inputs = [{"namespace": "pg", "name": "copy", "facets": alias}, {"namespace": "pg", "name": "raw"}]
    columns = {"columnLineage": {"fields": {"a": {"inputFields": [source("x")]}}}}

    found = event(run_document(inputs=inputs, outputs=[{"namespace": "pg", "name": "orders", "facets": columns}]))

    assert found.outputs[0].columns_from == (("a", RAW, "x"),)


def test_two_mentions_of_an_output_tell_its_lineage_together() -> None:
    def mention(column: str, owner: str) -> dict[str, Any]:
        facets = {
            "columnLineage": {"fields": {"a": {"inputFields": [source(column)]}}},
            "ownership": {"owners": [{"name": owner}]},
            "tags": {"tags": [{"key": column}]},
            "symlinks": {"identifiers": [link(column, "hive", "LOCATION")]},
        }
        subset = {"outputCondition": {"type": "partition", "partitions": [{"identifier": column}]}}
        return {"namespace": "pg", "name": "orders", "facets": facets, "outputFacets": {"subset": subset}}

    found = event(
        run_document(outputs=[mention("x", "me"), {"namespace": "pg", "name": "orders"}, mention("y", "you")])
    )

    expected = Dataset(
        *("pg", "orders"),
        aliases=("dataset:hive/x", "dataset:hive/y"),
        columns_from=(("a", RAW, "x"), ("a", RAW, "y")),
        owners=("me", "you"),
        tags=("x", "y"),
        subset=("x", "y"),
    )
    assert found.outputs == (expected,)


# ---------------------------------------------------------------- names, owners, tags


@pytest.mark.parametrize(
    ("identifiers", "expected"),
    [
        pytest.param([], (), id="no symlink"),
        pytest.param(
            [link("b"), link("a")], ("dataset:glue/a", "dataset:s3://lake/orders/"), id="the place, and a table"
        ),
        pytest.param([link("b", kind="LOCATION")], ("dataset:glue/b",), id="another place"),
        pytest.param([link("orders/", "s3://lake", "LOCATION")], (), id="itself"),
        pytest.param([link("a\nb", kind="LOCATION"), {"name": "x"}, 3], (), id="none that can be a name"),
    ],
)
def test_other_names_of_a_dataset_are_its_aliases(identifiers: list[Any], expected: tuple[str, ...]) -> None:
    facets = {"symlinks": {"identifiers": identifiers}}

    found = event(run_document(outputs=[{"namespace": "s3://lake", "name": "orders/", "facets": facets}])).outputs[0]

    assert found.aliases == expected
    assert found.key not in found.aliases


def test_who_owns_a_dataset_or_a_job_is_kept_in_the_order_told() -> None:
    facet = {
        "owners": [
            {"name": "team:data", "type": "MAINTAINER"},
            {"name": "me"},
            {"name": "me"},
            {"type": "x"},
            {"name": ""},
        ]
    }

    assert output(ownership=facet).owners == ("team:data", "me")
    assert event(with_job_facets(ownership=facet)).owners == ("team:data", "me")


@pytest.mark.parametrize(
    ("tag", "expected"),
    [
        pytest.param({"key": "env", "value": "prod", "source": "USER"}, ("env=prod",), id="a key and a value"),
        pytest.param({"key": "pii"}, ("pii",), id="a key"),
        pytest.param({"key": "pii", "value": ""}, ("pii",), id="a value that is empty"),
        pytest.param({"key": "pii", "value": "true"}, ("pii",), id="a value that only says yes"),
        pytest.param({"key": "shop", "value": "shop", "source": "AIRFLOW"}, ("shop",), id="Airflow's"),
        pytest.param({"key": "", "value": "x"}, (), id="no key"),
        pytest.param({"key": "a\x00"}, (), id="a key that is none"),
        pytest.param({"key": 3, "value": "x"}, (), id="a number"),
    ],
)
def test_a_tag_is_its_key_and_its_value(tag: dict[str, Any], expected: tuple[str, ...]) -> None:
    assert output(tags={"tags": [tag]}).tags == expected
    assert event(with_job_facets(tags={"tags": [tag]})).tags == expected


def test_a_tag_of_a_column_is_none_of_its_dataset() -> None:
    assert output(tags={"tags": [{"key": "pii", "value": "true", "field": "email"}]}).tags == ()


def test_a_job_event_tells_of_owners_and_tags_too() -> None:
    job = {
        "namespace": "airflow",
        "name": "load",
        "facets": {"ownership": {"owners": [{"name": "me"}]}, "tags": {"tags": [{"key": "a", "value": "b"}]}},
    }

    found = event({"eventTime": "2026-10-20T01:59:08.941Z", "job": job})

    assert isinstance(found, JobEvent)
    assert (found.owners, found.tags) == (("me",), ("a=b",))


def test_no_more_names_owners_and_tags_are_kept_than_anybody_needs() -> None:
    many = range(100)

    found = output(
        symlinks={"identifiers": [link(f"t{i}", kind="LOCATION") for i in many]},
        ownership={"owners": [{"name": f"o{i}"} for i in many]},
        tags={"tags": [{"key": f"k{i}"} for i in many]},
    )

    assert (len(found.aliases), len(found.owners), len(found.tags)) == (MOST_ALIASES, MOST_OWNERS, MOST_TAGS)
    assert (found.owners[-1], found.tags[-1]) == ("o15", "k31")


# ---------------------------------------------------------------- parts


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        pytest.param(
            {"type": "partition", "partitions": [{"identifier": "2026-10-20", "dimensions": {"day": "x"}}]},
            ("2026-10-20",),
            id="the name of a partition",
        ),
        pytest.param(
            {
                "type": "partition",
                "partitions": [{"dimensions": {"day": "2026-10-20", "country": "DE", "v": 3, "b": True}}],
            },
            ("day=2026-10-20/country=DE/v=3/b=true",),
            id="a partition without a name is named by its dimensions",
        ),
        pytest.param(
            {"type": "partition", "partitions": [{"identifier": "b"}, {"identifier": "a"}, {"identifier": "b"}]},
            ("a", "b"),
            id="several, sorted",
        ),
        pytest.param(
            {"type": "location", "locations": ["s3://lake/orders/20261020"]},
            ("s3://lake/orders/20261020",),
            id="a place",
        ),
        pytest.param({"type": "partition", "partitions": [{"identifier": "a"}, {}]}, (), id="one has no name: none"),
        pytest.param({"type": "partition", "partitions": [{"identifier": "a"}, 3]}, (), id="one is wrong: none"),
        pytest.param({"type": "partition", "partitions": [{"identifier": "a\nb"}]}, (), id="a name that is none"),
        pytest.param(
            {"type": "partition", "partitions": [{"identifier": f"p{i}"} for i in range(MOST_PARTS + 1)]},
            (),
            id="too many",
        ),
        pytest.param({"type": "partition"}, (), id="no partitions"),
        pytest.param({"type": "compare", "left": {}, "right": {}, "comparison": "EQUAL"}, (), id="a comparison"),
        pytest.param(
            {"type": "binary", "left": {"type": "partition", "partitions": [{"identifier": "a"}]}},
            (),
            id="two conditions",
        ),
        pytest.param({}, (), id="no type"),
        pytest.param(None, (), id="no condition"),
    ],
)
def test_the_parts_of_a_dataset_that_were_moved(condition: dict[str, Any] | None, expected: tuple[str, ...]) -> None:
    read = event(with_input(inputFacets={"subset": {"inputCondition": condition}})).inputs[0]
    written = event(with_output(outputFacets={"subset": {"outputCondition": condition}})).outputs[0]

    assert read.subset == written.subset == expected


# ---------------------------------------------------------------- properties


@given(documents)
def test_whatever_is_told_is_sorted_bounded_and_each_once(document: dict[str, Any]) -> None:
    found = decode(document)

    datasets: tuple[Dataset, ...] = ()
    if isinstance(found, RunEvent | JobEvent):
        datasets = (*found.inputs, *found.outputs)
    elif isinstance(found, DatasetEvent):
        datasets = (found.dataset,)
    for dataset in datasets:
        assert list(dataset.aliases) == sorted(set(dataset.aliases) - {dataset.key})
        assert dataset.columns_from is None or list(dataset.columns_from) == sorted(set(dataset.columns_from))
        assert len(set(dataset.owners)) == len(dataset.owners) <= MOST_OWNERS
        assert len(set(dataset.tags)) == len(dataset.tags) <= MOST_TAGS
