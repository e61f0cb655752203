"""OpenLineage 2-0-2 events in JSON, with every facet that feeds a field of ours.

The envelope must be right: without a time, a job or a run id an event says nothing, and it becomes a dead letter that
names the path. A facet may be wrong: it is then not there, piece by piece, and the event stands. The first look decodes
all known facets at once, typed; only when that fails does `loose` take the document apart.
"""

from typing import ClassVar, Final

import msgspec

from detector.codecs import checks, facets, lineage, loose, statistics
from detector.codecs.checks import Refused
from detector.codecs.statistics import Column
from detector.core.events import (
    Assertion,
    Dataset,
    DatasetEvent,
    DeadLetter,
    Event,
    Field,
    JobEvent,
    Record,
    RunEvent,
    Statistics,
    job_key,
)
from detector.redaction import first_line

_document = msgspec.json.Decoder(facets.Document).decode
_CONTINUOUS: Final = frozenset({"STREAMING", "SERVICE"})
_BOM: Final = b"\xef\xbb\xbf"
_DEEPEST_FIELD: Final = 32
_MOST_REPEATED: Final = 500_000
_NOT_OURS: Final = "JSON without a run, job or dataset of OpenLineage"


class OpenLineage:
    """RunEvent, DatasetEvent and JobEvent."""

    kind: ClassVar[str] = "openlineage"
    first_bytes: ClassVar[frozenset[int]] = frozenset(b"{ \t\r\n\xef")

    def decode(self, record: Record) -> Event | DeadLetter:
        """The event in `record`; reason `format` when it is JSON, but not OpenLineage's."""
        try:
            return read(record.value or b"")
        except Refused as refused:
            return refused.letter(record)


def read(body: bytes) -> Event:
    """The event that `body` is. Raises `Refused`."""
    return _event(_read(body))


def _read(body: bytes) -> facets.Document:
    if body.startswith(_BOM):
        body = body[3:]
    try:
        return _document(body)
    except loose.NOT_AT_FIRST:
        found = loose.parse(body)
    if not isinstance(found, dict):
        raise Refused("format", "JSON, but not an object")
    if not any(isinstance(found.get(key), dict) for key in ("run", "job", "dataset")):
        raise Refused("format", _NOT_OURS)
    for holder, key, kind in facets.places(found):
        pruned = loose.prune(holder[key], kind)
        holder[key] = None if pruned is msgspec.UNSET else pruned
    for key in ("eventType", "schemaURL"):
        if not isinstance(found.get(key), str):
            found[key] = None
    return loose.convert(found, facets.Document)


def _event(document: facets.Document) -> Event:
    if document.run is not None:
        if document.job is None:
            raise Refused("envelope", "job: missing, in an event with a run")
        return _run_event(document, document.run, document.job)
    if document.dataset is not None:
        dataset = _dataset(document.dataset, None)
        checks.check_name(dataset.namespace, dataset.name, "dataset")
        (dataset,) = lineage.by_one_name((), (dataset,))
        return DatasetEvent(dataset, _event_time(document))
    if document.job is None:
        raise Refused("format", _NOT_OURS)
    if document.event_type is not None or (document.schema_url or "").endswith("/RunEvent"):
        raise Refused("envelope", "run: missing, in a RunEvent")
    return _job_event(document, document.job)


def _event_time(document: facets.Document) -> float:
    if document.event_time is None:
        raise Refused("envelope", "eventTime: missing")
    return checks.parse_time(document.event_time, "eventTime")


def _run_event(document: facets.Document, run: facets.Run, job: facets.Job) -> RunEvent:
    if not checks.is_name(job.namespace, job.name):
        checks.check_name(job.namespace, job.name, "job")
    checks.check_run_id(run.run_id, "run.runId")
    state, event_time = checks.state(document.event_type), _event_time(document)
    inputs, outputs = _sides(document)
    event = RunEvent(
        job.namespace,
        job.name,
        run.run_id,
        state,
        event_time,
        inputs=inputs,
        outputs=outputs,
        metrics={},
    )
    if run.facets is not None:
        _add_run_facets(event, run.facets)
    if job.facets is not None:
        if job.facets.job_type is not None:
            _add_job_type(event, job.facets.job_type)
        _add_job_facets(event, job.facets)
    return event


def _add_run_facets(event: RunEvent, found: facets.RunFacets) -> None:
    if found.nominal_time is not None and not found.nominal_time.deleted:
        event.nominal_time = checks.maybe_time(found.nominal_time.nominal_start_time)
    if (parent := found.parent) is not None and not parent.deleted and parent.job is not None:
        event.parent = checks.entity(job_key(parent.job.namespace, parent.job.name))
    if found.error_message is not None and not found.error_message.deleted:
        event.error = first_line(found.error_message.message)
    if found.extraction_error is not None:
        event.incomplete = not found.extraction_error.deleted


def _add_job_type(event: RunEvent, facet: facets.JobType) -> None:
    if facet.deleted:
        return
    event.streaming = facet.processing_type is not None and facet.processing_type.upper() in _CONTINUOUS
    if facet.emission_pattern is not None:
        event.snapshot_windows = (facet.emission_pattern.event_content_mode or "").upper() == "COMPLETE_SNAPSHOT"


def _add_job_facets(event: RunEvent | JobEvent, found: facets.JobFacets) -> None:
    if found.source_code_location is not None and not found.source_code_location.deleted:
        event.code_version = checks.short(found.source_code_location.version)
    if found.ownership is not None:
        event.owners = lineage.owners(found.ownership)
    if found.tags is not None:
        event.tags = lineage.tags(found.tags)


def _job_event(document: facets.Document, job: facets.Job) -> JobEvent:
    checks.check_name(job.namespace, job.name, "job")
    event = JobEvent(job.namespace, job.name, _event_time(document), *_sides(document))
    if job.facets is not None:
        _add_job_facets(event, job.facets)
    return event


def _sides(document: facets.Document) -> tuple[tuple[Dataset, ...], tuple[Dataset, ...]]:
    inputs = _inputs(document.inputs) if document.inputs else ()
    outputs = _outputs(document.outputs) if document.outputs else ()
    return inputs, lineage.by_one_name(inputs, outputs) if outputs else ()


def _inputs(found: list[facets.Dataset]) -> tuple[Dataset, ...]:
    read = [_dataset(d, None if d.input_facets is None else d.input_facets.input_statistics) for d in found]
    return checks.datasets(tuple(read), "inputs")


def _outputs(found: list[facets.Dataset]) -> tuple[Dataset, ...]:
    written = [_dataset(d, None if d.output_facets is None else d.output_facets.output_statistics) for d in found]
    return checks.datasets(tuple(written), "outputs")


# ---------------------------------------------------------------- datasets


def _dataset(found: facets.Dataset, moved: facets.Statistics | None) -> Dataset:
    """A dataset. `moved` is what a run read from or wrote to it; it goes before what the dataset holds altogether."""
    namespace, name = found.namespace, found.name
    schema = version = lifecycle = metrics = None
    assertions: tuple[Assertion, ...] = ()
    if (of_dataset := found.facets) is not None:
        if of_dataset.symlinks is not None:
            namespace, name = _canonical(namespace, name, of_dataset.symlinks)
        if of_dataset.schema is not None:
            schema = _schema(of_dataset.schema)
        if of_dataset.version is not None:
            version = _version(of_dataset.version)
        if of_dataset.lifecycle_state_change is not None:
            lifecycle = _lifecycle(of_dataset.lifecycle_state_change)
        if of_dataset.data_quality_metrics is not None:
            metrics = facets.live(of_dataset.data_quality_metrics)
        if of_dataset.data_quality_assertions is not None:
            assertions = _assertions(of_dataset.data_quality_assertions)
    for of_run in (found.input_facets, found.output_facets):
        if of_run is None:
            continue
        metrics = facets.live(of_run.data_quality_metrics) or metrics
        if of_run.data_quality_assertions is not None:
            assertions = _joined(assertions, _assertions(of_run.data_quality_assertions))
    told = lineage.of_dataset(found, namespace, name)
    if moved is None and metrics is None:
        return Dataset(namespace, name, None, None, None, schema, version, lifecycle, assertions, None, *told)
    rows, size, files = _counts(facets.live(moved), metrics)
    profile = None if metrics is None else _profile(metrics)
    return Dataset(namespace, name, rows, size, files, schema, version, lifecycle, assertions, profile, *told)


def _canonical(namespace: str, name: str, facet: facets.Symlinks) -> tuple[str, str]:
    """The name that all events of one table share: its first symlink of type TABLE (the catalogue's), else its own."""
    for link in (not facet.deleted and facet.identifiers) or ():
        if link.type is not None and link.type.upper() == "TABLE" and checks.is_name(link.namespace, link.name):
            return link.namespace, link.name
    return namespace, name


def _version(facet: facets.Version) -> str | None:
    version = None if facet.deleted else facet.dataset_version
    return None if version is None else checks.short(str(version))


def _lifecycle(facet: facets.Lifecycle) -> str | None:
    change = None if facet.deleted else facet.lifecycle_state_change
    return None if change is None else checks.short(change.upper())


def _schema(facet: facets.Schema) -> tuple[Field, ...] | None:
    """The columns, those inside of others as `outer.inner`. An empty schema is one that the producer did not know."""
    if facet.deleted or not facet.fields:
        return None
    flat: list[Field] = []
    _flatten(facet.fields, "", flat, 0, _MOST_REPEATED)
    return tuple(flat)


def _flatten(found: list[facets.SchemaField], inside: str, flat: list[Field], depth: int, room: int) -> int:
    """Add the columns to `flat`; gives what is left of `room`, the characters that names may repeat of outer ones."""
    for field in found:
        name = inside + field.name
        position = field.ordinal_position
        if position is None or not 0 < position < 1 << 31:
            position = 0
        flat.append(Field(name, field.type or "", position))
        # A long name again before each of many columns would make 70 MB of a message of 1 MB, and no log takes that.
        repeated = (len(name) + 1) * len(field.fields or ())
        if field.fields and depth < _DEEPEST_FIELD and len(name) <= checks.LONGEST_NAME and repeated <= room:
            room = _flatten(field.fields, f"{name}.", flat, depth + 1, room - repeated)
    return room


def _assertions(facet: facets.Assertions) -> tuple[Assertion, ...]:
    if facet.deleted or not facet.assertions:
        return ()
    return tuple(
        [Assertion(a.assertion, a.success, a.column or "", (a.severity or "error").lower()) for a in facet.assertions]
    )


def _joined(first: tuple[Assertion, ...], second: tuple[Assertion, ...]) -> tuple[Assertion, ...]:
    """Both, without what stands in both: dbt writes each assertion into `facets` and into `inputFacets`."""
    if not first or first == second:
        return second
    known = set(first)
    return first + tuple(a for a in second if a not in known)


def _counts(
    moved: facets.Statistics | None, metrics: facets.Metrics | None
) -> tuple[float | None, float | None, float | None]:
    """Rows, bytes and files: what the run moved, and where that is not told, what was measured of the dataset."""
    rows = size = files = None
    if moved is not None:
        rows, size, files = checks.count(moved.row_count), checks.count(moved.size), checks.count(moved.file_count)
    if metrics is not None:
        rows = checks.count(metrics.row_count) if rows is None else rows
        size = checks.count(metrics.bytes) if size is None else size
        files = checks.count(metrics.file_count) if files is None else files
    return rows, size, files


def _profile(metrics: facets.Metrics) -> Statistics | None:
    """The statistics of the columns, or None when there are none, or too many for one message of ours."""
    columns = (
        Column(
            name,
            (found.count, found.null_count, found.distinct_count, found.sum, found.min, found.max, None, None),
            found.quantiles,
        )
        for name, found in (metrics.column_metrics or {}).items()
        if found is not None
    )
    try:
        return statistics.from_columns(columns)
    except Refused:
        return None
