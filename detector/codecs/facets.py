"""OpenLineage as it is on the wire, as far as a field of ours comes from it (spec 2-0-2, facets of late 2026).

Names of fields are the specification's, in Python's spelling. Nothing is required but what the envelope needs; every
other field may be null, missing, or (see `loose`) wrong. Unknown fields and facets are skipped without being read.
"""

from typing import Any, ClassVar, TypeVar

import msgspec


class Facet(msgspec.Struct, rename="camel", gc=False):
    """What all facets have. A deleted one says that what an earlier event told is no longer so."""

    deleted: bool | None = msgspec.field(default=None, name="_deleted")


F = TypeVar("F", bound=Facet)


def live(facet: F | None) -> F | None:
    """The facet, unless it is not there or deleted."""
    return None if facet is None or facet.deleted else facet


# ---------------------------------------------------------------- of a dataset


class SchemaField(msgspec.Struct):
    name: str
    type: str | None = None
    ordinal_position: int | None = None
    fields: "list[SchemaField] | None" = None


class Schema(Facet, gc=True):
    fields: list[SchemaField] | None = None


class ColumnMetrics(msgspec.Struct, rename="camel", gc=False):
    null_count: float | None = None
    distinct_count: float | None = None
    sum: float | None = None
    count: float | None = None
    min: float | None = None
    max: float | None = None
    quantiles: dict[str, float | None] | None = None


class Metrics(Facet, gc=True):
    """`dataQualityMetrics`, as a facet of a dataset, of an input and of an output alike."""

    row_count: float | None = None
    bytes: float | None = None
    file_count: float | None = None
    column_metrics: dict[str, ColumnMetrics | None] | None = None


class Statistics(Facet):
    """`inputStatistics` and `outputStatistics`."""

    row_count: float | None = None
    size: float | None = None
    file_count: float | None = None


class Assertion(msgspec.Struct, gc=False):
    assertion: str
    success: bool
    column: str | None = None
    severity: str | None = None


class Assertions(Facet, gc=True):
    assertions: list[Assertion] | None = None


class Version(Facet):
    dataset_version: str | int | None = None


class Lifecycle(Facet):
    lifecycle_state_change: str | None = None


class Identifier(msgspec.Struct, gc=False):
    namespace: str
    name: str
    type: str | None = None


class Symlinks(Facet, gc=True):
    identifiers: list[Identifier] | None = None


class InputField(msgspec.Struct, gc=False):
    namespace: str
    name: str
    field: str


class InputFields(msgspec.Struct, rename="camel"):
    input_fields: list[InputField]


class ColumnLineage(Facet, gc=True):
    """Where columns come from. Half of it would say that the other half comes from nowhere: all, or nothing."""

    whole: ClassVar[bool] = True
    fields: dict[str, InputFields] | None = None
    dataset: list[InputField] | None = None


class Owner(msgspec.Struct, gc=False):
    name: str


class Ownership(Facet, gc=True):
    """`ownership`, of a dataset and of a job alike."""

    owners: list[Owner] | None = None


class Tag(msgspec.Struct, gc=False):
    key: str
    value: str | None = None
    field: str | None = None


class Tags(Facet, gc=True):
    """`tags`, of a dataset and of a job alike; only those of a dataset have a `field`."""

    tags: list[Tag] | None = None


class SubsetPart(msgspec.Struct):
    identifier: str | None = None
    dimensions: dict[str, str | int | float | bool | None] | None = None


class Condition(msgspec.Struct):
    """Which part of a dataset. Comparisons, and conditions made of two, name no part, and are not looked into."""

    type: str | None = None
    partitions: list[SubsetPart] | None = None
    locations: list[str] | None = None


class InputSubset(Facet, gc=True):
    """`subset` at an input. Some of its parts would be another subset: all of them, or nothing."""

    whole: ClassVar[bool] = True
    input_condition: Condition | None = None


class OutputSubset(Facet, gc=True):
    """`subset` at an output."""

    whole: ClassVar[bool] = True
    output_condition: Condition | None = None


class DatasetFacets(msgspec.Struct, rename="camel"):
    schema: Schema | None = None
    version: Version | None = None
    symlinks: Symlinks | None = None
    lifecycle_state_change: Lifecycle | None = None
    data_quality_metrics: Metrics | None = None
    data_quality_assertions: Assertions | None = None
    column_lineage: ColumnLineage | None = None
    ownership: Ownership | None = None
    tags: Tags | None = None


class InputFacets(msgspec.Struct, rename="camel"):
    input_statistics: Statistics | None = None
    data_quality_metrics: Metrics | None = None
    data_quality_assertions: Assertions | None = None
    subset: InputSubset | None = None


class OutputFacets(msgspec.Struct, rename="camel"):
    """The specification has metrics and assertions at inputs and datasets; who profiles what it wrote has them here."""

    output_statistics: Statistics | None = None
    data_quality_metrics: Metrics | None = None
    data_quality_assertions: Assertions | None = None
    subset: OutputSubset | None = None


class Dataset(msgspec.Struct, rename="camel"):
    """An input, an output, or the dataset of a DatasetEvent."""

    namespace: str
    name: str
    facets: DatasetFacets | None = None
    input_facets: InputFacets | None = None
    output_facets: OutputFacets | None = None


# ---------------------------------------------------------------- of a job and of a run


class EmissionPattern(msgspec.Struct, rename="camel", gc=False):
    event_content_mode: str | None = None


class JobType(Facet):
    processing_type: str | None = None
    emission_pattern: EmissionPattern | None = None


class SourceCodeLocation(Facet):
    version: str | None = None


class JobFacets(msgspec.Struct, rename="camel"):
    job_type: JobType | None = None
    source_code_location: SourceCodeLocation | None = None
    ownership: Ownership | None = None
    tags: Tags | None = None


class Job(msgspec.Struct):
    namespace: str
    name: str
    facets: JobFacets | None = None


class NominalTime(Facet):
    nominal_start_time: str | None = None


class ParentJob(msgspec.Struct, gc=False):
    namespace: str
    name: str


class Parent(Facet):
    job: ParentJob | None = None


class ErrorMessage(Facet):
    message: str | None = None


class ExtractionError(Facet):
    """That it is there says enough."""


class RunFacets(msgspec.Struct, rename="camel"):
    nominal_time: NominalTime | None = None
    parent: Parent | None = None
    error_message: ErrorMessage | None = None
    extraction_error: ExtractionError | None = None


class Run(msgspec.Struct, rename="camel"):
    run_id: str
    facets: RunFacets | None = None


# ---------------------------------------------------------------- the envelope


class Document(msgspec.Struct, rename="camel"):
    """A RunEvent, a DatasetEvent or a JobEvent."""

    event_time: str | None = None
    event_type: str | None = None
    schema_url: str | None = msgspec.field(default=None, name="schemaURL")
    run: Run | None = None
    job: Job | None = None
    dataset: Dataset | None = None
    inputs: list[Dataset] | None = None
    outputs: list[Dataset] | None = None


# Where facets are, and what they must be.
_FACETS: tuple[tuple[str, str, type], ...] = (
    ("run", "facets", RunFacets),
    ("job", "facets", JobFacets),
    ("dataset", "facets", DatasetFacets),
    ("dataset", "inputFacets", InputFacets),
    ("dataset", "outputFacets", OutputFacets),
    ("inputs", "facets", DatasetFacets),
    ("inputs", "inputFacets", InputFacets),
    ("inputs", "outputFacets", OutputFacets),
    ("outputs", "facets", DatasetFacets),
    ("outputs", "inputFacets", InputFacets),
    ("outputs", "outputFacets", OutputFacets),
)


def places(document: dict[str, Any]) -> list[tuple[dict[str, Any], str, type]]:
    """Every place of `document` where facets stand: what holds them, under which key, and what they must be."""
    return [
        (one, key, kind)
        for holder, key, kind in _FACETS
        for one in _as_list(document.get(holder))
        if isinstance(one, dict) and key in one
    ]


def _as_list(found: Any) -> list[Any]:
    return found if isinstance(found, list) else [found]
