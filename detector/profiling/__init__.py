"""`detector profile`: from files, databases, DataFrames and topics to profiles, the statistics that are judged.

Only numbers and keyed hashes leave: no value of a text, no line of a file, not in an error either.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from detector.errors import Unreadable
from detector.profiling.result import Column, DatasetProfile, Identity

if TYPE_CHECKING:
    from detector.config import Config
    from detector.profiling.asked import Asks
    from detector.profiling.duck import Duck
    from detector.profiling.sources import Asked

__all__ = ["Column", "DatasetProfile", "Identity", "profile", "profile_source"]


def profile(
    data: Any,
    dataset: str,
    *,
    grain: str | None = None,
    partition: str | None = None,
    run_id: str | None = None,
    version: str | None = None,
    key: str | bytes | None = None,
    exact: bool = False,
    sample: str = "",
    private: Iterable[str] = (),
    patterns: Mapping[str, str] | None = None,
    config: "Config | None" = None,
) -> DatasetProfile:
    """The profile of a DataFrame (pandas, Polars, Arrow), or of files or a database by their names.

    `dataset` is `dataset:<namespace>/<name>`. `key` hashes the most frequent values, which are left out without one;
    of columns that match `private` only counts are told. The rules of a `config` say what its checks need.

        sent = detector.profile(orders, "dataset:snowflake://acme/DWH.PUBLIC.ORDERS", partition="day=2026-10-20")
        producer.produce("pipeline.profiles", sent.to_json())

    Raises `Unreadable` for what cannot be read; the message holds no value.
    """
    from detector.profiling.asked import asks_of
    from detector.profiling.counting import Wanted
    from detector.profiling.hashing import Hasher
    from detector.profiling.sampling import Sample, parsed
    from detector.profiling.sources import Asked

    who = identity(dataset, grain=grain, partition=partition, run_id=run_id, version=version)
    secret = key.encode() if isinstance(key, str) else key
    if secret is None and config is not None and config.profile.key is not None:
        secret = config.profile.key.reveal().encode()
    wanted = Wanted(Hasher(secret), asks_of(config, dataset, patterns or {}, private), exact)
    asked = Asked(sample=parsed(sample) if sample else Sample())
    references = config.profile.references if config is not None else {}
    return profile_source(data, who, asked, wanted, references)


def identity(
    dataset: str,
    grain: str | None = None,
    partition: str | None = None,
    run_id: str | None = None,
    version: str | None = None,
) -> Identity:
    """Who is profiled, by the key of its entity. Raises `ValueError` for what is no dataset."""
    kind, _, rest = dataset.partition(":")
    namespace, slash, name = rest.rpartition("/")
    if kind != "dataset" or not slash or not name or not namespace:
        raise ValueError(f"{dataset!r} is no dataset: write dataset:<namespace>/<name>")
    return Identity(namespace, name, grain or ("partition" if partition else "load"), partition, run_id, version)


def profile_source(
    source: object,
    who: Identity,
    asked: "Asked",
    wanted: Any,
    references: Mapping[str, str],
    progress: Callable[[float, str], None] = lambda _share, _what: None,
    memory: str = "2GiB",
) -> DatasetProfile:
    """The profile of one source. Raises `Unreadable`."""
    from detector.profiling import counting
    from detector.profiling.duck import Duck
    from detector.profiling.sources import opened

    with Duck(memory) as duck:
        progress(0.0, "reading")
        keys(duck, wanted.asks, references)
        relation = opened(duck, source, asked)
        columns = counting.columns_of(duck, relation, wanted, progress)
    found = DatasetProfile(who, time.time(), float(relation.rows), columns, relation.bytes)
    found.notes = [*relation.notes, *wanted.asks.notes]
    if relation.left_out:
        found.notes.append(f"{relation.left_out:,} columns beyond the first {len(columns):,} are left out")
    looked_at = columns[0].of("count") or 0.0 if columns else 0.0
    if relation.sampled < 1 and looked_at:
        found.sampled = looked_at / relation.rows
        counting.scaled(columns, relation.rows / looked_at, wanted.asks)
        found.notes.append(
            f"a sample: {looked_at:,.0f} of {relation.rows:,} rows were looked at, counts are scaled up to all of them,"
            " and smallest and largest values are those of the sample (--sample all looks at all)"
        )
    if not wanted.hasher.keyed:
        found.notes.append(
            "no most frequent values, since there is no key to hash them with:"
            " openssl rand -hex 32 > profile.key, and DETECTOR_PROFILE__KEY_FILE=profile.key"
        )
    return found


def keys(duck: "Duck", asks: "Asks", references: Mapping[str, str]) -> None:
    """Read the keys of the datasets that `referential` checks name. Raises `Unreadable`."""
    from detector.profiling.duck import quoted
    from detector.profiling.sources import Asked, opened

    for place, (name, column) in enumerate(sorted(asks.references())):
        if name not in references:
            asks.notes.append(f"where {name} is, is not known: --reference {name}=FILE counts what is missing there")
            continue
        source, _, table = references[name].partition("#")
        relation = opened(duck, source, Asked(table=table or None))
        field = next((field for field in relation.fields if field.name == column), None)
        if field is None:
            raise Unreadable(f"{source}: has no column {column}, which a check of {name} names")
        kept = f"keys_{place}"
        duck.rows(
            f"CREATE TABLE {quoted(kept)} AS SELECT DISTINCT {field.sql}::VARCHAR AS key FROM {relation.sql}", source
        )
        duck.rows("DETACH DATABASE IF EXISTS source", source)
        asks.keys[name, column] = kept
