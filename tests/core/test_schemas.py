"""What is a change of a schema and what is none, what it means to readers, and how a dataset tells it."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from detector.core.column_types import Relation, relation, told
from detector.core.emissions import Anomaly, Emission
from detector.core.events import Dataset, DatasetEvent, Field, RunState
from detector.core.schema_changes import MAX_COLUMNS
from detector.core.schemas import Change, compare, compatibility, sentence
from detector.core.state import Entity, load
from tests.core.test_state import sections, written
from tests.core.world import HOUR, MONDAY, TABLE, World, anomalies, changes, event, found, profile, ready

SPELLED = {
    "text": ("VARCHAR", "TEXT", "string", "varchar(20)", "character varying", '["null", "string"]', "Nullable(String)"),
    "int": ("INT", "integer", "INT4", "int32", "int(11)", "union<int,null>"),
    "bigint": ("BIGINT", "long", "INT8", "INT64", "NUMBER(38,0)"),
    "double": ("DOUBLE", "FLOAT8", "float64", "double precision", "FLOAT(53)"),
    "decimal": ("DECIMAL(10,2)", "numeric(10, 2)", "NUMBER(10,2)", "decimal"),
    "timestamp": ("TIMESTAMP", "timestamp(6) without time zone", "TIMESTAMP_NTZ", "DATETIME", "timestamp-micros"),
    "timestamptz": ("TIMESTAMPTZ", "timestamp with time zone", "TIMESTAMP_TZ", "timestamp[us, tz=UTC]"),
    "bool": ("BOOL", "boolean"),
    "bytes": ("BYTEA", "binary", "VARBINARY(max)"),
    "array": ("array<int>", "INTEGER[]", "list<int4>", "ARRAY"),
    "struct": ("struct<a:int,b:string>", "STRUCT(a INTEGER, b VARCHAR)", "RECORD"),
    "": ("", "unknown", "null"),
}
# Spellings that say the same alone, without those that only leave something untold.
EXACT = {
    kind: [text for text in texts if text not in ("ARRAY", "RECORD", "decimal")] for kind, texts in SPELLED.items()
}


def schema(*columns: str) -> tuple[Field, ...]:
    """`id INT`: a name and a type."""
    return tuple(Field(name, kind) for name, _, kind in (column.partition(" ") for column in columns))


def kinds(before: tuple[Field, ...], after: tuple[Field, ...]) -> list[tuple[str, str]]:
    return [(change.kind, change.column) for change in compare(before, after)]


# ---------------------------------------------------------------- types


@pytest.mark.parametrize("texts", SPELLED.values(), ids=SPELLED.keys())
def test_spellings_of_one_type_are_one_type(texts: tuple[str, ...]) -> None:
    assert {relation(told(one).type, told(other).type) for one in texts for other in texts} == {"same"}


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("INT", "BIGINT", "widened"),
        ("REAL", "DOUBLE", "widened"),
        ("VARCHAR(10)", "varchar(20)", "widened"),
        ("DECIMAL(10,2)", "DECIMAL(12,2)", "widened"),
        ("int", "double", "widened"),
        ("int", "DECIMAL(10,0)", "widened"),
        ("int unsigned", "bigint", "widened"),
        ("array<int>", "array<bigint>", "widened"),
        ("struct<a:int>", "struct<a:int,b:string>", "widened"),
        ("DECIMAL(10,2)", "DECIMAL(10,4)", "retyped"),
        ("BIGINT", "DOUBLE", "retyped"),
        ("int unsigned", "int", "retyped"),
        ("DATE", "TIMESTAMP", "retyped"),
        ("TIMESTAMP", "TIMESTAMPTZ", "retyped"),
        ("INT", "VARCHAR", "retyped"),
        ("geography", "geometry", "retyped"),
        ("VARCHAR(20)", "TEXT", "same"),
        ("", "INT", "same"),
    ],
)
def test_a_type_is_wider_if_it_holds_all_values_of_the_other(before: str, after: str, expected: Relation) -> None:
    mirrored: dict[Relation, Relation] = {"widened": "narrowed", "same": "same", "retyped": "retyped"}

    assert relation(told(before).type, told(after).type) == expected
    assert relation(told(after).type, told(before).type) == mirrored[expected]


@given(st.text(max_size=60) | st.text("aint <>[]()|,:'\"_.0123456789null", max_size=60))
def test_any_text_is_a_type_that_is_itself(text: str) -> None:
    assert relation(told(text).type, told(f" {text.upper()} ".lower()).type) in ("same", "retyped")
    assert relation(told(text).type, told(text).type) == "same"


@pytest.mark.parametrize(
    "text", ["array<" * 3_000 + "int" + ">" * 3_000, "array<" * 300 + "int" + ">" * 300, "[" * 2_000]
)
def test_a_type_of_any_depth_can_be_read(text: str) -> None:
    assert told(text).type is not None


# ---------------------------------------------------------------- two schemas


@pytest.mark.parametrize(
    ("before", "after", "expected", "compatible"),
    [
        pytest.param(["a INT"], ["a INTEGER"], [], "identical", id="another spelling is no change"),
        pytest.param(["a INT"], ["a INT", "b INT"], [("added", "b")], "compatible", id="added"),
        pytest.param(["a INT", "b DATE"], ["a INT"], [("removed", "b")], "breaking", id="removed"),
        pytest.param(["a INT"], ["a BIGINT"], [("widened", "a")], "compatible", id="widened"),
        pytest.param(["a BIGINT"], ["a INT"], [("narrowed", "a")], "breaking", id="narrowed"),
        pytest.param(["a INT"], ["a TEXT"], [("retyped", "a")], "breaking", id="retyped"),
        pytest.param(["a INT NOT NULL"], ["a INT"], [("nullable", "a")], "risky", id="may be null now"),
        pytest.param(["a INT"], ["a INT NOT NULL"], [("not_null", "a")], "compatible", id="never null now"),
        pytest.param(["a INT", "b INT"], ["b INT", "a INT"], [("reordered", "b")], "risky", id="reordered"),
        pytest.param(["a INT", "b INT"], ["x DATE", "a INT", "b INT"], [("added", "x")], "compatible", id="pushed"),
        pytest.param(["s struct", "s.a int", "s.b int"], [], [("removed", "s")], "breaking", id="a struct"),
        pytest.param(
            ["s struct<a:int>", "s.a int"], ["s struct<a:text>", "s.a text"], [("retyped", "s.a")], "breaking",
            id="what is inside is told there",
        ),
        pytest.param(["id INT", "id DATE"], ["id INT"], [("removed", "id")], "breaking", id="a name twice"),
    ],
)  # fmt: skip
def test_changes(before: list[str], after: list[str], expected: list[tuple[str, str]], compatible: str) -> None:
    found = compare(schema(*before), schema(*after))

    assert [(change.kind, change.column) for change in found] == expected
    assert compatibility(found) == compatible


@pytest.mark.parametrize(
    ("before", "after", "evidence"),
    [
        (["cust_id INT", "a DATE"], ["customer_id INT", "a DATE"], "same type, same place, similar name"),
        (["a DATE", "x INT", "b DATE"], ["a DATE", "y INTEGER", "b DATE"], "same type, same place"),
        (["cust_id INT", "a DATE"], ["a DATE", "customer_id INT"], "same type, similar name"),
        (["userId INT", "a DATE"], ["a DATE", "userid INT"], "the same but for the case of letters"),
        (["cust_id INT", "a DATE"], ["customer_id TEXT", "a DATE"], None),
        (["x INT", "a DATE"], ["a DATE", "y INT"], None),
        (["cust_id", "a DATE"], ["customer_id", "a DATE"], None),
    ],
)
def test_a_rename_is_guessed_by_type_and_place_or_name(
    before: list[str], after: list[str], evidence: str | None
) -> None:
    told_of = [change for change in compare(schema(*before), schema(*after)) if change.kind == "renamed"]

    assert [change.evidence for change in told_of] == ([evidence] if evidence else [])


def test_places_that_are_told_go_before_the_order_of_the_list() -> None:
    before = (Field("a", "INT", 1), Field("b", "INT", 2))

    assert kinds(before, (Field("b", "INT", 2), Field("a", "INT", 1))) == []
    assert kinds(before, (Field("a", "INT", 2), Field("b", "INT", 1))) == [("reordered", "b")]


def test_only_the_column_that_moved_has_moved() -> None:
    before = schema("a INT", "b INT", "c INT", "d INT", "e INT")

    assert kinds(before, (before[4], *before[:4])) == [("reordered", "e")]


_types = st.sampled_from([text for texts in EXACT.values() for text in texts] + ["INT NOT NULL", "geo"])
_names = st.sampled_from(["id", "ID", "cust_id", "customer_id", "a", "a.b", "a.b.c", "x.y", "amount", "amount_eur", ""])
_schemas = st.lists(st.builds(Field, _names, _types, st.integers(0, 4)), max_size=8).map(tuple)


@given(_schemas)
def test_a_schema_has_not_changed_from_itself(one: tuple[Field, ...]) -> None:
    again = tuple(Field(f.name, f" {f.type} ", f.position) for f in one)

    assert compare(one, again) == compare(one, one) == []


@given(_schemas, _schemas)
def test_what_is_added_one_way_is_removed_the_other(one: tuple[Field, ...], other: tuple[Field, ...]) -> None:
    there, back = compare(one, other), compare(other, one)
    mirrored = {"added": "removed", "widened": "narrowed", "not_null": "nullable"}

    for kind, mirror in mirrored.items():
        assert sum(c.kind == kind for c in there) == sum(c.kind == mirror for c in back)
        assert sum(c.kind == mirror for c in there) == sum(c.kind == kind for c in back)
    assert {(c.column, c.renamed_to) for c in there if c.renamed_to is not None} == {
        (c.renamed_to, c.column) for c in back if c.renamed_to is not None
    }
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(there), type=list[Change]) == there


@given(st.lists(st.tuples(st.sampled_from(sorted(EXACT)), st.data()), max_size=5))
def test_synonyms_are_silent(columns: list[tuple[str, st.DataObject]]) -> None:
    before = tuple(Field(f"c{i}", data.draw(st.sampled_from(EXACT[kind]))) for i, (kind, data) in enumerate(columns))
    after = tuple(Field(f"c{i}", data.draw(st.sampled_from(EXACT[kind]))) for i, (kind, data) in enumerate(columns))

    assert compare(before, after) == []


@given(_schemas, _schemas)
def test_the_sentence_is_one_line(one: tuple[Field, ...], other: tuple[Field, ...]) -> None:
    assert len(sentence(compare(one, other)).splitlines()) == 1


def test_two_wide_schemas_are_compared_in_no_time() -> None:
    one = tuple(Field(f"column_{i}", "INT") for i in range(MAX_COLUMNS))
    other = tuple(Field(f"spalte_{i}", "BIGINT") for i in reversed(range(MAX_COLUMNS)))

    assert len(compare(one, other)) == 2 * MAX_COLUMNS


# ---------------------------------------------------------------- how a dataset tells it

A = schema("id BIGINT", "amount DOUBLE", "note TEXT")
B = schema("id INTEGER", "note VARCHAR")


def write(
    world: World, hour: float, columns: tuple[Field, ...] | None, state: RunState = "COMPLETE", **facts: object
) -> list[Emission]:
    """A run that tells this schema of the table, an hour after the one before."""
    at, wrote = MONDAY + hour * HOUR, Dataset("db", "orders", schema=columns, **facts)  # type: ignore[arg-type]
    said = world.tell(event("START", at, run_id=f"r{hour}", outputs=(wrote,)))
    return said + world.tell(event(state, at + 60, run_id=f"r{hour}", outputs=(wrote,)))


def told_of(said: list[Emission]) -> list[Anomaly]:
    return [anomaly for anomaly in anomalies(said) if anomaly.entity == TABLE]


@pytest.mark.parametrize("reload", [False, True])
def test_a_breaking_change_is_said_once_with_its_numbers(reload: bool) -> None:
    world = ready(reload=reload)
    world.tell(event("COMPLETE", MONDAY, run_id="reader", name="report", inputs=(Dataset("db", "orders"),)))
    assert told_of(write(world, 0, A) + write(world, 1, A)) == []
    change, *rest = told_of(write(world, 2, B))
    ended = told_of(write(world, 3, B) + write(world, 4, B))

    assert rest == []
    assert (change.check, change.phase, change.severity, change.run_id) == ("schema", "started", "critical", "r2")
    assert change.summary == (
        "schema: 1 column removed (`amount` DOUBLE), 1 narrowed (`id` BIGINT to INTEGER); breaking for readers; "
        "downstream: 1 job (report)"
    )
    assert change.compatibility == "breaking"
    assert [(c.kind, c.column) for c in change.changes] == [("removed", "amount"), ("narrowed", "id")]
    assert [(a.phase, a.summary) for a in ended] == [
        ("ended", "schema: the next load has the new schema, too, after 1 h")
    ]


def test_a_breaking_change_is_a_bad_outcome_and_a_compatible_one_is_not() -> None:
    world = ready()
    write(world, 0, A)
    write(world, 1, (*A, Field("new", "DATE")))
    assert [o.severity for o in world.entities[TABLE].judgement.outcomes][1:] == [0]
    write(world, 2, B)
    assert [o.severity for o in world.entities[TABLE].judgement.outcomes][2:] == [2]


def test_a_compatible_change_is_told_as_information() -> None:
    world = ready()
    write(world, 0, A)
    said = write(world, 1, (*A, Field("new", "DATE")))

    assert [(a.severity, a.compatibility) for a in told_of(said)] == [("info", "compatible")]
    assert changes(said) == []


def test_flapping_between_two_schemas_is_one_episode() -> None:
    world = ready()
    said = [emission for hour in range(10) for emission in write(world, hour, B if hour % 2 else A)]

    assert found(said) == [("schema", "started"), *[("schema", "updated")] * 4]
    assert found(write(world, 10, A)) == []
    assert found(write(world, 11, A)) == [("schema", "ended")]


@pytest.mark.parametrize("state", ["FAIL", "ABORT"])
def test_a_run_that_failed_tells_no_schema(state: RunState) -> None:
    world = ready()
    write(world, 0, A)

    assert told_of(write(world, 1, B, state)) == []
    assert told_of(write(world, 2, A)) == []


def test_what_a_reader_reads_is_not_all_that_there_is() -> None:
    world = ready()
    write(world, 0, A)
    for hour, columns in enumerate((A, B, A, B)):
        read = Dataset("db", "orders", schema=columns)
        said = world.tell(event("COMPLETE", MONDAY + hour * HOUR, run_id=f"q{hour}", name="report", inputs=(read,)))
        assert told_of(said) == []


def test_a_profile_of_some_of_the_columns_is_no_change_of_what_the_run_wrote() -> None:
    world = ready()
    for hour in range(4):
        write(world, hour, A)
        assert anomalies(world.tell(profile(MONDAY + hour * HOUR + 90, 10, schema=A[:2], run_id=f"r{hour}"))) == []
    said = world.tell(profile(MONDAY + 4 * HOUR, 10, schema=A[:1]))

    assert found(said) == [("schema", "started")]


def test_a_description_is_so_at_once_and_counts_only_if_it_is_bad() -> None:
    world = ready()
    world.tell(DatasetEvent(Dataset("db", "orders", schema=A), MONDAY))
    world.tell(DatasetEvent(Dataset("db", "orders", schema=A), MONDAY + 5))
    assert world.entities[TABLE].judgement.outcomes == []
    said = world.tell(DatasetEvent(Dataset("db", "orders", schema=B), MONDAY + 10))

    assert found(said) == [("schema", "started"), ("schema", "ended")]
    assert [o.severity for o in world.entities[TABLE].judgement.outcomes] == [2]
    assert found(world.tell(DatasetEvent(Dataset("db", "orders", schema=B), MONDAY + 20))) == []


def test_a_run_of_before_that_is_told_late_changes_nothing() -> None:
    world = ready()
    write(world, 0, A)
    write(world, 2, A)

    assert told_of(write(world, 1, B)) == []


def test_a_schema_that_comes_after_the_end_is_judged_when_it_comes() -> None:
    world = ready()
    write(world, 0, A)
    write(world, 1, None, rows=10.0)
    late = Dataset("db", "orders", schema=B)

    assert found(world.tell(event("OTHER", MONDAY + HOUR + 90, run_id="r1", outputs=(late,)))) == [
        ("schema", "started")
    ]
    assert found(world.tell(event("OTHER", MONDAY + HOUR + 95, run_id="r1", outputs=(late,)))) == []


def test_a_stream_need_not_end_to_tell_its_schema() -> None:
    world = ready()
    for hour, columns in enumerate((A, B)):
        wrote = Dataset("db", "orders", schema=columns)
        facts = {"run_id": f"s{hour}", "outputs": (wrote,), "streaming": True}
        said = world.tell(event("START", MONDAY + hour * HOUR, **facts))  # type: ignore[arg-type]
        said += world.tell(event("RUNNING", MONDAY + hour * HOUR + 60, **facts))  # type: ignore[arg-type]
        said += world.tell(event("RUNNING", MONDAY + hour * HOUR + 90, **facts))  # type: ignore[arg-type]

    assert found(said) == [("schema", "started")]


def test_a_schema_that_is_too_wide_is_not_kept_in_part() -> None:
    world = ready()
    wide = tuple(Field(f"c{i}", "INT") for i in range(MAX_COLUMNS + 1))
    write(world, 0, wide)

    assert told_of(write(world, 1, wide[1:])) == []
    assert len(world.entities[TABLE].shape.schemas["output"].fields) == MAX_COLUMNS


# ---------------------------------------------------------------- what explains a volume


def loaded(loads: int = 20, lifecycle: str | None = None) -> World:
    world = ready()
    for hour in range(loads):
        write(world, hour, None, rows=1_000.0 + hour % 3, lifecycle=lifecycle)
    world.said.clear()
    return world


@pytest.mark.parametrize("lifecycle", ["CREATE", "OVERWRITE", "TRUNCATE"])
def test_a_change_of_the_whole_dataset_explains_its_volume_once(lifecycle: str) -> None:
    world = loaded()

    assert told_of(write(world, 20, None, rows=10.0, lifecycle=lifecycle)) == []
    assert [a.check for a in told_of(write(world, 21, None, rows=10.0))] == ["rows"]


@pytest.mark.parametrize("described", [False, True])
def test_a_truncation_by_itself_explains_the_load_that_follows(described: bool) -> None:
    world = loaded()
    if described:
        world.tell(DatasetEvent(Dataset("db", "orders", lifecycle="TRUNCATE"), MONDAY + 19.5 * HOUR))
    else:
        write(world, 19.5, None, lifecycle="TRUNCATE")

    assert told_of(write(world, 20, None, rows=10.0)) == []
    assert told_of(write(world, 21, None, rows=10.0)) != []


def test_what_every_load_does_explains_nothing() -> None:
    world = loaded(lifecycle="OVERWRITE")

    assert [a.check for a in told_of(write(world, 20, None, rows=10.0, lifecycle="OVERWRITE"))] == ["rows"]


@pytest.mark.parametrize("lifecycle", ["ALTER", "RENAME"])
def test_a_change_that_moves_no_rows_explains_nothing(lifecycle: str) -> None:
    assert told_of(write(loaded(), 20, None, rows=10.0, lifecycle=lifecycle)) != []


def test_the_profile_of_an_explained_load_is_explained_too() -> None:
    world = ready()
    for hour in range(20):
        write(world, hour, None, rows=1_000.0)
        world.tell(profile(MONDAY + hour * HOUR + 90, 1_000, run_id=f"r{hour}"))
    write(world, 20, None, rows=10.0, lifecycle="TRUNCATE")

    assert anomalies(world.tell(profile(MONDAY + 20 * HOUR + 90, 10, run_id="r20"))) == []


def test_the_state_of_an_older_release_begins_without_a_schema() -> None:
    older = [section for section in sections() if section[0] != "schema"]

    assert load(written(older)) == Entity("job:a/b")
