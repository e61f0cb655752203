"""What tests share of Hypothesis: how many examples; events in normal form, OpenLineage documents, broken messages."""

import json
from collections.abc import Callable
from struct import pack
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st

from detector.codecs.checks import STATES
from detector.codecs.statistics import KNOWN
from detector.core.events import (
    Assertion,
    Dataset,
    DatasetEvent,
    Field,
    JobEvent,
    Profile,
    RunEvent,
    Statistics,
    dataset_key,
)
from detector.core.messages import Redo
from detector.core.recovery import PlanStep, RecoveryPlan


def how_many(times: float) -> int:
    """So many times the examples of the profile: of 100, and under `make check` of 10; at least one."""
    return max(1, round(times * settings().max_examples))


def examples(times: float, **others: Any) -> settings:
    """A property is tried `how_many(times)` times."""
    return settings(max_examples=how_many(times), **others)


# Any character that can be in a name, and a few names that look like trouble.
_CHARACTERS = st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp"))
names = st.one_of(
    st.text(_CHARACTERS, min_size=1, max_size=40),
    st.sampled_from(["orders", "shop.public.orders", "s3://bucket/a b", "naïve/ταβλε", "{", "null", "a" * 1000]),
)
namespaces = st.one_of(names, st.sampled_from(["", "airflow", "postgres://db:5432", "snowflake://acme-prod"]))
texts = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40)
finite = st.floats(allow_nan=False, allow_infinity=False)
counts = st.one_of(st.integers(0, 10**12).map(float), st.floats(0, 1e300))
# To the microsecond, which is what all formats have, from 1970 to 2199.
times = st.integers(0, 7_258_118_399_999_999).map(lambda micros: micros / 1e6)
states = st.sampled_from(list(STATES.values()))


def maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """What `strategy` gives, or nothing."""
    return st.none() | strategy


fields = st.builds(Field, names, texts, st.integers(0, 2**31 - 1))
assertions = st.builds(Assertion, names, st.booleans(), st.just("") | names, st.sampled_from(["error", "warn"]))
# Named so that they can stand in any format: known ones in our order, quantiles in theirs, others by name.
_QUANTILES = ("q0", "q0.05", "q0.25", "q0.5", "q0.75", "q0.95", "q1")
_OTHERS = ("entropy", "mode_share", "zeros")


@st.composite
def tables(draw: st.DrawFn) -> Statistics:
    """Statistics of columns in our order, where each statistic is measured for one column at least."""
    columns = tuple(draw(st.lists(names, min_size=1, max_size=5, unique=True)))
    chosen = draw(st.sets(st.sampled_from(KNOWN + _QUANTILES + _OTHERS), min_size=1))
    statistics = tuple(name for name in KNOWN + _QUANTILES + _OTHERS if name in chosen)
    cells = [[draw(counts | st.just(float("nan"))) for _ in statistics] for _ in columns]
    cells[0] = [draw(counts) for _ in statistics]
    values = b"".join(pack(f"<{len(row)}d", *row) for row in cells)
    return Statistics(columns, statistics, values, draw(_top_values(columns)))


def _top_values(columns: tuple[str, ...]) -> st.SearchStrategy[dict[str, dict[str, float]]]:
    """Counts by hash, in the order of formats that have one: the largest first."""
    hashes = st.integers(0, 2**64 - 1).map(lambda number: f"{number:016x}")
    counts = st.lists(st.integers(1, 10**12).map(float), min_size=1, max_size=4, unique=True)
    of_column = st.tuples(st.lists(hashes, min_size=4, max_size=4, unique=True), counts)
    sorted_ = of_column.map(lambda found: dict(zip(found[0], sorted(found[1], reverse=True), strict=False)))
    return st.dictionaries(st.sampled_from(columns), sorted_, max_size=2)


_keys = st.tuples(namespaces, names).map(lambda named: dataset_key(*named))
_columns_from = st.lists(st.tuples(st.just("*") | names, _keys, names), max_size=4)
owners = st.lists(names, max_size=3, unique=True).map(tuple)
datasets = st.builds(
    Dataset,
    namespaces,
    names,
    rows=maybe(counts),
    bytes=maybe(counts),
    files=maybe(counts),
    schema=maybe(st.lists(fields, min_size=1, max_size=4).map(tuple)),
    version=maybe(texts),
    lifecycle=maybe(st.sampled_from(["ALTER", "CREATE", "DROP", "OVERWRITE", "RENAME", "TRUNCATE"])),
    assertions=st.lists(assertions, max_size=3).map(tuple),
    profile=maybe(tables()),
    aliases=st.sets(_keys, max_size=2).map(sorted).map(tuple),
    columns_from=maybe(_columns_from.map(lambda found: tuple(sorted(set(found))))),
    owners=owners,
    tags=owners,
    subset=st.sets(names, max_size=2).map(sorted).map(tuple),
)
# What the native formats have fields for.
native_datasets = st.builds(
    Dataset, namespaces, names, maybe(counts), maybe(counts), maybe(counts), st.none(), maybe(texts)
)


def _sides(strategy: st.SearchStrategy[Dataset]) -> st.SearchStrategy[tuple[Dataset, ...]]:
    return st.lists(strategy, max_size=3, unique_by=lambda dataset: dataset.key).map(tuple)


def _run_events(sides: st.SearchStrategy[tuple[Dataset, ...]], told: st.SearchStrategy[bool]) -> Any:
    return st.builds(
        RunEvent,
        namespaces,
        names,
        st.uuids().map(str) | texts,
        states,
        times,
        nominal_time=maybe(times),
        inputs=sides,
        outputs=sides,
        metrics=st.dictionaries(texts, finite, max_size=6),
        error=maybe(st.sampled_from(["ValueError: no", "IO Error: disk full", "it broke"])),
        streaming=st.booleans(),
        snapshot_windows=told,
        incomplete=told,
        code_version=maybe(texts),
        parent=maybe(names.map("job:airflow/{}".format)),
        owners=owners,
        tags=owners,
    )


run_events: st.SearchStrategy[RunEvent] = _run_events(_sides(datasets), st.booleans())
native_run_events: st.SearchStrategy[RunEvent] = _run_events(_sides(native_datasets), st.just(False))
job_events = st.builds(
    JobEvent, namespaces, names, times, _sides(datasets), _sides(datasets), maybe(texts), owners, owners
)
dataset_events = st.builds(DatasetEvent, datasets, times)
profiles = st.builds(
    Profile,
    namespaces,
    names,
    times,
    maybe(counts),
    grain=st.sampled_from(["load", "partition", "window"]),
    window_start=maybe(times),
    window_end=maybe(times),
    partition=maybe(texts),
    run_id=maybe(st.uuids().map(str)),
    statistics=maybe(tables()),
    schema=maybe(st.lists(fields, min_size=1, max_size=4).map(tuple)),
    version=maybe(texts),
    bytes=maybe(counts),
)
events = st.one_of(run_events, job_events, dataset_events, profiles)

# ---------------------------------------------------------------- OpenLineage documents

_FACET = {"_producer": "https://github.com/acme/etl", "_schemaURL": "https://openlineage.io/spec/facets/1-0-0/F.json"}
_numbers = st.integers(0, 10**9) | finite


def facet(**fields: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    """A facet with any of `fields`."""
    return st.fixed_dictionaries({}, optional=fields).map(lambda found: {**_FACET, **found})


_columns = st.dictionaries(
    names,
    st.fixed_dictionaries(
        {},
        optional={
            "nullCount": _numbers,
            "distinctCount": _numbers,
            "sum": finite,
            "count": _numbers,
            "min": finite,
            "max": finite,
            "quantiles": st.dictionaries(st.sampled_from(["0.1", "0.25", "0.5", "0.50", "1"]), finite, max_size=4),
        },
    ),
    max_size=4,
)
_metrics = facet(rowCount=_numbers, bytes=_numbers, fileCount=_numbers, columnMetrics=_columns)
_asserted = facet(
    assertions=st.lists(
        st.fixed_dictionaries(
            {"assertion": names, "success": st.booleans()},
            optional={"column": names, "severity": st.sampled_from(["error", "warn"])},
        ),
        max_size=3,
    )
)
_moved = facet(rowCount=_numbers, size=_numbers, fileCount=_numbers)
_schema = facet(
    fields=st.lists(
        st.fixed_dictionaries(
            {"name": names},
            optional={"type": texts, "ordinal_position": st.integers(1, 99), "fields": st.just([{"name": "inner"}])},
        ),
        max_size=4,
    )
)
_deleted = {"_deleted": st.booleans()}
_source = st.fixed_dictionaries(
    {"namespace": namespaces, "name": names, "field": texts},
    optional={"transformations": st.just([{"type": "DIRECT", "subtype": "IDENTITY"}])},
)
_sources = st.fixed_dictionaries({"inputFields": st.lists(_source, max_size=3)})
_lineage = facet(fields=st.dictionaries(texts, _sources, max_size=3), dataset=st.lists(_source, max_size=2), **_deleted)
_ownership = facet(
    owners=st.lists(st.fixed_dictionaries({"name": names}, optional={"type": texts}), max_size=3), **_deleted
)
_tags = facet(
    tags=st.lists(
        st.fixed_dictionaries({"key": names}, optional={"value": texts, "source": texts, "field": names}), max_size=3
    ),
    **_deleted,
)
_parts = st.fixed_dictionaries(
    {},
    optional={"identifier": names, "dimensions": st.dictionaries(names, texts | finite | st.booleans(), max_size=2)},
)
_condition = st.fixed_dictionaries(
    {"type": st.sampled_from(["partition", "location", "compare"])},
    optional={"partitions": st.lists(_parts, max_size=3), "locations": st.lists(names, max_size=3)},
)
_unknown = facet(anything=st.recursive(st.none() | st.booleans() | finite | texts, st.lists, max_leaves=5))
_ol_datasets = st.fixed_dictionaries(
    {"namespace": namespaces, "name": names},
    optional={
        "facets": st.fixed_dictionaries(
            {},
            optional={
                "schema": _schema,
                "version": facet(datasetVersion=texts),
                "symlinks": facet(
                    identifiers=st.lists(
                        st.fixed_dictionaries(
                            {"namespace": names, "name": names, "type": st.sampled_from(["TABLE", "LOCATION"])}
                        ),
                        max_size=2,
                    )
                ),
                "lifecycleStateChange": facet(lifecycleStateChange=st.just("OVERWRITE")),
                "dataQualityMetrics": _metrics,
                "dataQualityAssertions": _asserted,
                "columnLineage": _lineage,
                "ownership": _ownership,
                "tags": _tags,
                "storage": _unknown,
            },
        ),
        "inputFacets": st.fixed_dictionaries(
            {},
            optional={
                "inputStatistics": _moved,
                "dataQualityMetrics": _metrics,
                "dataQualityAssertions": _asserted,
                "subset": facet(inputCondition=_condition, **_deleted),
            },
        ),
        "outputFacets": st.fixed_dictionaries(
            {}, optional={"outputStatistics": _moved, "subset": facet(outputCondition=_condition, **_deleted)}
        ),
    },
)
_jobs = st.fixed_dictionaries(
    {"namespace": namespaces, "name": names},
    optional={
        "facets": st.fixed_dictionaries(
            {},
            optional={
                "jobType": facet(processingType=st.sampled_from(["BATCH", "STREAMING", "SERVICE"])),
                "sourceCodeLocation": facet(version=texts),
                "ownership": _ownership,
                "tags": _tags,
                "sql": _unknown,
            },
        )
    },
)
_runs = st.fixed_dictionaries(
    {"runId": st.uuids().map(str)},
    optional={
        "facets": st.fixed_dictionaries(
            {},
            optional={
                "nominalTime": facet(nominalStartTime=st.just("2026-10-20T02:00:00Z")),
                "parent": facet(job=st.fixed_dictionaries({"namespace": names, "name": names})),
                "errorMessage": facet(message=texts),
                "extractionError": facet(totalTasks=st.integers(0, 3)),
                "spark_properties": _unknown,
            },
        )
    },
)
_sides_of_documents = {"inputs": st.lists(_ol_datasets, max_size=2), "outputs": st.lists(_ol_datasets, max_size=2)}
run_documents = st.fixed_dictionaries(
    {"eventTime": st.just("2026-10-20T01:59:08.941+00:00"), "producer": st.just("p"), "run": _runs, "job": _jobs},
    optional={"eventType": st.sampled_from(list(STATES)), **_sides_of_documents},
)
job_documents = st.fixed_dictionaries(
    {"eventTime": st.just("2026-10-20T01:59:08.941Z"), "job": _jobs}, optional=_sides_of_documents
)
dataset_documents = st.fixed_dictionaries({"eventTime": st.just("2026-10-20T01:59:08"), "dataset": _ol_datasets})
documents: st.SearchStrategy[dict[str, Any]] = st.one_of(run_documents, job_documents, dataset_documents)

# ---------------------------------------------------------------- messages gone wrong

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


@st.composite
def damaged(draw: st.DrawFn, messages: st.SearchStrategy[bytes]) -> bytes:
    """A message after some flips, cuts, insertions and repetitions of its bytes."""
    message = bytearray(draw(messages))
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, max(len(message) - 1, 0)))
        kind = draw(st.sampled_from(["flip", "cut", "insert", "remove", "repeat"]))
        if kind == "flip" and message:
            message[at] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del message[at:]
        elif kind == "insert":
            message[at:at] = draw(st.binary(min_size=1, max_size=12))
        elif kind == "remove":
            del message[at : at + draw(st.integers(1, 8))]
        else:
            message[at:at] = message[at : at + draw(st.integers(1, 32))]
    return bytes(message)


@st.composite
def restructured(draw: st.DrawFn, values: st.SearchStrategy[dict[str, Any]]) -> bytes:
    """The JSON of a document where something, anywhere, was replaced, removed or added."""
    document = json.loads(json.dumps(draw(values)))
    for _ in range(draw(st.integers(1, 3))):
        places = list(_places(document))
        if places:
            change = draw(st.sampled_from(places))
            change(draw(st.sampled_from(["replace", "remove", "add"])), draw(json_values))
    return json.dumps(document).encode()


def _places(value: Any) -> Any:
    """One function for each member of each object and array in `value`, that changes it."""
    members = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, member in list(members):
        yield _changer(value, key)
        yield from _places(member)


def _changer(holder: Any, key: Any) -> Callable[[str, Any], None]:
    def change(kind: str, value: Any) -> None:
        if kind == "replace":
            holder[key] = value
        elif kind == "remove":
            del holder[key]
        elif isinstance(holder, dict):
            holder["added"] = value
        else:
            holder.append(value)

    return change


@st.composite
def recovery_plans(draw: st.DrawFn, plan: str = "p1") -> RecoveryPlan:
    """An open plan whose steps come after some of those before them; some have no runs."""
    steps: list[PlanStep] = []
    for number in range(draw(st.integers(1, 6))):
        before = [step.job for step in steps]
        after = draw(st.lists(st.sampled_from(before), unique=True)) if before else []
        days = range(draw(st.integers(0, 3)))
        runs = [
            Redo(why=draw(st.sampled_from(["failed", "missed", "bad", "blocked"])), nominal_time=day) for day in days
        ]
        steps.append(PlanStep(job=f"job:airflow/j{number}", after=after, runs=runs))
    return RecoveryPlan(
        plan=plan, version=1, root="dataset:db/raw", incident=None, state="open", opened=0.0, steps=steps, summary=""
    )
