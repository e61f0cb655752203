"""The statistics of the columns of a relation, counted by DuckDB: a few queries for each column, of that column only.

Counts, sums, extremes, means and deviations are exact. Different values are counted up to about `EXACT_DISTINCT`;
beyond, among the values whose hash falls into a small part of all hashes, which is off by less than 1 %, and by
nothing where no value comes twice. Quantiles are exact up to `EXACT_ROWS` rows; beyond, they are those of so many rows
chosen by their place, which is off by a thousandth of the rows.
"""

from collections.abc import Callable
from typing import NamedTuple

from detector.profiling.asked import Asks, ColumnAsks
from detector.profiling.duck import Duck
from detector.profiling.hashing import Hasher
from detector.profiling.relation import Field, Relation
from detector.profiling.result import Column

EXACT_ROWS = 1_000_000
EXACT_DISTINCT = 200_000
HASHES = 100_000  # different values that are counted in the part of the hashes
QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
CATEGORIES = 10_000  # different values, up to which the most frequent are told
CODES = 64  # the same of whole numbers
LARGEST = 1e150  # beyond which squares are no numbers
TOGETHER = 100  # columns whose first look is one query
AMOUNTS = ("number", "real")
Progress = Callable[[float, str], None]


class Wanted(NamedTuple):
    """What is counted beside the plain statistics."""

    hasher: Hasher
    asks: Asks
    exact: bool = False


def columns_of(duck: Duck, relation: Relation, wanted: Wanted, progress: Progress) -> list[Column]:
    """The statistics of all columns."""
    looked_at = relation.rows if relation.sampled == 1 else _rows(duck, relation)
    columns = [Column(field.name, field.type, field.kind) for field in relation.fields]
    _first_look(duck, relation, columns, looked_at)
    steps = 2 * len(columns) + 1
    for place, (field, column) in enumerate(zip(relation.fields, columns, strict=True)):
        progress(place / steps, field.name)
        _look(duck, relation, field, column, wanted)
    _quantiles(duck, relation, columns, looked_at, wanted.exact)
    for place, (field, column) in enumerate(zip(relation.fields, columns, strict=True)):
        progress((len(columns) + 1 + place) / steps, field.name)
        asks = wanted.asks.of(field.name)
        if not asks.private:
            _top_values(duck, relation, field, column, wanted.hasher, asks)
        _asked(duck, relation, field, column, wanted.asks)
        if asks.private:
            column.statistics = {n: v for n, v in column.statistics.items() if n in ("count", "null_count", "distinct")}
        if relation.fresh_types and not column.values:
            column.type = ""
    return columns


def _rows(duck: Duck, relation: Relation) -> int:
    return int(duck.row(f"SELECT count(*) FROM {relation.sql}", relation.about)[0])


def _first_look(duck: Duck, relation: Relation, columns: list[Column], rows: int) -> None:
    """How many values there are, and between which numbers: much of it Parquet has counted already."""
    for begin in range(0, len(columns), TOGETHER):
        part = list(zip(relation.fields, columns, strict=True))[begin : begin + TOGETHER]
        counts = duck.row(f"SELECT {', '.join(f'count({f.sql})' for f, _ in part)} FROM {relation.sql}", relation.about)
        for (_, column), count in zip(part, counts, strict=True):
            column.tell("count", rows)
            column.tell("null_count", rows - count)
        ends = [(field, column) for field, column in part if field.kind in (*AMOUNTS, "time")]
        if ends and rows:
            wanted = ", ".join(f"{_end('min', field)}, {_end('max', field)}" for field, _ in ends)
            found = duck.row(f"SELECT {wanted} FROM {relation.sql}", relation.about)
            for place, (_, column) in enumerate(ends):
                column.tell("min", found[2 * place])
                column.tell("max", found[2 * place + 1])


def _end(which: str, field: Field) -> str:
    return f"epoch({which}({field.sql}))" if field.kind == "time" else f"{which}({field.sql})::DOUBLE"


def _look(duck: Duck, relation: Relation, field: Field, column: Column, wanted: Wanted) -> None:
    """One column by itself."""
    if not column.values:
        column.tell("distinct", 0)
        return
    exact = wanted.exact or wanted.asks.of(field.name).unique or column.values <= EXACT_DISTINCT
    expressions = _expressions(field, column)
    if field.kind != "list":
        expressions["distinct"] = f"{'count(DISTINCT ' if exact else 'approx_count_distinct('}{field.sql})"
    if not expressions:
        return
    listed = ", ".join(expressions.values())
    found = dict(zip(expressions, duck.row(f"SELECT {listed} FROM {relation.sql}", relation.about), strict=True))
    distinct = found.pop("distinct", None)
    for name, value in found.items():
        column.tell(name, value)
    if field.kind in AMOUNTS and (total := column.of("sum")) is not None:
        finite = column.values - (column.of("nan_count") or 0.0)
        column.tell("mean", total / finite if finite else None)
    if distinct is not None:
        _tell_distinct(duck, relation, field, column, int(distinct), exact)
    if column.of("length_min") == 0 and field.kind == "text":
        empty = duck.row(f"SELECT count(*) FROM {relation.sql} WHERE {field.sql} = ''", relation.about)[0]
        column.tell("empty_count", empty)
    elif field.kind == "text":
        column.tell("empty_count", 0)


def _expressions(field: Field, column: Column) -> dict[str, str]:
    """The statistics of a column by the kind of its values, as SQL."""
    sql = field.sql
    if field.kind in AMOUNTS:
        return _of_amounts(field, column)
    if field.kind == "boolean":
        return {"true_count": f"count_if({sql})"}
    if field.kind in ("text", "list", "bytes"):
        length = {"text": f"length({sql}::VARCHAR)", "list": f"len({sql})", "bytes": f"octet_length({sql})"}[field.kind]
        if field.type.startswith("MAP("):
            length = f"cardinality({sql})"
        return {"length_min": f"min({length})", "length_max": f"max({length})", "length_mean": f"avg({length})"}
    return {}


def _of_amounts(field: Field, column: Column) -> dict[str, str]:
    low, high = column.of("min"), column.of("max")
    finite = low is not None and high is not None
    where = "" if finite else f" FILTER (isfinite({field.sql}))"
    number = f"{field.sql}::DOUBLE"
    found = {"sum": f"sum({number if field.kind == 'real' else field.sql}){where}"}
    if not finite:  # NaN is the largest of all: the extremes are those of the others
        column.statistics.pop("min", None)
        column.statistics.pop("max", None)
        found |= {"min": f"min({number}){where}", "max": f"max({number}){where}"}
        found["nan_count"] = f"count(*) FILTER (NOT isfinite({field.sql}))"
    if finite and max(abs(low or 0), abs(high or 0)) < LARGEST:
        found["std"] = f"stddev_samp({number})"
    if not finite or (low or 0) < 0:
        found["negative_count"] = f"count(*) FILTER ({field.sql} < 0)"
    else:
        column.tell("negative_count", 0)
    if not finite or ((low or 0) <= 0 <= (high or 0)):
        found["zero_count"] = f"count(*) FILTER ({field.sql} = 0)"
    else:
        column.tell("zero_count", 0)
    return found


def _tell_distinct(duck: Duck, relation: Relation, field: Field, column: Column, found: int, exact: bool) -> None:
    if exact:
        column.tell("distinct", found)
        return
    if found <= EXACT_DISTINCT:
        distinct = duck.row(f"SELECT count(DISTINCT {field.sql}) FROM {relation.sql}", relation.about)[0]
        column.tell("distinct", distinct)
        return
    part = 1 << max(found // HASHES, 1).bit_length() - 1
    query = (
        f"SELECT count(*), count(DISTINCT h) FROM (SELECT hash({field.sql}) AS h FROM {relation.sql}"
        f" WHERE {field.sql} IS NOT NULL) WHERE h % {part} = 0"
    )
    values, distinct = duck.row(query, relation.about)
    # Where hardly any value comes twice, the share of them is known better than their number.
    share = distinct / values if values else 1.0
    estimate = share * column.values if share > 0.5 else float(distinct * part)
    column.tell("distinct", round(estimate), estimated=True)


# ---------------------------------------------------------------- quantiles


def _quantiles(duck: Duck, relation: Relation, columns: list[Column], rows: int, exact: bool) -> None:
    chosen = [(f, c) for f, c in zip(relation.fields, columns, strict=True) if f.kind in AMOUNTS and c.values]
    if not chosen:
        return
    some = rows > EXACT_ROWS and not exact
    source = relation.sql
    if some:
        part = -(-rows // max(EXACT_ROWS // (1 + len(chosen) // 50), 100_000))
        listed = ", ".join(f"{field.sql}::DOUBLE AS c{place}" for place, (field, _) in enumerate(chosen))
        duck.rows(
            f"CREATE OR REPLACE TABLE chosen AS SELECT {listed} FROM {relation.sql}"
            f" WHERE {relation.place} % {part} = 0",
            relation.about,
        )
        source = "chosen"
    for place, (field, column) in enumerate(chosen):
        number = f"c{place}" if some else f"{field.sql}::DOUBLE"
        where = f" FILTER (isfinite({number}))" if column.of("nan_count") else ""
        query = f"SELECT quantile_cont({number}, {list(QUANTILES)}){where} FROM {source}"
        values = duck.row(query, relation.about)[0] or ()
        for fraction, value in zip(QUANTILES, values, strict=False):
            column.tell(f"q{fraction:g}", value, estimated=some)
    if some:
        duck.rows("DROP TABLE chosen", relation.about)


# ---------------------------------------------------------------- values


def _top_values(duck: Duck, relation: Relation, field: Field, column: Column, hasher: Hasher, asks: ColumnAsks) -> None:
    """The most frequent values, if there is a key to hash them with, or a check that names them."""
    declared = asks.in_set
    if declared is None and not (hasher.keyed and _is_category(field, column)):
        return
    if field.kind in ("list", "bytes") or not column.values:
        return
    query = (
        f"SELECT {field.sql}::VARCHAR AS v, count(*) AS n FROM {relation.sql} WHERE {field.sql} IS NOT NULL"
        f" GROUP BY v ORDER BY n DESC, v LIMIT {CATEGORIES if declared else 32}"
    )
    column.top = hasher.top(((str(v), float(n)) for v, n in duck.rows(query, relation.about)), declared)


def _is_category(field: Field, column: Column) -> bool:
    distinct = column.of("distinct") or 0.0
    if field.kind == "boolean":
        return True
    if field.kind == "number":
        return distinct <= CODES and not field.type.startswith("DECIMAL")
    return field.kind == "text" and distinct <= CATEGORIES and distinct <= max(column.values / 2, 32)


def _asked(duck: Duck, relation: Relation, field: Field, column: Column, asks: Asks) -> None:
    """What declared checks need: values that have a pattern, and values that are missing elsewhere."""
    own = asks.of(field.name)
    for name in own.patterns:
        if (pattern := asks.patterns.get(name)) is not None:
            query = f"SELECT count(*) FROM {relation.sql} WHERE regexp_full_match({field.sql}::VARCHAR, ?)"
            column.tell(f"matches:{name}_count", duck.rows(query, relation.about, [pattern])[0][0])
    for name, key in own.references:
        if (keys := asks.keys.get((name, key))) is not None:
            query = (
                f"SELECT count(*) FROM {relation.sql} WHERE {field.sql} IS NOT NULL AND NOT EXISTS"
                f" (SELECT 1 FROM {keys} AS keys WHERE keys.key = {field.sql}::VARCHAR)"
            )
            column.tell(f"missing_in:{name}.{key}_count", duck.row(query, relation.about)[0])


# ---------------------------------------------------------------- samples


def scaled(columns: list[Column], by: float, asks: Asks) -> None:
    """Counts of a sample as they would be of all rows; `by` is how many rows each one stands for."""
    for column in columns:
        values = column.values
        distinct = column.of("distinct")
        for name in [
            name for name in column.statistics if name in ("count", "null_count", "sum") or name.endswith("_count")
        ]:
            column.tell(name, column.statistics[name] * by, estimated=True)
        column.top = {name: count * by for name, count in column.top.items()}
        for name in ("min", "max"):
            if name in column.statistics:
                column.estimated.add(name)
        if distinct is None:
            continue
        if asks.of(column.name).unique:
            del column.statistics["distinct"]  # of a part nobody can say that no value of all comes twice
        else:
            column.tell("distinct", _distinct_of_all(distinct, values, by), estimated=True)


def _distinct_of_all(distinct: float, values: float, by: float) -> float:
    """How many different values all rows have, by those of a sample: all of them new, none of them, or between."""
    if not values:
        return 0.0
    share = distinct / values
    if share < 0.1:
        return distinct
    return float(round(distinct * by**share))
