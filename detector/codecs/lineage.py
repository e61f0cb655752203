"""What OpenLineage tells of a dataset beside its data: other names, owners, tags, parts, and where columns come from.

Names are read one by one: one that cannot be a name is not there. Where columns come from, and which parts of a dataset
were moved, is told whole or not at all: half of it would be believed, and be wrong.
"""

from typing import Final

from msgspec.structs import replace

from detector.codecs import checks, facets
from detector.codecs.checks import LONGEST_NAME, is_name, printable
from detector.core.events import Columns, Dataset, dataset_key

# What a dataset says of itself here, in the order of the last fields of `Dataset`.
Told = tuple[tuple[str, ...], Columns | None, tuple[str, ...], tuple[str, ...], tuple[str, ...]]
NOTHING: Final[Told] = ((), None, (), (), ())

_ALL: Final = "*"
_MOST_REPEATED: Final = 400_000
_FEW: Final = _MOST_REPEATED // LONGEST_NAME


def of_dataset(found: facets.Dataset, namespace: str, name: str) -> Told:
    """All that is told of the dataset that has this name in the log, which is not always the one in `found`."""
    subset = _subset(found)
    if (there := found.facets) is None:
        return ((), None, (), (), subset) if subset else NOTHING
    return (
        () if there.symlinks is None else _aliases(found, dataset_key(namespace, name), there.symlinks),
        None if there.column_lineage is None else _columns_from(there.column_lineage),
        () if there.ownership is None else owners(there.ownership),
        () if there.tags is None else tags(there.tags),
        subset,
    )


def _aliases(found: facets.Dataset, key: str, facet: facets.Symlinks) -> tuple[str, ...]:
    """Its other names, the one that it has in the event among them when a symlink goes before that."""
    links = [(link.namespace, link.name) for link in facet.identifiers or ()]
    named = () if facet.deleted else (*links, (found.namespace, found.name))
    return checks.aliases(other for n in named if is_name(*n) and (other := dataset_key(*n)) != key)


def _columns_from(facet: facets.ColumnLineage) -> Columns | None:
    """Where its columns come from; None when that is not told, or is too much. No column at all tells nothing."""
    of_columns, of_all = facet.fields or {}, facet.dataset or []
    if facet.deleted or not (of_columns or of_all):
        return None
    if len(of_all) + sum([len(of_one.input_fields) for of_one in of_columns.values()]) > checks.MOST_COLUMNS:
        return None
    found = [(_ALL, of_all), *[(own, of_one.input_fields) for own, of_one in of_columns.items()]]
    columns: list[tuple[str, str, str]] = []
    keys: dict[tuple[str, str], str] = {}
    for own, sources in found:
        for source in sources:
            key = keys.get((source.namespace, source.name)) or _key(source, keys)
            if not key or not 0 < len(own) <= LONGEST_NAME >= len(source.field) > 0:
                return None
            columns.append((printable(own), key, printable(source.field)))
    return checks.columns(columns)


def _key(source: facets.InputField, keys: dict[tuple[str, str], str]) -> str:
    """The entity that a source is, to be remembered in `keys`; empty for a name that cannot be one."""
    if not is_name(source.namespace, source.name):
        return ""
    key = keys[source.namespace, source.name] = dataset_key(source.namespace, source.name)
    return key


def owners(facet: facets.Ownership) -> tuple[str, ...]:
    """Who owns it, the first one first."""
    return checks.owners([owner.name for owner in (not facet.deleted and facet.owners) or ()])


def tags(facet: facets.Tags) -> tuple[str, ...]:
    """Its own tags, not those of its columns: `key=value`, or `key` for one that is just there."""
    return checks.tags([_tag(tag) for tag in (not facet.deleted and facet.tags) or () if tag.key and not tag.field])


def _tag(tag: facets.Tag) -> str:
    """Airflow sends a plain tag as its own value, and the clients as `true`."""
    return tag.key if tag.value in {None, "", "true", tag.key} else f"{tag.key}={tag.value}"


# ---------------------------------------------------------------- parts of a dataset


def _subset(found: facets.Dataset) -> tuple[str, ...]:
    told: list[str] = []
    if found.input_facets is not None and found.input_facets.subset is not None:
        told += _parts(found.input_facets.subset, found.input_facets.subset.input_condition)
    if found.output_facets is not None and found.output_facets.subset is not None:
        told += _parts(found.output_facets.subset, found.output_facets.subset.output_condition)
    return checks.subset(told) if told else ()


def _parts(facet: facets.Facet, condition: facets.Condition | None) -> list[str]:
    if facet.deleted or condition is None:
        return []
    if condition.type == "location":
        return condition.locations or []
    return [_part(part) for part in condition.partitions or ()] if condition.type == "partition" else []


def _part(part: facets.SubsetPart) -> str:
    """The name of a partition: the one that it has, or as Hive would name it, `day=2026-10-20/country=DE`."""
    dimensions = (part.dimensions or {}).items()
    return part.identifier or "/".join(
        f"{key}={value if isinstance(value, str) else str(value).lower()}" for key, value in dimensions
    )


# ---------------------------------------------------------------- one event


def by_one_name(inputs: tuple[Dataset, ...], outputs: tuple[Dataset, ...]) -> tuple[Dataset, ...]:
    """`outputs`, with the sources of their columns under the names that the datasets of this event have in the log.

    A producer names a source as it does the input; when a symlink names that input, its columns go with it.
    """
    names = {alias: dataset.key for dataset in (*inputs, *outputs) if dataset.aliases for alias in dataset.aliases}
    if not names and sum([len(output.columns_from or ()) for output in outputs]) <= _FEW:
        return outputs
    for dataset in (*inputs, *outputs):
        names.pop(dataset.key, None)  # whoever has the name goes before who has it as another
    room = _MOST_REPEATED
    named = []
    for output in outputs:
        columns = [(own, names.get(source, source), column) for own, source, column in output.columns_from or ()]
        # Each column repeats its own name and a new one: 70 MB of a message of 1 MB, and no log takes that.
        room -= sum([len(own) + (len(source) if names else 0) for own, source, _ in columns])
        if columns:
            named.append(replace(output, columns_from=checks.columns(columns) if room >= 0 else None))
        else:
            named.append(output)
    return tuple(named)
